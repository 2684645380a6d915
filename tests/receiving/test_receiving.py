"""Events reach the app in order, once each, whatever comes twice, late or not at all."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from hub.receiver import Event, FileStore, MemoryStore, Missed, Place, Receiver, Source, Store, Verifier
from subscriptions.codes import Content, FhirVersion, Interaction, NotificationType
from subscriptions.notification import Event as Owed
from subscriptions.notification import Notification
from subscriptions.ranges import Range
from subscriptions.versions.forms import FORMS
from tests.subscriptions.notifications import AT, BASE, notify

URL = f"{BASE}/Subscription/123"
FORM = FORMS[FhirVersion.R4]


def owed(numbers: Iterable[int]) -> Iterator[Owed]:
    for number in numbers:
        yield Owed(number, "Patient", f"p{number}", 1, Interaction.UPDATE, AT, b"{}")


def bundle(notification: Notification, *, later: int = 0) -> bytes:
    """later: Seconds."""
    return FORM.notification_bundle(replace(notification, timestamp=AT + timedelta(seconds=later)))


def events(*numbers: int, later: int = 0) -> bytes:
    return bundle(notify(*owed(numbers), content=Content.ID_ONLY), later=later)


def handshake(counter: int, *, later: int = 0) -> bytes:
    return bundle(notify(type_=NotificationType.HANDSHAKE, since=counter), later=later)


@dataclass
class App:
    """
    What an app was given: the numbers of events, and the ranges that it missed.

    fails: At this number, once.
    """

    given: list[int | Range] = field(default_factory=list)
    fails: int | None = None

    async def handle(self, event: Event) -> None:
        if event.number == self.fails:
            self.fails = None
            raise RuntimeError("the app's own")
        self.given.append(event.number)

    async def miss(self, missed: Missed) -> None:
        assert missed.subscription == URL
        self.given.append(missed.range)


def receiver(app: App, store: Store | None = None, source: Source | None = None) -> Receiver:
    return Receiver(app.handle, store, source=source, missed=app.miss)


@dataclass
class Hub:
    """Answers `$events` as a hub does that keeps some events, with so many of them on a page at most."""

    kept: frozenset[int]
    page: int = 100
    asked: list[tuple[int, int]] = field(default_factory=list)
    status: int = 200

    async def answer(self, request: web.Request) -> web.Response:
        first, last = (int(request.query[name]) for name in ("eventsSinceNumber", "eventsUntilNumber"))
        self.asked.append((first, last))
        found = [number for number in range(first, last + 1) if number in self.kept][: self.page]
        if self.status != 200 or not found:
            return web.Response(status=410 if self.status == 200 else self.status)
        answer = notify(*owed(found), type_=NotificationType.QUERY_EVENT)
        return web.Response(body=FORM.notification_bundle(answer), content_type="application/fhir+json")


@asynccontextmanager
async def asked(hub: Hub) -> AsyncIterator[Source]:
    """It on a free port, and where to fetch from it."""
    app = web.Application()
    app.router.add_get("/fhir/r4/Subscription/123/$events", hub.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield Source(f"http://{host}:{port}/fhir/r4")
    finally:
        await runner.cleanup()


async def test_in_order() -> None:
    """A handshake, and what follows it, one event or several at once."""
    app = App()
    taking = receiver(app)
    for body in (handshake(0), events(1), events(2, 3), events(4)):
        assert (await taking.receive(body, {})).status == 200
    assert app.given == [1, 2, 3, 4]


async def test_duplicates() -> None:
    """A repeat of all or some of it is told, and not handled."""
    app = App()
    taking = receiver(app)
    for body, duplicates in ((events(1, 2), []), (events(1, 2), [1, 2]), (events(2, 3), [2])):
        receipt = await taking.receive(body, {})
        assert (receipt.status, receipt.duplicates) == (200, duplicates)
    assert app.given == [1, 2, 3]


async def test_an_app_that_fails() -> None:
    """What it was not done with is handled again, what it was done with is not."""
    app = App(fails=2)
    taking = receiver(app)
    with pytest.raises(RuntimeError, match="the app's own"):
        await taking.receive(events(1, 2, 3), {})
    receipt = await taking.receive(events(1, 2, 3), {})
    assert (receipt.duplicates, receipt.handled) == ([1], [2, 3])
    assert app.given == [1, 2, 3]


async def test_a_repeat_while_the_app_is_at_it() -> None:
    """The hub may lose patience: what it sends meanwhile waits, and then is one that was handled."""
    going, started, given = asyncio.Event(), asyncio.Event(), list[int]()

    async def slowly(event: Event) -> None:
        started.set()
        await going.wait()
        given.append(event.number)

    taking = Receiver(slowly)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(taking.receive(events(1), {}))
        await started.wait()
        second = group.create_task(taking.receive(events(1), {}))
        await asyncio.sleep(0)
        going.set()
    assert given == [1]
    assert (first.result().handled, second.result().duplicates) == ([1], [1])


async def test_missed_and_nobody_to_ask() -> None:
    """It is named, before what comes behind it, and once."""
    app = App()
    taking = receiver(app)
    await taking.receive(handshake(0), {})
    receipt = await taking.receive(events(3, 6), {})
    assert (receipt.status, receipt.missed) == (200, [Range(1, 2), Range(4, 5)])
    await taking.receive(events(3, 6), {})
    assert app.given == [Range(1, 2), 3, Range(4, 5), 6]


async def test_missed_and_fetched() -> None:
    """Page by page, in order; what is not kept any more is named, wherever it was."""
    app, hub = App(), Hub(frozenset({3, 4, 5, 8, 9}), page=2)
    async with asked(hub) as source:
        taking = receiver(app, source=source)
        await taking.receive(handshake(0), {})
        receipt = await taking.receive(events(12), {})
    assert (receipt.status, receipt.fetched) == (200, [Range(3, 4), Range(5, 5), Range(8, 8), Range(9, 9)])
    assert receipt.missed == [Range(1, 2), Range(6, 7), Range(10, 11)]
    assert app.given == [Range(1, 2), 3, 4, 5, Range(6, 7), 8, 9, Range(10, 11), 12]
    assert hub.asked == [(1, 11), (5, 11), (9, 11), (10, 11)]


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503, 302])
async def test_missed_and_not_handed_out_now(status: int) -> None:
    """Nothing behind it is handled before: the hub is asked to repeat."""
    app, hub = App(), Hub(frozenset({1, 2}), status=status)
    async with asked(hub) as source:
        taking = receiver(app, source=source)
        await taking.receive(handshake(0), {})
        receipt = await taking.receive(events(3), {})
        assert (receipt.status, app.given) == (503, [])
        assert f"answers {status} to $events of Subscription/123" in receipt.text
        hub.status = 200
        assert (await taking.receive(events(3), {})).status == 200
    assert app.given == [1, 2, 3]


async def test_a_hub_that_is_not_there() -> None:
    async with asked(Hub(frozenset())) as source:
        pass
    taking = receiver(App(), source=source)
    await taking.receive(handshake(0), {})
    receipt = await taking.receive(events(2), {})
    assert receipt.status == 503
    assert "does not answer: ConnectError" in receipt.text


async def test_activated_again() -> None:
    """What was numbered in the meantime does not come by itself: the handshake says how much, and it is fetched."""
    app, hub = App(), Hub(frozenset(range(1, 10)))
    async with asked(hub) as source:
        taking = receiver(app, source=source)
        for body in (handshake(0), events(1), handshake(4, later=1), handshake(4, later=1), events(5, later=2)):
            assert (await taking.receive(body, {})).status == 200
    assert app.given == [1, 2, 3, 4, 5]
    assert hub.asked == [(2, 4)]


async def test_a_lot_was_missed() -> None:
    """The handshake is not kept waiting; what comes next is. If the app fails in between, that begins it again."""
    app, hub = App(fails=3), Hub(frozenset(range(1, 10)))
    async with asked(hub) as source:
        taking = Receiver(app.handle, source=source, patience=0)
        await taking.receive(handshake(0), {})
        receipt = await taking.receive(handshake(4, later=1), {})
        assert (receipt.status, app.given) == (200, [])
        receipt = await taking.receive(events(5, later=2), {})
        assert (receipt.status, receipt.handled) == (200, [3, 4, 5])
    assert app.given == [1, 2, 3, 4, 5]


async def test_an_app_that_fails_at_a_handshake() -> None:
    """It is seen there, as long as that is waited for."""
    app, hub = App(fails=2), Hub(frozenset(range(1, 10)))
    async with asked(hub) as source:
        taking = receiver(app, source=source)
        await taking.receive(handshake(0), {})
        with pytest.raises(RuntimeError, match="the app's own"):
            await taking.receive(handshake(4, later=1), {})
        assert (await taking.receive(handshake(4, later=1), {})).handled == [2, 3, 4]
    assert app.given == [1, 2, 3, 4]


async def test_made_again() -> None:
    """One that is deleted and made again under its id counts from 1: its handshake says so. An old one says nothing."""
    app = App()
    taking = receiver(app)
    for body in (handshake(0), events(1, 2, later=5), handshake(0, later=1), events(3, later=6)):
        assert not (await taking.receive(body, {})).restarted
    assert (await taking.receive(handshake(0, later=7), {})).restarted
    await taking.receive(events(1, later=8), {})
    assert app.given == [1, 2, 3, 1]


async def test_heard_of_for_the_first_time() -> None:
    """Without a handshake, or a store that remembers, it begins with what comes first."""
    app = App()
    taking = receiver(app)
    await taking.receive(bundle(notify(type_=NotificationType.HEARTBEAT, since=9)), {})
    await taking.receive(events(7), {})
    await taking.receive(events(9), {})
    assert app.given == [7, Range(8, 8), 9]


async def test_what_is_not_taken() -> None:
    """Unsigned, of another Subscription, an answer to a question, nonsense: nothing is handled, nothing remembered."""
    app, store = App(), MemoryStore()
    secret = Verifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    question = bundle(notify(type_=NotificationType.QUERY_STATUS))
    for taking, body, status in (
        (Receiver(app.handle, store, secret), events(1), 401),
        (Receiver(app.handle, store, subscriptions={URL + "4"}), events(1), 403),
        (Receiver(app.handle, store), question, 400),
        (Receiver(app.handle, store), b"{", 400),
    ):
        receipt = await taking.receive(body, {})
        assert (receipt.status, bool(receipt.text)) == (status, True)
    assert (app.given, await store.get(URL)) == ([], None)
    assert (await Receiver(app.handle, store, subscriptions={URL}).receive(events(1), {})).status == 200


async def test_without_numbers() -> None:
    """Where the criteria are a search, each request is one event."""
    app = App()
    for body in (b"", b'{"resourceType": "Patient", "id": "1"}'):
        assert (await receiver(app).receive(body, {})).handled == [0]
    assert app.given == [0, 0]


@given(
    sent=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 3), st.booleans()), max_size=30),
    kept=st.frozensets(st.integers(1, 15)),
)
def test_whatever_comes(sent: list[tuple[int, int, bool]], kept: frozenset[int]) -> None:
    """Each number once and rising, as an event or as missed, whatever comes again, is left out, or fails in between."""

    class Kept(Source):
        async def page(self, subscription: str, wanted: Range) -> tuple[Event, ...]:
            numbers = [number for number in range(wanted.first, wanted.last + 1) if number in kept]
            return tuple(Event(number, subscription) for number in numbers[:2])

    async def all_of_it() -> tuple[App, Place | None]:
        app, store = App(), MemoryStore()
        await receiver(app, store).receive(handshake(0), {})
        for first, many, fails in sent:
            app.fails = first if fails else None
            try:  # a new process each time
                await receiver(app, store, Kept(BASE)).receive(events(*range(first, first + many)), {})
            except RuntimeError:
                continue
        return app, await store.get(URL)

    app, place = asyncio.run(all_of_it())
    numbers = [
        number
        for each in app.given
        for number in ([each] if isinstance(each, int) else range(each.first, each.last + 1))
    ]
    assert place
    assert numbers == list(range(1, place.number + 1))
    missed = [each for each in app.given if isinstance(each, Range)]
    assert not any(each.first <= number <= each.last for each in missed for number in kept)


async def test_after_a_restart(tmp_path: Path) -> None:
    """What was handled is known from the file."""
    app = App()
    for body in (handshake(0), events(1), events(1), events(2, 3)):
        with FileStore(tmp_path / "places.db") as store:
            receipt = await receiver(app, store).receive(body, {})
            assert receipt.status == 200
    assert app.given == [1, 2, 3]
