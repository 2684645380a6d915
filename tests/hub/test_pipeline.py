"""Commands of many coroutines in few round trips: each gets its own answer, whatever becomes of the others."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files

import pytest
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from hub.errors import Unavailable
from hub.memory import Memory
from hub.pipeline import Client, Pipeline, Streams, script
from hub.settings import Settings
from hub.wire import Wire
from hub.wiring.parts import connect
from tests.hub.conftest import SCRIPTS, close
from tests.redis_server import RedisServer

READ = script("read")


def of(url: str, *, cluster: bool) -> Settings:
    return Settings(redis_url=url, redis_cluster=cluster, rq_redis_url="redis://nobody" if cluster else "")


@pytest.fixture(params=["plain", "resp2", "cluster"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A client for one server, one that speaks the older protocol with it, and one for a Cluster."""
    url = request.getfixturevalue("redis_cluster_url" if request.param == "cluster" else "redis_url")
    url += "?protocol=2" if request.param == "resp2" else ""
    client = connect(of(url, cluster=request.param == "cluster"), Memory())
    yield client
    await close(client)


@pytest.fixture
def pipeline(client: Client) -> Pipeline:
    return Pipeline(client)


@pytest.fixture(params=[False, True], ids=["plain", "cluster"])
def mortal(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server of its own, to be killed."""
    with RedisServer(cluster=request.param) as server:
        yield server


async def connected(server: RedisServer) -> Client:
    url = f"redis://127.0.0.1:{server.port}" if server.cluster else server.url
    return connect(of(url, cluster=server.cluster), Memory())


async def test_each_of_many_gets_its_own_answer(pipeline: Pipeline) -> None:
    """More than travel in one pipeline, in all of them at once."""

    async def one(number: int) -> bool:
        key = f"k{number}"
        await pipeline.command("SET", key, number)
        return int(await pipeline.command("GET", key)) == number

    assert all(await asyncio.gather(*(one(number) for number in range(3000))))


async def test_what_is_asked_for_at_once_is_done_in_its_order(pipeline: Pipeline) -> None:
    numbers = [str(number).encode() for number in range(400)]
    await pipeline.all([("RPUSH", "list", number) for number in numbers])
    assert await pipeline.command("LRANGE", "list", 0, -1) == numbers


async def test_what_is_asked_for_together_travels_together(redis_server: RedisServer) -> None:
    """A hundred commands arrive in a few pieces: then a Redis that syncs each of its turns to disk syncs few times."""
    pieces = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal pieces
        theirs, ours = await asyncio.open_unix_connection(redis_server.socket)

        async def back() -> None:
            while data := await theirs.read(1 << 20):
                writer.write(data)

        answers = asyncio.create_task(back())
        while data := await reader.read(1 << 20):
            pieces += 1
            ours.write(data)
        answers.cancel()
        ours.close()
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    client = connect(Settings(redis_url=f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"), Memory())
    pipeline = Pipeline(client)
    async with server:
        await asyncio.gather(*(pipeline.command("PING") for _ in range(8)))
        before = pieces
        await asyncio.gather(*(pipeline.command("SET", f"k{number}", "v") for number in range(100)))
        assert pieces - before <= 4
        await close(client)


async def test_a_command_that_fails_fails_alone(pipeline: Pipeline) -> None:
    await pipeline.command("SET", "text", "x")
    commands = [("INCR", "text") if number % 10 == 3 else ("GET", "text") for number in range(50)]
    results = await asyncio.gather(*(pipeline.command(*command) for command in commands), return_exceptions=True)
    for command, result in zip(commands, results, strict=True):
        assert isinstance(result, Unavailable) if command[0] == "INCR" else result == b"x"
    failed = next(result for result in results if isinstance(result, Unavailable))
    assert isinstance(failed.__cause__, RedisError)


async def test_whoever_stops_waiting_leaves_the_others_their_answers(pipeline: Pipeline) -> None:
    tasks = [asyncio.create_task(_echo(pipeline, number)) for number in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == list(range(1, 100, 2))
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])


async def _echo(pipeline: Pipeline, number: int) -> int:
    await pipeline.command("SET", f"k{number}", number)
    return int(await pipeline.command("GET", f"k{number}"))


async def test_a_command_that_cannot_be_sent_leaves_nobody_waiting(pipeline: Pipeline) -> None:
    """A bug of ours, such as half a character, fails with all that travels with it, and nothing after it."""
    async with asyncio.timeout(10):
        results = await asyncio.gather(
            pipeline.command("GET", "a"), pipeline.command("GET", "\ud800"), return_exceptions=True
        )
        assert isinstance(results[1], UnicodeEncodeError)
        assert await pipeline.command("GET", "a") is None


async def test_a_script_that_redis_does_not_know_is_sent_whole_once(
    pipeline: Pipeline, redis_server: RedisServer
) -> None:
    """After a restart; each of many that call it at once finds out by itself."""
    key = "hub:{0}:resource:x"
    await pipeline.command("HSET", key, "version", 1, "m1", "create 1", "b1", "body")
    for _ in range(2):
        assert (
            await asyncio.gather(*(pipeline.run(READ, [key], "") for _ in range(20)))
            == [[b"1", b"create 1", b"body", b""]] * 20
        )
        assert await pipeline.command("EVALSHA", READ.digest, 1, key, "") == [b"1", b"create 1", b"body", b""]
        with redis_server.client() as redis:
            redis.script_flush()


async def test_a_redis_that_dies_is_unavailable_to_each_waiter_and_works_again_when_it_is_back(
    mortal: RedisServer,
) -> None:
    """What it had confirmed is there; of the rest nobody knows, and nothing was done twice."""
    client = await connected(mortal)
    pipeline = Pipeline(client)
    confirmed, unknown, under_way = [0] * 40, [0] * 40, asyncio.Event()

    async def add(number: int) -> None:
        while True:
            try:
                await pipeline.command("INCR", f"k{number}")
            except Unavailable:
                unknown[number] += 1
                return
            confirmed[number] += 1
            if all(confirmed):
                under_way.set()

    adding = [asyncio.create_task(add(number)) for number in range(40)]
    await under_way.wait()
    mortal.kill()
    async with asyncio.timeout(20):
        await asyncio.gather(*adding)
        with pytest.raises(Unavailable):
            await pipeline.command("GET", "k0")
        mortal.start()
        counted = [int(await pipeline.command("GET", f"k{number}")) for number in range(40)]
    assert unknown == [1] * 40
    assert all(sure <= found <= sure + 1 for sure, found in zip(confirmed, counted, strict=True))
    await close(client)


async def test_a_redis_that_says_nothing_any_more_is_given_up_and_asked_again_later() -> None:
    with RedisServer() as server:
        client = await connected(server)
        assert isinstance(client, Redis)
        wire = Wire(client.connection_pool, patience=2)
        await wire.ask(("SET", "k", "v"))
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        asked = [wire.ask(("GET", "k")) for _ in range(3)]
        async with asyncio.timeout(30):
            assert [type(said) for said in await asyncio.gather(*asked, return_exceptions=True)] == [Unavailable] * 3
            server.process.send_signal(signal.SIGCONT)
            assert await wire.ask(("GET", "k")) == b"v"
        await close(client)


async def test_a_connection_that_is_lost_while_it_is_made_is_unavailable(redis_url: str) -> None:
    """uvloop says so by an error of its own, which redis-py takes for a bug."""

    async def lost(connection: AbstractConnection) -> None:
        await connection.on_connect()
        assert connection._writer is not None
        connection._writer.transport.abort()
        await asyncio.sleep(0.01)
        await connection.send_command("PING")

    pool = ConnectionPool.from_url(redis_url, socket_timeout=5, redis_connect_func=lost)
    with pytest.raises(Unavailable):
        await Wire(pool).ask(("GET", "k"))
    await pool.disconnect()


async def test_following_a_stream_waits_for_an_entry_and_not_longer_than_it_may(client: Client) -> None:
    pipeline, streams = Pipeline(client), Streams(client)
    stream = "hub:{0}:changes"
    assert await streams.follow(stream, "0-0", count=9, wait_ms=1) == []
    waiting = asyncio.create_task(streams.follow(stream, "0-0", count=9, wait_ms=60_000))
    id_ = (await pipeline.command("XADD", stream, "*", "a", "1")).decode()
    async with asyncio.timeout(10):
        assert await waiting == [(id_, {b"a": b"1"})]
    assert await streams.follow(stream, id_, count=9, wait_ms=1) == []


async def test_whoever_is_told_to_stop_following_stops_at_whatever_moment(client: Client) -> None:
    """Before Python 3.12 `asyncio.wait_for`, with which redis-py sends, may swallow that, and nobody ever stops."""
    streams = Streams(client)
    await streams.follow("stream", "0-0", count=1, wait_ms=1)
    for turns in range(20):
        following = asyncio.create_task(streams.follow("stream", "0-0", count=1, wait_ms=5_000))
        for _ in range(turns):
            await asyncio.sleep(0)
        following.cancel()
        await asyncio.wait({following})
        assert following.cancelled()
    assert await streams.follow("stream", "0-0", count=1, wait_ms=1) == []


async def test_following_a_stream_of_a_redis_that_dies_is_unavailable() -> None:
    with RedisServer() as server:
        client = await connected(server)
        waiting = asyncio.create_task(Streams(client).follow("stream", "$", count=9, wait_ms=60_000))
        await asyncio.to_thread(_blocked, server)
        server.kill()
        async with asyncio.timeout(20):
            with pytest.raises(Unavailable):
                await waiting
        await close(client)


def _blocked(server: RedisServer) -> None:
    """Return when somebody waits."""
    with server.client() as redis:
        while not redis.info("clients")["blocked_clients"]:
            pass


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_touches_the_keys_that_it_names_and_no_others(name: str) -> None:
    """On one node nobody would notice; a Cluster checks only what is named, and finds it by its hash tag."""
    source = (files("hub") / "lua" / f"{name}.lua").read_text()
    code = "\n".join(line.partition("--")[0] for line in source.splitlines())
    handed_on = {
        "alert": ("key",),
        "dropped": ("key",),
        "passed_by": ("key",),
        "pin": ("key", "outbox"),
        "places": ("counts", "names"),
    }  # what those who include them name
    calls = re.findall(r"redis\.call\('(\w+)'(?:, ([^,)]+))?", code)
    assert len(calls) == code.count("redis.call(")
    for command, key in calls:
        if command != "TIME":
            assert re.fullmatch(r"KEYS\[(\d|i|#KEYS)\]", key) or key in handed_on.get(name, ()), (command, key)
    assert set(
        re.findall(r"(?<!function )\b(?:pin|alert|count_dropped|passed_by|strike_out)\((\w+\[?\d?\]?)", code)
    ) <= {
        "KEYS[1]",
        *handed_on.get(name, ()),
    }
    for keys in re.findall(r"(?<!function )stand\(([^,]+), ([^,]+)", code):
        assert all(re.fullmatch(r"KEYS\[\d\]", key) for key in keys)
