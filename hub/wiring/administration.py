"""What operators see and do, as a tenant's application serves it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hub.access import DEFAULT
from hub.api.admin.actions import Actions
from hub.api.admin.attempts import AttemptLog
from hub.api.admin.events import Events
from hub.api.admin.explain import AdminExplain
from hub.api.admin.history import UsageHistory
from hub.api.admin.index import IndexCost
from hub.api.admin.live import Live, Watchers
from hub.api.admin.named import Base, Named
from hub.api.admin.origins import DrainedOrigins
from hub.api.admin.overview import Overview
from hub.api.admin.subscriptions import Listing
from hub.api.admin.topics import Catalogue
from hub.api.admin.withheld import WithheldLog
from hub.api.routes import Route
from hub.attempts import Attempts
from hub.figures import Readings, Tail
from hub.instants import now_ms
from hub.keeping import Keeping
from hub.pressure import Pressure
from hub.pulse import Pulse
from hub.settings import Settings
from hub.summary import Summaries
from hub.tailing import Tailing
from hub.tenancy import url
from hub.wiring.parts import Parts
from subscriptions.codes import FhirVersion


@dataclass(frozen=True, slots=True)
class Watched:
    """What all tenants' operators watch: read once for all of them in a process."""

    watchers: Watchers
    summaries: Summaries
    pressure: Pressure

    @classmethod
    def of(cls, p: Parts, pressure: Pressure) -> "Watched":
        pulse, tailing = Pulse(Readings(p.pipeline), p.changes), Tailing(Tail(p.client, p.pipeline))
        return cls(Watchers(pulse, tailing), Summaries(p.survey), pressure)


def administration(
    tenant: str, settings: Settings, p: Parts, watched: Watched, bases: Mapping[FhirVersion, Base], release: str
) -> Iterator[Route]:
    """The routes below a tenant's `/admin`."""
    yield from Overview(
        tenant,
        release,
        watched.watchers.pulse,
        watched.summaries,
        p.audit,
        p.machinery,
        Keeping(p.foundation),
        p.draining,
        watched.pressure,
        p.tenancy.topics(tenant),
    ).routes()
    yield from UsageHistory(tenant, Readings(p.pipeline)).routes()
    yield from Live(tenant, watched.watchers, watched.summaries).routes()
    below, named, attempts = url(settings.base_url, tenant), Named(tenant, p.membership, bases), Attempts(p.pipeline)
    yield from AttemptLog(named, attempts).routes()
    yield from Listing(below, named, p.survey, p.audit, settings.max_page).routes()
    yield from Events(
        below, named, p.survey, attempts, p.outboxes, p.store, p.changes, p.disclosure, settings.max_page
    ).routes()
    yield from Catalogue(p.tenancy.topics(tenant), p.survey).routes()
    yield from WithheldLog(below, tenant, p.audit, p.survey, settings.max_page).routes()
    yield from IndexCost(tenant, p.registry, Readings(p.pipeline)).routes()
    yield from AdminExplain(named, settings.max_body_bytes, settings.max_nesting).routes()
    limits = {"max_body": settings.max_body_bytes, "max_nesting": settings.max_nesting}
    if tenant == DEFAULT:
        yield from DrainedOrigins(p.draining, p.survey, now_ms, **limits).routes()
    yield from Actions(named, p.resending, now_ms, **limits).routes()
