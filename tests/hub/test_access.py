"""Who there is, as Redis has it and as each process' copy does."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.access import DEFAULT, PREFIX, Access, Client, Key, Tenant
from hub.belief import BELIEVED
from hub.keys import CLIENTS, TENANTS
from hub.wiring.parts import Parts
from subscriptions.clearance import RANKS, SENSITIVE, Clearance
from subscriptions.codes import Content
from subscriptions.rights import Rights
from subscriptions.scopes import ALL, Scopes

NOW = 1_700_000_000_000
LAB = Client("lab", DEFAULT, Rights(Scopes.parse("system/Patient.cruds")))

scopes = st.sampled_from(["", "system/*.rs", "system/Patient.c system/Subscription.cruds", "hub/admin"]).map(
    Scopes.parse
)
moments = st.none() | st.integers(0, 2**52)
tenants = st.builds(Tenant, st.just("north"), st.dictionaries(st.sampled_from(["south", "east"]), scopes))
clients = st.builds(
    Client,
    st.just("lab"),
    st.sampled_from([DEFAULT, "north"]),
    st.builds(
        Rights,
        scopes,
        st.sampled_from(Content),
        st.builds(Clearance, st.sampled_from(RANKS), st.frozensets(st.sampled_from(sorted(SENSITIVE)))),
    ),
    st.text(),
    st.booleans(),
)
keys = st.builds(Key, st.just("k"), st.text(), st.text(), scopes, st.integers(0, 2**52), moments, moments)


@given(tenants, clients, keys)
def test_a_record_says_it_all(tenant: Tenant, client: Client, key: Key) -> None:
    assert Tenant.of(tenant.name, tenant.record) == tenant
    assert Client.of(client.name, client.record) == client
    assert Key.of(key.id, key.record) == key


@given(st.none() | st.integers(1, 100), st.none() | st.integers(1, 100), st.integers(0, 100))
def test_a_key_is_good_till_it_expires_or_was_revoked(expires: int | None, revoked: int | None, now: int) -> None:
    key = Key("k", "lab", "", ALL, 0, expires, revoked)
    good = revoked is None and (expires is None or now < expires)
    assert (key.fault(now) == "") is good


def test_a_keys_secret_alone_opens_it() -> None:
    (first, text), (second, other) = (Key.new("lab", ALL, now=NOW, expires=None) for _ in range(2))
    prefix, id_, secret = text.split("_", 2)
    assert (prefix, id_) == (PREFIX, first.id)
    assert first.opened_by(secret)
    assert not second.opened_by(secret)
    assert not first.opened_by("")
    assert not first.opened_by(first.digest)
    assert text != other
    assert secret not in repr(first)


async def test_a_process_believes_what_it_knows_for_a_second(parts: Parts) -> None:
    """And then sees what another one has changed: anything, a removal too."""
    now = [NOW]
    here, there = (Access(parts.pipeline, lambda: now[0]) for _ in range(2))
    await there.current()
    await here.set(LAB)
    await here.set(Tenant("south"))
    now[0] += BELIEVED - 1
    await there.current()
    assert (there.clients, there.tenants) == ({}, {})
    now[0] += 1
    await there.current()
    assert (there.clients, there.tenants) == ({"lab": LAB}, {"south": Tenant("south")})
    await here.remove(LAB)
    now[0] += BELIEVED
    await there.current()
    assert there.clients == {}


async def test_a_clock_that_is_set_back_makes_nothing_believed_for_longer(parts: Parts) -> None:
    """A client that is turned off stays off, whatever the machine's time does; one that is new is found."""
    now = [NOW]
    here, there = parts.access, Access(parts.pipeline, lambda: now[0])
    await there.current()
    await there.again()
    await here.set(LAB)
    now[0] -= 3_600_000
    await there.again()
    assert there.clients == {"lab": LAB}
    await here.set(replace(LAB, off=True))
    now[0] -= 3_600_000
    await there.current()
    assert there.clients["lab"].off


async def test_nothing_is_read_again_that_did_not_change(parts: Parts) -> None:
    await parts.access.set(LAB)
    held = parts.access.clients
    await parts.access.refresh()
    assert parts.access.clients is held


async def test_many_who_wait_look_once(parts: Parts) -> None:
    await parts.access.set(LAB)
    access = Access(parts.pipeline, lambda: NOW)
    await asyncio.gather(*(access.current() for _ in range(20)))
    assert access.clients == {"lab": LAB}


async def test_nothing_is_written_by_an_old_copy(parts: Parts) -> None:
    """Of whoever asks for that. He knows then what was changed, from the first change of a store on."""
    here, there = (Access(parts.pipeline, lambda: NOW) for _ in range(2))
    await here.refresh()
    await there.refresh()
    assert await here.set(LAB, if_unchanged=True)
    assert not await there.set(replace(LAB, off=True), if_unchanged=True)
    assert there.clients == {"lab": LAB}
    assert await there.set(replace(LAB, off=True), if_unchanged=True)


async def test_keys_go_with_their_client(parts: Parts) -> None:
    """So whoever has its name later has none of them."""
    access = parts.access
    for name in ("lab", "ward"):
        await access.set(replace(LAB, name=name))
        await access.set(Key.new(name, ALL, now=NOW, expires=None)[0])
    await access.remove(LAB)
    assert [key.client for key in access.keys.values()] == ["ward"]


async def test_whom_tokens_mean(parts: Parts) -> None:
    """A client goes by one name alone, and by none that is another's too."""
    access = parts.access
    await access.set(LAB)
    await access.set(replace(LAB, name="ward", known_as="0oa1"))
    assert access.client_known_as("lab") == LAB
    assert access.client_known_as("0oa1") == access.clients["ward"]
    assert access.client_known_as("ward") is None
    await access.set(replace(LAB, name="third", known_as="lab"))
    assert access.client_known_as("lab") is None


@pytest.mark.parametrize(
    "record",
    [
        b"{}",
        b"[]",
        b"nonsense",
        b'{"tenant":"default","scopes":"","content":"all","clearance":"N","known_as":"","off":false}',
        b'{"tenant":"default","scopes":"","content":"empty","clearance":"Z","known_as":"","off":false}',
        b'{"tenant":"default","scopes":"system/Patient.x","content":"empty","clearance":"N","known_as":"","off":false}',
        b'{"tenant":"default","scopes":1,"content":"empty","clearance":"N","known_as":"","off":false}',
    ],
)
async def test_what_is_not_understood_grants_nothing(
    parts: Parts, record: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """And keeps nobody else from what is granted to him."""
    await parts.access.set(LAB)
    await parts.pipeline.command("HSET", CLIENTS, "odd", record, "", "changed")
    with caplog.at_level(logging.ERROR):
        await parts.access.refresh()
    assert parts.access.clients == {"lab": LAB}
    assert [said.getMessage() for said in caplog.records] == ["access.unreadable"]


async def test_a_change_between_two_reads_is_seen_the_next_time(parts: Parts) -> None:
    """The three are not read at one moment: what is changed meanwhile is not taken for what was read."""
    access = Access(parts.pipeline, lambda: NOW)
    read = parts.pipeline.all

    async def interrupted(commands: Any) -> Any:
        found = await read(commands)
        await parts.pipeline.command("HSET", TENANTS, "south", b'{"grants":{}}')
        await parts.pipeline.command("HINCRBY", CLIENTS, "", 1)
        return found

    await parts.access.set(LAB)
    access.pipeline = _Interrupted(parts.pipeline, interrupted)  # type: ignore[assignment]  # what it needs of one
    await access.refresh()
    assert access.tenants == {}
    await access.refresh()
    assert "south" in access.tenants


class _Interrupted:
    """A pipeline, with something that happens after each read of all."""

    def __init__(self, pipeline: Any, all_: Any) -> None:
        self.command, self.all = pipeline.command, all_
