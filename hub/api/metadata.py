"""`GET /metadata`: what is really supported. https://hl7.org/fhir/R4/capabilitystatement.html."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api.exchange import Answer, Exchange
from hub.ingest import stored_types
from hub.topics import Topics
from subscriptions.codes import FhirVersion
from subscriptions.filters import searchable
from subscriptions.search.parameters import SearchParameter
from subscriptions.topic import Topic
from subscriptions.versions.instant import write

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport"
_INTERACTIONS = ("create", "read", "vread", "update", "delete", "history-instance", "search-type")
_OF_SUBSCRIPTION = ("create", "read", "vread", "update", "delete", "search-type")


class Metadata:
    """The CapabilityStatement of one FHIR base. Nothing but the topics changes while a process lives."""

    def __init__(self, version: FhirVersion, base: str, topics: Topics, at: datetime, release: str) -> None:
        self._version = version
        self._topics = topics
        self._listed: list[Topic] = []
        self._answer = Answer(200)
        self._base, self._at, self._release = base, at, release

    async def get(self, request: Request) -> Response:
        exchange = Exchange(request)
        await self._topics.refresh()
        if (listed := self._topics.usable(self._version)) != self._listed:
            made = capabilities(self._version, self._base, listed, self._at, self._release)
            self._answer, self._listed = Answer(200, msgspec.json.encode(made)), listed
        return exchange.respond(self._answer)


def capabilities(
    version: FhirVersion, base: str, topics: Iterable[Topic], at: datetime, release: str
) -> dict[str, Any]:
    """
    The CapabilityStatement.

    Args:
        at: Since when it is so.
        release: The version of the software; empty if it isn't known.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": write(at),
        "kind": "instance",
        "instantiates": [f"{_BACKPORT}/CapabilityStatement/backport-subscription-server-r4"],
        "software": {"name": "fhir-event-hub"} | ({"version": release} if release else {}),
        "implementation": {"description": "FHIR event notification hub", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "implementationGuide": [f"{_BACKPORT}/ImplementationGuide/hl7.fhir.uv.subscriptions-backport"],
        "rest": [
            {
                "mode": "server",
                "resource": [
                    _subscription(version, topics) if type_ == "Subscription" else _resource(version, type_)
                    for type_ in sorted({*stored_types(version), "Subscription"})
                ],
                "interaction": [{"code": "batch"}, {"code": "transaction"}],
                "operation": [
                    {
                        "name": "process-message",
                        "definition": "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message",
                    }
                ],
            }
        ],
    }


def _resource(version: FhirVersion, type_: str) -> dict[str, Any]:
    return {
        "type": type_,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "not-match",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [_parameter(parameter) for parameter in searchable(version, type_)],
    }


def _subscription(version: FhirVersion, topics: Iterable[Topic]) -> dict[str, Any]:
    extension = f"{_BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
    status = {"name": "status", "definition": f"{_BACKPORT}/OperationDefinition/backport-subscription-status"}
    events = {"name": "events", "definition": f"{_BACKPORT}/OperationDefinition/backport-subscription-events"}
    resend = {"name": "resend", "definition": f"{_BACKPORT}/OperationDefinition/backport-subscription-resend"}
    validate = {"name": "validate", "definition": "http://hl7.org/fhir/OperationDefinition/Resource-validate"}
    return {
        "extension": [{"url": extension, "valueCanonical": topic.url} for topic in topics],
        "type": "Subscription",
        "supportedProfile": [f"{_BACKPORT}/StructureDefinition/backport-subscription"],
        "interaction": [{"code": code} for code in _OF_SUBSCRIPTION],
        "versioning": "versioned-update",
        "readHistory": False,
        "updateCreate": True,
        "conditionalCreate": False,
        "conditionalRead": "not-match",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [_parameter(parameter) for parameter in searchable(version, "Subscription")],
        "operation": [status, events, resend, validate],
    }


def _parameter(parameter: SearchParameter) -> dict[str, str]:
    return {"name": parameter.code, "definition": parameter.url, "type": parameter.type.value}
