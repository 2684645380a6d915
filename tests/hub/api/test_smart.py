"""`HUB_AUTH=smart`: tokens of SMART Backend Services, from a real issuer that does what a test wants."""

import asyncio
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
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hub.channels.fetching import Fetching
from hub.errors import Unavailable
from hub.smart.issuer import FRESH, HELD, PAUSE, Issuer, Named
from hub.smart.verifier import KNOWN, Verifier
from hub.store import now_ms
from hub.unproven import Fault, Unproven
from hub.wiring.parts import Parts
from tests.hub.api.callers import client, fault, guarded, with_token
from tests.hub.api.server import Hub, issue, patient
from tests.hub.conftest import BASE
from tests.issuer import TokenIssuer, ec_key, hanging, jwk, rsa_key, signed


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


async def unavailable(_: str) -> web.StreamResponse | None:
    return web.Response(status=503)


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


# What takes time, with a clock that a test sets.


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(parts: Parts, issuer: TokenIssuer, clock: Clock) -> Issuer:
    return Issuer(Fetching.of(parts.guard, None), Named(issuer.url, "", "", ("RS384", "ES384")), now=clock)


def verifier(known: Issuer, **more: Any) -> Verifier:
    return Verifier(known, frozenset([BASE]), **{"now": now_ms} | more)


async def test_one_request_for_all_who_wait(known: Issuer, issuer: TokenIssuer) -> None:
    verifying = verifier(known)
    await asyncio.gather(*(verifying.proven(issuer.token(jti=str(number))) for number in range(20)))
    assert issuer.asked.count("/keys") == 1


async def test_a_new_key_counts_after_the_pause(known: Issuer, issuer: TokenIssuer, clock: Clock) -> None:
    """And what the old one has signed does no more, though it was verified before."""
    verifying = verifier(known)
    old = issuer.token()
    await verifying.proven(old)
    issuer.rotate("second")
    clock.now += PAUSE
    assert (await verifying.proven(issuer.token())).client == "lab"
    with pytest.raises(Unproven):
        await verifying.proven(old)


async def test_guessing_costs_the_issuer_one_request_each_pause(
    known: Issuer, issuer: TokenIssuer, clock: Clock
) -> None:
    verifying = verifier(known)
    for pause in range(3):
        for number in range(10):
            with pytest.raises(Unproven):
                await verifying.proven(issuer.token(headers={"kid": f"{pause}-{number}"}))
        clock.now += PAUSE
    assert issuer.asked.count("/keys") == 3


async def test_keys_become_fresh_while_the_old_ones_count(known: Issuer, issuer: TokenIssuer, clock: Clock) -> None:
    """Nobody waits for that: here the issuer never answers."""
    verifying = verifier(known)
    await verifying.proven(issuer.token())
    issuer.answer = hanging
    clock.now += FRESH
    assert (await verifying.proven(issuer.token(jti="2"))).client == "lab"


async def test_the_issuer_goes_away(known: Issuer, issuer: TokenIssuer, clock: Clock) -> None:
    """The held keys count for a day, and then no more."""
    verifying = verifier(known)
    await verifying.proven(issuer.token())
    await issuer.leave()
    clock.now += HELD - 1
    assert (await verifying.proven(issuer.token(jti="2"))).client == "lab"
    clock.now += PAUSE + 1
    with pytest.raises(Unavailable, match=r"can't be had: .*it refuses connections"):
        await verifying.proven(issuer.token(jti="3"))


async def test_the_issuer_comes_back(known: Issuer, issuer: TokenIssuer, clock: Clock) -> None:
    verifying = verifier(known)
    issuer.answer = unavailable
    with pytest.raises(Unavailable, match=r"can't be had: .*answered 503"):
        await verifying.proven(issuer.token())
    issuer.answer = None
    with pytest.raises(Unavailable, match="can't be had"):
        await verifying.proven(issuer.token())
    clock.now += PAUSE
    assert (await verifying.proven(issuer.token())).client == "lab"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (b"[]", "no JSON object"),
        (b"{}", "no key for RS384, ES384"),
        (b'{"keys": {"a": 1}}', "no key for"),
        (b'{"keys": [1, null, {}, {"kty": "RSA", "n": 1, "e": []}, {"kty": "EC", "crv": "P-384"}]}', "no key for"),
        (b" " * 300_000, "more than 262,144 bytes"),
    ],
    ids=["html", "deep", "list", "empty", "object", "nonsense", "long"],
)
async def test_the_issuer_talks_nonsense(known: Issuer, issuer: TokenIssuer, body: bytes, said: str) -> None:
    """It is as if it were away."""

    async def answer(path: str) -> web.StreamResponse | None:
        return web.Response(body=body) if path == "/keys" else None

    issuer.answer = answer
    with pytest.raises(Unavailable, match=said):
        await verifier(known).proven(issuer.token())


async def test_a_discovery_document_of_another_issuers(known: Issuer, issuer: TokenIssuer) -> None:
    issuer.discovery = {"issuer": "https://other.example"}
    with pytest.raises(Unavailable, match="is another issuer's"):
        await verifier(known).proven(issuer.token())


async def test_keys_are_not_fetched_readable_by_anybody(known: Issuer, issuer: TokenIssuer) -> None:
    issuer.discovery = {"jwks_uri": "http://keys.example/"}
    with pytest.raises(Unavailable, match="no jwks_uri that the hub may call"):
        await verifier(known).proven(issuer.token())


async def test_places_that_are_named(parts: Parts, issuer: TokenIssuer) -> None:
    """No discovery document is asked for then."""
    named = Named(issuer.url, f"{issuer.url}/keys", "https://issuer.example/token", ("RS384",))
    known = Issuer(Fetching.of(parts.guard, None), named)
    assert await known.places() == (named.jwks_url, named.token_url)
    assert (await verifier(known).proven(issuer.token())).client == "lab"
    assert issuer.asked == ["/keys"]


async def test_a_discovery_document_by_rfc_8414(parts: Parts, issuer: TokenIssuer) -> None:
    """Between the host and the path of the issuer, where there is none by OpenID Connect."""
    url = f"{issuer.url}/realms/north"

    async def answer(path: str) -> web.StreamResponse | None:
        if path == "/.well-known/oauth-authorization-server/realms/north":
            return web.json_response(
                {"issuer": url, "jwks_uri": f"{issuer.url}/keys", "token_endpoint": f"{url}/token"}
            )
        return None

    issuer.answer = answer
    known = Issuer(Fetching.of(parts.guard, None), Named(url, "", "", ("RS384",)))
    assert (await verifier(known).proven(issuer.token(iss=url))).client == "lab"
    assert await known.places() == (f"{issuer.url}/keys", f"{url}/token")


async def test_keys_that_are_for_something_else(known: Issuer, issuer: TokenIssuer) -> None:
    """To encrypt, to sign by another algorithm, or too short."""
    short = rsa_key(1024)
    issuer.published = [
        jwk(issuer.keys["first"], kid="enc", use="enc"),
        jwk(issuer.keys["first"], kid="rs256", alg="RS256"),
        jwk(issuer.keys["first"], kid="ops", key_ops=["encrypt"]),
        jwk(short, kid="short"),
    ]
    verifying = verifier(known)
    for id_ in ("enc", "rs256", "ops"):
        with pytest.raises(Unproven):
            await verifying.proven(issuer.token(headers={"kid": id_}))
    issuer.keys["short"] = short
    with pytest.raises(Unproven):
        await verifying.proven(issuer.token())


async def test_a_token_that_names_no_key(known: Issuer, issuer: TokenIssuer, clock: Clock) -> None:
    """It counts where there is one key only that it can be of."""
    issuer.keys = {"rsa": rsa_key(), "ec": ec_key()}
    verifying = verifier(known)
    assert (await verifying.proven(issuer.token(headers={"kid": None}))).client == "lab"
    issuer.keys["ec-2"] = ec_key()
    clock.now += PAUSE
    with pytest.raises(Unproven):  # and has the keys fetched
        await verifying.proven(issuer.token(headers={"kid": "ec-3"}))
    with pytest.raises(Unproven):
        await verifying.proven(issuer.token(headers={"kid": None}))
    assert (await verifying.proven(issuer.token())).client == "lab"


async def test_a_token_is_verified_once(known: Issuer, issuer: TokenIssuer) -> None:
    """Till it expires, or for five minutes: then anew."""
    now = [now_ms()]
    verifying = verifier(known, now=lambda: now[0])
    lasting, short = issuer.token(exp=int(time()) + 3_600), issuer.token(exp=int(time()) + 60)
    first = await verifying.proven(lasting)
    assert await verifying.proven(lasting) is first
    second = await verifying.proven(short)
    now[0] += 61_000
    assert await verifying.proven(short) is not second
    now[0] += KNOWN
    assert await verifying.proven(lasting) is not first


async def test_what_is_kept_is_bounded(known: Issuer, issuer: TokenIssuer) -> None:
    verifying = verifier(known, most=2)
    tokens = [issuer.token(jti=str(number)) for number in range(3)]
    first, _, third = [await verifying.proven(token) for token in tokens]
    assert await verifying.proven(tokens[2]) is third
    assert await verifying.proven(tokens[0]) is not first


async def test_a_slow_issuer_delays_nobody_for_ever(known: Issuer, issuer: TokenIssuer) -> None:
    issuer.answer = hanging
    with pytest.raises(Unavailable, match="can't be had"):
        async with asyncio.timeout(20):
            await verifier(known).proven(issuer.token())
