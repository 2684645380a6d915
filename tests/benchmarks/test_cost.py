"""What a delivered event costs Redis: the commands that it is asked for, as MONITOR shows them, on the whole trip."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from tests.benchmarks import programs
from tests.benchmarks.load import Load, publish, publisher
from tests.benchmarks.programs import Hub
from tests.benchmarks.report import Report
from tests.benchmarks.sink import Arrival
from tests.benchmarks.test_burst import BODY, SUBSCRIBERS, register
from tests.processes import subscription

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(240)]

#: Seconds of publishing, and changes of which each concerns all of many subscribers.
SECONDS, CHANGES = 5, 5


@contextmanager
def monitored(url: str) -> Iterator["Counter[str]"]:
    """Commands by whether they came from a `client` or from inside a `script`, until it is left."""
    found: Counter[str] = Counter()
    ready, over = threading.Event(), threading.Event()

    def watch() -> None:
        with Redis.from_url(url) as redis, redis.monitor() as monitor:
            ready.set()
            while not over.is_set():
                found["script" if monitor.next_command()["client_type"] == "lua" else "client"] += 1

    thread = threading.Thread(target=watch)
    thread.start()
    assert ready.wait(10)
    try:
        yield found
    finally:
        over.set()
        with Redis.from_url(url) as redis:
            redis.ping()  # one more command, so that the monitor looks
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("how", ["max-count-50", "without-max-count", "burst"])
async def test_cost(how: str, tmp_path: Path, report: Report) -> None:
    """Under load to one subscription; or a few changes, one after the other, each to a thousand."""
    async with programs.sink(tmp_path / "sink.log") as sink, Hub(tmp_path / "hub") as hub:
        if how == "burst":
            await register(hub, [f"{sink.url}/{n}" for n in range(SUBSCRIBERS)])
        else:
            options = {"max_count": 50} if how == "max-count-50" else {}
            await hub.subscribe(subscription(f"{sink.url}/all", "Observation", **options))
        await _told(hub, sink, how)  # scripts and subscriptions are known from now on
        url = await asyncio.to_thread((tmp_path / "hub" / "redis.url").read_text)
        before = hub.cpu()
        with monitored(url) as commands:
            arrivals = await _told(hub, sink, how)
        used = {name: seconds - before[name] for name, seconds in hub.cpu().items()}
    events = sum(len(arrival.events) for arrival in arrivals)
    asked, inside = commands["client"] / events, commands["script"] / events
    report.add(
        f"Redis commands for each delivered event, from its POST on, {how}",
        f"{asked:.1f}, and {inside:.1f} inside scripts",
        "–",
        "≤ 6",
        asked <= 6,
        events=events,
        notifications=len(arrivals),
        cpu_us_each={name: round(seconds / events * 1e6) for name, seconds in used.items()},
    )


async def _told(hub: Hub, sink: programs.SinkProcess, how: str) -> list[Arrival]:
    """Publish, and wait until all of it has been delivered."""
    await sink.clear()
    url, body = f"{hub.url}/fhir/r4/Observation", await asyncio.to_thread(BODY.read_bytes)
    if how != "burst":
        load = await publish(url, body, seconds=SECONDS)
        return await sink.arrivals(events=len(load.answers))
    for number in range(1, CHANGES + 1):
        async with publisher(url, body, Load()) as connection:
            await connection.post()
        await sink.arrivals(events=number * SUBSCRIBERS)
    return await sink.arrivals()
