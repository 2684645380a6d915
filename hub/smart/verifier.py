"""What a token proves: https://www.rfc-editor.org/rfc/rfc9068#section-4, https://www.rfc-editor.org/rfc/rfc8725"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    PyJWTError,
)

from hub.smart.issuer import Issuer
from hub.smart.signer import Signer
from hub.unproven import Fault, Unproven
from subscriptions.scopes import Scopes

#: Characters of a token.
MOST_TOKEN = 16_384
#: Seconds that the issuer's clock may be off.
LEEWAY = 10
#: Tokens that were verified and are known again, and ms for which one is at most.
KEPT, KNOWN = 4_096, 300_000

_OPTIONS: dict[str, Any] = {"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True}

_CLIENT = ("client_id", "azp", "sub")

#: What a failure of PyJWT's says; the first kind counts.
_FAULTS: tuple[tuple[type[PyJWTError], Fault], ...] = (
    (InvalidSignatureError, Fault.SIGNATURE),
    (ExpiredSignatureError, Fault.EXPIRED),
    (ImmatureSignatureError, Fault.EARLY),
    (InvalidIssuerError, Fault.ISSUER),
    (InvalidAudienceError, Fault.AUDIENCE),
    (PyJWTError, Fault.CLAIMS),
)


@dataclass(frozen=True, slots=True)
class Proven:
    """
    What a good token says.

    client: As its issuer calls it.
    """

    client: str
    scopes: Scopes


@dataclass(frozen=True, slots=True)
class _Kept:
    proven: Proven
    signer: Signer
    until: int


class Verifier:
    """
    Verifies tokens for one audience, any of these; each only once, since every request brings one.

    now: ms since 1970.
    most: Tokens that are known again.
    """

    def __init__(self, issuer: Issuer, audience: frozenset[str], *, now: Callable[[], int], most: int = KEPT) -> None:
        self._issuer = issuer
        self._audience = audience
        self._now = now
        self._most = most
        #: By digest: what is kept is no token.
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    async def proven(self, token: str) -> Proven:
        """Raises Unproven; Unavailable when the issuer's keys can't be had."""
        digest = sha256(token.encode()).digest()
        kept = self._kept.get(digest)
        if kept and self._now() < kept.until and await self._issuer.has(kept.signer):
            return kept.proven
        self._kept.pop(digest, None)
        made = await self._verified(token)
        self._kept[digest] = made
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return made.proven

    async def _verified(self, token: str) -> _Kept:
        id_, algorithm = _head(token)
        if algorithm not in self._issuer.named.algorithms:
            raise Unproven(Fault.ALGORITHM)
        signers = await self._issuer.signers(id_, algorithm)
        # One that doesn't name its key has to leave no doubt: nobody's tokens are held against key after key.
        if len(signers) != 1:
            raise Unproven(Fault.KEY)
        claims = self._claims(token, signers[0])
        until = min(int(claims["exp"]) * 1000, self._now() + KNOWN)
        return _Kept(Proven(_client(claims), _scopes(claims)), signers[0], until)

    def _claims(self, token: str, signer: Signer) -> Mapping[str, Any]:
        try:
            return jwt.decode(
                token,
                signer.key,
                algorithms=[signer.algorithm],
                audience=self._audience,
                issuer=self._issuer.named.issuer,
                leeway=LEEWAY,
                options=_OPTIONS,  # type: ignore[arg-type]  # a TypedDict, whose other keys are optional
            )
        except PyJWTError as error:
            raise Unproven(next(fault for kind, fault in _FAULTS if isinstance(error, kind))) from None


def _head(token: str) -> tuple[str, str]:
    """The id of the key that it names, empty for none, and its algorithm."""
    if len(token) > MOST_TOKEN:
        raise Unproven(Fault.MALFORMED)
    try:
        head = jwt.get_unverified_header(token)
    except PyJWTError:
        raise Unproven(Fault.MALFORMED) from None
    id_, algorithm = head.get("kid", ""), head.get("alg")
    if not isinstance(id_, str) or not isinstance(algorithm, str):
        raise Unproven(Fault.MALFORMED)
    return id_, algorithm


def _client(claims: Mapping[str, Any]) -> str:
    client = next((claims[name] for name in _CLIENT if name in claims), None)
    if not isinstance(client, str) or not client:
        raise Unproven(Fault.CLAIMS)
    return client


def _scopes(claims: Mapping[str, Any]) -> Scopes:
    """`scope`, or `scp` as some issuers have it: a string, or a list of strings."""
    said = claims.get("scope", claims.get("scp", ""))
    if isinstance(said, list) and all(isinstance(each, str) for each in said):
        said = " ".join(said)
    if not isinstance(said, str):
        raise Unproven(Fault.CLAIMS)
    return Scopes.granted(said)
