"""What a subscriber missed comes once more, whatever is killed meanwhile."""

from tests.facts import eventually
from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Holding, Receiver


async def test_what_is_sent_once_more_survives_a_kill(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Killed with the first of it on the wire, the worker is started again, and all of it comes, in order."""
    id_ = await fhir.subscribe(subscription(f"{receiver.url}/again", "Immunization", "patient=Patient/again"))
    for lot in range(6):
        await fhir.put(immunization(f"again{lot}", patient="again"))
    await receiver.numbered("/again", 6)
    answer = await fhir.http.get(f"Subscription/{id_}/$events", params={"eventsSinceNumber": "2"})
    assert answer.status_code == 200

    receiver.answers["/again"] = holding = Holding()
    before = len(receiver.at("/again"))
    answer = await fhir.http.post(f"Subscription/{id_}/$resend?eventsSinceNumber=2&eventsUntilNumber=5")
    assert answer.status_code == 200, answer.text
    await receiver.until(lambda: holding.on_the_wire > 0)
    await hub.kill("worker deliver")
    del receiver.answers["/again"]
    holding.release()
    await fhir.put(immunization("again-new", patient="again"))
    await receiver.until(lambda: 7 in receiver.told["/again"], seconds=60)
    came = receiver.at("/again")[before:]
    assert list(dict.fromkeys(number for each in came for number in each.numbers)) == [2, 3, 4, 5, 7]
    assert [each.numbers for each in came[:2]] == [[2], [2]]  # it was on the wire
    assert came[0].body == came[1].body

    async def all_told() -> bool:
        return await fhir.events(id_) == 7

    await eventually(all_told)
