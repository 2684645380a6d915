"""Acts as AuditEvents: sound in each FHIR version, found by what they are about, without a word too much."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from fhir.resources.auditevent import AuditEvent as ModelR5
from fhir.resources.R4B.auditevent import AuditEvent as ModelR4B

from subscriptions.audit import HUB, OPERATOR, Act, Entry, Kind, Level, Outcome
from subscriptions.codes import FhirVersion
from subscriptions.filters import search
from subscriptions.search.asking import Context
from subscriptions.search.held import Held
from subscriptions.versions.audit_event import KINDS, MEANINGS, audit_event

BASES = {version: f"https://hub.example/fhir/{version}" for version in FhirVersion}
AT = 1_795_000_000_123

CREATED = Act(Kind.SUBSCRIPTION_CREATED, "lab", "Subscription/1", FhirVersion.R4)
NOTIFIED = Act(
    Kind.NOTIFIED, "lab", "Subscription/1", FhirVersion.R4, Outcome.REFUSED, "HTTP 503",
    ("Immunization/7/_history/2", "Patient/9/_history/1"),
)  # fmt: skip
CLIENT = Act(Kind.CLIENT_CHANGED, OPERATOR, "client/lab", text="scopes system/*.rs")


def of(kind: Kind) -> Act:
    """An act of a kind, with all that it may have."""
    return Act(kind, "lab", "Subscription/1", FhirVersion.R4, Outcome.FAILED, "why", ("Patient/9", "client/x"))


def written(act: Act, version: FhirVersion = FhirVersion.R4) -> Any:
    return json.loads(json.dumps(audit_event(Entry(f"{AT}-0", AT, act), version, BASES)))


@pytest.mark.parametrize(("kind", "version"), list(product(Kind, FhirVersion)))
def test_each_is_sound(kind: Kind, version: FhirVersion) -> None:
    """Every kind of act is an AuditEvent that its FHIR version's model takes, with and without details."""
    for act in (of(kind), Act(kind, HUB), Act(kind, "")):
        event = written(act, version)
        (ModelR5 if version is FhirVersion.R5 else ModelR4B).model_validate(event)
        assert datetime.fromisoformat(event["recorded"]) == datetime.fromtimestamp(AT / 1000, UTC)


def test_meanings() -> None:
    assert MEANINGS.keys() == set(Kind)


def test_levels() -> None:
    """Each level has what the ones before it have."""
    by_level = [{kind for kind in Kind if level.has(kind)} for level in Level]
    searches = {Kind.READ, Kind.SEARCHED}
    assert by_level == [set(), set(Kind) - searches - {Kind.NOTIFIED}, set(Kind) - searches, set(Kind)]


def test_who_did_it_and_who_is_told() -> None:
    """The hub tells by itself; who is told did not ask for it just then."""
    for version in FhirVersion:
        told = [(each["who"]["display"], each["requestor"]) for each in written(NOTIFIED, version)["agent"]]
        assert told == [("hub", True), ("lab", False)]
        assert [each["who"]["display"] for each in written(CREATED, version)["agent"]] == ["lab"]


def test_roles_of_entities() -> None:
    """Patients, other resources, and what is no resource."""
    found = [(each["role"]["code"], each.get("name")) for each in written(of(Kind.RESENT))["entity"]]
    assert found == [("4", None), ("1", None), ("13", "client/x")]
    in_r5 = written(of(Kind.RESENT), FhirVersion.R5)["entity"]
    assert [each["role"]["coding"][0]["code"] for each in in_r5] == ["4", "1", "13"]


def test_r5_names_the_patient_of_an_act_if_it_is_one() -> None:
    assert written(NOTIFIED, FhirVersion.R5)["patient"]["reference"].endswith("/Patient/9/_history/1")
    two = replace(NOTIFIED, also=("Patient/8", "Patient/9"))
    assert "patient" not in written(two, FhirVersion.R5)


@pytest.mark.parametrize(
    ("outcome", "r4", "r5"),
    [(Outcome.SUCCESS, "0", "success"), (Outcome.REFUSED, "4", "warning"), (Outcome.FAILED, "8", "error")],
)
def test_outcomes(outcome: Outcome, r4: str, r5: str) -> None:
    act = replace(CREATED, outcome=outcome)
    assert written(act)["outcome"] == r4
    assert written(act, FhirVersion.R5)["outcome"]["code"]["code"] == r5


FOUND = [
    pytest.param(CREATED, "agent-name", "lab", True, id="by who did it"),
    pytest.param(CREATED, "altid", "lab", True, id="by who did it exactly"),
    pytest.param(CREATED, "agent:identifier", "lab", True, id="by who did it in every version"),
    pytest.param(CREATED, "agent:identifier", "ward", False, id="by somebody else"),
    pytest.param(CREATED, "entity", "Subscription/1", True, id="by what was acted upon"),
    pytest.param(CREATED, "entity", "https://hub.example/fhir/r4/Subscription/1", True, id="by its URL"),
    pytest.param(CREATED, "entity", "Subscription/2", False, id="by something else"),
    pytest.param(CREATED, "action", "C", True, id="by action"),
    pytest.param(CREATED, "outcome", "0", True, id="by outcome"),
    pytest.param(CREATED, "type", "http://terminology.hl7.org/CodeSystem/audit-event-type|rest", True, id="by type"),
    pytest.param(CREATED, "subtype", "http://hl7.org/fhir/restful-interaction|create", True, id="by interaction"),
    pytest.param(CREATED, "subtype", f"{KINDS}|subscription-created", True, id="by kind"),
    pytest.param(CREATED, "date", "2026-11-18", True, id="by day"),
    pytest.param(CREATED, "date", "lt2026-11-18", False, id="by earlier days"),
    pytest.param(NOTIFIED, "entity", "Immunization/7", True, id="by what was told"),
    pytest.param(NOTIFIED, "patient", "Patient/9", True, id="by patient"),
    pytest.param(NOTIFIED, "agent:identifier", "lab", True, id="by who was told"),
    pytest.param(NOTIFIED, "agent:identifier", "hub", True, id="by the hub, which told"),
    pytest.param(CLIENT, "entity-name", "client/lab", True, id="by the name of what is no resource"),
    pytest.param(CLIENT, "entity:identifier", "client/lab", True, id="by the same as an identifier"),
]


@pytest.mark.parametrize(("act", "parameter", "value", "found"), FOUND)
def test_found(act: Act, parameter: str, value: str, *, found: bool) -> None:
    """What FHIR's search parameters of AuditEvent find."""
    assert matches(act, parameter, value, FhirVersion.R4) is found


IN_R5 = [
    pytest.param(CREATED, "category", "rest", True, id="by category"),
    pytest.param(CREATED, "code", "subscription-created", True, id="by kind"),
    pytest.param(CREATED, "outcome", "http://hl7.org/fhir/issue-severity|success", True, id="by outcome"),
    pytest.param(CREATED, "entity", "https://hub.example/fhir/r4/Subscription/1", True, id="by URL at another base"),
    pytest.param(CREATED, "entity", "Subscription/1", False, id="not by what this base calls so"),
    pytest.param(NOTIFIED, "patient", "https://hub.example/fhir/r4/Patient/9", True, id="by patient"),
]


@pytest.mark.parametrize(("act", "parameter", "value", "found"), IN_R5)
def test_found_in_r5(act: Act, parameter: str, value: str, *, found: bool) -> None:
    """What those of R5 find, there of an act in R4."""
    assert matches(act, parameter, value, FhirVersion.R5) is found


def matches(act: Act, parameter: str, value: str, version: FhirVersion) -> bool:
    criteria = search([(parameter, value)], "AuditEvent", Context(version, frozenset({BASES[version]})))
    return all(
        criterion.matches(written(act, version), Held(datetime.fromtimestamp(AT / 1000, UTC))) for criterion in criteria
    )
