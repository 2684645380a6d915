"""Signatures: the standard's own vector, and what must not be signed."""

from base64 import b64decode
from time import time_ns

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from subscriptions.signing import Secret, public_text, signature, signed_headers

ID = "0b6c1d6a-5d0f-5a2c-9a53-0d3d5d5a6f10"
NOW = 1_614_265_330_999
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def test_vector() -> None:
    """The standard's: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
    secret = Secret(b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    content = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
    assert secret.text == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert signature(secret, content) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(key=st.binary(min_size=24, max_size=64), body=st.text().map(str.encode))
def test_what_is_signed_is_verified_by_others(key: bytes, body: bytes) -> None:
    """By the published library, and not after the change of a byte."""
    headers = dict(signed_headers(ID, body, (Secret(key),), None, now=NOW))
    webhook = Webhook(Secret(key).text)
    stamp = headers["webhook-timestamp"]
    assert headers["webhook-id"] == ID
    assert stamp == "1614265330"
    with pytest.raises(WebhookVerificationError, match="too old"):
        webhook.verify(body, headers, json_parse=False)
    fresh = dict(signed_headers(ID, body, (Secret(key),), None, now=_now()))
    webhook.verify(body, fresh, json_parse=False)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        webhook.verify(body + b" ", fresh, json_parse=False)


def test_the_hubs_key_signs_beside_the_secrets() -> None:
    headers = dict(signed_headers(ID, b"{}", (Secret(b"a" * 32),), KEY, now=NOW))
    v1, v1a = headers["webhook-signature"].split(" ")
    assert v1.startswith("v1,")
    assert v1a.startswith("v1a,")
    public = Ed25519PublicKey.from_public_bytes(b64decode(public_text(KEY.public_key()).removeprefix("whpk_")))
    public.verify(b64decode(v1a.removeprefix("v1a,")), f"{ID}.1614265330.{{}}".encode())
    with pytest.raises(InvalidSignature):
        public.verify(b64decode(v1a.removeprefix("v1a,")), f"{ID}.1614265331.{{}}".encode())


def test_a_secret_signs_until_its_time_is_over() -> None:
    """The newest first, and each until its own end."""
    secrets = (Secret(b"a" * 32), Secret(b"b" * 32, NOW + 2), Secret(b"c" * 32, NOW + 1))
    counts = [len(_signatures(secrets, now)) for now in (NOW, NOW + 1, NOW + 2)]
    assert counts == [3, 2, 1]
    assert _signatures(secrets, NOW + 2) == _signatures(secrets[:1], NOW + 2)


def test_without_a_secret_nothing_is_signed() -> None:
    """Not by the hub's key alone either: there is nothing that a receiver has asked for."""
    assert signed_headers(ID, b"{}", (), KEY, now=NOW) == ()
    assert signed_headers(ID, b"{}", (Secret(b"a" * 32, NOW),), KEY, now=NOW) == ()


@pytest.mark.parametrize("id_", ["", "a.b", "s", f"{ID}.1"])
def test_only_a_uuid_is_signed(id_: str) -> None:
    """An id with a dot could move the border between id, timestamp and body."""
    with pytest.raises(ValueError, match="badly formed"):
        signed_headers(id_, b"{}", (Secret(b"a" * 32),), None, now=NOW)


def test_a_secret_is_not_shown_by_accident() -> None:
    assert "a" * 8 not in repr(Secret(b"a" * 32))


def _now() -> int:
    return time_ns() // 1_000_000


def _signatures(secrets: tuple[Secret, ...], now: int) -> list[str]:
    return dict(signed_headers(ID, b"{}", secrets, None, now=now))["webhook-signature"].split(" ")
