"""The endpoint at which an owner is told: under the rules of the channel's."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.api.server import Hub, issue, serving
from tests.hub.api.subscriptions import ENDPOINT
from tests.hub.conftest import settings
from tests.processes import OWN, subscription


@pytest.fixture
async def strict(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub that calls public addresses by https alone."""
    careful = {
        "allow_private_endpoints": False,
        "allow_http_endpoints": False,
        "own_addresses": (("127.0.0.1", 8000),),
    }
    async with serving(settings(redis_url, tmp_path).model_copy(update=careful)) as hub:
        yield hub


def wanted(*urls: Any, endpoint: str = ENDPOINT) -> dict[str, Any]:
    extensions = [{"url": f"{OWN}/alert-endpoint", "valueUrl": url} for url in urls]
    return subscription(endpoint) | {"extension": extensions}


async def test_it_is_kept_as_it_was_sent(hub: Hub) -> None:
    created = await hub.post("/Subscription", wanted("http://127.0.0.1:9/alerts?to=me"))
    assert created.status_code == 201
    assert created.json()["extension"][0]["valueUrl"] == "http://127.0.0.1:9/alerts?to=me"


@pytest.mark.parametrize("url", ["ftp://lab.example", "https://me:pass@lab.example", "no URL", "", 5, None])
async def test_what_is_no_endpoint_is_refused(hub: Hub, url: Any) -> None:
    refused = await hub.post("/Subscription", wanted(url))
    assert refused.status_code == 400
    assert issue(refused)["expression"][0].startswith("Subscription.extension[0]")


async def test_there_is_one(hub: Hub) -> None:
    refused = await hub.post("/Subscription", wanted(ENDPOINT, ENDPOINT))
    assert (refused.status_code, issue(refused)["expression"]) == (400, ["Subscription.extension[1]"])


async def test_http_is_refused_where_it_is_for_notifications(strict: Hub) -> None:
    refused = await strict.post("/Subscription", wanted("http://192.0.2.1/", endpoint="https://203.0.113.9/hook"))
    assert refused.status_code == 400
    assert "must be an https URL" in refused.text


@pytest.mark.parametrize(
    ("host", "who"),
    [
        ("127.0.0.1", "Its operator"),
        ("169.254.169.254", "Nobody"),
        ("10.0.0.1", "Its operator"),
        ("203.0.113.9:25", "Its operator"),
        ("127.0.0.1:8000", "Nobody"),
    ],
    ids=["loopback", "metadata", "private", "port", "hub-itself"],
)
async def test_an_address_that_the_hub_must_not_call_is_refused(strict: Hub, host: str, who: str) -> None:
    """And who can allow it is said, if anybody can."""
    refused = await strict.post("/Subscription", wanted(f"https://{host}/", endpoint="https://8.8.8.8/hook"))
    assert (refused.status_code, issue(refused)["code"]) == (400, "security")
    assert issue(refused)["expression"] == ["Subscription.extension"]
    assert issue(refused)["diagnostics"].endswith(f". {who} can allow it.")
