"""A client's Subscriptions are counted: no more than may be are let in, and none takes all of what others need, too."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.keys import PLACES, SubscriptionKey
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from subscriptions.codes import IssueCode
from subscriptions.errors import Rejected
from tests.hub.api.named import ByName
from tests.hub.api.server import issue, serving
from tests.hub.conftest import close, settings
from tests.hub.engines import member, now, rewrite, subscribe
from tests.hub.test_scanned import FOUND, HOOK, NOT, OTHER, PLACE, counted
from tests.processes import subscription

MOST = 4
LIMITS = {"max_subscriptions": MOST, "max_scanned": 3, "max_scanned_of_client": 2}


@pytest.fixture
async def apis(redis_url: str, tmp_path: Path) -> AsyncIterator[list[Parts]]:
    """The parts of two api processes on one Redis."""
    few = settings(redis_url, tmp_path).model_copy(update=LIMITS)
    found = [await built(few), await built(few)]
    yield found
    for each in found:
        await close(each.client)


async def test_a_client_has_as_many_as_it_may(apis: list[Parts]) -> None:
    """One more is refused and leaves nothing; another client has its own, and nobody counts where nobody is known."""
    one, other = apis
    for number in range(MOST):
        await subscribe(one, HOOK, FOUND, id_=f"s{number}", owner="lab")
    with pytest.raises(Rejected) as refused:
        await subscribe(other, HOOK, FOUND, id_="more", owner="lab")
    (found,) = refused.value.issues
    assert (found.code, found.expression) == (IssueCode.TOO_COSTLY, "Subscription")
    assert "lab has 4 Subscriptions" in found.text
    assert await other.membership.find("default", (await member(one, "s0")).key.version, "more") is None
    await subscribe(other, HOOK, FOUND, id_="more", owner="ward")
    for number in range(MOST + 1):
        await subscribe(other, HOOK, FOUND, id_=f"a{number}")
    assert await counted(one) == {"@lab": MOST, "@ward": 1}


async def test_only_what_is_live_counts(apis: list[Parts]) -> None:
    """What is off or deleted makes room; and what is off comes back only where there is some."""
    one, other = apis
    for number in range(MOST):
        await subscribe(one, HOOK, FOUND, id_=f"s{number}", owner="lab")
    await rewrite(one, HOOK, FOUND, id_="s0", status="off")
    await one.membership.delete(await member(one, "s1"), expected="*")
    await rewrite(one, HOOK, FOUND, id_="s2")
    assert await counted(one) == {"@lab": MOST - 2}
    for id_ in ("t0", "t1"):
        await subscribe(other, HOOK, FOUND, id_=id_, owner="lab")
    with pytest.raises(Rejected):
        await rewrite(one, HOOK, FOUND, id_="s0")
    await subscribe(other, HOOK, FOUND, id_="t2", owner="lab", status="off")
    await rewrite(one, HOOK, FOUND, id_="s2")
    assert await counted(one) == {"@lab": MOST}
    for id_ in ("s0", "s2", "s3", "t0", "t1", "t2"):
        await one.membership.delete(await member(one, id_), expected="*")
    assert await counted(one) == {}
    assert await one.pipeline.command("HLEN", PLACES) == 0


async def test_of_many_that_come_at_once_just_as_many_are_let_in(apis: list[Parts]) -> None:
    coming = (subscribe(apis[n % 2], HOOK, FOUND, id_=f"s{n}", owner=f"c{n % 3}") for n in range(60))
    found = await asyncio.gather(*coming, return_exceptions=True)
    assert sum(isinstance(each, SubscriptionKey) for each in found) == 3 * MOST
    assert all(isinstance(each, SubscriptionKey | Rejected) for each in found)
    assert await counted(apis[0]) == {f"@c{n}": MOST for n in range(3)}
    await apis[0].membership.repair(now=now())
    assert await counted(apis[0]) == {f"@c{n}": MOST for n in range(3)}


async def test_no_client_takes_all_that_may_be_held_against_every_change(apis: list[Parts]) -> None:
    one, other = apis
    for number in range(2):
        await subscribe(one, HOOK, (NOT, OTHER)[number], id_=f"s{number}", owner="lab")
    with pytest.raises(Rejected, match="2 others of the same client"):
        await subscribe(other, HOOK, NOT, id_="more", owner="lab")
    await subscribe(other, HOOK, NOT, id_="more", owner="ward")
    with pytest.raises(Rejected, match="against those of 3 others on"):
        await subscribe(other, HOOK, NOT, id_="another", owner="ward")
    assert await counted(one) == {"@lab": 2, "@ward": 1, PLACE: 3, f"{PLACE} lab": 2, f"{PLACE} ward": 1}


async def test_a_client_is_told(redis_url: str, tmp_path: Path) -> None:
    """By a create, and by a dry run before; of others' it hears nothing."""
    few = settings(redis_url, tmp_path).model_copy(update=LIMITS | {"max_subscriptions": 1})
    wanted = subscription(HOOK, "Immunization", FOUND)
    async with serving(few, ByName()) as hub:
        for name in ("lab", "ward"):
            dry = await hub.post("/Subscription/$validate", wanted, x_name=name)
            assert dry.json()["issue"][0]["code"] == "informational"
            assert (await hub.post("/Subscription", wanted, x_name=name)).status_code == 201
            answer = await hub.post("/Subscription", wanted, x_name=name)
            assert (answer.status_code, issue(answer)["code"]) == (400, "too-costly")
            assert f"{name} has 1 Subscriptions" in issue(answer)["details"]["text"]
            dry = await hub.post("/Subscription/$validate", wanted, x_name=name)
            assert dry.json()["issue"][0]["code"] == "too-costly"
