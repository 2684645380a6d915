"""A request is the hub's if it is signed by a key that is known, lately, and unaltered."""

from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.receiver import Forged, Verifier
from subscriptions.signing import Secret, public_text, signed_headers

ID = "0b6c1d6a-5d0f-5a2c-9a53-0d3d5d5a6f10"
NOW = 1_700_000_000
SECRET, OTHER = Secret(b"a" * 32), Secret(b"b" * 32)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
BODY = b'{"resourceType":"Bundle"}'


def signed(*secrets: Secret, at: float = NOW, body: bytes = BODY) -> dict[str, str]:
    return dict(signed_headers(ID, body, secrets, KEY, now=int(at * 1000)))


def verifier(*keys: str) -> Verifier:
    return Verifier(*keys, now=lambda: float(NOW))


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param((SECRET.text,), id="secret"),
        pytest.param((public_text(KEY.public_key()),), id="the-hubs-key"),
        pytest.param((Secret(b"c" * 24).text, SECRET.text), id="one-of-two"),
    ],
)
def test_signed(keys: tuple[str, ...]) -> None:
    """Also while a secret is changed, and by whatever case the headers' names are written in."""
    verifier(*keys).verify(BODY, signed(OTHER, SECRET))
    verifier(*keys).verify(BODY, {name.title(): value for name, value in signed(SECRET).items()})


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        pytest.param({}, "it is not signed", id="unsigned"),
        pytest.param(signed(OTHER) | {"webhook-signature": "v1,"}, "altered", id="no-signature"),
        pytest.param(signed(OTHER) | {"webhook-signature": "v1a,ä v2,a"}, "altered", id="nonsense"),
        pytest.param(signed(SECRET) | {"webhook-id": ID[:-1] + "1"}, "altered", id="another-id"),
        pytest.param(signed(SECRET, at=NOW - 5), "altered", id="another-time"),
        pytest.param(signed(SECRET, body=BODY + b" "), "altered", id="another-body"),
        pytest.param(signed(SECRET, at=NOW - 301), "long ago", id="old"),
        pytest.param(signed(SECRET, at=NOW + 301), "clocks", id="of-the-future"),
        pytest.param(signed(SECRET) | {"webhook-timestamp": "1e9"}, "its time is none", id="no-time"),
        pytest.param(signed(SECRET) | {"webhook-timestamp": "9" * 5000}, "its time is none", id="no-time-at-all"),
    ],
)
def test_forged(headers: Mapping[str, str], text: str) -> None:
    given = dict(headers)
    if text == "altered" and given["webhook-timestamp"] == str(NOW - 5):
        given["webhook-timestamp"] = str(NOW)
    for keys in (SECRET.text, public_text(KEY.public_key())):
        with pytest.raises(Forged, match=text):
            verifier(keys).verify(BODY, given)


def test_a_border_that_is_moved() -> None:
    """What is signed is joined by dots: none of them may be another one."""
    headers = signed(SECRET, body=f"{NOW}.{{}}".encode())
    with pytest.raises(Forged):
        verifier(SECRET.text).verify(b"{}", headers | {"webhook-id": f"{ID}.{headers['webhook-timestamp']}"})


@pytest.mark.parametrize("keys", [(), ("",), ("secret",), ("whsec_!",), ("whsec_YQ==",), ("whpk_YQ==",), ("whpk_!",)])
def test_no_key(keys: tuple[str, ...]) -> None:
    """A key that is none is refused at once, and not shown."""
    with pytest.raises(ValueError, match=r"base64|a secret") as error:
        Verifier(*keys)
    assert not any(key and key in str(error.value) for key in keys if len(key) > 6)
