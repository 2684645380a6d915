"""Public keys, as a JWK Set has them: https://www.rfc-editor.org/rfc/rfc7517"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec
from jwt import PyJWK
from jwt.exceptions import PyJWTError

#: Keys that an issuer may have; what is beyond them is not looked at.
MOST_KEYS = 100

#: `kty` and `crv` of the keys that an algorithm takes; RSA keys have no curve.
_TAKES = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}


@dataclass(frozen=True, slots=True)
class Signer:
    """
    A key, for one algorithm: no token may have it taken for another.

    id: Its `kid`; empty for none.
    digest: Of what it is made of: two with the same one are the same.
    """

    id: str
    algorithm: str
    digest: str
    key: PyJWK = field(compare=False, repr=False)


def signers(jwks: dict[str, Any], algorithms: Iterable[str]) -> frozenset[Signer]:
    """The keys that may sign tokens by one of these algorithms. Whatever else there is, is passed over."""
    listed = jwks.get("keys")
    keys = [jwk for jwk in listed[:MOST_KEYS] if isinstance(jwk, dict)] if isinstance(listed, list) else []
    return frozenset(signer for jwk in keys for algorithm in algorithms for signer in _signer(jwk, algorithm))


def _signer(jwk: dict[str, Any], algorithm: str) -> Iterator[Signer]:
    """One, or none."""
    kid, operations = jwk.get("kid", ""), jwk.get("key_ops", ["verify"])
    signs = jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    fits = (jwk.get("kty"), jwk.get("crv")) == _TAKES[algorithm] and jwk.get("alg", algorithm) == algorithm
    if not (signs and fits and isinstance(kid, str)):
        return
    try:
        key = PyJWK(jwk, algorithm)
    except (PyJWTError, ValueError, TypeError):
        return
    yield Signer(kid, algorithm, sha256(msgspec.json.encode(jwk, order="deterministic")).hexdigest(), key)
