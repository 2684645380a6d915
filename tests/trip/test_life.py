"""A Subscription's life, seen from outside: `requested`, `active`, `error`, `off`, and its event numbers through it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tests.facts import eventually
from tests.fhir import Fhir, immunization
from tests.processes import subscription
from tests.receiver import Holding, Received, Receiver, after_handshake


async def test_update(fhir: Fhir, receiver: Receiver) -> None:
    """After a PUT the endpoint is asked again, the new filter holds, and the numbers go on."""
    id_ = await fhir.subscribe(subscription(f"{receiver.url}/update", "Immunization", "patient=Patient/old"))
    await fhir.put(immunization("old", patient="old"))
    await receiver.events("/update", 1)
    wanted = subscription(f"{receiver.url}/update", "Immunization", "patient=Patient/new")
    answer = await fhir.http.put(f"Subscription/{id_}", json=wanted | {"id": id_})
    assert (answer.status_code, answer.json()["status"]) == (200, "requested")
    await fhir.until(id_, "active")
    [_, again] = receiver.at("/update", "handshake")
    assert (again.parameters["status"], again.parameters["events-since-subscription-start"]) == ("requested", "1")
    await fhir.put(immunization("old", patient="old", lot="2"))
    await fhir.put(immunization("old", patient="new", lot="3"))
    await receiver.numbered("/update", 2)
    assert list(dict.fromkeys(receiver.numbers("/update"))) == [1, 2]  # 1 comes again if the PUT overtook its answer
    assert await fhir.events(id_) == 2


async def test_off(fhir: Fhir, receiver: Receiver) -> None:
    """Turned off it gets nothing, and nothing is numbered; turned on again it goes on with the next change."""
    wanted = subscription(f"{receiver.url}/off", "Immunization", "patient=Patient/off")
    id_ = await fhir.subscribe(wanted)
    await fhir.put(immunization("off", patient="off", lot="1"))
    await receiver.events("/off", 1)
    await fhir.change(id_, wanted | {"status": "off"}, until="off")
    await fhir.put(immunization("off", patient="off", lot="2"))
    await fhir.change(id_, wanted)
    await fhir.put(immunization("off", patient="off", lot="3"))
    await receiver.numbered("/off", 2)
    assert list(dict.fromkeys(receiver.numbers("/off"))) == [1, 2]  # as above
    assert len(receiver.at("/off", "handshake")) == 2
    assert await fhir.events(id_) == 2


async def test_delete(fhir: Fhir, receiver: Receiver) -> None:
    """Deleted it is gone, and gets nothing; under the same id a new one begins anew."""
    wanted = subscription(f"{receiver.url}/delete", "Immunization", "patient=Patient/delete") | {"id": "again"}
    await fhir.put(wanted)
    await fhir.until("again", "active")
    await fhir.put(immunization("delete", patient="delete", lot="1"))
    await receiver.events("/delete", 1)
    await fhir.delete("Subscription/again")
    for url in ("Subscription/again", "Subscription/again/$status"):
        assert (await fhir.http.get(url)).status_code == 404
    await fhir.put(immunization("delete", patient="delete", lot="2"))
    assert await fhir.put(wanted) == 1
    await fhir.until("again", "active")
    await fhir.put(immunization("delete", patient="delete", lot="3"))
    first, second = await receiver.events("/delete", 2)
    assert (first.numbers, second.numbers) == ([1], [1])
    assert first.bundle["id"] != second.bundle["id"]
    assert await fhir.events("again") == 1


async def test_gone(fhir: Fhir, receiver: Receiver) -> None:
    """An endpoint that answers 410 has its Subscription turned off, after one attempt."""
    receiver.answers["/gone"] = after_handshake(410)
    id_ = await fhir.subscribe(subscription(f"{receiver.url}/gone", "Immunization", "patient=Patient/gone"))
    await fhir.put(immunization("gone", patient="gone"))
    await fhir.until(id_, "off")
    assert [each.numbers for each in receiver.at("/gone")] == [[1]]
    assert (await fhir.read(f"Subscription/{id_}"))["status"] == "off"
    error = (await fhir.status(id_))["error"]
    assert error["coding"][0]["code"] == "error-response"
    assert "410" in error["text"]


async def test_retries(fhir: Fhir, receiver: Receiver) -> None:
    """
    What fails is sent again with the same bytes; when all attempts have failed it is `error`. Changes go on being
    numbered; asked again, the endpoint gets a handshake, then the next new event, so that it sees the gap.
    """
    receiver.answers["/retries"] = after_handshake(200, 500, 503, 500, 200)
    wanted = subscription(f"{receiver.url}/retries", "Immunization", "patient=Patient/retries")
    id_ = await fhir.subscribe(wanted)
    await fhir.put(immunization("retries", patient="retries", lot="1"))
    await fhir.put(immunization("retries", patient="retries", lot="2"))
    await fhir.until(id_, "error")
    first, *tries = receiver.at("/retries")
    assert first.numbers == [1]
    assert [each.numbers for each in tries] == [[2], [2], [2]]
    assert len({each.body for each in tries}) == 1

    await fhir.put(immunization("retries", patient="retries", lot="3"))
    await fhir.until_events(id_, 3)
    status = await fhir.status(id_)
    assert (status["status"], status["events-since-subscription-start"]) == ("error", "3")
    assert status["error"]["coding"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/subscription-error", "code": "error-response"}
    ]
    assert "answered 500" in status["error"]["text"]
    assert (await fhir.read(f"Subscription/{id_}"))["error"] == status["error"]["text"]

    await fhir.change(id_, wanted)
    status = await fhir.status(id_)
    assert (status["status"], "error" in status) == ("active", False)
    assert receiver.at("/retries", "handshake")[-1].parameters["events-since-subscription-start"] == "3"
    await fhir.put(immunization("retries", patient="retries", lot="4"))
    *_, last = await receiver.events("/retries", 5)
    assert last.numbers == [4]


async def test_refused_handshake(fhir: Fhir, receiver: Receiver) -> None:
    """A handshake that is refused with 4xx is not tried again: the Subscription is in `error`, and says why."""

    async def refuse(_: Received) -> int:
        return 403

    receiver.answers["/refused"] = refuse
    id_ = await fhir.post(subscription(f"{receiver.url}/refused", "Immunization", "patient=Patient/refused"))
    await fhir.until(id_, "error")
    error = (await fhir.status(id_))["error"]
    assert error["coding"][0]["code"] == "error-response"
    assert "403" in error["text"]
    await fhir.put(immunization("refused", patient="refused"))
    del receiver.answers["/refused"]
    await fhir.change(
        id_, subscription(f"{receiver.url}/refused", "Immunization", "patient=Patient/refused"), until="active"
    )
    assert len(receiver.received) == 2
    assert await fhir.events(id_) == 0  # it never was active when the change came


async def test_failing_handshake(fhir: Fhir, receiver: Receiver) -> None:
    """
    A handshake that fails otherwise is tried three times, with the same bytes, a second and four seconds later.
    `$status` tells an endpoint that fails from one that isn't there.
    """

    async def fail(_: Received) -> int:
        return 502

    receiver.answers["/failing"] = fail
    failing = await fhir.post(subscription(f"{receiver.url}/failing", "Immunization", "patient=Patient/failing"))
    missing = await fhir.post(subscription("http://127.0.0.1:1/missing", "Immunization", "patient=Patient/failing"))
    await fhir.until(failing, "error")
    tries = receiver.at("/failing", "handshake")
    assert len(tries) == 3
    assert len({each.body for each in tries}) == 1
    first, second = (later.at - earlier.at for earlier, later in pairwise(tries))
    assert first >= 0.9
    assert second >= 3.9

    await fhir.until(missing, "error")
    errors = [(await fhir.status(id_))["error"] for id_ in (failing, missing)]
    assert [error["coding"][0]["code"] for error in errors] == ["error-response", "no-response"]
    assert "answered 502" in errors[0]["text"]
    assert "refuses connections" in errors[1]["text"]


async def test_end(fhir: Fhir, receiver: Receiver) -> None:
    """When its `end` is reached a Subscription is off, and gets nothing any more."""
    end = datetime.now(UTC) + timedelta(seconds=10)  # enough for the handshake and an event
    wanted = subscription(f"{receiver.url}/end", "Immunization", "patient=Patient/end")
    id_ = await fhir.subscribe(wanted | {"end": end.isoformat(timespec="milliseconds")})
    await fhir.put(immunization("end", patient="end", lot="1"))
    await receiver.events("/end", 1)
    await fhir.until(id_, "off")
    assert datetime.now(UTC) >= end
    await fhir.put(immunization("end", patient="end", lot="2"))
    # The witness is told of the same change by the same match.
    witness = await fhir.subscribe(subscription(f"{receiver.url}/witness", "Immunization", "patient=Patient/end"))
    await fhir.put(immunization("end", patient="end", lot="3"))
    await receiver.events("/witness", 1)
    assert (await fhir.events(id_), await fhir.events(witness)) == (1, 1)
    assert len(receiver.at("/end")) == 1


async def test_failing_for_a_while(fhir: Fhir, receiver: Receiver) -> None:
    """While it is tried again a Subscription stays active, and `$status` says what is wrong until it has arrived."""
    holding = Holding()

    async def fail_once(received: Received) -> int:
        return 503 if receiver.at("/later") == [received] else await holding(received)

    receiver.answers["/later"] = fail_once
    id_ = await fhir.subscribe(subscription(f"{receiver.url}/later", "Immunization", "patient=Patient/later"))
    await fhir.put(immunization("later", patient="later"))
    first, second = await receiver.events("/later", 2)
    assert first.body == second.body
    status = await fhir.status(id_)
    assert (status["status"], status["error"]["coding"][0]["code"]) == ("active", "error-response")
    assert "answered 503" in status["error"]["text"]
    holding.release()

    async def is_well() -> bool:
        status = await fhir.status(id_)
        return status["status"] == "active" and "error" not in status

    await eventually(is_well)
