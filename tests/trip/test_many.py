"""Many subscriptions, each on a patient of its own: a change reaches the one whom it concerns, and nobody else."""

import asyncio

from tests.fhir import Fhir, immunization
from tests.processes import subscription
from tests.receiver import Receiver

MANY = 300


async def test_of_many_subscriptions_a_change_reaches_its_one(fhir: Fhir, receiver: Receiver) -> None:
    """Also the first change after the last was registered."""
    wanted = [
        subscription(f"{receiver.url}/{n}", "Immunization", f"Immunization?patient=Patient/many-{n}")
        for n in range(MANY)
    ]
    ids = [
        id_
        for begin in range(0, MANY, 20)
        for id_ in await asyncio.gather(*(fhir.subscribe(each) for each in wanted[begin : begin + 20]))
    ]
    for patient in (MANY - 1, 0, MANY // 2):
        await fhir.post(immunization(patient=f"many-{patient}"))
    told = [f"/{patient}" for patient in (MANY - 1, 0, MANY // 2)]
    await receiver.until(lambda: sum(bool(each.numbers) for each in receiver.received) == len(told))
    assert sorted(each.path for each in receiver.received if each.numbers) == sorted(told)
    assert sum(await asyncio.gather(*map(fhir.events, ids))) == len(told)
