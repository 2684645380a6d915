"""
What follows when Redis holds an earlier state than it had: numbers that were given must not be given again.

Which numbers were given since is not known. So each subscription's go on above any that can have been; whoever is
subscribed is told by the status `error`, and has to set it to `requested`; and the store gets a new id, by which all
processes begin anew and notifications have other ids. It may be cut short anywhere and run again: then it goes on.
"""

import time
from dataclasses import dataclass
from logging import getLogger
from uuid import uuid4

from hub.access import DEFAULT
from hub.audit import Audit
from hub.errors import NotTheHub
from hub.foundation import Found, begin, fits, keep, look
from hub.keys import EPOCH
from hub.mark import Mark
from hub.pipeline import Pipeline, script
from hub.registry import Registry
from hub.settings import Settings
from subscriptions.audit import OPERATOR, Act, Kind

RECOVER, REFOUND = script("recover"), script("refound")

#: Numbers of one subscription that a second can have used up at most: more changes than a Redis takes.
NUMBERS_PER_SECOND = 20_000
#: Numbers are left out by the million, so that one sees by a number that it is of after a recovery.
ROUND = 1_000_000
#: ms that a state is old at most that says nothing of its time.
UNKNOWN = 366 * 86_400_000

log = getLogger("hub.recovery")


@dataclass(frozen=True, slots=True)
class Recovered:
    """
    What a recovery did.

    reason: What was wrong.
    failed, off: Subscriptions that are in `error` by it; and that were off, or are gone.
    jump: How many numbers each leaves out at least. 0 for a store that was begun anew.
    """

    reason: str
    id: str
    failed: int
    off: int
    jump: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """To be run by the operator, with nothing else at work on the store."""

    pipeline: Pipeline
    registry: Registry
    settings: Settings
    audit: Audit

    async def run(self, *, force: bool = False) -> Recovered:
        """
        Recover the store, or begin one in an empty Redis.

        force: Also when nothing seems wrong, or when it may be the Redis of another hub.

        Raises:
            NotTheHub: There is nothing to recover, or it doesn't fit the settings.
        """
        found = await look(self.pipeline, self.settings)
        reason = found.forgotten
        if not reason and not force:
            raise NotTheHub(_unneeded(found))
        recovered = await (self._again(found, reason) if "id" in found.held else self._anew(found, reason))
        found = await look(self.pipeline, self.settings)
        keep(self.settings.data_dir, Mark(recovered.id, found.count, tuple(found.held["before"].split())), anew=True)
        log.warning("store.recovered", extra={"id": recovered.id, "failed": recovered.failed, "jump": recovered.jump})
        return recovered

    async def _anew(self, found: Found, reason: str) -> Recovered:
        """Begin a store in an empty Redis, which processes that remember the lost one take for its successor."""
        mark = found.mark
        before = " ".join((mark.id, *mark.before)) if mark else ""
        count = max(_now(), mark.count + 1 if mark else 0)
        await self.pipeline.command("HSET", EPOCH, "before", before, "count", count)
        held = await begin(self.pipeline, self.settings)
        await self._record(reason)
        return Recovered(reason, held["id"], 0, 0, 0)

    async def _again(self, found: Found, reason: str) -> Recovered:
        fits(found.held, self.settings)
        await self._record(reason)
        mark = found.mark
        seen = max(found.count, mark.count if mark else 0)
        jump = _jump(found, max(seen, _now()))
        # What a run that was cut short had begun is gone on with.
        await self.pipeline.command("HSETNX", EPOCH, "jump", jump)
        await self.pipeline.command("HSETNX", EPOCH, "recovering", uuid4().hex)
        id_, jump = await self.pipeline.command("HMGET", EPOCH, "recovering", "jump")
        id_, jump = id_.decode(), int(jump)
        failed = count = 0
        async for registered in self.registry.all():
            key = registered.key
            failed += await self.pipeline.run(RECOVER, [key.subscription], id_, jump, ROUND, _told(found.count))
            count += 1
        await self.pipeline.run(REFOUND, [EPOCH], id_, seen, " ".join(_before(found)))
        return Recovered(reason, id_, failed, count - failed, jump)

    async def _record(self, reason: str) -> None:
        """Have the audit know of it: that of an empty Redis begins with it."""
        await self.audit.record(DEFAULT, Act(Kind.RECOVERED, OPERATOR, text=reason or "nothing seemed wrong"))


def _before(found: Found) -> list[str]:
    """All ids that a store has had as far as it is known, newest first."""
    noted = (found.mark.id, *found.mark.before) if found.mark else ()
    held = (found.held["id"], *found.held.get("before", "").split())
    return list(dict.fromkeys((*noted, *held) if held[0] in noted else (*held, *noted)))


def _jump(found: Found, now: int) -> int:
    """
    How many numbers a subscription can have used up since the state that Redis holds.

    As many as come in that time; and by each recovery since then, of which the same state knows nothing, as it left out
    beside those: less than two rounds.
    """
    ids = _before(found)
    recoveries = ids.index(found.held["id"])
    since = found.count or now - UNKNOWN
    return (1 + 2 * recoveries) * ROUND + (now - since) * NUMBERS_PER_SECOND // 1000


def _told(count: int) -> str:
    """What a subscriber reads, with places for two numbers."""
    state = f" of {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(count / 1000))}" if count else ""
    return (
        f"The hub's store was restored to its state{state}. Events up to number %s are kept: fetch them with $events."
        " What came after them is lost, and the next number is above %s. Set the status to requested to go on."
    )


def _unneeded(found: Found) -> str:
    if found.other:
        return (
            f"Redis holds the data of another hub than {found.file} says: correct HUB_REDIS_URL or HUB_DATA_DIR, or"
            " recover it with --force if it is the right one, restored"
        )
    if "id" not in found.held:
        return f"there is nothing to recover: Redis is empty, and there is no {found.file} to say that it wasn't"
    return (
        "there is nothing to recover: Redis holds all that is known of. If it was restored all the same and nothing"
        f" noted it in {found.file}, recover it with --force"
    )


def _now() -> int:
    return time.time_ns() // 1_000_000
