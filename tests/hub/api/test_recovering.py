"""`$events` and `$resend`: what was told once, or never, told again."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from hub.keys import Partition, SubscriptionKey
from hub.resending import RANGES
from hub.turn import Turn, Verb
from subscriptions.ranges import Range
from subscriptions.versions import instant
from tests.hub.api.server import FHIR, Hub, issue, place
from tests.hub.api.subscriptions import asking, put
from tests.hub.conftest import BASE
from tests.hub.engines import Publisher, activate, fanout, matched, member, rewrite, running, subscribe
from tests.receiver import parameters

ENDPOINT = "http://127.0.0.1:9/hook"


async def subscribed(hub: Hub, *puts: str, **options: Any) -> SubscriptionKey:
    """A Subscription `s` that is active and has an event for each of these writes; none of them was sent."""
    key = await subscribe(hub.parts, ENDPOINT, **options)
    await activate(hub.parts, key)
    await happen(hub, *puts)
    return key


async def happen(hub: Hub, *puts: str) -> None:
    """Writes of Immunizations by their ids; one with a minus is a delete."""
    publisher = Publisher(hub.parts)
    async with running(fanout(hub.parts)):
        for id_ in puts:
            await publisher.put(id_.removeprefix("-"), method="delete" if id_.startswith("-") else "update")
            await matched(hub.parts)  # there is no order between partitions


async def events(hub: Hub, **given: str) -> httpx.Response:
    return await hub.client.get("/Subscription/s/$events", params=given)


def status(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return parameters(answer.json()["entry"][0]["resource"])


def numbers(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    told = answer.json()["entry"][0]["resource"]["parameter"]
    return [
        int(parameters({"parameter": p["part"]})["event-number"]) for p in told if p["name"] == "notification-event"
    ]


def errors(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    told = answer.json()["entry"][0]["resource"]["parameter"]
    return [parameter["valueCodeableConcept"]["text"] for parameter in told if parameter["name"] == "error"]


async def test_events_are_told_as_a_notification_would(hub: Hub) -> None:
    """A history Bundle of type query-event, with the resources as they were, and a delete without one."""
    await subscribed(hub, "a", "a", "-a", content="full-resource")
    answer = await events(hub)
    bundle = answer.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "history")
    told = status(answer)
    assert (told["type"], told["status"], told["events-since-subscription-start"]) == ("query-event", "active", "3")
    assert told["subscription"] == {"reference": f"{FHIR}/Subscription/s"}
    assert told["topic"].endswith("/immunization-change")
    assert numbers(answer) == [1, 2, 3]
    first, *others = bundle["entry"]
    assert first["request"] == {"method": "GET", "url": f"{FHIR}/Subscription/s/$status"}
    assert [entry["request"]["method"] for entry in others] == ["POST", "PUT", "DELETE"]
    assert [entry.get("resource", {}).get("meta", {}).get("versionId") for entry in others] == ["1", "2", None]
    assert all(entry["fullUrl"] == f"{FHIR}/Immunization/a" and entry["response"] for entry in others)
    assert errors(answer) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, [1, 2, 3, 4]),
        ({"eventsSinceNumber": "2"}, [2, 3, 4]),
        ({"eventsUntilNumber": "2"}, [1, 2]),
        ({"eventsSinceNumber": "2", "eventsUntilNumber": "3"}, [2, 3]),
        ({"eventsSinceNumber": "0", "eventsUntilNumber": "999999999999999999"}, [1, 2, 3, 4]),
        ({"eventsSinceNumber": "4", "eventsUntilNumber": "4"}, [4]),
    ],
)
async def test_the_range_has_both_its_ends_in_it(hub: Hub, given: dict[str, str], told: list[int]) -> None:
    await subscribed(hub, *"abcd")
    assert numbers(await events(hub, **given)) == told
    named = [{"name": name, "valueString": value} for name, value in given.items()]
    body = {"resourceType": "Parameters", "parameter": named}
    assert numbers(await hub.post("/Subscription/s/$events", body)) == told


@pytest.mark.parametrize(
    "value", [{"valueInteger64": "3"}, {"valueInteger64": 3}, {"valueInteger": 3}, {"valuePositiveInt": 3}], ids=str
)
async def test_a_number_may_be_written_as_one(hub: Hub, value: dict[str, Any]) -> None:
    """FHIR's JSON has an integer64 as a string, but not all that write it do."""
    await subscribed(hub, *"abcd")
    body = {"resourceType": "Parameters", "parameter": [{"name": "eventsSinceNumber", **value}]}
    assert numbers(await hub.post("/Subscription/s/$events", body)) == [3, 4]


@pytest.mark.parametrize(
    ("level", "hint", "foci", "resources"),
    [
        ("empty", "full-resource", 0, 0),
        ("id-only", "full-resource", 1, 0),
        ("id-only", "empty", 0, 0),
        ("full-resource", "id-only", 1, 0),
        ("full-resource", "full-resource", 1, 1),
    ],
)
async def test_nobody_is_told_more_than_the_subscription_is(
    hub: Hub, level: str, hint: str, foci: int, resources: int
) -> None:
    """The hint may lower the level of content, and not raise it."""
    await subscribed(hub, "a", content=level)
    answer = await events(hub, content=hint)
    assert numbers(answer) == [1]
    assert answer.text.count('"focus"') == foci
    assert answer.text.count('"resourceType":"Immunization"') == resources


@pytest.mark.parametrize("to", ["off", "error", "requested"])
async def test_events_are_told_in_any_status(hub: Hub, to: str) -> None:
    """As long as the Subscription exists: also with `off`, when nothing is sent."""
    key = await subscribed(hub, "a", "b")
    if to == "error":
        await hub.parts.pipeline.command("HSET", key.subscription, "status", "error", "error", "so", "error_code", "")
    elif to == "requested":
        await rewrite(hub.parts, ENDPOINT)
    else:
        await put(hub, "s", status="off")
    answer = await events(hub)
    assert (status(answer)["status"], numbers(answer)) == (to, [1, 2])
    await hub.delete("/Subscription/s")
    assert (await events(hub)).status_code == 404


@pytest.mark.parametrize(
    ("given", "at", "code"),
    [
        ({"eventsSinceNumber": "x"}, 400, "value"),
        ({"eventsUntilNumber": "-1"}, 400, "value"),
        ({"eventsSinceNumber": "2", "eventsUntilNumber": "1"}, 400, "value"),
        ({"content": "all"}, 400, "value"),
        ({"since": "1"}, 400, "not-supported"),
        ({"eventsSinceNumber": "3"}, 404, "not-found"),
        ({"eventsUntilNumber": "0"}, 404, "not-found"),
    ],
)
async def test_what_is_no_range_is_refused(hub: Hub, given: dict[str, str], at: int, code: str) -> None:
    await subscribed(hub, "a", "b")
    answer = await events(hub, **given)
    assert (answer.status_code, issue(answer)["code"]) == (at, code)


async def test_before_the_first_event_there_is_nothing_to_tell(hub: Hub) -> None:
    """A query-event without events would break invariant sst-1."""
    await subscribed(hub)
    answer = await events(hub)
    assert (answer.status_code, issue(answer)["code"]) == (404, "not-found")
    assert (await hub.post("/Subscription/s/$events", asking(content="empty"))).status_code == 404


async def test_a_page_holds_so_many_events_and_the_next_one_goes_on(hub: Hub) -> None:
    most = hub.parts.settings.max_page
    key = await subscribed(hub)
    owed = [("XADD", key.outbox, f"{n}-0", *_event(n)) for n in range(1, most + 6)]
    await hub.parts.pipeline.all([*owed, ("HSET", key.subscription, "events", most + 5)])
    answer = await events(hub, eventsSinceNumber="3")
    assert numbers(answer) == list(range(3, most + 3))
    assert errors(answer) == []
    assert numbers(await events(hub, eventsSinceNumber=str(most + 3))) == [most + 3, most + 4, most + 5]


async def test_a_page_holds_so_many_bytes_and_one_event_at_least(hub: Hub) -> None:
    await subscribed(hub, "a", "b", "c", content="full-resource")
    large = b'{"resourceType":"Immunization","note":"%b"}' % (b"x" * hub.parts.settings.max_body_bytes)
    resource = place("Immunization", "a")
    await hub.parts.pipeline.command("HSET", Partition(resource.partition(4)).resource(resource), "b1", large)
    assert numbers(await events(hub)) == [1]
    assert numbers(await events(hub, eventsSinceNumber="2")) == [2, 3]


async def test_what_is_not_kept_any_more_is_said(hub: Hub) -> None:
    """Events by their numbers; and of which events a resource is missing."""
    key = await subscribed(hub, *"abcdef", content="full-resource")
    await hub.parts.pipeline.command("XDEL", key.outbox, "1-0", "2-0", "4-0")
    resource = place("Immunization", "e")
    await hub.parts.pipeline.command("HDEL", Partition(resource.partition(4)).resource(resource), "b1")
    answer = await events(hub)
    assert numbers(answer) == [3, 5, 6]
    assert errors(answer) == [
        "not kept any more: events 1 to 2, 4",
        "not all resources are kept any more as they were: event 5",
    ]
    requests = [entry["request"]["method"] for entry in answer.json()["entry"][1:]]
    assert requests == ["POST", "GET", "POST"]
    assert errors(await events(hub, content="id-only")) == ["not kept any more: events 1 to 2, 4"]
    gone = await events(hub, eventsUntilNumber="2")
    assert gone.status_code == 410
    assert issue(gone)["details"]["text"] == "Not kept any more: events 1 to 2."


async def test_the_events_before_an_update_keep_their_numbers(hub: Hub) -> None:
    """What was numbered stays, whatever the Subscription is by now."""
    await subscribed(hub, "a", content="full-resource")
    await rewrite(hub.parts, ENDPOINT, content="id-only")
    found = await member(hub.parts)
    assert found.state.events == 1
    answer = await events(hub)
    assert numbers(answer) == [1]
    assert '"resourceType":"Immunization"' not in answer.text


async def test_what_was_dropped_is_seen_in_the_status(hub: Hub) -> None:
    """Until a notification has told of it; `$events` tells what it can't give."""
    key = await subscribed(hub, *"abc")
    third = (await hub.parts.outboxes.events(key, 3, 3))[0].at
    await hub.parts.pipeline.command("XDEL", key.outbox, "3-0")
    await hub.parts.pipeline.command("XADD", key.outbox, "4-0", *_event(4, third + 1_000))
    await hub.parts.pipeline.command("HSET", key.subscription, "events", 4)
    await hub.parts.retention.retain(key, third + 1)
    answer = await hub.get("/Subscription/s/$status")
    assert errors(answer) == ["events 1 to 2 were dropped undelivered, and can't be had any more"]
    answer = await events(hub)
    assert numbers(answer) == [4]
    assert "not kept any more: events 1 to 3" in errors(answer)


async def sent(hub: Hub, *given: dict[str, Any]) -> httpx.Response:
    """`$resend` with these parameters."""
    return await hub.post("/Subscription/s/$resend", {"resourceType": "Parameters", "parameter": list(given)})


def number(name: str, value: int) -> dict[str, Any]:
    return {"name": f"events{name}Number", "valueString": str(value)}


def moment(name: str, ms: int) -> dict[str, Any]:
    return {"name": f"events{name}Instant", "valueInstant": instant.write(datetime.fromtimestamp(ms / 1000, UTC))}


async def behind(hub: Hub, key: SubscriptionKey, delivered: int) -> None:
    """As if so many events had been sent."""
    await hub.parts.pipeline.command("HSET", key.subscription, "delivered", delivered)


async def test_resend_notes_the_range_and_answers_at_once(hub: Hub) -> None:
    """Nobody delivers here. What is asked for twice is sent once; ranges that meet are one."""
    key = await subscribed(hub, *"abcdef")
    await behind(hub, key, 5)
    answer = await sent(hub, number("Since", 2), number("Until", 3))
    assert answer.status_code == 200
    assert answer.json()["resourceType"] == "OperationOutcome"
    [issue] = answer.json()["issue"]
    assert (issue["severity"], issue["code"]) == ("information", "informational")
    assert issue["details"]["text"] == "Sent once more: events 2 to 3."
    for first, last in ((2, 3), (5, 5), (4, 4)):
        assert (await sent(hub, number("Since", first), number("Until", last))).status_code == 200
    assert (await member(hub.parts)).state.resend == (Range(2, 5),)
    url = "/Subscription/s/$resend?eventsUntilNumber=1"
    assert (await hub.client.post(url)).status_code == 200
    assert (await member(hub.parts)).state.resend == (Range(1, 5),)


async def test_what_was_not_sent_yet_is_not_sent_twice(hub: Hub) -> None:
    key = await subscribed(hub, *"abc")
    await behind(hub, key, 1)
    answer = await sent(hub, number("Since", 2))
    assert answer.json()["issue"][0]["details"]["text"] == "Still to be sent: events 2 to 3."
    assert (await member(hub.parts)).state.resend == ()
    assert "Sent once more: event 1." in (await sent(hub)).text
    assert (await member(hub.parts)).state.resend == (Range(1, 1),)


async def test_resend_by_instant(hub: Hub) -> None:
    """Both instants are included, and may be joined with numbers."""
    key = await subscribed(hub, *"abcde")
    await behind(hub, key, 5)
    owed = await hub.parts.outboxes.events(key, 1, 5)
    for event in owed:
        await hub.parts.pipeline.command("XDEL", key.outbox, f"{event.number}-0")
    # A new stream: a number is given once.
    await hub.parts.pipeline.command("DEL", key.outbox)
    await hub.parts.pipeline.all([("XADD", key.outbox, f"{n}-0", *_event(n, 1_000 * n)) for n in range(1, 6)])
    answer = await sent(hub, moment("Since", 2_000), moment("Until", 4_999))
    assert answer.json()["issue"][0]["details"]["text"] == "Sent once more: events 2 to 4."
    answer = await sent(hub, moment("Since", 2_001), number("Until", 3))
    assert answer.json()["issue"][0]["details"]["text"] == "Sent once more: event 3."
    answer = await sent(hub, moment("Since", 6_000))
    assert (answer.status_code, issue(answer)["code"]) == (404, "not-found")


@pytest.mark.parametrize("to", ["off", "error", "requested"])
async def test_nothing_is_sent_again_unless_it_is_active(hub: Hub, to: str) -> None:
    key = await subscribed(hub, "a")
    await behind(hub, key, 1)
    if to == "error":
        await hub.parts.pipeline.command("HSET", key.subscription, "status", "error")
    else:
        await put(hub, "s", status=to)
    answer = await sent(hub)
    assert (answer.status_code, issue(answer)["code"]) == (409, "business-rule")
    assert f"`{to}`" in issue(answer)["details"]["text"]
    assert (await member(hub.parts)).state.resend == ()


@pytest.mark.parametrize(
    ("given", "at", "code"),
    [
        ({"name": "eventsSinceInstant", "valueInstant": "2026-11-21"}, 400, "value"),
        ({"name": "eventsSinceNumber", "valueString": "2x"}, 400, "value"),
        ({"name": "content", "valueCode": "empty"}, 400, "not-supported"),
        ({"name": "eventsSinceNumber", "valueString": "7"}, 404, "not-found"),
    ],
)
async def test_what_cannot_be_sent_again_is_refused(hub: Hub, given: dict[str, Any], at: int, code: str) -> None:
    await subscribed(hub, "a")
    answer = await sent(hub, given)
    assert (answer.status_code, issue(answer)["code"]) == (at, code)
    assert (await hub.post("/Subscription/none/$resend", asking())).status_code == 404


async def test_what_is_not_kept_cannot_be_sent_again(hub: Hub) -> None:
    key = await subscribed(hub, *"abc")
    await behind(hub, key, 3)
    await hub.parts.pipeline.command("XDEL", key.outbox, "1-0", "2-0")
    answer = await sent(hub, number("Until", 2))
    assert (answer.status_code, issue(answer)["code"]) == (410, "deleted")
    answer = await sent(hub)
    text = "Sent once more: event 3. Not kept any more: events 1 to 2."
    assert answer.json()["issue"][0]["details"]["text"] == text


async def test_only_so_many_ranges_wait(hub: Hub) -> None:
    key = await subscribed(hub)
    most = 2 * RANGES + 2
    owed = [("XADD", key.outbox, f"{n}-0", *_event(n)) for n in range(1, most + 1)]
    await hub.parts.pipeline.all([*owed, ("HSET", key.subscription, "events", most, "delivered", most)])
    for n in range(1, 2 * RANGES, 2):
        assert (await sent(hub, number("Since", n), number("Until", n))).status_code == 200
    answer = await sent(hub, number("Since", most), number("Until", most))
    assert (answer.status_code, issue(answer)["code"]) == (409, "conflict")
    assert len((await member(hub.parts)).state.resend) == RANGES
    assert (await sent(hub)).status_code == 200
    assert (await member(hub.parts)).state.resend == (Range(1, most),)


async def redelivered(hub: Hub, body: Any, *, version: str = "r4", id_: str = "s") -> httpx.Response:
    url = f"{BASE}/admin/subscriptions/{version}/{id_}/redeliver"
    return await hub.client.post(url, json=body, headers={"Content-Type": "application/json"})


async def test_operators_redeliver_from_a_number_or_a_time(hub: Hub) -> None:
    """By the same way, also right after `error`: what was skipped then is sent."""
    key = await subscribed(hub, *"abcd")
    await hub.parts.pipeline.command("HSET", key.subscription, "status", "error", "skip", "1")
    assert (await redelivered(hub, {"from": 1})).status_code == 409
    await rewrite(hub.parts, ENDPOINT)
    turn = await hub.parts.outboxes.take(key, "2")
    assert isinstance(turn, Turn)
    assert await hub.parts.outboxes.settle(key, "2", turn, Verb.ACTIVE, said="so", ends={})
    answer = await redelivered(hub, {"from": 2, "to": 3})
    assert answer.status_code == 202
    assert answer.json() == {"first": 2, "last": 3, "text": "Sent once more: events 2 to 3."}
    assert (await member(hub.parts)).state.resend == (Range(2, 3),)
    answer = await redelivered(hub, {"from": "2020-01-01T00:00:00Z", "to": 4})
    assert (answer.json()["first"], answer.json()["last"]) == (1, 4)


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"from": "yesterday"}, 400),
        ({"from": -1}, 400),
        ({"from": True}, 400),
        ({"from": 1.5}, 400),
        ({"since": 1}, 400),
        ([], 400),
        ({"from": 2}, 404),
        ({"from": "2100-01-01T00:00:00Z"}, 404),
    ],
)
async def test_an_operator_hears_what_is_wrong(hub: Hub, body: Any, at: int) -> None:
    await subscribed(hub, "a")
    answer = await redelivered(hub, body)
    assert answer.status_code == at
    assert issue(answer)["details"]["text"]
    assert (await redelivered(hub, {}, version="r5")).status_code == 404
    assert (await redelivered(hub, {}, id_="none")).status_code == 404


def _event(number: int, at: int = 1_700_000_000_000) -> tuple[str, ...]:
    return ("type", "Immunization", "id", f"i{number}", "number", "1", "interaction", "create", "at", str(at))
