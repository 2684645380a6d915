"""
The pumps: RQ jobs that match and deliver, one shift each. RQ lives here and nowhere else.

RQ starts, spreads, supervises and shows the work; the truth is in the streams and outboxes, so a job that is lost or
doubled costs some latency and nothing else. A worker process has one event loop for its life, and on it one engine that
goes on from shift to shift: a shift is the permission to run for a minute. One job always waits in each queue, put
there by the shift before it or by the clock, so that whoever is free goes on at once.

A worker listens on one queue only: with two, RQ loses a job for good when it is killed right after taking it.
"""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from logging import getLogger

import uvloop
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer

from hub.errors import Unavailable
from hub.foundation import unusable
from hub.settings import Settings
from hub.wiring import workers
from hub.wiring.parts import Parts, ended, parts

log = getLogger("hub.jobs")

MATCH, DELIVER = "match", "deliver"
KINDS = (MATCH, DELIVER)

#: Seconds after which RQ's alarm would go off inside the loop, beyond a shift's end: it must not.
ALARM = 60
#: Seconds for RQ's Redis to take a connection, and to answer whoever sees to it that a pump waits.
PATIENCE = 5.0
#: From it, in seconds, RQ reckons how long a worker's reads may block: it waits for a job for 15 less, and for any
#: answer for 5 less. A job always waits, so there is no need to wait for long; RQ would do so for 7 minutes.
WORKER_TTL = 20
#: What is the matter with RQ's Redis when it is full or away: it may pass.
PASSING = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError)
#: Seconds for which RQ keeps what a finished and a failed shift left.
KEEP_FINISHED, KEEP_FAILED = 60, 3600


def queue(kind: str, settings: Settings, *, patience: float | None = None) -> Queue:
    """The queue in which pumps of a kind wait. RQ's Redis is given up after `patience` seconds; None: never."""
    url = settings.rq_redis_url or settings.shared_redis_url
    connection = Redis.from_url(url, socket_timeout=patience, socket_connect_timeout=PATIENCE)
    return Queue(f"hub-{kind}", connection=connection, serializer=JSONSerializer)


def top_up(waiting: Queue, settings: Settings) -> None:
    """See to it that a pump waits in this queue."""
    if waiting.count == 0:
        waiting.enqueue_call(
            "hub.jobs.shift",
            timeout=int(settings.pump_seconds) + ALARM,
            result_ttl=KEEP_FINISHED,
            failure_ttl=KEEP_FAILED,
        )


@dataclass
class Pump:
    """
    One process' engine, the parts that it is built from, and the loop that they live on.

    queue: Where its successor is to wait.
    stopped: It was asked to end. `stopping` says so too, but not before the loop runs.
    """

    settings: Settings
    kind: str
    queue: Queue
    runner: asyncio.Runner
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False
    _parts: Parts | None = None
    _engine: workers.Engine | None = None
    _running: asyncio.Task[None] | None = None
    _beside: list[asyncio.Task[None]] = field(default_factory=list)

    async def prepared(self) -> workers.Engine:
        """
        The engine, built at first, and again when it has failed, then from the parts and connections that are there.

        NotTheHub and Unavailable as `parts` raises them.
        """
        if self._parts is None:
            self._parts = await parts(self.settings)
            self._beside = self._parts.beside()
        if self._engine is None:
            build = workers.matching if self.kind == MATCH else workers.delivering
            self._engine = build(self._parts)
        return self._engine

    async def shift(self) -> None:
        """Let the engine run for a while; it goes on in the next shift just where it was."""
        engine = await self.prepared()
        if self._running is None:
            self._running = asyncio.create_task(engine.run())
        stop = asyncio.create_task(self.stopping.wait())
        try:
            done, _ = await asyncio.wait(
                {self._running, stop}, timeout=self.settings.pump_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stop.cancel()
        if self._running in done:
            # What it raised makes the job fail, for RQ to show; the next shift begins anew.
            failed, self._running, self._engine = self._running, None, None
            failed.result()
        if stop in done:
            await self.finish()

    async def finish(self) -> None:
        """End what is under way, and give back what is held."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def close(self) -> None:
        """Finish, and close the connections."""
        try:
            await self.finish()
        finally:
            await ended(self._beside)
            if self._parts is not None:
                await self._parts.close()

    def stop(self) -> None:
        """Ask for the end, from a signal handler."""
        self.stopped = True
        self.runner.get_loop().call_soon_threadsafe(self.stopping.set)


#: The pump of this process: RQ calls `shift` by its name and hands it nothing.
_PUMP: ContextVar[Pump] = ContextVar("pump")


def shift() -> None:
    """One shift of this process' pump: the RQ job. Its successor waits before it ends, so nobody sees the change."""
    pump = _PUMP.get()
    pump.runner.run(pump.shift())
    if not pump.stopped:
        top_up(pump.queue, pump.settings)


class PumpWorker(SimpleWorker):
    """An RQ worker that works in its own process and lets its pump end what it has begun."""

    #: Seconds between two tries when RQ's Redis is away: meanwhile nothing is pumped here. RQ would go up to a minute.
    max_connection_wait_time = 1.0

    pump: Pump

    def handle_warm_shutdown_request(self) -> None:
        self.pump.stop()

    def teardown(self) -> None:
        """Take leave of RQ; when that can't be told, end at least the thread that listens to RQ's commands."""
        try:
            super().teardown()  # type: ignore[no-untyped-call]  # RQ gives it no type
        except RedisError:
            if self.pubsub_thread is not None:
                self.pubsub_thread.stop()
            raise


def work(kind: str, settings: Settings) -> None:
    """Be a worker for one kind of pump until told to stop. NotTheHub and Unavailable as `parts` raises them."""
    waiting = queue(kind, settings, patience=PATIENCE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pump = Pump(settings, kind, waiting, runner)
        runner.run(pump.prepared())
        _sweep_less()
        _reach(waiting, settings)
        with _confirming(), contextlib.suppress(StopRequested):
            _PUMP.set(pump)
            _pump(pump, queue(kind, settings))
        runner.run(pump.close())


def _sweep_less() -> None:
    """
    Have Python look for cycles to free less often, and not at what has been made so far: that is there to stay.

    A notification leaves no cycle behind. But many are under way at once, and for every 700 objects more than before
    Python would look at them, and now and then at all there are: a quarter of a deliver worker's processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 2)


def _pump(pump: Pump, jobs: Queue) -> None:
    """
    Take jobs from RQ until told to stop.

    RQ's worker quits when its Redis is full, or doesn't answer at any moment but where it waits for a job. Then a shift
    runs without RQ: what can go on does, and it is the shifts that free memory where it is the hub's Redis too.
    """
    while not pump.stopped:
        _listen_to_signals(pump)
        reason = "RQ's worker quit"
        try:
            top_up(pump.queue, pump.settings)
            _worker(pump, jobs).work(logging_level="WARNING")
        except PASSING as error:
            reason = str(error)
        if not pump.stopped:
            log.warning("rq.away", extra={"kind": pump.kind, "reason": reason})
            _listen_to_signals(pump)
            pump.runner.run(pump.shift())


def _listen_to_signals(pump: Pump) -> None:
    """While no RQ worker does: what blocks ends at once, a shift as it does in a worker."""

    def told(*_: object) -> None:
        pump.stop()
        if not pump.runner.get_loop().is_running():
            raise StopRequested

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)


def _worker(pump: Pump, jobs: Queue) -> PumpWorker:
    worker = PumpWorker(
        [jobs],
        connection=jobs.connection,
        serializer=JSONSerializer,
        maintenance_interval=60,
        worker_ttl=WORKER_TTL,
        log_job_description=False,
    )
    worker.pump = pump
    return worker


def _reach(waiting: Queue, settings: Settings) -> None:
    try:
        waiting.connection.ping()
    except RedisError as error:
        raise unusable(error, "HUB_RQ_REDIS_URL" if settings.rq_redis_url else "HUB_REDIS_URL") from error


@contextlib.contextmanager
def _confirming() -> Iterator[None]:
    """Whatever is the matter with RQ's Redis later, such as that it is full, may pass."""
    try:
        yield
    except RedisError as error:
        raise Unavailable(f"RQ's Redis did not confirm: {error}") from error


def run_clock(settings: Settings) -> None:
    """Be the clock, or a candidate for it, until told to stop. NotTheHub and Unavailable as `parts` raises them."""
    queues = [queue(kind, settings, patience=PATIENCE) for kind in KINDS]

    def all_topped_up() -> None:
        with _confirming():
            for waiting in queues:
                top_up(waiting, settings)

    async def run() -> None:
        p = await parts(settings)
        clock = workers.clock(p, top_up=lambda: asyncio.to_thread(all_topped_up))
        try:
            await asyncio.to_thread(_reach, queues[0], settings)
        except Unavailable as error:
            if not isinstance(error.__cause__, RedisTimeoutError):  # one that is there may answer yet
                raise
        beside = p.beside()
        task = asyncio.create_task(clock.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await ended(beside)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
