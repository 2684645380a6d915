"""The hub's own certificate."""

import asyncio
import ssl
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Self

from hub.errors import NotTheHub
from hub.settings import Settings

#: Seconds between two looks at whether there is another one.
LOOK_EVERY = 5.0

log = getLogger("hub.tls")


@dataclass
class Certificate:
    """
    What the hub shows in TLS, read from its files, and again when these change.

    chain, key: PEM; the key may be behind the chain, in the same file.
    context: For connections that are made from now on.
    """

    chain: Path
    key: Path
    context: ssl.SSLContext
    _seen: tuple[int, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """None when there is none. Raises NotTheHub when it can't be used."""
        if not settings.tls_certificate:
            return None
        found = cls(settings.tls_certificate, settings.tls_key or settings.tls_certificate, _context())
        try:
            found._seen = found._stamp()
            found._load(found.context)
        except (OSError, ValueError) as error:
            raise NotTheHub(f"HUB_TLS_CERTIFICATE {found.chain} can't be used: {_why(error)}") from None
        return found

    async def watch(self) -> None:
        """Go on until it is cancelled. What can't be read, as when it is half written, is left out."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """Take other files, if there are some and they belong together."""
        try:
            if (stamp := self._stamp()) == self._seen:
                return
            self._seen = stamp
            self._load(_context())
            self._load(self.context)
        except (OSError, ValueError) as error:
            log.error("tls.unusable", extra={"file": str(self.chain), "reason": _why(error)})
        else:
            log.info("tls.renewed", extra={"file": str(self.chain)})

    def _load(self, context: ssl.SSLContext) -> None:
        # A password that is asked for on the terminal would have the hub wait for ever.
        context.load_cert_chain(self.chain, self.key, password=_no_password)

    def _stamp(self) -> tuple[int, ...]:
        """Says whether the files are others."""
        found = [file.stat() for file in (self.chain, self.key)]
        return tuple(part for each in found for part in (each.st_mtime_ns, each.st_ino, each.st_size))


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def unverified() -> ssl.SSLContext:
    """For a part that only asks whether another one answers yet: whoever it is gets nothing to know."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _no_password() -> str:
    raise ValueError("its key has a password")


def _why(error: Exception) -> str:
    match error:
        case ssl.SSLError(reason="KEY_VALUES_MISMATCH"):
            return "the key is that of another certificate"
        case ssl.SSLError():
            return "it and HUB_TLS_KEY are no PEM of a certificate and its key"
        case OSError():
            return f"{error.filename or 'a file'}: {error.strerror}"
        case _:
            return str(error)
