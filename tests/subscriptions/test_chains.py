"""Filters that look at other resources: chains, `_has` and rosters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from subscriptions.change import Resource
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import EvaluationError, Rejected
from subscriptions.filters import search
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion, Equal
from subscriptions.search.held import Held, Membership, Wanted, WantedReferrers, WantedResource, WantedRosters
from subscriptions.search.target import literals, local

R4 = FhirVersion.R4
BASE = "http://hub.example/fhir/r4"
OPEN = Context(R4, frozenset({BASE}), chained=True)
CLOSED = Context(R4, frozenset({BASE}))
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)

Json = dict[str, Any]


def criterion(type_: str, query: str, context: Context = OPEN) -> Criterion:
    name, _, value = query.partition("=")
    (found,) = search([(name, value)], type_, context)
    return found


def rejected(type_: str, query: str, context: Context = OPEN) -> tuple[IssueCode, str]:
    with pytest.raises(Rejected) as caught:
        criterion(type_, query, context)
    (issue,) = caught.value.issues
    return issue.code, issue.text


@dataclass
class Hub:
    """What a hub holds, and what it was asked for."""

    resources: Mapping[str, Json] = field(default_factory=dict)
    rosters: Mapping[str, tuple[Membership, ...]] = field(default_factory=dict)
    referrers: Mapping[tuple[str, str], tuple[Json, ...]] = field(default_factory=dict)
    asked: list[set[Wanted]] = field(default_factory=list)

    def matches(self, wanted: Criterion, resource: Resource) -> bool:
        held = Held(AT)
        while True:
            held.wanted.clear()
            found = wanted.matches(resource, held)
            if not held.wanted:
                return found
            self.asked.append(set(held.wanted))
            for want in held.wanted:
                match want:
                    case WantedResource(reference):
                        held.resources[reference] = self.resources.get(reference)
                    case WantedRosters(reference):
                        held.rosters[reference] = self.rosters.get(reference, ())
                    case WantedReferrers(type_, reference):
                        held.referrers[type_, reference] = self.referrers.get((type_, reference), ())


def ref(text: str) -> Json:
    return {"reference": text}


def immunization(patient: Json, **more: Any) -> Json:
    return {"resourceType": "Immunization", "id": "i", "status": "completed", "patient": patient, **more}


def observation(subject: Json, code: str = "1234-5", **more: Any) -> Json:
    coded = {"coding": [{"system": "http://loinc.org", "code": code}]}
    return {"resourceType": "Observation", "id": "o", "status": "final", "code": coded, "subject": subject, **more}


NHI = {"system": "urn:nhi", "value": "ZAA0001"}
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "1",
    "identifier": [NHI],
    "name": [{"family": "Tui"}],
    "birthDate": "1970-05-01",
    "gender": "female",
    "generalPractitioner": [ref("Practitioner/gp"), ref("Organization/clinic")],
}
GP: Json = {"resourceType": "Practitioner", "id": "gp", "name": [{"family": "Kea"}], "identifier": [{"value": "kea"}]}
CLINIC: Json = {
    "resourceType": "Organization",
    "id": "clinic",
    "name": "Moa Clinic",
    "partOf": ref("Organization/trust"),
}
TRUST: Json = {"resourceType": "Organization", "id": "trust", "name": "Trust", "partOf": ref("Organization/clinic")}
RESOURCES = {"Patient/1": PATIENT, "Practitioner/gp": GP, "Organization/clinic": CLINIC, "Organization/trust": TRUST}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("patient.identifier=urn:nhi|ZAA0001", True, id="token"),
        pytest.param("patient.identifier=urn:nhi|ZAA0002", False, id="another token"),
        pytest.param("patient:Patient.name=tui", True, id="string, with the type"),
        pytest.param("patient.name=kea", False, id="another string"),
        pytest.param("patient.birthdate=1970", True, id="date"),
        pytest.param("patient.gender=male,female", True, id="values joined by or"),
        pytest.param("patient._id=1", True, id="id"),
        pytest.param("patient.general-practitioner=Practitioner/gp", True, id="reference"),
        pytest.param("patient.general-practitioner:Practitioner.name=kea", True, id="two links"),
        pytest.param("patient.general-practitioner.identifier=kea", True, id="a union in a chain"),
        pytest.param("patient.general-practitioner:Organization.name=moa", True, id="the type decides"),
        pytest.param("patient.general-practitioner:Organization.partof:Organization.name=trust", True, id="three"),
        pytest.param("patient.general-practitioner:Organization.partof.partof.name=moa", True, id="four, in a circle"),
    ],
)
def test_a_chain_is_a_filter_on_what_a_reference_points_to(query: str, found: bool) -> None:
    assert Hub(RESOURCES).matches(criterion("Immunization", query), immunization(ref("Patient/1"))) is found


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        pytest.param(ref("Patient/1"), True, id="relative"),
        pytest.param(ref(f"{BASE}/Patient/1"), True, id="absolute, on this hub"),
        pytest.param(ref("Patient/1/_history/3"), True, id="with a version: the one in force is looked at"),
        pytest.param(ref("http://other.example/Patient/1"), False, id="elsewhere"),
        pytest.param(ref("Patient/2"), False, id="not held"),
        pytest.param(ref("Practitioner/1"), False, id="of another type"),
        pytest.param({"identifier": NHI}, True, id="logical"),
        pytest.param({"identifier": NHI, "type": "Patient"}, True, id="logical, with its type"),
        pytest.param({"identifier": NHI, "type": "Device"}, False, id="logical, of another type"),
        pytest.param({"identifier": {**NHI, "value": "x"}}, False, id="another logical"),
        pytest.param({"display": "Tui"}, False, id="only shown"),
    ],
)
def test_references_in_every_form(reference: Json, found: bool) -> None:
    wanted = criterion("Immunization", "patient.identifier=urn:nhi|ZAA0001")
    assert Hub(RESOURCES).matches(wanted, immunization(reference)) is found


def test_a_logical_identifier_is_no_other_parameter() -> None:
    wanted = criterion("Immunization", "patient.general-practitioner.identifier=ZAA0001")
    assert not Hub().matches(wanted, immunization({"identifier": NHI}))


def test_a_contained_resource_is_found_without_asking_and_so_is_what_it_refers_to() -> None:
    contained = [{**PATIENT, "id": "p", "generalPractitioner": [ref("#gp")]}, {**GP, "id": "gp"}]
    resource, hub = immunization(ref("#p"), contained=contained), Hub()
    assert hub.matches(criterion("Immunization", "patient.name=tui"), resource)
    assert hub.matches(criterion("Immunization", "patient.general-practitioner:Practitioner.name=kea"), resource)
    assert not hub.matches(criterion("Immunization", "patient.name=tui"), immunization(ref("#q"), contained=contained))
    assert not hub.matches(criterion("Immunization", "patient._has:Observation:patient:code=1"), resource)
    assert hub.asked == []


def test_what_refers_back_to_its_container_is_not_judged() -> None:
    resource = immunization(ref("#p"), contained=[{**PATIENT, "id": "p", "generalPractitioner": [ref("#")]}])
    with pytest.raises(EvaluationError, match="the resource that contains it"):
        Hub().matches(criterion("Immunization", "patient.general-practitioner:Practitioner.name=kea"), resource)


def test_types_are_joined_where_they_agree() -> None:
    wanted = criterion("Observation", "subject.identifier=urn:nhi|ZAA0001")
    device: Json = {"resourceType": "Device", "id": "d", "identifier": [NHI]}
    hub = Hub({"Device/d": device, **RESOURCES})
    assert hub.matches(wanted, observation(ref("Patient/1")))
    assert hub.matches(wanted, observation(ref("Device/d")))


def test_types_that_do_not_agree_are_rejected_with_the_forms_that_work() -> None:
    code, text = rejected("Observation", "subject.type=x")
    assert code is IssueCode.VALUE
    assert "`subject:Device.type`" in text
    assert "`subject:Group.type`" in text


@pytest.mark.parametrize(
    ("type_", "query", "found"),
    [
        ("Patient", "_has:Observation:patient:code=1234-5", True),
        ("Patient", "_has:Observation:subject:code=http://loinc.org|1234-5", True),
        ("Patient", "_has:Observation:patient:code=other", False),
        ("Patient", "_has:Observation:performer:code=1234-5", False),
        ("Patient", "_has:Observation:patient:_has:Provenance:target:agent=Practitioner/gp", True),
        ("Patient", "_has:Observation:patient:subject:Patient.name=tui", True),
    ],
)
def test_has_is_a_filter_on_what_refers_here(type_: str, query: str, found: bool) -> None:
    provenance: Json = {"resourceType": "Provenance", "id": "p", "target": [ref("Observation/o")]}
    provenance["agent"] = [{"who": ref("Practitioner/gp")}]
    hub = Hub(
        RESOURCES,
        referrers={
            ("Observation", "Patient/1"): (observation(ref(f"{BASE}/Patient/1")),),
            ("Provenance", "Observation/o"): (provenance,),
        },
    )
    assert hub.matches(criterion(type_, query), PATIENT) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("code-value-quantity=1234-5$gt38", True),
        ("code-value-quantity=1234-5$gt39", False),
        ("code-value-quantity=other$gt38", False),
        ("value-quantity=38.4", True),
        ("value-quantity=lt38.4", False),
        ("date=ge2026-11", True),
        ("date=gt2026-11", False),
    ],
)
def test_what_is_ordered_or_composed_can_stand_at_the_end(query: str, found: bool) -> None:
    measured = observation(ref("Patient/1")) | {"valueQuantity": {"value": 38.4}, "effectiveDateTime": "2026-11-21"}
    hub = Hub(RESOURCES, referrers={("Observation", "Patient/1"): (measured,)})
    assert hub.matches(criterion("Patient", f"_has:Observation:patient:{query}"), PATIENT) is found


def test_has_can_stand_behind_a_chain() -> None:
    hub = Hub(RESOURCES, referrers={("Observation", "Patient/1"): (observation(ref("Patient/1")),)})
    wanted = criterion("Immunization", "patient._has:Observation:patient:code=1234-5")
    assert hub.matches(wanted, immunization(ref("Patient/1")))
    assert hub.asked == [{WantedResource("Patient/1")}, {WantedReferrers("Observation", "Patient/1")}]


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("performer.colour=x", IssueCode.NOT_SUPPORTED, "`performer.colour`: none of Organization, Practitioner"),
        (
            "patient:Device.name=x",
            IssueCode.VALUE,
            "`patient` of Immunization can point to Patient, not to Device",
        ),
        ("patient:Patient.colour=x", IssueCode.NOT_SUPPORTED, "Patient has no search parameter `colour`"),
        ("status.name=x", IssueCode.NOT_SUPPORTED, "`status` of Immunization holds no references"),
        ("_has:Observation:code=x", IssueCode.VALUE, "is not of the form `_has:Type:reference:parameter`"),
        ("_has:Nothing:patient:code=x", IssueCode.VALUE, "`Nothing` is not a resource type"),
        ("_has:Observation:patient:code=x", IssueCode.VALUE, "`patient` of Observation can't point to Immunization"),
        ("patient.link.link.link.link.name=x", IssueCode.TOO_COSTLY, "follows 5 references"),
    ],
)
def test_what_leads_nowhere_is_rejected(query: str, code: IssueCode, reason: str) -> None:
    assert rejected("Immunization", query)[0] is code
    assert reason in rejected("Immunization", query)[1]


def test_a_canonical_is_no_reference_to_follow() -> None:
    assert "holds no references" in rejected("Measure", "depends-on.name=x")[1]


@pytest.mark.parametrize("query", ["patient.name=x", "_has:Provenance:target:agent=Device/1"])
def test_other_resources_are_looked_at_only_where_that_is_allowed(query: str) -> None:
    code, text = rejected("Immunization", query, CLOSED)
    assert code is IssueCode.NOT_SUPPORTED
    assert query.partition("=")[0] in text
    assert "HUB_ALLOW_CHAINED_FILTERS" in text


def test_equal_chains_are_equal_criteria() -> None:
    for query in ("patient.identifier=1", "patient._in=Group/1", "_has:Provenance:target:agent=Device/1"):
        assert criterion("Immunization", query) == criterion("Immunization", query)
        assert criterion("Immunization", query).source is criterion("Immunization", query).source


MEMBER = {"Patient/1": (Membership("Group/102"), Membership("List/9", end=datetime(2020, 1, 1, tzinfo=UTC)))}


@pytest.mark.parametrize(
    ("type_", "query", "found"),
    [
        pytest.param("Patient", "_in=Group/102", True, id="a member"),
        pytest.param("Patient", f"_in={BASE}/Group/102", True, id="by absolute URL"),
        pytest.param("Patient", "_in=102", True, id="by id"),
        pytest.param("Patient", "_in=Group/103", False, id="of another"),
        pytest.param("Patient", "_in=Group/103,Group/102", True, id="of one of several"),
        pytest.param("Patient", "_in=List/9", False, id="not any more"),
        pytest.param("Immunization", "patient._in=Group/102", True, id="what a reference points to"),
        pytest.param("Immunization", "patient:Patient._in=Group/102", True, id="with its type"),
        pytest.param("Immunization", "_in=Group/102", False, id="not the referring resource"),
    ],
)
def test_in_is_a_filter_on_rosters_and_always_allowed(type_: str, query: str, found: bool) -> None:
    resource, hub = PATIENT if type_ == "Patient" else immunization(ref("Patient/1")), Hub(rosters=MEMBER)
    assert hub.matches(criterion(type_, query, CLOSED), resource) is found


@pytest.mark.parametrize("roster", ["https://other.example/fhir/Group/102", "Group/102/_history/1", "urn:uuid:1"])
def test_a_roster_that_no_member_can_be_found_in_is_refused(roster: str) -> None:
    for query in (f"_in={roster}", f"patient._in={roster}"):
        with pytest.raises(Rejected, match="a roster is one that the hub holds"):
            criterion("Patient" if query[0] == "_" else "Immunization", query)


def test_a_roster_is_found_by_its_key() -> None:
    """So a thousand subscriptions, each with a roster of its own, cost a change no more than one."""
    wanted = criterion("Immunization", "patient._in=Group/102")
    assert wanted.test.access == Equal(frozenset({"Group/102"}))
    assert wanted.source is criterion("Immunization", "patient._in=Group/103").source


def test_only_members_of_the_types_that_are_meant_are_asked_for() -> None:
    hub = Hub()
    assert not hub.matches(criterion("Observation", "subject:Patient._in=Group/1"), observation(ref("Group/7")))
    assert hub.asked == []


def test_rosters_behind_other_resources_need_these() -> None:
    query = "patient.general-practitioner:Practitioner._in=CareTeam/1"
    assert "HUB_ALLOW_CHAINED_FILTERS" in rejected("Immunization", query, CLOSED)[1]
    hub = Hub(RESOURCES, {"Practitioner/gp": (Membership("CareTeam/1"),)})
    assert hub.matches(criterion("Immunization", query), immunization(ref("Patient/1")))


def test_a_roster_is_a_group_a_list_or_a_care_team() -> None:
    assert "not to Patient" in rejected("Patient", "_in=Patient/1")[1]


def test_what_can_not_be_had_is_no_match_even_where_its_absence_would_be() -> None:
    held = Held(AT, failed={WantedResource("Patient/1"): "it is broken"})
    with pytest.raises(EvaluationError, match="it is broken"):
        criterion("Immunization", "patient.name=x").matches(immunization(ref("Patient/1")), held)


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("Patient/1", "Patient/1"),
        ("Patient/1/_history/2", "Patient/1"),
        (f"{BASE}/Patient/1", "Patient/1"),
        ("http://other.example/Patient/1", None),
        ("#p", None),
        ("urn:uuid:0b0b5a3c-5a1c-4c1f-8a8a-0d1f1f1f1f1f", None),
        (None, None),
    ],
)
def test_local_references(literal: str | None, expected: str | None) -> None:
    assert local(literal, {BASE}) == expected


def test_every_literal_reference_is_found_however_deep() -> None:
    resource = immunization(ref("Patient/1"), contained=[observation(ref("Patient/2"))])
    resource["performer"] = [{"actor": ref("Practitioner/3")}]
    assert set(literals(resource)) == {"Patient/1", "Patient/2", "Practitioner/3"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("patient.family:exact=Māori", True),
        ("patient.family:exact=Maori", False),
        ("patient.family:contains=aor", True),
        ("patient.family:missing=false", True),
        ("patient.birthdate:missing=false", False),
        ("patient.identifier:of-type=urn:t|NI|Z", True),
        ("patient.identifier:of-type=urn:t|MR|Z", False),
        ("patient.organization:Organization=7", True),
        ("patient.organization:identifier=urn:o|7", True),
    ],
)
def test_modifiers_can_stand_at_the_end(query: str, found: bool) -> None:
    numbered = {"value": "Z", "type": {"coding": [{"system": "urn:t", "code": "NI"}]}}
    organization = {"reference": "Organization/7", "identifier": {"system": "urn:o", "value": "7"}}
    patient = {"resourceType": "Patient", "id": "1", "name": [{"family": "Māori"}], "identifier": [numbered]}
    hub = Hub({"Patient/1": patient | {"managingOrganization": organization}})
    assert hub.matches(criterion("Immunization", query), immunization(ref("Patient/1"))) is found


@pytest.mark.parametrize(
    ("type_", "query"),
    [
        ("Immunization", "patient.gender:not=male"),
        ("Immunization", "patient.gender:not-in=ValueSet/1"),
        ("Immunization", "patient.family:missing=true"),
        ("Patient", "_has:Observation:patient:code:not=1"),
        ("Patient", "_has:Observation:patient:code:missing=true"),
    ],
)
def test_what_other_resources_lack_is_rejected_since_they_may_just_not_be_here(type_: str, query: str) -> None:
    code, text = rejected(type_, query)
    assert code is IssueCode.NOT_SUPPORTED
    assert "the hub may not hold them all" in text


@pytest.mark.parametrize(("rosters", "found"), [((), True), ((Membership("Group/1"),), False)])
def test_what_is_in_no_roster_is_known(rosters: tuple[Membership, ...], found: bool) -> None:
    """Rosters are what the hub holds, and nothing else."""
    hub = Hub(rosters={"Patient/1": rosters})
    assert hub.matches(criterion("Immunization", "patient._in:missing=true"), immunization(ref("Patient/1"))) is found
