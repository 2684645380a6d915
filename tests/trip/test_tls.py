"""A hub that speaks TLS with a certificate that it was given."""

import asyncio
import ssl
from pathlib import Path

import httpx

from tests.facts import eventually
from tests.fhir import immunization
from tests.hub.certificates import Authority
from tests.processes import HubProcess


async def test_tls(data: Path, tmp_path: Path) -> None:
    """Its URLs say so, a client that trusts the authority is served, and nothing is said in clear."""
    authority = Authority()
    file = tmp_path / "hub.pem"
    first, second = (authority.issue("127.0.0.1", name=name) for name in ("first", "second"))
    file.write_text(first.key + first.certificate)
    context = ssl.create_default_context(cadata=authority.certificate)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    async with HubProcess(data, {"HUB_TLS_CERTIFICATE": str(file)}) as hub:
        assert hub.url.startswith("https://127.0.0.1:")
        async with httpx.AsyncClient(base_url=f"{hub.base}/", verify=context) as client:
            answer = await client.put("Immunization/tls", json=immunization("tls"))
            assert answer.status_code == 201
            assert answer.headers["Location"].startswith(f"{hub.base}/Immunization/tls/")
            assert answer.headers["Strict-Transport-Security"]
            assert "Server" not in answer.headers
        port = int(hub.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b"HTTP" not in await reader.read()
        writer.close()
        file.write_text(second.key + second.certificate)

        async def renewed() -> bool:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            subject = writer.get_extra_info("peercert")["subject"]
            writer.close()
            return (("commonName", "second"),) in subject

        await eventually(renewed)
