"""Whom the hub calls, and whom it lets in."""

import asyncio
import os
import sys
from typing import Any

import httpx
import pytest

from tests.conformance.bases import Base
from tests.processes import HubProcess


async def said(url: str, base: Base, endpoint: str, **changed: str) -> dict[str, Any] | None:
    """What the production api has against an endpoint; None if nothing."""
    wanted = base.wanted("security") | changed
    (wanted if base.is_r5 else wanted["channel"])["endpoint"] = endpoint
    async with httpx.AsyncClient(base_url=f"{url}/fhir/{base.version}/", timeout=30) as client:
        answer = await client.post("Subscription", json=wanted)
        if answer.status_code == 201:
            await client.delete(f"Subscription/{answer.json()['id']}")
            return None
    assert 400 <= answer.status_code < 500
    [issue] = answer.json()["issue"]
    assert issue["expression"] == ["Subscription.endpoint" if base.is_r5 else "Subscription.channel.endpoint"]
    return dict(issue)


async def test_H22_endpoints(base: Base, strict_url: str) -> None:
    """https alone, and no address inside: by its literal, by its name, or as another way to write it."""
    assert await said(strict_url, base, "https://93.184.215.14/hook", status="off") is None
    for endpoint, code in (
        ("http://93.184.215.14/hook", "value"),
        ("https://127.0.0.1/hook", "security"),
        ("https://localhost/hook", "security"),
        ("https://10.0.0.1/hook", "security"),
        ("https://169.254.169.254/latest", "security"),
        ("https://[::ffff:10.0.0.1]/hook", "security"),
    ):
        issue = await said(strict_url, base, endpoint)
        assert issue is not None, endpoint
        assert issue["code"] == code, endpoint


async def test_A31_B32_https(base: Base, strict_url: str) -> None:
    issue = await said(strict_url, base, "http://93.184.215.14/hook")
    assert issue is not None
    assert "https" in issue["details"]["text"]


@pytest.fixture(scope="session")
async def refusal_to_start(hub: HubProcess) -> tuple[int | None, str]:
    """The exit code and the words of an api that would be open to everybody."""
    open_to_all = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", "api", "--host", "0.0.0.0", "--port", "0"),
        env={name: value for name, value in os.environ.items() if name != "HUB_ALLOW_OPEN"}
        | {"HUB_REDIS_URL": hub.redis_url, "HUB_BASE_URL": hub.url, "HUB_DATA_DIR": str(hub.data)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await open_to_all.communicate()
    return open_to_all.returncode, output.decode()


async def test_A137_policy(refusal_to_start: tuple[int | None, str], version: str) -> None:  # noqa: ARG001 (all alike)
    """The one policy there is lets in whoever reaches it: so nobody but this machine does, unless that is said."""
    code, said = refusal_to_start
    assert code not in (0, None)
    assert "HUB_AUTH is none" in said
