"""Due work: no wake-up is lost, whoever claims, dies, comes back late or is too slow."""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, ClassVar, TypeVar

import pytest
import uvloop
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hub.due import Due, Lease
from hub.keys import SubscriptionKey
from hub.outbox import Outboxes
from hub.turn import Later, Stale, Turn, Verb
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from subscriptions.codes import SubscriptionStatus
from subscriptions.pace import Pace
from tests.facts import eventually
from tests.hub import conftest
from tests.hub.life import R4, Life, entry
from tests.redis_server import RedisServer

#: ms of a lease: longer than any example takes, so that only the test lets it run out.
LEASE = 60_000
SOON, LATE = 1_000, 3_600_000
#: The second subscription gets heartbeats, and has a delivery window.
PACES = (Pace(2), Pace(2, 7_200_000, 600_000))

#: Redis' time in ms, then for each name its lowest score in any of the zsets.
SOONEST = """
local time = redis.call('TIME')
local found = {string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))}
for _, name in ipairs(ARGV) do
  local lowest
  for _, key in ipairs(KEYS) do
    local score = tonumber(redis.call('ZSCORE', key, name) or nil)
    if score and (not lowest or score < lowest) then lowest = score end
  end
  found[#found + 1] = lowest and string.format('%.0f', lowest) or ''
end
return found
"""

T = TypeVar("T")
_examples = count()


@dataclass
class Serving:
    """A lease in a server's hand. `turn`: what it was given, None before `take`; the rest: how it is given back."""

    lease: Lease
    turn: Turn | None = None
    wait_until: int | None = None
    above: int = 0
    more: bool = False


@dataclass(frozen=True)
class Member:
    """
    What is seen of a subscription, in ms from now.

    ready: When something may be sent. beat: When a heartbeat is due. soonest: When somebody looks after it.
    """

    status: SubscriptionStatus
    backlog: int
    ready: int
    beat: int | None
    soonest: int | None


class Servers(RuleBasedStateMachine):
    """
    Two subscriptions, any number of servers, and a matcher. Each step over one hash tag happens by itself, so whatever
    else happens may come between, and whoever does it may die between.

    unmarked, unscheduled: What the matcher and the clients still have to say to the due work, after their first step.
    settled: pinned notification -> token of the lease under which it was settled.
    """

    parts: ClassVar[Parts]
    runner: ClassVar["asyncio.Runner"]

    def __init__(self) -> None:
        super().__init__()
        self.outboxes = Outboxes(self.parts.pipeline)
        self.due = Due(self.parts.client, self.parts.pipeline, 1)
        self.shard = self.due.shards[0]
        self.keys = [SubscriptionKey("default", R4, name, f"i{next(_examples)}") for name in ("a", "b")]
        self.events = dict.fromkeys(self.keys, 0)
        self.serving: list[Serving] = []
        self.unmarked: list[SubscriptionKey] = []
        self.unscheduled: dict[SubscriptionKey, int] = {}
        self.tokens: dict[SubscriptionKey, int] = {}
        self.settled: dict[tuple[SubscriptionKey, str], str] = {}
        shard = self.shard
        zsets = (shard.due, shard.wait, shard.lease)
        self.do(self.ask("UNLINK", *zsets, shard.owner, shard.fence, shard.wake, shard.end))
        for key in self.keys:
            self.write(self.keys.index(key), 0, create=True)
            self.schedule()

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.runner.get_loop().run_until_complete(step)

    async def ask(self, *command: str) -> Any:
        return await self.parts.pipeline.command(*command)

    def now(self) -> int:
        seconds, micros = self.do(self.ask("TIME"))
        return int(seconds) * 1000 + int(micros) // 1000

    def write(self, which: int, delay: int, *, create: bool = False) -> None:
        key, at = self.keys[which], self.now() + delay
        status = SubscriptionStatus.REQUESTED
        self.do(
            self.outboxes.write(
                key,
                expected="" if create else "*",
                status=status,
                resource=b"{}",
                pace=PACES[which],
                now=at,
                not_before=at,
            )
        )
        self.unscheduled[key] = at

    @rule(which=st.integers(0, 1), delay=st.sampled_from((0, SOON)))
    def a_client_changes_it(self, which: int, delay: int) -> None:
        self.write(which, delay)

    @precondition(lambda self: self.unscheduled)
    @rule()
    def schedule(self) -> None:
        key, at = self.unscheduled.popitem()
        self.do(self.due.schedule(key, at, end=None))

    @rule(which=st.integers(0, 1), many=st.integers(1, 3))
    def the_matcher_owes(self, which: int, many: int) -> None:
        key = self.keys[which]
        first = self.events[key] + 1
        changes = [entry(0, number) for number in range(first, first + many)]
        owed = self.do(self.outboxes.owe(key, 0, changes))
        if owed is not None:
            self.events[key] += many
            if owed.send:
                self.unmarked.append(key)

    @precondition(lambda self: self.unmarked)
    @rule()
    def the_matcher_marks(self) -> None:
        marked, self.unmarked = self.unmarked, []
        self.do(self.due.mark(marked))

    @rule(most=st.integers(1, 2))
    def a_server_claims(self, most: int) -> None:
        claimed = self.do(self.due.claim(self.shard, most=most, milliseconds=LEASE))
        assert len(claimed.leases) <= most
        for lease in claimed.leases:
            assert int(lease.token) > self.tokens.get(lease.subscription, 0)
            assert lease.ends == claimed.now + LEASE
            self.tokens[lease.subscription] = int(lease.token)
        self.serving += [Serving(lease) for lease in claimed.leases]

    def pick(self, who: int) -> Serving:
        return self.serving[who % len(self.serving)]

    @precondition(lambda self: self.serving)
    @rule(who=st.integers(0, 7))
    def a_server_takes(self, who: int) -> None:
        serving = self.pick(who)
        if serving.turn is not None:
            return
        said = self.do(self.outboxes.take(serving.lease.subscription, serving.lease.token))
        match said:
            case Turn():
                serving.turn = said
            case Later(at):
                serving.wait_until = at
            case Stale(token):
                assert token >= int(serving.lease.token)
                serving.above, serving.more = token, True
            case None:
                raise AssertionError("nobody has deleted it")

    @precondition(lambda self: self.serving)
    @rule(who=st.integers(0, 7), verb=st.sampled_from(("good", "good", "good", "again", "error")))
    def a_server_settles(self, who: int, verb: str) -> None:
        serving = self.pick(who)
        turn, lease = serving.turn, serving.lease
        if turn is None or turn.sending is None or serving.wait_until is not None:
            return
        good = Verb.ACTIVE if turn.sending.handshake else Verb.DELIVERED
        chosen = {"good": good, "again": Verb.AGAIN, "error": Verb.ERROR}[verb]
        again_at = self.now() + LATE if chosen is Verb.AGAIN else None
        said = self.do(
            self.outboxes.settle(lease.subscription, lease.token, turn, chosen, said="so", again_at=again_at)
        )
        if said is None:
            serving.turn, serving.more = Turn(turn.status, turn.revision, turn.events, 0, None), True
            return
        assert int(lease.token) == self.tokens[lease.subscription] or not self._taken_since(lease)
        if chosen is Verb.AGAIN:
            serving.wait_until = again_at
            return
        pin = (lease.subscription, str(turn.sending))
        assert self.settled.setdefault(pin, lease.token) == lease.token
        serving.turn = said

    def _taken_since(self, lease: Lease) -> bool:
        """Whether a server with a later lease has begun to serve."""
        later = (s for s in self.serving if s.lease.subscription == lease.subscription and s.turn is not None)
        return any(int(other.lease.token) > int(lease.token) for other in later)

    @precondition(lambda self: self.serving)
    @rule(who=st.integers(0, 7))
    def a_server_releases(self, who: int) -> None:
        serving = self.pick(who)
        if serving.turn is None and serving.wait_until is None and not serving.more:
            return  # it has not begun yet
        more = serving.more or (serving.turn is not None and serving.turn.sending is not None)
        self.serving.remove(serving)
        turn = serving.turn or Turn(SubscriptionStatus.OFF, 0, 0, 0, None)
        wait_until = serving.wait_until if serving.wait_until is not None else turn.quiet_until
        self.do(self.due.release(serving.lease, more=more, wait_until=wait_until, at=turn.beat_at, above=serving.above))

    @rule(verb=st.sampled_from(("good", "good", "again", "error")))
    def a_server_does_it_all(self, verb: str) -> None:
        """All that is due, in time, one step right after the other."""
        others, self.serving = self.serving, []
        self.a_server_claims(2)
        for serving in list(self.serving):
            self._serve(serving, verb)
        self.serving = others

    @precondition(lambda self: self.serving)
    @rule(who=st.integers(0, 7))
    def a_server_dies(self, who: int) -> None:
        self.serving.remove(self.pick(who))

    @precondition(lambda self: self.serving)
    @rule(who=st.integers(0, 7))
    def a_server_renews(self, who: int) -> None:
        serving = self.pick(who)
        longer = self.do(self.due.renew(serving.lease, milliseconds=LEASE))
        owner = self.do(self.ask("HGET", self.shard.owner, str(serving.lease.subscription)))
        if longer is None:
            assert owner != serving.lease.token.encode()
        else:
            assert owner == longer.token.encode() == serving.lease.token.encode()
            serving.lease = longer

    @rule(ms=st.sampled_from((SOON, LEASE, LATE)))
    def time_passes(self, ms: int) -> None:
        """Whatever is in the future comes nearer. Redis' clock can't be moved, so all that it is compared with is."""
        self.do(self._pass(ms))
        for serving in self.serving:
            if serving.wait_until is not None:
                serving.wait_until -= ms
            if (turn := serving.turn) is not None:
                quiet, beat = ((at and at - ms) for at in (turn.quiet_until, turn.beat_at))
                serving.turn = replace(turn, quiet_until=quiet, beat_at=beat)

    async def _pass(self, ms: int) -> None:
        zsets = (self.shard.due, self.shard.wait, self.shard.lease)
        commands = self.parts.pipeline.all
        held = await commands([("ZRANGE", zset, 0, -1) for zset in zsets])
        fields = [(key.subscription, field) for key in self.keys for field in ("next", "quiet_until", "beat_at")]
        there = await commands([("HEXISTS", *field) for field in fields])
        await commands(
            [("ZINCRBY", zset, -ms, name) for zset, names in zip(zsets, held, strict=True) for name in names]
        )
        await commands([("HINCRBY", *field, -ms) for field, is_there in zip(fields, there, strict=True) if is_there])

    async def _members(self) -> list[Member]:
        now, *soonest = await self.parts.pipeline.command(
            "EVAL", SOONEST, 3, self.shard.due, self.shard.wait, self.shard.lease, *map(str, self.keys)
        )
        held = await self.parts.pipeline.all(
            [
                ("HMGET", key.subscription, "status", "events", "delivered", "next", "quiet_until", "beat_at")
                for key in self.keys
            ]
        )
        return [
            Member(
                SubscriptionStatus(status.decode()),
                int(events) - int(delivered),
                max(int(next_ms or now), int(quiet or now)) - int(now),
                int(beat) - int(now) if beat else None,
                int(score) - int(now) if score else None,
            )
            for (status, events, delivered, next_ms, quiet, beat), score in zip(held, soonest, strict=True)
        ]

    @invariant()
    def whoever_has_work_is_looked_after(self) -> None:
        """In `due`, `wait` or `lease`, and no later than needed: when a lease runs out, or when it may be sent."""
        for key, member in zip(self.keys, self.do(self._members()), strict=True):
            if key in self.unscheduled or key in self.unmarked:
                continue
            works = member.status is SubscriptionStatus.REQUESTED or (
                member.status is SubscriptionStatus.ACTIVE and member.backlog > 0
            )
            if works:
                assert member.soonest is not None
                assert member.soonest <= max(LEASE, member.ready)
            elif member.status is SubscriptionStatus.ACTIVE and member.beat is not None:
                assert member.soonest is not None
                assert member.soonest <= max(LEASE, member.beat)

    def teardown(self) -> None:
        """All servers die, the matcher and the clients go on: one server that comes then brings all to an end."""
        self.serving.clear()
        while self.unscheduled:
            self.schedule()
        if self.unmarked:
            self.the_matcher_marks()
        owed = max(member.backlog for member in self.do(self._members()))
        for _ in range(owed + 6):  # in a window there is one bundle at a time, and each has an event at least
            self.time_passes(LATE + LEASE)
            self.a_server_does_it_all("good")
        for member in self.do(self._members()):
            assert member.status is not SubscriptionStatus.REQUESTED
            assert member.backlog == 0 or member.status is SubscriptionStatus.ERROR
            if member.beat is None:
                assert member.soonest is None
            else:
                assert member.soonest is not None
                assert member.soonest <= member.beat

    def _serve(self, serving: Serving, verb: str) -> None:
        who = self.serving.index(serving)
        self.a_server_takes(who)
        while serving.wait_until is None and serving.turn is not None and serving.turn.sending is not None:
            self.a_server_settles(who, verb)
        self.a_server_releases(who)


@pytest.fixture
def machine(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Servers]]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        Servers.runner = runner
        Servers.parts = runner.run(built(conftest.settings(redis_server.url, tmp_path_factory.mktemp("data"))))
        yield Servers
        runner.run(conftest.close(Servers.parts.client))


@pytest.mark.timeout(600)  # Hypothesis takes up to five minutes to make a failing example short
def test_whoever_has_something_to_send_is_always_looked_after(machine: type[Servers]) -> None:
    """No wake-up is lost, tokens grow, no two servers settle the same, and in the end all is sent."""
    run_state_machine_as_test(machine, settings=settings(max_examples=100, stateful_step_count=30))


def key(name: str = "a") -> SubscriptionKey:
    return SubscriptionKey("default", R4, name, "i")


async def lease_of(due: Due, key: SubscriptionKey, *, milliseconds: int = LEASE) -> Lease:
    """Claim what is due now: this one."""
    (lease,) = (await due.claim(due.shards[0], most=9, milliseconds=milliseconds)).leases
    assert lease.subscription == key
    return lease


@pytest.fixture
def due(parts: Parts) -> Due:
    """Due work in one shard."""
    return Due(parts.client, parts.pipeline, 1)


async def test_a_handshake_asked_for_between_settle_and_release_is_not_put_off(parts: Parts, due: Due) -> None:
    """The lane has recorded a failure and is about to wait for hours; right then a client changes the subscription."""
    life = Life(parts.outboxes, key())
    await life.write(SubscriptionStatus.REQUESTED, expected="")
    await due.schedule(key(), 1, end=None)
    lease = await lease_of(due, key())
    turn = await parts.outboxes.take(key(), lease.token)
    assert isinstance(turn, Turn)
    late = lease.ends + LATE
    await parts.outboxes.settle(key(), lease.token, turn, Verb.AGAIN, said="so", again_at=late)
    await life.write(SubscriptionStatus.REQUESTED)
    await due.schedule(key(), 1, end=None)
    await due.release(lease, wait_until=late)
    later = await lease_of(due, key())
    assert isinstance(await parts.outboxes.take(key(), later.token), Turn)


async def test_a_client_that_changes_a_subscription_ends_its_back_off_for_good(due: Due) -> None:
    """Else the events that come after its handshake would wait until the old back-off is over."""
    await due.mark([key()])
    lease = await lease_of(due, key())
    await due.release(lease, wait_until=lease.ends + LATE)
    await due.schedule(key(), 1, end=None)
    await due.release(await lease_of(due, key()))
    await due.mark([key()])
    await lease_of(due, key())


async def test_a_mark_during_a_lease_is_found_when_the_lease_is_given_back(due: Due) -> None:
    await due.mark([key()])
    lease = await lease_of(due, key())
    await due.mark([key()])
    assert (await due.claim(due.shards[0], most=9, milliseconds=LEASE)).leases == []
    await due.release(lease)
    assert int((await lease_of(due, key())).token) > int(lease.token)


async def test_a_mark_does_not_pull_a_subscription_out_of_its_back_off(due: Due) -> None:
    await due.mark([key()])
    lease = await lease_of(due, key())
    await due.release(lease, wait_until=lease.ends + LATE)
    await due.mark([key()])
    claimed = await due.claim(due.shards[0], most=9, milliseconds=LEASE)
    assert (claimed.leases, claimed.next) == ([], lease.ends + LATE)


async def test_a_lease_that_ran_out_goes_to_somebody_else_and_its_former_holder_has_no_say(due: Due) -> None:
    await due.mark([key()])
    lease = await lease_of(due, key(), milliseconds=1)
    await eventually(lambda: due.now() > lease.ends + 1)
    later = await lease_of(due, key())
    assert int(later.token) > int(lease.token)
    assert await due.renew(lease, milliseconds=LEASE) is None
    await due.release(lease, more=True)
    claimed = await due.claim(due.shards[0], most=9, milliseconds=LEASE)
    assert (claimed.leases, claimed.next) == ([], later.ends)


async def test_a_token_that_redis_forgot_is_stepped_over(parts: Parts, due: Due) -> None:
    """A Redis that was restored gives out lower tokens than the subscription has seen."""
    life = Life(parts.outboxes, key(), token=1000)
    await life.active()
    await due.mark([key()])
    lease = await lease_of(due, key())
    assert await parts.outboxes.take(key(), lease.token) == Stale(1001)
    await due.release(lease, more=True, above=1001)
    lease = await lease_of(due, key())
    assert int(lease.token) == 1002
    assert isinstance(await parts.outboxes.take(key(), lease.token), Turn)


async def test_whoever_waits_for_work_is_woken_by_it(due: Due) -> None:
    waiting = asyncio.create_task(due.work_came(due.shards[0], "0-0", wait_ms=60_000))
    await due.mark([key()])
    async with asyncio.timeout(10):
        seen = await waiting
    lease = await lease_of(due, key())
    assert await due.work_came(due.shards[0], seen, wait_ms=1) == seen
    await due.release(lease, more=True)
    assert await due.work_came(due.shards[0], seen, wait_ms=60_000) != seen


async def test_what_has_ended_is_listed_until_it_is_scheduled_without_an_end(due: Due) -> None:
    await due.schedule(key(), None, end=1_000)
    await due.schedule(key("b"), None, end=2_000)
    assert await due.ended(due.shards[0], 999) == []
    assert await due.ended(due.shards[0], 1_000) == [key()]
    await due.schedule(key(), None, end=None)
    assert await due.ended(due.shards[0], 9_000) == [key("b")]
