"""Subscriptions whose criteria are a search: their style stays theirs, and what can't be told holds up nothing."""

from datetime import UTC, datetime

import orjson

from hub.in_force import InForce
from hub.keys import Partition
from hub.outbox import Subscribed
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from subscriptions.subscription import Style
from subscriptions.versions.forms import FORMS
from tests.facts import eventually
from tests.hub.engines import R4, Publisher, becomes, delivering, fanout, matched, now, running, state
from tests.receiver import Receiver


async def register(parts: Parts, endpoint: str, style: Style, payload: str = "application/fhir+json") -> None:
    """A client of a hub of that style registers one for all Immunizations."""
    resource = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "A test",
        "criteria": "Immunization",
        "channel": {"type": "rest-hook", "endpoint": endpoint, **({"payload": payload} if payload else {})},
    }
    wanted = FORMS[R4].parse_subscription(resource, now=datetime.now(UTC), allow_http=True, legacy=style)
    written = await parts.membership.create("default", R4, "s", wanted, orjson.dumps(resource), now=now())
    assert written.outcome is Subscribed.CREATED


async def test_the_style_stays(parts: Parts) -> None:
    """It is told in the style that it was accepted in, whatever the setting says by now, and after a repair too."""
    async with Receiver() as receiver, delivering(parts), running(fanout(parts)):
        await register(parts, receiver.url, Style.MEDPLUM)
        await becomes(parts, SubscriptionStatus.ACTIVE)
        assert await parts.membership.repair(now=now()) == 0
        await Publisher(parts).put("i")
        await receiver.until(lambda: len(receiver.received) == 1)
        assert (receiver.received[0].method, receiver.received[0].path) == ("POST", "/")
        in_force = InForce(parts.registry, parts.tenancy, parts.access)
        await in_force.refresh()
        assert (len(in_force.index("default", R4)), in_force.broken) == (1, {})


async def test_a_version_that_is_gone(parts: Parts) -> None:
    """An event whose version is not kept any more is passed by; the next one follows."""
    async with Receiver() as receiver:
        async with running(fanout(parts)):
            async with delivering(parts):
                await register(parts, receiver.url, Style.R4)
                await becomes(parts, SubscriptionStatus.ACTIVE)
            publisher = Publisher(parts)
            gone = await publisher.put("gone")
            await publisher.put("here")
            await matched(parts)
        key = Partition(gone.partition(parts.settings.partitions)).resource(gone)
        await parts.pipeline.command("HDEL", key, "b1")
        async with delivering(parts):

            async def all_told() -> bool:
                return (await state(parts)).delivered == 2

            await eventually(all_told)
        assert [each.path for each in receiver.received] == ["/Immunization/here"]
