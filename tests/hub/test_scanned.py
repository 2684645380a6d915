"""Subscriptions that every change is held against: they are counted, and no more than may be are let in."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from hub.errors import HubError
from hub.in_force import InForce
from hub.keys import PLACES, SCANNED, SubscriptionKey
from hub.outbox import Subscribed
from hub.registered import Registered
from hub.registry import On
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from subscriptions.codes import IssueCode
from subscriptions.errors import Rejected
from subscriptions.subscription import Subscription
from subscriptions.versions.forms import FORMS
from tests.hub.api.server import Hub, issue, serving
from tests.hub.conftest import close, settings
from tests.hub.engines import member, now, rewrite, subscribe
from tests.hub.life import R4
from tests.processes import TOPIC, subscription

MOST = 5
HOOK = "http://127.0.0.1/hook"
NOT = "Immunization?status:not=completed"
OTHER = "Immunization?date=ne2013"
FOUND = "Immunization?patient=Patient/1"
PLACE = f"default/r4/Immunization {TOPIC.format('immunization')}"


@pytest.fixture
async def apis(redis_url: str, tmp_path: Path) -> AsyncIterator[list[Parts]]:
    """The parts of two api processes on one Redis."""
    few = settings(redis_url, tmp_path).model_copy(update={"max_scanned": MOST})
    found = [await built(few), await built(few)]
    yield found
    for each in found:
        await close(each.client)


async def counted(parts: Parts) -> dict[str, int]:
    """By place."""
    pairs = await parts.pipeline.command("HGETALL", SCANNED)
    found = pairs if isinstance(pairs, dict) else dict(zip(pairs[::2], pairs[1::2], strict=True))
    return {place.decode(): int(count) for place, count in found.items()}


async def indexed(parts: Parts) -> dict[str, int]:
    """The same, as a matcher has it."""
    copy = InForce(parts.registry, parts.tenancy, parts.access)
    await copy.refresh()
    scanned = copy.index("default", R4).scanned
    return {f"default/r4/{type_} {url}": count for (url, type_), count in scanned.items()}


def parsed(resource: dict[str, Any]) -> Subscription:
    return FORMS[R4].parse_subscription(resource, now=datetime.now(UTC), allow_http=True)


async def filled(parts: Parts) -> None:
    for number in range(MOST):
        await subscribe(parts, HOOK, (NOT, OTHER)[number % 2], id_=f"s{number}")


async def test_one_more_than_may_be_is_refused_and_leaves_nothing(apis: list[Parts]) -> None:
    """Whoever can be looked up, or has no filter at all, is let in."""
    one, other = apis
    await filled(one)
    with pytest.raises(Rejected) as refused:
        await subscribe(other, HOOK, NOT, id_="more")
    (found,) = refused.value.issues
    assert (found.code, found.expression) == (IssueCode.TOO_COSTLY, "Subscription.criteria")
    assert "every change of Immunization" in found.text
    assert await other.registry.find("default", R4, "more") is None
    await subscribe(other, HOOK, NOT, FOUND, id_="found")
    await subscribe(other, HOOK, id_="all")
    assert await counted(one) == await indexed(one) == {PLACE: MOST}


async def test_whoever_goes_is_turned_off_or_asks_for_something_else_makes_room(apis: list[Parts]) -> None:
    one, other = apis
    await filled(one)
    await one.membership.delete(await member(one, "s0"), expected="*")
    await rewrite(one, HOOK, id_="s1", status="off")
    await rewrite(one, HOOK, FOUND, id_="s2")
    assert await counted(one) == await indexed(one) == {PLACE: MOST - 3}
    for number in range(3):
        await subscribe(other, HOOK, OTHER, id_=f"new{number}")
    with pytest.raises(Rejected):
        await rewrite(one, HOOK, NOT, id_="s1")
    assert await counted(one) == await indexed(one) == {PLACE: MOST}


async def test_where_it_is_full_whoever_is_there_may_change_and_whoever_comes_stays_as_it_was(
    apis: list[Parts],
) -> None:
    one, other = apis
    await subscribe(one, HOOK, FOUND, id_="found")
    await filled(one)
    await rewrite(other, HOOK, OTHER, id_="s0")
    before = await one.registry.find("default", R4, "found"), (await member(one, "found")).state
    with pytest.raises(Rejected):
        await rewrite(other, HOOK, FOUND.replace("patient", "status:not").replace("Patient/1", "x"), id_="found")
    assert (await one.registry.find("default", R4, "found"), (await member(one, "found")).state) == before
    assert await counted(one) == await indexed(one) == {PLACE: MOST}


async def test_an_update_that_comes_too_late_is_not_counted(apis: list[Parts]) -> None:
    one, _ = apis
    await subscribe(one, HOOK, FOUND)
    there = await member(one)
    resource = subscription(HOOK, "Immunization", NOT)
    wanted = parsed(resource)
    written = await one.membership.update(there, wanted, orjson.dumps(resource), expected="7", now=now())
    assert written.outcome is Subscribed.CONFLICT
    await one.membership.delete(there, expected="*")
    written = await one.membership.update(there, wanted, orjson.dumps(resource), expected="*", now=now())
    assert written.outcome is Subscribed.MISSING
    assert await counted(one) == {}
    assert await one.pipeline.command("HLEN", PLACES) == 0


async def test_of_many_that_come_at_once_to_several_processes_just_as_many_are_let_in_as_may_be(
    apis: list[Parts],
) -> None:
    coming = (subscribe(apis[n % 2], HOOK, (NOT, OTHER)[n % 3 > 0], id_=f"s{n}") for n in range(40))
    found = await asyncio.gather(*coming, return_exceptions=True)
    assert sum(isinstance(each, SubscriptionKey) for each in found) == MOST
    assert all(isinstance(each, SubscriptionKey | Rejected) for each in found)
    assert await counted(apis[0]) == await indexed(apis[1]) == {PLACE: MOST}


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_at_once_there_are_never_more_and_all_are_counted(apis: list[Parts], seed: int) -> None:
    """Creates, changes and deletes of few ids by two processes, while a third one counts."""
    dice, done = random.Random(seed), False

    async def act(parts: Parts) -> None:
        id_, filters = f"s{dice.randrange(9)}", dice.choice([(NOT,), (NOT,), (OTHER,), (FOUND,), ()])
        held = await parts.membership.find("default", R4, id_)
        resource = subscription(HOOK, "Immunization", *filters, status=dice.choice(["requested", "requested", "off"]))
        wanted, body = parsed(resource), orjson.dumps(resource)
        try:
            if held is None:
                await parts.membership.create("default", R4, id_, wanted, body, now=now())
            elif dice.random() < 0.2:
                await parts.membership.delete(held, expected="*")
            else:
                await parts.membership.update(held, wanted, body, expected="*", now=now())
        except (Rejected, HubError):
            pass  # refused, or overtaken by another

    async def watch() -> int:
        most = 0
        while not done:
            most = max(most, *(await counted(apis[0])).values(), *(await indexed(apis[1])).values(), 0)
        return most

    watching = asyncio.create_task(watch())
    for _ in range(20):
        await asyncio.gather(*(act(parts) for parts in apis * 5))
    done = True
    assert 0 < await watching <= MOST
    await apis[0].membership.repair(now=now())
    assert await counted(apis[0]) == await indexed(apis[1])


async def test_what_a_crashed_update_had_joined_is_forgotten_when_it_is_written_again(apis: list[Parts]) -> None:
    one, _ = apis
    key = await subscribe(one, HOOK, FOUND)
    registered = await one.registry.find("default", R4, "s")
    assert registered is not None
    wanted = Registered(key, True, 1, now(), orjson.dumps(subscription(HOOK, "Immunization", NOT)))
    assert await one.registry.join(registered, On(), wanted)
    assert await counted(one) == {PLACE: 1}
    await rewrite(one, HOOK, FOUND)
    assert await counted(one) == {PLACE: 1}  # it may still be under way
    held = orjson.loads(await one.pipeline.command("HGET", PLACES, key.registered_as))
    (token,) = held
    held[token]["at"] -= 61_000
    await one.pipeline.command("HSET", PLACES, key.registered_as, orjson.dumps(held))
    await rewrite(one, HOOK, FOUND)
    assert await counted(one) == {}


async def post(hub: Hub, *filters: str) -> httpx.Response:
    return await hub.post("/Subscription", subscription(HOOK, "Immunization", *filters))


async def test_a_client_is_told_that_it_is_too_costly(redis_url: str, tmp_path: Path) -> None:
    few = settings(redis_url, tmp_path).model_copy(update={"max_scanned": 1})
    async with serving(few) as hub:
        assert (await post(hub, NOT)).status_code == 201
        answer = await post(hub, OTHER)
        assert answer.status_code == 400
        told = issue(answer)
        assert (told["code"], told["expression"]) == ("too-costly", ["Subscription.criteria"])
        assert (await post(hub, OTHER, FOUND)).status_code == 201


async def test_a_dry_run_says_what_a_registration_would_be_told(redis_url: str, tmp_path: Path) -> None:
    """Whoever is there already may stay, and a dry run counts for nothing."""
    few = settings(redis_url, tmp_path).model_copy(update={"max_scanned": 1})

    async def told(hub: Hub, where: str, *filters: str, **more: Any) -> str:
        body = subscription(HOOK, "Immunization", *filters) | more
        return str((await hub.post(f"Subscription/{where}$validate", body)).json()["issue"][0]["code"])

    async with serving(few) as hub:
        for _ in range(2):
            assert await told(hub, "", NOT) == "informational"
        await subscribe(hub.parts, HOOK, NOT, id_="there")
        await subscribe(hub.parts, HOOK, FOUND, id_="found")
        before = await counted(hub.parts)
        assert await told(hub, "", OTHER) == "too-costly"
        assert await told(hub, "", OTHER, status="off") == "informational"
        assert await told(hub, "", OTHER, FOUND) == "informational"
        assert await told(hub, "there/", OTHER, id="there") == "informational"
        assert await told(hub, "found/", OTHER, id="found") == "too-costly"
        assert await counted(hub.parts) == before == {PLACE: 1}
