"""A hub that asks who calls, on its real trip: its operator makes clients and keys while it runs, and revokes them."""

from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from hub.cli import REFUSED, parse
from tests.dump import everything, files
from tests.facts import eventually
from tests.fhir import Fhir, immunization
from tests.operator import done, listed, operate
from tests.processes import SHARED, HubProcess, subscription
from tests.receiver import Receiver

KEYS = SHARED | {"HUB_AUTH": "keys"}


def holding(hub: HubProcess, key: str) -> httpx.AsyncClient:
    """A client with a key."""
    client = hub.client()
    client.headers["Authorization"] = f"Bearer {key}"
    return client


@pytest.mark.timeout(240)
async def test_who_may_call(data: Path, receiver: Receiver) -> None:
    """A client of before the first start publishes, one that is made meanwhile subscribes, and others get 401."""
    await done(data, "clients", "set", "lab", "--scopes", "system/Immunization.cruds")
    lab = (await done(data, "keys", "create", "lab", "--expires", "90d")).strip()
    async with HubProcess(data, KEYS) as hub:
        await done(data, "clients", "set", "ward", "--scopes", "system/Immunization.r system/Subscription.cruds")
        ward = (await done(data, "keys", "create", "ward")).strip()
        async with holding(hub, lab) as publishing, holding(hub, ward) as subscribing, hub.client() as unknown:
            publisher, subscriber = Fhir(publishing), Fhir(subscribing)
            await subscriber.subscribe(subscription(f"{receiver.url}/keys"))
            await publisher.put(immunization("one"))
            assert (await receiver.events("/keys", 1))[-1].foci == ["Immunization/one"]

            assert (await unknown.get("Immunization/one")).status_code == 401
            assert (await subscribing.put("Immunization/two", json=immunization("two"))).status_code == 403
            assert (await publishing.get("Subscription")).status_code == 403

            await done(data, "keys", "revoke", lab.split("_")[1])

            async def refused() -> bool:
                return (await publishing.get("Immunization/one")).status_code == 401

            await eventually(refused)
            rows = {row["client"]: row for row in await listed(data, "keys")}
            assert (rows["lab"]["state"], rows["ward"]["state"]) == ("was revoked", "good")
            await done(data, "clients", "off", "ward")

            async def off() -> bool:
                return (await subscribing.get("Immunization/one")).status_code == 401

            await eventually(off)
        async with Redis.from_url(hub.redis_url) as redis:
            held = await everything(redis.execute_command)
    for where in (held, files(data), "\n".join(hub.output).encode()):
        for key in (lab, ward):
            assert key.split("_", 2)[2].encode() not in where
    assert b"client/lab" in held  # in the audit


@pytest.mark.timeout(240)
async def test_what_operators_see(data: Path) -> None:
    """Tenants and what they grant, in tables and as JSON, on a directory that no hub runs on."""
    await done(data, "tenants", "set", "south")
    await done(data, "tenants", "grant", "default", "south", "system/Patient.rs")
    made = await done(
        *(data, "clients", "set", "ward", "--tenant", "south", "--scopes", "system/*.rs"),
        *("--content", "full-resource", "--clearance", "R HIV", "--known-as", "0oa1"),
    )
    assert "full-resource" in made
    assert [(row["name"], row["grants"], row["clients"]) for row in await listed(data, "tenants")] == [
        ("default", "south: system/Patient.rs", "0"),
        ("south", "", "1"),
    ]
    assert await listed(data, "clients") == [
        {
            "name": "ward",
            "tenant": "south",
            "scopes": "system/*.rs",
            "content": "full-resource",
            "clearance": "R HIV",
            "known as": "0oa1",
            "state": "on",
        }
    ]
    await done(data, "tenants", "revoke", "default", "south")
    assert "Patient" not in await done(data, "tenants", "list")
    said = await done(data, "clients", "remove", "ward")
    assert "removed: ward, and its keys: 0" in said
    assert "belongs to the next client of this name" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "keys create ward",
            "hub keys: there is no client ward: see `hub clients list`, or make it by `hub clients set`",
        ),
        ("clients set ward", "hub clients: ward is new: say by --scopes what it may do"),
    ],
)
async def test_what_can_not_be_done(data: Path, words: str, said: str) -> None:
    """It is said in a line, and nothing is printed that a script could take for a key."""
    assert await operate(data, *words.split()) == (REFUSED, "", f"{said}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("keys", "create", "ward", "--expires", "soon"), "'soon' should be a number of days, hours or minutes"),
        (("keys", "create", "ward", "--scopes", "patient/*.rs"), "patient/*.rs is no scope that the hub knows"),
        (("clients", "set", "ward", "--clearance", "X"), "a clearance begins with one of U, L, M, N, R, V, not with X"),
        (("clients", "set", "ward", "--content", "all"), "invalid choice: 'all'"),
        (("tenants", "grant", "south"), "the following arguments are required: OTHER, SCOPES"),
        (("tenants",), "the following arguments are required: ACTION"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_is_not_understood(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == REFUSED
    assert said in capsys.readouterr().err.splitlines()[-1]


async def test_there_is_no_directory(tmp_path: Path) -> None:
    code, _, said = await operate(tmp_path / "none", "keys", "list")
    assert (code, said.count("\n")) == (REFUSED, 1)
    assert "there is no data directory" in said
