"""
What a subscriber and its endpoint know each other by: `$rotate-secret`, `$credentials`, and the hub's public key.

Secrets are given in bodies only, since URLs are logged by many, and told once or never.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from hub.api.documentation import subscriptions as documentation
from hub.api.exchange import Answer, Exchange
from hub.api.given import Given, Takes
from hub.api.routes import Route
from hub.api.subscriptions import Subscriptions
from hub.binding import endpoint
from hub.channels.clients import tls_context
from hub.channels.origins import origin
from hub.credentials import ClientCertificate, ClientCredentials
from hub.errors import Refused
from hub.instants import instant
from hub.keyring import Entrusted, Keyring, TooOften
from hub.membership import Member
from hub.secrets import LACKING
from subscriptions.audit import Kind
from subscriptions.codes import IssueCode
from subscriptions.signing import public_text
from subscriptions.versions.values import wrong_url

ROTATE = Takes("$rotate-secret", (), ())
OAUTH = ("tokenUrl", "clientId", "clientSecret", "scope", "clientAuthentication")
TLS = ("certificate", "privateKey")
CREDENTIALS = Takes("$credentials", (), (*OAUTH, *TLS))

#: What is told of secrets is for whoever asked, and for no cache.
PRIVATE = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class Entrusting:
    """What is entrusted to the hub, and by it, at one FHIR base."""

    subscriptions: Subscriptions
    keyring: Keyring

    def routes(self) -> Iterator[Route]:
        path = "/Subscription/{id}/$credentials"
        yield Route("POST", "/Subscription/{id}/$rotate-secret", self.rotate, documentation.ROTATE_SECRET)
        yield Route("POST", path, self.entrust, documentation.ENTRUST)
        yield Route("GET", path, self.entrusted, documentation.ENTRUSTED)

    async def rotate(self, request: Request) -> Response:
        """Make a new secret to sign with, and show it this once. The one before signs beside it for a day."""
        exchange = Exchange(request)
        await self._read(exchange, ROTATE)
        told = await self.rotated(await self._member(exchange), agent=exchange.client)
        kinds = {"previousUntil": "valueInstant"}
        return exchange.respond(
            _parameters([(name, kinds.get(name, "valueString"), text) for name, text in told.items()])
        )

    async def rotated(self, member: Member, *, agent: str) -> dict[str, str]:
        """
        Make a new secret: it, the hub's own key, and until when the secret before signs, as far as there are any.

        Raises:
            Refused: As many sign as may, or the hub keeps no secrets.
        """
        self._demand_keyring()
        await self.subscriptions.membership.record(member.key, Kind.SECRET_ROTATED, agent)
        try:
            rotated = await self.keyring.rotate(member.key)
        except TooOften as error:
            text = f"As many secrets sign as may. Try again when the first of them does no more: {_at(error.until)}."
            raise Refused.because(409, IssueCode.CONFLICT, text) from None
        if rotated is None:
            raise _gone(member)
        key = await self.keyring.hub_key()
        told = {"secret": rotated.secret.text}
        if key:
            told["publicKey"] = public_text(key.public_key())
        if rotated.before_until:
            told["previousUntil"] = _at(rotated.before_until)
        return told

    async def entrust(self, request: Request) -> Response:
        """Keep the credentials that are given, instead of those before; of those that aren't given, none are kept."""
        exchange = Exchange(request)
        given = await self._read(exchange, CREDENTIALS)
        member = await self._member(exchange)
        entrusted = Entrusted(await self._oauth(given), self._certificate(given), origin(endpoint(member)))
        await self.subscriptions.membership.record(member.key, Kind.CREDENTIALS_CHANGED, exchange.client)
        if not await self.keyring.entrust(member.key, entrusted):
            raise _gone(member)
        return exchange.respond(_parameters(_told(entrusted)))

    async def entrusted(self, request: Request) -> Response:
        """What the hub shows to the endpoint, but for whatever is secret."""
        exchange = Exchange(request)
        exchange.without_parameters()
        member = await self._member(exchange)
        return exchange.respond(_parameters(_told(await self.keyring.entrusted(member.key))))

    async def _read(self, exchange: Exchange, takes: Takes) -> Given:
        exchange.without_parameters()
        return await takes.read(
            exchange, max_body=self.subscriptions.max_body, max_nesting=self.subscriptions.max_nesting
        )

    async def _member(self, exchange: Exchange) -> Member:
        """The Subscription; Refused when there is none, or nothing can be kept for it."""
        member = await self.subscriptions.member(exchange.caller, exchange.request.path_params["id"])
        self._demand_keyring()
        return member

    def _demand_keyring(self) -> None:
        if not self.keyring.is_open:
            raise Refused.because(400, IssueCode.NOT_SUPPORTED, f"Not here: {LACKING}. Its operator can set it.")

    async def _oauth(self, given: Given) -> ClientCredentials | None:
        texts = {name: given.texts[name] for name in OAUTH if name in given.texts}
        if not texts:
            return None
        _together(given, OAUTH[:3])
        url, admission = texts["tokenUrl"], self.subscriptions.admission
        if wrong := wrong_url(url, allow_http=admission.allow_http):
            raise Refused.because(400, IssueCode.VALUE, wrong, "tokenUrl")
        if refusal := await admission.refusal_of(url):
            text = f"The hub must not call this token endpoint: {refusal}"
            raise Refused.because(400, IssueCode.SECURITY, text, "tokenUrl")
        way = texts.get("clientAuthentication", "basic")
        if way not in ("basic", "post"):
            text = "clientAuthentication is `basic` (HTTP Basic) or `post` (in the form)."
            raise Refused.because(400, IssueCode.VALUE, text, "clientAuthentication")
        return ClientCredentials(
            url, texts["clientId"], texts["clientSecret"], texts.get("scope", ""), in_body=way == "post"
        )

    def _certificate(self, given: Given) -> ClientCertificate | None:
        if not any(name in given.texts for name in TLS):
            return None
        _together(given, TLS)
        now = instant(self.subscriptions.now())
        try:
            certificate = ClientCertificate.read(given.texts["certificate"], given.texts["privateKey"], now=now)
            tls_context(certificate=certificate)
        except ssl.SSLError as error:
            text = f"OpenSSL does not take the certificate: {error.reason}."
            raise Refused.because(400, IssueCode.VALUE, text, "certificate") from None
        except ValueError as error:
            raise Refused.because(400, IssueCode.VALUE, str(error), "certificate") from None
        return certificate


def signing_routes(keyring: Keyring) -> APIRouter:
    """The hub's public key, for receivers."""
    router = APIRouter(tags=["signing"])

    @router.get("/signing-keys")
    async def signing_keys() -> JSONResponse:
        """The Ed25519 keys (`whpk_…`) by one of which each signature `v1a` is made; none while nothing is signed."""
        key = await keyring.hub_key()
        return JSONResponse({"keys": [public_text(key.public_key())] if key else []})

    return router


def _together(given: Given, names: tuple[str, ...]) -> None:
    """Refuse some of these without the others."""
    for name in names:
        if not given.texts.get(name):
            text = f"`{name}` is missing: {', '.join(names)} are given together."
            raise Refused.because(400, IssueCode.REQUIRED, text, "Parameters.parameter")


def _told(entrusted: Entrusted) -> list[tuple[str, str, str]]:
    given = entrusted.oauth or entrusted.certificate
    told = [("origin", "valueUrl", entrusted.origin)] if given and entrusted.origin else []
    if oauth := entrusted.oauth:
        way = "post" if oauth.in_body else "basic"
        told += [("tokenUrl", "valueUrl", oauth.token_url), ("clientId", "valueString", oauth.client_id)]
        told += [("scope", "valueString", oauth.scope)] if oauth.scope else []
        told += [("clientAuthentication", "valueCode", way)]
    if certificate := entrusted.certificate:
        told += [
            ("certificateSubject", "valueString", certificate.first.subject.rfc4514_string() or "none"),
            ("certificateSha256", "valueString", certificate.fingerprint),
            ("certificateUntil", "valueInstant", certificate.first.not_valid_after_utc.isoformat()),
        ]
    return told


def _parameters(told: list[tuple[str, str, str]]) -> Answer:
    resource: dict[str, Any] = {"resourceType": "Parameters"}
    if told:
        resource["parameter"] = [{"name": name, kind: value} for name, kind, value in told]
    return Answer(200, msgspec.json.encode(resource), headers=dict(PRIVATE))


def _at(ms: int) -> str:
    return instant(ms).isoformat(timespec="milliseconds")


def _gone(member: Member) -> Refused:
    return Refused.because(404, IssueCode.NOT_FOUND, f"Subscription/{member.key.id} was deleted in this moment.")
