"""What an operator's rules, and Consents, keep from whom."""

from datetime import UTC, datetime
from typing import Any

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.consent import consent
from subscriptions.errors import Rejected
from subscriptions.labels import labels
from subscriptions.search.asking import Context
from subscriptions.search.held import Held, WantedResource
from subscriptions.search.vocabulary import Vocabulary
from subscriptions.suppression import Rule, Suppression
from subscriptions.told import Recipient, Told
from subscriptions.withheld import Reason, Withheld

R4 = FhirVersion.R4
BASES = frozenset({"http://hub.example/fhir/r4"})
CONTEXT = Context(R4, BASES, chained=True)
CONTEXTS = [Context(version, BASES) for version in FhirVersion]
AT = datetime(2026, 6, 1, tzinfo=UTC)
LAB = Recipient("lab", frozenset({"lab"}))


def immunization(patient: str = "1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Immunization", "id": "i", "patient": {"reference": f"Patient/{patient}"}, **more}


def told(*versions: dict[str, Any], type_: str = "Immunization") -> Told:
    return Told(type_, "i", versions, tuple(map(labels, versions)), BASES, AT)


def withheld(rules: list[Rule], about: Told, who: Recipient = LAB, held: Held | None = None) -> Withheld | None:
    suppression = Suppression(R4)
    suppression.rule(rules)
    assert suppression.concerns({about.type}) is any(rule.type == about.type for rule in rules)
    return suppression.withheld(about, who, CONTEXT, held or Held(AT))


BY_PATIENT = Rule("a", "Immunization?patient=Patient/1")


@pytest.mark.parametrize(
    ("rule", "about", "reason"),
    [
        pytest.param(BY_PATIENT, told(immunization()), Reason.RULE, id="met"),
        pytest.param(BY_PATIENT, told(immunization("2")), None, id="not-met"),
        pytest.param(BY_PATIENT, told(immunization("2"), immunization()), Reason.RULE, id="by-the-version-before"),
        pytest.param(BY_PATIENT, told(immunization(), immunization("2")), Reason.RULE, id="by-the-version-after"),
        pytest.param(BY_PATIENT, told(), Reason.RULE, id="of-which-no-version-is-kept"),
        pytest.param(Rule("a", "Patient?active=true"), told(immunization()), None, id="another-type"),
        pytest.param(Rule("a", "Immunization"), told(immunization()), Reason.RULE, id="all-of-a-type"),
        pytest.param(Rule("a", "Immunization", "lab"), told(immunization()), Reason.RULE, id="for-this-client"),
        pytest.param(Rule("a", "Immunization", "ward"), told(immunization()), None, id="for-another-client"),
        pytest.param(
            Rule("a", "Immunization?patient=Patient/1&status=completed"), told(immunization()), None, id="not-all-met"
        ),
        pytest.param(
            Rule("a", "Immunization?date=2026"),
            told(immunization(occurrenceDateTime=3)),
            Reason.UNREADABLE,
            id="that-cannot-be-evaluated",
        ),
        pytest.param(
            Rule("a", "Immunization?vaccine-code:in=http://nowhere.example/vs"),
            told(immunization()),
            Reason.UNREADABLE,
            id="of-which-the-value-set-is-gone",
        ),
    ],
)
def test_rules(rule: Rule, about: Told, reason: Reason | None) -> None:
    found = withheld([rule], about)
    assert (found.reason if found else None) is reason


def test_other_resources_are_asked_for() -> None:
    """What a rule has to know of others is wanted, and counts when it was fetched."""
    rule, held = Rule("a", "Immunization?patient.active=true"), Held(AT)
    assert withheld([rule], told(immunization()), held=held) is None
    assert held.wanted == {WantedResource("Patient/1")}
    held.resources["Patient/1"] = {"resourceType": "Patient", "id": "1", "active": True}
    assert withheld([rule], told(immunization()), held=held) == Withheld(Reason.RULE, "a")


def test_another_vocabulary() -> None:
    """A rule is understood by the ValueSets that there are when it is asked."""
    url = "http://hub.example/vs"
    suppression = Suppression(R4)
    suppression.rule([Rule("a", f"Immunization?vaccine-code:in={url}")])
    about = told(immunization(vaccineCode={"coding": [{"system": "urn:x", "code": "a"}]}))
    found = suppression.withheld(about, LAB, CONTEXT, Held(AT))
    assert found
    assert found.reason is Reason.UNREADABLE
    include = [{"system": "urn:x", "concept": [{"code": "b"}]}]
    value_set = {"resourceType": "ValueSet", "id": "v", "url": url, "compose": {"include": include}}
    another = Context(R4, BASES, vocabulary=Vocabulary([value_set]))
    assert suppression.withheld(about, LAB, another, Held(AT)) is None


@pytest.mark.parametrize(
    ("criteria", "text"),
    [
        ("Immunisation?patient=1", "`Immunisation` is not a resource type"),
        ("Immunization?nonsense=1", "nonsense"),
        ("Immunization?patient", "is not a filter"),
        ("Immunization?Patient.active=true", "is not a filter"),
    ],
)
def test_no_rule(criteria: str, text: str) -> None:
    with pytest.raises(Rejected, match=text):
        Rule.checked("a", criteria, "", CONTEXTS)


def test_type_of_some_versions() -> None:
    """Where a version has no such type there is nothing to suppress."""
    assert Rule.checked("a", "MedicationStatement?", "", CONTEXTS).criteria == "MedicationStatement"
    assert Rule.checked("a", "BodyStructure?patient=Patient/1", "x", CONTEXTS).client == "x"


def test_consents() -> None:
    """One of several is enough; it counts as it is now, for its patient now."""

    def by(patient: str, type_: str) -> Any:
        about = {"reference": f"Patient/{patient}"}
        provision = {"type": type_}
        return consent({"id": "c", "status": "active", "patient": about, "provision": provision}, R4, BASES)

    suppression = Suppression(R4)
    assert not suppression.concerns({"Immunization"})
    suppression.consent("c", by("1", "permit"))
    assert not suppression.concerns({"Immunization"})
    suppression.consent("c", by("1", "deny"))
    suppression.consent("d", by("1", "deny"))
    suppression.consent("d", None)
    about = told(immunization())
    denied = Withheld(Reason.CONSENT, "Consent/c")
    assert suppression.concerns({"Immunization"})
    assert suppression.withheld(about, LAB, CONTEXT, Held(AT)) == denied
    assert suppression.withheld(told(immunization("2")), LAB, CONTEXT, Held(AT)) is None
    suppression.consent("c", by("2", "deny"))
    assert suppression.withheld(about, LAB, CONTEXT, Held(AT)) is None
    assert suppression.withheld(told(immunization("2")), LAB, CONTEXT, Held(AT)) == denied
