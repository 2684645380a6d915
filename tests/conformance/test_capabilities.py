"""The CapabilityStatement, the topics, and that both say what is so."""

from typing import Any

from tests.conformance.bases import Base, profile
from tests.conformance.rules import validate
from tests.conformance.stories import Told
from tests.processes import TOPIC

GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport"
SERVERS = {
    "r4": f"{GUIDE}/CapabilityStatement/backport-subscription-server-r4",
    "r4b": f"{GUIDE}/CapabilityStatement/backport-subscription-server",
}
NUMBERS = {"r4": "4.0.1", "r4b": "4.3.0", "r5": "5.0.0"}


async def stated(base: Base) -> dict[str, Any]:
    return await base.fhir.read("metadata")


async def of(base: Base, type_: str) -> dict[str, Any]:
    """What is said of a type."""
    [found] = [each for each in (await stated(base))["rest"][0]["resource"] if each["type"] == type_]
    return dict(found)


def codes(resource: dict[str, Any]) -> set[str]:
    return {each["code"] for each in resource["interaction"]}


def topics(resource: dict[str, Any]) -> set[str]:
    url = profile("capabilitystatement-subscriptiontopic-canonical")
    return {each["valueCanonical"] for each in resource["extension"] if each["url"] == url}


async def test_H21_statement(base: Base, contents: dict[str, Told]) -> None:
    """Valid; of this version; with the interactions, search parameters, operations and topics that there are."""
    found = await stated(base)
    validate(base.version, found)
    assert (found["kind"], found["fhirVersion"], found["status"]) == ("instance", NUMBERS[base.version], "active")
    assert found["implementation"]["description"]
    subscription = await of(base, "Subscription")
    assert codes(subscription) >= {"create", "read", "update", "delete", "search-type"}
    assert {each["name"] for each in subscription["searchParam"]} >= {"url", "status"}
    operations = {each["name"]: each["definition"] for each in subscription["operation"]}
    home = "http://hl7.org/fhir/OperationDefinition/Subscription-" if base.is_r5 else f"{GUIDE}/OperationDefinition/"
    for name in ("status", "events"):
        assert operations[name] == (f"{home}{name}" if base.is_r5 else f"{home}backport-subscription-{name}")
    for told in contents.values():
        assert told.wanted[base.topic] in topics(subscription)


async def test_A76_A106_B52_B114_what_it_lists(base: Base) -> None:
    """All that the guide's CapabilityStatement says SHALL: read, `url`, `$status`; in R4B topics, too."""
    subscription = await of(base, "Subscription")
    assert "read" in codes(subscription)
    assert "url" in {each["name"] for each in subscription["searchParam"]}
    assert "status" in {each["name"] for each in subscription["operation"]}
    if base.version == "r4b":
        topic = await of(base, "SubscriptionTopic")
        assert "read" in codes(topic)
        assert {each["name"] for each in topic["searchParam"]} >= {"url", "derived-or-self"}


async def test_A80_A110_B57_instantiates(base: Base) -> None:
    assert SERVERS[base.version] in (await stated(base))["instantiates"]


async def test_A81_A111_B58_B120_supported_profile(base: Base) -> None:
    assert profile("backport-subscription") in (await of(base, "Subscription"))["supportedProfile"]


async def test_A103_B2_B48_topics_are_listed(base: Base) -> None:
    """Each in a form that a Subscription can name."""
    found = topics(await of(base, "Subscription"))
    assert TOPIC.format("immunization") in found
    for url in sorted(found)[:3]:
        await base.register(base.wanted("A103", topic=url, status="off"))


async def test_A73_topics_are_found(base: Base) -> None:
    """Read, and searched for by `url` and `derived-or-self`."""
    url = TOPIC.format("immunization")
    found = await base.fhir.read(f"SubscriptionTopic?url={url}")
    [entry] = found["entry"]
    read = await base.fhir.read(f"SubscriptionTopic/{entry['resource']['id']}")
    assert (read["url"], read["status"]) == (url, "active")
    validate(base.version, read)
    [again] = (await base.fhir.read(f"SubscriptionTopic?derived-or-self={url}"))["entry"]
    assert again["resource"] == read
