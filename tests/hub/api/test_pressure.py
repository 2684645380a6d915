"""A hub that is full or behind: publishers are told to come back, and what it has goes on its way."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from hub import clock
from hub.keys import Partition
from hub.wiring import workers
from tests.facts import eventually
from tests.hub.api.server import Hub, issue, patient, serving
from tests.hub.conftest import settings
from tests.hub.engines import fanout, matched, running
from tests.processes import subscription
from tests.redis_server import RedisServer

ENDPOINT = "http://127.0.0.1:9/"
WRITES = {"method": "PUT", "url": "Patient/c"}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One of its own, whose memory may be limited."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    with server.client() as redis:
        yield redis


@pytest.fixture
async def hub(server: RedisServer, tmp_path: Path) -> AsyncIterator[Hub]:
    wanted = settings(server.url, tmp_path)
    async with serving(wanted.model_copy(update={"max_match_lag": 3_600.0})) as found:
        yield found


def declined(answer: httpx.Response) -> str:
    """What a client is told that must come back."""
    assert (answer.status_code, issue(answer)["code"]) == (503, "throttled")
    assert answer.headers["Retry-After"] == "10"
    text = str(issue(answer)["diagnostics"])
    assert text.endswith("Nothing was stored.")
    return text


async def declines(hub: Hub) -> str:
    """What `/readyz` says of it."""
    answer = await hub.get(str(hub.client.base_url).removesuffix("/fhir/r4/") + "/readyz")
    assert answer.status_code == 200
    return str(answer.json().get("declines", ""))


async def is_declining(hub: Hub) -> bool:
    return bool(await declines(hub))


async def accepts(hub: Hub) -> bool:
    return not await declines(hub)


def bundle(type_: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


async def check_all(hub: Hub, said: str) -> None:
    """Nothing is stored; what is there can be read, and Subscriptions can be changed and deleted."""
    wanted = subscription(ENDPOINT, status="off")
    writing = {"resource": patient("c"), "request": WRITES}
    for answer in (
        await hub.post("/Patient", patient()),
        await hub.post("/Patient", patient(), if_none_exist="name=x"),
        await hub.put("/Patient/a", patient("a")),
        await hub.delete("/Patient/a"),
        await hub.post("", bundle("transaction", writing)),
        await hub.post("/Subscription", wanted),
        await hub.put("/Subscription/other", wanted | {"id": "other"}),
    ):
        assert said in declined(answer)
    reading = {"request": {"method": "GET", "url": "Patient/a"}}
    batch = (await hub.post("", bundle("batch", writing, reading))).json()
    assert [entry["response"]["status"][:3] for entry in batch["entry"]] == ["503", "200"]
    assert (await hub.get("/Patient/a")).headers["ETag"] == 'W/"1"'
    assert (await hub.put("/Subscription/s", wanted | {"id": "s"})).status_code == 200
    assert (await hub.delete("/Subscription/s")).status_code == 204
    assert said in await declines(hub)


async def test_a_hub_that_is_full(hub: Hub, redis: Redis) -> None:
    """From a share of `maxmemory` on, below which it takes all again."""
    await hub.put("/Patient/a", patient("a"))
    await hub.put("/Subscription/s", subscription(ENDPOINT, status="off") | {"id": "s"})
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / 0.85))
    await eventually(lambda: is_declining(hub))
    await check_all(hub, "nothing is stored from 80 % on")
    redis.config_set("maxmemory", 0)
    await eventually(lambda: accepts(hub))
    assert (await hub.put("/Patient/a", patient("a"))).headers["ETag"] == 'W/"2"'


@pytest.mark.parametrize(("given", "full"), [(1_000, True), (0, False)])
async def test_a_redis_without_a_limit_has_what_it_is_given_or_its_machine(
    server: RedisServer, tmp_path: Path, given: int, full: bool
) -> None:
    wanted = settings(server.url, tmp_path)
    async with serving(wanted.model_copy(update={"max_memory_bytes": given})) as hub:
        assert await is_declining(hub) is full


async def test_a_hub_that_is_behind(hub: Hub, redis: Redis) -> None:
    """By the age of the oldest change that is not matched; changes that are matched don't count."""
    await hub.put("/Patient/a", patient("a"))
    await hub.put("/Subscription/s", subscription(ENDPOINT, status="off") | {"id": "s"})
    (changes,) = redis.scan_iter("hub:{*}:changes")
    partition = Partition(int(changes[5]))
    # An older one of another partition: as if nobody had matched for a day.
    other = Partition((partition.number + 1) % 4)
    day_ago = f"{(redis.time()[0] - 86_400) * 1000}-0"
    redis.xadd(other.changes, {"tenant": "default"}, id=day_ago)
    await eventually(lambda: is_declining(hub))
    await check_all(hub, "the oldest change that is not matched was stored 86,")
    redis.set(other.matched, day_ago)
    await eventually(lambda: accepts(hub))
    assert (await hub.put("/Patient/a", patient("a"))).headers["ETag"] == 'W/"2"'


async def test_a_hub_that_has_too_much_to_match(server: RedisServer, tmp_path: Path) -> None:
    """By the number of changes that are not matched, however young they are; matching lets writes in again."""
    wanted = settings(server.url, tmp_path).model_copy(update={"max_unmatched": 3})
    async with serving(wanted) as hub:
        await hub.put("/Subscription/s", subscription(ENDPOINT, status="off") | {"id": "s"})
        for number in range(2):
            assert (await hub.put(f"/Patient/p{number}", patient(f"p{number}"))).status_code == 201
        assert await accepts(hub)
        assert (await hub.put("/Patient/a", patient("a"))).status_code == 201
        await eventually(lambda: is_declining(hub))
        await check_all(hub, "The hub is behind: 3 changes are not matched yet")
        async with running(fanout(hub.parts)):
            await eventually(lambda: accepts(hub))
        assert (await hub.put("/Patient/a", patient("a"))).headers["ETag"] == 'W/"2"'


async def test_room_that_retention_makes_lets_writes_in_again(
    server: RedisServer, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Nobody does anything but the clock: what was superseded two seconds ago goes, and all is as before. Also when Redis
    itself takes nothing more.
    """
    monkeypatch.setattr(clock, "SELDOM", 0.1)
    wanted = settings(server.url, tmp_path).model_copy(update={"retention_days": 2 / 86_400})
    long = {"contact": [{"name": {"text": "x" * 20_000}}]}
    async with serving(wanted) as hub, running(fanout(hub.parts)):
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / 0.8) + 8_000_000)
        written = 0
        while not await is_declining(hub):
            written += (await hub.put("/Patient/a", patient("a", **long))).is_success
        assert "The hub is full" in declined(await hub.put("/Patient/a", patient("a")))
        await matched(hub.parts)
        redis.config_set("maxmemory", redis.info("memory")["used_memory"] - 1_000_000)
        with pytest.raises(OutOfMemoryError):
            redis.set("more", "x")
        assert await is_declining(hub)
        async with running(workers.clock(hub.parts, top_up=nothing)):
            await eventually(lambda: accepts(hub))
        answer = await hub.put("/Patient/a", patient("a"))
        assert answer.headers["ETag"] == f'W/"{written + 1}"'
        assert (await hub.get("/Patient/a/_history/1")).status_code in (404, 410)


async def nothing() -> None:
    """No pumps are needed here."""


async def test_a_cluster_is_full_when_one_of_its_servers_is(redis_cluster_url: str, tmp_path: Path) -> None:
    wanted = settings(redis_cluster_url, tmp_path).model_copy(update={"redis_cluster": True, "max_memory_bytes": 1_000})
    async with serving(wanted) as hub:
        assert "The hub is full" in declined(await hub.put("/Patient/a", patient("a")))
