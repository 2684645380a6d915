"""What happened to one change, or to one Subscription, is found in the log by its id alone."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.facts import eventually
from tests.fhir import Fhir, immunization, talking_to
from tests.processes import SHARED, HubProcess, subscription
from tests.receiver import Holding, Received, Receiver, after_handshake


@pytest.fixture(scope="module")
async def talkative(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HubProcess]:
    """A hub that says all that it can."""
    data = tmp_path_factory.mktemp("hub") / "data"
    async with HubProcess(data, SHARED | {"HUB_LOG_LEVEL": "debug", "HUB_RETRY_WAITS": "0.05,0.05"}) as hub:
        yield hub


@pytest.fixture
async def publisher(talkative: HubProcess) -> AsyncIterator[Fhir]:
    async with talking_to(talkative) as fhir:
        yield fhir


def grep(hub: HubProcess, text: str) -> list[dict[str, Any]]:
    """The lines that have a text, as an operator looks for them."""
    return [json.loads(line) for line in hub.output if text in line]


def events(lines: list[dict[str, Any]]) -> list[str]:
    """What happened by these lines: in the order of its time by those of one process, which may be late with them."""
    return [line["event"] for line in lines]


def fields(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines without what all have."""
    return [{name: value for name, value in line.items() if name not in ("at", "level", "event")} for line in lines]


async def test_one_change(talkative: HubProcess, publisher: Fhir, receiver: Receiver) -> None:
    """Each step is one line, with the ids of the trip: the attempt that failed, and the one that was accepted."""
    receiver.answers["/log"] = after_handshake(503, 200)
    id_ = await publisher.subscribe(subscription(f"{receiver.url}/log", "Immunization", "patient=Patient/logged"))
    await publisher.put(immunization("logged", patient="logged"))
    await receiver.events("/log", 2)
    change = "default/r4/Immunization/logged/1"
    steps = ["change.stored", "change.matched", "delivery.attempted", "delivery.attempted"]
    await eventually(lambda: len(grep(talkative, f'"{change}"')) >= len(steps))
    lines = sorted(grep(talkative, f'"{change}"'), key=lambda line: steps.index(line["event"]))
    assert events(lines) == steps
    stored, matched, first, second = fields(lines)
    assert stored == {
        "change": change,
        "resource": "default/r4/Immunization/logged",
        "number": 1,
        "interaction": "create",
        "publisher": "anonymous",
        "transaction": "",
    }
    assert matched.pop("partition") in range(4)
    assert matched == {"change": change, "subscriptions": 1, "events": 1, "withheld": 0}
    assert second.pop("subscription").startswith(f"default/r4/{id_}/")
    assert second.pop("milliseconds") > 0
    assert second.pop("bytes") > 100
    assert second == {
        "kind": "events",
        "first_event": 1,
        "last_event": 1,
        "attempt": 2,
        "outcome": "accepted",
        "decision": "delivered",
        "changes": [change],
    }
    assert (first["attempt"], first["outcome"], first["decision"]) == (1, "refused", "tryagain")


async def test_a_change_that_concerns_nobody(talkative: HubProcess, publisher: Fhir) -> None:
    """Of it the log says so: whoever was told nothing sees why."""
    await publisher.put(immunization("nobodys", patient="nobody"))
    change = '"default/r4/Immunization/nobodys/1"'
    await eventually(lambda: len(grep(talkative, change)) == 2)
    assert sorted(events(grep(talkative, change))) == ["change.matched", "change.stored"]
    assert [line["subscriptions"] for line in grep(talkative, change) if "subscriptions" in line] == [0]


async def test_several_changes(talkative: HubProcess, publisher: Fhir, receiver: Receiver) -> None:
    """A notification of several events is found by each of their changes."""
    wanted = subscription(f"{receiver.url}/both", "Immunization", "patient=Patient/both", max_count=2)
    receiver.answers["/both"] = holding = Holding()
    id_ = await publisher.subscribe(wanted)
    await publisher.put(immunization("both-0", patient="both"))
    await receiver.until(lambda: holding.on_the_wire == 1)
    for number in (1, 2):
        await publisher.put(immunization(f"both-{number}", patient="both"))
        await publisher.until_events(id_, number + 1)
    holding.release()
    await receiver.numbered("/both", 3)
    told = {number: f'"default/r4/Immunization/both-{number}/1"' for number in range(3)}
    await eventually(lambda: all(len(grep(talkative, each)) == 3 for each in told.values()))
    together = [line for line in grep(talkative, told[2]) if len(line.get("changes", ())) == 2]
    assert [(line["first_event"], line["last_event"]) for line in together] == [(2, 3)]
    assert [f'"{change}"' for change in together[0]["changes"]] == [told[1], told[2]]


def without_alerts(hub: HubProcess, id_: str) -> list[dict[str, Any]]:
    """The lines of a Subscription, but for how its owner was told."""
    return [line for line in grep(hub, f"/{id_}") if line["event"] != "alert.told"]


async def gone(received: Received) -> int:
    return 200 if received.type == "handshake" else 410


async def test_one_subscription(talkative: HubProcess, publisher: Fhir, receiver: Receiver) -> None:
    """Its registration, handshake, activation, ends and what operators did to it."""
    id_ = await publisher.subscribe(subscription(f"{receiver.url}/life", "Immunization", "patient=Patient/life"))
    place = f"{talkative.url}/admin/subscriptions/r4/{id_}"
    assert (await publisher.http.post(f"{place}/off")).status_code == 200
    assert (await publisher.http.post(f"{place}/resume")).status_code == 202
    await publisher.until(id_, "active")
    receiver.answers["/life"] = gone
    await publisher.put(immunization("life", patient="life"))
    await publisher.until(id_, "off")
    assert (await publisher.http.post(f"{place}/off")).status_code == 409
    await publisher.delete(f"Subscription/{id_}")
    done = ["stored", "off", "stored", "deleted"]
    seen = ["attempted", "active", "attempted", "active", "attempted", "off"]
    await eventually(lambda: len(without_alerts(talkative, id_)) == len(done) + 2 + len(seen))
    lines = without_alerts(talkative, id_)
    by_api = [line for line in lines if "client" in line]
    assert [each for each in events(by_api) if each != "operator.acted"] == [f"subscription.{step}" for step in done]
    by_lane = [line for line in lines if "client" not in line]
    assert [each.partition(".")[2] for each in events(by_lane)] == seen
    (by_operator,), (by_itself,) = ([line["reason"] for line in each if "reason" in line] for each in (by_api, by_lane))
    assert by_operator == "it was turned off by the hub's operator"
    assert "410" in by_itself
    assert fields([line for line in lines if line["event"] == "operator.acted"]) == [
        {
            "tenant": "default",
            "client": "anonymous",
            "action": f"POST /admin/subscriptions/{{version}}/{{id}}/{action}",
            "to": f"r4/{id_}",
        }
        for action in ("off", "resume")
    ]


async def test_the_clock(talkative: HubProcess) -> None:
    """At its level `debug`, each step of the clock is a line."""
    steps = {"top up", "tick", "rights", "tidy", "retention", "sample", "erase"}
    await eventually(lambda: {line["step"] for line in grep(talkative, '"clock.stepped"')} == steps)
