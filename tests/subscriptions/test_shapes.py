"""What comes along with a change."""

from datetime import UTC, datetime
from typing import Any

import pytest

from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction
from subscriptions.errors import EvaluationError
from subscriptions.search.asking import Context
from subscriptions.search.held import Held, WantedResource
from subscriptions.shapes import MOST_INCLUDED, Included, Shapes
from subscriptions.topic import NotificationShape, ResourceTrigger, Topic

R4 = FhirVersion.R4
CONTEXT = Context(R4, frozenset({"http://hub.example/fhir/r4"}))
AT = datetime(2026, 11, 21, tzinfo=UTC)

Json = dict[str, Any]


def topic(include: tuple[str, ...] = (), rev_include: tuple[str, ...] = (), of: str = "Encounter") -> Topic:
    shape = NotificationShape(of, include, rev_include)
    return Topic("http://t", "1", "t", "t", (ResourceTrigger("Encounter"),), shapes=(shape,))


def resource(type_: str, id_: str, version: int = 1, **more: Any) -> Json:
    return {"resourceType": type_, "id": id_, "meta": {"versionId": str(version)}, **more}


def ref(text: str) -> Json:
    return {"reference": text}


ENCOUNTER = resource(
    "Encounter",
    "e",
    subject=ref("Patient/p"),
    serviceProvider=ref("http://hub.example/fhir/r4/Organization/o"),
    participant=[{"individual": ref("Practitioner/d")}, {"individual": ref("PractitionerRole/r")}],
)
HELD = {
    "Patient/p": resource("Patient", "p", 3),
    "Organization/o": resource("Organization", "o", 2),
    "Practitioner/d": resource("Practitioner", "d", 1),
    "PractitionerRole/r": None,
}


def change(interaction: Interaction = Interaction.CREATE) -> Change:
    deleted = interaction is Interaction.DELETE
    return Change(
        R4, interaction, "Encounter", "e", 1, AT, None if deleted else ENCOUNTER, ENCOUNTER if deleted else None
    )


def included(found: Topic, *referrers: Json, interaction: Interaction = Interaction.CREATE) -> list[str]:
    held = Held(AT, dict(HELD), referrers={("Observation", "Encounter/e"): referrers})
    along = Shapes(found, CONTEXT).included(change(interaction), held)
    assert held.wanted == set()
    return [str(each) for each in along]


@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        pytest.param(("Encounter:patient",), ["Patient/p/3"], id="the version in force"),
        pytest.param(("Encounter:service-provider",), ["Organization/o/2"], id="by absolute URL"),
        pytest.param(("Encounter:participant",), ["Practitioner/d/1"], id="what is not held does not come"),
        pytest.param(("Encounter:subject:Patient",), ["Patient/p/3"], id="of a type"),
        pytest.param(("Encounter:subject:Group",), [], id="of another type"),
        pytest.param(("Encounter:patient", "Encounter:subject"), ["Patient/p/3"], id="once"),
        pytest.param(("Encounter:patient&iterate=Patient.link",), ["Patient/p/3"], id="iterate is ignored"),
        pytest.param(("_include=Encounter:patient",), ["Patient/p/3"], id="as a search parameter"),
        pytest.param(("_include:iterate=Patient:link",), [], id="iterate alone is ignored"),
    ],
)
def test_include(directives: tuple[str, ...], expected: list[str]) -> None:
    assert included(topic(directives)) == expected
    assert included(topic(directives, of="Resource")) == expected


def test_a_delete_comes_with_what_the_version_before_it_referred_to() -> None:
    assert included(topic(("Encounter:patient",)), interaction=Interaction.DELETE) == ["Patient/p/3"]


def test_what_refers_to_the_focus_comes_along_if_it_does_so_by_that_element() -> None:
    by_encounter = resource("Observation", "1", 7, encounter=ref("Encounter/e"))
    by_focus = resource("Observation", "2", 1, focus=[ref("Encounter/e")])
    assert included(topic((), ("Observation:encounter",)), by_encounter, by_focus) == ["Observation/1/7"]
    assert included(topic((), ("Observation:focus",)), by_encounter, by_focus) == ["Observation/2/1"]


def test_other_types_have_nothing_that_comes_along() -> None:
    assert not Shapes(topic(("Encounter:patient",)), CONTEXT).concern("Patient")
    assert not Shapes(topic(), CONTEXT).concern("Encounter")


def test_what_was_not_fetched_is_wanted() -> None:
    held = Held(AT)
    assert Shapes(topic(("Encounter:patient",)), CONTEXT).included(change(), held) == ()
    assert held.wanted == {WantedResource("Patient/p")}


def test_too_many_are_a_failure() -> None:
    many = [resource("Observation", f"o{number}", encounter=ref("Encounter/e")) for number in range(MOST_INCLUDED + 1)]
    assert len(included(topic((), ("Observation:encounter",)), *many[1:])) == MOST_INCLUDED
    with pytest.raises(EvaluationError, match="`Observation:encounter` includes more than 100 resources"):
        included(topic((), ("Observation:encounter",)), *many)


@pytest.mark.parametrize(
    ("include", "rev_include", "reason"),
    [
        ("patient", "", "`patient` is not of the form `Type:reference`"),
        ("Encounter:*", "", "is not of the form"),
        ("Encounter:status", "", "Encounter has no reference parameter `status`"),
        ("Encounter:nothing", "", "Encounter has no reference parameter `nothing`"),
        ("Patient:link", "", "`Patient:link` has nothing to do with Encounter"),
        ("", "Observation:performer", "`Observation:performer` has nothing to do with Encounter"),
    ],
)
def test_what_can_not_be_followed_is_named_and_left_out(include: str, rev_include: str, reason: str) -> None:
    shapes = Shapes(topic((include,) if include else (), (rev_include,) if rev_include else ()), CONTEXT)
    (issue,) = shapes.issues
    assert (reason in issue.text, issue.expression) == (True, "SubscriptionTopic.notificationShape[0]")
    assert not shapes.concern("Encounter")


def test_a_version_is_read_as_it_was_written() -> None:
    assert Included.parse(str(Included("Patient", "p-1.x", 12))) == Included("Patient", "p-1.x", 12)
