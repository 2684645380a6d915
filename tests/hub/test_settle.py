"""`take` and `settle`: what is sent, how often, and what becomes of a subscription by it. `follow` is the law."""

import asyncio
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.keys import SubscriptionKey
from hub.outbox import Outboxes, Owed, Subscribed
from hub.pipeline import Pipeline
from hub.resending import note
from hub.turn import Kind, Later, Sending, Sent, Stale, Turn, Verb
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from subscriptions.lifecycle import ABSENT, Happening, State, follow
from subscriptions.pace import Pace
from subscriptions.ranges import Range
from tests.hub.life import LONG_AGO, R4, Life, entry

#: ms since 1970: nothing is sent before it, unless time is made to pass.
FAR = 10**14
MAX_COUNT = 2
#: ms: no example takes so long.
PERIOD = 1_000_000
UNPACED = Pace(MAX_COUNT)
SENT = Sent(1, 2, "yes")
#: ms since 1970, before all changes.
START = 1
#: Events that a server wants brought along.
AHEAD = 3
_examples = count()


@dataclass
class Served:
    """A lease that some server believes in: its token, and what it was given to send."""

    token: int
    turn: Turn


@dataclass
class World:
    """
    The model of one Subscription, and what all servers believe of it.

    pinned: What goes out next, until it is settled; None while nothing is fixed.
    waits: Nothing is sent before time has passed.
    pace: What its client asked for.
    shut: Its delivery window is.
    beats: A heartbeat is to come; due: its time has come.
    attempts: How many are kept: each was made once, however often it was said what came of it.
    sent: Numbers of events of which a server was told that they had arrived.
    resend: Numbers of those that are to be sent once more.
    called: Since that was asked for, what has failed is tried again now.
    test: A test is to be sent.
    start: It is to begin with the past; begun: it was active once.
    filling: It is being filled with changes of the past; waiting: how many there are by now.
    """

    pipeline: Pipeline
    key: SubscriptionKey
    state: State = ABSENT
    revision: int = 0
    events: int = 0
    delivered: int = 0
    skipped: int = 0
    token: int = 0
    pinned: Sending | None = None
    attempt: int = 0
    waits: bool = False
    pace: Pace = field(default_factory=Pace)
    shut: bool = False
    beats: bool = False
    due: bool = False
    attempts: int = 0
    sent: list[int] = field(default_factory=list)
    resend: set[int] = field(default_factory=set)
    called: bool = False
    test: bool = False
    start: bool = False
    begun: bool = False
    filling: bool = False
    waiting: int = 0
    tokens: int = 0
    servers: list[Served] = field(default_factory=list)

    @property
    def outboxes(self) -> Outboxes:
        return Outboxes(self.pipeline)

    @property
    def status(self) -> SubscriptionStatus:
        assert self.state.status is not None
        return self.state.status

    def happens(self, happening: Happening) -> None:
        """What `follow` says of it."""
        step = follow(self.state, happening)
        assert step.state != self.state or happening in (Happening.WRITTEN, Happening.WRITTEN_OFF)
        self.state = step.state
        if step.restart:
            self.begun, self.filling, self.waiting = True, self.start and not self.begun, 0
        self.revision += 1
        self.pinned, self.attempt = None, 0
        self.shut = self.beats = self.due = self.test = False
        if self.state.status in (SubscriptionStatus.ERROR, SubscriptionStatus.OFF):
            self.resend.clear()
        if step.skip:
            self.skipped += self.events - self.delivered
            self.delivered = self.events

    def next(self) -> tuple[int, int, Kind] | None:
        """The range of what must be pinned now, and its kind; last is 0 in a handshake."""
        if self.state.status is SubscriptionStatus.REQUESTED:
            return self.events, 0, Kind.HANDSHAKE
        if self.state.status is SubscriptionStatus.ACTIVE and self.test:
            return self.events, 0, Kind.HEARTBEAT
        if self.state.status is SubscriptionStatus.ACTIVE and self.resend:
            first = min(self.resend)
            return first, first + (MAX_COUNT == 2 and first + 1 in self.resend), Kind.RESEND
        if self.state.status is SubscriptionStatus.ACTIVE and self.events > self.delivered:
            return self.delivered + 1, min(self.events, self.delivered + MAX_COUNT), Kind.EVENTS
        if self.state.status is SubscriptionStatus.ACTIVE and self.due:
            return self.events, 0, Kind.HEARTBEAT
        return None

    def looked_at(self, said: Turn) -> None:
        """Compare what was fixed, or when there will be something, with what must be."""
        self.pin(said.sending)
        assert (said.quiet_until is not None) == (self.shut and said.sending is None)
        assert (said.beat_at is not None) == (self.beats and said.sending is None)

    def pin(self, said: Sending | None) -> None:
        """Compare what was fixed with what must be; from here on it stays as it is."""
        if self.pinned is None:
            assert (None if said is None else (said.first, said.last, said.kind)) == self.next()
            self.pinned, self.test = said, False
        assert said == self.pinned


def begin(pipeline: Pipeline) -> World:
    return World(pipeline, SubscriptionKey("default", R4, "s", f"i{next(_examples)}"))


@dataclass(frozen=True)
class Write:
    """A client creates it, or changes it."""

    status: SubscriptionStatus
    later: bool
    pace: Pace = UNPACED

    async def do(self, world: World) -> None:
        exists = world.state != ABSENT
        said = await world.outboxes.write(
            world.key,
            expected="*" if exists else "",
            status=self.status,
            resource=b"{}",
            pace=self.pace,
            now=LONG_AGO,
            not_before=FAR if self.later else LONG_AGO,
        )
        off = self.status is SubscriptionStatus.OFF
        world.happens(Happening.WRITTEN_OFF if off else Happening.WRITTEN)
        world.waits, world.pace = self.later, self.pace
        assert said == (Subscribed.CHANGED if exists else Subscribed.CREATED, world.revision)


@dataclass(frozen=True)
class WriteAtRevision:
    """A client changes or deletes it, if it is still at a revision."""

    revision: int
    delete: bool

    async def do(self, world: World) -> None:
        if self.revision == world.revision:
            return
        expected = str(self.revision)
        missing = (Subscribed.MISSING, 0)
        conflict = missing if world.state == ABSENT else (Subscribed.CONFLICT, world.revision)
        if self.delete:
            assert await world.outboxes.delete(world.key, expected=expected) == conflict
            return
        off = SubscriptionStatus.OFF
        said = await world.outboxes.write(
            world.key, expected=expected, status=off, resource=b"", pace=Pace(), now=1, not_before=1
        )
        assert said == conflict


@dataclass(frozen=True)
class Delete:
    """It is deleted; if it is created again, it has another incarnation."""

    async def do(self, world: World) -> None:
        outcome, revision = await world.outboxes.delete(world.key, expected="*")
        if world.state == ABSENT:
            assert (outcome, revision) == (Subscribed.MISSING, 0)
            return
        assert (outcome, revision) == (Subscribed.DELETED, world.revision)
        old = world.key
        assert await world.outboxes.owe(old, 0, [entry(0, 1)]) is None
        assert await world.outboxes.take(old, str(world.tokens + 1)) is None
        for server in world.servers:
            assert await settle(world, server, Verb.DELIVERED) is None
        vars(world).update(vars(begin(world.pipeline)))


@dataclass(frozen=True)
class Owe:
    """Changes become events."""

    many: int

    async def do(self, world: World) -> None:
        before = world.events + world.waiting
        said = await world.outboxes.owe(world.key, 0, [entry(0, before + n) for n in range(1, self.many + 1)])
        if not world.state.counting or world.filling:
            assert said is None
            world.waiting += self.many if world.state.counting else 0
            return
        owed(world, said, self.many)


def owed(world: World, said: Owed | None, many: int) -> None:
    """So many changes have become events."""
    assert said is not None
    world.events += many
    send = world.status is SubscriptionStatus.ACTIVE and world.events > world.delivered
    assert (said.events, said.fresh, said.send) == (world.events, many, send)


@dataclass(frozen=True)
class Fill:
    """Changes of the past become events: some of those that wait, and all that have come are looked through by then."""

    many: int

    async def do(self, world: World) -> None:
        many = min(self.many, world.waiting)
        changes = [entry(0, world.events + number) for number in range(1, many + 1)]
        reached = entry(0, world.events + many).id
        said = await world.outboxes.fill(world.key, 0, changes, reached=reached, goal=reached)
        if not world.state.counting or not world.filling:
            assert said is None
            return
        world.waiting -= many
        world.filling = world.waiting > 0
        owed(world, said, many)


@dataclass(frozen=True)
class AskTest:
    """A test is asked for: it goes out next, whatever the window, and what has failed is tried again at once."""

    async def do(self, world: World) -> None:
        active = world.state.status is SubscriptionStatus.ACTIVE
        assert await world.outboxes.call(world.key, test=True) is active
        if not active:
            return
        if world.attempt:
            world.waits, world.called = False, True
        world.test, world.shut = True, False


@dataclass(frozen=True)
class Take:
    """A server begins: with a new lease, or with one that is not the latest any more."""

    stale: int

    async def do(self, world: World) -> None:
        world.tokens += 0 if self.stale else 1
        token = max(world.tokens - self.stale, 1)
        said = await world.outboxes.take(world.key, str(token), ahead=AHEAD)
        if world.state == ABSENT:
            assert said is None
            return
        if token <= world.token:
            assert said == Stale(world.token)
            return
        world.token = token
        sends = world.status in (SubscriptionStatus.REQUESTED, SubscriptionStatus.ACTIVE)
        shut = world.shut and not world.pinned and not world.test
        if sends and (world.waits or shut):
            assert isinstance(said, Later)
            assert (said.at == FAR) == world.waits
            return
        assert isinstance(said, Turn)
        if sends:
            world.looked_at(said)
        pinned, ahead = world.pinned, said.ahead
        assert _timeless(said) == Turn(world.status, world.revision, world.events, world.attempt, pinned)
        assert not (pinned and world.shut) or pinned.kind is Kind.HEARTBEAT
        events = range(pinned.first, world.events + 1) if pinned and not pinned.eventless else ()
        assert [event.number for event in ahead] == list(events[:AHEAD])
        world.servers.append(Served(token, said))


def _timeless(turn: Turn) -> Turn:
    return replace(turn, ahead=(), quiet_until=None, beat_at=None)


async def settle(world: World, server: Served, verb: Verb, *, again_at: int | None = None) -> Turn | None:
    ends = {0: "0-0"} if verb is Verb.ACTIVE else None
    return await world.outboxes.settle(
        world.key,
        str(server.token),
        server.turn,
        verb,
        said="so",
        code="c",
        again_at=again_at,
        ends=ends,
        sent=SENT,
        start=START if world.start else None,
    )


@dataclass(frozen=True)
class Settle:
    """
    A server that has sent something says what became of it, and perhaps says it again since it got no answer.

    who: Which one, of those that were ever given something; the latest first.
    choice: Which of the verbs that its notification can have.
    """

    who: int
    choice: int
    later: bool
    again: bool

    async def do(self, world: World) -> None:
        if not world.servers:
            return
        server = world.servers[-1 - self.who % len(world.servers)]
        sending = server.turn.sending
        if sending is None:
            return
        handshake = [Verb.ACTIVE, Verb.ACTIVE, Verb.AGAIN, Verb.ERROR]
        event = [Verb.DELIVERED, Verb.DELIVERED, Verb.AGAIN, Verb.ERROR, Verb.OFF]
        verbs = handshake if sending.handshake else event
        verb = verbs[self.choice % len(verbs)]
        again_at = (FAR if self.later else LONG_AGO) if verb is Verb.AGAIN else None
        said = await settle(world, server, verb, again_at=again_at)
        if self.again:
            await self._repeated(world, server, verb, again_at, said)
        if server.token != world.token or server.turn.revision != world.revision:
            assert said is None
            return
        assert said is not None
        if sending != world.pinned:  # it was settled before, under this lease
            assert _timeless(said) == Turn(world.status, world.revision, world.events, 0, world.pinned)
            return
        repeated = verb is Verb.AGAIN and (world.attempt, world.waits) == (server.turn.attempt + 1, self.later)
        world.attempts += world.called or not repeated
        world.called = False
        if verb is Verb.AGAIN:
            world.attempt, world.waits = server.turn.attempt + 1, self.later
            world.beats = world.due = world.shut = False
            assert said == Turn(world.status, world.revision, world.events, 0, None)
            return
        self._followed(world, sending, verb)
        assert said.status is world.status
        assert (said.revision, said.events, said.attempt) == (world.revision, world.events, 0)
        sends = world.status in (SubscriptionStatus.REQUESTED, SubscriptionStatus.ACTIVE)
        if sends and (not world.shut or world.test):
            world.looked_at(said)
        else:
            assert said.sending is None
        server.turn = said

    def _followed(self, world: World, sending: Sending, verb: Verb) -> None:
        world.waits = False
        if verb is Verb.DELIVERED:
            world.pinned, world.attempt = None, 0
            if sending.kind is Kind.RESEND:
                world.resend -= set(range(sending.first, sending.last + 1))
            if sending.kind is Kind.EVENTS:
                world.sent += range(sending.first, sending.last + 1)
                world.delivered = sending.last
            world.shut, world.beats, world.due = world.pace.window > 0, world.pace.beat > 0, False
        elif verb is Verb.ERROR:
            world.happens(Happening.HANDSHAKE_FAILED if sending.handshake else Happening.RETRIES_EXHAUSTED)
        else:
            world.happens(Happening.GONE if verb is Verb.OFF else Happening.HANDSHAKE_ACCEPTED)
            world.beats = verb is Verb.ACTIVE and world.pace.beat > 0

    async def _repeated(
        self, world: World, server: Served, verb: Verb, again_at: int | None, said: Turn | None
    ) -> None:
        """A reply that was lost: nothing is different, and it is answered the same or refused."""
        before, repeated, after = await asyncio.gather(
            fields(world), settle(world, server, verb, again_at=again_at), fields(world)
        )
        assert repeated in (said, None)
        assert {**after, b"outcome_at": b""} == {**before, b"outcome_at": b""}


@dataclass(frozen=True)
class Resend:
    """Events are asked for once more."""

    first: int
    many: int

    async def do(self, world: World) -> None:
        said = await note(world.pipeline, world.key, Range(self.first, self.first + self.many))
        if world.state.status is not SubscriptionStatus.ACTIVE:
            assert said == (None if world.state == ABSENT else world.status)
            return
        if world.attempt:
            world.waits, world.called = False, True
        last = min(self.first + self.many, world.delivered)
        assert said == (Range(self.first, last) if self.first <= last else None)
        world.resend |= set(range(self.first, last + 1))


@dataclass(frozen=True)
class Pass:
    """Time passes, until whatever waited for a time may be sent; or for so long that a heartbeat is due."""

    long: bool = False

    async def do(self, world: World) -> None:
        times = {"next": world.waits, "quiet_until": world.shut, "beat_at": world.beats and self.long}
        for field_ in (field_ for field_, passes in times.items() if passes and world.state != ABSENT):
            await world.pipeline.command("HSET", world.key.subscription, field_, LONG_AGO)
        world.waits = world.shut = False
        world.due = world.due or (world.beats and self.long)


@dataclass(frozen=True)
class Serve:
    """An honest server does all that it has to, in time."""

    choice: int
    long: bool = False

    async def do(self, world: World) -> None:
        await Pass(self.long).do(world)
        await Take(0).do(world)
        await Settle(0, self.choice, later=False, again=False).do(world)


Step: TypeAlias = Write | WriteAtRevision | Delete | Owe | Fill | AskTest | Take | Settle | Serve | Resend | Pass


async def fields(world: World) -> dict[bytes, bytes]:
    return dict(await world.pipeline.command("HGETALL", world.key.subscription))


async def agree(world: World) -> None:
    """What is stored is what the model holds."""
    state, held = await asyncio.gather(world.outboxes.read(world.key), fields(world))
    assert await world.pipeline.command("XLEN", world.key.attempts) == world.attempts
    if world.state == ABSENT:
        assert (state, held) == (None, {})
        return
    assert state is not None
    assert (state.status, state.revision) == (world.status, world.revision)
    assert (state.events, state.delivered, state.skipped_events) == (world.events, world.delivered, world.skipped)
    assert state.delivered <= state.events
    assert (held.get(b"counting") == b"1", held.get(b"skip") == b"1") == (world.state.counting, world.state.skip)
    assert (held.get(b"begun") == b"1", b"filling:0" in held) == (world.begun, world.filling)
    assert state.test == world.test
    assert {number for each in state.resend for number in range(each.first, each.last + 1)} == world.resend
    # Each event is behind us because it was sent, once, in its turn; or because it was skipped, and that was counted.
    assert world.sent == sorted(set(world.sent))
    assert len(world.sent) + world.skipped == world.delivered


_numbers = st.integers(0, 7)
_settles = st.builds(Settle, st.sampled_from((0, 0, 0, 1, 2, 3)), _numbers, st.booleans(), st.booleans())
_takes = st.builds(Take, st.sampled_from((0, 0, 0, 1, 2)))
_paces = st.sampled_from([Pace(MAX_COUNT, beat, window) for beat in (0, PERIOD) for window in (0, PERIOD)])
_serves = st.builds(Serve, st.sampled_from((0, 0, 0, 1, 2, 3, 4)), st.booleans())
_steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.builds(
            Write, st.sampled_from((SubscriptionStatus.REQUESTED, SubscriptionStatus.OFF)), st.booleans(), _paces
        ),
        st.builds(WriteAtRevision, st.integers(1, 5), st.booleans()) | st.just(Delete()),
        st.builds(Owe, st.integers(1, 5)),
        st.builds(Fill, st.integers(0, 5)) | st.just(AskTest()),
        _takes,
        _takes,
        _settles,
        _settles,
        _serves,
        _serves,
        st.builds(Resend, st.integers(1, 8), st.integers(0, 4)),
        st.builds(Pass, st.booleans()),
    ),
    min_size=6,
    max_size=24,
)
_born = (
    Write(SubscriptionStatus.REQUESTED, later=False),
    Take(0),
    Settle(0, 0, later=False, again=False),
    Owe(3),
    Fill(2),
    Fill(1),
    Serve(0),
    AskTest(),
    Serve(0),
    Serve(0),
    Serve(0, long=True),
    Owe(1),
    Take(0),
)


@given(begun=st.integers(0, len(_born)), pace=_paces, start=st.booleans(), steps=_steps)
@settings(max_examples=600)
async def test_a_subscription_follows_the_law_whoever_serves_it_and_whatever_is_lost(
    lasting: Parts, begun: int, pace: Pace, start: bool, steps: list[Step]
) -> None:
    """Status, numbering, what is skipped, what is pinned, and whose word counts."""
    world = begin(lasting.pipeline)
    world.start = start
    for step in (*(Write(SubscriptionStatus.REQUESTED, later=False, pace=pace), *_born[1:])[:begun], *steps):
        await step.do(world)
    await agree(world)


async def test_a_repeat_has_the_same_range_and_time_although_more_events_came_meanwhile(parts: Parts) -> None:
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"), pace=Pace(10))
    await life.active()
    await parts.outboxes.owe(life.key, 0, [entry(0, 1)])
    first = await life.turn()
    await parts.outboxes.owe(life.key, 0, [entry(0, 2), entry(0, 3)])
    second = await life.turn()
    assert first.sending is not None
    assert (first.sending.first, first.sending.last) == (1, 1)
    assert second.sending == first.sending
    third = await life.settle(second, Verb.DELIVERED)
    assert third.sending is not None
    assert (third.sending.first, third.sending.last) == (2, 3)


async def test_re_activation_skips_what_was_not_sent_and_records_the_range(parts: Parts) -> None:
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"))
    await life.active()
    await parts.outboxes.owe(life.key, 0, [entry(0, n) for n in range(1, 6)])
    turn = await life.settle(await life.turn(), Verb.DELIVERED)
    await life.settle(turn, Verb.ERROR)
    await parts.outboxes.owe(life.key, 0, [entry(0, 6)])
    await life.write(SubscriptionStatus.REQUESTED)
    assert (await life.settle(await life.turn(), Verb.ACTIVE, {0: entry(0, 6).id})).sending is None
    held = await parts.pipeline.command(
        "HMGET", life.key.subscription, "delivered", "skipped", "skipped_events", "skip"
    )
    assert held == [b"6", b"3-6", b"4", None]
    await parts.outboxes.owe(life.key, 0, [entry(0, 7)])
    after = await life.turn()
    assert after.sending is not None
    assert (after.sending.first, after.sending.last) == (7, 7)


async def test_what_was_skipped_and_is_sent_once_more_is_not_missed_any_longer(parts: Parts) -> None:
    """Until it is accepted it is, and what is sent once more of other numbers changes nothing."""
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"))
    await life.active()
    await parts.outboxes.owe(life.key, 0, [entry(0, n) for n in range(1, 6)])
    turn = await life.settle(await life.turn(), Verb.DELIVERED)
    await life.settle(turn, Verb.ERROR)
    await life.write(SubscriptionStatus.REQUESTED)
    await life.settle(await life.turn(), Verb.ACTIVE, {0: entry(0, 5).id})
    for first, last, left in ((1, 2, b"3-5"), (4, 4, b"3-3 5-5"), (1, 5, None)):
        before = await parts.pipeline.command("HGET", life.key.subscription, "skipped")
        await note(parts.pipeline, life.key, Range(first, last))
        turn = await life.turn()
        assert await parts.pipeline.command("HGET", life.key.subscription, "skipped") == before
        while turn.sending is not None:
            turn = await life.settle(turn, Verb.DELIVERED)
        assert await parts.pipeline.command("HGET", life.key.subscription, "skipped") == left


async def test_what_was_missed_and_is_not_kept_is_not_asked_for_again(parts: Parts) -> None:
    """Once what is left of it was sent; such as when a backlog was full."""
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"))
    await life.active()
    await parts.outboxes.owe(life.key, 0, [entry(0, n) for n in range(1, 7)])
    await life.settle(await life.turn(), Verb.ERROR)
    await life.write(SubscriptionStatus.REQUESTED)
    await life.settle(await life.turn(), Verb.ACTIVE, {0: entry(0, 6).id})
    await parts.pipeline.command("XDEL", life.key.outbox, "1-0", "4-0", "5-0", "6-0")
    assert await parts.pipeline.command("HGET", life.key.subscription, "skipped") == b"1-6"
    await note(parts.pipeline, life.key, Range(1, 6))
    turn, sent = await life.turn(), list[tuple[int, int]]()
    while turn.sending is not None:
        sent.append((turn.sending.first, turn.sending.last))
        turn = await life.settle(turn, Verb.DELIVERED)
    assert (sent[0][0], sent[-1][1]) == (2, 3)
    assert await parts.pipeline.command("HMGET", life.key.subscription, "skipped", "resend") == [None, None]


@pytest.mark.parametrize(
    ("between", "times", "missed"),
    [
        (0, 3, b"1-6"),
        (1, 3, b"1-2 4-5 7-8"),
        (1, 40, b"1-26 " + b" ".join(b"%d-%d" % (n, n + 1) for n in range(28, 120, 3))),
    ],
    ids=["end-to-end", "apart", "too-many"],
)
async def test_what_was_missed_before_is_not_forgotten(parts: Parts, between: int, times: int, missed: bytes) -> None:
    """Two are missed each time, and so many are delivered between. Of too many ranges the oldest become one."""
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"))
    await life.active()
    number = 0
    for _ in range(times):
        await parts.outboxes.owe(life.key, 0, [entry(0, number + 1), entry(0, number + 2)])
        await life.settle(await life.turn(), Verb.ERROR)
        await life.write(SubscriptionStatus.REQUESTED)
        await life.settle(await life.turn(), Verb.ACTIVE, {0: entry(0, number + 2).id})
        number += 2 + between
        if between:
            await parts.outboxes.owe(life.key, 0, [entry(0, number)])
            await life.settle(await life.turn(), Verb.DELIVERED)
    held = await parts.pipeline.command("HMGET", life.key.subscription, "skipped", "skipped_events")
    assert held == [missed, b"%d" % (2 * times)]


@pytest.mark.parametrize("status", [SubscriptionStatus.REQUESTED, SubscriptionStatus.ACTIVE])
async def test_what_was_pinned_before_notifications_had_a_kind_is_sent_and_settled(
    parts: Parts, status: SubscriptionStatus
) -> None:
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"))
    if status is SubscriptionStatus.ACTIVE:
        await life.active()
        await parts.outboxes.owe(life.key, 0, [entry(0, 1), entry(0, 2)])
    else:
        await life.write(status, expected="")
    pinned = (await life.turn()).sending
    assert pinned is not None
    await parts.pipeline.command("HSET", life.key.subscription, "sending", f"{pinned.first} {pinned.last} {pinned.at}")
    again = await life.turn()
    assert again.sending == pinned
    settled = await life.settle(again, Verb.ACTIVE if pinned.handshake else Verb.DELIVERED)
    assert (settled.status, settled.sending) == (SubscriptionStatus.ACTIVE, None)
    state = await parts.outboxes.read(life.key)
    assert state is not None
    assert state.delivered == pinned.last


@pytest.mark.parametrize("status", [SubscriptionStatus.REQUESTED, SubscriptionStatus.ACTIVE])
@pytest.mark.parametrize("pinned", [False, True])
async def test_nothing_goes_out_after_the_end_although_the_clock_has_not_turned_it_off(
    parts: Parts, status: SubscriptionStatus, pinned: bool
) -> None:
    """Neither a handshake nor events, nor a repeat of what failed before."""
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"), pace=Pace(1))
    if status is SubscriptionStatus.ACTIVE:
        await life.active()
        await parts.outboxes.owe(life.key, 0, [entry(0, 1), entry(0, 2)])
    else:
        await life.write(status, expected="")
    turn = await life.turn() if pinned else None
    await parts.pipeline.command("HSET", life.key.subscription, "end", LONG_AGO)
    assert (await life.turn()).sending is None
    if turn is not None and status is SubscriptionStatus.ACTIVE:
        assert (await life.settle(turn, Verb.DELIVERED)).sending is None
    await parts.pipeline.command("HSET", life.key.subscription, "end", FAR)
    assert (await life.turn()).sending is not None


@pytest.mark.parametrize("when", ["before-it-is-settled", "afterwards"])
async def test_no_delivery_window_holds_back_a_test_whenever_it_is_asked_for(parts: Parts, when: str) -> None:
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"), pace=Pace(1, window=PERIOD))
    await life.active()
    await parts.outboxes.owe(life.key, 0, [entry(0, 1), entry(0, 2)])
    turn = await life.turn()
    if when == "before-it-is-settled":
        assert await parts.outboxes.call(life.key, test=True)
        test = await life.settle(turn, Verb.DELIVERED)
    else:
        assert (await life.settle(turn, Verb.DELIVERED)).quiet_until is not None
        assert await parts.outboxes.call(life.key, test=True)
        test = await life.turn()
    assert test.sending is not None
    assert test.sending.kind is Kind.HEARTBEAT
    after = await life.settle(test, Verb.DELIVERED)
    assert (after.sending, after.quiet_until is not None) == (None, True)


@pytest.mark.parametrize("pinned", [Kind.EVENTS, Kind.HEARTBEAT])
async def test_after_its_end_nothing_more_is_pinned(parts: Parts, pinned: Kind) -> None:
    """What was on the wire when it came is settled; neither events nor a test follow until the clock turns it off."""
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", f"i{next(_examples)}"), UNPACED)
    hash_ = life.key.subscription
    await life.active({0: "0-0"})
    await parts.outboxes.owe(life.key, 0, [entry(0, n) for n in range(1, 2 * MAX_COUNT + 2)])
    if pinned is Kind.HEARTBEAT:
        await parts.pipeline.command("HSET", hash_, "test", "1")
    turn = await life.turn()
    assert turn.sending is not None
    assert turn.sending.kind is pinned
    await parts.pipeline.command("HSET", hash_, "end", LONG_AGO, "test", "1")
    settled = await life.settle(turn, Verb.DELIVERED)
    assert settled.sending is None
    assert await parts.pipeline.command("HMGET", hash_, "sending", "test") == [None, b"1"]
    assert (await life.turn()).sending is None


@pytest.mark.parametrize("kind", [Kind.HANDSHAKE, Kind.HEARTBEAT, Kind.RESEND])
async def test_what_brings_no_new_events_is_pinned_later_than_what_was_settled_last(parts: Parts, kind: Kind) -> None:
    """Else it looks like that one, if both are of one millisecond, and is taken as settled when that is said twice."""
    life = Life(parts.outboxes, SubscriptionKey("default", R4, "s", f"i{next(_examples)}"), UNPACED)
    await life.active({0: "0-0"})
    await parts.outboxes.owe(life.key, 0, [entry(0, 1)])
    await life.settle(await life.turn(), Verb.DELIVERED)
    await parts.pipeline.command("HSET", life.key.subscription, "outcome_at", FAR)
    match kind:
        case Kind.HANDSHAKE:
            await life.write(SubscriptionStatus.REQUESTED)
        case Kind.HEARTBEAT:
            assert await parts.outboxes.call(life.key, test=True)
        case _:
            await parts.pipeline.command("HSET", life.key.subscription, "resend", "1-1")
    sending = (await life.turn()).sending
    assert sending is not None
    assert (sending.kind, sending.at) == (kind, FAR + 1)
