"""What erases."""

from hub.attempts import Attempts
from hub.census import Census
from hub.erasing import Erasing
from hub.erasures import Erasures
from hub.instants import now_ms
from hub.rewriting import Rewriting
from hub.wiring.parts import Parts


def erasing(p: Parts) -> Erasing:
    """What erases, on parts that are connected."""
    return Erasing(
        store=p.store,
        census=Census(p.pipeline, p.settings.partitions, p.store.vault),
        registry=p.registry,
        attempts=Attempts(p.pipeline),
        transactions=p.transactions,
        rewriting=Rewriting(p.pipeline),
        erasures=Erasures(p.pipeline),
        audit=p.audit,
        base=p.tenancy.base,
        now=now_ms,
    )
