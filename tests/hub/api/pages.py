"""Pages of a search, read and followed."""

import httpx

from tests.hub.api.server import FHIR, Hub


def ids(answer: httpx.Response) -> list[str]:
    """What a page found, in its order."""
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    found = [entry for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]
    assert all(e["fullUrl"] == f"{FHIR}/{e['resource']['resourceType']}/{e['resource']['id']}" for e in found)
    return [entry["resource"]["id"] for entry in found]


def following(answer: httpx.Response) -> str:
    """The URL of the next page; empty on the last one."""
    return next((link["url"] for link in answer.json()["link"] if link["relation"] == "next"), "")


async def all_pages(hub: Hub, url: str) -> list[str]:
    found = []
    while url:
        answer = await hub.get(url)
        found += ids(answer)
        url = following(answer)
    return found
