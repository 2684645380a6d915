"""R4 Subscriptions whose criteria are a search: what they come to, and what they must not have."""

from datetime import UTC, datetime
from typing import Any

import pytest

from subscriptions.codes import Content, Interaction
from subscriptions.errors import Rejected
from subscriptions.subscription import Style, Subscription
from subscriptions.versions.own import DELIVERY_WINDOW, RETRY_WAITS
from subscriptions.versions.r4 import R4

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
MEDPLUM = "https://medplum.com/fhir/StructureDefinition"
INTERACTION = f"{MEDPLUM}/subscription-supported-interaction"
EXPRESSION = f"{MEDPLUM}/fhir-path-criteria-expression"


def legacy(criteria: str = "Patient?active=true", *extensions: dict[str, Any], **channel: Any) -> dict[str, Any]:
    return {
        "resourceType": "Subscription",
        "extension": list(extensions),
        "status": "active",
        "reason": "Because",
        "criteria": criteria,
        "channel": {"type": "rest-hook", "endpoint": "https://client.example.org/fhir", **channel},
    }


def parse(resource: dict[str, Any], style: Style = Style.R4) -> Subscription:
    return R4().parse_subscription(resource, now=datetime(2026, 11, 21, tzinfo=UTC), legacy=style)


def triggered(found: Subscription) -> tuple[str, frozenset[Interaction], str]:
    assert found.own_topic is not None
    (trigger,) = found.own_topic.triggers
    return trigger.resource, trigger.interactions, trigger.fhirpath


@pytest.mark.parametrize(
    ("criteria", "type_", "filters"),
    [
        ("Immunization?patient=Patient/1&status=completed", "Immunization", ["patient", "status"]),
        ("/Immunization?patient=Patient/1", "Immunization", ["patient"]),
        ("Immunization?patient.identifier=urn:x%7C1", "Immunization", ["patient.identifier"]),
        ("Immunization", "Immunization", []),
        ("Immunization?", "Immunization", []),
    ],
)
def test_criteria(criteria: str, type_: str, filters: list[str]) -> None:
    """A type, and a filter for each parameter; a slash before it is not looked at."""
    found = parse(legacy(criteria))
    assert triggered(found) == (type_, frozenset({Interaction.CREATE, Interaction.UPDATE}), "")
    assert ([each.parameter for each in found.filters], found.topic) == (filters, "")
    assert {each.resource_type for each in found.filters} <= {type_}


@pytest.mark.parametrize(
    ("style", "payload", "content", "mime"),
    [
        (Style.R4, None, Content.EMPTY, ""),
        (Style.R4, "application/json", Content.FULL_RESOURCE, "application/json"),
        (Style.MEDPLUM, None, Content.FULL_RESOURCE, "application/fhir+json"),
        (Style.MEDPLUM, "application/json", Content.FULL_RESOURCE, "application/json"),
    ],
)
def test_payload(style: Style, payload: str | None, content: Content, mime: str) -> None:
    """Nothing is sent where no payload is asked for, but in Medplum's style."""
    found = parse(legacy(payload=payload), style)
    assert (found.content, found.content_type, found.style) == (content, mime, style)


def test_one_topic_for_all_that_mean_the_same() -> None:
    """Two Subscriptions on one type share a topic; one with another interaction has another one, by another name."""
    first, second = parse(legacy("Patient?active=true")), parse(legacy("Patient?gender=male"))
    other = parse(legacy("Patient", {"url": INTERACTION, "valueCode": "create"}), Style.MEDPLUM)
    assert first.own_topic == second.own_topic
    assert first.own_topic is not None
    assert other.own_topic is not None
    assert first.own_topic.url != other.own_topic.url


def test_medplum_extensions() -> None:
    """They name the interactions, joined by OR, and an expression."""
    found = parse(
        legacy(
            "Patient",
            {"url": INTERACTION, "valueCode": "create"},
            {"url": INTERACTION, "valueCode": "delete"},
            {"url": EXPRESSION, "valueString": "%previous.empty()"},
        ),
        Style.MEDPLUM,
    )
    assert triggered(found) == ("Patient", frozenset({Interaction.CREATE, Interaction.DELETE}), "%previous.empty()")


REFUSED = [
    pytest.param(
        Style.R4, {"url": INTERACTION, "valueCode": "create"}, "HUB_LEGACY_STYLE=medplum", id="r4-interaction"
    ),
    pytest.param(Style.R4, {"url": EXPRESSION, "valueString": "true"}, "HUB_LEGACY_STYLE=medplum", id="r4-expression"),
    pytest.param(Style.MEDPLUM, {"url": INTERACTION, "valueCode": "read"}, "create, update, delete", id="interaction"),
    pytest.param(Style.MEDPLUM, {"url": INTERACTION}, "create, update, delete", id="interaction-missing"),
    pytest.param(Style.MEDPLUM, {"url": EXPRESSION, "valueString": "a ("}, "a (", id="expression-malformed"),
    pytest.param(Style.MEDPLUM, {"url": EXPRESSION}, "valueString", id="expression-missing"),
    pytest.param(
        Style.MEDPLUM, {"url": f"{MEDPLUM}/subscription-secret", "valueString": "s"}, "subscription-secret", id="secret"
    ),
    pytest.param(
        Style.R4,
        {"url": "http://hapifhir.io/fhir/StructureDefinition/subscription-payload-search-criteria", "valueString": "x"},
        "subscription-payload-search-criteria",
        id="hapi",
    ),
]


@pytest.mark.parametrize(("style", "extension", "said"), REFUSED)
def test_refused(style: Style, extension: dict[str, Any], said: str) -> None:
    """An extension that can't be heeded is named, and where it stands."""
    with pytest.raises(Rejected) as caught:
        parse(legacy("Patient", extension), style)
    (issue,) = caught.value.issues
    assert issue.expression == "Subscription.extension[0]"
    assert said in issue.text


@pytest.mark.parametrize(
    ("element", "name"),
    [
        ("_criteria", "backport-filter-criteria"),
        ("channel", "backport-timeout"),
        ("channel", "backport-max-count"),
        ("channel", "backport-heartbeat-period"),
        ("channel._payload", "backport-payload-content"),
        ("channel._type", "backport-channel-type"),
    ],
)
def test_extensions_of_topics(element: str, name: str) -> None:
    """The Backport IG's say nothing here, so they are refused."""
    resource = legacy(payload="application/fhir+json")
    at: Any = resource
    for step in element.split("."):
        at = at.setdefault(step, {})
    at["extension"] = [{"url": f"{BACKPORT}/{name}", "valueUnsignedInt": 3}]
    with pytest.raises(Rejected) as caught:
        parse(resource)
    assert f"{BACKPORT}/{name} is for criteria that are the canonical URL" in caught.value.issues[0].text


def test_our_own_extensions() -> None:
    """There are no Bundles in which anything could be gathered; a schedule there is."""
    resource = legacy()
    resource["channel"]["extension"] = [
        {"url": RETRY_WAITS, "valueString": "1,5"},
        {"url": DELIVERY_WINDOW, "valueUnsignedInt": 60},
    ]
    with pytest.raises(Rejected) as caught:
        parse(resource)
    assert [issue.expression for issue in caught.value.issues] == ["Subscription.channel.extension[1]"]
    del resource["channel"]["extension"][1]
    assert parse(resource).retry_waits == (1, 5)


def test_medplum_extension_on_a_topic() -> None:
    """Medplum's say nothing of a topic, in either style."""
    resource = legacy("http://example.org/topic", {"url": INTERACTION, "valueCode": "create"})
    with pytest.raises(Rejected) as caught:
        parse(resource, Style.MEDPLUM)
    assert "is for criteria that are a search" in caught.value.issues[0].text
