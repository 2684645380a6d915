"""What FHIR asks of what is contained, of references and of Bundles, and fhir.resources does not."""

from typing import Any

import orjson
import pytest

from hub.ingest import draft
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected

Json = dict[str, Any]

PATIENT = {"resourceType": "Patient", "id": "p"}
STATUS: Json = {
    "resourceType": "SubscriptionStatus",
    "status": "active",
    "type": "event-notification",
    "notificationEvent": [{"eventNumber": "1"}],
    "subscription": {"reference": "Subscription/1"},
}


def reasons(resource: Json, version: FhirVersion) -> list[tuple[str, str]]:
    """Code and expression of each reason for which a resource can't be stored; none if it can."""
    try:
        draft(orjson.dumps(resource), version, max_nesting=64)
    except Rejected as rejected:
        return [(issue.code.value, issue.expression) for issue in rejected.issues]
    return []


def observation(*contained: Json, reference: str = "Patient/1") -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": reference},
        **({"contained": list(contained)} if contained else {}),
    }


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize(
    "reference",
    [
        *("Patient/1", "Patient/1/_history/2", "Patient/1#a", "#p", "#", "Patient?identifier=a|b"),
        *("https://example.org/fhir/Patient/1", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "urn:oid:1.2"),
    ],
)
def test_a_reference(version: FhirVersion, reference: str) -> None:
    assert reasons(observation(PATIENT, reference=reference), version) == []


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize(
    "reference",
    [
        "1",
        "/Patient/1",
        "Patient/",
        "Patient/a_b",
        "Patient/1/2",
        "Patient/1/_history/",
        "#q",
        "Robot/1",
        "a b",
        "?a=b",
    ],
)
def test_no_reference(version: FhirVersion, reference: str) -> None:
    """Whoever is told of it could not follow it."""
    assert reasons(observation(PATIENT, reference=reference), version) == [("value", "Observation.subject.reference")]


def test_the_types_are_those_of_the_version() -> None:
    found = [version for version in FhirVersion if not reasons(observation(reference="Transport/1"), version)]
    assert found == [FhirVersion.R5]


def test_each_entry_contains_for_itself() -> None:
    """What one contains is not there for another one, nor for what is around."""
    entries = [
        {"fullUrl": f"https://example.org/Observation/{n}", "resource": each}
        for n, each in enumerate((observation(PATIENT, reference="#p"), observation(reference="#p")))
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    assert reasons(bundle, FhirVersion.R4) == [("value", "Bundle.entry[1].resource.subject.reference")]


@pytest.mark.parametrize(
    ("contained", "code", "expression"),
    [
        ([{"resourceType": "Patient", "active": True}], "required", "contained[0].id"),
        ([PATIENT | {"meta": {"versionId": "1"}}], "invariant", "contained[0].meta.versionId"),
        (
            [PATIENT | {"contained": [{"resourceType": "Person", "id": "b", "gender": "male"}]}],
            "invariant",
            "contained[0].contained",
        ),
    ],
    ids=["no-id", "a-version", "contains"],
)
def test_contained(contained: list[Json], code: str, expression: str) -> None:
    found = reasons(observation(*contained), FhirVersion.R5)
    assert (code, f"Observation.{expression}") in found


def test_ids_of_contained_resources_are_unique() -> None:
    twice: list[Json] = [PATIENT, {"resourceType": "Group", "id": "g", "type": "person", "actual": True}, PATIENT]
    assert reasons(observation(*twice), FhirVersion.R4) == [
        ("duplicate", "Observation.contained[0].id"),
        ("duplicate", "Observation.contained[2].id"),
    ]


def bundle(type_: str, *entries: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": type_, **more, **({"entry": list(entries)} if entries else {})}


URL = {"fullUrl": "https://example.org/Patient/p"}
HELD = {**URL, "resource": PATIENT}
GET = {"request": {"method": "GET", "url": "Patient/p"}}
PUT = {"request": {"method": "PUT", "url": "Patient/p"}}
DONE = {"response": {"status": "200"}}
SELF = {"link": [{"relation": "self", "url": "https://example.org/Patient"}]}
EVERY = (FhirVersion.R4, FhirVersion.R4B, FhirVersion.R5)
R4, R5 = EVERY[:2], EVERY[2:]


@pytest.mark.parametrize(
    ("versions", "found", "expression"),
    [
        pytest.param(EVERY, bundle("collection", HELD, total=1), "total", id="bdl-1"),
        pytest.param(EVERY, bundle("collection", HELD | {"search": {"mode": "match"}}), "entry[0]", id="bdl-2"),
        pytest.param(EVERY, bundle("batch", HELD), "entry[0]", id="bdl-3-and-3c"),
        pytest.param(EVERY, bundle("collection", HELD | PUT), "entry[0]", id="bdl-3-and-3a"),
        pytest.param(EVERY, bundle("history", HELD | PUT), "entry[0]", id="bdl-4-and-3b"),
        pytest.param(EVERY, bundle("transaction-response", HELD), "entry[0]", id="bdl-4-and-3d"),
        pytest.param(R5, bundle("history", URL | PUT | DONE), "entry[0]", id="bdl-3b-no-resource"),
        pytest.param(R5, bundle("batch", HELD | GET), "entry[0]", id="bdl-3c-resource"),
        pytest.param(R4, bundle("searchset", HELD | DONE), "entry[0]", id="bdl-4"),
        pytest.param(R4, bundle("collection", URL), "entry[0]", id="bdl-5"),
        pytest.param(EVERY, bundle("collection", HELD, HELD), "entry[0].fullUrl", id="bdl-7"),
        pytest.param(
            EVERY, bundle("collection", HELD | {"fullUrl": "https://a.b/Patient/p/_history/1"}), "entry[0]", id="bdl-8"
        ),
        pytest.param(EVERY, bundle("document", HELD), "identifier", id="bdl-9"),
        pytest.param(EVERY, bundle("document", HELD), "timestamp", id="bdl-10"),
        pytest.param(EVERY, bundle("document", HELD), "entry[0].resource", id="bdl-11"),
        pytest.param(EVERY, bundle("message", HELD), "entry[0].resource", id="bdl-12"),
        pytest.param(R5, bundle("subscription-notification", HELD), "entry[0].resource", id="bdl-13"),
        pytest.param(R5, bundle("collection", {"resource": PATIENT}), "entry[0]", id="bdl-15"),
        pytest.param(R5, bundle("searchset", HELD), "link", id="bdl-18"),
    ],
)
def test_bundles(versions: tuple[FhirVersion, ...], found: Json, expression: str) -> None:
    for version in versions:
        assert ("invariant", f"Bundle.{expression}") in reasons(found, version)


@pytest.mark.parametrize(
    "found",
    [
        bundle("collection", HELD),
        bundle("batch", GET),
        bundle("transaction", HELD | PUT),
        bundle("history", HELD | PUT | DONE, total=1),
        bundle("transaction-response", DONE),
        bundle("searchset", HELD | {"search": {"mode": "match"}}, total=1, **SELF),
        bundle("searchset", total=0, **SELF),
    ],
    ids=["collection", "batch", "transaction", "history", "response", "searchset", "empty"],
)
@pytest.mark.parametrize("version", FhirVersion)
def test_sound_bundles(version: FhirVersion, found: Json) -> None:
    assert reasons(found, version) == []


@pytest.mark.parametrize(
    ("change", "code", "element"),
    [
        ({}, "", ""),
        ({"type": "nearly"}, "value", "type"),
        ({"status": "asleep"}, "value", "status"),
        ({"notificationEvent": None}, "invariant", "notificationEvent"),
        ({"type": "query-status", "status": None}, "invariant", "status"),
    ],
    ids=["sound", "type", "status", "sst-1", "sst-2"],
)
def test_the_status_in_a_notification(change: Json, code: str, element: str) -> None:
    status = {name: value for name, value in (STATUS | change).items() if value is not None}
    found = bundle("subscription-notification", {"fullUrl": "urn:uuid:a", "resource": status})
    expected = [(code, f"Bundle.entry[0].resource.{element}")] if code else []
    assert reasons(found, FhirVersion.R5) == expected
