"""
A Subscription's way in and out: registry, state and due work, always in the order that loses nothing.

In:  registered (so every matcher will know it), then its state is written, then its handshake is scheduled.
Out: its state goes first (from then on nothing is numbered or settled), then its place in the registry.
Before each: the audit has it, or nothing is done.
A crash in between was acknowledged to nobody, and `repair` mends what it left.
"""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from logging import getLogger
from uuid import uuid4

from hub.access import ANYBODY, Caller
from hub.audit import Audit
from hub.due import Due
from hub.errors import Unavailable
from hub.keys import SubscriptionKey
from hub.outbox import Outboxes, Subscribed
from hub.registered import Registered
from hub.registry import On, Registry
from hub.seal import Kept, Seal
from hub.state import State
from subscriptions.audit import HUB, Act, Kind
from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.errors import Rejected
from subscriptions.pace import Pace, pace
from subscriptions.subscription import Style, Subscription

log = getLogger("hub.membership")

#: ms after which a registration without a state is what a crash left, and not one under way.
ABANDONED = 60_000

#: Subscriptions that are compared in one round trip.
CHUNK = 500

#: Subscriptions that a listing works on between two looks at what else there is to do.
LISTED = 50


@dataclass(frozen=True, slots=True)
class Member:
    """A Subscription as it stands."""

    key: SubscriptionKey
    state: State


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write; `revision` is the one in force, 0 without any."""

    outcome: Subscribed
    revision: int


@dataclass(frozen=True, slots=True)
class Membership:
    """
    All Subscriptions, to be written and read.

    handshake_delay: ms between a write and its handshake, so that the answer reaches the client first.
    """

    registry: Registry
    outboxes: Outboxes
    due: Due
    handshake_delay: int
    seal: Seal
    audit: Audit

    async def find(self, tenant: str, version: FhirVersion, id_: str, *, by: Caller = ANYBODY) -> Member | None:
        """The Subscription of this id; None when there is none, or none that `by` sees, which is found as quickly."""
        registered = await self.registry.find(tenant, version, id_)
        if registered is None or not by.sees(registered.owner):
            return None
        state = await self.outboxes.read(registered.key)
        return Member(registered.key, state) if state else None

    async def all(
        self, tenant: str, version: FhirVersion, ids: Collection[str] | None = None, *, by: Caller = ANYBODY
    ) -> AsyncIterator[Member]:
        """
        All Subscriptions of a tenant that `by` sees, or those of some ids, by id.

        They are read LISTED at a time, so that whoever works through many lets others run between.
        """
        keys = await self._keys(f"{tenant}/{version}/", ids, by)
        for chunk in (keys[i : i + LISTED] for i in range(0, len(keys), LISTED)):
            for key, state in zip(chunk, await self.outboxes.read_many(chunk), strict=True):
                if state is not None:
                    yield Member(key, state)

    async def _keys(self, prefix: str, ids: Collection[str] | None, by: Caller) -> list[SubscriptionKey]:
        """The keys of what is registered, or of some ids, by id."""
        if ids is None:
            found = {each.key async for each in self.registry.all(prefix) if by.sees(each.owner)}
        else:
            found = set()
            names = [f"{prefix}{id_}" for id_ in ids]
            for chunk in (names[i : i + CHUNK] for i in range(0, len(names), CHUNK)):
                found |= {each.key for each in await self.registry.read(chunk) if each and by.sees(each.owner)}
        return sorted(found, key=lambda key: key.id)

    async def refusal(
        self, tenant: str, version: FhirVersion, id_: str, wanted: Subscription, resource: bytes, owner: str
    ) -> Rejected | None:
        """
        Why `create` or `update` would now reject a Subscription, since too many are like it; None when they would not.

        id_: Empty for a new one.
        owner: The client whose it is, or would be.
        """
        is_on = wanted.status is not SubscriptionStatus.OFF
        key = SubscriptionKey(tenant, version, id_, "")
        return await self.registry.refusal(Registered(key, is_on, 1, 0, resource, wanted.style, owner))

    async def create(
        self,
        tenant: str,
        version: FhirVersion,
        id_: str,
        wanted: Subscription,
        resource: bytes,
        *,
        now: int,
        on: On | None = None,
        owner: str = ANYBODY.name,
    ) -> Written:
        """
        Create a Subscription under an id that was not in use; CONFLICT when it is by now.

        Args:
            on: Its topic, unless that is built in.
            owner: The client whose it is.

        Raises:
            TopicChanged: Nothing was done.
            Rejected: The same, since too many are like it.
            Unopened: The same, since it has headers, and the hub keeps no secrets.
        """
        key, kept = SubscriptionKey(tenant, version, id_, uuid4().hex[:12]), await self.seal.kept(version, resource)
        held = await self.registry.find(tenant, version, id_)
        if held is not None and (state := await self.outboxes.read(held.key)):
            return Written(Subscribed.CONFLICT, state.revision)
        # A registration without a state is what a crash left, or a delete or create under way: whoever comes last wins.
        before = held.key.incarnation if held else ""
        is_on = wanted.status is not SubscriptionStatus.OFF
        registered = Registered(key, is_on, 1, now, kept.resource, wanted.style, owner)
        await self.record(key, Kind.SUBSCRIPTION_CREATED, owner)
        if not await self.registry.enter(registered, instead_of=before, on=on):
            return Written(Subscribed.CONFLICT, 1)
        return _said(await self._write(key, "", wanted, kept, now=now, owner=owner), key, wanted, owner)

    async def update(
        self,
        member: Member,
        wanted: Subscription,
        resource: bytes,
        *,
        expected: str,
        now: int,
        on: On | None = None,
        agent: str = ANYBODY.name,
        kind: Kind = Kind.SUBSCRIPTION_CHANGED,
    ) -> Written:
        """
        Change a Subscription that is at the revision `expected`, or at any (`*`).

        Args:
            agent: The client that does.
            kind: How the audit calls it.

        Raises:
            TopicChanged: Nothing was done.
            Rejected: The same, since too many are like what it is to be.
            Unopened: The same, since it has headers, and the hub keeps no secrets.
        """
        key, on, joined = member.key, on or On(), ""
        if conflict := await self._conflict(member, expected):
            return conflict
        kept = await self.seal.kept(key.version, resource)
        registered = await self.registry.find(key.tenant, key.version, key.id)
        await self.record(key, kind, agent)
        # On both topics until all is written: neither can go away under it.
        if registered is not None and registered.key == key:
            is_on = wanted.status is not SubscriptionStatus.OFF
            then = replace(registered, on=is_on, since=now, resource=kept.resource, style=wanted.style)
            joined = await self.registry.join(registered, on, then)
        owner = member.state.owner
        written = await self._write(key, expected, wanted, kept, now=now, owner=owner, on=On(on.place), joined=joined)
        if registered is not None and joined and written.outcome is not Subscribed.CHANGED:
            await self.registry.put(registered, joined=joined)
        return _said(written, key, wanted, agent)

    async def _write(
        self,
        key: SubscriptionKey,
        expected: str,
        wanted: Subscription,
        kept: Kept,
        *,
        now: int,
        owner: str,
        on: On | None = None,
        joined: str = "",
    ) -> Written:
        is_on = wanted.status is not SubscriptionStatus.OFF
        handshake = now + (self.handshake_delay if wanted.style is Style.TOPIC else 0)
        end = int(wanted.end.timestamp() * 1000) if wanted.end and is_on else None
        outcome, revision = await self.outboxes.write(
            key,
            expected=expected,
            status=SubscriptionStatus.REQUESTED if is_on else SubscriptionStatus.OFF,
            resource=kept.resource,
            headers=kept.headers,
            pace=pace(wanted),
            now=now,
            not_before=handshake,
            end=end,
            style=wanted.style,
            owner=owner,
        )
        if outcome not in (Subscribed.CREATED, Subscribed.CHANGED):
            return Written(outcome, revision)
        registered = Registered(key, is_on, revision, now, kept.resource, wanted.style, owner)
        if not await self.registry.put(registered, on=on, joined=joined):
            if outcome is Subscribed.CHANGED:
                raise Unavailable(f"Subscription/{key.id} was deleted in this moment")
            await self.outboxes.delete(key, expected="*")
            return Written(Subscribed.CONFLICT, 1)
        if is_on:
            await self.due.schedule(key, handshake, end=end)
        else:  # it may stay in the lists of due work: there is nothing to do for it then
            await self.due.ends(key, None)
        return Written(outcome, revision)

    async def test(self, member: Member, *, agent: str = ANYBODY.name) -> bool:
        """Have a test notification sent now, and what waits for its repeat; False when it isn't active."""
        if member.state.status is not SubscriptionStatus.ACTIVE:
            return False
        await self.record(member.key, Kind.TESTED, agent)
        if not await self.outboxes.call(member.key, test=True):
            return False
        await self.due.rouse([member.key])
        return True

    async def delete(self, member: Member, *, expected: str, agent: str = ANYBODY.name) -> Written:
        """Delete a Subscription with all that is owed to it. `agent`: The client that does."""
        if conflict := await self._conflict(member, expected):
            return conflict
        await self.record(member.key, Kind.SUBSCRIPTION_DELETED, agent)
        outcome, revision = await self.outboxes.delete(member.key, expected=expected)
        if outcome is not Subscribed.CONFLICT:
            await self.registry.remove(member.key)
            await self.due.schedule(member.key, None, end=None)
            log.info("subscription.deleted", extra={"subscription": str(member.key), "client": agent})
        return Written(outcome, revision)

    async def turn_off(self, key: SubscriptionKey, *, now: int) -> None:
        """Turn a Subscription off, if its end has come."""
        state = await self.outboxes.read(key)
        if state is None:
            return await self.due.ends(key, None)
        if state.status is not SubscriptionStatus.OFF:
            if state.end is None or state.end > now:  # it was written meanwhile
                return await self.due.ends(key, state.end)
            await self.switch_off(Member(key, state), now=now, agent=HUB, why="its end has come")
            return None
        return await self.due.ends(key, None)

    async def switch_off(self, member: Member, *, now: int, agent: str, why: str) -> Subscribed:
        """
        Turn a Subscription off, unless it is at another revision by now: nothing more is numbered nor sent.

        Args:
            agent: Who does.
            why: What its owner and the operator are told.
        """
        key, state = member.key, member.state
        await self.record(key, Kind.SUBSCRIPTION_OFF, agent, why)
        outcome, revision = await self.outboxes.write(
            key,
            expected=str(state.revision),
            status=SubscriptionStatus.OFF,
            resource=None,
            pace=Pace(),
            now=now,
            not_before=now,
            style=state.style,
            why=why,
        )
        if outcome is Subscribed.CHANGED:
            await self.registry.put(Registered(key, False, revision, now, state.resource, state.style, state.owner))
            await self.due.ends(key, None)
            log.info("subscription.off", extra={"subscription": str(key), "client": agent, "reason": why})
        return outcome

    async def _conflict(self, member: Member, expected: str) -> Written | None:
        """What a write comes to whose Subscription is at another revision: nothing that the audit were to tell of."""
        if expected in ("*", str(member.state.revision)):
            return None
        now = await self.outboxes.read(member.key)
        return Written(Subscribed.CONFLICT, now.revision) if now and str(now.revision) != expected else None

    async def record(self, key: SubscriptionKey, kind: Kind, agent: str, text: str = "") -> None:
        """Have the audit know what is about to be done."""
        await self.audit.record(key.tenant, Act(kind, agent, f"Subscription/{key.id}", key.version, text=text))

    async def repair(self, *, now: int) -> int:
        """
        Compare registry, states and due work, and mend what a crash left between them; returns how many were mended.

        Whoever has something to be sent is marked as due, forgotten or not, and whoever ends is noted: it costs little,
        and nobody stays `requested` for ever.
        """
        mended, chunk = 0, []
        async for registered in self.registry.all():
            chunk.append(registered)
            if len(chunk) == CHUNK:
                mended += await self._repair(chunk, now=now)
                chunk = []
        mended += await self._repair(chunk, now=now)
        if mended:
            log.warning("registry.repaired", extra={"subscriptions": mended})
        return mended

    async def _repair(self, chunk: list[Registered], *, now: int) -> int:
        mended, waiting, beats, told = 0, [], {}, []
        for each, state in zip(chunk, await self.outboxes.read_many([r.key for r in chunk]), strict=True):
            mended += await self._mend(each, state, now=now)
            if state is not None and state.alerts:
                told.append(each.key)
            if state is None or state.status is SubscriptionStatus.OFF:
                continue
            if state.status is SubscriptionStatus.REQUESTED:
                # Out of a back-off too, which may be that of an earlier revision; `take` says if it is to wait.
                await self.due.schedule(each.key, now, end=state.end)
            elif state.waiting:
                waiting.append(each.key)
            elif state.status is SubscriptionStatus.ACTIVE and state.beat_at is not None:
                beats[each.key] = state.beat_at
            if state.end is not None:
                await self.due.ends(each.key, state.end)
        if waiting:
            await self.due.mark(waiting)
        if told:
            await self.outboxes.alert(told)
        return mended + await self.due.remind(beats)

    async def _mend(self, registered: Registered, state: State | None, *, now: int) -> bool:
        """Make the registry say what the state says; True if it didn't."""
        key = registered.key
        if state is None:
            if now - registered.since < ABANDONED:
                return False
            await self.registry.remove(key)
            return True
        on = state.status is not SubscriptionStatus.OFF
        wanted = Registered(key, on, state.revision, state.updated, state.resource, state.style, state.owner)
        if replace(wanted, revision=registered.revision, since=registered.since) == registered:
            return False
        return await self.registry.put(wanted)


def _said(written: Written, key: SubscriptionKey, wanted: Subscription, client: str) -> Written:
    """Write of what was written, if it was, that it is."""
    if written.outcome in (Subscribed.CREATED, Subscribed.CHANGED):
        off = wanted.status is SubscriptionStatus.OFF
        ids = {"subscription": str(key), "revision": written.revision, "client": client}
        status = SubscriptionStatus.OFF if off else SubscriptionStatus.REQUESTED
        log.info("subscription.stored", extra=ids | {"status": status})
    return written
