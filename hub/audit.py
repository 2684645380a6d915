"""
Who did what: appended, read, and removed by age alone.

`hub:{audit:<tenant>}:log` is a stream, an entry for each act: `kind`, `agent`, `entities` (joined by blanks),
`version`, `outcome`, `text`. An entry's id says when, and is its AuditEvent's. Nothing changes one, and only time
removes one (HUB_AUDIT_DAYS). From HUB_AUDIT_ENTRIES on, kinds of which there may be any number (`Kind.bulk`) are left
out and counted in `hub:{audit:<tenant>}:lost` (`count`, `since`), until there is room again: then an entry says so.

What is worse to lose than to have too much of (rights, registrations, what operators do) is recorded before it is done,
and is not done when that fails. Attempts at notifications are recorded when they were made, along with their settling.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from logging import getLogger

from hub.keys import audit_keys
from hub.pipeline import Pipeline, script
from hub.wire import Argument
from subscriptions.audit import MOST_ENTITIES, MOST_TEXT, Act, Entry, Kind, Level, Outcome
from subscriptions.codes import FhirVersion
from subscriptions.versions.instant import write

RECORD = script("record")

log = getLogger("hub.audit")

#: Entries that are read in one round trip, and of which some are looked for in one.
CHUNK, LOOKED_AT = 100, 500

#: What entries are called: ms since 1970, and a number within that ms.
_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}", re.ASCII)


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

    async def read(self, tenant: str, id_: str) -> Entry | None:
        """An entry by its id; None when there is none."""
        if not is_entry(id_):
            return None
        reply = await self.pipeline.command("XRANGE", audit_keys(tenant)[0], id_, id_)
        return _entry(reply[0]) if reply else None

    async def about(self, tenant: str, entity: str, *, most: int) -> AsyncIterator[Entry]:
        """Those of one entity, newest first, as far as they are among so many entries of a tenant."""
        end, name = "+", entity.encode()
        for _ in range(0, most, LOOKED_AT):
            reply = await self.pipeline.command("XREVRANGE", audit_keys(tenant)[0], end, "-", "COUNT", LOOKED_AT)
            for row in reply:
                if row[1][row[1].index(b"entities") + 1].partition(b" ")[0] == name:
                    yield _entry(row)
            if len(reply) < LOOKED_AT:
                return
            end = f"({reply[-1][0].decode()}"

    async def newest(self, tenant: str, *, since: int = 0, before: str = "") -> AsyncIterator[list[Entry]]:
        """
        Entries, newest first, some at a time.

        since: None from before this, in ms.
        before: Behind this entry; the newest of all when it is empty.
        """
        end = f"({before}" if before else "+"
        while True:
            reply = await self.pipeline.command("XREVRANGE", audit_keys(tenant)[0], end, since, "COUNT", CHUNK)
            if reply:
                yield [_entry(row) for row in reply]
            if len(reply) < CHUNK:
                return
            end = f"({reply[-1][0].decode()}"

    async def oldest(self, tenant: str, *, since: int = 0, until: int | None = None) -> AsyncIterator[list[Entry]]:
        """Entries, oldest first, some at a time: from `since` to `until`, both included, in ms."""
        begin, end = str(since), "+" if until is None else until
        while True:
            reply = await self.pipeline.command("XRANGE", audit_keys(tenant)[0], begin, end, "COUNT", CHUNK)
            if reply:
                yield [_entry(row) for row in reply]
            if len(reply) < CHUNK:
                return
            begin = f"({reply[-1][0].decode()}"

    async def count(self, tenant: str) -> int:
        """How many entries there are."""
        return int(await self.pipeline.command("XLEN", audit_keys(tenant)[0]))

    async def lost(self, *tenants: str) -> int:
        """How many entries are left out at the moment, since there is no room for them."""
        counts = await self.pipeline.all([("HGET", audit_keys(tenant)[1], "count") for tenant in tenants])
        return sum(int(count or 0) for count in counts)

    async def trim(self, before: int, *tenants: str) -> None:
        """Remove what was recorded before this, in ms. Nothing else removes anything."""
        await self.pipeline.all([("XTRIM", audit_keys(tenant)[0], "MINID", max(before, 0)) for tenant in tenants])


def is_entry(id_: str) -> bool:
    """Whether entries are called like this."""
    return bool(_ID.fullmatch(id_))


def _row(act: Act) -> tuple[Argument, ...]:
    entities = " ".join(act.entities[: MOST_ENTITIES + 1])
    bulk = "1" if act.kind.bulk else ""
    return bulk, act.kind, act.agent, entities, act.version or "", act.outcome, act.text[:MOST_TEXT]


def _entry(row: tuple[bytes, list[bytes]]) -> Entry:
    id_, flat = row[0].decode(), [part.decode() for part in row[1]]
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    kind, text = Kind(fields["kind"]), fields["text"]
    if kind is Kind.LOST:
        many, since = text.split()
        at = write(datetime.fromtimestamp(int(since) / 1000, UTC))
        text = f"{many} entries have been left out since {at}: there was no room"
    entity, *also = fields["entities"].split() or [""]
    version = FhirVersion(fields["version"]) if fields["version"] else None
    act = Act(kind, fields["agent"], entity, version, Outcome(fields["outcome"]), text, tuple(also))
    return Entry(id_, int(id_.partition("-")[0]), act)
