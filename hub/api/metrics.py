"""
`/metrics`: the figures of the whole hub, as Prometheus reads them. Whichever api process is asked, they are the same.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hmac import compare_digest
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from hub.access import DEFAULT, Access, Caller
from hub.api.asking import Asking
from hub.api.documentation import administration as documentation
from hub.api.gate import bearer
from hub.api.routes import Gate, Route
from hub.audit import Audit
from hub.draining import Draining
from hub.families import BUCKETS, EVALUATIONS_FAILED, EVENTS_DROPPED, FAMILIES, REASONS, Family
from hub.figures import Figures, Readings
from hub.machinery import Machinery, Working
from hub.pipeline import Pipeline, read_info
from hub.pressure import Pressure
from hub.survey import Row, Survey
from subscriptions.clearance import FULL
from subscriptions.codes import Content, SubscriptionStatus
from subscriptions.rights import Rights
from subscriptions.scopes import ADMIN, Scopes

PATH = "/metrics"

#: Who bears the token of the metrics.
_READER = Caller("metrics", DEFAULT, Rights(Scopes.parse(ADMIN), Content.EMPTY, FULL))


@dataclass(frozen=True, slots=True)
class Scraping:
    """Lets in at `/metrics` who bears the token for it. Everybody else, and everywhere else, asks the gate."""

    gate: Gate
    token: str

    @property
    def asking(self) -> Asking:
        return self.gate.asking

    async def caller(self, request: Request) -> Caller:
        if request.scope["path"] == PATH and compare_digest(bearer(request).encode(), self.token.encode()):
            return _READER
        return await self.gate.caller(request)


@dataclass(frozen=True, slots=True, eq=False)
class _Collected(Collector):
    metrics: list[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.metrics


@dataclass(frozen=True, slots=True)
class Metrics:
    """
    What is to be seen of the hub as a whole.

    now: ms since 1970.
    release: The version of the software.
    """

    pipeline: Pipeline
    machinery: Machinery
    draining: Draining
    survey: Survey
    access: Access
    audit: Audit
    pressure: Pressure
    now: Callable[[], int]
    release: str

    def routes(self) -> Iterator[Route]:
        yield Route("GET", PATH, self.get, documentation.METRICS, base="")

    async def get(self, _: Request) -> Response:
        """All figures."""
        figures = (await Readings(self.pipeline).read()).totals
        gauges = await self._gauges()
        found = [*(_metric(family, figures, self._always(family)) for family in FAMILIES), *gauges]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected(found))
        return Response(await asyncio.to_thread(generate_latest, registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def _always(self, family: Family) -> Iterable[tuple[str, ...]]:
        """The labels that are there before anything was counted: of what must not happen, the first time is seen."""
        if family is EVENTS_DROPPED:
            return ((tenant,) for tenant in {DEFAULT, *self.access.tenants})
        return ((reason,) for reason in REASONS) if family is EVALUATIONS_FAILED else ()

    async def _gauges(self) -> list[Metric]:
        working = await self.machinery.look()
        return [
            _gauge("hub_info", "The release.", ("release",), [((self.release,), 1)]),
            *_of_subscriptions(await self.survey.rows(), self.now()),
            *_of_matching(working),
            *_of_work(working),
            await self._of_origins(),
            await self._of_audit(),
            *await self._of_redis(),
        ]

    async def _of_origins(self) -> Metric:
        counts = await self.draining.counts(self.now())
        text = (
            "Origins to which connections fail: so far, or for so long that nothing is sent there but probes; and those"
            " to which nothing is sent since an operator says so."
        )
        return _gauge("hub_origins", text, ("state",), [((state.value,), count) for state, count in counts.items()])

    async def _of_audit(self) -> Metric:
        await self.access.current()
        lost = await self.audit.lost(*{DEFAULT, *self.access.tenants})
        return _gauge("hub_audit_lost_entries", "Entries of the audit left out for want of room.", (), [((), lost)])

    async def _of_redis(self) -> list[Metric]:
        infos = [read_info(info) for info in await self.pipeline.of_each("INFO", "memory")]
        used, most = (sum(int(info[name]) for info in infos) for name in ("used_memory", "maxmemory"))
        declines = int(bool(await self.pressure.found()))
        text = "1 while nothing more is stored, since the hub is full or behind; else 0."
        return [
            _gauge("hub_redis_used_bytes", "Memory that Redis uses.", (), [((), used)]),
            _gauge("hub_redis_max_bytes", "Memory that Redis may use; 0 without a limit.", (), [((), most)]),
            _gauge(
                "hub_declining",
                text,
                (),
                [((), declines)],
            ),
        ]


def _of_matching(working: Working) -> Iterator[Metric]:
    behind = [((str(each.number),), each.behind) for each in working.partitions]
    text = "How long ago the oldest change was stored that matching has still to look at; 0 when there is none."
    ages = [(labels, each.seconds) for labels, each in behind]
    yield _gauge("hub_matching_behind_seconds", text, ("partition",), ages)
    waiting = [(labels, each.changes) for labels, each in behind]
    yield _gauge("hub_unmatched_changes", "Changes that are still to be matched.", ("partition",), waiting)


def _of_work(working: Working) -> Iterator[Metric]:
    pumps = [
        (("match",), len(working.matching)),
        (("deliver",), len(working.delivering)),
        (("clock",), int(bool(working.clock))),
    ]
    yield _gauge("hub_pumps", "Workers that are running, and the clock.", ("kind",), pumps)
    yield _gauge("hub_leases", "Subscriptions that are being served.", (), [((), working.leases)])
    yield _gauge("hub_open_transactions", "Transactions under way.", (), [((), working.transactions)])
    yield _gauge("hub_open_erasures", "Erasures under way.", (), [((), working.erasures)])


def _of_subscriptions(rows: Iterable[Row], now: int) -> Iterator[Metric]:
    """Of each tenant and FHIR version that has any."""
    places = set[tuple[str, ...]]()
    statuses, waiting, lagging = Counter[tuple[str, ...]](), Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    oldest = defaultdict[tuple[str, ...], float](float)
    for row in rows:
        place = (row.key.tenant, str(row.key.version))
        places.add(place)
        statuses[*place, row.status.value] += 1
        if row.lags:
            lagging[place] += 1
            waiting[place] += row.undelivered
        if row.oldest_at is not None:
            oldest[place] = max(oldest[place], (now - row.oldest_at) / 1000)
    by = ("tenant", "version")
    states = [(*place, status.value) for place in places for status in SubscriptionStatus]
    yield _gauge("hub_subscriptions", "Subscriptions.", (*by, "status"), [(state, statuses[state]) for state in states])
    each = [(place, lagging[place]) for place in places]
    yield _gauge("hub_lagging_subscriptions", "Subscriptions for which events wait.", by, each)
    each = [(place, waiting[place]) for place in places]
    yield _gauge("hub_undelivered_events", "Events that wait: to be sent, or for an activation.", by, each)
    ages = [(place, oldest[place]) for place in places]
    text = "How long ago the change was stored of which the oldest event that waits tells; 0 when none does."
    yield _gauge("hub_oldest_undelivered_event_seconds", text, by, ages)


def _metric(family: Family, figures: Figures, always: Iterable[tuple[str, ...]]) -> Metric:
    """What was counted, for all labels of which there is something, and for those that are always there."""
    if not family.timed:
        counter = CounterMetricFamily(family.metric, family.help, labels=family.labels)
        for labels, value in sorted((dict.fromkeys(always, 0) | figures.each(family)).items()):
            counter.add_metric(labels, value)
        return counter
    histogram = HistogramMetricFamily(family.metric, family.help, labels=family.labels)
    bounds = [*map(str, BUCKETS), "+Inf"]
    for labels in sorted({labels[:-1] for labels in figures.each(family)}):
        timing = figures.timing(family, **dict(zip(family.labels, labels, strict=True)))
        histogram.add_metric(labels, list(zip(bounds, accumulate(timing.buckets), strict=True)), timing.seconds)
    return histogram


def _gauge(
    name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, text, labels=labels)
    for of_labels, value in sorted(values):
        gauge.add_metric(of_labels, value)
    return gauge
