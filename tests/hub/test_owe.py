"""`owe`: which changes become events, and under which numbers."""

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.keys import SubscriptionKey
from hub.outbox import Outboxes, Owed
from hub.turn import Verb
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from tests.hub.life import R4, Life, entry

PARTITIONS = (0, 1)
_examples = count()


@dataclass
class World:
    """
    What was put and matched, and what should have come of it.

    put, matched: How many changes of each partition; what is not matched yet is matched again.
    began: The changes up to here are from before the subscription's activation.
    events: (partition, number of the change) in the order of their event numbers.
    """

    life: Life
    exists: bool = True
    status: SubscriptionStatus = SubscriptionStatus.REQUESTED
    counting: bool = False
    skip: bool = False
    delivered: int = 0
    put: dict[int, int] = field(default_factory=lambda: dict.fromkeys(PARTITIONS, 0))
    matched: dict[int, int] = field(default_factory=lambda: dict.fromkeys(PARTITIONS, 0))
    began: dict[int, int] = field(default_factory=lambda: dict.fromkeys(PARTITIONS, 0))
    events: list[tuple[int, int]] = field(default_factory=list)

    async def owe(self, partition: int, numbers: range) -> None:
        """Owe a batch, and compare what is said of it."""
        changes = [entry(partition, number) for number in numbers]
        said = await self.life.outboxes.owe(self.life.key, partition, changes)
        if not self.counting:
            assert said is None
            return
        fresh = [
            (partition, number)
            for number in numbers
            if number > self.began[partition] and (partition, number) not in self.events
        ]
        self.events += fresh
        assert said == Owed(len(self.events), len(fresh), self.sends)

    @property
    def sends(self) -> bool:
        return self.status is SubscriptionStatus.ACTIVE and len(self.events) > self.delivered


@dataclass(frozen=True)
class Changes:
    """Publishers put changes."""

    partition: int
    many: int

    async def do(self, world: World) -> None:
        world.put[self.partition] += self.many


@dataclass(frozen=True)
class Match:
    """
    A matcher owes what is not matched yet.

    again: It begins so many changes before that, as one that was woken after a long time does.
    most: Of its batch.
    advance: False: it dies before it has written its progress.
    """

    partition: int
    again: int
    most: int
    advance: bool

    async def do(self, world: World) -> None:
        first = max(world.matched[self.partition] - self.again, 0) + 1
        last = min(world.put[self.partition], world.matched[self.partition] + self.most)
        await world.owe(self.partition, range(first, last + 1))
        if self.advance:
            world.matched[self.partition] = last


@dataclass(frozen=True)
class Zombies:
    """Matchers that hold the same old batch owe it at once."""

    partition: int
    most: int

    async def do(self, world: World) -> None:
        numbers = range(1, min(world.matched[self.partition], self.most) + 1)
        changes = [entry(self.partition, number) for number in numbers]
        before = await world.life.outboxes.read(world.life.key)
        said = await asyncio.gather(
            *(world.life.outboxes.owe(world.life.key, self.partition, changes) for _ in range(3))
        )
        assert {owed.fresh for owed in said if owed is not None} <= {0}
        assert await world.life.outboxes.read(world.life.key) == before


@dataclass(frozen=True)
class Activate:
    """Its handshake is accepted; the streams' ends were read just now."""

    async def do(self, world: World) -> None:
        if world.status is not SubscriptionStatus.REQUESTED:
            return
        ends = {partition: entry(partition, number).id for partition, number in world.put.items() if number}
        await world.life.settle(await world.life.turn(), Verb.ACTIVE, ends)
        if not world.counting:
            world.counting, world.began = True, dict(world.put)
        if world.skip:
            world.delivered, world.skip = len(world.events), False
        world.status = SubscriptionStatus.ACTIVE


@dataclass(frozen=True)
class Deliver:
    """Its next notification is accepted, or it is given up, or the endpoint is gone."""

    verb: Verb

    async def do(self, world: World) -> None:
        if not world.sends:
            return
        turn = await world.life.turn()
        assert turn.sending is not None
        await world.life.settle(turn, self.verb)
        if self.verb is Verb.DELIVERED:
            world.delivered = turn.sending.last
        else:
            world.status = SubscriptionStatus(self.verb)
            world.skip = True
            world.counting = world.counting and self.verb is Verb.ERROR


@dataclass(frozen=True)
class Rewrite:
    """Its client changes it."""

    status: SubscriptionStatus

    async def do(self, world: World) -> None:
        await world.life.write(self.status)
        world.status = self.status
        if self.status is SubscriptionStatus.OFF:
            world.counting, world.skip = False, True


Step: TypeAlias = Changes | Match | Zombies | Activate | Deliver | Rewrite

_partitions = st.sampled_from(PARTITIONS)
_matches = st.builds(Match, _partitions, st.integers(0, 6), st.integers(0, 6), st.booleans())
_steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.builds(Changes, _partitions, st.integers(1, 5)),
        _matches,
        _matches,
        st.builds(Zombies, _partitions, st.integers(1, 9)),
        st.just(Activate()),
        st.builds(Deliver, st.sampled_from((Verb.DELIVERED, Verb.DELIVERED, Verb.ERROR, Verb.OFF))),
        st.builds(Rewrite, st.sampled_from((SubscriptionStatus.REQUESTED, SubscriptionStatus.OFF))),
    ),
    min_size=6,
    max_size=22,
)


@given(active=st.booleans(), steps=_steps)
@settings(max_examples=1000)
async def test_each_change_is_owed_exactly_once_while_the_subscription_counts(
    lasting: Parts, active: bool, steps: list[Step]
) -> None:
    """Whatever is matched again, by whomever, and whatever becomes of the subscription meanwhile."""
    outboxes = Outboxes(lasting.pipeline)
    world = World(Life(outboxes, SubscriptionKey("default", R4, "s", f"i{next(_examples)}")))
    await world.life.write(SubscriptionStatus.REQUESTED, expected="")
    for step in (Activate(), *steps) if active else steps:
        await step.do(world)
    state = await outboxes.read(world.life.key)
    assert state is not None
    assert (state.status, state.events, state.delivered) == (world.status, len(world.events), world.delivered)
    owed = await outboxes.events(world.life.key, 1, 1000)
    assert [event.number for event in owed] == list(range(1, len(world.events) + 1))
    assert [(event.id, event.version) for event in owed] == [(f"p{p}-{n}", n) for p, n in world.events]
    assert len(set(world.events)) == len(world.events)


async def test_nothing_is_owed_to_a_subscription_that_does_not_exist(parts: Parts) -> None:
    """And nothing is left behind, which would be there already when one of this name is created."""
    key = SubscriptionKey("default", R4, "s", "i")
    assert await parts.outboxes.owe(key, 0, [entry(0, 1)]) is None
    assert await parts.pipeline.command("EXISTS", key.subscription, key.outbox) == 0


async def test_ids_of_changes_are_compared_as_numbers(parts: Parts) -> None:
    """As text `…-10` would stand before `…-9`, and a change would be lost."""
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"))
    await life.active({0: "999-9"})
    changes = [
        entry(0, 1).__class__(id_, entry(0, 1).resource, 1, entry(0, 1).interaction, 1)
        for id_ in ("999-10", "1000-0", "1000-9", "1000-10")
    ]
    for change in changes:
        owed = await parts.outboxes.owe(life.key, 0, [change])
        assert owed is not None
        assert owed.fresh == 1
    assert (await parts.outboxes.owe(life.key, 0, changes)) == Owed(4, 0, True)


async def test_event_numbers_do_not_lose_digits(parts: Parts) -> None:
    """Lua prints numbers with 14 digits if it isn't told otherwise."""
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"))
    await life.active()
    many = 10**15
    await parts.pipeline.command("HSET", life.key.subscription, "events", many, "delivered", many)
    owed = await parts.outboxes.owe(life.key, 0, [entry(0, 1), entry(0, 2)])
    assert owed == Owed(many + 2, 2, True)
    assert [event.number for event in await parts.outboxes.events(life.key, many + 1, many + 9)] == [many + 1, many + 2]
    turn = await life.turn()
    assert turn.sending is not None
    assert (turn.sending.first, turn.sending.last) == (many + 1, many + 2)
