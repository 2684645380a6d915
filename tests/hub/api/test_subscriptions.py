"""Subscription's interactions and `$status`, on the state that the store holds: nothing is delivered here."""

import pytest

from tests.hub.api.server import Hub, issue
from tests.hub.api.subscriptions import ENDPOINT, asking, listed, put
from tests.processes import TOPIC, subscription
from tests.receiver import parameters


@pytest.mark.parametrize("path", ["", "/s", "/$status", "/s/$status"])
async def test_head_is_get_without_a_body(hub: Hub, path: str) -> None:
    await put(hub, "s")
    asked = [await hub.client.request(method, f"/Subscription{path}") for method in ("GET", "HEAD")]
    assert [answer.status_code for answer in asked] == [200, 200]
    assert asked[0].headers.keys() == asked[1].headers.keys()
    refused = await hub.client.request("TRACE", f"/Subscription{path}")
    assert refused.status_code == 405
    assert {"GET", "HEAD"} <= set(refused.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("method", "path"), [("POST", ""), ("PUT", "/s"), ("PATCH", "/s"), ("DELETE", "/s"), ("POST", "/s/$test")]
)
async def test_a_write_takes_no_parameters(hub: Hub, method: str, path: str) -> None:
    """None would be heeded; nothing is done of which a part was not."""
    await put(hub, "s")
    body = subscription(ENDPOINT) | {"id": "s", "reason": "another"}
    answer = await hub.client.request(method, f"/Subscription{path}?status=off", json=body)
    assert (answer.status_code, issue(answer)["code"]) == (400, "not-supported")
    assert "`status`: this interaction takes no parameters" in issue(answer)["details"]["text"]
    assert (await hub.get("/Subscription")).json()["total"] == 1
    assert (await hub.get("/Subscription/s")).headers["ETag"] == 'W/"1"'


async def test_a_location_is_read_as_long_as_its_version_is_in_force(hub: Hub) -> None:
    created = await hub.post("/Subscription", subscription(ENDPOINT))
    location = created.headers["Location"]
    read = await hub.get(location)
    assert (read.status_code, read.headers["ETag"], read.json()) == (200, 'W/"1"', created.json())
    path = f"/Subscription/{created.json()['id']}"
    await put(hub, created.json()["id"], reason="another")
    for version, status in (("1", 404), ("2", 200), ("3", 404), ("x", 404)):
        answer = await hub.get(f"{path}/_history/{version}")
        assert answer.status_code == status
    gone = issue(await hub.get(location))
    assert gone["code"] == "not-found"
    assert gone["details"]["text"].startswith("Only the current version of a Subscription is kept")
    assert "version 2" in gone["details"]["text"]
    assert (await hub.get("/Subscription/none/_history/1")).status_code == 404


@pytest.mark.parametrize("version", ["", "|1.0.0", "|9", "|"])
async def test_a_topic_is_known_by_its_url_and_its_version_is_echoed(hub: Hub, version: str) -> None:
    criteria = TOPIC.format("immunization") + version
    created = await hub.post("/Subscription", subscription(ENDPOINT) | {"criteria": criteria})
    assert (created.status_code, created.json()["criteria"]) == (201, criteria)
    status = await hub.get(f"/Subscription/{created.json()['id']}/$status")
    assert parameters(status.json()["entry"][0]["resource"])["topic"] == criteria


@pytest.mark.parametrize("topic", ["spaceship", "immunization"])
async def test_all_that_is_wrong_is_named_at_once(hub: Hub, topic: str) -> None:
    """The topic, each filter by its place, and what is wrong elsewhere; the endpoint too."""
    wanted = subscription(
        "http://169.254.169.254/latest",
        "Immunization",
        *("Immunization?patient=Patient/1", "Immunization?ward=7", "patient", "Starship?x=1"),
        headers=["no colon"],
    )
    answer = await hub.post("/Subscription", wanted | {"criteria": TOPIC.format(topic)})
    issue(answer)
    assert answer.status_code == 400
    named = [each["expression"][0].removeprefix("Subscription.") for each in answer.json()["issue"]]
    filters = [f"criteria.extension[{number}]" for number in (1, 2, 3)]
    unknown = ["criteria"] if topic == "spaceship" else []
    assert sorted(named) == sorted([*filters, *unknown, "channel.header[0]", "channel.endpoint"])


async def test_status_by_post_heeds_the_query_and_the_body(hub: Hub) -> None:
    """Values of one name are joined by OR, wherever they stand."""
    for id_, status in (("a", "requested"), ("b", "off"), ("c", "requested")):
        await put(hub, id_, status=status)
    url = "/Subscription/$status"
    assert listed(await hub.post(f"{url}?id=b", {"resourceType": "Parameters"})) == {"b": "off"}
    assert listed(await hub.post(f"{url}?id=b", asking(id="a"))) == {"a": "requested", "b": "off"}
    assert listed(await hub.post(f"{url}?id=a,b", asking(status="off"))) == {"b": "off"}
    refused = await hub.post(f"{url}?colour=red", asking(id="a"))
    assert (refused.status_code, issue(refused)["code"]) == (400, "not-supported")


async def test_status_by_post_needs_no_content_type_for_an_empty_body(hub: Hub) -> None:
    await put(hub, "a")
    for url, body, status in (
        ("/Subscription/$status", b"", 200),
        ("/Subscription/$status?id=a", b"", 200),
        ("/Subscription/a/$status", b"", 200),
        ("/Subscription/$status", b'{"resourceType":"Parameters"}', 415),
    ):
        request = hub.client.build_request("POST", url, content=body)
        del request.headers["Content-Type"]
        answer = await hub.client.send(request)
        assert answer.status_code == status
        assert status != 200 or listed(answer) == {"a": "requested"}
