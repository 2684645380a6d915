"""
Bodies of resources, sealed (HUB_ENCRYPT_BODIES), and what they are found by, so that it can't be read.

`hub:{registry}:bodies` is a string: 64 random bytes, sealed with HUB_SECRETS_KEY. Half of them seal bodies
(AES-256-GCM), half make what stands in the index of identifiers (HMAC-SHA-256). So a new HUB_SECRETS_KEY costs nothing
but sealing these anew, and no body has to be written again.

A sealed body is \\0\\1, a nonce, the length of what is sealed, that, and the number of its version: `put` puts that
there, who knows it first. What is sealed is bound to the resource's name: at another place it doesn't open. The number
is not bound, since it is given in the very step that stores the body: whoever can write to Redis can have one version
of a resource read as another, as he could by taking back the whole hash. Sealing is against whoever reads.

What was stored before stays in clear, is read and found, and is sealed when it is written again; when sealing is turned
off, what was sealed stays so, and is read and found. Of that the key has to stay.
"""

import hmac
import os
import struct
from dataclasses import dataclass, field
from logging import getLogger

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import NotTheHub
from hub.keys import BODIES, ResourceId
from hub.pipeline import Pipeline
from hub.seal import Seal
from hub.secrets import Unopened

log = getLogger("hub")

#: What no JSON begins with.
_MARK = b"\0\1"
_NONCE, _LENGTH = 12, struct.Struct(">I")
_KEY = 32


@dataclass(frozen=True, slots=True)
class Vault:
    """
    Seals bodies, and opens them.

    key: Empty where nothing was ever sealed.
    sealing: Whether what is written is sealed.
    """

    key: bytes = field(default=b"", repr=False)
    sealing: bool = False

    def seal(self, resource: ResourceId, head: bytes, tail: bytes) -> tuple[bytes, bytes]:
        """The JSON before and after the number of its version, as it is stored."""
        if not self.sealing or not head:
            return head, tail
        return self._sealed(str(resource), _LENGTH.pack(len(head)) + head + tail), b""

    def open(self, resource: ResourceId, stored: bytes | None) -> bytes | None:
        """A body of what is stored of it; None for one that can't be opened, which is logged."""
        if stored is None or not stored.startswith(_MARK):
            return stored
        text, number = self._opened(str(resource), stored)
        if text is None:
            version = number.decode() if number.isdigit() else ""
            log.error("body.unopened", extra={"resource": str(resource), "number": version})
            return None
        (length,) = _LENGTH.unpack_from(text)
        behind = _LENGTH.size + length
        return text[_LENGTH.size : behind] + number + text[behind:]

    def wrap(self, place: str, text: bytes) -> bytes:
        """A text as it is stored, at this place alone."""
        return self._sealed(place, text) if self.sealing else text

    def unwrap(self, place: str, stored: bytes) -> bytes:
        """The text. Raises Unopened."""
        if not stored.startswith(_MARK):
            return stored
        text, _ = self._opened(place, stored)
        if text is None:
            raise Unopened(str(Unopened.__doc__))
        return text

    def found_by(self, identifier: str) -> str:
        """What stands in the index for an identifier, `system|value`."""
        return self._hidden(identifier) if self.sealing else identifier

    def looked_up_by(self, identifier: str) -> tuple[str, ...]:
        """All that may stand there for it."""
        return (self._hidden(identifier), identifier) if self.key else (identifier,)

    def _hidden(self, identifier: str) -> str:
        return hmac.digest(self.key[_KEY:], identifier.encode(), "sha256").hex()

    def _sealed(self, place: str, text: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self.key[:_KEY]).encrypt(nonce, text, place.encode())
        return _MARK + nonce + _LENGTH.pack(len(sealed)) + sealed

    def _opened(self, place: str, stored: bytes) -> tuple[bytes | None, bytes]:
        """What was sealed, None if that doesn't open; and what stands behind it."""
        begin = len(_MARK) + _NONCE + _LENGTH.size
        if len(stored) < begin:
            return None, b""
        (length,) = _LENGTH.unpack_from(stored, begin - _LENGTH.size)
        rest = stored[begin + length :]
        if not self.key:
            return None, rest
        try:
            nonce = stored[len(_MARK) : len(_MARK) + _NONCE]
            return AESGCM(self.key[:_KEY]).decrypt(nonce, stored[begin : begin + length], place.encode()), rest
        except InvalidTag:
            return None, rest


async def vault(pipeline: Pipeline, seal: Seal, *, sealing: bool) -> Vault:
    """
    That of a store.

    Raises:
        NotTheHub: It can't be opened, or there is nothing to seal with.
    """
    if sealing and not seal.is_there:
        raise NotTheHub("HUB_ENCRYPT_BODIES needs HUB_SECRETS_KEY or HUB_SECRETS_KEY_FILE, which is not set")
    sealed = await pipeline.command("GET", BODIES)
    if sealed is None and sealing:
        await pipeline.command("SET", BODIES, await seal.seal(os.urandom(2 * _KEY)), "NX")
        sealed = await pipeline.command("GET", BODIES)
    try:
        return Vault(seal.open(sealed) if sealed else b"", sealing)
    except Unopened:
        raise NotTheHub(
            "none of the keys in HUB_SECRETS_KEY opens the key of the bodies in Redis: add the one that sealed it"
        ) from None
