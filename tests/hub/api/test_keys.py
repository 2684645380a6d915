"""`HUB_AUTH=keys`: whoever holds an API key is who it is, and nobody else is."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.access import Key
from hub.instants import now_ms
from hub.pipeline import Pipeline
from subscriptions.scopes import Scopes
from tests.dump import everything
from tests.hub.api.callers import client, fault, grant, guarded, key, with_token
from tests.hub.api.server import FHIR, Hub, issue, patient
from tests.hub.conftest import BASE

REALM = 'Bearer realm="FHIR event hub"'
NO_GOOD = f'{REALM}, error="invalid_token", error_description="The credentials are no good."'


@pytest.fixture
async def hub(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    async with guarded(redis_url, tmp_path, auth="keys") as hub:
        yield hub


def refused(answer: httpx.Response) -> str:
    """What is told about the credentials."""
    assert (answer.status_code, issue(answer)["code"]) == (401, "login")
    return answer.headers["www-authenticate"]


async def test_without_credentials_no_error_is_told(hub: Hub) -> None:
    """Nothing is wrong yet: https://www.rfc-editor.org/rfc/rfc6750#section-3.1."""
    assert refused(await hub.get("/Patient/1")) == REALM
    assert refused(await hub.get("/Patient/1", authorization="Basic bGFiOmxhYg==")) == REALM


async def test_a_key_is_taken_from_either_header(hub: Hub) -> None:
    _, text = await key(hub)
    for headers in ({"authorization": f"Bearer {text}"}, {"authorization": f"bearer  {text}"}, {"x_api_key": text}):
        assert (await hub.put("/Patient/1", patient("1"), **headers)).status_code in (200, 201)


async def test_two_credentials_are_none(hub: Hub) -> None:
    """Nobody could say which of them counts."""
    _, text = await key(hub)
    twice = [("Authorization", f"Bearer {text}"), ("Authorization", "Bearer x")]
    assert refused(await hub.client.get("/Patient/1", headers=twice)) == NO_GOOD
    assert refused(await hub.get("/Patient/1", authorization=f"Bearer {text}", x_api_key=text)) == NO_GOOD


@pytest.mark.parametrize("text", ["x", "hubkey_", "hubkey_a_", "hubkey__b", "hubkey_a_b", "hubkey_a_b c", "hubkey_ü_b"])
async def test_what_is_no_key_is_refused(hub: Hub, text: str) -> None:
    answer = await hub.client.get("/Patient/1", headers=[(b"x-api-key", text.encode("latin-1"))])
    assert refused(answer) == NO_GOOD


async def test_a_guess_at_a_secret_looks_like_a_guess_at_a_key(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    """What is told doesn't say that there is such a key."""
    caplog.set_level(logging.INFO)
    made, text = await key(hub)
    secret = text.split("_", 2)[2]
    for wrong in (f"hubkey_{made.id}_{secret[:-1]}", f"hubkey_{made.id}_{secret}x", f"hubkey_AAAAAAAAAAAA_{secret}"):
        assert refused(await with_token(hub, wrong)) == NO_GOOD
        assert fault(caplog) == "unknown"
    assert text not in caplog.text
    assert secret not in caplog.text


@pytest.mark.parametrize("how", ["expired", "revoked", "off", "client"])
async def test_a_key_that_is_no_good_any_more(hub: Hub, caplog: pytest.LogCaptureFixture, how: str) -> None:
    """It counts for a second at most; here the copy that the process has is old enough at once."""
    caplog.set_level(logging.INFO)
    made, text = await key(hub)
    assert (await with_token(hub, text)).status_code == 404  # there is no such Patient
    access = hub.parts.access
    match how:
        case "expired":
            await access.set(replace(made, expires=now_ms()))
        case "revoked":
            await access.revoke(made)
        case "off":
            await access.set(replace(access.clients["lab"], off=True))
        case "client":
            await access.remove(access.clients["lab"])
    refused(await with_token(hub, text))
    assert fault(caplog) == {"off": "client", "client": "unknown"}.get(how, how)


async def test_what_another_process_changed_is_seen_within_a_second(hub: Hub, redis_url: str, tmp_path: Path) -> None:
    """Both change what the other one knows, and neither looks more than once a second for somebody unknown."""
    async with guarded(redis_url, tmp_path, auth="keys") as other:
        clock = [now_ms()]
        other.parts.access.now = lambda: clock[0]
        await other.parts.access.refresh()
        made, text = await key(hub)
        assert (await with_token(other, text)).status_code == 404  # it looked at once
        await hub.parts.access.revoke(made)
        _, second = await key(hub)
        assert (await with_token(other, text)).status_code == 404  # it believes what it saw
        assert (await with_token(other, second)).status_code == 401  # it has just looked
        clock[0] += 1_000
        assert (await with_token(other, text)).status_code == 401
        assert (await with_token(other, second)).status_code == 404


async def test_guessing_costs_redis_one_look_a_second(hub: Hub) -> None:
    access = hub.parts.access
    now = now_ms()
    access.now = lambda: now
    await access.refresh()

    asking = access.pipeline = _Counting(access.pipeline)
    for number in range(20):
        assert (await with_token(hub, f"hubkey_guess{number}_x")).status_code == 401
    assert asking.asked == 1


class _Counting(Pipeline):
    """A pipeline that counts the commands that are asked for by it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self.asked = pipeline, 0

    async def command(self, *words: Any) -> Any:
        self.asked += 1
        return await self._pipeline.command(*words)


async def test_a_key_may_be_narrower_than_its_client(hub: Hub) -> None:
    """And is never wider."""
    _, reads = await key(hub, scopes=Scopes.parse("system/*.rs hub/admin"))
    auth = {"authorization": f"Bearer {reads}"}
    answer = await hub.put("/Patient/1", patient("1"), **auth)
    assert (answer.status_code, issue(answer)["code"]) == (403, "forbidden")
    assert 'error="insufficient_scope", scope="system/Patient.u"' in answer.headers["www-authenticate"]
    assert (await hub.get("/Patient/1", **auth)).status_code == 404
    assert (await hub.get("/Observation/1", **auth)).status_code == 403


@pytest.mark.parametrize("type_", ["A%0D%0AX-Own:%20x", "A%E4%B8%AD", "A%22", "A%5C", "A" * 3_000])
async def test_a_header_holds_no_type_that_it_could_not(hub: Hub, type_: str) -> None:
    """Whatever the path has, it makes no header of its own, and the hub doesn't fail on it."""
    _, text = await key(hub)
    answer = await with_token(hub, text, f"/{type_}/1")
    assert (answer.status_code, issue(answer)["code"]) == (403, "forbidden")
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


async def test_another_tenants_client_finds_nothing_without_a_grant(hub: Hub) -> None:
    """With one it may do what both its rights and the grant allow."""
    await client(hub, "ward", "system/*.cruds", tenant="south")
    _, text = await key(hub, "ward")
    nothing = await with_token(hub, text)
    assert (nothing.status_code, issue(nothing)["details"]["text"]) == (404, "There is nothing at /fhir/r4/Patient/1.")
    await grant(hub, "default", "south", "system/Patient.r")
    answer = await with_token(hub, text)
    assert "Patient/1" in issue(answer)["details"]["text"]
    assert answer.status_code == 404
    assert (await hub.put("/Patient/1", patient("1"), x_api_key=text)).status_code == 403
    assert (await with_token(hub, text, "/Observation/1")).status_code == 403


async def test_redis_never_holds_a_secret(hub: Hub) -> None:
    _, text = await key(hub)
    assert (await with_token(hub, text)).status_code == 404
    held = await everything(hub.parts.pipeline.command)
    _, id_, secret = text.encode().split(b"_", 2)
    assert id_ in held
    assert secret not in held


async def test_what_is_nobodys_is_told_to_everybody(hub: Hub) -> None:
    """The CapabilityStatement says what is asked; there is no SMART configuration."""
    said = (await hub.get("/metadata")).json()["rest"][0]["security"]
    assert "API keys" in said["description"]
    answer = await hub.get("/.well-known/smart-configuration")
    assert (answer.status_code, issue(answer)["code"]) == (404, "not-found")


async def test_the_document_says_how_to_call(hub: Hub) -> None:
    document = (await hub.client.get(f"{BASE}/openapi.json")).json()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "key"}
    read = document["paths"]["/fhir/r4/{type}/{id}"]["get"]
    assert read["security"] == [{"bearer": ["system/{type}.r"]}, {"key": ["system/{type}.r"]}]
    assert {"401", "403"} <= read["responses"].keys()
    assert document["paths"]["/fhir/r4"]["post"]["security"] == [{"bearer": []}, {"key": []}]
    assert "security" not in document["paths"]["/fhir/r4/metadata"]["get"]


def test_a_key_shows_nothing_of_its_secret() -> None:
    made, text = Key.new("lab", Scopes.granted(""), now=0, expires=None)
    assert text.split("_", 2)[2] not in repr(made)
    assert FHIR not in text
