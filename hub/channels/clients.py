"""
The clients for all outgoing requests: bare transports, guarded.

There is one for each way to speak TLS, since connections that were opened with one client certificate must not be used
for another.
"""

import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from hub.channels.failing import failing
from hub.channels.guard import Guard
from hub.channels.transport import Transport
from hub.credentials import ClientCertificate
from hub.errors import NotTheHub

#: Clients with a certificate that are kept though nobody uses them now.
KEPT = 256


def http_client(guard: Guard, tls: ssl.SSLContext | None = None) -> httpx.AsyncBaseTransport:
    """One client; without `tls` it trusts whom the system trusts, and shows no certificate."""
    return failing(Transport(guard, tls or tls_context()))


def tls_context(authorities: Path | None = None, certificate: ClientCertificate | None = None) -> ssl.SSLContext:
    """
    How TLS is spoken: name and certificate of the other side are always checked.

    Args:
        authorities: PEM of those who may vouch for it beside those that the system trusts.

    Raises:
        NotTheHub: The authorities can't be read.
        ssl.SSLError: OpenSSL doesn't take the certificate.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if authorities:
        try:
            context.load_verify_locations(authorities)
        except (OSError, ssl.SSLError) as error:
            reason = "it is not PEM of certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise NotTheHub(f"HUB_ENDPOINT_CA_FILE {authorities} can't be used: {reason}") from None
    if certificate:
        # OpenSSL reads files only: the key is never written without a password that nobody knows.
        password = os.urandom(16).hex()
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate.encrypted_key(password.encode()) + certificate.chain.encode())
            file.flush()
            context.load_cert_chain(file.name, password=password)
    return context


@dataclass(slots=True)
class _Kept:
    """A client with a certificate, and how many requests use it now."""

    client: httpx.AsyncBaseTransport
    users: int = 0


class Clients:
    """
    The clients of a process.

    trusted_hosts: Names that are allowed although their addresses are private.
    """

    def __init__(
        self,
        guard: Guard,
        trusted_hosts: frozenset[str] = frozenset(),
        authorities: Path | None = None,
        *,
        kept: int = KEPT,
    ) -> None:
        self._guards = {False: guard, True: replace(guard, allow_private=True)}
        self._trusted_hosts = trusted_hosts
        self._authorities = authorities
        tls = tls_context(authorities)
        self._plain = {trusted: http_client(guard, tls) for trusted, guard in self._guards.items()}
        self._kept: OrderedDict[tuple[bool, ClientCertificate], _Kept] = OrderedDict()
        self._most_kept = kept

    @asynccontextmanager
    async def lent(
        self, host: str, certificate: ClientCertificate | None = None
    ) -> AsyncIterator[httpx.AsyncBaseTransport]:
        """The client for a host, to be shown this certificate. It stays open at least until it is given back."""
        trusted = host in self._trusted_hosts
        if certificate is None:
            yield self._plain[trusted]
            return
        place = trusted, certificate
        if place not in self._kept:
            tls = tls_context(self._authorities, certificate)
            self._kept[place] = _Kept(http_client(self._guards[trusted], tls))
        self._kept.move_to_end(place)
        kept = self._kept[place]
        kept.users += 1
        try:
            yield kept.client
        finally:
            kept.users -= 1
            await self._forget()

    async def _forget(self) -> None:
        """Close those that were longest without use, as far as there are too many."""
        unused = [place for place, kept in self._kept.items() if kept.users == 0]
        for place in unused[: max(0, len(self._kept) - self._most_kept)]:
            await self._kept.pop(place).client.aclose()

    async def close(self) -> None:
        for kept in self._kept.values():
            await kept.client.aclose()
        for client in self._plain.values():
            await client.aclose()
