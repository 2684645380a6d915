"""
RQ's jobs: the shifts of the pumps. RQ lives here and nowhere else.

RQ starts, spreads, supervises and shows the work; the truth is in the streams and outboxes, so a job that is lost or
doubled costs some latency and nothing else. One job always waits in each queue, put there by the shift before it or by
the clock, so that whoever is free goes on at once.

A worker listens on one queue only: with two, RQ loses a job for good when it is killed right after taking it.
"""

import asyncio
import contextlib
import gc
import signal
from contextvars import ContextVar
from logging import getLogger

import uvloop
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer

from hub.errors import Unavailable
from hub.foundation import unusable
from hub.pump import DELIVER, MATCH, Pump
from hub.settings import Settings
from hub.wiring import workers
from hub.wiring.parts import ended, parts

log = getLogger("hub.jobs")

KINDS = (MATCH, DELIVER)

#: Seconds beyond a shift for which RQ takes a worker that says nothing for alive.
SILENCE = 120
#: Seconds for RQ's Redis to take a connection, and to answer whoever sees to it that a pump waits.
PATIENCE = 5.0
#: From it, in seconds, RQ reckons how long a worker's reads may block: it waits for a job for 15 less, and for any
#: answer for 5 less. A job always waits, so there is no need to wait for long; RQ would do so for 7 minutes.
WORKER_TTL = 20
#: Seconds for RQ's Redis to answer a worker that was told to stop, which asks three times at most.
LAST_PATIENCE = 1.0
#: Seconds for which RQ keeps what a finished and a failed shift left.
KEEP_FINISHED, KEEP_FAILED = 60, 3600


def queue(kind: str, settings: Settings, *, patience: float | None = None) -> Queue:
    """The queue in which pumps of a kind wait. RQ's Redis is given up after `patience` seconds; None: never."""
    url = settings.rq_redis_url or settings.shared_redis_url
    connection = Redis.from_url(url, socket_timeout=patience, socket_connect_timeout=PATIENCE)
    return Queue(f"hub-{kind}", connection=connection, serializer=JSONSerializer)


def top_up(waiting: Queue) -> None:
    """See to it that a pump waits in this queue. Unavailable."""
    try:
        _top_up(waiting)
    except RedisError as error:
        raise Unavailable(f"RQ's Redis did not confirm: {error}") from error


def _top_up(waiting: Queue) -> None:
    if waiting.count == 0:
        waiting.enqueue_call(
            "hub.jobs.shift",
            timeout=-1,  # without end: RQ's alarm would go off inside the loop
            result_ttl=KEEP_FINISHED,
            failure_ttl=KEEP_FAILED,
        )


#: The pump of this process: RQ calls `shift` by its name and hands it nothing.
_PUMP: ContextVar[Pump] = ContextVar("pump")


def shift() -> None:
    """One shift of this process' pump: the RQ job. Its successor waits before it ends, so nobody sees the change."""
    pump = _PUMP.get()
    pump.runner.run(pump.shift())


class PumpWorker(SimpleWorker):
    """An RQ worker that works in its own process and lets its pump end what it has begun."""

    pump: Pump

    def get_heartbeat_ttl(self, job: Job) -> int:
        """Seconds for which RQ takes this worker for alive while it is on this shift."""
        del job
        return int(self.pump.settings.pump_seconds) + SILENCE

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a shift; quit, to be born to RQ anew, if RQ's Redis was away meanwhile."""
        super().execute_job(job, queue)
        if self.pump.deserted:
            raise StopRequested

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's; it quits where that can't be told: else it would wait for a job until its Redis is back."""
        try:
            super().heartbeat(timeout, pipeline)
        except RedisConnectionError as error:
            raise StopRequested from error

    def handle_warm_shutdown_request(self) -> None:
        self.pump.stop()

    def set_shutdown_requested_date(self) -> None:
        """Nobody reads it, and RQ would write it from a signal handler, while the loop stands still."""

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        self._hurry()
        super().handle_execution_ended(job, queue, heartbeat_ttl)

    def teardown(self) -> None:
        self._hurry()
        super().teardown()  # type: ignore[no-untyped-call]  # RQ gives it no type

    def _hurry(self) -> None:
        """Told to stop, don't wait for RQ's Redis for long: what it is told now is for show."""
        if self.pump.stopped:
            pool = self.connection.connection_pool
            pool.connection_kwargs["socket_timeout"] = LAST_PATIENCE
            pool.reset()

    def subscribe(self) -> None:
        """Not to RQ's commands: the thread that listens logs an error every two seconds while RQ's Redis is away."""


def work(kind: str, settings: Settings) -> None:
    """Be a worker for one kind of pump until told to stop. NotTheHub and Unavailable as `parts` raises them."""
    waiting = queue(kind, settings, patience=PATIENCE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pump = Pump(settings, kind, lambda: top_up(waiting), runner)
        runner.run(pump.prepared())
        _sweep_less()
        _reach(waiting, settings)
        with contextlib.suppress(StopRequested):
            _PUMP.set(pump)
            _pump(pump, waiting, queue(kind, settings))
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


def _pump(pump: Pump, waiting: Queue, jobs: Queue) -> None:
    """
    Take jobs from RQ until told to stop.

    RQ's worker quits when its Redis doesn't answer, or refuses what RQ writes: it may be full, or a replica now. Then a
    shift runs without RQ: what can go on does, and it is the shifts that free memory where it is the hub's Redis too.
    RQ's worker quits as well when its Redis is back that was away at the end of a shift.
    """
    while not pump.stopped:
        _listen_to_signals(pump)
        reason = "RQ's worker quit"
        try:
            _top_up(waiting)
            _worker(pump, jobs).work(logging_level="WARNING")
        except RedisError as error:
            reason = str(error)
        else:
            if pump.deserted:
                pump.deserted = False
                continue
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
    """NotTheHub or Unavailable as `unusable` says. One that takes the connection and is silent may answer yet."""
    try:
        waiting.connection.ping()
    except RedisTimeoutError:
        return
    except RedisError as error:
        raise unusable(error, "HUB_RQ_REDIS_URL" if settings.rq_redis_url else "HUB_REDIS_URL") from error


def run_clock(settings: Settings) -> None:
    """Be the clock, or a candidate for it, until told to stop. NotTheHub and Unavailable as `parts` raises them."""
    queues = [queue(kind, settings, patience=PATIENCE) for kind in KINDS]

    def all_topped_up() -> None:
        for waiting in queues:
            top_up(waiting)

    async def run() -> None:
        p = await parts(settings)
        clock = workers.clock(p, top_up=lambda: asyncio.to_thread(all_topped_up))
        await asyncio.to_thread(_reach, queues[0], settings)
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
