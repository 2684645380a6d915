"""Which changes become events: triggers and filters."""

import asyncio
from typing import Any

from tests.conformance.bases import Base
from tests.conformance.stories import counted
from tests.conformance.topics import (
    BOTH_FAILS,
    BOTH_PASSES,
    EITHER_FAILS,
    EITHER_PASSES,
    FAULTY,
    SCOPED,
    UPDATES,
)
from tests.fhir import immunization, observation

#: What the topic's tests ask for: `preliminary` before, `cancelled` after.
TRUE, FALSE = "preliminary", "registered"
PASSES, FAILS = "cancelled", "final"

#: Interaction, status before and after; and what fires, of the columns below. FHIR's table has one line for each.
COLUMNS = (BOTH_PASSES, BOTH_FAILS, EITHER_PASSES, EITHER_FAILS)
CELLS = {
    "create-passes": ("create", None, PASSES, (True, False, True, True)),
    "create-fails": ("create", None, FAILS, (False, False, True, False)),
    "delete-passed": ("delete", TRUE, None, (True, False, True, True)),
    "delete-failed": ("delete", FALSE, None, (False, False, True, False)),
    "update-both": ("update", TRUE, PASSES, (True, True, True, True)),
    "update-previous": ("update", TRUE, FAILS, (False, False, True, True)),
    "update-current": ("update", FALSE, PASSES, (False, False, True, True)),
    "update-neither": ("update", FALSE, FAILS, (False, False, False, False)),
}


def foci(base: Base, name: str) -> list[str]:
    return [focus.rpartition("/")[2] for each in base.told(name) for focus in each.foci]


async def test_H08_triggers(base: Base) -> None:
    """Every cell of the table; interactions that the topic doesn't name; an expression that can't be evaluated."""
    for name, (_, previous, _, _) in CELLS.items():
        if previous:
            await base.fhir.put(observation(name, status=previous))
    names = ["all", "faulty", "updates", *(f"column-{i}" for i in range(4))]
    topics = ["", FAULTY, UPDATES, *COLUMNS]
    wanted = [base.wanted(name, type_="Observation", topic=topic) for name, topic in zip(names, topics, strict=True)]
    ids = dict(zip(names, await asyncio.gather(*map(base.subscribe, wanted)), strict=True))
    for name, (interaction, _, current, _) in CELLS.items():
        if interaction == "delete":
            await base.fhir.delete(f"Observation/{name}")
        else:
            await base.fhir.put(observation(name, status=current))
    identifiers: list[Any] = [{"value": "one"}, {"value": "two"}]
    await base.fhir.put(observation("two-identifiers", identifier=identifiers))
    await base.fhir.put(observation("one-identifier", identifier=identifiers[:1]))
    expected = {f"column-{i}": [name for name, cell in CELLS.items() if cell[3][i]] for i in range(4)}
    # Without criteria and before: a create, neither of what was nor of what is; the either-columns take what they can.
    expected["column-2"] += ["two-identifiers", "one-identifier"]
    expected["updates"] = [name for name, (interaction, *_) in CELLS.items() if interaction == "update"]
    expected["faulty"] = ["one-identifier"]
    expected["all"] = [*CELLS, "two-identifiers", "one-identifier"]
    for name in names:
        await counted(base, ids[name], len(expected[name]))
        await base.receiver.numbered(base.path(name), len(expected[name]))
        assert sorted(foci(base, name)) == sorted(expected[name]), name


async def test_H09_A7_A85_A115_B135_B136_F4_B95_filters(base: Base) -> None:
    """All filters of a type hold together, one of another type doesn't count, a comma is an OR."""
    filters = ["Immunization?patient=Patient/H09", "Immunization?lot-number=A,B", "Immunization?date=ge2026-06-01"]
    id_ = await base.subscribe(base.wanted("H09", *filters, "Observation?status=amended", topic=SCOPED))
    late, early = {"occurrenceDateTime": "2026-07-01"}, {"occurrenceDateTime": "2026-05-01"}
    for resource in (
        immunization("H09-a", patient="H09", lot="A", **late),
        immunization("H09-b", patient="H09", lot="B", **late),
        immunization("H09-lot", patient="H09", lot="C", **late),
        immunization("H09-patient", patient="H08", lot="A", **late),
        immunization("H09-date", patient="H09", lot="A", **early),
        observation("H09-other-type", status="amended"),
        observation("H09-status", status="final"),
    ):
        await base.fhir.put(resource)
    await counted(base, id_, 3)
    await base.receiver.numbered(base.path("H09"), 3)
    assert sorted(foci(base, "H09")) == ["H09-a", "H09-b", "H09-other-type"]
    for refused in ("Immunization?lot-number:contains=A", "Immunization?date=lt2026", "Immunization?status=completed"):
        answer = await base.http.post("Subscription", json=base.wanted("H09", refused, topic=SCOPED))
        assert answer.status_code == 400, refused
