"""
What is sealed in Redis, and which keys have sealed it.

`hub:{registry}:sealers` is a set: the fingerprint of each key that may have sealed something that is still there. A key
comes in before it seals anything, and goes when all has been sealed anew by another one (see resealing.py).

Of a Subscription the headers are sealed, since a token is what they are for; the rest is what everything is found by.
A store of before layout 4 may hold some in clear: they are read, and sealed when they are written or sealed anew.
"""

from dataclasses import dataclass, field

from hub.errors import NotTheHub
from hub.keys import SEALERS
from hub.pipeline import Pipeline
from hub.secrets import Secrets
from subscriptions.codes import FhirVersion
from subscriptions.versions.forms import FORMS


@dataclass(frozen=True, slots=True)
class Kept:
    """A Subscription's JSON as it is kept: without its headers, and these sealed; empty when there are none."""

    resource: bytes
    headers: bytes


@dataclass
class Seal:
    """Seals what goes into a store, and opens it."""

    pipeline: Pipeline
    secrets: Secrets
    _known: bool = field(default=False)

    @property
    def is_there(self) -> bool:
        """Whether anything can be sealed."""
        return bool(self.secrets)

    async def check(self) -> None:
        """Raises NotTheHub when the store may hold what this process can't open."""
        lacking = [each for each in await self.sealers() if each not in self.secrets.fingerprints]
        if lacking and not self.secrets:
            raise NotTheHub(
                "HUB_SECRETS_KEY is not set, and Redis holds secrets: set it to the key that sealed them, or"
                " HUB_SECRETS_KEY_FILE"
            )
        if lacking:
            raise NotTheHub(
                "none of the keys in HUB_SECRETS_KEY opens some of the secrets in Redis: add the one that sealed them"
                f" (fingerprint {', '.join(lacking)}), there or in HUB_SECRETS_KEY_FILE, until `hub secrets reseal` has"
                " run"
            )

    async def sealers(self) -> list[str]:
        """The fingerprints of all keys that may have sealed something that is there."""
        return sorted(each.decode() for each in await self.pipeline.command("SMEMBERS", SEALERS))

    async def seal(self, text: bytes) -> bytes:
        """Raises Unopened when there is no key."""
        sealed = self.secrets.seal(text)
        await self.enter()
        return sealed

    async def enter(self) -> None:
        """Note the key that seals, once."""
        if not self._known:
            await self.pipeline.command("SADD", SEALERS, self.secrets.fingerprints[0])
            self._known = True

    def open(self, sealed: bytes) -> bytes:
        """Raises Unopened when none of the keys has sealed it."""
        return self.secrets.open(sealed)

    async def kept(self, version: FhirVersion, sent: bytes) -> Kept:
        """A Subscription's JSON as it is to be kept. Raises Unopened when it has headers, and there is no key."""
        resource, headers = FORMS[version].withhold(sent)
        return Kept(resource, await self.seal(headers) if headers else b"")

    def sent(self, version: FhirVersion, resource: bytes, headers: bytes) -> bytes:
        """A Subscription's JSON as its client sent it, of what is kept of it. Raises Unopened."""
        return FORMS[version].restore(resource, self.open(headers)) if headers else resource
