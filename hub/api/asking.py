"""How a gate is described: in the OpenAPI document and in the CapabilityStatement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Asking:
    """
    How a gate is described. Empty for one that asks nothing.

    schemes: OpenAPI's Security Scheme Objects, by the names that operations have them by.
    security: CapabilityStatement.rest.security.
    """

    schemes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    security: Mapping[str, Any] = field(default_factory=dict)


NOTHING = Asking()

KEY = Asking(
    {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "API key"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    },
    {"description": "API keys, which the hub's operator gives out: `Authorization: Bearer` or `X-Api-Key`."},
)

#: https://terminology.hl7.org/CodeSystem-restful-security-service.html
_SMART = {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}

TOKEN = Asking(
    {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
    {
        "service": [{"coding": [_SMART]}],
        "description": "Tokens of SMART Backend Services: see .well-known/smart-configuration below this base.",
    },
)
