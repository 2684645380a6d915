"""What every answer tells browsers and caches, and the one page that there is."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from html.parser import HTMLParser

import httpx
import pytest

from hub.api.protection import Protection
from tests.hub.api.server import FHIR, Hub, patient
from tests.hub.conftest import BASE
from tests.processes import subscription

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.fixture
async def client(hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    """As `hub api` serves it."""
    transport = hub.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    headers = {"Content-Type": "application/fhir+json"}
    protected = httpx.ASGITransport(Protection(transport.app))
    async with httpx.AsyncClient(transport=protected, base_url=FHIR, headers=headers) as found:
        yield found


async def test_on_every_answer(client: httpx.AsyncClient) -> None:
    """On refusals and failures, too, and once each."""
    made = await client.put("/Patient/1", json=patient("1"))
    answers = [
        made,
        await client.get("/Patient/1"),
        await client.get("/Patient/none"),
        await client.get("/nothing/of/this"),
        await client.delete("/metadata"),
        await client.post("/Patient", content=b"{"),
        await client.get(f"{BASE}/healthz"),
        await client.get(f"{BASE}/readyz"),
        await client.get(f"{BASE}/openapi.json"),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 404, 404, 405, 400, 200, 200, 200]
    for answer in answers:
        assert dict(answer.headers) | ALWAYS == dict(answer.headers)
        names = [name.lower() for name, _ in answer.headers.raw]
        assert len(names) == len(set(names))
        assert "strict-transport-security" not in answer.headers


async def test_caches(client: httpx.AsyncClient) -> None:
    """Nothing is kept but versions that are read, which are asked for again: a 304 is still one."""
    made = await client.put("/Patient/1", json=patient("1"))
    read = await client.get("/Patient/1")
    again = await client.get("/Patient/1", headers={"If-None-Match": read.headers["ETag"]})
    found = await client.get("/Patient")
    secret = await client.put("/Subscription/s", json=subscription("http://127.0.0.1:9/hook") | {"id": "s"})
    assert again.status_code == 304
    told = [answer.headers["Cache-Control"] for answer in (made, read, again, found, secret)]
    assert told == ["no-store", "private, no-cache", "private, no-cache", "no-store", "no-store"]


async def test_tls(client: httpx.AsyncClient) -> None:
    """Where it is spoken it is to be spoken always."""
    answer = await client.get("https://hub.example/healthz")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


class Elements(HTMLParser):
    """What a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}


async def test_the_page_loads_nothing(client: httpx.AsyncClient) -> None:
    """No script, nothing of another host, and no style but its own; each interaction is there."""
    answer = await client.get(f"{BASE}/docs")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    elements = Elements()
    elements.feed(answer.text)
    assert elements.links == {"guide", "openapi.json"}
    assert not elements.tags & {"script", "img", "link", "iframe", "form", "object"}
    [style] = re.findall(r"<style>(.*?)</style>", answer.text)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'")
    described = (await client.get(f"{BASE}/openapi.json")).json()
    for path, item in described["paths"].items():
        for method in item:
            assert f"<code>{method.upper()} {path}</code>" in answer.text
