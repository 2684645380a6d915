"""
Who did what: appended, read, and removed by age alone.

`hub:{audit:<tenant>}:log` is a stream, an entry for each act: `kind`, `agent`, `entities` (joined by blanks),
`version`, `outcome`, `text`. An entry's id says when, and is its AuditEvent's. Nothing changes one, and only time
removes one (HUB_AUDIT_DAYS). From HUB_AUDIT_ENTRIES on, kinds of which there may be any number (`Kind.bulk`) are left
out and counted in `hub:{audit:<tenant>}:lost` (`count`, `since`), until there is room again: then an entry says so.

What is worse to lose than to have too much of (rights, registrations, what operators do) is recorded before it is done,
and is not done when that fails. Attempts at notifications are recorded when they were made, along with their settling.
"""

from dataclasses import dataclass
from logging import getLogger

from hub.keys import audit_keys
from hub.pipeline import Pipeline, script
from hub.wire import Argument
from subscriptions.audit import MOST_ENTITIES, MOST_TEXT, Act, Level

RECORD = script("record")

log = getLogger("hub.audit")


@dataclass(frozen=True, slots=True)
class Audit:
    """
    The audits of all tenants.

    most: Entries of a tenant from which on those of bulk kinds are left out.
    """

    pipeline: Pipeline
    level: Level
    most: int

    async def record(self, tenant: str, *acts: Act) -> None:
        """Append acts, those that the level has; raises Unavailable when it is not sure that they were."""
        rows = [part for act in acts if self.level.has(act.kind) for part in _row(act)]
        if not rows:
            return
        lost, now_lost = await self.pipeline.run(RECORD, audit_keys(tenant), self.most, *rows)
        if now_lost and lost == now_lost:
            log.error("audit.full", extra={"tenant": tenant, "entries": self.most})


def _row(act: Act) -> tuple[Argument, ...]:
    entities = " ".join(act.entities[: MOST_ENTITIES + 1])
    bulk = "1" if act.kind.bulk else ""
    return bulk, act.kind, act.agent, entities, act.version or "", act.outcome, act.text[:MOST_TEXT]
