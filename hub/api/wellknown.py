"""
`/.well-known/smart-configuration` below each FHIR base: where a client of it gets tokens.

https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html
"""

from collections.abc import Iterable, Iterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api.documented import Documented
from hub.api.needs import ANYBODY
from hub.api.routes import Route
from hub.smart.issuer import Issuer
from subscriptions.scopes import ADMIN

CONFIGURATION = Documented(
    "Say where clients get tokens: SMART's configuration",
    ANYBODY,
    {200: "The configuration"},
    schema={
        "type": "object",
        "required": ["issuer", "jwks_uri", "token_endpoint", "grant_types_supported", "capabilities"],
        "properties": {
            "issuer": {"type": "string"},
            "jwks_uri": {"type": "string"},
            "token_endpoint": {"type": "string"},
            "token_endpoint_auth_methods_supported": {"type": "array", "items": {"type": "string"}},
            "token_endpoint_auth_signing_alg_values_supported": {"type": "array", "items": {"type": "string"}},
            "grant_types_supported": {"type": "array", "items": {"type": "string"}},
            "scopes_supported": {"type": "array", "items": {"type": "string"}},
            "code_challenge_methods_supported": {"type": "array", "items": {"type": "string"}},
            "capabilities": {"type": "array", "items": {"type": "string"}},
        },
    },
)

SCOPES = ("system/*.cruds", "system/Subscription.cruds", "system/SubscriptionTopic.rs", "system/AuditEvent.rs", ADMIN)


class SmartConfiguration:
    """It is the same at each base, and its issuer's to say; the hub gives out no tokens."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/.well-known/smart-configuration", self.get, CONFIGURATION)

    async def get(self, _: Request) -> Response:
        jwks_url, token_url = await self._issuer.places()
        said: dict[str, str | Iterable[str]] = {
            "issuer": self._issuer.named.issuer,
            "jwks_uri": jwks_url,
            "token_endpoint": token_url,
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
            "grant_types_supported": ["client_credentials"],
            "scopes_supported": SCOPES,
            # Required also where nobody logs in: https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#metadata
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["client-confidential-asymmetric", "permission-v2"],
        }
        return Response(msgspec.json.encode(said), media_type="application/json")
