"""The hub's own certificate: what can't be used is refused in a line, and another one is taken while it runs."""

import asyncio
import ssl
from pathlib import Path

import pytest

from hub.cli.tls import Certificate
from hub.errors import NotTheHub
from hub.settings import Settings
from tests.hub.certificates import Authority, Issued


def written(folder: Path, issued: Issued) -> Settings:
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_text(issued.certificate)
    key.write_text(issued.key)
    return Settings(tls_certificate=chain, tls_key=key)


async def shown(certificate: Certificate, authority: Authority, highest: ssl.TLSVersion | None = None) -> str:
    """The name in the certificate that a client is shown; it trusts this authority alone."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=certificate.context)
    context = ssl.create_default_context(cadata=authority.certificate)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if highest:
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, highest
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=context)
        peer = writer.get_extra_info("peercert")
        await reader.read()
        writer.close()
    return str(dict(pair[0] for pair in peer["subject"])["commonName"])


def certificate(settings: Settings) -> Certificate:
    found = Certificate.of(settings)
    assert found is not None
    return found


def test_none() -> None:
    assert Certificate.of(Settings()) is None


async def test_it_is_shown(tmp_path: Path) -> None:
    """From two files, and from one; by TLS 1.2 and 1.3, and nothing older."""
    authority = Authority()
    issued = authority.issue("127.0.0.1", name="first")
    one = certificate(written(tmp_path, issued))
    assert await shown(one, authority) == "first"
    assert await shown(certificate(Settings(tls_certificate=issued.written(tmp_path))), authority) == "first"
    assert await shown(one, authority, ssl.TLSVersion.TLSv1_2) == "first"
    assert one.context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_another_one_is_taken(tmp_path: Path) -> None:
    """Once both files are there; until then connections get the one before."""
    authority = Authority()
    one = certificate(written(tmp_path, authority.issue("127.0.0.1", name="first")))
    one.look()
    other = authority.issue("127.0.0.1", name="second")
    (tmp_path / "chain.pem").write_text(other.certificate)
    one.look()
    assert await shown(one, authority) == "first"
    (tmp_path / "key.pem").write_text("half")
    one.look()
    assert await shown(one, authority) == "first"
    (tmp_path / "key.pem").write_text(other.key)
    one.look()
    assert await shown(one, authority) == "second"
    (tmp_path / "key.pem").unlink()
    one.look()
    assert await shown(one, authority) == "second"


def test_what_can_not_be_used_is_refused(tmp_path: Path) -> None:
    authority = Authority()
    right, other = authority.issue("127.0.0.1"), authority.issue("127.0.0.1")
    wrong = {
        "another certificate": Issued(right.certificate, other.key),
        "no PEM": Issued("nothing", right.key),
        "and its key": Issued(right.certificate, ""),
    }
    for reason, issued in wrong.items():
        with pytest.raises(NotTheHub, match=reason):
            Certificate.of(written(tmp_path, issued))
    settings = written(tmp_path, right)
    (tmp_path / "key.pem").unlink()
    with pytest.raises(NotTheHub, match=r"key.pem: No such file"):
        Certificate.of(settings)
