"""Bundles to be sent to the base, and what their answers say."""

from typing import Any

from tests.hub.api.server import FHIR, Hub

NHI = {"system": "urn:nhi", "value": "1"}


def observation(id_: str = "", **more: Any) -> dict[str, Any]:
    resource = {"resourceType": "Observation", **({"id": id_} if id_ else {}), "status": "final", "code": {"text": "x"}}
    return resource | more


def post(resource: dict[str, Any], full_url: str = "", **request: str) -> dict[str, Any]:
    entry = {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}
    return ({"fullUrl": full_url} if full_url else {}) | entry


def put(resource: dict[str, Any], **request: str) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url, **request}}


def ask(method: str, url: str, **request: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **request}}


def bundle(type_: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    return bundle("transaction", *entries)


async def done(hub: Hub, sent: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    """The entries of the answer."""
    answer = await hub.post("", sent, **headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == f"{sent['type']}-response"
    entries: list[dict[str, Any]] = answer.json().get("entry", [])
    assert len(entries) == len(sent["entry"])
    return entries


def status(entries: list[dict[str, Any]]) -> list[int]:
    return [int(entry["response"]["status"].split()[0]) for entry in entries]


def located(entry: dict[str, Any]) -> str:
    """`Type/id` of what an entry wrote."""
    location: str = entry["response"]["location"]
    return location.removeprefix(f"{FHIR}/").partition("/_history/")[0]
