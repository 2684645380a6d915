"""The registry, and a process' copy of it: who is in the index when a change is matched."""

import asyncio
from collections.abc import Callable
from itertools import count, pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.in_force import AT_ONCE, InForce
from hub.keys import REGISTRY_LOG, SubscriptionKey
from hub.registered import Registered
from hub.registry import Registry
from hub.scanning import Scanning
from hub.wiring.parts import Parts
from tests.hub.life import R4
from tests.processes import subscription

GOOD = orjson.dumps(subscription("http://127.0.0.1/hook"))
OTHER = orjson.dumps(subscription("http://127.0.0.1/other"))
_examples = count()


def registered(
    id_: str = "s", *, on: bool = True, resource: bytes = GOOD, incarnation: str = "i1", revision: int = 1
) -> Registered:
    return Registered(SubscriptionKey("default", R4, id_, incarnation), on, revision, 1_700_000_000_000, resource)


def in_force(parts: Parts, registry: Registry | None = None) -> InForce:
    return InForce(registry or parts.registry, parts.tenancy, parts.access)


def indexed(copy: InForce, *ids: str) -> set[str]:
    """Which of these are in the index, by id; nothing else is."""
    index = copy.index("default", R4)
    found = {id_ for id_ in ids for n in "12" if registered(id_, incarnation=f"i{n}").key in index}
    assert len(index) == len(found)
    return found


async def test_an_id_is_registered_once_and_only_that_life_of_it_is_changed_or_removed(parts: Parts) -> None:
    first, second = registered(), registered(incarnation="i2")
    assert await parts.registry.enter(first)
    assert not await parts.registry.enter(second)
    assert not await parts.registry.put(second)
    await parts.registry.remove(second.key)
    assert await parts.registry.find("default", R4, "s") == first
    assert await parts.registry.put(registered(resource=OTHER))
    await parts.registry.remove(first.key)
    assert await parts.registry.find("default", R4, "s") is None
    assert not await parts.registry.put(first)
    assert await parts.registry.enter(second)
    assert [found async for found in parts.registry.all()] == [second]
    assert [found async for found in parts.registry.all("default/r5/")] == []


async def test_a_life_takes_the_place_of_the_one_that_was_seen_there_and_of_no_other(parts: Parts) -> None:
    first, second, third = (registered(incarnation=f"i{n}") for n in "123")
    await parts.registry.enter(first)
    assert await parts.registry.enter(second, instead_of="i1")
    assert not await parts.registry.enter(third, instead_of="i1")
    await parts.registry.remove(first.key)
    assert await parts.registry.find("default", R4, "s") == second


async def test_what_an_earlier_write_says_does_not_come_over_a_later_one(parts: Parts) -> None:
    later = registered(revision=3, resource=OTHER)
    await parts.registry.enter(registered(revision=1))
    assert await parts.registry.put(later)
    mark = await parts.registry.end_of_log()
    assert await parts.registry.put(registered(revision=2, on=False))
    assert await parts.registry.find("default", R4, "s") == later
    assert await parts.registry.changed(mark) == (mark, [])


async def test_what_says_nothing_new_is_not_logged(parts: Parts) -> None:
    """Every activation registers once more, to be sure: the matchers need not read all that."""
    await parts.registry.enter(registered())
    mark = await parts.registry.end_of_log()
    assert await parts.registry.put(registered())
    assert await parts.registry.changed(mark) == (mark, [])


async def test_a_copy_sees_what_was_registered_changed_and_removed_before_it_was_refreshed(parts: Parts) -> None:
    copy = in_force(parts)
    await copy.refresh()
    assert indexed(copy, "a", "b") == set()
    await parts.registry.enter(registered("a"))
    await parts.registry.enter(registered("b", on=False))
    await copy.refresh()
    assert indexed(copy, "a", "b") == {"a"}
    await parts.registry.put(registered("a", on=False))
    await parts.registry.put(registered("b"))
    await copy.refresh()
    assert indexed(copy, "a", "b") == {"b"}
    await parts.registry.remove(registered("b").key)
    await parts.registry.enter(registered("b", incarnation="i2"))
    await copy.refresh()
    assert registered("b", incarnation="i2").key in copy.index("default", R4)
    assert indexed(copy, "a", "b") == {"b"}


async def test_a_copy_that_the_log_was_trimmed_away_from_loads_everything_anew(parts: Parts) -> None:
    for id_ in ("stays", "goes", "bad"):
        await parts.registry.enter(registered(id_, resource=b"{}" if id_ == "bad" else GOOD))
    copy = in_force(parts)
    await copy.refresh()
    assert (indexed(copy, "stays", "goes"), set(copy.broken)) == ({"stays", "goes"}, {"default/r4/bad"})
    await parts.registry.remove(registered("goes").key)
    await parts.registry.remove(registered("bad").key)
    await parts.registry.enter(registered("comes"))
    await parts.pipeline.command("XTRIM", REGISTRY_LOG, "MAXLEN", "=", 1)
    await copy.refresh()
    assert (indexed(copy, "stays", "goes", "comes"), copy.broken) == ({"stays", "comes"}, {})


async def test_others_run_while_a_copy_is_loaded_and_while_it_follows_the_log(parts: Parts) -> None:
    """It takes in a few subscriptions at a time, however many have come."""
    copy, sizes, many = in_force(parts), [0], 5 * AT_ONCE

    async def look() -> None:
        while True:
            sizes.append(len(copy.index("default", R4)))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    for begin in (0, many):
        await asyncio.gather(*(parts.registry.enter(registered(f"s{begin + n}")) for n in range(many)))
        await copy.refresh()
    looking.cancel()
    assert sizes[-1] == 2 * many
    assert max(after - before for before, after in pairwise(sizes)) <= AT_ONCE


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b'{"channel":[1],"_criteria":[2],"criteria":{}}', id="wrong types"),
        pytest.param(GOOD.replace(b"immunization-change", b"elephant-change"), id="an unknown topic"),
        pytest.param(
            orjson.dumps(subscription("http://h/", "Immunization", "Immunization?nonsense=1")), id="an unknown filter"
        ),
    ],
)
async def test_a_subscription_that_cannot_be_understood_is_set_aside_and_the_others_work(
    parts: Parts, resource: bytes
) -> None:
    """And it comes back when it is written anew."""
    await parts.registry.enter(registered("a", resource=resource))
    await parts.registry.enter(registered("b"))
    copy = in_force(parts)
    await copy.refresh()
    assert (indexed(copy, "a", "b"), set(copy.broken)) == ({"b"}, {"default/r4/a"})
    assert await parts.registry.put(registered("a"))
    await copy.refresh()
    assert (indexed(copy, "a", "b"), copy.broken) == ({"a", "b"}, {})
    assert await parts.registry.put(registered("a", resource=resource))
    await copy.refresh()
    assert (indexed(copy, "a", "b"), set(copy.broken)) == ({"b"}, {"default/r4/a"})


class Hesitant(Registry):
    """A registry whose first answer to `read` is on its way until `gate` opens. `watch` is called by each `changed`."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.pipeline, Scanning(parts.tenancy, 9))
        self.read_once, self.gate = asyncio.Event(), asyncio.Event()
        self.watch: Callable[[], None] = lambda: None

    async def read(self, names: list[str]) -> list[Registered | None]:
        found = await super().read(names)
        if not self.read_once.is_set():
            self.read_once.set()
            await self.gate.wait()
        return found

    async def changed(self, mark: str, *, most: int = 1000) -> tuple[str, list[str]] | None:
        self.watch()
        return await super().changed(mark, most=most)


async def test_what_one_matcher_read_earlier_is_not_set_over_what_another_has_seen(parts: Parts) -> None:
    """Matchers of several partitions share a copy. One reads `off`, and is slow; another sees `on`, and matches."""
    registry = Hesitant(parts)
    copy = in_force(parts, registry)
    await registry.enter(registered())
    await copy.refresh()
    await registry.put(registered(on=False))
    slow = asyncio.create_task(copy.refresh())
    await registry.read_once.wait()
    await registry.put(registered())
    quick = asyncio.create_task(copy.refresh())
    await asyncio.wait({quick}, timeout=0.1)  # it may have to wait for the slow one
    seen = []
    registry.watch = lambda: seen.append(not quick.done() or indexed(copy, "s") == {"s"})
    registry.gate.set()
    await asyncio.gather(slow, quick)
    await copy.refresh()
    assert all(seen)
    assert indexed(copy, "s") == {"s"}


_names = st.sampled_from(("a", "b", "c"))
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), _names, st.sampled_from("12"), st.booleans()),
        st.tuples(st.just("put"), _names, st.sampled_from("12"), st.booleans()),
        st.tuples(st.just("remove"), _names, st.sampled_from("12"), st.just(False)),
        st.tuples(st.just("trim"), _names, st.just(""), st.just(False)),
        st.tuples(st.just("refresh"), _names, st.just(""), st.just(False)),
    ),
    max_size=20,
)


@given(_steps)
@settings(max_examples=200)
async def test_a_copy_is_the_registry_whenever_it_is_refreshed(
    lasting: Parts, steps: list[tuple[str, str, str, bool]]
) -> None:
    """However much was written in between, and however much of the log is left."""
    prefix = f"x{next(_examples)}"
    copy, held = in_force(lasting), dict[str, Registered]()
    for verb, name, incarnation, on in (*steps, ("refresh", "", "", False)):
        entry = registered(f"{prefix}-{name}", on=on, incarnation=f"i{incarnation}")
        there = held.get(name)
        same = there is not None and there.key == entry.key
        match verb:
            case "enter":
                assert await lasting.registry.enter(entry) is (there is None)
                held.setdefault(name, entry)
            case "put":
                assert await lasting.registry.put(entry) is same
                held |= {name: entry} if same else {}
            case "remove":
                await lasting.registry.remove(entry.key)
                if same:
                    del held[name]
            case "trim":
                await lasting.pipeline.command("XTRIM", REGISTRY_LOG, "MAXLEN", "=", 1)
            case _:
                await copy.refresh()
                index = copy.index("default", R4)
                found = {
                    key
                    for n in "abc"
                    for i in "12"
                    if (key := registered(f"{prefix}-{n}", incarnation=f"i{i}").key) in index
                }
                assert found == {entry.key for entry in held.values() if entry.on}
    for entry in held.values():
        await lasting.registry.remove(entry.key)
