"""
Access tokens of OAuth 2.0, by client credentials: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

A token endpoint is a URL that a client gave: it is called by the same guarded clients, with a deadline, and what it
answers is cut, checked, and told to nobody but for the status and one of the standard's error codes.
"""

import asyncio
import re
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx

from hub.channels.clients import Clients
from hub.channels.documents import NotFetched, ask
from hub.credentials import ClientCredentials

#: Bytes of an answer; more is no answer.
MOST_READ = 65_536
#: Characters of a token: it has to fit into a header.
MOST_TOKEN = 6_000
#: Tokens that one process keeps.
KEPT = 10_000
#: Seconds that a token lives whose server doesn't say how long.
UNSAID = 300.0
#: A token is used so many seconds less than it lives, or a tenth less if that is shorter.
MARGIN = 30.0

_TOKEN = re.compile(r"[\x21-\x7e]+")
_ERRORS = frozenset(
    ("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
     "invalid_scope")
)  # fmt: skip


class NoToken(Exception):
    """There is no access token, and why; nothing of the credentials is in the text."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; `kept`: it was not fetched for this request."""

    text: str = field(repr=False)
    kept: bool


@dataclass(slots=True)
class _Place:
    """What is known for some credentials. `ends`: seconds of the clock, from which on the token is not used."""

    text: str = field(default="", repr=False)
    ends: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Tokens:
    """
    The access tokens of a process.

    now: Seconds, of a clock that is never set back.
    """

    def __init__(self, clients: Clients, *, now: Callable[[], float] = time.monotonic) -> None:
        self._clients = clients
        self._now = now
        self._places: OrderedDict[ClientCredentials, _Place] = OrderedDict()

    async def token(self, credentials: ClientCredentials, *, seconds: float, instead_of: str = "") -> Token:
        """
        A token that is kept, or a fresh one. Whoever asks meanwhile waits for the same one.

        Args:
            seconds: How long it may take.
            instead_of: One that was refused.

        Raises:
            NoToken: Within this time there is none.
        """
        place = self._places.setdefault(credentials, _Place())
        self._places.move_to_end(credentials)
        if len(self._places) > KEPT:
            self._places.popitem(last=False)
        try:
            async with asyncio.timeout(seconds), place.lock:
                if place.text and place.text != instead_of and self._now() < place.ends:
                    return Token(place.text, kept=True)
                began = self._now()
                place.text, lives = await self._fetched(credentials)
                place.ends = began + lives - min(MARGIN, lives / 10)
                return Token(place.text, kept=False)
        except TimeoutError:
            raise NoToken("the token endpoint did not answer in time") from None

    async def _fetched(self, credentials: ClientCredentials) -> tuple[str, float]:
        """A fresh token, and how many seconds it lives."""
        try:
            host = httpx.URL(credentials.token_url).host
            async with self._clients.lent(host) as client:
                status, said = await ask(
                    client,
                    "POST",
                    credentials.token_url,
                    _headers(credentials).items(),
                    _form(credentials),
                    whom="the token endpoint",
                    most=MOST_READ,
                )
        except NotFetched as error:
            raise NoToken(str(error)) from None
        except httpx.InvalidURL:
            raise NoToken("the token endpoint's URL is none that can be called") from None
        return _read(status, said or {})


def _headers(credentials: ClientCredentials) -> dict[str, str]:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if not credentials.in_body:
        pair = f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.client_secret)}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return headers


def _form(credentials: ClientCredentials) -> bytes:
    form = {"grant_type": "client_credentials"}
    if credentials.scope:
        form["scope"] = credentials.scope
    if credentials.in_body:
        form |= {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    return urlencode(form).encode()


def _read(status: int, said: dict[str, Any]) -> tuple[str, float]:
    """https://www.rfc-editor.org/rfc/rfc6749#section-5"""
    if status != 200:
        code = said.get("error")
        known = f" ({code})" if isinstance(code, str) and code in _ERRORS else ""
        raise NoToken(f"the token endpoint answered {status}{known}")
    text, kind, lives = said.get("access_token"), said.get("token_type"), said.get("expires_in")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text) or len(text) > MOST_TOKEN:
        raise NoToken("the token endpoint's answer has no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NoToken("the token endpoint's tokens are not of the type Bearer")
    if isinstance(lives, str) and lives.isascii() and lives.isdigit():  # as some servers have it
        lives = int(lives[:10])
    if not isinstance(lives, int | float) or isinstance(lives, bool):
        return text, UNSAID
    return text, float(min(max(lives, 0), 86_400))
