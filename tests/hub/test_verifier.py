"""Whatever somebody sends for a token, and whatever its issuer has signed: it proves somebody, or it is refused."""

import base64
import json
from collections.abc import AsyncIterator
from time import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.channels.fetching import Fetching
from hub.channels.guard import Guard
from hub.instants import now_ms
from hub.smart.issuer import Issuer, Named
from hub.smart.verifier import Proven, Verifier
from hub.unproven import Unproven
from tests.issuer import TokenIssuer, ec_key

AUDIENCE = "http://hub.example"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = ("iss", "aud", "exp", "nbf", "iat", "jti", "sub", "client_id", "azp", "scope", "scp")
heads = st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "typ", "jwk", "x"]), values, max_size=4)


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[TokenIssuer]:
    async with TokenIssuer({"first": ec_key()}) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def verifier(issuer: TokenIssuer) -> Verifier:
    """On a clock that stands still: it asks its issuer once."""
    guard = Guard(allow_private=True, networks=(), ports=frozenset())
    named = Named(issuer.url, "", "", ("RS384", "ES384"))
    return Verifier(Issuer(Fetching.of(guard, None), named, now=lambda: 0.0), frozenset([AUDIENCE]), now=now_ms)


async def judged(verifier: Verifier, token: str) -> Proven | None:
    try:
        return await verifier.proven(token)
    except Unproven:
        return None


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@given(st.text(max_size=200) | st.lists(st.text("eyJ0-_.=", max_size=20), max_size=5).map(".".join))
async def test_any_text(verifier: Verifier, text: str) -> None:
    assert await judged(verifier, text) is None


@given(heads | values, st.dictionaries(st.sampled_from(names), values), st.binary(max_size=100))
async def test_anything_that_looks_like_a_token(verifier: Verifier, head: Any, claims: Any, mac: bytes) -> None:
    signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    for algorithm in ({}, {"alg": "ES384", "kid": "first"}):
        forged = head | algorithm if isinstance(head, dict) else head
        assert await judged(verifier, f"{encoded(forged)}.{encoded(claims)}.{signature}") is None


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(names), values, min_size=1))
async def test_any_claims_that_are_signed(verifier: Verifier, issuer: TokenIssuer, claims: dict[str, Any]) -> None:
    """What is proven is a client that the token names, while it lasts, for whom it is."""
    found = await judged(verifier, issuer.token(**{"aud": AUDIENCE} | claims))
    if found is None:
        return
    told: dict[str, Any] = {"iss": issuer.url, "exp": time() + 300, "client_id": "lab"} | claims
    assert told["iss"] == issuer.url
    assert float(told["exp"]) > time() - 60
    assert found.client in [told.get(name) for name in ("client_id", "azp", "sub")]


async def test_what_is_right_is_proven(verifier: Verifier, issuer: TokenIssuer) -> None:
    """So the others are not refused for something else."""
    assert await judged(verifier, issuer.token(aud=AUDIENCE)) is not None
    assert issuer.asked.count("/keys") == 1
