"""
A veil over what is asked in a search by POST: its links lead on, and show whoever reads them, such as logs of proxies,
nothing of it.

`hub:{registry}:veil` is a random key, made once, that all processes share. It hides nothing from whoever reads Redis:
what is searched is there. To lose it makes open links useless, and nothing else.
"""

import os
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.keys import VEIL
from hub.pipeline import Pipeline

#: What a veiled text begins with: no cursor of a search does.
MARK = "~"

_NONCE = 12
#: Bytes that a veiled text may have, unpacked: as many as a form of parameters, and no bomb.
_MOST = 16_000_000

_decode = msgspec.json.Decoder(list[tuple[str, str]]).decode


@dataclass(frozen=True, slots=True)
class Veil:
    """Hides parameters of searches. `key`: 32 bytes."""

    key: bytes = field(repr=False)

    def hide(self, place: str, parameters: Sequence[tuple[str, str]]) -> str:
        """Parameters as a text that is fit for a URL, and good at this place alone."""
        packed, nonce = zlib.compress(msgspec.json.encode(list(parameters))), os.urandom(_NONCE)
        sealed = nonce + AESGCM(self.key).encrypt(nonce, packed, place.encode())
        return MARK + urlsafe_b64encode(sealed).decode().rstrip("=")

    def lift(self, place: str, text: str) -> list[tuple[str, str]]:
        """The parameters that were hidden. Raises ValueError for a text that was not made here, for this place."""
        sealed = urlsafe_b64decode(text.removeprefix(MARK) + "==")
        try:
            packed = AESGCM(self.key).decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
        except InvalidTag:
            raise ValueError("it was not made here") from None
        return _decode(zlib.decompressobj().decompress(packed, _MOST))


@dataclass(frozen=True, slots=True)
class Veiled(Sequence[tuple[str, str]]):
    """Parameters that no URL may show. `place`: Where they are asked."""

    pairs: tuple[tuple[str, str], ...]
    veil: Veil
    place: str

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[str, str]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | Sequence[tuple[str, str]]:
        return self.pairs[index]

    def __len__(self) -> int:
        return len(self.pairs)

    def hidden(self, parameters: Sequence[tuple[str, str]]) -> str:
        """What stands for these, or others that come of them, in a URL."""
        return self.veil.hide(self.place, parameters)


async def veil(pipeline: Pipeline) -> Veil:
    """The one of a store, made if there is none."""
    key = await pipeline.command("GET", VEIL)
    if key is None:
        await pipeline.command("SET", VEIL, os.urandom(32), "NX")
        key = await pipeline.command("GET", VEIL)
    return Veil(key)
