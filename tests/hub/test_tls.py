"""TLS with endpoints: who vouches for them, and what the hub shows them."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from hub.channels.clients import Clients, tls_context
from hub.channels.guard import Guard
from hub.channels.rest_hook import RestHook
from hub.channels.transport import request
from hub.credentials import ClientCertificate, Credentials
from hub.errors import NotTheHub
from subscriptions.codes import FhirVersion
from subscriptions.message import Message
from subscriptions.retry import Accepted, Fault, Outcome, Unreachable
from subscriptions.versions.forms import FORMS
from tests.hub.certificates import Authority, Issued
from tests.hub.wire import Wire, answering, serving
from tests.processes import subscription

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
OPEN = Guard(allow_private=True, networks=(), ports=frozenset({443}))
WANTED = FORMS[FhirVersion.R4].parse_subscription(
    subscription("http://127.0.0.1/"), now=datetime.now(UTC), allow_http=True
)


@dataclass
class Endpoint:
    """A TLS server on loopback. `shown`: the names in the certificates that it was shown, one for each request."""

    wire: Wire = field(default_factory=Wire)
    shown: list[str | None] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self.wire.request(reader)
            subject = (writer.get_extra_info("peercert") or {}).get("subject", ())
            self.shown.append(next((value for ((_, value),) in subject), None))
            writer.write(OK)
            await writer.drain()


@asynccontextmanager
async def endpoint(context: ssl.SSLContext) -> AsyncIterator[Endpoint]:
    found = Endpoint()
    async with serving(found.wire, found.handle, context):
        yield found


@asynccontextmanager
async def hook(authorities: Path | None = None, *, kept: int = 256) -> AsyncIterator[RestHook]:
    made = RestHook(Clients(OPEN, authorities=authorities, kept=kept))
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def authority() -> Authority:
    return Authority()


def server(authority: Authority, folder: Path, *hosts: str, days: int = 30) -> ssl.SSLContext:
    """What a server with a certificate for these names speaks TLS with."""
    return authority.server_context(folder, authority.issue(*hosts or ("localhost",), days=days))


def asking(context: ssl.SSLContext, authority: Authority) -> ssl.SSLContext:
    """The same, and it wants a certificate that this authority vouches for."""
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.certificate)
    return context


def client(issued: Issued) -> ClientCertificate:
    return ClientCertificate.read(issued.certificate, issued.key, now=datetime.now(UTC))


async def send(
    made: RestHook, port: int, certificate: ClientCertificate | None = None, host: str = "localhost"
) -> Outcome:
    wanted = replace(WANTED, endpoint=f"https://{host}:{port}/")
    return await made.send(wanted, Message(b"{}"), seconds=20, credentials=Credentials(certificate=certificate))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_private_authority_may_vouch(authority: Authority, tmp_path: Path, host: str) -> None:
    """If it is in HUB_ENDPOINT_CA_FILE."""
    context = server(authority, tmp_path, "localhost", "127.0.0.1")
    async with endpoint(context) as there, hook(authority.written(tmp_path)) as made:
        assert await send(made, there.wire.port, host=host) == Accepted(200)


async def test_nobody_else_may_vouch(authority: Authority, tmp_path: Path) -> None:
    """Nothing is sent, and what is said names the reason."""
    other = Authority("Another").written(tmp_path)
    async with endpoint(server(authority, tmp_path)) as there:
        for authorities in (None, other):
            async with hook(authorities) as made:
                said = await send(made, there.wire.port)
                assert said == Unreachable(Fault.CERTIFICATE, "unable to get local issuer certificate")
    assert there.wire.requests == []


@pytest.mark.parametrize(
    ("hosts", "days", "detail"),
    [
        (("other.example",), 30, "Hostname mismatch, certificate is not valid for 'localhost'"),
        (("localhost",), -1, "certificate has expired"),
        (("127.0.0.1",), 30, "Hostname mismatch, certificate is not valid for 'localhost'"),
    ],
)
async def test_name_and_time_are_checked(
    authority: Authority, tmp_path: Path, hosts: tuple[str, ...], days: int, detail: str
) -> None:
    context = server(authority, tmp_path, *hosts, days=days)
    async with endpoint(context) as there, hook(authority.written(tmp_path)) as made:
        said = await send(made, there.wire.port)
    assert said == Unreachable(Fault.CERTIFICATE, detail)
    assert isinstance(said, Unreachable)
    assert detail in said.text
    assert there.wire.requests == []


async def test_an_endpoint_is_shown_the_certificate_of_its_subscription(authority: Authority, tmp_path: Path) -> None:
    """And never over a connection of somebody else's; one's own is used again."""
    ours, theirs = (client(authority.issue(name=name)) for name in ("ours", "theirs"))
    context = asking(server(authority, tmp_path), authority)
    async with endpoint(context) as there, hook(authority.written(tmp_path)) as made:
        for certificate in (ours, theirs, ours, theirs, ours):
            assert await send(made, there.wire.port, certificate) == Accepted(200)
    assert there.shown == ["ours", "theirs", "ours", "theirs", "ours"]
    assert there.wire.connections == 2


@contextmanager
def alerting(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a server that says by an alert why it ends a handshake, which asyncio's don't. It answers nothing."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                raw, _ = listener.accept()
                with raw, context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as connection:
                    with suppress(ssl.SSLError):
                        connection.do_handshake()
                    with suppress(OSError):  # closed at once, what is unread would have it reset, and the alert lost
                        while os.read(connection.fileno(), 4096):
                            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("which", ["none", "of another authority"])
async def test_an_endpoint_that_does_not_accept_the_certificate(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion, which: str
) -> None:
    """With TLS 1.3 that comes when the request is on its way, and may be all that is seen of it is the end."""
    context = asking(server(authority, tmp_path), authority)
    context.maximum_version = version
    certificate = None if which == "none" else client(Authority("Another").issue())
    with alerting(context) as port:
        async with hook(authority.written(tmp_path)) as made:
            said = await send(made, port, certificate)
    late = {Fault.CLIENT_CERTIFICATE, Fault.RESET}
    assert isinstance(said, Unreachable)
    assert said.fault in ({Fault.TLS} if version is ssl.TLSVersion.TLSv1_2 else late)


async def closed(transport: httpx.AsyncBaseTransport) -> bool:
    """Whether it takes no more requests."""
    async with serving(wire := Wire(), answering(wire, OK)):
        asked = request("POST", httpx.URL(f"http://127.0.0.1:{wire.port}/"), (), b"")
        try:
            await (await transport.handle_async_request(asked)).aclose()
        except RuntimeError:
            return True
    return False


async def test_clients_that_nobody_uses_are_not_kept_for_ever(authority: Authority, tmp_path: Path) -> None:
    """The one longest without use goes first, and none while a request is under way."""
    certificates = [client(authority.issue(name=f"client-{n}")) for n in range(3)]
    clients = Clients(OPEN, authorities=authority.written(tmp_path), kept=1)
    async with clients.lent("a", certificates[0]) as first:
        async with clients.lent("a", certificates[1]) as second, clients.lent("a", certificates[2]):
            pass
        assert await closed(second)
        assert not await closed(first)
        async with clients.lent("b", certificates[0]) as same:
            assert same is first
    async with clients.lent("a", certificates[1]) as anew:
        assert anew is not second
    assert await closed(first)
    await clients.close()
    assert await closed(anew)


def test_authorities_that_can_not_be_read_are_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("none")
    with pytest.raises(NotTheHub, match=r"none\.pem can't be used: it is not PEM"):
        tls_context(tmp_path / "none.pem")
    with pytest.raises(NotTheHub, match=r"gone\.pem can't be used: No such file"):
        tls_context(tmp_path / "gone.pem")


def test_a_key_is_written_encrypted_only(authority: Authority) -> None:
    """OpenSSL reads it from a file; and no representation shows it."""
    certificate = client(authority.issue())
    written = certificate.encrypted_key(b"password").decode()
    assert written.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert certificate.key.splitlines()[1] not in written
    assert "PRIVATE" not in repr(certificate)
    assert "PRIVATE" not in repr(Credentials(certificate=certificate))
