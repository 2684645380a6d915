"""A change as it is seen from another base, where nothing that looks alike is the same."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from subscriptions.abroad import Apart, abroad, is_elsewhere
from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction
from subscriptions.filters import parse
from subscriptions.matching import Index
from subscriptions.search.asking import Context
from subscriptions.topic import built_in

R4 = FhirVersion.R4
THEIRS, OURS = "https://hub.example/t/a/fhir/r4", "https://hub.example/t/b/fhir/r4"
TOPIC = built_in("https://topics.example", "Immunization")


def change(**more: Any) -> Change:
    resource = {"resourceType": "Immunization", "id": "1", "status": "completed", "patient": {"reference": "Patient/1"}}
    at = datetime(2026, 11, 27, tzinfo=UTC)
    return Change(R4, Interaction.CREATE, "Immunization", "1", 1, at, resource | more)


def found(changed: Change, criteria: str) -> str:
    """What becomes of somebody on our base with these filters: `told`, `not`, or `unknown`."""
    index = Index[str](Context(R4, frozenset({OURS}), chained=True))
    index.put("s", TOPIC, parse(criteria))
    matches = index.match(abroad(changed, THEIRS), Apart(changed.at))
    assert all(is_elsewhere(failure.error) for failure in matches.failures)
    return "told" if matches.keys else "unknown" if matches.failures else "not"


@pytest.mark.parametrize(
    ("criteria", "outcome"),
    [
        pytest.param("status=completed", "told", id="what-is-in-the-resource-counts"),
        pytest.param("patient=Patient/1", "not", id="an-own-patient-of-the-same-id-is-another-one"),
        pytest.param("patient=1", "not", id="so-is-one-by-id-alone"),
        pytest.param("patient:Patient=1", "not", id="and-by-type-and-id"),
        pytest.param(f"patient={OURS}/Patient/1", "not", id="and-by-its-own-url"),
        pytest.param(f"patient={THEIRS}/Patient/1", "told", id="theirs-is-named-by-its-url"),
        pytest.param("_id=1", "not", id="an-own-resource-of-the-same-id-is-another-one"),
        pytest.param("patient._in=Group/1", "not", id="nobody-of-theirs-is-in-a-roster-of-ours"),
        pytest.param("_in=Group/1", "unknown", id="nor-can-it-be-asked-for-the-resource-itself"),
        pytest.param("_has:Provenance:target:agent=Device/1", "unknown", id="who-refers-to-it-is-not-looked-at"),
        pytest.param("patient.name=Ada", "not", id="what-it-refers-to-is-not-looked-at"),
    ],
)
def test_nothing_that_looks_alike_is_the_same(criteria: str, outcome: str) -> None:
    assert found(change(), f"Immunization?{criteria}") == outcome


def test_a_reference_to_our_base_is_to_one_of_ours_and_not_looked_behind() -> None:
    ours = change(patient={"reference": f"{OURS}/Patient/1"})
    assert found(ours, "Immunization?patient=Patient/1") == "told"
    assert found(ours, "Immunization?patient.name=Ada") == "unknown"


def test_references_are_made_absolute_wherever_they_are() -> None:
    """Those within and those elsewhere stay, and the change itself is as it was."""
    references = ["Patient/1", "Patient/1/_history/2", "#c", "urn:uuid:1", "https://x.example/Patient/1", "Patient?a=b"]
    before = change(contained=[{"extension": [{"valueReference": {"reference": each}} for each in references]}])
    (inner,) = abroad(before, THEIRS).resource["contained"]  # type: ignore[index] # it is there
    assert [each["valueReference"]["reference"] for each in inner["extension"]] == [
        f"{THEIRS}/Patient/1",
        f"{THEIRS}/Patient/1/_history/2",
        *references[2:],
    ]
    assert before == change(contained=before.resource["contained"])  # type: ignore[index] # it is there


def test_what_was_deleted_is_seen_by_the_version_before() -> None:
    gone = replace(change(), interaction=Interaction.DELETE, resource=None, previous=change().resource)
    assert found(gone, f"Immunization?patient={THEIRS}/Patient/1") == "told"
    assert found(gone, "Immunization?patient=Patient/1") == "not"
