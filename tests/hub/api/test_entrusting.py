"""`$rotate-secret`, `$credentials` and the public key: secrets come in by bodies alone, and go out once or never."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from hub.keyring import MOST_SECRETS
from tests.hub.api.server import Hub, issue
from tests.hub.api.subscriptions import put
from tests.hub.certificates import Authority, key_pem
from tests.hub.conftest import BASE

OAUTH = {"tokenUrl": "http://127.0.0.1:9/token", "clientId": "hub", "clientSecret": "s3cr3t-of-the-client"}


@pytest.fixture
async def hub(sealing: Hub) -> Hub:
    await put(sealing, "s")
    return sealing


def given(**parameters: str) -> dict[str, Any]:
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, "valueString": value} for name, value in parameters.items()],
    }


def told(answer: httpx.Response) -> dict[str, str]:
    """The parameters that were answered; they are for no cache."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return {parameter.pop("name"): parameter.popitem()[1] for parameter in answer.json().get("parameter", [])}


async def rotate(hub: Hub) -> httpx.Response:
    return await hub.client.post("/Subscription/s/$rotate-secret")


async def entrust(hub: Hub, **parameters: str) -> httpx.Response:
    return await hub.post("/Subscription/s/$credentials", given(**parameters))


async def test_a_secret_is_made_and_shown_once(hub: Hub) -> None:
    first = told(await rotate(hub))
    assert first.keys() == {"secret", "publicKey"}
    assert len(b64decode(first["secret"].removeprefix("whsec_"))) == 32
    second = told(await rotate(hub))
    assert second["secret"] != first["secret"]
    assert second["publicKey"] == first["publicKey"]
    left = datetime.fromisoformat(second["previousUntil"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    everything = (await hub.get("/Subscription/s")).text + (await hub.get("/Subscription/s/$status")).text
    assert "whsec_" not in everything


async def test_a_rotation_is_a_new_version(hub: Hub) -> None:
    """Who serves the Subscription reads anew whatever has a new version."""
    before = (await hub.get("/Subscription/s")).json()["meta"]["versionId"]
    await rotate(hub)
    assert int((await hub.get("/Subscription/s")).json()["meta"]["versionId"]) == int(before) + 1


async def test_the_public_key_is_there_for_receivers(hub: Hub) -> None:
    """As soon as anything is signed."""
    url = f"{BASE}/signing-keys"
    assert (await hub.client.get(url)).json() == {"keys": []}
    public = told(await rotate(hub))["publicKey"]
    assert (await hub.client.get(url)).json() == {"keys": [public]}
    assert len(b64decode(public.removeprefix("whpk_"))) == 32


async def test_too_many_rotations_are_refused(hub: Hub) -> None:
    for _ in range(MOST_SECRETS):
        told(await rotate(hub))
    answer = await rotate(hub)
    assert (answer.status_code, issue(answer)["code"]) == (409, "conflict")


async def test_credentials_are_kept_and_told_without_their_secrets(hub: Hub) -> None:
    issued = Authority().issue()
    answer = await entrust(hub, **OAUTH, scope="events", certificate=issued.certificate, privateKey=issued.key)
    kept = told(answer)
    assert kept["tokenUrl"] == OAUTH["tokenUrl"]
    assert (kept["clientId"], kept["scope"], kept["clientAuthentication"]) == ("hub", "events", "basic")
    assert kept["certificateSubject"] == "CN=client"
    assert kept["origin"] == "http://127.0.0.1:9"
    assert told(await hub.get("/Subscription/s/$credentials")) == kept
    assert OAUTH["clientSecret"] not in answer.text
    assert "PRIVATE" not in answer.text
    assert told(await entrust(hub, clientAuthentication="post", **OAUTH)).keys() == {
        "origin", "tokenUrl", "clientId", "clientAuthentication",
    }  # fmt: skip
    assert told(await hub.client.post("/Subscription/s/$credentials")) == {}
    assert told(await hub.get("/Subscription/s/$credentials")) == {}


async def test_redis_holds_no_credentials_in_clear(hub: Hub) -> None:
    issued = Authority().issue()
    told(await entrust(hub, **OAUTH, certificate=issued.certificate, privateKey=issued.key))
    pipeline = hub.parts.pipeline
    found: list[bytes] = []
    for key in await pipeline.command("KEYS", "*"):
        if await pipeline.command("TYPE", key) in (b"hash", "hash"):
            held = await pipeline.command("HGETALL", key)
            found += held.values() if isinstance(held, dict) else held
    assert len(found) > 10
    everything = b" ".join(found)
    assert b"resourceType" in everything
    assert OAUTH["clientSecret"].encode() not in everything
    assert issued.key.splitlines()[1].encode() not in everything


@pytest.mark.parametrize(
    ("wrong", "element"),
    [
        pytest.param({"tokenUrl": OAUTH["tokenUrl"]}, "Parameters.parameter", id="half"),
        pytest.param(OAUTH | {"clientSecret": ""}, "Parameters.parameter[2]", id="empty"),
        pytest.param(OAUTH | {"tokenUrl": "ftp://a.example/"}, "tokenUrl", id="ftp"),
        pytest.param(OAUTH | {"tokenUrl": "https://u:p@a.example/"}, "tokenUrl", id="user"),
        pytest.param(OAUTH | {"tokenUrl": "https://a.example/#f"}, "tokenUrl", id="fragment"),
        pytest.param(OAUTH | {"tokenUrl": "http://169.254.169.254/token"}, "tokenUrl", id="metadata"),
        pytest.param(OAUTH | {"clientAuthentication": "jwt"}, "clientAuthentication", id="way"),
        pytest.param(OAUTH | {"password": "x"}, "Parameters.parameter[3]", id="unknown"),
        pytest.param({"certificate": "x"}, "Parameters.parameter", id="no-key"),
        pytest.param({"certificate": "x", "privateKey": "y"}, "certificate", id="no-pem"),
    ],
)
async def test_what_can_not_be_used_is_refused_and_not_repeated(hub: Hub, wrong: dict[str, str], element: str) -> None:
    kept = told(await entrust(hub, **OAUTH, scope="kept"))
    answer = await entrust(hub, **wrong)
    assert answer.status_code == 400
    assert issue(answer)["expression"] == [element]
    assert OAUTH["clientSecret"] not in answer.text
    assert told(await hub.get("/Subscription/s/$credentials")) == kept


async def test_nobody_is_told_to_have_a_metadata_service_allowed(hub: Hub) -> None:
    answer = await entrust(hub, **OAUTH | {"tokenUrl": "http://169.254.169.254/token"})
    text = "The hub must not call this token endpoint: 169.254.169.254 is a metadata service. Nobody can allow it."
    assert issue(answer)["diagnostics"] == text


@pytest.mark.parametrize("what", ["another", "encrypted", "expired"])
async def test_a_certificate_is_checked(hub: Hub, what: str) -> None:
    issued = Authority().issue(days=-1 if what == "expired" else 30)
    key = {
        "another": Authority().issue().key,
        "encrypted": key_pem(generate_private_key(SECP256R1()), b"password"),
        "expired": issued.key,
    }[what]
    answer = await entrust(hub, certificate=issued.certificate, privateKey=key)
    said = {"another": "not that of", "encrypted": "encrypted", "expired": "not valid at this time"}[what]
    assert said in issue(answer)["details"]["text"]
    assert issue(answer)["expression"] == ["certificate"]


async def test_secrets_in_a_url_are_refused(hub: Hub) -> None:
    """URLs are logged on their way."""
    answer = await hub.client.post("/Subscription/s/$credentials", params=OAUTH)
    assert answer.status_code == 400
    assert OAUTH["clientSecret"] not in answer.text
    assert told(await hub.get("/Subscription/s/$credentials")) == {}


async def test_nobody_to_keep_them_for(hub: Hub) -> None:
    for answer in (
        await hub.client.post("/Subscription/none/$rotate-secret"),
        await hub.post("/Subscription/none/$credentials", given(**OAUTH)),
        await hub.get("/Subscription/none/$credentials"),
    ):
        assert (answer.status_code, issue(answer)["code"]) == (404, "not-found")


async def test_without_a_key_the_hub_keeps_no_secrets(plain: Hub) -> None:
    """It says which setting is lacking; Subscriptions are as ever."""
    await put(plain, "s")
    for answer in (await rotate(plain), await entrust(plain, **OAUTH)):
        assert answer.status_code == 400
        assert "HUB_SECRETS_KEY is not set" in issue(answer)["details"]["text"]
