"""Whoever issues tokens: a real HTTP server with a JWK Set, which changes its keys, or misbehaves, as a test wants."""

import asyncio
import json
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import time
from typing import Any, Self

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.warnings import InsecureKeyLengthWarning

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def jwk(private: Private, **more: Any) -> dict[str, Any]:
    """The public half, as a JWK Set has it."""
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return {**RSAAlgorithm.to_jwk(public, as_dict=True), **more}
    return {**ECAlgorithm.to_jwk(public, as_dict=True), **more}


@dataclass
class TokenIssuer:
    """
    Signs by its newest key, and publishes all that it has.

    keys: Private keys by `kid`. published: What its JWK Set has beside them.
    asked: The path of each request.
    answer: What it says instead of what is right, by path; None for what is right.
    discovery: Of its discovery document, what is not as it is usually.
    """

    keys: dict[str, Private] = field(default_factory=lambda: {"first": rsa_key()})
    published: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answer: Callable[[str], Awaitable[web.StreamResponse | None]] | None = None
    discovery: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle), handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Be away: nobody listens there any more."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.answer and (answer := await self.answer(request.path)):
            return answer
        if request.path == "/.well-known/openid-configuration":
            places = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", "token_endpoint": f"{self.url}/token"}
            return web.json_response(places | self.discovery)
        if request.path == "/keys":
            return web.json_response({"keys": [jwk(key, kid=id_) for id_, key in self.keys.items()] + self.published})
        return web.Response(status=404)

    def rotate(self, id_: str) -> None:
        """Have another key from now on, and no other."""
        self.keys = {id_: rsa_key()}

    def token(self, *, algorithm: str = "", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token by the newest key. A claim or header that is None is left out."""
        id_, key = list(self.keys.items())[-1]
        algorithm = algorithm or ("RS384" if isinstance(key, rsa.RSAPrivateKey) else "ES384")
        return signed(key, algorithm, {"kid": id_} | (headers or {}), **{"iss": self.url} | claims)


def signed(key: Any, algorithm: str, headers: dict[str, Any], **claims: Any) -> str:
    """A token of a publisher's, for five minutes, by any key."""
    usual = {"aud": "http://hub.example", "exp": int(time()) + 300, "client_id": "lab", "scope": "system/*.cruds"}
    payload = {name: value for name, value in (usual | claims).items() if value is not None}
    head = {name: value for name, value in headers.items() if value is not None}
    # The library checks what it signs; whoever forges doesn't.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)
        return jwt.api_jws.encode(json.dumps(payload).encode(), key, algorithm, head)


async def hanging(_: str) -> web.StreamResponse | None:
    """Never answers."""
    await asyncio.Event().wait()
    return None


async def unavailable(_: str) -> web.StreamResponse | None:
    return web.Response(status=503)
