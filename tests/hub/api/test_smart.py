"""`HUB_AUTH=smart`: tokens of SMART Backend Services, from a real issuer that does what a test wants."""

import base64
import hmac
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from time import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hub.unproven import Fault
from tests.hub.api.callers import client, fault, guarded, with_token
from tests.hub.api.server import Hub, issue, patient
from tests.hub.conftest import BASE
from tests.issuer import TokenIssuer, ec_key, rsa_key, signed, unavailable


@pytest.fixture
async def issuer() -> AsyncIterator[TokenIssuer]:
    async with TokenIssuer() as issuer:
        yield issuer


@pytest.fixture
async def hub(redis_url: str, tmp_path: Path, issuer: TokenIssuer) -> AsyncIterator[Hub]:
    async with guarded(redis_url, tmp_path, auth="smart", smart_issuer=issuer.url) as hub:
        yield hub


async def test_a_token_says_who_calls(hub: Hub, issuer: TokenIssuer) -> None:
    auth = {"authorization": f"Bearer {issuer.token()}"}
    assert (await hub.put("/Patient/1", patient("1"), **auth)).status_code == 201
    assert (await hub.get("/Patient/1", **auth)).status_code == 200
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


def unsigned(claims: dict[str, Any], head: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in (head, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def confused(issuer: TokenIssuer) -> str:
    """Signed by HS256, with what everybody may know as its secret."""
    key = issuer.keys["first"].public_key()
    claims = {"iss": issuer.url, "aud": BASE, "exp": int(time()) + 60, "client_id": "lab", "scope": "system/*.cruds"}
    head = unsigned(claims, {"alg": "HS256", "kid": "first"}).removesuffix(".")
    secret = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.digest(secret, head.encode(), "sha256")
    return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def tampered(token: str) -> str:
    """With other claims than were signed."""
    head, _, mac = token.split(".")
    claims = {"iss": "x", "aud": BASE, "exp": int(time()) + 60, "client_id": "lab"}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.{mac}"


def deep(levels: int) -> str:
    return base64.urlsafe_b64encode(b'{"alg":' + b"[" * levels).decode().rstrip("=") + ".e30.e30"


WRONG = [
    pytest.param(lambda _: "x", "malformed", id="no-token"),
    pytest.param(lambda _: "a.b.c", "malformed", id="no-base64"),
    pytest.param(lambda _: "..", "malformed", id="dots"),
    pytest.param(lambda _: deep(3_000), "malformed", id="deep"),
    pytest.param(lambda i: i.token() + "x" * 20_000, "malformed", id="long"),
    pytest.param(lambda i: i.token(headers={"kid": None, "crit": ["x"]}), "malformed", id="critical"),
    pytest.param(lambda i: unsigned({"iss": i.url}, {"alg": ["RS384"]}), "malformed", id="algorithm-is-a-list"),
    pytest.param(lambda i: unsigned({"iss": i.url}, {"alg": "RS384", "kid": 1}), "malformed", id="kid-is-a-number"),
    pytest.param(lambda i: unsigned({"iss": i.url}, {"kid": "first"}), "malformed", id="no-algorithm"),
    pytest.param(lambda i: unsigned({"iss": i.url}, {"alg": "none", "kid": "first"}), "algorithm", id="none"),
    pytest.param(lambda i: unsigned({"iss": i.url}, {"alg": "None"}), "algorithm", id="none-otherwise-written"),
    pytest.param(confused, "algorithm", id="public-key-as-secret"),
    pytest.param(lambda i: i.token(algorithm="RS256"), "algorithm", id="algorithm-that-is-not-allowed"),
    pytest.param(lambda i: i.token(headers={"kid": "other"}), "key", id="unknown-key"),
    pytest.param(lambda i: signed(ec_key(), "ES384", {"kid": "first"}, iss=i.url), "key", id="key-of-another-kind"),
    pytest.param(lambda i: signed(rsa_key(), "RS384", {"kid": "first"}, iss=i.url), "signature", id="another-key"),
    pytest.param(lambda i: tampered(i.token()), "signature", id="tampered"),
    pytest.param(lambda i: i.token()[:-2], "signature", id="cut"),
    pytest.param(lambda i: i.token(exp=int(time()) - 11), "expired", id="expired"),
    pytest.param(lambda i: i.token(nbf=int(time()) + 60), "early", id="not-before"),
    pytest.param(lambda i: i.token(iat=int(time()) + 60), "early", id="issued-later"),
    pytest.param(lambda i: i.token(iss="https://other.example"), "issuer", id="issuer"),
    pytest.param(lambda i: i.token(iss=i.url + "/"), "issuer", id="issuer-almost"),
    pytest.param(lambda i: i.token(aud="https://other.example"), "audience", id="audience"),
    pytest.param(lambda i: i.token(aud=f"{BASE}/t/south/fhir/r4"), "audience", id="another-tenants-audience"),
    pytest.param(lambda i: i.token(aud=["https://other.example"]), "audience", id="audiences"),
    pytest.param(lambda i: i.token(aud={BASE: 1}), "audience", id="audience-is-an-object"),
    pytest.param(lambda i: i.token(exp=None), "claims", id="no-expiry"),
    pytest.param(lambda i: i.token(iss=None), "claims", id="no-issuer"),
    pytest.param(lambda i: i.token(aud=None), "claims", id="no-audience"),
    pytest.param(lambda i: i.token(client_id=None), "claims", id="no-client"),
    pytest.param(lambda i: i.token(client_id=["lab"]), "claims", id="client-is-a-list"),
    pytest.param(lambda i: i.token(exp="soon"), "claims", id="exp-is-a-word"),
    pytest.param(lambda i: i.token(exp=float("inf")), "claims", id="exp-is-infinite"),
    pytest.param(lambda i: i.token(exp=True), "expired", id="exp-is-true"),
    pytest.param(lambda i: i.token(nbf=[]), "claims", id="nbf-is-a-list"),
    pytest.param(lambda i: i.token(scope={"a": 1}), "claims", id="scope-is-an-object"),
    pytest.param(lambda i: i.token(scope=[1]), "claims", id="scope-is-a-number"),
    pytest.param(lambda i: i.token(client_id="nobody"), "client", id="unknown-client"),
]


@pytest.mark.parametrize(("made", "reason"), WRONG)
async def test_a_wrong_token(
    hub: Hub, issuer: TokenIssuer, caplog: pytest.LogCaptureFixture, made: Any, reason: str
) -> None:
    """It is refused whatever is wrong, told no more than its holder may know, and not logged."""
    caplog.set_level(logging.INFO)
    token = made(issuer)
    answer = await with_token(hub, token)
    assert (answer.status_code, issue(answer)["code"]) == (401, "login")
    assert fault(caplog) == reason
    text = Fault(reason).text
    told = f'Bearer realm="FHIR event hub", error="invalid_token", error_description="{text}"'
    assert answer.headers["www-authenticate"] == told
    assert len(token) < 9 or token[:40] not in caplog.text


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": BASE},
        {"aud": f"{BASE}/fhir/r4"},
        {"aud": ["https://other.example", f"{BASE}/fhir/r5"]},
        {"exp": 4_000_000_000},
        {"iat": 1_700_000_000, "nbf": 1_700_000_000.5},
        {"client_id": None, "azp": "lab", "sub": "other"},
        {"client_id": None, "sub": "lab"},
        {"scope": ["system/Patient.r", "launch"]},
        {"scope": None, "scp": "system/Patient.rs openid"},
        {"scope": None, "scp": ["system/*.read"]},
    ],
    ids=str,
)
async def test_a_right_token(hub: Hub, issuer: TokenIssuer, claims: dict[str, Any]) -> None:
    assert (await with_token(hub, issuer.token(**claims))).status_code == 404


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("system/Patient.r", 404),
        ("system/Observation.r", 403),
        ("system/Patient.r?active=true", 403),
        ("patient/Patient.r user/Patient.r", 403),
        ("", 403),
        ("*", 403),
    ],
)
async def test_what_a_token_has_not_been_granted(hub: Hub, issuer: TokenIssuer, scope: str, status: int) -> None:
    assert (await with_token(hub, issuer.token(scope=scope))).status_code == status


async def test_a_token_grants_nothing_that_its_client_has_not(hub: Hub, issuer: TokenIssuer) -> None:
    token = issuer.token(scope="system/*.cruds hub/admin")
    assert (await with_token(hub, token, "/Observation/1")).status_code == 403


async def test_a_client_goes_by_the_name_that_its_issuer_has_for_it(
    hub: Hub, issuer: TokenIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    """By no other then, and by none that two have."""
    caplog.set_level(logging.INFO)
    await client(hub, "ward", "system/Patient.r", known_as="0oa1")
    assert (await with_token(hub, issuer.token(client_id="0oa1"))).status_code == 404
    assert (await with_token(hub, issuer.token(client_id="ward"))).status_code == 401
    await client(hub, "other", "system/*.cruds", known_as="0oa1")
    assert (await with_token(hub, issuer.token(client_id="0oa1"))).status_code == 401
    assert fault(caplog) == "client"


async def test_a_client_that_is_turned_off(hub: Hub, issuer: TokenIssuer) -> None:
    """However long its token is good, and though it was verified."""
    token = issuer.token()
    assert (await with_token(hub, token)).status_code == 404
    access = hub.parts.access
    await access.set(replace(access.clients["lab"], off=True))
    assert (await with_token(hub, token)).status_code == 401


async def test_keys_change(hub: Hub, issuer: TokenIssuer) -> None:
    """A new key is fetched when it is first seen."""
    assert (await with_token(hub, issuer.token())).status_code == 404
    issuer.rotate("second")
    assert (await with_token(hub, issuer.token())).status_code == 401  # within the pause
    assert issuer.asked.count("/keys") == 1


async def test_the_issuer_is_away_at_first(hub: Hub, issuer: TokenIssuer) -> None:
    """That is not the client's fault; what is no token is refused all the same."""
    issuer.answer = unavailable
    answer = await with_token(hub, issuer.token())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert issue(answer)["code"] == "transient"
    assert (await with_token(hub, "x")).status_code == 401


async def test_the_issuer_is_at_the_hubs_own_address(redis_url: str, tmp_path: Path, issuer: TokenIssuer) -> None:
    """As behind one proxy: no subscriber's endpoint could be."""
    wanted = {"auth": "smart", "smart_issuer": issuer.url, "base_url": issuer.url}
    async with guarded(redis_url, tmp_path, **wanted) as hub:
        assert (await with_token(hub, issuer.token(aud=issuer.url))).status_code == 404


async def test_smart_configuration(hub: Hub, issuer: TokenIssuer) -> None:
    for version in ("r4", "r4b", "r5"):
        answer = await hub.client.get(f"{BASE}/fhir/{version}/.well-known/smart-configuration")
        assert answer.headers["content-type"] == "application/json"
        said = answer.json()
        assert (said["issuer"], said["jwks_uri"]) == (issuer.url, f"{issuer.url}/keys")
        assert said["token_endpoint"] == f"{issuer.url}/token"
        assert said["grant_types_supported"] == ["client_credentials"]
        assert {"client-confidential-asymmetric", "permission-v2"} <= set(said["capabilities"])
        security = (await hub.client.get(f"{BASE}/fhir/{version}/metadata")).json()["rest"][0]["security"]
        assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


async def test_nobody_says_where_tokens_are_had(hub: Hub, issuer: TokenIssuer) -> None:
    issuer.discovery = {"token_endpoint": "http://elsewhere.example/token"}
    assert (await hub.get("/.well-known/smart-configuration")).status_code == 503


async def test_the_document_says_how_to_call(hub: Hub) -> None:
    document = (await hub.client.get(f"{BASE}/openapi.json")).json()
    assert document["components"]["securitySchemes"]["bearer"]["bearerFormat"] == "JWT"
    assert document["paths"]["/fhir/r4/{type}/{id}"]["get"]["security"] == [{"bearer": ["system/{type}.r"]}]
