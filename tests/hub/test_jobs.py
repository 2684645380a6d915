"""RQ's jobs, and what becomes of the hub when RQ's Redis or what a job runs fails."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer

from hub.errors import Unavailable
from hub.jobs import PumpWorker, queue, top_up
from hub.keys import CLOCK, Partition, Shard
from hub.pump import DELIVER, MATCH, Pump
from hub.wiring.parts import Parts
from tests.facts import eventually, until
from tests.hub.conftest import BASE, settings
from tests.hub.engines import Publisher, matched
from tests.hub.test_clock import left_alone
from tests.redis_server import RedisServer


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a Redis that can be connected to, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def hub_clock(redis_url: str, rq_redis_url: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`hub clock`, which logs to a file."""
    own = {"HUB_REDIS_URL": redis_url, "HUB_RQ_REDIS_URL": rq_redis_url, "HUB_DATA_DIR": str(log.parent / "none")}
    command = [sys.executable, "-m", "hub", "clock"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=os.environ | own | {"HUB_BASE_URL": BASE}, stderr=file)
    with process:
        try:
            yield process
        finally:
            process.kill()


async def test_the_clock_goes_on_and_can_be_stopped_when_rqs_redis_never_answers(
    parts: Parts, redis_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with silent() as rq, hub_clock(redis_url, rq, log) as clock:
        await eventually(lambda: parts.pipeline.command("EXISTS", CLOCK))
        await left_alone(parts)
        await eventually(lambda: "RQ's Redis did not confirm" in log.read_text())
        clock.terminate()
        await eventually(lambda: clock.poll() is not None)
        assert clock.returncode == 0


def break_match(redis: Redis) -> None:
    """Put a change that nobody can read."""
    redis.xadd(Partition(0).changes, {"no": "change"})


def break_deliver(redis: Redis) -> None:
    """Let something be due that is no subscription."""
    redis.zadd(Shard(0).due, {uuid4().hex: 1})


@pytest.mark.parametrize(("kind", "break_it"), [(MATCH, break_match), (DELIVER, break_deliver)], ids=[MATCH, DELIVER])
def test_an_engine_that_fails_leaves_no_connections_behind(
    redis_url: str, rq_redis_url: str, tmp_path: Path, kind: str, break_it: Callable[[Redis], None]
) -> None:
    """Each shift begins anew, with those that are there: one for questions, and one for each stream."""
    own = settings(redis_url, tmp_path).model_copy(update={"rq_redis_url": rq_redis_url})
    waiting = queue(kind, own)
    with Redis.from_url(redis_url) as redis, asyncio.Runner() as runner:
        pump = Pump(own, kind, lambda: top_up(waiting), runner)
        others = redis.info("clients")["connected_clients"]
        for _ in range(6):
            break_it(redis)
            with pytest.raises(ExceptionGroup):
                runner.run(pump.shift())
        assert redis.info("clients")["connected_clients"] - others <= 1 + own.partitions
        runner.run(pump.close())
        until(lambda: redis.info("clients")["connected_clients"] <= others)
    waiting.connection.close()


def test_a_worker_that_waits_for_a_job_quits_when_rqs_redis_goes(redis_url: str, tmp_path: Path) -> None:
    """RQ's own goes on waiting until its Redis is back, and meanwhile nothing is pumped."""
    with RedisServer() as rq, asyncio.Runner() as runner:
        own = settings(redis_url, tmp_path).model_copy(update={"rq_redis_url": rq.url})
        jobs = queue(MATCH, own)
        worker = PumpWorker([jobs], connection=jobs.connection, serializer=JSONSerializer)
        worker.pump = Pump(own, MATCH, lambda: top_up(jobs), runner)
        worker.heartbeat()
        rq.kill()
        with pytest.raises(StopRequested):
            worker.heartbeat()
        jobs.connection.close()


@dataclass
class Successor:
    """What has the next shift wait: silent until it is let go, then away so many times. `let_go`: it was, each time."""

    away: int
    silent: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    let_go: bool = True

    def __call__(self) -> None:
        self.asked += 1
        self.let_go &= self.silent.wait(30)
        if self.away:
            self.away -= 1
            raise Unavailable("away")


async def test_a_shift_goes_on_until_the_next_one_waits(parts: Parts, tmp_path: Path, redis_url: str) -> None:
    successor = Successor(away=1)
    own = settings(redis_url, tmp_path).model_copy(update={"pump_seconds": 0.01})
    pump = Pump(own, MATCH, successor, asyncio.Runner())
    try:
        shift = asyncio.create_task(pump.shift())
        await eventually(lambda: successor.asked)
        await Publisher(parts).put()
        await matched(parts)
        assert not shift.done()
        successor.silent.set()
        await shift
        assert (successor.asked, pump.deserted) == (2, True)
        await pump.shift()
        assert (successor.asked, pump.deserted) == (3, False)
        assert successor.let_go  # the loop went on meanwhile
    finally:
        successor.silent.set()
        await pump.close()
