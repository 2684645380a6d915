"""
A Subscription's way in and out: registry, state and due work, always in the order that loses nothing.

In:  registered (so every matcher will know it), then its state is written, then its handshake is scheduled.
Out: its state goes first (from then on nothing is numbered or settled), then its place in the registry.
A crash in between was acknowledged to nobody, and `repair` mends what it left.
"""

from dataclasses import dataclass
from logging import getLogger
from uuid import uuid4

from hub.due import Due
from hub.errors import Unavailable
from hub.keys import SubscriptionKey
from hub.outbox import Outboxes, State, Subscribed
from hub.registry import Registered, Registry
from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.subscription import Subscription

log = getLogger("hub.membership")

#: ms after which a registration without a state is what a crash left, and not one under way.
ABANDONED = 60_000

#: Subscriptions that are compared in one round trip.
CHUNK = 500


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

    async def find(self, tenant: str, version: FhirVersion, id_: str) -> Member | None:
        """The Subscription of this id; None when there is none."""
        registered = await self.registry.find(tenant, version, id_)
        state = await self.outboxes.read(registered.key) if registered else None
        return Member(registered.key, state) if registered and state else None

    async def all(self, tenant: str, version: FhirVersion) -> list[Member]:
        """All Subscriptions of a tenant, by id."""
        keys = {r.key async for r in self.registry.all(f"{tenant}/{version}/")}
        ordered = sorted(keys, key=lambda key: key.id)
        states = await self.outboxes.read_many(ordered)
        return [Member(key, state) for key, state in zip(ordered, states, strict=True) if state is not None]

    async def create(
        self, tenant: str, version: FhirVersion, id_: str, wanted: Subscription, resource: bytes, *, now: int
    ) -> Written:
        """Create a Subscription under an id that was not in use; CONFLICT when it is by now."""
        key = SubscriptionKey(tenant, version, id_, uuid4().hex[:12])
        # A crash behind this line leaves a registration without a state: it is adopted here, or removed by `repair`.
        if not await self.registry.enter(Registered(key, True, now, resource)):
            registered = await self.registry.find(tenant, version, id_)
            if registered is None:
                raise Unavailable(f"Subscription/{id_} was deleted in this moment")
            key = registered.key
        return await self._write(key, "", wanted, resource, now=now)

    async def update(
        self, member: Member, wanted: Subscription, resource: bytes, *, expected: str, now: int
    ) -> Written:
        """Change a Subscription that is at the revision `expected`, or at any (`*`)."""
        return await self._write(member.key, expected, wanted, resource, now=now)

    async def _write(
        self, key: SubscriptionKey, expected: str, wanted: Subscription, resource: bytes, *, now: int
    ) -> Written:
        on = wanted.status is not SubscriptionStatus.OFF
        status = SubscriptionStatus.REQUESTED if on else SubscriptionStatus.OFF
        handshake = now + self.handshake_delay
        outcome, revision = await self.outboxes.write(
            key,
            expected=expected,
            status=status,
            resource=resource,
            max_count=wanted.max_count or 1,
            now=now,
            not_before=handshake,
        )
        if outcome in (Subscribed.CREATED, Subscribed.CHANGED):
            if not await self.registry.put(Registered(key, on, now, resource)):
                raise Unavailable(f"Subscription/{key.id} was deleted in this moment")
            end = int(wanted.end.timestamp() * 1000) if wanted.end and on else None
            await self.due.schedule(key, handshake if on else None, end=end)
        return Written(outcome, revision)

    async def delete(self, member: Member, *, expected: str) -> Written:
        """Delete a Subscription with all that is owed to it."""
        outcome, revision = await self.outboxes.delete(member.key, expected=expected)
        if outcome is not Subscribed.CONFLICT:
            await self.registry.remove(member.key)
            await self.due.schedule(member.key, None, end=None)
        return Written(outcome, revision)

    async def turn_off(self, key: SubscriptionKey, *, now: int) -> None:
        """Turn a Subscription off, because its end has come."""
        state = await self.outboxes.read(key)
        if state is not None and state.status is not SubscriptionStatus.OFF:
            outcome, _ = await self.outboxes.write(
                key,
                expected=str(state.revision),
                status=SubscriptionStatus.OFF,
                resource=state.resource,
                max_count=1,
                now=now,
                not_before=now,
            )
            if outcome is not Subscribed.CHANGED:
                return
            log.info("subscription.ended", extra={"subscription": str(key)})
        if state is not None:
            await self.registry.put(Registered(key, False, now, state.resource))
        await self.due.schedule(key, None, end=None)

    async def repair(self, *, now: int) -> int:
        """
        Compare registry, states and due work, and mend what a crash left between them; returns how many were mended.

        Whoever has something to be sent is marked as due, forgotten or not: it costs little, and nobody stays
        `requested` for ever.
        """
        mended, registered = 0, [each async for each in self.registry.all()]
        for chunk in (registered[i : i + CHUNK] for i in range(0, len(registered), CHUNK)):
            states = await self.outboxes.read_many([each.key for each in chunk])
            for each, state in zip(chunk, states, strict=True):
                mended += await self._mend(each, state, now=now)
            await self.due.mark(
                [each.key for each, state in zip(chunk, states, strict=True) if state and state.waiting]
            )
        if mended:
            log.warning("registry.repaired", extra={"subscriptions": mended})
        return mended

    async def _mend(self, registered: Registered, state: State | None, *, now: int) -> bool:
        """Make the registry say what the state says; True if it didn't."""
        key = registered.key
        if state is None:
            if now - registered.since < ABANDONED:
                return False
            await self.registry.remove(key)
            if await self.outboxes.read(key) is not None:  # it was adopted in this very moment
                await self.registry.enter(registered)
            return True
        on = state.status is not SubscriptionStatus.OFF
        if on == registered.on and state.resource == registered.resource:
            return False
        return await self.registry.put(Registered(key, on, state.updated, state.resource))
