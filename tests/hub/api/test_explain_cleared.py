"""Why a stored Subscription is told of something: by what its owner may see, and shown by what the asker may see."""

import pytest

from hub.access import DEFAULT, Client
from subscriptions.clearance import Clearance
from subscriptions.codes import Content
from subscriptions.rights import Rights
from subscriptions.scopes import Scopes
from tests.fhir import immunization
from tests.hub.api.clients import Clients
from tests.hub.api.server import Hub
from tests.hub.conftest import BASE
from tests.hub.rights import labelled
from tests.processes import subscription

READS = "system/*.cruds"


async def client(clients: Clients, name: str, scopes: str, clearance: str) -> Hub:
    """One that the hub knows, and what it may."""
    rights = Rights(Scopes.parse(scopes), Content.FULL_RESOURCE, Clearance.parse(clearance))
    await clients.hub.parts.access.set(Client(name, DEFAULT, rights))
    found = await clients.may(name, scopes)
    clients.gate.rights[name] = rights
    return found


async def hidden(hub: Hub) -> None:
    """A Patient in a Group, both with a label."""
    meta = labelled("x", "R")["meta"]
    await hub.put("/Patient/1", {"resourceType": "Patient", "id": "1", "gender": "male", "meta": meta})
    member = [{"entity": {"reference": "Patient/1"}}]
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": member, "meta": meta}
    await hub.put("/Group/g", group)


@pytest.mark.parametrize(
    ("filter_", "found"),
    [("patient.gender=male", 'Patient.gender: "male"'), ("patient._in=Group/g", '{"reference":"Group/g"}')],
)
@pytest.mark.parametrize(
    ("owner", "asks", "matched", "shown"),
    [("N", "R", False, False), ("R", "N", True, False), ("R", "R", True, True)],
)
async def test_of_what_is_hidden(
    chained: Clients, filter_: str, found: str, owner: str, asks: str, matched: bool, shown: bool
) -> None:
    """Matching goes by the owner, who isn't told more because an operator asks; no operator is shown more for it."""
    lab, boss = await client(chained, "lab", READS, owner), await client(chained, "boss", f"{READS} hub/admin", asks)
    await hidden(await client(chained, "all", READS, "V *"))
    wanted = subscription("http://127.0.0.1:9/s", "Immunization", f"Immunization?{filter_}") | {"id": "s"}
    assert (await lab.put("/Subscription/s", wanted)).status_code == 201
    given = immunization("i", patient="1")
    said = (await boss.post(f"{BASE}/admin/explain", {"subscription": "s", "resource": given})).json()
    assert said["matched"] is matched
    assert said["filters"][0]["found"] == ([found] if shown else [])
    answer = await boss.post("/Subscription/s/$explain", given)
    assert [each["valueBoolean"] for each in answer.json()["parameter"] if each["name"] == "matched"] == [matched]


async def test_of_one_that_is_given(chained: Clients) -> None:
    """It is nobody's: all goes by whoever asks."""
    boss = await client(chained, "boss", f"{READS} hub/admin", "R")
    await hidden(boss)
    wanted = subscription("http://127.0.0.1:9/s", "Immunization", "Immunization?patient.gender=male")
    body = {"subscription": wanted, "resource": immunization("i", patient="1")}
    for clearance, matched in (("N", False), ("R", True)):
        boss = await client(chained, "boss", f"{READS} hub/admin", clearance)
        assert (await boss.post(f"{BASE}/admin/explain", body)).json()["matched"] is matched
