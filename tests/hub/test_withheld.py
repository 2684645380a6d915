"""Matching: whoever may not be told of a change is owed nothing for it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from hub.access import ANYBODY, DEFAULT, Tenant
from hub.wiring.parts import Parts
from subscriptions.scopes import Scopes
from subscriptions.topic import NotificationShape
from tests.hub.engines import Publisher, active, entries, events, fanout, publish
from tests.hub.rights import client, key, labelled, suppressed, telling_apart
from tests.hub.test_shapes import Shaped


async def match(parts: Parts, *, again: bool = False) -> None:
    """Match all that was put, from the beginning, as whoever died before he had noted how far he was."""
    engine = fanout(parts)
    for partition in parts.changes.partitions:
        if found := await entries(parts, partition):
            await engine.match(partition, found)
            if again:
                await engine.match(partition, found)


OK: Callable[[Parts], Awaitable[Any]] = client


async def without_client(_: Parts) -> None:
    pass


async def off(parts: Parts) -> None:
    await client(parts, off=True)


async def other_type(parts: Parts) -> None:
    await client(parts, scopes="system/Patient.rs")


async def only_publishes(parts: Parts) -> None:
    await client(parts, scopes="system/Immunization.cud")


async def other_tenant(parts: Parts) -> None:
    await client(parts, tenant="ward")


async def granted(parts: Parts) -> None:
    await parts.access.set(Tenant("default", {"ward": Scopes.parse("system/Immunization.r")}))
    await client(parts, tenant="ward")


async def granted_something_else(parts: Parts) -> None:
    await parts.access.set(Tenant("default", {"ward": Scopes.parse("system/Patient.r")}))
    await client(parts, tenant="ward")


@pytest.mark.parametrize(
    ("given", "codes", "why"),
    [
        pytest.param(OK, (), "", id="may-be-told"),
        pytest.param(without_client, (), "its client is not known here any more", id="no-client"),
        pytest.param(off, (), "its client is turned off", id="off"),
        pytest.param(
            other_type, (), "its client does not have the scope system/Immunization.r any more", id="another-type"
        ),
        pytest.param(
            only_publishes, (), "its client does not have the scope system/Immunization.r any more", id="no-read"
        ),
        pytest.param(OK, ("R",), "its security labels are beyond the client's clearance", id="restricted"),
        pytest.param(OK, ("HIV",), "its security labels are beyond the client's clearance", id="sensitive"),
        pytest.param(other_tenant, (), "nothing of this tenant is granted to its client any more", id="no-grant"),
        pytest.param(granted, (), "", id="grant"),
        pytest.param(
            granted_something_else,
            (),
            "its client does not have the scope system/Immunization.r any more",
            id="grant-of-something-else",
        ),
    ],
)
async def test_who_may_be_told(
    parts: Parts, given: Callable[[Parts], Awaitable[Any]], codes: tuple[str, ...], why: str
) -> None:
    """The reason stands in the audit, with the subscription and the version."""
    apart = telling_apart(parts)
    await given(apart)
    subscriptions = await active(apart, owner="lab")
    await publish(apart, labelled("i", *codes))
    await match(apart)
    assert await events(apart, subscriptions) == ([] if why else ["i"])
    assert await suppressed(apart) == ([("Subscription/s Immunization/i/_history/1", why)] if why else [])


async def test_anybody_where_clients_are_told_apart(parts: Parts) -> None:
    """A Subscription of before clients were told apart belongs to nobody who could be told."""
    apart = telling_apart(parts)
    subscriptions = await active(apart)
    await publish(apart, labelled("i"))
    await match(apart)
    assert await events(apart, subscriptions) == []
    assert ANYBODY.name not in apart.access.clients


async def test_nobody_told_apart(parts: Parts) -> None:
    """With HUB_AUTH=none labels keep nothing from anybody, not even those that nobody understands."""
    subscriptions = await active(parts)
    await publish(parts, labelled("i", "V", "HIV"))
    await publish(parts, labelled("j") | {"meta": {"security": [{"code": "?"}]}})
    await match(parts)
    assert sorted(await events(parts, subscriptions)) == ["i", "j"]
    assert await suppressed(parts) == []


@pytest.mark.parametrize("auth", ["keys", "smart"])
async def test_keys(parts: Parts, auth: str) -> None:
    """Where clients have keys, whoever has none that is good is told nothing."""
    apart = telling_apart(parts, auth)
    await client(apart)
    subscriptions = await active(apart, owner="lab")

    async def told(id_: str) -> bool:
        await publish(apart, labelled(id_))
        await match(apart)
        return id_ in await events(apart, subscriptions)

    only = auth == "keys"
    assert await told("a") is not only
    await key(apart, expires=1)
    assert await told("b") is not only
    good = await key(apart)
    assert await told("c")
    await apart.access.revoke(good)
    assert await told("d") is not only
    await key(apart)
    assert await told("e")


NORMAL, RESTRICTED = labelled("i"), labelled("i", "R")


@pytest.mark.parametrize("cleared", [False, True])
@pytest.mark.parametrize(
    ("versions", "told"),
    [
        pytest.param([NORMAL, RESTRICTED, NORMAL], [1], id="raised-and-lowered"),
        pytest.param([NORMAL, RESTRICTED, None], [1], id="deleted-after-it-was-raised"),
        pytest.param([NORMAL, None], [1, 2], id="deleted"),
        pytest.param([RESTRICTED, NORMAL, NORMAL, None], [3, 4], id="lowered"),
        pytest.param([RESTRICTED, None, NORMAL], [3], id="made-anew"),
    ],
)
async def test_both_versions_count(
    parts: Parts, versions: list[dict[str, Any] | None], told: list[int], cleared: bool
) -> None:
    """Numbers stay without gaps, and an update that raises confidentiality is no news to who may not see it."""
    apart = telling_apart(parts)
    await client(apart, clearance="R" if cleared else "N")
    subscriptions = await active(apart, owner="lab")
    for each in versions:
        if each is None:
            await Publisher(apart).put("i", method="delete")
        else:
            await publish(apart, each)
    await match(apart)
    assert len(await events(apart, subscriptions)) == len(versions if cleared else told)
    found = await apart.outboxes.events(subscriptions, 1, 100)
    assert [event.version for event in found] == ([*range(1, len(versions) + 1)] if cleared else told)


async def test_several_owners(parts: Parts) -> None:
    """Each is told of what he may be, with numbers of his own, whoever dies when."""
    apart = telling_apart(parts)
    await client(apart, "lab")
    await client(apart, "ward", clearance="R HIV")
    lab, ward = await active(apart, "l", owner="lab"), await active(apart, "w", owner="ward")
    for number, codes in enumerate([(), ("R",), (), ("R", "HIV"), ("V",), ()]):
        await publish(apart, labelled(f"i{number}", *codes))
    await match(apart, again=True)
    assert sorted(await events(apart, lab)) == ["i0", "i2", "i5"]
    assert sorted(await events(apart, ward)) == ["i0", "i1", "i2", "i3", "i5"]


async def test_what_comes_along(parts: Parts) -> None:
    """Of what a shape includes nobody is told that he may not see."""
    topics = Shaped(parts.tenancy.topics(DEFAULT), (NotificationShape("Immunization", ("Immunization:patient",)),))
    apart = telling_apart(replace(parts, tenancy=replace(parts.tenancy, _topics={DEFAULT: topics})))
    await client(apart, "lab", "system/Immunization.r")
    await client(apart, "ward", "system/Immunization.r system/Patient.r")
    await client(apart, "clinic", "system/*.r", clearance="R")
    keys = {owner: await active(apart, owner, owner=owner) for owner in ("lab", "ward", "clinic")}
    await publish(apart, {"resourceType": "Patient", "id": "n"})
    await publish(apart, {"resourceType": "Patient", "id": "r", "meta": labelled("", "R")["meta"]})
    await publish(apart, labelled("a", patient="n"))
    await publish(apart, labelled("b", patient="r"))
    await match(apart)

    async def included(owner: str) -> dict[str, list[str]]:
        found = await apart.outboxes.events(keys[owner], 1, 100)
        return {event.id: [each.id for each in event.included] for event in found}

    assert await included("lab") == {"a": [], "b": []}
    assert await included("ward") == {"a": ["n"], "b": []}
    assert await included("clinic") == {"a": ["n"], "b": ["r"]}
