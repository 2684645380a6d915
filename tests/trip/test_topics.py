"""A topic, published at the base of R5 and subscribed to at that of R4, on real processes."""

import json
from pathlib import Path

from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver

FIXTURES = Path(__file__).parents[2] / "fixtures" / "topics"
URL = "https://topics.example/SubscriptionTopic/immunisation-administered"


async def test_a_topic_of_r5_notifies_in_r4(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """By its trigger, `completed`, and by its own filter on the NHI; it can't be deleted meanwhile."""
    at_r5 = f"{hub.url}/fhir/r5/SubscriptionTopic/immunisation-administered"
    published = await fhir.http.put(at_r5, json=json.loads((FIXTURES / "immunisation-administered.json").read_bytes()))
    assert published.status_code == 201, published.text
    wanted = subscription(f"{receiver.url}/topic", "Immunization", "nhi=ZZZ0008", content="full-resource")
    id_ = await fhir.subscribe(wanted | {"criteria": URL})

    def of(nhi: str, id_: str, status: str = "completed") -> dict[str, object]:
        patient = {"identifier": {"system": "https://standards.digital.health.nz/ns/nhi-id", "value": nhi}}
        return immunization(id_, status=status) | {"patient": patient}

    await fhir.put(of("ZZZ0016", "other"))
    await fhir.put(of("ZZZ0008", "theirs", "not-done"))
    await fhir.put(of("ZZZ0008", "theirs"))
    [told] = await receiver.events("/topic", 1)
    assert told.numbers == [1]
    assert [entry["fullUrl"].rpartition("/")[2] for entry in told.bundle["entry"][1:]] == ["theirs"]
    assert await fhir.events(id_) == 1
    assert (await fhir.http.delete(at_r5)).status_code == 409


async def test_a_topic_that_changed_notifies_by_its_new_trigger(
    hub: HubProcess, fhir: Fhir, receiver: Receiver
) -> None:
    """From the first change after the topic's on; who is on the topic stays on it."""
    at_r5 = f"{hub.url}/fhir/r5/SubscriptionTopic/lots"
    url = "https://topics.example/SubscriptionTopic/lots"

    def topic(lot: str) -> dict[str, object]:
        trigger = {"resource": "Immunization", "queryCriteria": {"current": f"lot-number=LOT-{lot}"}}
        written = {"resourceType": "SubscriptionTopic", "id": "lots", "url": url, "status": "active"}
        return written | {"resourceTrigger": [trigger]}

    assert (await fhir.http.put(at_r5, json=topic("A"))).status_code == 201
    await fhir.subscribe(subscription(f"{receiver.url}/lots", content="full-resource") | {"criteria": url})
    await fhir.put(immunization("a", lot="LOT-A"))
    await fhir.put(immunization("b", lot="LOT-B"))
    await receiver.events("/lots", 1)
    assert (await fhir.http.put(at_r5, json=topic("B"))).status_code == 200
    await fhir.put(immunization("a", lot="LOT-A"))
    await fhir.put(immunization("c", lot="LOT-B"))
    first, second = await receiver.events("/lots", 2)
    assert (first.numbers, second.numbers) == ([1], [2])
    focus = [entry["fullUrl"].rpartition("/")[2] for entry in second.bundle["entry"][1:]]
    assert focus == ["c"]
