"""Subscriptions at an endpoint that nobody calls, and what `$status` says of them."""

from typing import Any

import httpx

from tests.hub.api.server import Hub
from tests.processes import subscription
from tests.receiver import parameters

ENDPOINT = "http://127.0.0.1:9/hook"


async def put(hub: Hub, id_: str, **more: Any) -> None:
    """Register a Subscription under an id, or change it."""
    answer = await hub.put(f"/Subscription/{id_}", subscription(ENDPOINT) | {"id": id_} | more)
    assert answer.status_code in (200, 201), answer.text


def listed(answer: httpx.Response) -> dict[str, str]:
    """The statuses that `$status` answered, by the id of the Subscription."""
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    found = [parameters(entry["resource"]) for entry in bundle.get("entry", [])]
    assert bundle["total"] == len(found)
    return {each["subscription"]["reference"].rpartition("/")[2]: each["status"] for each in found}


def asking(**given: str) -> dict[str, Any]:
    """A Parameters resource."""
    parameter = [{"name": name, "valueCode": value} for name, value in given.items()]
    return {"resourceType": "Parameters", "parameter": parameter}
