"""
Signatures by which a subscriber knows that a notification is the hub's, and unaltered: Standard Webhooks 1.0.0.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

What is signed is `id.timestamp.body`, so an id that a client may choose, or that has a `.`, could move the border
between the parts: it is always a UUID of the hub's.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: Bytes of a secret, and of an Ed25519 key.
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Secret:
    """
    One symmetric secret of a subscription.

    until: ms after which it signs no more; 0 for the one in force.
    """

    key: bytes = field(repr=False)
    until: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one as it is given. Raises ValueError, which shows nothing of it."""
        try:
            key = b64decode(text.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if not text.startswith("whsec_") or not 24 <= len(key) <= 64:
            raise ValueError("`whsec_` and 24 to 64 bytes in base64")
        return cls(key)

    @property
    def text(self) -> str:
        """As a subscriber is given it."""
        return f"whsec_{b64encode(self.key).decode()}"


def public_text(key: Ed25519PublicKey) -> str:
    """A public key, as subscribers are given it."""
    return f"whpk_{b64encode(key.public_bytes_raw()).decode()}"


def parse_public(text: str) -> Ed25519PublicKey:
    """Read a public key as subscribers are given it. Raises ValueError for what is none."""
    try:
        key = b64decode(text.removeprefix("whpk_"), validate=True)
    except ValueError:
        key = b""
    if not text.startswith("whpk_") or len(key) != SECRET_BYTES:
        raise ValueError(f"`whpk_` and {SECRET_BYTES} bytes in base64")
    return Ed25519PublicKey.from_public_bytes(key)


def signature(secret: Secret, content: bytes) -> str:
    """One entry of the header, of the symmetric kind."""
    return f"v1,{b64encode(hmac.digest(secret.key, content, hashlib.sha256)).decode()}"


def signed_headers(
    id_: str, body: bytes, secrets: tuple[Secret, ...], key: Ed25519PrivateKey | None, *, now: int
) -> tuple[tuple[str, str], ...]:
    """
    The headers of one attempt; none without a secret that is in force.

    Args:
        id_: A UUID: names the message, and is the same in all attempts at it.
        now: When the attempt is made, in ms since 1970.

    Raises:
        ValueError: The id is no UUID.
    """
    valid = [secret for secret in secrets if not secret.until or now < secret.until]
    if not valid:
        return ()
    at = now // 1000
    content = b"%b.%d.%b" % (str(UUID(id_)).encode(), at, body)
    signatures = [signature(secret, content) for secret in valid]
    if key is not None:
        signatures.append(f"v1a,{b64encode(key.sign(content)).decode()}")
    return ("webhook-id", str(UUID(id_))), ("webhook-timestamp", str(at)), ("webhook-signature", " ".join(signatures))


def signed_by(keys: Iterable[Secret | Ed25519PublicKey], id_: str, at: str, body: bytes, signatures: str) -> bool:
    """
    Whether a message bears the signature of one of the keys. How old it is, is another question.

    Args:
        id_, at, signatures: As the headers have them.
    """
    if "." in id_:
        return False
    content = b"%b.%b.%b" % (id_.encode(), at.encode(), body)
    given = signatures.split(" ")
    return any(_fits(key, content, each) for key in keys for each in given)


def _fits(key: Secret | Ed25519PublicKey, content: bytes, given: str) -> bool:
    if isinstance(key, Secret):
        return hmac.compare_digest(signature(key, content).encode(), given.encode())
    try:
        key.verify(b64decode(given.removeprefix("v1a,"), validate=True), content)
    except (InvalidSignature, ValueError):
        return False
    return given.startswith("v1a,")
