"""Sending: rights are looked at again before each attempt, and what may not be told any more is not told."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from hub.access import Access
from hub.due import Due
from hub.keys import SubscriptionKey
from hub.wiring.parts import Parts
from hub.withdrawal import Withdrawals
from subscriptions.codes import Content, SubscriptionStatus
from subscriptions.ranges import Range
from subscriptions.suppression import Rule
from tests.facts import eventually
from tests.hub.engines import (
    Publisher,
    activate,
    becomes,
    delivered,
    delivering,
    events,
    fanout,
    matched,
    member,
    now,
    publish,
    quiet,
    rewrite,
    running,
    state,
    subscribe,
    time_passes,
    waiting,
)
from tests.hub.rights import SCOPES, client, key, labelled, suppressed, telling_apart
from tests.receiver import Received, Receiver, after_handshake

ACTIVE, ERROR = SubscriptionStatus.ACTIVE, SubscriptionStatus.ERROR
FULL = Content.FULL_RESOURCE


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
def apart(parts: Parts) -> Parts:
    """A hub that tells clients apart."""
    return telling_apart(parts)


async def owing(parts: Parts, receiver: Receiver, *resources: dict[str, Any], **options: Any) -> SubscriptionKey:
    """A subscription of the client `lab` that is owed these, and was sent none of them."""
    found = await subscribe(parts, f"{receiver.url}/s", owner="lab", **options)
    await activate(parts, found)
    async with running(fanout(parts)):
        for resource in resources:
            await publish(parts, resource)
            await matched(parts)
    assert len(await events(parts, found)) == len(resources)
    return found


async def turned_off(parts: Parts) -> None:
    await client(parts, off=True)


async def scope_gone(parts: Parts) -> None:
    await client(parts, scopes="system/Patient.rs")


async def moved(parts: Parts) -> None:
    await client(parts, tenant="ward")


async def level_lowered(parts: Parts) -> None:
    await client(parts, content=Content.ID_ONLY)


WITHDRAWN = [
    pytest.param(turned_off, "its client is turned off", id="off"),
    pytest.param(scope_gone, "its client does not have the scope system/Immunization.r any more", id="scope"),
    pytest.param(moved, "nothing of this tenant is granted to its client any more", id="tenant"),
    pytest.param(level_lowered, "its client may be told id-only at most now", id="level"),
]


@pytest.mark.parametrize(("withdraw", "text"), WITHDRAWN)
async def test_what_was_owed(
    apart: Parts, receiver: Receiver, withdraw: Callable[[Parts], Awaitable[None]], text: str
) -> None:
    """Nothing of it is sent once the right is withdrawn: the Subscription is in error, and says what is lacking."""
    await client(apart, content=FULL)
    await owing(apart, receiver, labelled("a"), labelled("b"), content="full-resource")
    await withdraw(apart)
    async with delivering(apart):
        await becomes(apart, ERROR)
    assert receiver.received == []
    held = await state(apart)
    assert (held.error, held.events, held.delivered) == (text, 2, 0)


async def swept(parts: Parts) -> int:
    """What the clock does when all processes know it; returns how many subscriptions it made due."""
    return await looking(parts, believed=0).look()


def looking(parts: Parts, believed: int) -> Withdrawals:
    standings = parts.telling.standings
    return Withdrawals(parts.pipeline, standings, parts.registry, parts.outboxes, parts.due, believed)


async def test_nobody_is_roused_before_all_can_know(apart: Parts, receiver: Receiver) -> None:
    """A lane that believes what was before would look once, find nothing wrong, and not look again."""
    await client(apart)
    await owing(apart, receiver)
    assert await swept(apart) == 1  # the first time it looks at all
    at_once, later = looking(apart, believed=60_000), looking(apart, believed=1)
    await scope_gone(apart)
    assert (await at_once.look(), await at_once.look()) == (0, 0)
    assert await later.look() == 0

    async def roused() -> bool:
        return await later.look() == 1

    await eventually(roused)
    assert await later.look() == 0


@pytest.mark.parametrize(("withdraw", "text"), WITHDRAWN)
async def test_nothing_to_send(
    apart: Parts, receiver: Receiver, withdraw: Callable[[Parts], Awaitable[None]], text: str
) -> None:
    """Who is idle goes to error as well, and nobody else; the owner and the operator are to be told."""
    await client(apart, content=FULL)
    await client(apart, "ward")
    found = await owing(apart, receiver, content="full-resource")
    await subscribe(apart, f"{receiver.url}/other", id_="other", owner="ward")
    async with delivering(apart):
        await becomes(apart, ACTIVE, "other")
        assert await swept(apart) == 2  # the first time it looks at all
        assert await swept(apart) == 0
        await quiet(apart, found)
        await withdraw(apart)
        assert await swept(apart) == 1
        await becomes(apart, ERROR)
        assert (await state(apart, "other")).status is ACTIVE
    held = await state(apart)
    assert (held.error, held.alerts) == (text, True)
    assert [each.path for each in receiver.received] == ["/other"]


async def test_sweep_that_dies(apart: Parts) -> None:
    """It is done again by the next clock: what it notes it notes behind its work."""

    class Dying(Due):
        async def rouse(self, subscriptions: list[SubscriptionKey]) -> None:
            raise ConnectionError(f"{subscriptions} are not roused")

    await client(apart)
    dying = replace(apart, due=Dying(apart.client, apart.pipeline, 4))
    found = await subscribe(apart, "http://127.0.0.1/s", owner="lab")
    await activate(apart, found)
    with pytest.raises(ConnectionError):
        await swept(dying)
    assert await swept(apart) == 1
    await client(apart, off=True)
    with pytest.raises(ConnectionError):
        await swept(dying)
    assert await swept(apart) == 1
    assert await swept(apart) == 0


async def test_another_clock_swept_meanwhile(apart: Parts) -> None:
    """What a clock did before it lost its lease says nothing of what there is to do when it has it again."""
    mine, others = looking(apart, believed=0), looking(apart, believed=0)
    await client(apart)
    found = await subscribe(apart, "http://127.0.0.1/s", owner="lab")
    await activate(apart, found)
    assert await mine.look() == 1
    await scope_gone(apart)
    assert await others.look() == 1
    await client(apart)
    assert await mine.look() == 1
    await scope_gone(apart)
    assert await others.look() == 1


async def test_back_off(apart: Parts, receiver: Receiver) -> None:
    """Whoever waits after a failure is seen to at once."""
    receiver.answers["/s"] = after_handshake(500)
    await client(apart)
    await owing(apart, receiver, labelled("a"))
    await swept(apart)
    async with delivering(apart, waits=(3600.0,)):
        await receiver.events("/s", 1)

        async def fails() -> bool:
            return bool((await state(apart)).failing)

        await eventually(fails)
        await client(apart, off=True)
        assert await swept(apart) == 1
        await becomes(apart, ERROR)
    assert len(receiver.received) == 1


async def test_key_runs_out(parts: Parts, receiver: Receiver) -> None:
    """Nobody does anything, and yet the right is gone."""
    now = 1_000
    apart = telling_apart(parts, "keys")
    apart.access.now = lambda: now
    await client(apart)
    await key(apart, expires=2_000)
    await owing(apart, receiver, labelled("a"))
    assert await swept(apart) == 1
    now = 2_000
    assert await swept(apart) == 1
    async with delivering(apart):
        await becomes(apart, ERROR)
    assert (await state(apart)).error == "its client has no API key that is good any more"
    assert receiver.received == []


@pytest.mark.parametrize("kind", ["handshake", "heartbeat", "test", "resend"])
async def test_whatever_is_sent(apart: Parts, receiver: Receiver, kind: str) -> None:
    """Not only events: nothing is sent to whoever may be told nothing."""
    await client(apart)
    options: dict[str, Any] = {"heartbeat": 1} if kind == "heartbeat" else {}
    found = await subscribe(apart, f"{receiver.url}/s", owner="lab", **options)
    if kind != "handshake":
        await activate(apart, found)
    await client(apart, off=True)
    if kind == "resend":
        await apart.pipeline.command("HSET", found.subscription, "resend", "1-1")
    if kind == "test":
        assert await apart.outboxes.call(found, test=True)
    await apart.due.rouse([found])
    async with delivering(apart):
        await becomes(apart, ERROR)
    assert receiver.received == []
    assert (await state(apart)).error == "its client is turned off"


async def test_rights_return(apart: Parts, receiver: Receiver) -> None:
    """While nothing may be told nothing is numbered; with the rights back its client has it go on as always."""
    await client(apart)
    found = await owing(apart, receiver, labelled("a"))
    await client(apart, off=True)
    async with running(fanout(apart)), delivering(apart):
        await becomes(apart, ERROR)
        await publish(apart, labelled("b"))
        await matched(apart)
        await rewrite(apart, f"{receiver.url}/s")
        await becomes(apart, ERROR)
        assert receiver.received == []
        await client(apart)
        await rewrite(apart, f"{receiver.url}/s")
        await becomes(apart, ACTIVE)
        await publish(apart, labelled("c"))
        (received,) = await receiver.events("/s", 1)
    assert (received.numbers, received.foci) == ([2], ["Immunization/c"])
    assert await events(apart, found) == ["a", "c"]


async def raised(parts: Parts) -> None:
    await publish(parts, labelled("a", "R"))


async def raised_and_deleted(parts: Parts) -> None:
    await publish(parts, labelled("a", "R"))
    await Publisher(parts).put("a", method="delete")


async def rule_added(parts: Parts) -> None:
    await parts.suppressions.add("default", Rule("r", "Immunization?patient=Patient/1"))


async def not_kept(parts: Parts) -> None:
    for partition in parts.changes.partitions:
        place = f"hub:{{{partition.number}}}:resource:default/r4/Immunization/a"
        await parts.pipeline.command("HDEL", place, "b1")


UNSAID = [
    pytest.param(raised, id="label-raised"),
    pytest.param(raised_and_deleted, id="label-raised-and-deleted"),
    pytest.param(rule_added, id="suppressed"),
    pytest.param(not_kept, id="not-kept"),
]


def said(received: Received) -> str:
    return json.dumps(received.bundle)


@pytest.mark.parametrize("content", ["id-only", "full-resource"])
@pytest.mark.parametrize("happens", UNSAID)
async def test_owed_and_not_allowed_any_more(
    apart: Parts, receiver: Receiver, happens: Callable[[Parts], Awaitable[None]], content: str
) -> None:
    """The number stays, and of the resource nothing is said: the others are told as ever."""
    await client(apart, content=FULL)
    other = labelled("b", patient="2", lot="other")
    found = await owing(apart, receiver, labelled("a", lot="secret"), other, content=content, max_count=2)
    await happens(apart)
    await apart.due.rouse([found])
    async with delivering(apart):
        (received,) = await receiver.events("/s", 1)
    assert received.numbers == [1, 2]
    hidden, shown = received.parameters["notification-event"]
    assert sorted(hidden) == ["event-number", "timestamp"]
    assert shown["focus"]["reference"].endswith("Immunization/b")
    assert "Immunization/a" not in said(received)
    assert "secret" not in said(received)
    assert ("other" in said(received)) is (content == "full-resource")
    assert received.parameters["error"]["text"] == "not everything may be told any more: event 1"
    ((of, why),) = await suppressed(apart)
    assert (of, why.partition(": ")[0]) == ("Subscription/s Immunization/a/_history/1", "event 1")


async def test_clearance_lowered(apart: Parts, receiver: Receiver) -> None:
    """All events of before are beyond it."""
    await client(apart)
    await owing(apart, receiver, labelled("a"), max_count=2)
    await client(apart, clearance="L")
    async with delivering(apart):
        (received,) = await receiver.events("/s", 1)
    assert "Immunization" not in said(received)


async def test_repeat_that_says_less(apart: Parts, receiver: Receiver) -> None:
    """It is another Bundle, with the same numbers."""
    receiver.answers["/s"] = after_handshake(500, 500, 200)
    await client(apart, content=FULL)
    found = await owing(apart, receiver, labelled("a"), content="full-resource")
    async with delivering(apart, waits=(0.01, 3600.0)):
        first, again = await receiver.events("/s", 2)
        await raised(apart)
        await waiting(apart, found)
        await time_passes(apart, found)
        last = (await receiver.events("/s", 3))[2]
    assert first.body == again.body
    assert last.bundle["id"] != first.bundle["id"]
    assert [each.numbers for each in (first, last)] == [[1], [1]]
    assert "Immunization/a" not in said(last)


async def test_delete_of_what_was_allowed(apart: Parts, receiver: Receiver) -> None:
    """A delete is told by what was deleted; it says nothing when that has come back with more."""
    await client(apart)
    found = await owing(apart, receiver, labelled("a"), max_count=5)
    async with running(fanout(apart)):
        await Publisher(apart).put("a", method="delete")
        await matched(apart)
    assert len(await events(apart, found)) == 2
    async with delivering(apart):
        (received,) = await receiver.events("/s", 1)
        assert received.foci == ["Immunization/a"] * 2
        await publish(apart, labelled("a", "V"))
        await delivered(apart, 2)
        assert await apart.resending.ask(found, await state(apart), Range(1, 2), now=0) == Range(1, 2)
        resent = (await receiver.events("/s", 2))[1]
    assert resent.numbers == [1, 2]
    assert "Immunization" not in said(resent)


async def test_what_came_along(apart: Parts, receiver: Receiver) -> None:
    """What came along with an event and may not be told any more is left out of it."""
    await client(apart, scopes=f"{SCOPES} system/Patient.r", content=FULL)
    found = await owing(apart, receiver, labelled("a"), content="full-resource")
    await publish(apart, {"resourceType": "Patient", "id": "p", "name": [{"family": "Secret"}]})
    await apart.pipeline.command("DEL", found.outbox)
    event = ("type", "Immunization", "id", "a", "number", 1, "interaction", "create", "at", 1)
    await apart.pipeline.command("XADD", found.outbox, "1-0", *event, "included", "Patient/p/1")
    await apart.due.rouse([found])
    async with delivering(apart):
        (received,) = await receiver.events("/s", 1)
        assert "Secret" in said(received)
        await client(apart, content=FULL)
        await delivered(apart, 1)
        assert await apart.resending.ask(found, await state(apart), Range(1, 1), now=0) == Range(1, 1)
        resent = (await receiver.events("/s", 2))[1]
    assert resent.foci == ["Immunization/a"]
    assert "Patient/p" not in said(resent)
    assert "additional-context" not in said(resent)
    assert resent.bundle["id"] != received.bundle["id"]


async def test_a_client_that_was_just_made_is_known_everywhere(apart: Parts, receiver: Receiver) -> None:
    """It registers at once where it was made; what others saw a moment ago ends nothing, and loses no change."""
    elsewhere = replace(apart, access=Access(apart.pipeline, now))
    await apart.access.refresh()
    await client(elsewhere)
    key = await subscribe(apart, f"{receiver.url}/s", owner="lab")
    async with delivering(apart):
        await becomes(apart, ACTIVE)
    await client(elsewhere, scopes="system/Patient.rs")
    await apart.access.refresh()
    await client(elsewhere)
    async with running(fanout(apart)):
        await publish(apart, labelled("one"))
        await matched(apart)
    assert len(await events(apart, key)) == 1


async def test_whoever_is_made_due_is_looked_at_as_rights_are_now(apart: Parts, receiver: Receiver) -> None:
    """The clock may know of a withdrawal before a worker does, which then must not find that all is well."""
    elsewhere = telling_apart(replace(apart, access=Access(apart.pipeline, now)))
    await client(apart)
    await subscribe(apart, f"{receiver.url}/s", owner="lab")
    async with delivering(apart):
        await becomes(apart, ACTIVE)
        await swept(elsewhere)
        await quiet(apart, (await member(apart, "s")).key)
        await apart.access.refresh()
        await client(elsewhere, scopes="system/Patient.rs")
        assert await swept(elsewhere) == 1
        await becomes(apart, ERROR)
