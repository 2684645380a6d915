"""What operators do to tenants, clients and keys: on a real Redis, each of it in the audit."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from hub.access import DEFAULT, Access, Client, named
from hub.errors import Mistaken
from hub.keys import audit_keys
from hub.operating import LONGEST, Operating
from hub.wiring.parts import Parts
from subscriptions.clearance import Clearance
from subscriptions.codes import Content
from subscriptions.rights import Rights
from subscriptions.scopes import ALL, Scopes

LAB = Client("lab", DEFAULT, Rights(Scopes.parse("system/Patient.cruds")))


@pytest.fixture
async def operating(parts: Parts) -> Operating:
    """Of a hub that knows the client `lab`."""
    made = Operating(parts.access, parts.audit)
    await made.set_client(LAB)
    return made


async def another(parts: Parts) -> Operating:
    """The same by another process, as it has just begun."""
    access = Access(parts.pipeline, parts.access.now)
    await access.refresh()
    return Operating(access, parts.audit)


async def audited(parts: Parts, tenant: str = DEFAULT) -> list[tuple[str, ...]]:
    """Kind, entity and text of each act; all are the operator's."""
    entries = await parts.pipeline.command("XRANGE", audit_keys(tenant)[0], "-", "+")
    rows = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in entries]
    assert {row[b"agent"] for row in rows} <= {b"operator"}
    return [tuple(row[name].decode() for name in (b"kind", b"entities", b"text")) for row in rows]


async def test_a_client_is_made_and_changed(operating: Operating, parts: Parts) -> None:
    rights = Rights(Scopes.parse("system/Patient.r"), Content.FULL_RESOURCE, Clearance.parse("R HIV"))
    await operating.set_client(replace(LAB, rights=rights))
    assert operating.client("lab").rights == rights
    await operating.turn_off("lab")
    assert operating.client("lab").off
    assert await audited(parts) == [
        ("client-changed", "client/lab", "system/Patient.cruds; content id-only; clearance N"),
        ("client-changed", "client/lab", "system/Patient.r; content full-resource; clearance R HIV"),
        ("client-changed", "client/lab", "system/Patient.r; content full-resource; clearance R HIV; off"),
    ]


async def test_a_key_is_made_and_revoked(operating: Operating, parts: Parts) -> None:
    """To revoke it again changes nothing, and its secret is in no text."""
    key, text = await operating.create_key("lab", ALL, 60_000)
    assert key.expires == key.created + 60_000
    first = await operating.revoke_key(key.id)
    assert first.revoked
    assert await operating.revoke_key(key.id) == first
    said = await audited(parts)
    assert [(kind, entity) for kind, entity, _ in said[1:]] == [
        ("key-created", f"key/{key.id}"),
        ("key-revoked", f"key/{key.id}"),
    ]
    assert said[1][2] == "of lab: all that it may"
    assert text.split("_")[2] not in str(said)


async def test_whoever_comes_after_a_client_has_none_of_its_keys(operating: Operating) -> None:
    key, _ = await operating.create_key("lab", ALL, None)
    assert await operating.remove_client("lab") == 1
    await operating.set_client(LAB)
    assert key.id not in operating.access.keys


async def test_grants(operating: Operating, parts: Parts) -> None:
    """One replaces the one before, and each is in the audit of whose things they are."""
    await operating.make_tenant("south")
    await operating.make_tenant("south")
    await operating.grant(DEFAULT, "south", Scopes.parse("system/Patient.rs"))
    await operating.grant(DEFAULT, "south", Scopes.parse("system/Patient.r"))
    assert str(operating.tenant(DEFAULT).grants["south"]) == "system/Patient.r"
    await operating.withdraw(DEFAULT, "south")
    assert operating.tenant(DEFAULT).grants == {}
    assert await audited(parts, "south") == [("tenant-changed", "tenant/south", "made")]
    assert [text for _, _, text in (await audited(parts))[1:]] == [
        "grants south: system/Patient.rs",
        "grants south: system/Patient.r",
        "grants south nothing any more",
    ]


async def test_two_grants_at_once(operating: Operating, parts: Parts) -> None:
    """None of them undoes the other: the second operator is told to look again."""
    for tenant in ("south", "east"):
        await operating.make_tenant(tenant)
    other = await another(parts)
    await operating.grant(DEFAULT, "south", ALL)
    with pytest.raises(Mistaken, match="try again"):
        await other.grant(DEFAULT, "east", ALL)
    await other.grant(DEFAULT, "east", ALL)
    assert other.tenant(DEFAULT).grants.keys() == {"south", "east"}


async def test_a_client_that_is_changed_while_it_is_turned_off(operating: Operating, parts: Parts) -> None:
    other = await another(parts)
    await operating.turn_off("lab")
    with pytest.raises(Mistaken, match="try again"):
        await other.set_client(replace(LAB, known_as="0oa1"))
    assert other.client("lab").off


async def test_a_key_that_is_made_while_its_client_is_removed(operating: Operating, parts: Parts) -> None:
    """It isn't there for the next client of this name, whichever comes first."""
    other = await another(parts)
    await operating.remove_client("lab")
    with pytest.raises(Mistaken, match="try again"):
        await other.create_key("lab", ALL, None)
    await operating.set_client(LAB)
    other = await another(parts)
    await operating.create_key("lab", ALL, None)
    await other.remove_client("lab")
    assert other.access.keys == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param(lambda o: o.create_key("ward", ALL, None), "there is no client ward", id="key-of-nobody"),
        pytest.param(
            lambda o: o.create_key("lab", Scopes.parse("system/Observation.r"), None),
            "has none of these scopes",
            id="narrow-key",
        ),
        pytest.param(lambda o: o.create_key("lab", ALL, LONGEST + 1), "ten years at most", id="long-key"),
        pytest.param(lambda o: o.create_key("lab", ALL, 0), "ten years at most", id="no-time"),
        pytest.param(lambda o: o.revoke_key("x"), "there is no key x", id="unknown-key"),
        pytest.param(lambda o: o.turn_off("ward"), "there is no client ward", id="off-nobody"),
        pytest.param(lambda o: o.remove_client("ward"), "there is no client ward", id="remove-nobody"),
        pytest.param(lambda o: o.set_client(replace(LAB, name="a:b")), "a:b is no name for a client", id="client-name"),
        pytest.param(
            lambda o: o.set_client(replace(LAB, name="operator")),
            "operator is no name for a client: the audit has it",
            id="operator",
        ),
        pytest.param(
            lambda o: o.set_client(replace(LAB, name="anonymous")),
            "anonymous is no name for a client: the audit has it",
            id="anonymous",
        ),
        pytest.param(
            lambda o: o.set_client(replace(LAB, tenant="south")), "there is no tenant south", id="client-of-no-tenant"
        ),
        pytest.param(
            lambda o: o.set_client(replace(LAB, name="ward", known_as="lab")), "mean lab already", id="same-name"
        ),
        pytest.param(lambda o: o.make_tenant("South"), "South is no name for a tenant", id="tenant-name"),
        pytest.param(lambda o: o.grant(DEFAULT, "south", ALL), "there is no tenant south", id="grant-to-nobody"),
        pytest.param(lambda o: o.grant(DEFAULT, DEFAULT, ALL), "need no grant there", id="grant-to-itself"),
        pytest.param(lambda o: o.withdraw(DEFAULT, "south"), "grants south nothing", id="withdraw-nothing"),
    ],
)
async def test_what_cannot_be_done(
    operating: Operating, parts: Parts, wrong: Callable[[Operating], Awaitable[Any]], said: str
) -> None:
    """It is said in a line, and neither done nor audited."""
    before = await audited(parts)
    with pytest.raises(Mistaken, match=said):
        await wrong(operating)
    assert await audited(parts) == before


async def test_a_client_stays_in_its_tenant(operating: Operating) -> None:
    await operating.make_tenant("south")
    with pytest.raises(Mistaken, match="is a client of default: make another one for south"):
        await operating.set_client(replace(LAB, tenant="south"))


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "ü", "a" * 65, "hub"])
def test_names(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a client"):
        named(replace(LAB, name=name))
