"""`hub doctor`: what it finds at a hub that is well, and at what isn't."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from hub.channels.clients import tls_context
from hub.channels.guard import Guard
from hub.cli.examining.clocks import drift
from hub.cli.examining.contradictions import contradictions
from hub.cli.examining.findings import Grade, sized
from hub.cli.examining.tls import reach
from hub.settings import Settings
from tests.cli.commands import command
from tests.fhir import Fhir
from tests.hub.certificates import Authority
from tests.processes import ENVIRONMENT, HubProcess, subscription
from tests.receiver import Receiver
from tests.redis_server import RedisServer

NEAR = Guard(allow_private=False, networks=(ip_network("127.0.0.0/8"),), ports=frozenset({443}))


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Something that takes connections on a port of this machine."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_hub_that_is_well(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Nothing fails but an endpoint that nobody listens at, which is named with what to do; the path isn't."""
    async with listening(None) as port:
        pass
    await fhir.subscribe(subscription(f"{receiver.url}/secret-path"))
    await fhir.post(subscription(f"http://127.0.0.1:{port}/secret-path"))
    done = await command(hub.url, "doctor", "--data", str(hub.data), "--json", settings=ENVIRONMENT)
    assert (done.code, done.err) == (3, "")
    assert "secret-path" not in done.out
    broken = [each for each in done.json["findings"] if each["grade"] == "fail"]
    assert {each["area"] for each in broken} == {"endpoints"}
    mine = next(each for each in broken if f"http://127.0.0.1:{port} (1 Subscription)" in each["text"])
    assert mine["text"].endswith(": Connection refused")
    assert mine["todo"] == "See whether it runs."
    well = [each["text"] for each in done.json["findings"] if each["grade"] == "ok"]
    assert f"{receiver.url} (1 Subscription): reached, without TLS" in well
    assert {"redis", "clock", "hub", "versions", "files", "disk"} <= {each["area"] for each in done.json["findings"]}
    said = await command(hub.url, "doctor", "--data", str(hub.data), "--bad", settings=ENVIRONMENT)
    assert said.out.splitlines()[-1].startswith(f"{done.json['counts']['fail']} fail, ")
    assert "\nok " not in f"\n{said.out}"


async def test_a_redis_that_forgets_and_no_hub(data: Path) -> None:
    """Each is said with what to do, and the rest is looked at all the same."""
    with RedisServer() as server:
        nobody, only = "http://127.0.0.1:1", {"HUB_REDIS_URL": server.url}
        done = await command(nobody, "doctor", "--data", str(data), "--json", settings=only)
        assert done.code == 3
        texts = "\n".join(f"{each['grade']} {each['area']} {each['text']}" for each in done.json["findings"])
        assert "fail hub no hub answers at http://127.0.0.1:1 (Connection refused)" in texts
        assert "ok redis no hub has begun a store in it yet" in texts
    gone = only | {"HUB_RQ_REDIS_URL": server.url}
    done = await command(nobody, "doctor", "--json", settings=gone)
    found = {f"{each['grade']} {each['area']}" for each in done.json["findings"]}
    assert {"fail redis", "fail rq", "fail hub"} <= found


async def test_a_certificate_that_is_refused(tmp_path: Path) -> None:
    """The hub's own: it is said of what is wrong with it, though nothing can be asked of the hub; so do commands."""
    authority = Authority()
    context = authority.server_context(tmp_path, authority.issue("127.0.0.1", days=-1))
    trusting = {"SSL_CERT_FILE": str(authority.written(tmp_path))}
    async with listening(context) as port:
        url = f"https://127.0.0.1:{port}"
        done = await command(url, "doctor", "--json", settings=trusting)
        assert done.code == 3
        found = {each["area"]: each for each in done.json["findings"] if each["grade"] == "fail"}
        assert set(found) == {"tls", "hub"}
        assert "certificate is refused: certificate has expired" in found["tls"]["text"]
        assert found["tls"]["todo"] == "it has to be renewed"
        said = await command(url, "publish", "-", settings=trusting)
        assert (said.code, said.out) == (1, "")
        assert f"{url}: its certificate is refused: certificate has expired" in said.err


async def test_what_is_no_hub(receiver: Receiver) -> None:
    """Nothing more is asked of whatever answers there."""
    done = await command(receiver.url, "doctor", "--json")
    assert done.code == 3
    found = [each for each in done.json["findings"] if each["area"] in ("hub", "endpoints")]
    assert [each["todo"] for each in found] == ["Say where it is by --hub."]
    done = await command("http://nobody.invalid", "doctor", "--json")
    assert "(its name is not known)" in str(done.json)


async def test_a_key_that_is_refused(data: Path) -> None:
    """Whoever names one that is no good learns it; without one there is less to be seen, and no fault."""
    async with HubProcess(data, {"HUB_AUTH": "keys"}) as hub:
        done = await command(hub.url, "doctor", "--data", str(data), "--json", settings={"HUB_KEY": "hubkey_x"})
        assert done.code == 3
        assert [each["grade"] for each in done.json["findings"] if each["area"] == "endpoints"] == ["fail"]
        done = await command(hub.url, "doctor", "--data", str(data), "--json", settings={"HUB_KEY": ""})
        assert done.code == 0
        seen = [each for each in done.json["findings"] if each["area"] == "endpoints"]
        assert [each["grade"] for each in seen] == ["warn"]
        assert "Give a key by the environment's HUB_KEY." in seen[0]["text"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"HUB_REDSI_URL": "x"}, "warn HUB_REDSI_URL is no setting: it does nothing Is HUB_REDIS_URL meant?"),
        ({"HUB_BASE_URL": "https://hub.example"}, "warn HUB_AUTH is none, and HUB_BASE_URL is https://hub.example: "),
        (
            {"HUB_BASE_URL": "http://hub.example", "HUB_TLS_CERTIFICATE": __file__, "HUB_AUTH": "keys"},
            "fail the hub speaks TLS (HUB_TLS_CERTIFICATE), and calls itself http://hub.example",
        ),
        ({"HUB_AUTH": "keys", "HUB_ALLOW_OPEN": "true"}, "warn HUB_ALLOW_OPEN does nothing"),
        (
            {"HUB_AUTH": "keys", "HUB_BASE_URL": "https://hub.example", "HUB_ALLOW_PRIVATE_ENDPOINTS": "true"},
            "warn HUB_ALLOW_PRIVATE_ENDPOINTS is for development",
        ),
        (
            {"HUB_ALLOW_PRIVATE_ENDPOINTS": "true", "HUB_PRIVATE_ENDPOINTS": "10.0.0.0/8"},
            "warn HUB_PRIVATE_ENDPOINTS says nothing",
        ),
        (
            {"HUB_AUTH": "keys", "HUB_BASE_URL": "https://hub.example", "HUB_ALLOW_HTTP_ENDPOINTS": "true"},
            "warn HUB_ALLOW_HTTP_ENDPOINTS: ",
        ),
        ({"HUB_SMART_ISSUER": "https://issuer.example"}, "warn HUB_SMART_ISSUER without HUB_AUTH=smart"),
        ({"HUB_TLS_KEY": __file__}, "fail HUB_TLS_KEY without HUB_TLS_CERTIFICATE"),
        ({"HUB_ALERT_URL": "https://alerts.example"}, "warn alerts are not signed"),
        ({"HUB_RATE_BURST": "5"}, "warn HUB_RATE_BURST without HUB_RATE"),
        ({"HUB_AUDIT": "off", "HUB_AUDIT_DAYS": "5"}, "warn HUB_AUDIT is off"),
        ({"HUB_ALLOW_VOLATILE_REDIS": "true"}, "warn HUB_ALLOW_VOLATILE_REDIS: "),
        (
            {"HUB_ALLOW_VOLATILE_REDIS": "true", "HUB_DURABILITY_ATTESTED": "true"},
            "warn HUB_DURABILITY_ATTESTED vouches",
        ),
        ({"HUB_RETENTION_DAYS": "1"}, "warn an endpoint is tried for 3.07 days, but events are kept for 1"),
        ({"HUB_REDIS_URL": "redis://redis"}, "warn there is no HUB_SECRETS_KEY"),
        ({"HUB_REDIS_URL": "redis://redis", "HUB_ENCRYPT_BODIES": "true"}, "fail HUB_ENCRYPT_BODIES needs a key"),
        ({"HUB_TOPICS_DIR": "/nowhere"}, "fail HUB_TOPICS_DIR /nowhere does not exist"),
        ({}, "ok none contradicts another"),
    ],
)
def test_settings(settings: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What contradicts, does nothing, or isn't there."""
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = [f"{each.grade} {each.text} {each.todo}" for each in contradictions(Settings(), settings)]
    assert any(each.startswith(said) for each in found), found


async def test_certificates(tmp_path: Path) -> None:
    """Until when, for whom, of whom: each is told apart, and the hub's own rule of where it may call holds."""
    authority = Authority()
    ours = tls_context(authority.written(tmp_path))

    async def found(*hosts: str, days: int = 30, tls: ssl.SSLContext = ours, guard: Guard = NEAR) -> tuple[str, str]:
        context = authority.server_context(tmp_path, authority.issue(*hosts, days=days))
        async with listening(context) as port:
            reached = await reach(guard, tls, "127.0.0.1", port)
        return reached.fault, reached.todo if reached.fault else f"{reached.days:.0f}"

    assert await found("127.0.0.1") == ("", "30")
    fault, todo = await found("elsewhere.example")
    assert "IP address mismatch" in fault
    assert todo == "it has to name the host that the URL has"
    fault, todo = await found("127.0.0.1", days=-1)
    assert "expired" in fault
    assert todo == "it has to be renewed"
    fault, todo = await found("127.0.0.1", tls=tls_context())
    assert "HUB_ENDPOINT_CA_FILE" in todo
    closed = Guard(allow_private=False, networks=(), ports=frozenset({443}))
    assert (await found("127.0.0.1", guard=closed))[0] == "the hub may not call it: 127.0.0.1 is in 127.0.0.0/8"
    async with listening(None) as port:
        assert (await reach(NEAR, ours, "127.0.0.1", port)).fault
        assert (await reach(NEAR, None, "127.0.0.1", port)).fault == ""
    assert (await reach(NEAR, None, "127.0.0.1", port)).todo == "See whether it runs."
    assert (await reach(NEAR, None, "nobody.invalid", 443)).fault


@pytest.mark.parametrize(
    ("apart", "unsure", "grade"),
    [(0, 0.5, Grade.OK), (-2, 0, Grade.OK), (3, 0.5, Grade.WARN), (3, 1.5, Grade.OK), (-100, 1, Grade.FAIL)],
)
def test_clocks(apart: float, unsure: float, grade: Grade) -> None:
    """What may be the way's fault is not held against a clock."""
    assert drift("Redis", 1000 + apart, 1000, unsure).grade is grade


def test_sizes() -> None:
    assert [sized(number) for number in (0, 999, 1_500, 2.5e9, 3e15)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 GB",
        "3e+03 TB",
    ]
