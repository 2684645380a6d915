"""
HL7's own examples of what subscriptions are made of, unedited: kept and read back as they came, headers apart, or
refused for just the elements in which they are not what the specification asks of a client.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet

from tests.hub.api.server import Hub, issue, serving
from tests.hub.conftest import BASE, settings
from tests.processes import redacted

FIXTURES = Path(__file__).parents[3] / "fixtures"

Json = dict[str, Any]

END = ("business-rule", "Subscription.end", "in the past")
LATER: Json = {"end": "2100-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Example:
    """
    A Subscription that can't be registered as it is.

    file: Below fixtures/.
    topic: The canonical of the topic that it names, which HL7 has no example of; empty when it names none.
    wrong: Code, element, and words of the reason, for each thing that is wrong with it.
    mended: The members with which nothing is wrong any more.
    """

    version: str
    file: str
    topic: str
    wrong: tuple[tuple[str, str, str], ...]
    mended: Json


GUIDE = "http://hl7.org/SubscriptionTopic/admission"

#: Most have an `end` that is past: the hub is asked to observe it, and would have nothing to do.
EXAMPLES = [
    *(
        example
        for version in ("r4", "r4b")
        for example in (
            Example(version, "backport/subscription-admission.json", GUIDE, (END,), LATER),
            Example(version, "backport/subscription-multi-resource.json", GUIDE, (END,), LATER),
            Example(version, f"{version}/Subscription-example.json", "", (END,), LATER),
            # subscription.html: "A client can only submit subscription resources in the requested or off state."
            Example(
                version,
                f"{version}/Subscription-example-error.json",
                "",
                (("business-rule", "Subscription.status", "Only the hub sets the status `error`"), END),
                LATER | {"status": "requested"},
            ),
            # conformance.html: "A server SHALL reject the subscription request if a client requests an unsupported
            # channel" by the extension.
            Example(
                version,
                "backport/subscription-zulip.json",
                GUIDE,
                (END, ("not-supported", "Subscription.channel.type.extension[0]", "Custom channel types")),
                LATER | {"channel": {"_type": None}},
            ),
        )
    ),
    Example("r5", "r5/Subscription-admission.json", "http://example.org/R5/SubscriptionTopic/admission", (END,), LATER),
    # A rest-hook POSTs to the endpoint, and the example has none.
    Example(
        "r5",
        "r5/Subscription-example.json",
        "http://example.org/R5/SubscriptionTopic/example",
        (("required", "Subscription.endpoint", "is required"),),
        {"endpoint": "https://example.org/Endpoints/P123"},
    ),
]

TOPICS = [
    "r4b/SubscriptionTopic-admission.json",
    "r5/SubscriptionTopic-admission.json",
    "r5/SubscriptionTopic-example.json",
]
STATUSES = ["r4b/SubscriptionStatus-example.json", "r5/SubscriptionStatus-example.json"]


def notifications() -> Iterator[tuple[str, Path]]:
    """FHIR version and file of each Bundle that has a status in it, be it within a message."""
    for path in sorted(FIXTURES.glob("r[45]*/Bundle-*.json")):
        if '"SubscriptionStatus"' in path.read_text():
            yield path.parent.name, path
    for path in sorted(FIXTURES.glob("backport/*-notification-*.json")):
        yield path.name.partition("-")[0], path


NOTIFICATIONS = list(notifications())


@pytest.fixture
async def hub(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """One that keeps headers, which some of the examples have."""
    wanted = settings(redis_url, tmp_path).model_copy(update={"secrets_key": Fernet.generate_key().decode()})
    async with serving(wanted) as found:
        yield found


def read(file: str) -> Json:
    found: Json = json.loads((FIXTURES / file).read_bytes())
    return found


def kept(answer: httpx.Response, sent: Json, *, but: tuple[str, ...] = ()) -> None:
    """It is what was sent, but for the version and the time of its meta and what the hub maintains."""
    found = answer.json()
    assert found["meta"].keys() >= {"versionId", "lastUpdated"}
    ours = {name: found["meta"][name] for name in ("versionId", "lastUpdated")}
    expected = sent | {"meta": sent.get("meta", {}) | ours}
    assert found.keys() - {*but} == expected.keys() - {*but}
    for name in found.keys() - {*but}:
        assert found[name] == expected[name]


async def publish(hub: Hub, canonical: str) -> None:
    """HL7's topic of admissions under another canonical, made to be of all that the guide's example filters."""
    topic = read("r5/SubscriptionTopic-admission.json")
    del topic["notificationShape"]
    topic["resourceTrigger"] += [{"resource": type_} for type_ in ("Patient", "Observation")]
    topic["canFilterBy"] += [
        {"resource": type_, "filterParameter": name} for type_, name in (("Patient", "_id"), ("Observation", "subject"))
    ]
    answer = await hub.put(f"{BASE}/fhir/r5/SubscriptionTopic/named", topic | {"id": "named", "url": canonical})
    assert answer.status_code == 201, answer.text


def mended(sent: Json, changes: Json) -> Json:
    """With other members, deep inside too; None takes one out."""
    found = dict(sent)
    for name, value in changes.items():
        found[name] = mended(found[name], value) if isinstance(value, dict) else value
    return {name: value for name, value in found.items() if value is not None}


def test_every_example_is_here() -> None:
    """None of HL7's Subscriptions, topics and statuses is left out, nor the notifications of either source."""
    named = {*TOPICS, *STATUSES, *(example.file for example in EXAMPLES)}
    files = {*FIXTURES.glob("r[45]*/Subscription*.json"), *FIXTURES.glob("backport/subscription-*.json")}
    assert {f"{path.parent.name}/{path.name}" for path in files} == named
    counted = [version for version, _ in NOTIFICATIONS]
    assert {version: counted.count(version) for version in counted} == {"r4": 11, "r4b": 21, "r5": 11}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: f"{each.version}-{Path(each.file).stem}")
async def test_a_subscription(hub: Hub, example: Example) -> None:
    """It is refused for exactly what is wrong with it, and nothing is stored; mended, it comes back as it was sent."""
    sent = read(example.file)
    url = f"{BASE}/fhir/{example.version}/Subscription/{sent['id']}"
    if example.topic:
        await publish(hub, example.topic)
    refused = await hub.put(url, sent)
    assert refused.status_code == 400
    assert issue(refused)
    issues = refused.json()["issue"]
    found = [(each["code"], *each["expression"]) for each in issues]
    assert sorted(found) == sorted((code, expression) for code, expression, _ in example.wrong)
    texts = {each["expression"][0]: each["details"]["text"] for each in issues}
    assert all(words in texts[expression] for _, expression, words in example.wrong)
    assert (await hub.get(url)).status_code == 404
    wanted = mended(sent, example.mended)
    answer = await hub.put(url, wanted)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "requested"
    kept(answer, wanted, but=("status", "error"))
    assert "error" not in answer.json()
    kept(await hub.get(url), redacted(wanted), but=("status", "error"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: f"{each.version}-{Path(each.file).stem}")
async def test_a_subscription_to_a_topic_that_is_not_there(hub: Hub, example: Example) -> None:
    """components.html: a topic that is not supported has the Subscription refused. Criteria that search name none."""
    wanted = mended(read(example.file), example.mended)
    answer = await hub.put(f"{BASE}/fhir/{example.version}/Subscription/{wanted['id']}", wanted)
    if not example.topic:
        assert answer.status_code == 201
        return
    element = "Subscription.topic" if example.version == "r5" else "Subscription.criteria"
    assert answer.status_code == 400
    assert (issue(answer)["code"], issue(answer)["expression"]) == ("not-supported", [element])
    assert example.topic in issue(answer)["details"]["text"]


@pytest.mark.parametrize("file", TOPICS)
async def test_a_topic(hub: Hub, file: str) -> None:
    """It is published, and read back as it was sent."""
    sent = read(file)
    url = f"{BASE}/fhir/{file.partition('/')[0]}/SubscriptionTopic/{sent['id']}"
    answer = await hub.put(url, sent)
    assert answer.status_code == 201, answer.text
    kept(answer, sent)
    kept(await hub.get(url), sent)


@pytest.mark.parametrize("file", STATUSES)
async def test_a_status(hub: Hub, file: str) -> None:
    """subscriptionstatus.html: it is not persisted. It stands in notifications and in the answer to `$status`."""
    sent, url = read(file), f"{BASE}/fhir/{file.partition('/')[0]}/SubscriptionStatus"
    for answer in (await hub.post(url, sent), await hub.put(f"{url}/{sent['id']}", sent)):
        assert answer.status_code == 404
        assert issue(answer)["code"] == "not-supported"
        assert "SubscriptionStatus is not a resource type" in issue(answer)["details"]["text"]
    assert (await hub.get(f"{url}/{sent['id']}")).status_code == 404
    assert await hub.keys() == set()


@pytest.mark.parametrize(("version", "path"), NOTIFICATIONS, ids=lambda each: getattr(each, "stem", each))
async def test_a_notification(hub: Hub, version: str, path: Path) -> None:
    """It is a Bundle like any other: whoever was sent it can keep it at a base of its version."""
    sent = read(f"{path.parent.name}/{path.name}")
    url = f"{BASE}/fhir/{version}/Bundle/{sent['id']}"
    answer = await hub.put(url, sent)
    assert answer.status_code == 201, answer.text
    kept(answer, sent)
    kept(await hub.get(url), sent)
