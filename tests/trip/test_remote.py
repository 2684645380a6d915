"""What commands that talk to a hub over HTTP have in common: where it is, and what they say when it does not do it."""

import argparse
import socket

import pytest
from aiohttp import web

from hub.cli.remote import Denied, hub_argument, remote
from hub.errors import Mistaken, Unavailable
from tests.processes import HubProcess
from tests.receiver import Answer, Received, Receiver


def where(*argv: str) -> str:
    parser = argparse.ArgumentParser()
    hub_argument(parser)
    return str(parser.parse_args(argv).hub)


def answering(status: int, text: str, **headers: str) -> Answer:
    async def answer(_: Received) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The argument, the variable, this machine: in this order. What `hub serve` prints may be copied as it is."""
    monkeypatch.delenv("HUB_URL", raising=False)
    assert where() == "http://127.0.0.1:8000"
    monkeypatch.setenv("HUB_URL", "https://hub.example/t/north/")
    assert where() == "https://hub.example/t/north"
    assert where("--hub", "http://127.0.0.1:33039/fhir/r4") == "http://127.0.0.1:33039"
    for wrong in ("hub.example", "ftp://hub.example", "http://a:b@hub.example", "http://hub.example:x", "http://[", ""):
        with pytest.raises(SystemExit, match="2"):
            where("--hub", wrong)
    assert "should be the hub's URL" in capsys.readouterr().err


async def test_what_a_hub_says(hub: HubProcess) -> None:
    """An OperationOutcome becomes one line; what is read is JSON."""
    async with remote(hub.url) as found:
        assert (await found.read("/fhir/r5/metadata", _summary=None))["fhirVersion"] == "5.0.0"
        with pytest.raises(Denied) as denied:
            await found.ask("POST", "/fhir/r4/Subscription", json={"resourceType": "Subscription", "status": "active"})
        assert denied.value.status == 400
        assert str(denied.value).startswith("400: ")
        assert "\n" not in str(denied.value)
        assert (await found.request("GET", "/fhir/r4/Patient/nobody")).status_code == 404
        async with found.stream("/fhir/r4/metadata") as response:
            assert b"CapabilityStatement" in b"".join([part async for part in response.aiter_bytes()])
        with pytest.raises(Denied, match="404: "):
            async with found.stream("/fhir/r4/Patient/nobody"):
                pass


async def test_what_is_none_of_a_hubs(receiver: Receiver) -> None:
    """An answer of something else says so, and what can be tried again is told apart from what can't."""
    receiver.answers = {
        "/busy": answering(503, "<h1>Try\nlater</h1>", **{"Retry-After": "7"}),
        "/moved": answering(307, "", Location="/page"),
        "/page": answering(200, "<html>"),
    }
    async with remote(receiver.url) as found:
        with pytest.raises(Unavailable, match=r"503: <h1>Try later</h1> \(this is no answer of a hub's\)") as busy:
            await found.read("/busy")
        assert busy.value.retry_after == 7
        with pytest.raises(Unavailable, match="307: Temporary Redirect"):
            await found.read("/moved")
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1 answers with no JSON: is it a hub\?"):
            await found.read("/page")


async def test_a_tenants_part(receiver: Receiver) -> None:
    """All paths are below it; what is common to all tenants is not."""
    async with remote(f"{receiver.url}/t/north") as found:
        await found.ask("GET", "/fhir/r4/metadata")
        await found.ask("GET", f"{found.root}/readyz")
    assert [each.path for each in receiver.received] == ["/t/north/fhir/r4/metadata", "/readyz"]


async def test_nobody_there() -> None:
    """What to do when nothing listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with remote(url) as found:
            for asked in (found.read("/readyz"), found.stream("/admin/live").__aenter__()):
                with pytest.raises(Unavailable) as error:
                    await asked
                assert str(error.value) == (
                    f"no hub answers at {url} (Connection refused); start one by `hub serve`,"
                    " or say where it is by --hub or HUB_URL"
                )


async def test_key(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the environment goes along; a 401 says where to put one."""
    receiver.answers["/"] = answering(401, "Who is it?")
    monkeypatch.delenv("HUB_KEY", raising=False)
    async with remote(receiver.url) as found:
        with pytest.raises(Denied, match=r"Give a key by the environment's HUB_KEY\."):
            await found.read("/")
    monkeypatch.setenv("HUB_KEY", "hubkey_a_b")
    async with remote(receiver.url) as found:
        with pytest.raises(Denied, match=r"It was asked with HUB_KEY\."):
            await found.read("/")
    assert [dict(each.headers).get("X-Api-Key") for each in receiver.received] == [None, "hubkey_a_b"]
    monkeypatch.setenv("HUB_KEY", "ä\n")
    with pytest.raises(Mistaken, match="HUB_KEY holds no key"):
        async with remote(receiver.url):
            pass
