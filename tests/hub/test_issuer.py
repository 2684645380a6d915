"""An issuer's keys: when they are fetched, how long they count, and what of them counts. The clock is the test's."""

import asyncio
from collections.abc import AsyncIterator
from time import time
from typing import Any

import pytest
from aiohttp import web

from hub.channels.fetching import Fetching
from hub.errors import Unavailable
from hub.instants import now_ms
from hub.smart.issuer import FRESH, HELD, PAUSE, Issuer, Named
from hub.smart.verifier import KNOWN, Verifier
from hub.unproven import Unproven
from hub.wiring.parts import Parts
from tests.hub.conftest import BASE
from tests.issuer import TokenIssuer, ec_key, hanging, jwk, rsa_key, unavailable


@pytest.fixture
async def issuer() -> AsyncIterator[TokenIssuer]:
    async with TokenIssuer() as issuer:
        yield issuer


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
    with pytest.raises(Unavailable, match=r"can't be had: .*the issuer refuses connections"):
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
        async with asyncio.timeout(60):
            await verifier(known).proven(issuer.token())
