"""One attempt, over real sockets: what is sent, and what is made of whatever comes back."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.channels.clients import Clients
from hub.channels.guard import Guard
from hub.channels.origins import SLOW, Origins, Visit
from hub.channels.rest_hook import MOST_READ, RestHook
from subscriptions.codes import FhirVersion
from subscriptions.message import Message
from subscriptions.retry import Accepted, Blocked, Fault, Outcome, Refused, Unreachable
from subscriptions.subscription import Subscription
from subscriptions.versions.forms import FORMS
from tests.hub.wire import Handler, Wire, answering, reset, serving
from tests.processes import subscription

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BODY = b'{"resourceType":"Bundle"}'
BUNDLE = Message(BODY, "application/fhir+json")
#: Of an endpoint with a certificate of its own making: worthless anywhere else.
SELF_SIGNED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+pfChFYI4dIXppka
1DOY/neMjP2U8t4d4gspX5aY5QWhRANCAAQbk3wY1lHT24yJhK2YuXY+cyzGoP5N
zricUwBJDaujBQnm5C8DDgkI0pWrCih9easQePadWHcb4bA03JN5MmuN
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUATT/WNbKRDY8JHjZFORahhslObgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTEwMjUwN1oYDzIxMjYxMDI4
MTAyNTA3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQbk3wY1lHT24yJhK2YuXY+cyzGoP5NzricUwBJDaujBQnm5C8DDgkI
0pWrCih9easQePadWHcb4bA03JN5MmuNo28wbTAdBgNVHQ4EFgQUSgZ5yzp0Qb1Q
7qVZhb0NdBgQTCAwHwYDVR0jBBgwFoAUSgZ5yzp0Qb1Q7qVZhb0NdBgQTCAwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgPl944X4O8k29gaKj19ZOhR7UePPPx9UF1yi2nM5lH4wCIGAD
le6WbHmkb2QUjssiKn7VGSL2IColB27ibQ0AZ7KI
-----END CERTIFICATE-----
"""

_wanted = FORMS[FhirVersion.R4].parse_subscription(
    subscription("http://127.0.0.1/"), now=datetime.now(UTC), allow_http=True
)


def to(endpoint: str, *headers: tuple[str, str]) -> Subscription:
    return replace(_wanted, endpoint=endpoint, headers=headers)


@pytest.fixture(scope="module")
async def hook() -> AsyncIterator[RestHook]:
    """One that may call loopback."""
    guard = Guard(allow_private=True, networks=(), ports=frozenset({443}))
    hook = RestHook(Clients(guard))
    yield hook
    await hook.close()


async def attempt(hook: RestHook, wire: Wire, handler: Handler, *, seconds: float = 10) -> Outcome:
    async with serving(wire, handler):
        return await hook.send(to(f"http://127.0.0.1:{wire.port}/hook"), BUNDLE, seconds=seconds)


async def test_an_endpoint_that_takes_no_connection_is_told_from_one_that_does_not_answer(hook: RestHook) -> None:
    """Its queue is full, so that it drops who comes, as a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as queued:
        for _ in range(3):
            waiting = queued.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        said = await hook.send(to(f"http://127.0.0.1:{port}/"), BUNDLE, seconds=5)
    assert said == Unreachable(Fault.CONNECT_TIMEOUT)


async def unused_port() -> int:
    """Of loopback; whoever was there has left."""
    async with serving(wire := Wire(), answering(Wire())):
        return wire.port


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226, 299])
async def test_any_2xx_is_an_acceptance(hook: RestHook, status: int) -> None:
    answer = b"HTTP/1.1 %d So\r\nContent-Length: 0\r\n\r\n" % status
    assert await attempt(hook, wire := Wire(), answering(wire, answer)) == Accepted(status)
    assert wire.requests[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert wire.requests[0].endswith(b"\r\n\r\n" + BODY)


@pytest.mark.parametrize("reason", [b"", b"\xff\xfe"])
async def test_the_reason_beside_a_status_says_nothing(hook: RestHook, reason: bytes) -> None:
    """https://www.rfc-editor.org/rfc/rfc9112#section-4: it is to be ignored."""
    answer = b"HTTP/1.1 200 %b\r\nContent-Length: 0\r\n\r\n" % reason
    assert await attempt(hook, wire := Wire(), answering(wire, answer)) == Accepted(200)


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 410, 429, 499, 500, 503, 599, 999])
async def test_anything_else_is_a_refusal(hook: RestHook, status: int) -> None:
    answer = b"HTTP/1.1 %d So\r\nContent-Length: 0\r\n\r\n" % status
    assert await attempt(hook, wire := Wire(), answering(wire, answer)) == Refused(status)


async def test_retry_after_is_handed_on_as_it_came(hook: RestHook) -> None:
    answer = b"HTTP/1.1 503 So\r\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n"
    said = await attempt(hook, wire := Wire(), answering(wire, answer))
    assert said == Refused(503, "Fri, 31 Dec 1999 23:59:59 GMT")


async def test_what_is_said_before_the_answer_does_not_count(hook: RestHook) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert await attempt(hook, wire := Wire(), answering(wire, early + OK)) == Accepted(200)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(hook: RestHook, status: int) -> None:
    async with serving(elsewhere := Wire(), answering(elsewhere, OK)):
        head = b"HTTP/1.1 %d Moved\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n"
        answer = head % (status, elsewhere.port)
        assert await attempt(hook, wire := Wire(), answering(wire, answer)) == Refused(status)
    assert elsewhere.connections == 0


async def test_nobody_listens(hook: RestHook) -> None:
    port = await unused_port()
    assert await hook.send(to(f"http://127.0.0.1:{port}/"), BUNDLE, seconds=10) == Unreachable(Fault.REFUSED)


@pytest.mark.parametrize("when", ["at once", "after the request"])
@pytest.mark.parametrize("how", ["reset", "closed"])
async def test_the_connection_ends_without_an_answer(hook: RestHook, when: str, how: str) -> None:
    wire = Wire()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if when != "at once":
            await wire.request(reader)
        if how == "reset":
            reset(writer)

    assert await attempt(hook, wire, handle) == Unreachable(Fault.RESET)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"220 mail.example ESMTP\r\n\r\n", id="another protocol"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(99), id="TLS"),
        pytest.param(b"HTTP/1.1 OK\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", id="an endless header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", id="a length that is none"),
    ],
)
async def test_what_is_not_http_is_garbage(hook: RestHook, answer: bytes) -> None:
    assert await attempt(hook, wire := Wire(), answering(wire, answer)) == Unreachable(Fault.GARBAGE)


@pytest.mark.parametrize("length", [16, 3_000])
@pytest.mark.parametrize("before", [b"", "\u2026".encode() * 150], ids=["at once", "later"])
async def test_an_answer_that_repeats_a_header_is_kept_without_it(hook: RestHook, length: int, before: bytes) -> None:
    """However long it is, with its scheme or without; what is too short to be a secret stays."""
    token, wire = "".join(f"{n:04x}" for n in range(length // 4)), Wire()
    body = before + f"no {token} for Bearer {token} on ward 7".encode()
    answer = b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with serving(wire, answering(wire, answer)):
        url = f"http://127.0.0.1:{wire.port}/hook"
        said = await hook.send(to(url, ("Authorization", f"Bearer {token}"), ("X-Ward", "7")), BUNDLE, seconds=10)
    assert isinstance(said, Refused)
    hidden = "*" * length
    assert said.said == f"{before.decode()}no {hidden} for {'*' * 7}{hidden} on ward 7"[:200]


async def test_tls_with_a_port_that_speaks_none(hook: RestHook) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert not (await reader.read(9)).startswith(b"POST")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    async with serving(wire := Wire(), handle):
        said = await hook.send(to(f"https://127.0.0.1:{wire.port}/"), BUNDLE, seconds=10)
    assert (said, wire.connections) == (Unreachable(Fault.TLS), 1)


async def test_a_certificate_that_nobody_vouches_for(hook: RestHook, tmp_path: Path) -> None:
    (tmp_path / "self-signed.pem").write_text(SELF_SIGNED)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "self-signed.pem")
    async with serving(wire := Wire(), answering(wire, OK), context):
        said = await hook.send(to(f"https://localhost:{wire.port}/"), BUNDLE, seconds=10)
    assert said == Unreachable(Fault.CERTIFICATE, "self-signed certificate")
    assert wire.requests == []


@pytest.mark.parametrize("host", ["nobody.invalid", "a..example", "x" * 64 + ".example", "xn--a.example", "0177.0.0.1"])
async def test_a_name_that_leads_nowhere(hook: RestHook, host: str) -> None:
    assert await hook.send(to(f"http://{host}/"), BUNDLE, seconds=10) == Unreachable(Fault.DNS)


async def test_an_endpoint_that_does_not_answer_is_left_when_the_time_is_up(hook: RestHook) -> None:
    assert await attempt(hook, wire := Wire(), answering(wire, b"", close=False), seconds=1) == Unreachable(
        Fault.TIMEOUT
    )


async def test_an_answer_that_drips_is_left_when_the_time_is_up(hook: RestHook) -> None:
    """Each byte comes soon after the one before; the whole never does."""
    wire = Wire()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await wire.drip(writer, b"x:y\r\n", pause=0.01)

    assert await attempt(hook, wire, handle, seconds=1) == Unreachable(Fault.TIMEOUT)
    assert wire.sent > 0


async def test_a_body_that_drips_behind_a_2xx_is_an_acceptance_when_the_time_is_up(
    hook: RestHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has said that it took it: to send it again, for hours, would help nobody."""
    monkeypatch.setattr("hub.channels.rest_hook.MOST_BODY", 60.0)
    wire = Wire()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        await wire.drip(writer, b"x", pause=0.01)

    assert await attempt(hook, wire, handle, seconds=1) == Accepted(200)
    assert wire.sent > 0


@pytest.mark.parametrize(
    ("status", "outcome"), [(b"200 OK", Accepted(200)), (b"500 No", None)], ids=["accepted", "refused"]
)
async def test_what_must_not_be_slow_is_broken_off_unless_it_was_accepted(
    hook: RestHook, status: bytes, outcome: Outcome | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no place for a slow one. The status comes in time, of the body a byte now and then."""
    monkeypatch.setattr("hub.channels.rest_hook.MOST_BODY", 3 * SLOW)
    wire, origins = Wire(), Origins(8, 0)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.request(reader)
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 9999\r\n\r\n" % status)
        await wire.drip(writer, b"x", pause=0.05)

    async with serving(wire, handle):
        visit = origins.enter("here", slow=False, now=0)
        assert isinstance(visit, Visit)
        request = hook.send(to(f"http://127.0.0.1:{wire.port}/"), BUNDLE, seconds=60, accepted=visit.accept)
        assert await origins.answer(visit, lambda: 0, request) == outcome
        async with asyncio.timeout(10):
            await wire.cut.wait()


@pytest.mark.parametrize("status", [b"200 OK", b"500 No"])
async def test_a_huge_body_is_cut(hook: RestHook, status: bytes) -> None:
    """A server that would go on for ever is left: what was sent is what the sockets hold, and what was read."""
    wire = Wire()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.request(reader)
        writer.write(b"HTTP/1.1 %b\r\nTransfer-Encoding: chunked\r\n\r\n" % status)
        await wire.drip(writer, b"10000\r\n" + b"x" * MOST_READ + b"\r\n")

    async with serving(wire, handle):
        said = await hook.send(to(f"http://127.0.0.1:{wire.port}/"), BUNDLE, seconds=10)
        async with asyncio.timeout(10):
            await wire.cut.wait()
    assert said == (Accepted(200) if status == b"200 OK" else Refused(500))
    assert wire.sent < 20_000_000


@pytest.mark.parametrize("status", [b"200 OK", b"422 No"])
async def test_how_an_answer_begins_is_handed_on(hook: RestHook, status: bytes) -> None:
    """Two hundred characters, however long they are, and whatever is no text is said to be none."""
    body = "ūū\ud7ff😀".encode() * 100 + b"\xff" * 2000
    answer = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
    said = await attempt(hook, wire := Wire(), answering(wire, answer))
    assert isinstance(said, Accepted | Refused)
    assert said.said == "ūū\ud7ff😀" * 50
    none = b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\n\xff\xfe" % status
    said = await attempt(hook, wire := Wire(), answering(wire, none))
    assert isinstance(said, Accepted | Refused)
    assert said.said == "\ufffd\ufffd"


@pytest.mark.parametrize("status", [200, 503])
async def test_a_body_that_drips_is_not_waited_for(hook: RestHook, status: int) -> None:
    """The status has said it all; what has come of the body in a second is handed on."""
    wire = Wire()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.request(reader)
        writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: 9999\r\n\r\nbecause" % status)
        await wire.drip(writer, b".", pause=0.05)

    started = monotonic()
    said = await attempt(hook, wire, handle, seconds=60)
    assert said == (Accepted(status) if status == 200 else Refused(status))
    assert isinstance(said, Accepted | Refused)
    assert said.said.startswith("because")
    assert monotonic() - started < 30


async def test_a_body_that_breaks_off_behind_a_2xx_is_an_acceptance(hook: RestHook) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin"
    assert await attempt(hook, wire := Wire(), answering(wire, answer)) == Accepted(200)
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nbegin"
    assert await attempt(hook, wire := Wire(), answering(wire, answer)) == Accepted(200)


async def test_an_answer_before_the_request_was_read_counts(hook: RestHook) -> None:
    wire = Wire()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await wire.cut.wait()

    async with serving(wire, handle):
        said = await hook.send(to(f"http://127.0.0.1:{wire.port}/"), Message(b"x" * 900_000), seconds=10)
        wire.cut.set()
    assert said == Accepted(200)


async def test_headers_arrive_in_order_with_repetitions_and_their_values(hook: RestHook) -> None:
    given = [
        ("X-Last", "z"),
        ("Authorization", "Bearer a.b~c+/="),
        ("x-lower", "1"),
        ("X-Twice", "one, two"),
        ("X-Twice", "three"),
        ("X-Empty", ""),
        ("X-Odd!#$%&'*+-.^_`|~9", 'a "quoted" value; with=signs'),
        ("X-First", "a"),
    ]
    async with serving(wire := Wire(), answering(wire, OK)):
        await hook.send(to(f"http://127.0.0.1:{wire.port}/", *given), BUNDLE, seconds=10)
    lines = wire.requests[0].split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    arrived = [(name, value.strip(" ")) for name, _, value in (line.partition(":") for line in lines)]
    own = [pair for pair in arrived if pair in given]
    assert own == given
    others = {name.lower(): value for name, value in arrived if (name, value) not in given}
    assert others.pop("host") == f"127.0.0.1:{wire.port}"
    assert others == {
        "content-type": _wanted.content_type,
        "content-length": str(len(BODY)),
        "user-agent": "fhir-event-hub",
        "accept-encoding": "identity",
        "accept": "*/*",
        "connection": "keep-alive",
    }


async def test_a_subscriber_may_name_the_user_agent(hook: RestHook) -> None:
    async with serving(wire := Wire(), answering(wire, OK)):
        await hook.send(to(f"http://127.0.0.1:{wire.port}/", ("user-agent", "mine")), BUNDLE, seconds=10)
    lines = wire.requests[0].lower().split(b"\r\n")
    assert [line for line in lines if line.startswith(b"user-agent")] == [b"user-agent: mine"]


async def test_cookies_are_never_sent_back(hook: RestHook) -> None:
    """Over the same connection and over another one; one that the subscriber gave as a header is its own affair."""
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Domain=127.0.0.1\r\nContent-Length: 0\r\n"
    answers = (head + b"\r\n", head + b"Connection: close\r\n\r\n")
    async with serving(wire := Wire(), answering(wire, *answers)):
        endpoint = f"http://127.0.0.1:{wire.port}/"
        for _ in range(4):
            assert await hook.send(to(endpoint), BUNDLE, seconds=10) == Accepted(200)
        await hook.send(to(endpoint, ("Cookie", "own=1")), BUNDLE, seconds=10)
    assert wire.connections == 3
    *without, own = [b"\r\ncookie:" in request.lower() for request in wire.requests]
    assert (without, own) == ([False] * 4, True)
    assert b"\r\nCookie: own=1\r\n" in wire.requests[-1]


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be asked to connect, and the guard would see nothing of where to."""
    async with serving(proxy := Wire(), answering(proxy, OK)), serving(wire := Wire(), answering(wire, OK)):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        fresh = RestHook(Clients(Guard(allow_private=True, networks=(), ports=frozenset({443}))))
        said = await fresh.send(to(f"http://127.0.0.1:{wire.port}/"), BUNDLE, seconds=10)
        await fresh.close()
    assert (said, wire.connections, proxy.connections) == (Accepted(200), 1, 0)


async def test_a_connection_is_used_again(hook: RestHook) -> None:
    async with serving(wire := Wire(), answering(wire, OK, OK, OK)):
        for _ in range(3):
            await hook.send(to(f"http://127.0.0.1:{wire.port}/"), BUNDLE, seconds=10)
    assert (wire.connections, len(wire.requests)) == (1, 3)


@pytest.mark.parametrize(
    "target", ["/a%2Fb%7e", "//a//b;c=d", "/caf%C3%A9", "/?sig=a%2Fb%3A%2B+%3D&to=%20x", "/in?x=a%26b'~!$()*,@"]
)
async def test_path_and_query_are_asked_for_as_they_were_registered(hook: RestHook, target: str) -> None:
    """Some endpoints are signed links, compared letter by letter."""
    async with serving(wire := Wire(), answering(wire, OK)):
        said = await hook.send(to(f"http://127.0.0.1:{wire.port}{target}"), BUNDLE, seconds=10)
    assert said == Accepted(200)
    assert wire.requests[0].startswith(b"POST %b HTTP/1.1\r\n" % target.encode())


@pytest.mark.parametrize("more", [OK, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"\0"])
async def test_what_came_before_a_request_is_no_answer_to_it(hook: RestHook, more: bytes) -> None:
    """Some servers say something on a connection that nobody uses: the next notification goes out on another one."""
    said = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.request(reader)
        if wire.connections == 2:
            writer.write(b"HTTP/1.1 500 So\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(OK)
            await answered.wait()
            writer.write(more)
            said.set()
        await reader.read()

    answered = asyncio.Event()
    async with serving(wire := Wire(), handle), serving(other := Wire(), answering(other, OK)):
        endpoint = to(f"http://127.0.0.1:{wire.port}/")
        assert await hook.send(endpoint, BUNDLE, seconds=10) == Accepted(200)
        answered.set()
        await said.wait()
        await hook.send(to(f"http://127.0.0.1:{other.port}/"), BUNDLE, seconds=10)  # there and back: it has arrived
        assert await hook.send(endpoint, BUNDLE, seconds=10) == Refused(500)
    assert (wire.connections, len(wire.requests)) == (2, 2)


_pieces = st.sampled_from(
    [b"HTTP/1.1 ", b"HTTP/2 ", b"200", b"302", b" OK", b"\r\n", b"\n", b"\0", b": ", b"Location", b"Set-Cookie: ;=",
     b"Content-Length: ", b"-1", b"5", b"Content-Encoding: gzip\r\n", b"Transfer-Encoding: chunked\r\n", b"ffffffff",
     b"Retry-After: \xff\r\n", b"Connection: Upgrade\r\nUpgrade: x\r\n", b"\xff\xfe"]
)  # fmt: skip


@given(answer=st.lists(_pieces | st.binary(max_size=9), max_size=12).map(b"".join), proper=st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_whatever_comes_back_an_attempt_never_raises(hook: RestHook, answer: bytes, proper: bool) -> None:
    begin = b"HTTP/1.1 200 OK\r\n" if proper else b""
    said = await attempt(hook, wire := Wire(), answering(wire, begin + answer), seconds=5)
    assert isinstance(said, Accepted | Refused | Unreachable)
    assert not isinstance(said, Blocked)
    assert len(wire.requests) == 1
