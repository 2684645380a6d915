"""Which changes fire a topic, and what is said about it."""

from datetime import UTC, datetime

import pytest

from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction
from subscriptions.topic import ResourceTrigger, Topic, built_in
from subscriptions.triggers import fires, firing


def a_change(interaction: Interaction, type_: str) -> Change:
    resource = {"resourceType": type_, "id": "1"}
    return Change(FhirVersion.R4, interaction, type_, "1", 1, datetime(2026, 11, 21, tzinfo=UTC), resource)


ADMISSIONS = Topic(
    url="https://topics.example/admissions",
    version="1.0.0",
    title="Admissions",
    description="",
    triggers=(
        ResourceTrigger("Encounter", frozenset({Interaction.CREATE, Interaction.UPDATE})),
        ResourceTrigger("Encounter", frozenset({Interaction.DELETE})),
        ResourceTrigger("Location", frozenset({Interaction.CREATE})),
    ),
)


@pytest.mark.parametrize("interaction", Interaction)
def test_a_built_in_topic_fires_on_everything_that_happens_to_its_type(interaction: Interaction) -> None:
    topic = built_in("https://hub.example", "Immunization")
    assert fires(topic, a_change(interaction, "Immunization"))
    assert not fires(topic, a_change(interaction, "Observation"))


@pytest.mark.parametrize(
    ("interaction", "type_", "fired"),
    [
        pytest.param(Interaction.CREATE, "Encounter", True, id="the-first-trigger"),
        pytest.param(Interaction.DELETE, "Encounter", True, id="the-second-trigger"),
        pytest.param(Interaction.CREATE, "Location", True, id="another-type"),
        pytest.param(Interaction.UPDATE, "Location", False, id="another-interaction"),
        pytest.param(Interaction.CREATE, "Patient", False, id="no-trigger-for-the-type"),
    ],
)
def test_triggers_are_joined_by_or(interaction: Interaction, type_: str, fired: bool) -> None:
    assert fires(ADMISSIONS, a_change(interaction, type_)) is fired
    assert firing(ADMISSIONS, a_change(interaction, type_)).fired is fired


def test_the_reason_names_what_happened_and_what_was_wanted() -> None:
    assert firing(ADMISSIONS, a_change(Interaction.CREATE, "Encounter")).reason == (
        "the topic has a trigger for create of Encounter"
    )
    assert firing(ADMISSIONS, a_change(Interaction.UPDATE, "Location")).reason == (
        "the topic has no trigger for update of Location, "
        "but for create, update of Encounter; delete of Encounter; create of Location"
    )
