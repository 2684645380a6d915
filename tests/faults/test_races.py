"""Races with a Subscription's status, forced: by a worker that stands still, or an answer that waits."""

from time import monotonic

from tests.faults.checker import check
from tests.faults.publishers import Publishers
from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Holding, Receiver, after_handshake, lots


async def test_activation(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """What was written before a Subscription was active is not told of, though it is matched after; the rest is."""

    async def put(lot: int) -> None:
        await fhir.put(immunization("activation", patient="activation", lot=str(lot)))

    async with hub.paused("worker match"):
        await put(1)
        id_ = await fhir.subscribe(
            subscription(
                f"{receiver.url}/activation", "Immunization", "patient=Patient/activation", content="full-resource"
            )
        )
        await put(2)
        await put(3)
    received = await receiver.events("/activation", 2)
    assert [each.numbers for each in received] == [[1], [2]]
    assert lots(received) == ["2", "3"]
    assert await fhir.events(id_) == 2


async def test_activation_after_error(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """What was numbered before the activation is skipped; whatever is numbered after it is told, none is missed."""
    receiver.answers["/after-error"] = after_handshake(200, 500)
    wanted = subscription(
        f"{receiver.url}/after-error", "Immunization", "patient=Patient/after-error", content="full-resource"
    )

    async def put(lot: int) -> None:
        await fhir.put(immunization("after-error", patient="after-error", lot=str(lot)))

    id_ = await fhir.subscribe(wanted)
    for lot in (1, 2):
        await put(lot)
    await fhir.until(id_, "error")
    await put(3)
    await fhir.until_events(id_, 3)
    del receiver.answers["/after-error"]
    async with hub.paused("worker match"):
        await put(4)
        await fhir.change(id_, wanted)
        await put(5)
    received = await receiver.events("/after-error", 6)
    assert [each.numbers for each in received] == [[1], [2], [2], [2], [4], [5]]
    assert lots(received) == ["1", "2", "2", "2", "4", "5"]
    assert await fhir.events(id_) == 5


async def test_activation_after_off(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """What was written while it was off is never numbered, though it is matched after it was turned on again."""
    wanted = subscription(
        f"{receiver.url}/after-off", "Immunization", "patient=Patient/after-off", content="full-resource"
    )
    id_ = await fhir.subscribe(wanted)
    await fhir.put(immunization("after-off", patient="after-off", lot="1"))
    await receiver.events("/after-off", 1)
    await fhir.change(id_, wanted | {"status": "off"}, until="off")
    async with hub.paused("worker match"):
        await fhir.put(immunization("after-off", patient="after-off", lot="2"))
        await fhir.change(id_, wanted)
        await fhir.put(immunization("after-off", patient="after-off", lot="3"))
    received = await receiver.events("/after-off", 2)
    assert [each.numbers for each in received] == [[1], [2]]
    assert lots(received) == ["1", "3"]


async def test_registration_under_load(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Registered while changes come in, each gets all that are sent after it is active, and none from before."""
    publishers = Publishers(hub, "registration")
    began: dict[str, tuple[str, float, float]] = {}
    async with publishers.at_work():
        for path in ("/load-1", "/load-2", "/load-3"):
            await publishers.acknowledged(10)
            wanted = subscription(f"{receiver.url}{path}", content="full-resource", max_count=50)
            asked = monotonic()
            id_ = await fhir.subscribe(wanted)
            began[path] = id_, asked, monotonic()
        await publishers.acknowledged(20)
    for path, (id_, asked, active) in began.items():
        after = {told.lot for told in publishers.told if told.sent > active}
        before = {told.lot for told in publishers.told if told.at < asked}
        while not after <= set(lots(receiver.at(path))):
            await receiver.more(1, path)
        told_of = lots(receiver.at(path))
        assert after
        assert before
        assert not before & set(told_of)
        assert len(told_of) == len(set(told_of))
        assert receiver.numbers(path) == list(range(1, len(told_of) + 1))
        await fhir.delete(f"Subscription/{id_}")


async def test_rewriting_under_load(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Written anew again and again while changes come in, a Subscription gets each one, under one number, in order."""
    wanted = subscription(f"{receiver.url}/rewritten", content="full-resource")
    id_ = await fhir.subscribe(wanted)
    publishers = Publishers(hub, "rewriting")
    async with publishers.at_work():
        for _ in range(5):
            await publishers.acknowledged(10)
            await receiver.more(10, "/rewritten")
            await fhir.change(id_, wanted)
    total = sum(publishers.versions().values())
    await receiver.numbered("/rewritten", total)
    assert await fhir.events(id_) == total
    # What was on the wire when it was written is told again, and not by a repeat: it might be another endpoint.
    received = {each.numbers[0]: each for each in reversed(receiver.at("/rewritten"))}
    assert list(dict.fromkeys(receiver.numbers("/rewritten"))) == list(range(1, total + 1))
    assert check([received[number] for number in sorted(received)], publishers.versions(), publishers.told).broken == []
    await fhir.delete(f"Subscription/{id_}")


async def wire(fhir: Fhir, receiver: Receiver, name: str) -> tuple[Holding, str, dict[str, object]]:
    """A Subscription whose first event is on the wire, unanswered, with two behind it; its id, and what it is."""
    holding = receiver.answers[f"/{name}"] = Holding()
    wanted = subscription(f"{receiver.url}/{name}", "Immunization", f"patient=Patient/{name}")
    id_ = await fhir.subscribe(wanted)
    for lot in "123":
        await fhir.put(immunization(name, patient=name, lot=lot))
    await fhir.until_events(id_, 3)
    await receiver.until(lambda: holding.on_the_wire == 1)
    return holding, id_, wanted


async def test_update_on_the_wire(fhir: Fhir, receiver: Receiver) -> None:
    """Moved elsewhere while a notification is on the wire: the old endpoint gets no other, the new one all of them."""
    holding, id_, _ = await wire(fhir, receiver, "moved")
    elsewhere = subscription(f"{receiver.url}/moved-to", "Immunization", "patient=Patient/moved")
    await fhir.put(elsewhere | {"id": id_})
    holding.release()
    await fhir.until(id_, "active")
    await fhir.put(immunization("moved", patient="moved", lot="4"))
    received = await receiver.events("/moved-to", 4)
    assert [each.numbers for each in received] == [[1], [2], [3], [4]]
    assert receiver.numbers("/moved") == [1]
    assert receiver.requests["/moved-to"] == 5


async def test_off_on_the_wire(fhir: Fhir, receiver: Receiver) -> None:
    """Turned off while a notification is on the wire: it is the last one."""
    holding, id_, wanted = await wire(fhir, receiver, "offed")
    await fhir.change(id_, wanted | {"status": "off"}, until="off")
    holding.release()
    await fhir.put(immunization("offed", patient="offed", lot="4"))
    await fhir.change(id_, wanted)
    await fhir.put(immunization("offed", patient="offed", lot="5"))
    received = await receiver.events("/offed", 2)
    assert [each.numbers for each in received] == [[1], [4]]
    assert receiver.requests["/offed"] == 4
    assert await fhir.events(id_) == 4


async def test_delete_on_the_wire(fhir: Fhir, receiver: Receiver) -> None:
    """Deleted while a notification is on the wire: it is the last one, and a new life of the id knows nothing of it."""
    holding, id_, wanted = await wire(fhir, receiver, "deleted")
    await fhir.delete(f"Subscription/{id_}")
    await fhir.put(wanted | {"id": id_})
    holding.release()
    await fhir.until(id_, "active")
    await fhir.put(immunization("deleted", patient="deleted", lot="4"))
    received = await receiver.events("/deleted", 2)
    assert [each.numbers for each in received] == [[1], [1]]
    assert receiver.requests["/deleted"] == 4
    assert await fhir.events(id_) == 1
