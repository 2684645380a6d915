"""
Whoever issues tokens: its public keys, and where clients get tokens from it.

Keys are fetched when somebody needs them, by one request for all who wait. After FRESH they are fetched again, while
those that are held go on counting; a key that isn't known has them fetched at once, but never two times within PAUSE.
While the issuer is away the held ones count, for HELD at most.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any
from urllib.parse import urlsplit

from hub.channels.documents import NotFetched
from hub.channels.fetching import Fetching
from hub.errors import Unavailable
from hub.smart.signer import Signer, signers
from hub.values import of_issuer

#: Seconds: see above.
FRESH, PAUSE, HELD = 300.0, 5.0, 86_400.0

log = getLogger("hub.smart")


@dataclass(frozen=True, slots=True)
class Named:
    """
    An issuer, as the settings name it. An empty URL is looked for in its discovery document: that of its keys alone, or
    both.

    issuer: As it has itself in `iss`.
    algorithms: Those that its tokens may be signed with.
    """

    issuer: str
    jwks_url: str
    token_url: str
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of it, `since` seconds of the clock. token_url: Empty if nobody says."""

    signers: frozenset[Signer]
    jwks_url: str
    token_url: str
    since: float


class Issuer:
    """One issuer. `now`: seconds, of a clock that is never set back."""

    def __init__(self, fetching: Fetching, named: Named, *, now: Callable[[], float] = time.monotonic) -> None:
        self.named = named
        self._fetching = fetching
        self._now = now
        self._found: _Found | None = None
        self._tried = -PAUSE
        self._looking: asyncio.Task[None] | None = None
        self._reason = ""

    async def signers(self, id_: str, algorithm: str) -> Sequence[Signer]:
        """Its keys of an id; where that is empty, all that there are. Raises Unavailable if none are known."""
        await self.current()
        found = self._of(id_, algorithm)
        if not found:
            await self._look()
            found = self._of(id_, algorithm)
        return found

    async def has(self, signer: Signer) -> bool:
        """Whether a key is still one of its. Raises Unavailable if none are known."""
        await self.current()
        return self._found is not None and signer in self._found.signers

    async def places(self) -> tuple[str, str]:
        """The URLs of its keys and of its token endpoint. Raises Unavailable if they are not known."""
        if self.named.jwks_url and self.named.token_url:
            return self.named.jwks_url, self.named.token_url
        await self.current()
        if self._found is None or not self._found.token_url:
            raise Unavailable("neither HUB_SMART_TOKEN_URL nor the issuer's discovery document has its token endpoint")
        return self._found.jwks_url, self._found.token_url

    async def current(self) -> None:
        """See to it that there are keys, and that they become fresh again. Raises Unavailable if there are none."""
        age = self._now() - self._found.since if self._found else HELD
        if age >= HELD:
            self._found = None
            await self._look()
            if self._found is None:
                raise Unavailable(f"the keys of {self.named.issuer} can't be had: {self._reason}", retry_after=5)
        elif age >= FRESH:
            self._begin()

    def _of(self, id_: str, algorithm: str) -> Sequence[Signer]:
        known = self._found.signers if self._found else frozenset()
        return [each for each in known if each.algorithm == algorithm and (each.id == id_ or not id_)]

    async def _look(self) -> None:
        """Wait for the keys to be fetched, unless they just were."""
        self._begin()
        if self._looking:
            await asyncio.shield(self._looking)

    def _begin(self) -> None:
        if self._looking is None and self._now() - self._tried >= PAUSE:
            self._tried = self._now()
            self._looking = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            self._found, self._reason = await self._fetched(), ""
        except NotFetched as error:
            self._reason = str(error)
            log.warning("issuer.away", extra={"issuer": self.named.issuer, "reason": self._reason})
        finally:
            self._looking = None

    async def _fetched(self) -> _Found:
        began, named = self._now(), self.named
        said = {} if named.jwks_url else await self._discovered()
        jwks_url = named.jwks_url or _place(said, "jwks_uri")
        if not jwks_url:
            raise NotFetched("its discovery document has no jwks_uri that the hub may call: set HUB_SMART_JWKS_URL")
        found = signers(await self._fetching.document(jwks_url), named.algorithms)
        if not found:
            raise NotFetched(f"it has no key for {', '.join(named.algorithms)}")
        return _Found(found, jwks_url, named.token_url or _place(said, "token_endpoint"), began)

    async def _discovered(self) -> dict[str, Any]:
        """Its discovery document."""
        reasons = []
        for url in _documents(self.named.issuer):
            try:
                said = await self._fetching.document(url)
            except NotFetched as error:
                reasons.append(f"{url}: {error}")
                continue
            if said.get("issuer") == self.named.issuer:
                return said
            reasons.append(f"{url} is another issuer's")
        raise NotFetched("; ".join(reasons))


def _documents(issuer: str) -> Iterator[str]:
    """Where a discovery document may be: by OpenID Connect, then by https://www.rfc-editor.org/rfc/rfc8414#section-3."""
    yield f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    parts = urlsplit(issuer)
    yield f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"


def _place(said: dict[str, Any], name: str) -> str:
    url = said.get(name)
    return url if isinstance(url, str) and of_issuer(url) else ""
