"""Subscriptions that must be refused, as each FHIR version writes them; and that they are."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.conformance.bases import Base
from tests.processes import BACKPORT, TOPIC

_CROSS_VERSION = "http://hl7.org/fhir/5.0/subscriptions-backport/StructureDefinition/backport-filter-criteria"


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    change: The elements that make it unacceptable, one level deep; None takes one out.
    code, expression: What the OperationOutcome says of it.
    """

    change: dict[str, Any]
    code: str
    expression: str


def _extended(name: str, **value: Any) -> dict[str, Any]:
    return {"extension": [{"url": f"{BACKPORT}/backport-{name}", **value}]}


_BACKPORT = {
    "unknown-topic": Refusal({"criteria": TOPIC.format("spaceship")}, "not-supported", "Subscription.criteria"),
    "no-topic": Refusal({"criteria": None}, "required", "Subscription.criteria"),
    "unknown-filter": Refusal(
        {"_criteria": _extended("filter-criteria", valueString="Immunization?ward=7")},
        "not-supported",
        "Subscription.criteria.extension[0]",
    ),
    "other-channel": Refusal({"channel": {"type": "email"}}, "not-supported", "Subscription.channel.type"),
    "custom-channel": Refusal(
        {"channel": {"_type": _extended("channel-type", valueCoding={"system": "urn:x", "code": "zulip"})}},
        "not-supported",
        "Subscription.channel.type.extension[0]",
    ),
    "unknown-content": Refusal(
        {"channel": {"_payload": _extended("payload-content", valueCode="everything")}},
        "not-supported",
        "Subscription.channel.payload.extension[0]",
    ),
    "no-content": Refusal({"channel": {"_payload": None}}, "required", "Subscription.channel.payload.extension"),
    "no-payload": Refusal({"channel": {"payload": None}}, "required", "Subscription.channel.payload"),
    "other-version": Refusal(
        {"channel": {"payload": "application/fhir+json; fhirVersion=5.0"}},
        "not-supported",
        "Subscription.channel.payload",
    ),
    "other-payload": Refusal(
        {"channel": {"payload": "application/fhir+xml"}}, "not-supported", "Subscription.channel.payload"
    ),
    "cross-version-extension": Refusal(
        {"_criteria": {"extension": [{"url": _CROSS_VERSION, "valueString": "Immunization?patient=a"}]}},
        "not-supported",
        "Subscription.criteria.extension[0]",
    ),
    "no-endpoint": Refusal({"channel": {"endpoint": None}}, "required", "Subscription.channel.endpoint"),
    "bad-endpoint": Refusal({"channel": {"endpoint": "ftp://a.example"}}, "value", "Subscription.channel.endpoint"),
    "forbidden-endpoint": Refusal(
        {"channel": {"endpoint": "http://169.254.169.254/"}}, "security", "Subscription.channel.endpoint"
    ),
}

_R5 = {
    "unknown-topic": Refusal({"topic": TOPIC.format("spaceship")}, "not-supported", "Subscription.topic"),
    "no-topic": Refusal({"topic": None}, "required", "Subscription.topic"),
    "unknown-filter": Refusal(
        {"filterBy": [{"filterParameter": "ward", "value": "7"}]}, "not-supported", "Subscription.filterBy[0]"
    ),
    "other-channel": Refusal({"channelType": {"code": "email"}}, "not-supported", "Subscription.channelType"),
    "custom-channel": Refusal(
        {"channelType": {"system": "urn:x", "code": "zulip"}}, "not-supported", "Subscription.channelType"
    ),
    "unknown-content": Refusal({"content": "everything"}, "value", "Subscription.content"),
    "no-payload": Refusal({"contentType": None}, "required", "Subscription.contentType"),
    "other-version": Refusal(
        {"contentType": "application/fhir+json; fhirVersion=4.0"}, "not-supported", "Subscription.contentType"
    ),
    "other-payload": Refusal({"contentType": "application/fhir+xml"}, "not-supported", "Subscription.contentType"),
    "cross-version-extension": Refusal(
        {"extension": [{"url": _CROSS_VERSION, "valueString": "Immunization?patient=a"}]},
        "not-supported",
        "Subscription.extension[0]",
    ),
    "no-endpoint": Refusal({"endpoint": None}, "required", "Subscription.endpoint"),
    "bad-endpoint": Refusal({"endpoint": "ftp://a.example"}, "value", "Subscription.endpoint"),
    "forbidden-endpoint": Refusal({"endpoint": "http://169.254.169.254/"}, "security", "Subscription.endpoint"),
}

REFUSALS = {"r4": _BACKPORT, "r4b": _BACKPORT, "r5": _R5}


def changed(resource: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(resource)
    for name, value in change.items():
        merged[name] = changed(resource[name], value) if name == "channel" else value
    return {name: value for name, value in merged.items() if value is not None}


async def assert_refused(base: Base, *names: str) -> None:
    """Each is refused, with its reason, as a create, as an update that would create it, and as one; nothing changes."""
    kept = await base.register(base.wanted("refused", status="off"))
    kept_as = await base.fhir.read(f"Subscription/{kept}")
    before = await registered(base)
    for name in names:
        refusal = REFUSALS[base.version][name]
        wanted = changed(base.wanted(f"refused-{name}"), refusal.change)
        new = f"refused-{name}"
        for answer in (
            await base.http.post("Subscription", json=wanted),
            await base.http.put(f"Subscription/{new}", json=wanted | {"id": new}),
            await base.http.put(f"Subscription/{kept}", json=wanted | {"id": kept}),
        ):
            assert_says(name, answer, refusal)
        for url in (f"Subscription/{new}", f"Subscription/{new}/$status"):
            assert (await base.http.get(url)).status_code == 404
        assert await base.fhir.read(f"Subscription/{kept}") == kept_as
        assert await registered(base) == before, f"{name} was stored"


def assert_says(name: str, answer: httpx.Response, refusal: Refusal) -> None:
    """An OperationOutcome with the one reason."""
    assert 400 <= answer.status_code < 500, (name, answer.text)
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    [issue] = outcome["issue"]
    said = (issue["severity"], issue["code"], issue["expression"])
    assert said == ("error", refusal.code, [refusal.expression]), (name, issue)
    assert issue["details"]["text"]


async def registered(base: Base) -> int:
    """How many Subscriptions there are at a base."""
    return int((await base.fhir.read("Subscription?_count=0"))["total"])
