"""
All that is sealed in a store, sealed anew by the key in front, so that the others can go.

What is by that key already is left alone, so it may be cut short anywhere and run again, also beside a hub at work, of
which each part must then have the key in front. What a release before layout 4 kept in clear is sealed as well.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from logging import getLogger

from hub.errors import NotTheHub
from hub.keys import BODIES, REGISTRY, SEALERS, SIGNING_KEY
from hub.pipeline import Pipeline, script
from hub.registered import Registered
from hub.registry import Registry
from hub.seal import Seal
from hub.secrets import LACKING, Unopened
from subscriptions.codes import FhirVersion
from subscriptions.versions.forms import FORMS

RESEAL = script("reseal")

#: Of a Subscription's hash.
FIELDS = ("resource", "headers", "secrets", "credentials")
#: Subscriptions at once.
CHUNK = 200

log = getLogger("hub.resealing")


@dataclass(frozen=True, slots=True)
class Resealed:
    """
    What was done.

    subscriptions: How many there are; `changed` of them had something that was not by the key in front.
    unopened: What none of the keys opens, and is as it was: `tenant/version/id`, or `signing` for the hub's own key.
    retired: The fingerprints of the keys that are not needed any more.
    """

    subscriptions: int
    changed: int
    unopened: tuple[str, ...]
    retired: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resealing:
    """Seals anew what a store holds."""

    pipeline: Pipeline
    registry: Registry
    seal: Seal

    async def run(self, *, forget: bool = False) -> Resealed:
        """
        Seal all of it anew.

        forget: The keys that are lacking are lost. What they sealed stays as it is, until whoever gave it gives it
            anew; but they are not asked for any more, and the hub's own key is made anew when it is needed.

        Raises:
            NotTheHub: There is no key, or none that opens the bodies' key: then nothing is given up.
            Unavailable: Redis went away; what was done is done.
        """
        if not self.seal.is_there:
            raise NotTheHub(LACKING)
        if not await self._key(BODIES):
            raise NotTheHub(
                "none of the keys opens the key of the resources' bodies, without which none of these can be read:"
                " nothing was done. Find the key that sealed it, and put it behind the first one"
            )
        unopened = [] if await self._key(SIGNING_KEY) else ["signing"]
        count = changed = 0
        async for chunk in self._chunks():
            for registered, done in zip(chunk, await asyncio.gather(*map(self._subscription, chunk)), strict=True):
                count, changed = count + 1, changed + bool(done)
                if done is None:
                    unopened.append(registered.key.registered_as)
                    log.error("reseal.unopened", extra={"subscription": str(registered.key)})
        if forget and "signing" in unopened:
            await self.pipeline.command("DEL", SIGNING_KEY)
        retired = await self._retired() if forget or not unopened else ()
        log.info("store.resealed", extra={"subscriptions": count, "changed": changed, "unopened": len(unopened)})
        return Resealed(count, changed, tuple(unopened), retired)

    async def _chunks(self) -> AsyncIterator[list[Registered]]:
        chunk = list[Registered]()
        async for registered in self.registry.all():
            chunk.append(registered)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
        yield chunk

    async def _key(self, name: str) -> bool:
        """Seal a key of the hub's own anew, if there is one; False when it can't be opened."""
        sealed = await self.pipeline.command("GET", name)
        try:
            if sealed and (new := self.seal.secrets.reseal(sealed)) != sealed:
                await self.seal.enter()
                await self.pipeline.command("SET", name, new)
        except Unopened:
            return False
        return True

    async def _subscription(self, registered: Registered) -> bool | None:
        """Seal what is kept of a Subscription anew; whether there was anything to do, or None if it doesn't open."""
        key, changed = registered.key, False
        while True:  # once, unless it is written in this moment
            held = [value or b"" for value in await self.pipeline.command("HMGET", key.subscription, *FIELDS)]
            try:
                new = self._anew(key.version, *held)
            except Unopened:
                return None
            if new == held:
                break
            await self.seal.enter()
            triples = [part for triple in zip(FIELDS, held, new, strict=True) for part in triple]
            changed = bool(await self.pipeline.run(RESEAL, [key.subscription], *triples)) or changed
        kept, headers = FORMS[key.version].withhold(registered.resource)
        if headers:  # nobody looks for them there, so the log needn't tell of it
            record = replace(registered, resource=kept).record
            await self.pipeline.run(RESEAL, [REGISTRY], key.registered_as, registered.record, record)
        return changed or bool(headers)

    def _anew(self, version: FhirVersion, resource: bytes, headers: bytes, secrets: bytes, given: bytes) -> list[bytes]:
        """The FIELDS as they are to be. Raises Unopened."""
        own = self.seal.secrets
        resource, clear = FORMS[version].withhold(resource) if resource else (b"", b"")
        if clear:
            headers = own.seal(clear)
        elif headers:
            headers = own.reseal(headers)
        words = secrets.split()
        words[::2] = map(own.reseal, words[::2])
        return [resource, headers, b" ".join(words), own.reseal(given) if given else b""]

    async def _retired(self) -> tuple[str, ...]:
        """Forget the keys that seal nothing any more; their fingerprints."""
        retired = [each for each in await self.seal.sealers() if each != self.seal.secrets.fingerprints[0]]
        if retired:
            await self.pipeline.command("SREM", SEALERS, *retired)
        return tuple(retired)
