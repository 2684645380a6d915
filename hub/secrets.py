"""
What must be readable by nobody who only reads Redis, its files or a backup: sealed with HUB_SECRETS_KEY.

It is Fernet (AES-128-CBC and HMAC-SHA256, https://github.com/fernet/spec): the first key seals, and all of them open,
so that a key can be replaced without a pause.
"""

import os
from base64 import b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self
from uuid import uuid4

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from hub.errors import HubError, NotTheHub

LACKING = "the hub keeps no secrets, since HUB_SECRETS_KEY is not set"

#: In a data directory, what `hub serve` makes.
FILE = "secrets.key"


class Unopened(HubError):
    """What was sealed can't be opened: HUB_SECRETS_KEY lacks the key that it was sealed with."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Seals and opens, with all of the keys; without any it does neither."""

    keys: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, text: str, file: Path | None) -> Self:
        """Keys as in `read_keys`, then those in a file. Raises NotTheHub when that can't be read, or holds none."""
        keys = read_keys(text)
        if file:
            try:
                more = read_keys(file.read_text(errors="replace"))
            except OSError as error:
                raise NotTheHub(f"HUB_SECRETS_KEY_FILE {file} can't be read: {error.strerror}") from None
            except ValueError as error:
                raise NotTheHub(f"HUB_SECRETS_KEY_FILE {file} is wrong: it {error}") from None
            if not more:
                raise NotTheHub(f"HUB_SECRETS_KEY_FILE {file} holds no key")
            keys += more
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self.keys)

    def seal(self, text: bytes) -> bytes:
        """Raises Unopened when there is no key."""
        return self._fernet().encrypt(text)

    def open(self, sealed: bytes) -> bytes:
        """Raises Unopened when none of the keys has sealed it."""
        try:
            return self._fernet().decrypt(sealed)
        except InvalidToken:
            raise Unopened(str(Unopened.__doc__)) from None

    def reseal(self, sealed: bytes) -> bytes:
        """The same, sealed by the first key; unchanged if it is already. Raises Unopened."""
        text = self.open(sealed)
        try:
            Fernet(self.keys[0]).decrypt(sealed)
        except InvalidToken:
            return self.seal(text)
        return sealed

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """By what each key is known, in their order. Nothing can be learned of a key by it."""
        return tuple(sha256(b"hub " + key).hexdigest()[:16] for key in self.keys)

    def _fernet(self) -> MultiFernet:
        if not self.keys:
            raise Unopened(LACKING)
        return MultiFernet(map(Fernet, self.keys))


def read_keys(text: str) -> tuple[bytes, ...]:
    """
    Keys joined by commas or line breaks, as Fernet takes them.

    Raises:
        ValueError: One is not 32 bytes in base64, URL-safe or not. The text does not show it.
    """
    keys = []
    for each in text.replace(",", " ").split():
        try:
            key = b64decode(each.replace("-", "+").replace("_", "/"), validate=True)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise ValueError("should be keys of 32 random bytes in base64, such as `openssl rand -base64 32` makes")
        keys.append(urlsafe_b64encode(key))
    return tuple(keys)


def made_in(directory: Path) -> Path:
    """The file of a data directory that holds its own key, made if there is none. Raises NotTheHub."""
    file = directory / FILE
    if file.exists():
        return file
    new = file.with_suffix(f".{uuid4().hex}")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(Fernet.generate_key() + b"\n")
            written.flush()
            os.fsync(written.fileno())
        with suppress(FileExistsError):  # another one was quicker
            os.link(new, file)
        new.unlink()
    except OSError as error:
        raise NotTheHub(f"{file} can't be written: {error.strerror}; let this user write there") from None
    return file
