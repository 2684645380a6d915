"""
The credentials that subscriptions' endpoints are shown, in Redis, sealed.

In the hash of a subscription they are `secrets` (see `lua/rotate.lua`) and `credentials` (JSON, sealed). Every change
of them raises its revision, so that whoever serves it reads them anew. The hub's own key is made with the first secret.
"""

import os
from dataclasses import dataclass
from logging import getLogger

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.credentials import ClientCertificate, ClientCredentials, Credentials
from hub.errors import NotTheHub
from hub.keys import SIGNING_KEY, SubscriptionKey
from hub.pipeline import Pipeline, script
from hub.seal import Seal
from hub.secrets import Unopened
from subscriptions.signing import SECRET_BYTES, Secret

ROTATE, ENTRUST = script("rotate"), script("entrust")

log = getLogger("hub.keyring")

#: ms for which a secret signs beside the one that replaced it.
OVERLAP = 24 * 3_600_000
#: Secrets of a subscription that sign at once: each is 48 characters of a header.
MOST_SECRETS = 8


class Entrusted(msgspec.Struct, frozen=True):
    """
    What a client has given us to show to its endpoint.

    origin: That of the endpoint that it was given for: it is shown to no other. Empty where a release before layout 4
        took it, which noted none.
    """

    oauth: ClientCredentials | None = None
    certificate: ClientCertificate | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Rotated:
    """A new secret, and until when (ms) the one before signs too; None when there was none."""

    secret: Secret
    before_until: int | None


class TooOften(Exception):
    """As many secrets sign as may. `until`: when (ms) the first of them does no more."""

    def __init__(self, until: int) -> None:
        super().__init__()
        self.until = until


class Keyring:
    """All credentials of a store."""

    def __init__(self, pipeline: Pipeline, seal: Seal) -> None:
        self._pipeline = pipeline
        self._seal = seal
        self._hub_key: Ed25519PrivateKey | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything can be kept."""
        return self._seal.is_there

    async def check(self) -> None:
        """Raises NotTheHub when the store holds secrets, and this process hasn't got the key to them."""
        try:
            await self.hub_key()
        except Unopened:
            if self._seal.is_there:
                why = "none of the keys in HUB_SECRETS_KEY opens the secrets in Redis: add the one that sealed them"
            else:
                why = "HUB_SECRETS_KEY is not set, and Redis holds secrets: set it to the key that sealed them"
            raise NotTheHub(f"{why}, or HUB_SECRETS_KEY_FILE") from None

    async def hub_key(self, *, make: bool = False) -> Ed25519PrivateKey | None:
        """The hub's own key; None while there is none, unless it is to be made. Raises Unopened."""
        if self._hub_key is None:
            sealed = await self._pipeline.command("GET", SIGNING_KEY)
            if sealed is None and make:
                fresh = await self._seal.seal(Ed25519PrivateKey.generate().private_bytes_raw())
                await self._pipeline.command("SET", SIGNING_KEY, fresh, "NX")
                sealed = await self._pipeline.command("GET", SIGNING_KEY)
            if sealed is not None:
                self._hub_key = Ed25519PrivateKey.from_private_bytes(self._seal.open(sealed))
        return self._hub_key

    async def rotate(self, subscription: SubscriptionKey) -> Rotated | None:
        """
        Give a subscription a new secret, which is shown this once; None when the subscription is gone.

        Raises:
            TooOften: Nothing was done.
            Unopened: The hub keeps no secrets.
        """
        await self.hub_key(make=True)
        secret = Secret(os.urandom(SECRET_BYTES))
        sealed = await self._seal.seal(secret.key)
        reply = await self._pipeline.run(ROTATE, [subscription.subscription], sealed, OVERLAP, MOST_SECRETS)
        if reply[0] == b"full":
            raise TooOften(int(reply[1]))
        if reply[0] == b"missing":
            return None
        return Rotated(secret, int(reply[1]) if reply[1] else None)

    async def entrust(self, subscription: SubscriptionKey, entrusted: Entrusted) -> bool:
        """Keep these instead of any before; False when the subscription is gone. Raises Unopened."""
        given = entrusted.oauth or entrusted.certificate
        sealed = await self._seal.seal(msgspec.json.encode(entrusted)) if given else b""
        return bool(await self._pipeline.run(ENTRUST, [subscription.subscription], sealed))

    async def entrusted(self, subscription: SubscriptionKey) -> Entrusted:
        """What a client has given. Raises Unopened."""
        return self._opened(await self._pipeline.command("HGET", subscription.subscription, "credentials"))

    async def holds(self, subscription: SubscriptionKey) -> bool:
        """Whether a client has given any."""
        return bool(await self._pipeline.command("HEXISTS", subscription.subscription, "credentials"))

    async def of(self, subscription: SubscriptionKey, origin: str | None) -> Credentials:
        """All that an endpoint of this origin is shown; None for what signs alone. Raises Unopened."""
        secrets, credentials = await self._pipeline.command(
            "HMGET", subscription.subscription, "secrets", "credentials"
        )
        entrusted = self._opened(None if origin is None else credentials)
        if entrusted.origin not in ("", origin):  # the endpoint was changed while they were given
            log.warning("credentials.elsewhere", extra={"subscription": str(subscription), "origin": origin})
            entrusted = Entrusted()
        words = (secrets or b"").split()
        signing = tuple(
            Secret(self._seal.open(sealed), int(until)) for sealed, until in zip(words[::2], words[1::2], strict=True)
        )
        return Credentials(signing, await self.hub_key() if signing else None, entrusted.oauth, entrusted.certificate)

    def _opened(self, sealed: bytes | None) -> Entrusted:
        return msgspec.json.decode(self._seal.open(sealed), type=Entrusted) if sealed else Entrusted()
