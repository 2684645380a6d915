"""`$test`: what it answers, and to whom nothing can be sent."""

from tests.hub.api.server import Hub, issue
from tests.hub.api.subscriptions import ENDPOINT, put
from tests.hub.engines import activate, member
from tests.processes import subscription


async def test_it_is_queued_and_said_where_the_outcome_is_seen(hub: Hub) -> None:
    await put(hub, "s")
    key = (await member(hub.parts)).key
    await activate(hub.parts, key)
    answer = await hub.client.post("/Subscription/s/$test")
    (said,) = answer.json()["issue"]
    assert (answer.status_code, said["severity"]) == (202, "information")
    text = said["details"]["text"]
    assert "/fhir/r4/Subscription/s/$status" in text
    assert "/admin/subscriptions/r4/s/attempts" in text
    shard = hub.parts.due.shards[key.shard(len(hub.parts.due.shards))]
    assert await hub.parts.pipeline.command("ZSCORE", shard.due, str(key)) is not None


async def test_to_whom_nothing_is_sent_it_is_refused(hub: Hub) -> None:
    await put(hub, "s")
    refused = await hub.client.post("/Subscription/s/$test")
    assert (refused.status_code, issue(refused)["code"]) == (409, "business-rule")
    assert "`requested`" in issue(refused)["details"]["text"]
    assert (await hub.client.post("/Subscription/none/$test")).status_code == 404
    search = subscription(ENDPOINT) | {"id": "search", "criteria": "Immunization?status=completed"}
    del search["channel"]["_payload"]
    assert (await hub.put("/Subscription/search", search)).status_code == 201
    refused = await hub.client.post("/Subscription/search/$test")
    assert (refused.status_code, issue(refused)["code"]) == (409, "not-supported")
