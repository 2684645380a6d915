"""A Subscription's states, what brings them about, and how events are numbered through them."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import monotonic

from tests.conformance.bases import Base
from tests.conformance.rules import faults
from tests.conformance.stories import HEARTBEAT, Lives, Told, counters, error
from tests.fhir import immunization
from tests.receiver import Holding, Received

#: What a busy machine may add to a time, in seconds.
LATE = 8.0

ERRORS = "http://terminology.hl7.org/CodeSystem/subscription-error"


async def test_H06_handshake_decides(contents: dict[str, Told], life: Lives) -> None:
    """2xx makes it active, 401 an error."""
    assert {told.active["status"] for told in contents.values()} == {"active"}
    assert life.refused["status"] == "error"
    assert error(life.refused)["coding"][0]["code"] == "error-response"


async def test_H07_nothing_before_it_is_active(base: Base) -> None:
    """What changes while the handshake is on its way makes no event; the next change is number 1."""
    asked, answering = asyncio.Event(), asyncio.Event()

    async def slow(_: Received) -> int:
        asked.set()
        await answering.wait()
        return 200

    base.receiver.answers[base.path("H07")] = slow
    id_ = await base.register(base.wanted("H07", "patient=Patient/H07"))
    async with asyncio.timeout(60):
        await asked.wait()
    await base.fhir.put(immunization("H07-before", patient="H07"))
    answering.set()
    await base.fhir.until(id_, "active")
    await base.fhir.put(immunization("H07-after", patient="H07"))
    [event] = await base.receiver.events(base.path("H07"), 1)
    assert (event.numbers, event.foci) == ([1], ["Immunization/H07-after"])


async def test_H13_F6_B97_timeout(base: Base) -> None:
    """An attempt is failed after the seconds that the Subscription says, and the next one comes."""
    base.receiver.answers[base.path("H13")] = holding = Holding()
    id_ = await base.subscribe(base.wanted("H13", "patient=Patient/H13", timeout=1))
    began = monotonic()
    await base.fhir.put(immunization("H13", patient="H13"))
    await base.fhir.until(id_, "error")
    assert monotonic() - began >= 3
    holding.release()
    attempts = base.told("H13")
    assert [each.numbers for each in attempts] == [[1], [1], [1]]
    assert all(after.at - before.at < 10 for before, after in pairwise(attempts)), "15 s without it"
    assert error(await base.fhir.status(id_))["coding"][0]["code"] == "no-response"
    # Nothing is gathered for longer than the heartbeat period.
    answer = await base.http.post("Subscription", json=base.wanted("H13", heartbeat=2, window=3))
    assert answer.status_code == 400


async def test_H14_B93_B94_F5_heartbeats(base: Base, life: Lives) -> None:
    """While nothing is new, none for longer than the period; who didn't ask gets none."""
    kinds = [each.type for each in life.heartbeats]
    assert kinds.count("heartbeat") >= 2
    assert all(after.at - before.at < HEARTBEAT + LATE for before, after in pairwise(life.heartbeats))
    assert [each.type for each in life.quiet] == ["handshake"]
    assert all(faults(base.version, each.bundle) == [] for each in life.heartbeats)


async def test_B92_heartbeats_count_nothing(life: Lives) -> None:
    """A heartbeat has the status and the number of events so far."""
    beats = [each for each in life.heartbeats if each.type == "heartbeat"]
    assert {each.parameters["status"] for each in beats} == {"active"}
    assert set(counters(beats)) == {"0", "1"}


async def test_H15_error(base: Base, life: Lives) -> None:
    """With its code, seen in `$status` and in the Subscription; the counter runs on, and nothing resets it."""
    assert life.failed["status"] == "error"
    assert error(life.failed)["coding"] == [{"system": ERRORS, "code": "error-response"}]
    assert "500" in error(life.failed)["text"]
    assert life.failed_resource["status"] == "error"
    assert ("error" in life.failed_resource) == (not base.is_r5)
    assert (life.kept["status"], life.kept["events-since-subscription-start"]) == ("error", "3")


async def test_H16_again(life: Lives) -> None:
    """After a PUT with `requested`: a handshake with the count, then the next new event."""
    handshake, *events = life.recovered
    assert (handshake.type, handshake.parameters["status"]) == ("handshake", "requested")
    assert handshake.parameters["events-since-subscription-start"] == "3"
    assert [each.numbers for each in events if each.type == "event-notification"] == [[4]]


async def test_H17_ends(life: Lives) -> None:
    """`off`, after its `end`, and deleted: nothing comes any more."""
    assert {each["status"] for each in life.gone.values()} == {"off"}
    assert life.silent == {"off": 0, "ended": 0, "deleted": 0}


async def test_H23_repeats(life: Lives) -> None:
    """What isn't accepted comes again, with its number and its bytes."""
    repeats = [each for each in life.failing if each.numbers == [2]]
    assert len(repeats) == 3
    assert len({each.body for each in repeats}) == 1


async def test_A28_B19_B29_requested_at_first(contents: dict[str, Told]) -> None:
    assert {told.created.json()["status"] for told in contents.values()} == {"requested"}


async def test_A28_B19_B29_requested_whatever_is_sent(base: Base) -> None:
    """Also where the client says `active`."""
    answer = await base.http.post("Subscription", json=base.wanted("A28", status="active"))
    assert (answer.status_code, answer.json()["status"]) == (201, "requested")
    await base.fhir.delete(f"Subscription/{answer.json()['id']}")


async def test_A29_B20_B30_active_after_the_handshake(contents: dict[str, Told]) -> None:
    for told in contents.values():
        assert len(told.handshakes) == 1
        assert told.active["status"] == "active"


async def test_A30_B21_B31_error_after_a_failed_handshake(life: Lives) -> None:
    assert life.refused["status"] == "error"


async def test_A13_B16_errors_are_detected(life: Lives) -> None:
    """And what is said of them is why."""
    for status in (life.failed, life.refused):
        assert error(status)["coding"][0]["code"] == "error-response"
        assert error(status)["text"]


async def test_A131_B77_counter_through_an_error(life: Lives) -> None:
    """The event that came while it was in error is counted."""
    counters = [each["events-since-subscription-start"] for each in (life.failed, life.kept)]
    assert counters == ["2", "3"]


async def test_A131_B78_status_after_an_error(life: Lives) -> None:
    assert (life.failed["status"], life.failed_resource["status"]) == ("error", "error")


async def test_A131_B79_status_is_answered(life: Lives) -> None:
    assert (life.failed["type"], life.kept["type"]) == ("query-status", "query-status")


async def test_A133_nothing_resets_itself(life: Lives) -> None:
    """Long after the endpoint was well again it is in error, and nothing more has come."""
    assert life.kept["status"] == "error"
    assert {number for each in life.failing for number in each.numbers} == {1, 2}


async def test_H17_end_is_no_time_that_is_over(base: Base) -> None:
    """One that would end at once is refused."""
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")
    answer = await base.http.post("Subscription", json=base.wanted("H17") | {"end": past})
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Subscription.end"]
