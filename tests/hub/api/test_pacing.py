"""How often a client may ask: 429 with `Retry-After`, for it alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hub.api import pacing
from hub.api.gate import OpenGate
from hub.api.pacing import Allowances, Paced
from subscriptions.allowance import Rate
from tests.hub.api.named import ByName
from tests.hub.api.server import FHIR, Hub, issue, patient, serving
from tests.hub.conftest import settings


class Clock:
    """Stands until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Setting:
    hub: Hub
    clock: Clock

    @asynccontextmanager
    async def at(self, host: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client at an address."""
        transport = httpx.ASGITransport(self.hub.app, client=(host, 1234))
        headers = {"Content-Type": "application/fhir+json"}
        async with httpx.AsyncClient(transport=transport, base_url=FHIR, headers=headers) as client:
            yield client


@asynccontextmanager
async def paced(redis_url: str, folder: Path, inner: ByName | OpenGate) -> AsyncIterator[Setting]:
    """Two requests a second and four saved up; of those that are turned away three."""
    clock = Clock()
    gate = Paced(inner, Allowances(Rate(2, 4), clock), Allowances(Rate(1, 3), clock))
    async with serving(settings(redis_url, folder), gate) as hub:
        yield Setting(hub, clock)


@pytest.fixture
async def named(redis_url: str, tmp_path: Path) -> AsyncIterator[Setting]:
    async with paced(redis_url, tmp_path, ByName()) as found:
        yield found


@pytest.fixture
async def nameless(redis_url: str, tmp_path: Path) -> AsyncIterator[Setting]:
    async with paced(redis_url, tmp_path, OpenGate()) as found:
        yield found


def throttled(answer: httpx.Response, seconds: int) -> None:
    assert answer.status_code == 429
    assert issue(answer)["code"] == "throttled"
    assert answer.headers["Retry-After"] == str(seconds)


async def test_too_many(named: Setting) -> None:
    """What was saved up, then 429 until there is more; nothing is stored by what is refused, and others are let."""
    get = named.hub.get
    assert [(await get("/Patient", x_name="a")).status_code for _ in range(4)] == [200] * 4
    throttled(await named.hub.put("/Patient/1", patient("1"), x_name="a"), 1)
    assert (await get("/Patient", x_name="b")).status_code == 200
    named.clock.now += 0.5
    assert (await get("/Patient/1", x_name="a")).status_code == 404
    throttled(await get("/Patient/1", x_name="a"), 1)
    assert (await get("/metadata")).status_code == 200


async def test_entries_count(named: Setting) -> None:
    """A Bundle is done, and who has sent it waits for as long as its entries by themselves would have taken."""
    entry = {"request": {"method": "GET", "url": "Patient"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry] * 24}
    answer = await named.hub.client.post("", json=batch, headers={"X-Name": "a"})
    assert [each["response"]["status"][:3] for each in answer.json()["entry"]] == ["200"] * 24
    throttled(await named.hub.get("/Patient", x_name="a"), 11)
    named.clock.now += 10.5
    assert (await named.hub.get("/Patient", x_name="a")).status_code == 200


async def test_large_bodies_count(named: Setting) -> None:
    """Every 50 kB, unpacked, is a request more."""
    large = patient(
        "1", text={"status": "generated", "div": f"<div xmlns='http://www.w3.org/1999/xhtml'>{'x' * 1_000_000}</div>"}
    )
    answer = await named.hub.put("/Patient/1", large, x_name="a")
    assert answer.status_code == 201
    throttled(await named.hub.get("/Patient/1", x_name="a"), 9)


async def test_whoever_is_turned_away_is_counted_by_address(named: Setting) -> None:
    """401, then 429 in its place; who is known is let, at the same address too. Of IPv6 the network counts."""
    for here, there, elsewhere in (
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
    ):
        async with named.at(here) as first, named.at(there) as same, named.at(elsewhere) as other:
            assert [(await first.get("Patient")).status_code for _ in range(3)] == [401] * 3
            throttled(await same.get("Patient"), 1)
            assert (await other.get("Patient")).status_code == 401
            assert (await first.get("Patient", headers={"X-Name": here})).status_code == 200


async def test_where_nobody_is_told_apart_the_address_counts(nameless: Setting) -> None:
    async with nameless.at("192.0.2.1") as one, nameless.at("192.0.2.2") as other:
        assert [(await one.get("Patient")).status_code for _ in range(5)] == [200] * 4 + [429]
        assert (await other.get("Patient", headers={"X-Forwarded-For": "192.0.2.1"})).status_code == 200
        spoofed = {"X-Forwarded-For": "192.0.2.3", "Forwarded": "for=192.0.2.3"}
        throttled(await one.get("Patient", headers=spoofed), 1)


def test_as_many_are_remembered_as_may_be() -> None:
    """However many come, memory is bounded: whoever asked least lately is forgotten."""
    allowances = Allowances(Rate(1, 1), Clock())
    for number in range(pacing.REMEMBERED + 500):
        allowances.take(str(number))
    assert len(allowances._held) == pacing.REMEMBERED
    assert "499" not in allowances._held


async def test_without_a_limit(redis_url: str, tmp_path: Path) -> None:
    """As it is by default."""
    async with serving(settings(redis_url, tmp_path)) as hub:
        assert {(await hub.get("/Patient/1")).status_code for _ in range(300)} == {404}


async def test_by_settings(redis_url: str, tmp_path: Path) -> None:
    wanted = settings(redis_url, tmp_path).model_copy(update={"rate": 0.001, "rate_burst": 2})
    async with serving(wanted) as hub:
        assert [(await hub.get("/Patient/1")).status_code for _ in range(3)] == [404, 404, 429]
