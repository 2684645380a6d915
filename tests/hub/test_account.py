"""What the audit has of notifications: each attempt, what it told, and what became of the Subscription."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hub.account import Account
from hub.keys import SubscriptionKey
from hub.turn import Kind as Sent
from hub.turn import OwedEvent, Sending, Verb
from hub.turn import Sent as OnTheWire
from hub.wiring.parts import Parts
from subscriptions.audit import HUB, Act, Kind, Level, Outcome
from subscriptions.codes import FhirVersion, Interaction, SubscriptionStatus
from tests.facts import eventually
from tests.hub.engines import Publisher, becomes, delivering, fanout, running, subscribe
from tests.receiver import Receiver, after_handshake

R4 = FhirVersion.R4


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def at(parts: Parts, level: Level) -> Parts:
    return replace(parts, audit=replace(parts.audit, level=level))


async def acts(parts: Parts) -> list[Act]:
    return [entry.act async for entries in parts.audit.oldest("default") for entry in entries]


async def told(parts: Parts, receiver: Receiver) -> list[Act]:
    """What the audit has when a Subscription was activated and told of one change, but that it was created."""
    async with running(fanout(parts)), delivering(parts):
        await subscribe(parts, f"{receiver.url}/s", content="id-only")
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put("a")
        await receiver.numbered("/s", 1)

        async def settled() -> bool:
            found = await parts.membership.find("default", R4, "s")
            return found is not None and found.state.delivered == 1

        await eventually(settled)
    created, *rest = await acts(parts)
    assert created.kind is Kind.SUBSCRIPTION_CREATED
    return rest


async def test_each_notification(parts: Parts, receiver: Receiver) -> None:
    """At the level for it each notification is there, with what it told of to whom; the handshake is one."""
    assert await told(at(parts, Level.NOTIFICATIONS), receiver) == [
        Act(Kind.NOTIFIED, "anonymous", "Subscription/s", R4, text="handshake: accepted"),
        Act(Kind.SUBSCRIPTION_ACTIVATED, HUB, "Subscription/s", R4),
        Act(
            Kind.NOTIFIED, "anonymous", "Subscription/s", R4,
            text="events 1: delivered", also=("Immunization/a/_history/1",),
        ),
    ]  # fmt: skip


async def test_not_each_notification(parts: Parts, receiver: Receiver) -> None:
    """By default what became of the Subscription is there, and no single notification."""
    assert await told(parts, receiver) == [Act(Kind.SUBSCRIPTION_ACTIVATED, HUB, "Subscription/s", R4)]


async def test_failures(parts: Parts, receiver: Receiver) -> None:
    """Each attempt that fails is there, and that the Subscription is in error in the end."""
    parts = at(parts, Level.NOTIFICATIONS)
    receiver.answers["/s"] = after_handshake(503)
    async with running(fanout(parts)), delivering(parts):
        await subscribe(parts, f"{receiver.url}/s")
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put("a")
        await becomes(parts, SubscriptionStatus.ERROR)
    found = [(act.kind, act.agent, act.outcome) for act in await acts(parts)]
    refused, failed = Outcome.REFUSED, Outcome.FAILED
    assert found[-4:] == [
        (Kind.NOTIFIED, "anonymous", refused), (Kind.NOTIFIED, "anonymous", refused),
        (Kind.NOTIFIED, "anonymous", failed), (Kind.SUBSCRIPTION_FAILED, HUB, failed),
    ]  # fmt: skip


async def test_of_another_tenant(parts: Parts) -> None:
    """What was told of another tenant's resources is in that tenant's audit, without the Subscription."""
    key = SubscriptionKey("ward", R4, "s", "x")
    account = Account(at(parts, Level.NOTIFICATIONS).audit, key, "screen")
    events = [OwedEvent(n, "Patient", f"p{n}", 1, Interaction.CREATE, 0, tenant=t) for n, t in ((1, ""), (2, "lab"))]
    found = account.acts(Sending(1, 2, 0, Sent.EVENTS), Verb.DELIVERED, "delivered", OnTheWire(1, 1, ""), events)
    text = "events 1 to 2: delivered"
    assert found == {
        "ward": [Act(Kind.NOTIFIED, "screen", "Subscription/s", R4, text=text, also=("Patient/p1/_history/1",))],
        "lab": [Act(Kind.NOTIFIED, "screen", "tenant/ward", R4, text=text, also=("Patient/p2/_history/1",))],
    }
