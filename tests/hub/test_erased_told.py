"""What was erased is told to nobody: not in what is pinned already, nor when events are sent once more."""

import pytest

from hub.erasures import Order, Stage
from hub.wiring.erasing import erasing
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from tests.hub.engines import R4, Publisher, becomes, delivering, fanout, matched, running, state, subscribe
from tests.receiver import Receiver, after_handshake

SECRET = "Wharerau"


async def erase(parts: Parts, id_: str) -> None:
    erasure = await erasing(parts).run(Order("default", R4, "Immunization", id_, False, "operator"))
    assert erasure.stage is Stage.DONE


async def test_what_is_pinned(parts: Parts, receiver: Receiver) -> None:
    """A notification that is being retried says less from then on, under an id of its own; the number stays."""
    receiver.answers["/s"] = after_handshake(500)
    key = await subscribe(parts, f"{receiver.url}/s", content="full-resource")
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts, waits=(0.1,) * 1000):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await publisher.put("gone", status=SECRET)
        await receiver.numbered("/s", 1)
        await erase(parts, "gone")
        before = len(receiver.at("/s"))
        await receiver.until(lambda: len(receiver.at("/s")) > before + 2)
        tried = [each for each in receiver.at("/s") if each.numbers]
        first, last = tried[0], tried[-1]
        assert SECRET.encode() in first.body
        # One more may have been on its way already.
        assert all(SECRET.encode() not in each.body for each in receiver.at("/s")[before + 1 :])
        assert first.bundle["id"] != last.bundle["id"]
        assert (first.numbers, last.numbers) == ([1], [1])
        errors = [each for each in last.bundle["entry"][0]["resource"]["parameter"] if each["name"] == "error"]
        assert [each["valueCodeableConcept"]["text"] for each in errors] == [
            "not all resources are kept any more as they were: event 1"
        ]
        del receiver.answers["/s"]
        await publisher.put("more")
        await matched(parts)
        await receiver.numbered("/s", 2)
    assert (await parts.outboxes.events(key, 1, 1))[0].id == "gone"


@pytest.mark.parametrize("content", ["id-only", "empty"])
async def test_an_event_without_a_body(parts: Parts, receiver: Receiver, content: str) -> None:
    """Whoever is told no more than an id is told the event all the same."""
    await subscribe(parts, f"{receiver.url}/s", content=content)
    publisher = Publisher(parts)
    async with running(fanout(parts)):
        async with delivering(parts):
            await becomes(parts, SubscriptionStatus.ACTIVE)
        await publisher.put("gone", status=SECRET)
        await matched(parts)
        await erase(parts, "gone")
        async with delivering(parts):
            await receiver.numbered("/s", 1)
    assert (await state(parts)).events == 1
    assert not [each for each in receiver.at("/s") if SECRET.encode() in each.body]
