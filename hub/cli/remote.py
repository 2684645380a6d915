"""
The hub that a command talks to, over HTTP as any client does: where it is, who calls, and what it says against that.

Whatever is built on this ends as all commands do: with 0 when it is done, with 1 (Unavailable) when no hub answers or
it can't do it now, and with 2 (Denied) when it refuses, each of the two with one line on stderr.
"""

import argparse
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

from hub.errors import Mistaken, Unavailable

#: The variables of the environment that say where the hub is, and who calls: the key of an argument is seen in `ps`.
URL, KEY = "HUB_URL", "HUB_KEY"
NEAR = "http://127.0.0.1:8000"

#: Seconds that the hub may take for one answer.
PATIENCE = 30.0

FHIR_JSON = "application/fhir+json"

#: Characters that are shown of an answer that is none of a hub's.
SHOWN = 200


class Denied(Mistaken):
    """
    The hub refuses what it was asked for, and says why.

    status: 400 to 499, but 429.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def hub_argument(parser: argparse.ArgumentParser) -> None:
    """Declare where the hub is. A tenant's is `URL/t/TENANT`."""
    parser.add_argument(
        "--hub",
        metavar="URL",
        type=_url,
        default=os.environ.get(URL) or NEAR,
        help=f"where the hub is ({URL}, or {NEAR}); {KEY} holds the API key, if it asks for one",
    )


def _url(text: str) -> str:
    """Without what a FHIR base has behind it: people copy what `hub serve` prints."""
    text = re.sub(r"/fhir(/r4|/r4b|/r5)?/?$", "", text.rstrip("/"))
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username is not None:
        raise argparse.ArgumentTypeError(f"{text!r} should be the hub's URL, such as {NEAR}")
    return text


@dataclass(frozen=True, slots=True)
class Remote:
    """
    One hub, or one tenant's part of it.

    url: Before `/fhir` and `/admin`.
    http: The client for what `request` does not do; paths begin with a slash.
    """

    url: str
    http: httpx.AsyncClient = field(repr=False)

    @property
    def root(self) -> str:
        """Before what is the same for all tenants: `/readyz`, `/signing-keys`, `/metrics`."""
        return re.sub(r"/t/[^/]+$", "", self.url)

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """
        Ask once, and return whatever the hub answers.

        Args:
            path: `/fhir/r4/Patient`, or a whole URL.
            options: httpx' own: `json`, `content`, `params`, `headers`, `timeout`.

        Raises:
            Unavailable: Nobody answers.
        """
        try:
            return await self.http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise unanswered(self.url, error) from error

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The same, for an answer that is no error. Raises Denied, or Unavailable, with what the hub says."""
        return good(await self.request(method, path, **options))

    async def read(self, path: str, **params: Any) -> Any:
        """The JSON that a GET is answered with; parameters that are None are left out."""
        given = {name: value for name, value in params.items() if value is not None}
        return _json(await self.ask("GET", path, params=given))

    @asynccontextmanager
    async def stream(self, path: str, **params: Any) -> AsyncIterator[httpx.Response]:
        """An answer that goes on for as long as it is read, as Server-Sent Events do."""
        given = {name: value for name, value in params.items() if value is not None}
        timeout = httpx.Timeout(PATIENCE, read=None)
        try:
            async with self.http.stream("GET", path, params=given, timeout=timeout) as response:
                if not response.is_success:
                    await response.aread()
                yield good(response)
        except httpx.HTTPError as error:
            raise unanswered(self.url, error) from error


@asynccontextmanager
async def remote(url: str) -> AsyncIterator[Remote]:
    """The hub at a URL that `hub_argument` has read, called with the key of the environment if there is one."""
    key = os.environ.get(KEY, "")
    if key and not (key.isascii() and key.isprintable()):
        raise Mistaken(f"{KEY} holds no key: `hub keys create` prints one")
    async with httpx.AsyncClient(
        base_url=url,
        headers={"Accept": f"{FHIR_JSON}, application/json;q=0.9, */*;q=0.1"} | ({"X-Api-Key": key} if key else {}),
        timeout=PATIENCE,
        limits=httpx.Limits(),  # who asks for more at once keeps more connections
        trust_env=not _near(url),  # proxies lead elsewhere
        verify=ssl.create_default_context() if url.startswith("https:") else True,  # as the system, and SSL_CERT_FILE
    ) as client:
        yield Remote(url, client)


def _near(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def good(response: httpx.Response) -> httpx.Response:
    """An answer that is no error; otherwise Denied or Unavailable, with one line of what it says."""
    if response.is_success:
        return response
    said = f"{response.status_code}: {reason(response)}"
    if response.status_code == 401:
        said += f" Give a key by the environment's {KEY}." if not os.environ.get(KEY) else f" It was asked with {KEY}."
    if 400 <= response.status_code < 500 and response.status_code != 429:
        raise Denied(said, response.status_code)
    wait = response.headers.get("Retry-After", "")
    raise Unavailable(said, retry_after=int(wait) if wait.isdecimal() else 1)


def reason(response: httpx.Response) -> str:
    """What an answer says against a request, in one line: its issues, its `reason`, or how it begins."""
    found = _json(response) if "json" in response.headers.get("Content-Type", "") else None
    if isinstance(found, Mapping) and found.get("resourceType") == "OperationOutcome":
        return "; ".join(issue_text(issue) for issue in found.get("issue", ()))
    if isinstance(found, Mapping) and found.get("status") == "unavailable":
        return str(found.get("reason", ""))
    said = " ".join(response.text[:SHOWN].split())
    return f"{said or response.reason_phrase} (this is no answer of a hub's)"


def issue_text(issue: Mapping[str, Any]) -> str:
    """One issue of an OperationOutcome: where it is, and what."""
    text = " ".join((issue.get("details", {}).get("text") or issue.get("diagnostics") or issue["code"]).split())
    where = ", ".join(issue.get("expression", ()))
    return f"{where}: {text}" if where and where not in text else text


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise Unavailable(f"{response.url.host} answers with no JSON: is it a hub?") from None


def unanswered(url: str, error: httpx.HTTPError) -> Unavailable:
    """That a hub does not answer, and what to do."""
    if isinstance(error, httpx.ConnectError) and (refused := _tls(error)):
        return Unavailable(f"{url}: {refused}")
    match error:
        case httpx.ConnectError():
            why = f"no hub answers at {url} ({_cause(error)}); start one by `hub serve`"
        case httpx.TimeoutException():
            why = f"the hub at {url} does not answer in time"
        case _:
            why = f"the hub at {url} broke off ({_cause(error)})"
    return Unavailable(f"{why}, or say where it is by --hub or {URL}")


def _tls(error: BaseException) -> str | None:
    """Why it can't be spoken with over TLS; None when that isn't what is wrong."""
    match next((each for each in _chain(error) if isinstance(each, ssl.SSLError)), None):
        case None:
            return None
        case ssl.SSLCertVerificationError(verify_message=said):
            return f"its certificate is refused: {said}; SSL_CERT_FILE names an authority of one's own"
        case found:
            return f"it speaks no TLS that this command speaks: {found.reason or found}; is it https?"


def _cause(error: BaseException) -> str:
    """What the system calls it, wherever in the chain that is."""
    for found in _chain(error):
        if isinstance(found, socket.gaierror):
            return "its name is not known"
        if isinstance(found, OSError) and found.errno is not None and found.errno > 0:
            return os.strerror(found.errno)
    return " ".join(str(error).split()) or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
