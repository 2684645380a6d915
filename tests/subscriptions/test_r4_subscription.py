"""What an R4 Subscription may say, and everything for which it is rejected."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.subscription import Subscription as Model
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.codes import ChannelType, Content, FhirVersion, SubscriptionStatus
from subscriptions.errors import Issue, Rejected
from subscriptions.subscription import Filter, Subscription
from subscriptions.versions.extensions import OWN
from subscriptions.versions.own import DELIVERY_WINDOW, RETRY_WAITS
from subscriptions.versions.r4 import R4

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "backport"
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"

Json = dict[str, Any]


def a_subscription() -> Json:
    """One with everything that is supported."""
    return {
        "resourceType": "Subscription",
        "meta": {"profile": [f"{BACKPORT}/backport-subscription"]},
        "extension": [{"url": "http://example.org/cost-centre", "valueString": "7"}],
        "status": "requested",
        "end": "2027-12-31T12:00:00Z",
        "reason": "To keep the register up to date",
        "criteria": "http://example.org/topics/immunization-change|1.0.0",
        "_criteria": {
            "extension": [
                {"url": f"{BACKPORT}/backport-filter-criteria", "valueString": "Immunization?patient=Patient/123"},
                {"url": f"{BACKPORT}/backport-filter-criteria", "valueString": "Immunization?status=completed"},
            ]
        },
        "channel": {
            "extension": [
                {"url": f"{BACKPORT}/backport-timeout", "valueUnsignedInt": 60},
                {"url": f"{BACKPORT}/backport-max-count", "valuePositiveInt": 20},
            ],
            "type": "rest-hook",
            "endpoint": "https://client.example.org/notify/abc?tenant=1",
            "header": ["Authorization: Bearer a:b", "X-Tag:1", "X-Tag: 2 "],
            "payload": "application/fhir+json; fhirVersion=4.0",
            "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}]},
        },
    }


def parse(resource: Json, *, allow_http: bool = False) -> Subscription:
    return R4().parse_subscription(resource, now=NOW, allow_http=allow_http)


def reasons(resource: Json) -> list[tuple[str, str]]:
    """Code and expression of each reason for which a Subscription is rejected; each has a text."""
    with pytest.raises(Rejected) as caught:
        parse(resource)
    assert all(issue.text for issue in caught.value.issues)
    return [(issue.code, issue.expression) for issue in caught.value.issues]


def changed(path: str, value: Any) -> Json:
    """A good Subscription with one member set, or taken out by None: `channel.header`, `_criteria.extension.0`."""
    resource: Any = a_subscription()
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    element = resource
    for step in way:
        element = element.setdefault(step, {}) if isinstance(element, dict) else element[step]
    if value is None:
        del element[last]
    else:
        element[last] = value
    found: Json = resource
    return found


def timeout(**value: Any) -> Json:
    return {"url": f"{BACKPORT}/backport-timeout", **value}


def waits(value: Any) -> Json:
    return {"url": RETRY_WAITS, "valueString": value}


def extended(path: str, *extensions: Json) -> Json:
    """A good Subscription with further extensions on one element."""
    resource = a_subscription()
    element: Json = resource
    for step in path.split(".") if path else []:
        element = element.setdefault(step, {})
    element.setdefault("extension", []).extend(extensions)
    return resource


def test_all_that_is_supported() -> None:
    """Everything that a Subscription can say comes out version-neutral."""
    found = parse(a_subscription())
    assert [each.text for each in found.filters]
    assert found == Subscription(
        version=FhirVersion.R4,
        status=SubscriptionStatus.REQUESTED,
        topic="http://example.org/topics/immunization-change|1.0.0",
        filters=(
            Filter("Immunization", "patient", None, None, ("Patient/123",), found.filters[0].text),
            Filter("Immunization", "status", None, None, ("completed",), found.filters[1].text),
        ),
        channel=ChannelType.REST_HOOK,
        endpoint="https://client.example.org/notify/abc?tenant=1",
        headers=(("Authorization", "Bearer a:b"), ("X-Tag", "1"), ("X-Tag", "2")),
        content=Content.ID_ONLY,
        content_type="application/fhir+json; fhirVersion=4.0",
        heartbeat_period=None,
        timeout=60,
        max_count=20,
        end=datetime(2027, 12, 31, 12, tzinfo=UTC),
    )


def test_our_own_extensions_say_how_the_subscriber_is_told() -> None:
    """A schedule may be spread over several."""
    window = {"url": DELIVERY_WINDOW, "valueUnsignedInt": 60}
    found = parse(extended("channel", window, waits("1, 5,30"), waits("604800")))
    assert (found.window, found.retry_waits) == (60, (1, 5, 30, 604_800))
    most = parse(extended("channel", *[waits(",".join(["7"] * 10))] * 5))
    assert (most.window, most.retry_waits) == (None, (7,) * 50)
    assert parse(a_subscription()).retry_waits is None


@pytest.mark.parametrize(
    ("period", "reason"), [(60, []), (59, [("business-rule", "Subscription.channel.extension[2]")])]
)
def test_a_window_fits_into_the_heartbeat_period(period: int, reason: list[tuple[str, str]]) -> None:
    heartbeat = {"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": period}
    resource = extended("channel", {"url": DELIVERY_WINDOW, "valueUnsignedInt": 60}, heartbeat)
    if reason:
        assert reasons(resource) == reason
    else:
        assert parse(resource).window == period


@pytest.mark.parametrize("url", [DELIVERY_WINDOW, RETRY_WAITS, f"{OWN}/of-tomorrow"])
def test_our_own_extensions_are_not_taken_where_they_are_not_read(url: str) -> None:
    """Nor are those that there are none of."""
    (reason,) = reasons(extended("channel._payload", {"url": url, "valueUnsignedInt": 60}))
    assert reason[1] == "Subscription.channel.payload.extension[1]"


def test_what_need_not_be_said() -> None:
    """Without end, filters, headers and limits there are none."""
    resource = a_subscription()
    del resource["end"], resource["_criteria"], resource["channel"]["header"], resource["channel"]["extension"]
    found = parse(resource)
    assert (found.end, found.filters, found.headers, found.timeout, found.max_count) == (None, (), (), None, None)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "active"),
        ("status", "off"),
        ("criteria", "urn:uuid:9e41ff6d-5be6-4e6a-8b85-abd4e7f58400"),
        ("end", "2026-11-21T10:00:00.001Z"),
        ("end", "2026-11-21T00:30:00.1234567-10:00"),
        ("channel.endpoint", "https://client.example.org:8443"),
        ("channel.endpoint", "https://my_host./x%20y"),
        ("channel.endpoint", "HTTPS://10.0.0.1/"),
        ("channel.endpoint", "https://[2001:db8::1]:8443/x"),
        ("channel.header", []),
        ("channel.header", ["X-Empty:"]),
        ("channel.payload", "application/fhir+json"),
        ("channel.payload", "application/json"),
        ("channel.payload", "application/json;charset=UTF-8"),
        ("channel.payload", 'Application/FHIR+JSON; fhirVersion="4.0"; charset=utf-8'),
        ("channel.extension.0", {"url": f"{BACKPORT}/backport-timeout", "valueInteger": 2147483647}),
        ("channel.extension.1", {"url": f"{BACKPORT}/backport-max-count", "valueInteger": 1}),
        ("channel.extension.1", {"url": "http://example.org/unknown", "valueCode": "x"}),
        ("channel._endpoint", {"extension": [{"url": "http://example.org/unknown", "valueCode": "x"}]}),
        (
            "extension.0",
            {
                "url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.identifier",
                "valueIdentifier": {"value": "abc"},
            },
        ),
    ],
)
def test_accepted(path: str, value: Any) -> None:
    """Every form that is as good, extensions that change nothing among them."""
    resource = changed(path, value)
    Model.model_validate(copy.deepcopy(resource))
    assert isinstance(parse(resource), Subscription)


@pytest.mark.parametrize("content", Content)
def test_every_content_level(content: Content) -> None:
    """empty, id-only and full-resource."""
    assert parse(changed("channel._payload.extension.0.valueCode", content.value)).content is content


@pytest.mark.parametrize(
    ("path", "value", "code", "expression"),
    [
        pytest.param("status", None, "required", "status", id="status-missing"),
        pytest.param("status", "error", "business-rule", "status", id="status-error-is-the-hubs"),
        pytest.param("status", "entered-in-error", "value", "status", id="status-of-r5"),
        pytest.param("status", 7, "structure", "status", id="status-number"),
        pytest.param("contact", [{"system": "pigeon"}], "value", "contact[0].system", id="contact-system"),
        pytest.param("reason", None, "required", "reason", id="reason-missing"),
        pytest.param("reason", " ", "value", "reason", id="reason-blank"),
        pytest.param("criteria", None, "required", "criteria", id="criteria-missing"),
        pytest.param("criteria", "[Patient,Group]", "not-supported", "criteria", id="criteria-star"),
        pytest.param("criteria", "immunization-change", "value", "criteria", id="criteria-no-canonical"),
        pytest.param("criteria", "http://example.org/a b", "value", "criteria", id="criteria-blank-inside"),
        pytest.param("criteria", "ftp://example.org/t", "value", "criteria", id="criteria-other-scheme"),
        pytest.param("criteria", ["http://example.org/t"], "structure", "criteria", id="criteria-list"),
        pytest.param("end", "2026-11-21T10:00:00Z", "business-rule", "end", id="end-now"),
        pytest.param("end", "2020-12-31T12:00:00Z", "business-rule", "end", id="end-past"),
        pytest.param("end", "0001-01-01T00:00:00+14:00", "business-rule", "end", id="end-long-ago"),
        pytest.param("end", "2027-12-31", "value", "end", id="end-date"),
        pytest.param("end", "2027-12-31T12:00:00", "value", "end", id="end-without-offset"),
        pytest.param("channel.type", None, "required", "channel.type", id="type-missing"),
        pytest.param("channel.type", "websocket", "not-supported", "channel.type", id="type-websocket"),
        pytest.param("channel.type", "email", "not-supported", "channel.type", id="type-email"),
        pytest.param("channel.type", "carrier-pigeon", "value", "channel.type", id="type-unknown"),
        pytest.param("channel.endpoint", None, "required", "channel.endpoint", id="endpoint-missing"),
        *(
            pytest.param("channel.endpoint", url, "value", "channel.endpoint", id=f"endpoint-{name}")
            for name, url in {
                "http": "http://client.example.org/",
                "misspelt": "htt://client.example.org/",
                "mailto": "mailto:a@example.org",
                "relative": "/notify",
                "no-scheme": "client.example.org",
                "no-host": "https:///notify",
                "only-port": "https://:8443/",
                "user": "https://me@client.example.org/",
                "password": "https://me:secret@client.example.org/",
                "empty-user": "https://@client.example.org/",
                "fragment": "https://client.example.org/#a",
                "empty-fragment": "https://client.example.org/#",
                "port-0": "https://client.example.org:0/",
                "port-too-high": "https://client.example.org:65536/",
                "port-name": "https://client.example.org:https/",
                "port-in-other-digits": "https://client.example.org:٤٤٣/",
                "blank": "https://client.example.org/a b",
                "leading-blank": " https://client.example.org/",
                "line-break": "https://client.example.org/\nx",
                "tab-in-host": "https://client.exa\tmple.org/",
                "nul": "https://client.example.org/\0",
                "backslash": "https://client.example.org\\@evil.example/",
                "not-ascii": "https://exämple.org/",
                "percent-in-host": "https://client%2eexample.org/",
                "two-dots": "https://client..example.org/",
                "bracket": "https://[::1/",
                "no-address": "https://[abc]/",
                "behind-bracket": "https://[::1]evil.example/",
                "zone": "https://[fe80::1%25eth0]/",
                "future-address": "https://[v1.a]/",
            }.items()
        ),
        *(
            pytest.param("channel.header", ["X-Good: 1", line], "value", "channel.header[1]", id=f"header-{name}")
            for name, line in {
                "no-colon": "Authorization Bearer a",
                "no-name": ": a",
                "blank-in-name": "My Header: a",
                "line-break": "X-A: a\r\nX-B: b",
                "bare-line-feed": "X-A: a\n",
                "nul": "X-A: \0",
                "delete": "X-A: \x7f",
                "not-ascii": "X-A: ä",
                "blank": "  ",
                "host": "Host: evil.example",
                "length": "content-length: 1",
                "type": "Content-Type: text/plain",
                "encoding": "Content-Encoding: gzip",
                "transfer": "TRANSFER-ENCODING: chunked",
                "connection": "Connection: close",
                "spaced": "Connection : close",
                "upgrade": "Upgrade: h2c",
                "webhook": "Webhook-Signature: v1,abc",
            }.items()
        ),
        pytest.param("channel.header", "X-A: 1", "structure", "channel.header", id="headers-string"),
        pytest.param("channel.header", [7], "structure", "channel.header[0]", id="header-number"),
        pytest.param("channel.payload", None, "required", "channel.payload", id="payload-missing"),
        *(
            pytest.param("channel.payload", mime, "not-supported", "channel.payload", id=f"payload-{name}")
            for name, mime in {
                "xml": "application/fhir+xml",
                "text": "text/plain",
                "r4b": "application/fhir+json; fhirVersion=4.3",
                "r5": "application/fhir+json;fhirversion=5.0",
                "half-quoted": 'application/fhir+json; fhirVersion="4.0',
                "twice": "application/fhir+json; fhirVersion=4.0; fhirVersion=5.0",
                "charset": "application/fhir+json; charset=latin-1",
                "parameter": "application/fhir+json; attach=1",
                "open-end": "application/fhir+json;",
                "line-break": "application/fhir+json\r\nX-A: 1",
                "leading-blank": " application/fhir+json",
            }.items()
        ),
        pytest.param("channel._payload", None, "required", "channel.payload.extension", id="content-missing"),
        pytest.param(
            "channel._payload.extension.0.valueCode", "all", "not-supported", "channel.payload.extension[0]",
            id="content-unknown",
        ),
        pytest.param(
            "channel._payload.extension.0.valueCode", ["empty"], "not-supported", "channel.payload.extension[0]",
            id="content-list",
        ),
        *(
            pytest.param("channel.extension.0", extension, "value", "channel.extension[0]", id=f"timeout-{name}")
            for name, extension in {
                "zero": timeout(valueUnsignedInt=0),
                "negative": timeout(valueInteger=-1),
                "too-large": timeout(valueUnsignedInt=2**31),
                "string": timeout(valueUnsignedInt="60"),
                "boolean": timeout(valueUnsignedInt=True),
                "decimal": timeout(valueDecimal=60.5),
                "nothing": timeout(),
            }.items()
        ),
        pytest.param(
            "channel.extension.1",
            {"url": f"{BACKPORT}/backport-max-count", "valuePositiveInt": 0},
            "value",
            "channel.extension[1]",
            id="max-count-zero",
        ),
        pytest.param(
            "channel.extension.1",
            {"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 0},
            "value",
            "channel.extension[1]",
            id="heartbeat-zero",
        ),
        *(
            pytest.param("channel.extension.1", window, "value", "channel.extension[1]", id=f"window-{id_}")
            for id_, window in {
                "zero": {"url": DELIVERY_WINDOW, "valueUnsignedInt": 0},
                "of-more-than-a-week": {"url": DELIVERY_WINDOW, "valueUnsignedInt": 604_801},
                "text": {"url": DELIVERY_WINDOW, "valueString": "60"},
                "nothing": {"url": DELIVERY_WINDOW},
            }.items()
        ),
        *(
            pytest.param("channel.extension.1", waits(text), "value", "channel.extension[1]", id=f"waits-{id_}")
            for id_, text in {
                "zero": "1,0",
                "more-than-a-week": "604801",
                "negative": "-1",
                "half": "0.5",
                "gap": "1,,5",
                "comma-at-the-end": "1,5,",
                "other-digits": "١",
                "too-many": ",".join(["1"] * 51),
            }.items()
        ),
        *(
            pytest.param("channel.extension.1", waits(value), code, "channel.extension[1].value", id=f"waits-{id_}")
            for id_, value, code in (("nothing", None, "required"), ("blank", " ", "value"), ("number", 5, "structure"))
        ),
        pytest.param(
            "channel._type",
            {"extension": [{"url": f"{BACKPORT}/backport-channel-type", "valueCoding": {"code": "zulip"}}]},
            "not-supported",
            "channel.type.extension[0]",
            id="custom-channel",
        ),
        pytest.param(
            "_criteria.extension.1.valueString", "nonsense", "value", "criteria.extension[1]", id="filter-grammar"
        ),
        pytest.param(
            "_criteria.extension.1",
            {"url": f"{BACKPORT}/backport-filter-criteria"},
            "required",
            "criteria.extension[1].value",
            id="filter-empty",
        ),
        pytest.param("channel", "rest-hook", "structure", "channel", id="channel-string"),
        pytest.param("implicitRules", "http://example.org/rules", "not-supported", "implicitRules", id="rules"),
    ],
)  # fmt: skip
def test_rejected(path: str, value: Any, code: str, expression: str) -> None:
    """Each fault is named by its element."""
    assert (code, f"Subscription.{expression}") in reasons(changed(path, value))


@pytest.mark.parametrize(
    ("path", "extension", "code", "expression"),
    [
        pytest.param(
            "_criteria",
            {
                "url": "http://hl7.org/fhir/5.0/subscriptions-backport/StructureDefinition/backport-filter-criteria",
                "valueString": "Immunization?patient=1",
            },
            "not-supported",
            "criteria.extension[2]",
            id="cross-version-filter",
        ),
        pytest.param(
            "",
            {"url": "http://hl7.org/fhir/4.3/StructureDefinition/extension-Subscription.x", "valueCode": "x"},
            "not-supported",
            "extension[1]",
            id="cross-version-on-the-resource",
        ),
        pytest.param(
            "channel._endpoint",
            {"url": "http://example.org/a", "extension": [{"url": "http://hl7.org/fhir/5.0/x", "valueCode": "x"}]},
            "not-supported",
            "channel.endpoint.extension[0].extension[0]",
            id="cross-version-nested",
        ),
        pytest.param(
            "channel",
            {"url": f"{BACKPORT}/backport-filter-criteria", "valueString": "Immunization?patient=1"},
            "structure",
            "channel.extension[2]",
            id="filter-in-the-wrong-place",
        ),
        pytest.param(
            "", {"url": f"{BACKPORT}/backport-max-count", "valuePositiveInt": 1}, "structure", "extension[1]",
            id="max-count-in-the-wrong-place",
        ),
        pytest.param(
            "channel", {"url": f"{BACKPORT}/backport-additional-criteria"}, "not-supported", "channel.extension[2]",
            id="extension-of-an-early-draft",
        ),
        pytest.param(
            "channel", {"url": f"{BACKPORT}/backport-timeout", "valueUnsignedInt": 5}, "structure",
            "channel.extension[2]", id="timeout-twice",
        ),
        pytest.param(
            "channel", {"url": f"{BACKPORT}/backport-max-count", "valuePositiveInt": 5}, "structure",
            "channel.extension[2]", id="max-count-twice",
        ),
        pytest.param(
            "channel._payload", {"url": f"{BACKPORT}/backport-payload-content", "valueCode": "empty"}, "structure",
            "channel.payload.extension[1]", id="content-twice",
        ),
        pytest.param("channel", {"valueCode": "x"}, "structure", "channel.extension[2]", id="no-url"),
    ],
)  # fmt: skip
def test_rejected_for_an_extension(path: str, extension: Json, code: str, expression: str) -> None:
    """What is read nowhere is not ignored, and what may stand once does not stand twice."""
    assert reasons(extended(path, extension)) == [(code, f"Subscription.{expression}")]


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        (lambda r: r.update(modifierExtension=[{"url": "http://example.org/a"}]), "modifierExtension"),
        (
            lambda r: r["channel"].update(modifierExtension=[{"url": "http://example.org/a"}]),
            "channel.modifierExtension",
        ),
        (
            lambda r: r.update(contained=[{"resourceType": "Basic", "modifierExtension": [{"url": "http://a"}]}]),
            "contained[0].modifierExtension",
        ),
    ],
)
def test_modifier_extensions_are_rejected(change: Callable[[Json], None], expression: str) -> None:
    """Wherever they stand."""
    resource = a_subscription()
    change(resource)
    assert reasons(resource) == [("not-supported", f"Subscription.{expression}")]


def test_all_reasons_at_once() -> None:
    """A client need not find out one fault after another."""
    resource = {"resourceType": "Subscription", "status": "error", "end": "soon", "channel": {"header": ["x"]}}
    assert reasons(resource) == [
        ("business-rule", "Subscription.status"),
        ("required", "Subscription.criteria"),
        ("required", "Subscription.reason"),
        ("value", "Subscription.end"),
        ("required", "Subscription.channel.type"),
        ("required", "Subscription.channel.endpoint"),
        ("value", "Subscription.channel.header[0]"),
        ("required", "Subscription.channel.payload.extension"),
        ("required", "Subscription.channel.payload"),
    ]


def test_an_endpoint_is_judged_by_its_channel() -> None:
    """The endpoint of a channel that is not supported is not called wrong beside."""
    resource = a_subscription()
    resource["channel"] |= {"type": "email", "endpoint": "mailto:a@example.org"}
    assert reasons(resource) == [("not-supported", "Subscription.channel.type")]


def test_http_is_accepted_when_allowed() -> None:
    """Only then."""
    resource = changed("channel.endpoint", "http://127.0.0.1:8080/notify")
    assert parse(resource, allow_http=True).endpoint == "http://127.0.0.1:8080/notify"
    assert reasons(resource) == [("value", "Subscription.channel.endpoint")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("admission", []),
        ("multi-resource", []),
        ("zulip", [("not-supported", "Subscription.channel.type.extension[0]")]),
    ],
)
def test_the_guides_examples(name: str, expected: list[tuple[str, str]]) -> None:
    """The guide's Subscriptions are rejected for their `end` of 2020 and for a custom channel; without these they are
    accepted."""
    resource: Json = json.loads((EXAMPLES / f"subscription-{name}.json").read_bytes())
    assert set(reasons(resource)) == {("business-rule", "Subscription.end"), *expected}
    del resource["end"]
    if expected:
        assert reasons(resource) == expected
        del resource["channel"]["_type"]
    found = parse(resource)
    assert found.status is SubscriptionStatus.ACTIVE
    assert found.topic == "http://hl7.org/SubscriptionTopic/admission"
    assert (found.heartbeat_period, found.timeout, found.max_count) == (86400, 60, 20)
    assert found.content is Content.ID_ONLY
    assert [each.resource_type for each in found.filters][-1] in ("Encounter", "Observation")


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_whatever_comes_is_read_or_rejected(data: st.DataObject) -> None:
    """Any member replaced by anything leads to a Subscription or to reasons, never to another error."""
    resource = a_subscription()
    element: Any = resource
    while True:
        key = data.draw(st.sampled_from(sorted(element) if isinstance(element, dict) else range(len(element))))
        if not isinstance(element[key], dict | list) or data.draw(st.booleans()):
            element[key] = data.draw(json_values)
            break
        element = element[key]
    issues: tuple[Issue, ...] = ()
    try:
        parse(resource)
    except Rejected as rejected:
        issues = rejected.issues
    assert all(issue.text and issue.expression.startswith("Subscription.") for issue in issues)


SENT = b"""{
 "resourceType" : "Subscription", "id": "theirs", "text": {"status": "empty", "div": "\\u00e9"},
 "meta": {"lastUpdated": "1970-01-01T00:00:00Z", "profile": [ "http://example.org/p" ]},
 "status": "active", "error": "made up", "_error": {"id": "e"},
 "extension": [ {"url": "http://example.org/d", "valueDecimal": 1.50} ], "criteria": "http://example.org/t"}"""


def test_returned_with_what_is_the_hubs_to_say() -> None:
    """id, version, time and status in force are the hub's; `error` is the hub's alone."""
    returned = R4().to_json(SENT, id="123", version_id=4, last_updated=NOW, status=SubscriptionStatus.REQUESTED)
    found = json.loads(returned)
    assert (found["id"], found["status"]) == ("123", "requested")
    assert found["meta"] == {
        "lastUpdated": "2026-11-21T10:00:00.000Z",
        "profile": ["http://example.org/p"],
        "versionId": "4",
    }
    assert not found.keys() & {"error", "_error"}


def test_an_error_is_returned() -> None:
    """What the hub has to say about its last failure stands in `error`, escaped as JSON wants it."""
    text = 'the endpoint answered 503: "busy"'
    returned = R4().to_json(SENT, id="123", version_id=4, last_updated=NOW, status=SubscriptionStatus.ERROR, error=text)
    assert json.loads(returned)["error"] == text


def test_the_clients_bytes_are_kept() -> None:
    """Blanks, escapes and a decimal's zeros survive, and nothing is lost or doubled."""
    returned = R4().to_json(SENT, id="1", version_id=1, last_updated=NOW, status=SubscriptionStatus.OFF)
    assert b'"extension":[ {"url": "http://example.org/d", "valueDecimal": 1.50} ]' in returned
    assert b'{"status": "empty", "div": "\\u00e9"}' in returned
    assert b'[ "http://example.org/p" ]' in returned
    names = [name for name, _ in json.loads(returned, object_pairs_hook=list)]
    assert names == ["resourceType", "id", "meta", "text", "status", "extension", "criteria"]


def test_without_meta_it_gets_one() -> None:
    """A Subscription without `meta`, or with an empty one."""
    for sent in (b'{"resourceType":"Subscription"}', b'{"resourceType":"Subscription","meta":null}'):
        returned = R4().to_json(sent, id="1", version_id=1, last_updated=NOW, status=SubscriptionStatus.OFF)
        assert json.loads(returned)["meta"] == {"versionId": "1", "lastUpdated": "2026-11-21T10:00:00.000Z"}


def test_what_is_returned_is_read_as_what_was_sent() -> None:
    """A Subscription that is read, changed in nothing and written again means the same."""
    sent = json.dumps(a_subscription()).encode()
    returned = R4().to_json(sent, id="1", version_id=1, last_updated=NOW, status=SubscriptionStatus.REQUESTED)
    Model.model_validate_json(returned)
    assert parse(json.loads(returned)) == parse(a_subscription())
