"""What an R5 Subscription may say, and everything for which it is rejected. Values are R4's: `test_r4_subscription`."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.subscription import Subscription as Model

from subscriptions.codes import ChannelType, Comparator, Content, FhirVersion, SubscriptionStatus
from subscriptions.errors import Rejected
from subscriptions.subscription import Filter, Style, Subscription
from subscriptions.versions.extensions import BACKPORT, OWN
from subscriptions.versions.own import ALERT_ENDPOINT, DELIVERY_WINDOW, RETRY_WAITS, START
from subscriptions.versions.r5 import R5, Names

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
CHANNEL_TYPES = "http://terminology.hl7.org/CodeSystem/subscription-channel-type"
ENCOUNTER = "http://hl7.org/fhir/StructureDefinition/Encounter"

Json = dict[str, Any]


def a_subscription() -> Json:
    """One with everything that is supported."""
    return {
        "resourceType": "Subscription",
        "identifier": [{"system": "http://example.org/subscriptions", "value": "7"}],
        "name": "Discharges",
        "status": "requested",
        "topic": "http://example.org/topics/encounter|1.0.0",
        "contact": [{"system": "phone", "value": "555"}],
        "end": "2027-12-31T12:00:00Z",
        "managingEntity": {"reference": "Organization/1"},
        "reason": "To be there when they come home",
        "filterBy": [
            {"resourceType": "Encounter", "filterParameter": "patient", "value": "Patient/1,Patient/2"},
            {"resourceType": ENCOUNTER, "filterParameter": "date", "comparator": "ge", "value": "2026"},
            {"filterParameter": "status", "modifier": "not", "value": "finished"},
        ],
        "channelType": {"system": CHANNEL_TYPES, "code": "rest-hook"},
        "endpoint": "https://client.example.org/notify",
        "parameter": [{"name": "Authorization", "value": "Bearer a:b"}, {"name": "X-Tag", "value": " 2 "}],
        "heartbeatPeriod": 120,
        "timeout": 60,
        "contentType": "application/fhir+json; fhirVersion=5.0",
        "content": "id-only",
        "maxCount": 20,
    }


def with_(**members: Any) -> Json:
    """The same with other members; None takes one out."""
    found = a_subscription() | members
    return {name: value for name, value in found.items() if value is not None}


def parse(resource: Json) -> Subscription:
    return R5().parse_subscription(resource, now=NOW)


def reasons(resource: Json) -> list[tuple[str, str]]:
    """Code and expression of each reason for which a Subscription is rejected; each has a text."""
    with pytest.raises(Rejected) as caught:
        parse(resource)
    assert all(issue.text for issue in caught.value.issues)
    return [(issue.code, issue.expression) for issue in caught.value.issues]


def test_all_that_is_supported() -> None:
    """Everything that a Subscription can say comes out version-neutral."""
    Model.model_validate(copy.deepcopy(a_subscription()))
    found = parse(a_subscription())
    assert found == Subscription(
        version=FhirVersion.R5,
        status=SubscriptionStatus.REQUESTED,
        topic="http://example.org/topics/encounter|1.0.0",
        filters=(
            Filter("Encounter", "patient", None, None, ("Patient/1", "Patient/2"), found.filters[0].text),
            Filter("Encounter", "date", None, Comparator.GE, ("2026",), found.filters[1].text),
            Filter(None, "status", "not", None, ("finished",), found.filters[2].text),
        ),
        channel=ChannelType.REST_HOOK,
        endpoint="https://client.example.org/notify",
        headers=(("Authorization", "Bearer a:b"), ("X-Tag", "2")),
        content=Content.ID_ONLY,
        content_type="application/fhir+json; fhirVersion=5.0",
        heartbeat_period=120,
        timeout=60,
        max_count=20,
        end=datetime(2027, 12, 31, 12, tzinfo=UTC),
    )
    assert [each.text for each in found.filters] == [
        "Encounter?patient=Patient/1,Patient/2",
        "Encounter?date=ge2026",
        "status:not=finished",
    ]
    interest = R5().read_interest(a_subscription(), legacy=Style.R4)
    assert (interest.topic, interest.filters, interest.own_topic) == (found.topic, found.filters, None)


def test_what_need_not_be_said() -> None:
    """As little as possible is sent; a channel type needs no system."""
    resource = with_(
        **dict.fromkeys(
            ("identifier", "name", "contact", "end", "managingEntity", "reason", "filterBy", "parameter"),
        ),
        **dict.fromkeys(("heartbeatPeriod", "timeout", "contentType", "content", "maxCount")),
        channelType={"code": "rest-hook"},
    )
    Model.model_validate(copy.deepcopy(resource))
    found = parse(resource)
    assert (found.content, found.content_type) == (Content.EMPTY, "application/fhir+json")
    assert (found.end, found.filters, found.headers, found.timeout, found.max_count) == (None, (), (), None, None)


def test_our_own_extensions_stand_on_the_subscription() -> None:
    extensions = [
        {"url": DELIVERY_WINDOW, "valueUnsignedInt": 60},
        {"url": RETRY_WAITS, "valueString": "1, 5"},
        {"url": START, "valueInstant": "2026-11-20T10:00:00Z"},
        {"url": ALERT_ENDPOINT, "valueUrl": "https://client.example.org/alerts"},
        {"url": "http://hl7.org/fhir/StructureDefinition/subscription-best-effort", "valueBoolean": True},
    ]
    found = parse(with_(extension=extensions))
    assert (found.window, found.retry_waits) == (60, (1, 5))
    assert found.start == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert found.alert_endpoint == "https://client.example.org/alerts"


@pytest.mark.parametrize(
    ("members", "code", "expression"),
    [
        pytest.param({"status": "error"}, "business-rule", "status", id="status-error-is-the-hubs"),
        pytest.param({"status": "entered-in-error"}, "value", "status", id="status-entered-in-error"),
        pytest.param({"topic": None}, "required", "topic", id="topic-missing"),
        pytest.param({"topic": "Encounter?patient=1"}, "value", "topic", id="topic-a-search"),
        pytest.param({"end": "2026-11-21T10:00:00Z"}, "business-rule", "end", id="end-now"),
        pytest.param({"contact": [{"system": "pigeon"}]}, "value", "contact[0].system", id="contact-system"),
        pytest.param({"contact": [{}, {"use": "always"}]}, "value", "contact[1].use", id="contact-use"),
        pytest.param({"channelType": None}, "required", "channelType", id="type-missing"),
        pytest.param({"channelType": "rest-hook"}, "structure", "channelType", id="type-a-code"),
        pytest.param({"channelType": {"system": CHANNEL_TYPES}}, "required", "channelType.code", id="type-no-code"),
        pytest.param({"channelType": {"code": "websocket"}}, "not-supported", "channelType", id="type-websocket"),
        pytest.param(
            {"channelType": {"system": "http://example.org/types", "code": "rest-hook"}},
            "not-supported",
            "channelType",
            id="type-of-another-system",
        ),
        pytest.param({"endpoint": None}, "required", "endpoint", id="endpoint-missing"),
        pytest.param({"endpoint": "http://client.example.org"}, "value", "endpoint", id="endpoint-http"),
        pytest.param({"parameter": {"name": "a"}}, "structure", "parameter", id="parameter-no-list"),
        pytest.param({"parameter": [{"name": "X"}]}, "required", "parameter[0].value", id="parameter-no-value"),
        pytest.param({"parameter": [{"name": "Host", "value": "x"}]}, "value", "parameter[0]", id="header-of-ours"),
        pytest.param({"parameter": [{"name": "X", "value": "a\r\nb"}]}, "value", "parameter[0]", id="header-break"),
        pytest.param({"parameter": [{"name": "X: Y", "value": "a"}]}, "value", "parameter[0]", id="header-colon"),
        pytest.param({"heartbeatPeriod": 0}, "value", "heartbeatPeriod", id="heartbeat-0"),
        pytest.param({"timeout": "60"}, "value", "timeout", id="timeout-string"),
        pytest.param({"maxCount": True}, "value", "maxCount", id="max-count-boolean"),
        pytest.param({"content": "all"}, "value", "content", id="content-unknown"),
        pytest.param({"content": ["empty"]}, "value", "content", id="content-list"),
        pytest.param({"contentType": None}, "required", "contentType", id="no-payload-for-a-content"),
        pytest.param({"contentType": "application/fhir+xml"}, "not-supported", "contentType", id="xml"),
        pytest.param(
            {"contentType": "application/fhir+json; fhirVersion=4.3"}, "not-supported", "contentType", id="version"
        ),
        pytest.param({"implicitRules": "http://example.org"}, "not-supported", "implicitRules", id="implicit-rules"),
        pytest.param({"modifierExtension": [{"url": "u"}]}, "not-supported", "modifierExtension", id="modifier"),
        pytest.param({"filterBy": ["patient=1"]}, "structure", "filterBy", id="filter-a-string"),
    ],
)
def test_rejected(members: Json, code: str, expression: str) -> None:
    assert reasons(with_(**members)) == [(code, f"Subscription.{expression}")]


@pytest.mark.parametrize(
    ("filter_", "code", "element"),
    [
        pytest.param({"filterParameter": "status"}, "required", ".value", id="no-value"),
        pytest.param({"value": "x"}, "required", ".filterParameter", id="no-parameter"),
        pytest.param({"filterParameter": "status:not", "value": "x"}, "value", ".filterParameter", id="modifier-in-it"),
        pytest.param({"filterParameter": "status", "value": "a,,b"}, "value", "", id="a-value-missing"),
        pytest.param(
            {"filterParameter": "date", "comparator": "about", "value": "2026"}, "value", ".comparator", id="comparator"
        ),
        pytest.param(
            {"filterParameter": "status", "modifier": "nearly", "value": "x"}, "value", ".modifier", id="modifier"
        ),
        pytest.param(
            {"filterParameter": "date", "comparator": "ge", "modifier": "not", "value": "2026"},
            "invariant",
            "",
            id="scr-1",
        ),
        pytest.param(
            {"resourceType": "encounter", "filterParameter": "status", "value": "x"},
            "value",
            ".resourceType",
            id="type",
        ),
    ],
)
def test_rejected_filters(filter_: Json, code: str, element: str) -> None:
    """With the filter named; the others are read all the same."""
    filters = [*a_subscription()["filterBy"], filter_]
    assert reasons(with_(filterBy=filters)) == [(code, f"Subscription.filterBy[3]{element}")]
    with pytest.raises(Rejected):
        R5().read_interest(with_(filterBy=filters), legacy=Style.R4)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"{BACKPORT}/backport-max-count", "not-supported"),
        (f"{OWN}/of-tomorrow", "not-supported"),
        ("http://hl7.org/fhir/6.0/StructureDefinition/extension-Subscription.filterBy.event", "not-supported"),
        ("https://medplum.com/fhir/StructureDefinition/subscription-secret", "not-supported"),
    ],
)
def test_rejected_extensions(url: str, code: str) -> None:
    assert reasons(with_(extension=[{"url": url, "valueString": "1"}])) == [(code, "Subscription.extension[0]")]


def test_our_own_extensions_are_not_taken_where_they_are_not_read() -> None:
    extended = {"code": "rest-hook", "extension": [{"url": RETRY_WAITS, "valueString": "1"}]}
    assert reasons(with_(channelType=extended)) == [("structure", "Subscription.channelType.extension[0]")]


def test_it_comes_back_as_it_was_sent() -> None:
    """But for what is the hub's to say; R5 has no `error` on it."""
    sent = json.dumps(with_(meta={"tag": [{"code": "x"}]}, error="mine")).encode()
    found = R5().to_json(sent, id="1", version_id=2, last_updated=NOW, status=SubscriptionStatus.ERROR, error="timeout")
    expected = a_subscription() | {
        "id": "1",
        "meta": {"tag": [{"code": "x"}], "versionId": "2", "lastUpdated": "2026-11-21T10:00:00.000Z"},
        "status": "error",
    }
    assert json.loads(found) == expected
    Model.model_validate(expected)


def test_what_r6_names_otherwise_is_named_once() -> None:
    class R6(R5):
        names = Names(filter_type="resource")

    filters = [{"resource": "Encounter", "filterParameter": "status", "value": "finished"}]
    (found,) = R6().parse_subscription(with_(filterBy=filters), now=NOW).filters
    assert found.resource_type == "Encounter"
