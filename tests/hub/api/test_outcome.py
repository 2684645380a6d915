"""Errors that nobody foresaw, and what the log says: where, and with which ids, but never the content."""

import json
import logging
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter

from hub.access import DEFAULT
from hub.api.app import create_app
from hub.api.gate import OpenGate
from hub.logs import WideLine
from hub.pressure import Pressure
from hub.publication import Publication
from hub.visibility import Visibility
from hub.wiring.parts import Parts
from tests.hub.api.server import FHIR, Hub, issue, patient
from tests.hub.conftest import settings

SECRET = "ZAA0001"


def failing() -> APIRouter:
    router = APIRouter()

    @router.get("/fails")
    async def fails() -> None:
        raise ValueError(f"can't do {SECRET}")

    @router.get("/counts/{number}")
    async def counts(number: int) -> int:
        return number

    return router


@pytest.fixture
def client(parts: Parts, redis_url: str, tmp_path: Path) -> httpx.AsyncClient:
    """A hub with routes that fail."""
    app = create_app(
        settings=settings(redis_url, tmp_path),
        store=parts.store,
        changes=parts.changes,
        transactions=parts.transactions,
        bases=parts.tenancy.bases(DEFAULT),
        topics=parts.tenancy.topics(DEFAULT),
        publication=Publication(parts.tenancy.topics(DEFAULT), parts.registry, parts.audit, parts.store),
        pressure=Pressure(parts.pipeline, parts.changes, parts.settings),
        gate=OpenGate(),
        veil=parts.veil,
        visibility=Visibility(parts.store),
        others=(failing(),),
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=FHIR.removesuffix("/fhir/r4"))


async def test_an_unforeseen_error_is_a_500_and_logged_without_its_message(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Exceptions quote what they choked on."""
    async with client:
        answer = await client.get("/fails")
    assert (answer.status_code, issue(answer)["code"]) == (500, "exception")
    assert SECRET not in answer.text
    lines = [WideLine().format(record) for record in caplog.records]
    failed = [line for line in map(json.loads, lines) if line["event"] == "request.failed"]
    assert [(line["exception_type"], line["where"][-1].endswith(" fails")) for line in failed] == [("ValueError", True)]
    assert not any(SECRET in line for line in lines)


async def test_fastapis_own_refusals_are_operation_outcomes(client: httpx.AsyncClient) -> None:
    async with client:
        answers = [await client.get(path) for path in ("/counts/many", "/nowhere")]
        answers.append(await client.post("/fails"))
    assert [answer.status_code for answer in answers] == [400, 404, 405]
    assert [issue(answer)["code"] for answer in answers] == ["value", "not-found", "not-supported"]
    assert answers[0].json()["issue"][0]["expression"] == ["path.number"]
    assert answers[2].headers["Allow"] == "GET"


async def test_a_stored_change_is_one_line_of_ids(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hub")
    sent = patient("a", identifier=[{"system": "urn:nhi", "value": SECRET}], name=[{"family": "Doe"}])
    await hub.put("/Patient/a", sent)
    await hub.put("/Patient/a", patient("a", birthDate=SECRET))
    lines = [WideLine().format(record) for record in caplog.records]
    stored = [line for line in map(json.loads, lines) if line["event"] == "change.stored"]
    told = [(line["resource"], line["number"], line["interaction"], line["publisher"]) for line in stored]
    assert told == [("default/r4/Patient/a", 1, "create", "anonymous")]
    assert not any(SECRET in line or "Doe" in line for line in lines)
