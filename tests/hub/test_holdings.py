"""Filters that look at what else the hub holds: rosters, chains and `_has`, from put to events."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.errors import Unavailable
from hub.holdings import MOST_MERGED, MOST_REFERRERS, Holdings
from hub.indexes import Indexes, LookUp
from hub.keys import Index, ResourceId
from hub.store import Store
from hub.vault import Vault
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from hub.write import Indexed, Write
from subscriptions.codes import FhirVersion
from subscriptions.search.held import Held, WantedReferrers, WantedResource, WantedRosters
from tests.facts import eventually
from tests.hub.conftest import BASE, close, settings
from tests.hub.engines import active, events, fanout, matched, now, publish, running

R4 = FhirVersion.R4
Json = dict[str, Any]


@pytest.fixture
async def chained(redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """All parts, where filters may look at other resources."""
    parts = await built(settings(redis_url, tmp_path).model_copy(update={"allow_chained_filters": True}))
    yield parts
    await close(parts.client)


def ref(text: str) -> Json:
    return {"reference": text}


def group(id_: str, *members: str, **more: Any) -> Json:
    entries = [{"entity": ref(member), **more} for member in members]
    return {"resourceType": "Group", "id": id_, "type": "person", "actual": True, "member": entries}


def patient(id_: str, **links: str) -> Json:
    found: Json = {"resourceType": "Patient", "id": id_, "identifier": [{"system": "urn:nhi", "value": id_.upper()}]}
    if links:
        found["link"] = [{"other": ref(f"Patient/{o}"), "type": type_.replace("_", "-")} for type_, o in links.items()]
    return found


def immunization(id_: str, patient_: str) -> Json:
    return {
        "resourceType": "Immunization",
        "id": id_,
        "status": "completed",
        "vaccineCode": {"text": "x"},
        "patient": ref(patient_),
        "occurrenceString": "today",
    }


def observation(id_: str, subject: str, code: str = "x") -> Json:
    coded = {"coding": [{"code": code}]}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": coded, "subject": ref(subject)}


async def holdings(parts: Parts, *wanted: WantedResource | WantedRosters | WantedReferrers) -> Held:
    held = Held(datetime.now(UTC), wanted=set(wanted))
    await Holdings(parts.store, "default", R4).fetch(held)
    return held


async def test_who_was_confirmed_as_a_member_before_a_change_was_accepted_is_one_when_it_is_matched(
    parts: Parts,
) -> None:
    """Two matchers read while Groups and Immunizations are written in turns, to all partitions at once."""
    key = await active(parts, "s", *("Immunization?patient._in=Group/a,Group/b,Group/c,Group/d",))

    async def practice(name: str) -> None:
        members: list[str] = []
        for turn in range(30):
            members.append(f"Patient/{name}{turn}")
            await publish(parts, group(name, *members))
            await publish(parts, immunization(f"{name}{turn}", members[-1]))

    async with running(fanout(parts)), running(fanout(parts)):
        await asyncio.gather(*map(practice, "abcd"))
        await matched(parts)
    assert sorted(await events(parts, key)) == sorted(f"{name}{turn}" for name in "abcd" for turn in range(30))


async def test_who_has_left_is_no_member_any_more_nor_who_is_one_at_another_time(parts: Parts) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    key = await active(parts, "s", "Immunization?patient._in=Group/g")
    async with running(fanout(parts)):
        for number, roster in enumerate(
            (
                group("g", "Patient/p"),
                group("g", "Patient/p", inactive=True),
                group("g", "Patient/p", period={"end": yesterday}),
                group("g", "Patient/p", period={"start": tomorrow}),
                group("g", "Patient/q"),
                group("g", f"{BASE}/fhir/r4/Patient/p", period={"start": yesterday, "end": tomorrow}),
            )
        ):
            await publish(parts, roster)
            await publish(parts, immunization(f"i{number}", "Patient/p"))
            await matched(parts)
        await parts.store.put(Write(ResourceId("default", R4, "Group", "g"), "delete", now()))
        await publish(parts, immunization("late", "Patient/p"))
        await matched(parts)
    assert await events(parts, key) == ["i0", "i5"]


async def test_a_merged_patient_is_a_member_of_whatever_the_other_is_one(parts: Parts) -> None:
    """Whichever of the two says so, through several merges, and until it is undone."""
    key = await active(parts, "s", "Immunization?patient._in=Group/g")
    await publish(parts, group("g", "Patient/old"))
    await publish(parts, patient("old", replaced_by="new"))
    await publish(parts, patient("newest", replaces="new"))
    async with running(fanout(parts)):
        for name in ("old", "new", "newest", "other"):
            await publish(parts, immunization(f"for-{name}", f"Patient/{name}"))
            await matched(parts)
        await publish(parts, patient("old"))
        await publish(parts, immunization("undone", "Patient/new"))
        await matched(parts)
    assert await events(parts, key) == ["for-old", "for-new", "for-newest"]


async def test_two_patients_that_name_each_other_stay_one_while_either_does(parts: Parts) -> None:
    await publish(parts, group("g", "Patient/a"))
    await publish(parts, patient("a", replaced_by="b"))
    await publish(parts, patient("b", replaces="a"))
    await publish(parts, patient("a"))
    held = await holdings(parts, WantedRosters("Patient/b"))
    assert list(held.rosters_of("Patient/b")) == ["Group/g"]


async def test_lists_and_care_teams_are_rosters_too(parts: Parts) -> None:
    team = {"resourceType": "CareTeam", "id": "c", "participant": [{"member": ref("Practitioner/d")}]}
    listed = {
        "resourceType": "List",
        "id": "l",
        "status": "current",
        "mode": "working",
        "entry": [{"item": ref("Practitioner/d")}],
    }
    await publish(parts, team)
    await publish(parts, listed)
    held = await holdings(parts, WantedRosters("Practitioner/d"))
    assert set(held.rosters_of("Practitioner/d")) == {"CareTeam/c", "List/l"}


async def test_more_merges_than_there_can_be_are_a_failure_and_no_answer(parts: Parts) -> None:
    for number in range(MOST_MERGED + 2):
        await publish(parts, patient(f"p{number}", replaces=f"p{number + 1}"))
    held = await holdings(parts, WantedRosters("Patient/p0"), WantedRosters("Patient/x"))
    assert held.failed == {WantedRosters("Patient/p0"): "more than 100 Patients are one with Patient/p0"}
    assert held.rosters == {"Patient/x": ()}


async def test_a_chain_looks_at_the_version_in_force(chained: Parts) -> None:
    key = await active(chained, "s", "Immunization?patient.identifier=urn:nhi|P")
    twice = await active(chained, "t", "Immunization?patient.identifier=urn:nhi|P", "Immunization?patient._id=p")
    async with running(fanout(chained)):
        await publish(chained, immunization("before", "Patient/p"))
        await matched(chained)
        await publish(chained, patient("p"))
        await publish(chained, immunization("now", "Patient/p"))
        await publish(chained, immunization("else", "Patient/q"))
        await matched(chained)
        await chained.store.put(Write(ResourceId("default", R4, "Patient", "p"), "delete", now()))
        await publish(chained, immunization("after", "Patient/p"))
        await matched(chained)
    assert await events(chained, key) == ["now"]
    assert await events(chained, twice) == ["now"]


async def test_has_looks_at_whatever_refers_here_now(chained: Parts) -> None:
    key = await active(chained, "s", "Immunization?patient._has:Observation:patient:code=x")
    async with running(fanout(chained)):
        await publish(chained, patient("p"))
        for id_, subject in (("i0", "Patient/p"), ("i1", "Patient/q"), ("i2", f"{BASE}/fhir/r4/Patient/p")):
            await publish(chained, observation("o", subject))
            await publish(chained, immunization(id_, "Patient/p"))
            await matched(chained)
    assert await events(chained, key) == ["i0", "i2"]


async def test_more_referrers_than_are_looked_at_are_a_failure_that_is_counted(chained: Parts) -> None:
    key = await active(chained, "s", "Immunization?patient._has:Observation:patient:code=y")
    await publish(chained, patient("p"))
    indexed = (Indexed(Index.REFERENCES, "Patient/p"),)
    await asyncio.gather(
        *(
            chained.store.put(
                Write(ResourceId("default", R4, "Observation", f"o{n}"), "update", 1, b'{"n":"', b'"}', indexed=indexed)
            )
            for n in range(MOST_REFERRERS + 1)
        )
    )
    engine = fanout(chained)
    async with running(engine):
        await publish(chained, immunization("i", "Patient/p"))
        await matched(chained)
    assert await events(chained, key) == []
    assert engine.poison == {"evaluation": 1}


async def test_what_is_broken_is_no_match_and_does_not_stop_the_others(chained: Parts) -> None:
    key = await active(chained, "s", "Immunization?patient.identifier=urn:nhi|P,urn:nhi|Q")
    everybody = await active(chained, "t")
    await chained.store.put(Write(ResourceId("default", R4, "Patient", "p"), "update", 1, b'{"n":"', b""))
    await publish(chained, patient("q"))
    engine = fanout(chained)
    async with running(engine):
        await publish(chained, immunization("i", "Patient/p"))
        await publish(chained, immunization("j", "Patient/q"))
        await matched(chained)
    assert await events(chained, key) == ["j"]
    assert sorted(await events(chained, everybody)) == ["i", "j"]
    assert engine.poison == {"body": 1, "evaluation": 1}


@dataclass(frozen=True)
class Away(Indexes):
    """Indexes that can't be read before they are back."""

    back: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[list[LookUp]] = field(default_factory=list)

    async def look_up(self, look_ups: list[LookUp], *, most: int = -1) -> list[list[list[str]]]:
        self.asked.append(look_ups)
        if not self.back.is_set():
            raise Unavailable("away")
        return await super().look_up(look_ups, most=most)


async def test_while_nobody_can_say_who_is_a_member_the_batch_comes_again(parts: Parts) -> None:
    key = await active(parts, "s", "Immunization?patient._in=Group/g")
    everybody = await active(parts, "t")
    engine, away = fanout(parts), Away(parts.pipeline, 4, Vault())
    engine.store = Store(parts.pipeline, 4)
    engine.store.indexes = away
    await publish(parts, group("g", "Patient/p"))
    async with running(engine):
        await publish(parts, immunization("i", "Patient/p"))

        async def tried() -> bool:
            return len(away.asked) > 1

        await eventually(tried)
        assert await events(parts, everybody) == []
        away.back.set()
        await matched(parts)
    assert await events(parts, key) == await events(parts, everybody) == ["i"]


async def test_nothing_is_fetched_when_nobody_asks(parts: Parts) -> None:
    everybody = await active(parts, "s", "Immunization?patient=Patient/p")
    engine, away = fanout(parts), Away(parts.pipeline, 4, Vault())
    engine.store = Store(parts.pipeline, 4)
    engine.store.indexes = away
    async with running(engine):
        await publish(parts, immunization("i", "Patient/p"))
        await matched(parts)
    assert await events(parts, everybody) == ["i"]
    assert away.asked == []
