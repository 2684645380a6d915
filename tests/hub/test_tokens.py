"""Access tokens for endpoints: from a real token server, which may be anything a client names."""

import asyncio
import logging
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from cryptography.fernet import Fernet

from hub.channels.clients import Clients
from hub.channels.guard import Guard
from hub.channels.rest_hook import RestHook
from hub.channels.tokens import MOST_READ, NoToken, Token, Tokens
from hub.credentials import ClientCredentials, Credentials
from hub.keyring import Entrusted, Keyring
from hub.seal import Seal
from hub.secrets import Secrets
from hub.wiring.parts import Parts
from subscriptions.codes import FhirVersion
from subscriptions.message import Message
from subscriptions.retry import Accepted, Outcome, Refused, Unauthorized
from subscriptions.versions.forms import FORMS
from tests.facts import eventually
from tests.hub.engines import delivering, state, subscribe
from tests.hub.wire import Wire, answering, serving
from tests.processes import subscription
from tests.receiver import Received, Receiver

OPEN = Guard(allow_private=True, networks=(), ports=frozenset({443}))
SECRET = "s3cr3t: 100% & more"
WANTED = FORMS[FhirVersion.R4].parse_subscription(
    subscription("http://127.0.0.1/"), now=datetime.now(UTC), allow_http=True
)


@dataclass
class TokenServer:
    """
    Gives out tokens `token-1`, `token-2` and so on.

    asked: The form and the Authorization header of each request.
    answer: What it says beside the token, or instead of it.
    """

    asked: list[tuple[dict[str, str], str]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle), handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/token"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.content_type == "application/x-www-form-urlencoded"
        self.asked.append((dict(parse_qsl(await request.text())), request.headers.get("Authorization", "")))
        token = f"token-{len(self.asked)}"
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 3600} | self.answer)

    def credentials(self, **more: Any) -> ClientCredentials:
        return replace(ClientCredentials(self.url, "the hub", SECRET, "events"), **more)


@pytest.fixture
async def server() -> AsyncIterator[TokenServer]:
    async with TokenServer() as server:
        yield server


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    clients = Clients(OPEN)
    yield clients
    await clients.close()


@pytest.fixture
def hook(clients: Clients) -> RestHook:
    return RestHook(clients)


async def send(hook: RestHook, endpoint: str, oauth: ClientCredentials, *, seconds: float = 10) -> Outcome:
    own = (("X-Own", "1"), ("authorization", "Basic own"))
    wanted = replace(WANTED, endpoint=endpoint, headers=own)
    return await hook.send(wanted, Message(b"{}"), seconds=seconds, credentials=Credentials(oauth=oauth))


def shown(receiver: Receiver) -> list[list[str]]:
    """The Authorization headers of each request."""
    return [
        [value for name, value in received.headers if name.lower() == "authorization"] for received in receiver.received
    ]


def accepting(*tokens: str) -> Any:
    """An endpoint that takes these tokens only."""

    async def answer(received: Received) -> int:
        return 200 if dict(received.headers).get("Authorization") in {f"Bearer {token}" for token in tokens} else 401

    return answer


async def test_a_token_is_fetched_by_http_basic(hook: RestHook, server: TokenServer, receiver: Receiver) -> None:
    """Id and secret are encoded as forms are, before they are joined by a colon; the client's own header gives way."""
    assert await send(hook, receiver.url, server.credentials()) == Accepted(200)
    ((form, basic),) = server.asked
    assert form == {"grant_type": "client_credentials", "scope": "events"}
    assert b64decode(basic.removeprefix("Basic ")) == b"the+hub:s3cr3t%3A+100%25+%26+more"
    assert shown(receiver) == [["Bearer token-1"]]
    assert ("X-Own", "1") in receiver.received[0].headers


async def test_a_token_is_fetched_by_the_form(hook: RestHook, server: TokenServer, receiver: Receiver) -> None:
    await send(hook, receiver.url, server.credentials(in_body=True, scope=""))
    (asked,) = server.asked
    assert asked == ({"grant_type": "client_credentials", "client_id": "the hub", "client_secret": SECRET}, "")


async def test_a_token_is_kept_and_shared(hook: RestHook, server: TokenServer, receiver: Receiver) -> None:
    """Whoever comes while it is being fetched waits for it. Other credentials have a token of their own."""
    said = await asyncio.gather(*(send(hook, receiver.url, server.credentials()) for _ in range(20)))
    assert set(said) == {Accepted(200)}
    assert len(server.asked) == 1
    await send(hook, receiver.url, server.credentials(scope="other"))
    assert shown(receiver) == [["Bearer token-1"]] * 20 + [["Bearer token-2"]]


@pytest.mark.parametrize(
    ("said", "lives"),
    [
        pytest.param({"expires_in": 3600}, 3570, id="an hour"),
        pytest.param({"expires_in": "60"}, 54, id="as a string"),
        pytest.param({"expires_in": None}, 270, id="unsaid"),
        pytest.param({"expires_in": 1e12}, 86_370, id="for ever"),
        pytest.param({"expires_in": 10**400}, 86_370, id="beyond any float"),
        pytest.param({"expires_in": -5}, 0, id="over"),
        pytest.param({"expires_in": True}, 270, id="no number"),
    ],
)
async def test_a_token_is_used_until_shortly_before_its_end(
    clients: Clients, server: TokenServer, said: dict[str, Any], lives: float
) -> None:
    server.answer = said
    at = [1000.0]
    tokens = Tokens(clients, now=lambda: at[0])
    asked = server.credentials()
    assert await tokens.token(asked, seconds=10) == Token("token-1", kept=False)
    if lives:
        at[0] = 1000 + lives - 0.01
        assert await tokens.token(asked, seconds=10) == Token("token-1", kept=True)
    at[0] = 1000 + lives
    assert await tokens.token(asked, seconds=10) == Token("token-2", kept=False)


async def test_a_kept_token_that_is_refused_is_replaced_once(
    hook: RestHook, server: TokenServer, receiver: Receiver
) -> None:
    """Within one attempt; and a fresh one that is refused is not replaced: another one would be no better."""
    receiver.answers["/"] = accepting("token-1")
    oauth = server.credentials()
    assert await send(hook, receiver.url, oauth) == Accepted(200)
    receiver.answers["/"] = accepting("token-2")
    assert await send(hook, receiver.url, oauth) == Accepted(200)
    assert shown(receiver) == [["Bearer token-1"], ["Bearer token-1"], ["Bearer token-2"]]
    receiver.answers["/"] = accepting()
    assert await send(hook, receiver.url, oauth) == Refused(401)
    assert (len(server.asked), len(receiver.received)) == (3, 5)
    assert await send(hook, receiver.url, server.credentials(scope="new")) == Refused(401)
    assert (len(server.asked), len(receiver.received)) == (4, 6)


async def test_all_whose_token_is_refused_at_once_share_the_next_one(
    hook: RestHook, server: TokenServer, receiver: Receiver
) -> None:
    oauth = server.credentials()
    await send(hook, receiver.url, oauth)
    receiver.answers["/"] = accepting("token-2")
    assert set(await asyncio.gather(*(send(hook, receiver.url, oauth) for _ in range(10)))) == {Accepted(200)}
    assert len(server.asked) == 2


def json(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n" % (status, more, len(body)) + body


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (json(b'{"error":"invalid_client"}', b"401 No"), "the token endpoint answered 401 (invalid_client)"),
        (json(b'{"error":"s3cr3t"}', b"400 No"), "the token endpoint answered 400"),
        (json(b'{"error":["invalid_client"]}', b"400 No"), "the token endpoint answered 400"),
        (json(b"<html>", b"503 No"), "the token endpoint answered 503"),
        (json(b"", b"302 Found", b"Location: http://127.0.0.1:9/\r\n"), "the token endpoint answered 302"),
        (json(b"<html>"), "the token endpoint's answer has no access token"),
        (json(b"[" * 50_000), "the token endpoint's answer has no access token"),
        (json(b'{"access_token":"","token_type":"Bearer"}'), "the token endpoint's answer has no access token"),
        (json(b'{"access_token":7,"token_type":"Bearer"}'), "the token endpoint's answer has no access token"),
        (json(b'{"access_token":"a\\r\\nX: b","token_type":"Bearer"}'),
         "the token endpoint's answer has no access token"),
        (json(b'{"access_token":"%b","token_type":"Bearer"}' % (b"a" * 7000)),
         "the token endpoint's answer has no access token"),
        (json(b'{"access_token":"a","token_type":"Bearer"}' + b" " * MOST_READ),
         "the token endpoint's answer has no access token"),
        (json(b'{"access_token":"a","token_type":"mac"}'), "the token endpoint's tokens are not of the type Bearer"),
        (json(b'{"access_token":"a"}'), "the token endpoint's tokens are not of the type Bearer"),
        (b"220 mail.example ESMTP\r\n\r\n", "the token endpoint's answer is not HTTP"),
        (b"", "the token endpoint closed the connection without an answer"),
    ],
)  # fmt: skip
async def test_without_a_token_nothing_is_sent(
    hook: RestHook, receiver: Receiver, answer: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What the owner reads says why, and has nothing of the secret nor of the answer, the standard's codes apart."""
    caplog.set_level(logging.DEBUG)
    async with serving(wire := Wire(), answering(wire, answer)):
        oauth = ClientCredentials(f"http://127.0.0.1:{wire.port}/token", "the hub", SECRET)
        said = await send(hook, receiver.url, oauth)
    assert said == Unauthorized(reason)
    assert receiver.received == []
    assert SECRET not in caplog.text + repr(oauth)


@pytest.mark.parametrize("how", ["silent", "drips"])
async def test_a_token_server_that_takes_its_time_is_left_before_the_attempt_is_over(
    hook: RestHook, receiver: Receiver, how: str
) -> None:
    """So that it is the token server that is said to be late, and not the endpoint."""
    wire = Wire()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        await wire.drip(writer, b" " if how == "drips" else b"", pause=0.01)

    async with serving(wire, handle):
        oauth = ClientCredentials(f"http://127.0.0.1:{wire.port}/token", "the hub", SECRET)
        said = await send(hook, receiver.url, oauth, seconds=2)
    assert said == Unauthorized("the token endpoint did not answer in time")
    assert receiver.received == []


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("127.0.0.1", "the hub must not call the token endpoint's address (127.0.0.1 is in 127.0.0.0/8)"),
        ("[::ffff:10.0.0.1]", "the hub must not call the token endpoint's address (::ffff:10.0.0.1 is in ::/8)"),
        ("169.254.169.254", "169.254.169.254 is a metadata service"),
        ("nobody.invalid", "the token endpoint's name can't be resolved"),
        ("x" * 64 + ".example", "the token endpoint's name can't be resolved"),
    ],
)
async def test_a_token_endpoint_is_guarded_as_endpoints_are(server: TokenServer, host: str, reason: str) -> None:
    """At each connection, whatever it was when it was registered."""
    clients = Clients(replace(OPEN, allow_private=False))
    url = f"http://{host}:{server.url.rpartition(':')[2]}"
    try:
        with pytest.raises(NoToken) as refusal:
            await Tokens(clients).token(server.credentials(token_url=url), seconds=10)
    finally:
        await clients.close()
    assert reason in str(refusal.value)
    assert server.asked == []


async def test_a_subscription_without_a_token_says_so(parts: Parts, server: TokenServer, receiver: Receiver) -> None:
    """It goes on by its schedule, from what was sealed in Redis to what its owner reads."""
    seal = Seal(parts.pipeline, Secrets.of(Fernet.generate_key().decode(), None))
    parts = replace(parts, seal=seal, keyring=Keyring(parts.pipeline, seal))
    server.answer = {"token_type": "mac"}
    key = await subscribe(parts, f"{receiver.url}/hook")
    assert await parts.keyring.entrust(key, Entrusted(server.credentials()))
    async with delivering(parts):

        async def given_up() -> bool:
            return "for want of an access token" in (await state(parts)).error + (await state(parts)).failing

        await eventually(given_up)
        assert receiver.received == []
        server.answer = {}
        await receiver.until(lambda: len(receiver.received) == 1)
    assert shown(receiver)[0][0].startswith("Bearer token-")
