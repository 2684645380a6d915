"""Searches that look beyond the resource itself: rosters always, chains and `_has` where they are allowed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.hub.api.bundles import done, located, observation, post, put, transaction
from tests.hub.api.pages import ids
from tests.hub.api.server import Hub, issue, patient, serving
from tests.hub.conftest import settings
from tests.processes import subscription

ONE = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
HAS = "_has:Observation:patient:code=http://loinc.org|1"
CODED = {"coding": [{"system": "http://loinc.org", "code": "1"}]}


@pytest.fixture
async def open_hub(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub where searches and filters may look at other resources."""
    wanted = settings(redis_url, tmp_path).model_copy(update={"allow_chained_filters": True})
    async with serving(wanted) as found:
        yield found


async def test_members_of_a_roster_are_found_though_it_was_written_with_them(hub: Hub) -> None:
    """In one transaction, whose entries refer to each other by what becomes of them."""
    group = {
        "resourceType": "Group",
        "id": "g",
        "type": "person",
        "actual": True,
        "member": [{"entity": {"reference": ONE}}],
    }
    entries = await done(hub, transaction(put(group), post(patient(), ONE), post(patient())))
    assert ids(await hub.get("/Patient?_in=Group/g")) == [located(entries[1]).partition("/")[2]]
    assert ids(await hub.get("/Patient?_in=Group/h")) == []


async def test_a_search_follows_references_forth_and_back(open_hub: Hub) -> None:
    hub = open_hub
    for id_ in ("a", "b"):
        await hub.put(f"/Patient/{id_}", patient(id_, gender="female" if id_ == "a" else "male"))
        told = observation(subject={"reference": f"Patient/{id_}"}) | {"id": f"o{id_}"}
        await hub.put(f"/Observation/o{id_}", told | ({"code": CODED} if id_ == "a" else {}))
    assert ids(await hub.get("/Observation?patient.gender=male")) == ["ob"]
    assert ids(await hub.get("/Observation?subject:Patient.gender=female")) == ["oa"]
    assert ids(await hub.get(f"/Patient?{HAS}")) == ["a"]
    assert ids(await hub.get(f"/Observation?patient.{HAS}")) == ["oa"]


@pytest.mark.parametrize("query", ["/Observation?patient.gender=male", f"/Patient?{HAS}"])
async def test_where_that_is_not_allowed_a_search_is_refused(hub: Hub, query: str) -> None:
    answer = await hub.get(query)
    assert answer.status_code == 400
    assert "HUB_ALLOW_CHAINED_FILTERS" in issue(answer)["diagnostics"]


async def test_a_subscription_with_a_chain_is_taken_only_where_that_is_allowed(hub: Hub, open_hub: Hub) -> None:
    chain = subscription("http://127.0.0.1/x", "Immunization", "Immunization?patient.gender=male")
    refused = await hub.post("/Subscription", chain)
    assert refused.status_code in (400, 422)
    assert "HUB_ALLOW_CHAINED_FILTERS" in issue(refused)["diagnostics"]
    assert (await open_hub.post("/Subscription", chain)).status_code == 201
    roster = subscription("http://127.0.0.1/x", "Immunization", "Immunization?patient._in=Group/1")
    assert (await hub.post("/Subscription", roster)).status_code == 201


async def test_subscriptions_are_members_of_rosters_as_any_resource_is(hub: Hub) -> None:
    wanted = subscription("http://127.0.0.1/x", "Immunization") | {"id": "s"}
    await hub.put("/Subscription/s", wanted)
    await hub.put("/Subscription/t", wanted | {"id": "t"})
    entry = [{"item": {"reference": "Subscription/s"}}]
    await hub.put(
        "/List/l", {"resourceType": "List", "id": "l", "status": "current", "mode": "working", "entry": entry}
    )
    assert ids(await hub.get("/Subscription?_in=List/l")) == ["s"]
