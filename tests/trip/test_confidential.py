"""What a client may be told, on the real trip: by labels, rules and Consents, and by rights that go and come back."""

from pathlib import Path

import pytest

from tests.facts import eventually
from tests.fhir import Fhir
from tests.hub.rights import labelled
from tests.hub.test_suppressed import consent
from tests.operator import done
from tests.processes import SHARED, HubProcess, subscription
from tests.receiver import Receiver
from tests.trip.test_keys import holding

WANTED = SHARED | {"HUB_AUTH": "keys", "HUB_HONOUR_CONSENT": "true"}
SUBSCRIBES = "system/Immunization.r system/Subscription.cruds"


async def key(data: Path, name: str, scopes: str) -> str:
    """A new client's."""
    await done(data, "clients", "set", name, "--scopes", scopes)
    return (await done(data, "keys", "create", name)).strip()


@pytest.mark.timeout(240)
async def test_what_is_kept_back(data: Path, receiver: Receiver) -> None:
    """
    Numbers have no gap whatever is kept back. A key that is revoked ends it within seconds, though nothing happens; the
    next key, and its client's word, begin it again.
    """
    lab = await key(data, "lab", "system/*.cruds")
    ward = await key(data, "ward", SUBSCRIBES)
    boss = await key(data, "boss", "system/Subscription.rs hub/admin")
    wanted = subscription(f"{receiver.url}/ward")
    async with (
        HubProcess(data, WANTED) as hub,
        holding(hub, lab) as publishing,
        holding(hub, ward) as subscribing,
        holding(hub, boss) as looking,
    ):
        publisher, subscriber, operator = Fhir(publishing), Fhir(subscribing), Fhir(looking)
        id_ = await subscriber.subscribe(wanted)
        await publisher.put(labelled("a"))
        await receiver.events("/ward", 1)  # sent later, it would say nothing of what has become more confidential
        await publisher.put(labelled("b", "R"))
        await publisher.put(labelled("a", "HIV"))
        await done(data, "suppress", "add", "Immunization?patient=Patient/2")
        await publisher.put(labelled("c", patient="2"))
        await publisher.put(consent(patient="3") | {"status": "active"})
        await publisher.put(labelled("d", patient="3"))
        await publisher.put(labelled("e"))
        received = await receiver.events("/ward", 2)
        assert [(each.numbers, each.foci) for each in received] == [
            ([1], ["Immunization/a"]),
            ([2], ["Immunization/e"]),
        ]
        assert (await subscribing.get("Immunization/b")).status_code == 404
        assert (await publishing.get("Immunization/b")).status_code == 404

        await done(data, "keys", "revoke", ward.split("_")[1])
        await operator.until(id_, "error")
        error = (await operator.status(id_))["error"]
        assert error["text"] == "its client has no API key that is good any more"
        await publisher.put(labelled("f"))
        again = (await done(data, "keys", "create", "ward")).strip()
        async with holding(hub, again) as returning:

            async def known() -> bool:
                return (await returning.get(f"Subscription/{id_}")).status_code == 200

            await eventually(known)
            await Fhir(returning).change(id_, wanted)
            await publisher.put(labelled("g"))
            last = (await receiver.events("/ward", 3))[-1]
    assert (last.numbers, last.foci) == ([3], ["Immunization/g"])
