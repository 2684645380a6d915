"""All that is below `/admin`, seen by the operators of another tenant: nothing there names what isn't theirs."""

from subscriptions.audit import HUB, Act, Kind
from subscriptions.codes import FhirVersion
from tests.hub.api.callers import grant
from tests.hub.api.rules import rules
from tests.hub.api.server import Hub
from tests.hub.api.subscriptions import ENDPOINT
from tests.hub.conftest import BASE
from tests.hub.engines import Publisher, activate, fanout, matched, member, running
from tests.processes import subscription

MARK = "ours-alone"
TOPIC = f"http://{MARK}.example/topic"


async def stock(hub: Hub) -> None:
    """Everything of the default tenant's bears a mark."""
    topic = {
        "resourceType": "SubscriptionTopic",
        "id": MARK,
        "url": TOPIC,
        "title": MARK,
        "status": "active",
        "resourceTrigger": [{"resource": "Immunization"}],
        "canFilterBy": [{"resource": "Immunization", "filterParameter": "status", "modifier": ["not"]}],
    }
    assert (await hub.put(f"{BASE}/fhir/r5/SubscriptionTopic/{MARK}", topic)).status_code == 201
    for id_, more in ((MARK, {"criteria": TOPIC}), ("s", {})):
        wanted = subscription(f"{ENDPOINT}/{MARK}", "Immunization", "status:not=completed") | {"id": id_, **more}
        assert (await hub.put(f"/Subscription/{id_}", wanted)).status_code == 201
        key = (await member(hub.parts, id_)).key
        await hub.parts.pipeline.command("HDEL", key.subscription, "next")
        await activate(hub.parts, key)
        hub.parts.meter.spend(key.registered_as, 1)
    async with running(fanout(hub.parts)):
        await Publisher(hub.parts).put(MARK, status="not-done")
        await matched(hub.parts)
    suppressed = Act(Kind.SUPPRESSED, HUB, f"Subscription/{MARK}", FhirVersion.R4, text=MARK)
    await hub.parts.audit.record("default", suppressed)


async def test_no_answer_names_what_is_another_tenants(hub: Hub) -> None:
    """The same URLs are full of it at the default tenant's, so that something would be seen."""
    await stock(hub)
    await grant(hub, "ward", "default", "")
    assert (
        await hub.put(f"{BASE}/t/ward/fhir/r4/Subscription/s", subscription(ENDPOINT) | {"id": "s"})
    ).status_code == 201
    seen = 0
    for rule in rules():
        if rule.path.startswith("/admin") and rule.method == "GET":
            url = rule.url or rule.path
            own, others = await hub.get(BASE + url), await hub.get(f"{BASE}/t/ward{url}")
            assert others.status_code in (200, 404), url
            assert MARK not in others.text, url
            seen += MARK in own.text
    assert seen >= 5
