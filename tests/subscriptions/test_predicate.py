"""The FHIRPath of triggers, where the engine has to be told what it sees."""

from datetime import UTC, datetime
from typing import Any

import pytest

from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction
from subscriptions.predicate import Predicate

#: R5: `resourceType` is an element of a provision as any other.
CONSENT = {
    "resourceType": "Consent",
    "id": "a",
    "contained": [{"resourceType": "Patient", "id": "p"}],
    "provision": [{"resourceType": [{"code": "MedicationRequest"}], "period": {"start": "2020"}, "provision": [{}]}],
}
#: R4: the same of a code.
SCENARIO = {
    "resourceType": "ExampleScenario",
    "instance": [{"resourceId": "1", "resourceType": "Patient", "name": "a", "containedInstance": [{}]}],
}


def created(resource: dict[str, Any], version: FhirVersion) -> Change:
    type_ = resource["resourceType"]
    return Change(version, Interaction.CREATE, type_, "a", 1, datetime(2026, 11, 21, tzinfo=UTC), resource)


@pytest.mark.parametrize(
    ("version", "resource", "expression"),
    [
        (FhirVersion.R5, CONSENT, "provision.period is Period"),
        (FhirVersion.R5, CONSENT, "%current.provision is BackboneElement"),
        (FhirVersion.R5, CONSENT, "provision.children().exists()"),
        (FhirVersion.R5, CONSENT, "provision.resourceType.code = 'MedicationRequest'"),
        (FhirVersion.R5, CONSENT, "provision.resourceType is Coding"),
        (FhirVersion.R5, CONSENT, "contained.first() is Patient"),
        (FhirVersion.R5, CONSENT, "%current is Consent and Consent.provision.exists()"),
        (FhirVersion.R4, SCENARIO, "(instance is Patient).not()"),
        (FhirVersion.R4, SCENARIO, "instance.resourceType = 'Patient' and instance.name is string"),
    ],
)
def test_an_element_called_resource_type_makes_no_resource(
    version: FhirVersion, resource: dict[str, Any], expression: str
) -> None:
    assert Predicate(expression, version).holds(created(resource, version)) is True
