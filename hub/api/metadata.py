"""`GET /metadata`: what is really supported. https://hl7.org/fhir/R4/capabilitystatement.html."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api.asking import Asking
from hub.api.exchange import Answer, Exchange
from hub.ingest import stored_types
from hub.topics import Topics
from subscriptions.codes import FhirVersion
from subscriptions.filters import searchable
from subscriptions.search.parameters import SearchParameter
from subscriptions.topic import Topic
from subscriptions.versions.instant import write

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport"
_GUIDE = f"{_BACKPORT}/ImplementationGuide/hl7.fhir.uv.subscriptions-backport"
#: What the Backport IG calls a server of its; R5 has no such definition.
_SERVERS = {
    FhirVersion.R4: "backport-subscription-server-r4",
    FhirVersion.R4B: "backport-subscription-server",
}
_INTERACTIONS = (
    "create",
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "search-type",
)
_OF_SUBSCRIPTION = ("create", "read", "vread", "update", "patch", "delete", "search-type")


class Metadata:
    """The CapabilityStatement of one FHIR base. Nothing but the topics changes while a process lives."""

    def __init__(
        self, version: FhirVersion, base: str, topics: Topics, at: datetime, release: str, asking: Asking
    ) -> None:
        self._version = version
        self._topics = topics
        self._listed: list[Topic] = []
        self._answer = Answer(200)
        self._base, self._at, self._release, self._asking = base, at, release, asking

    async def get(self, request: Request) -> Response:
        exchange = Exchange(request)
        await self._topics.refresh()
        if (listed := self._topics.usable(self._version)) != self._listed:
            made = capabilities(self._version, self._base, listed, self._at, self._release, self._asking.security)
            self._answer, self._listed = Answer(200, msgspec.json.encode(made)), listed
        return exchange.respond(self._answer)


def capabilities(
    version: FhirVersion, base: str, topics: Iterable[Topic], at: datetime, release: str, security: Mapping[str, Any]
) -> dict[str, Any]:
    """
    The CapabilityStatement.

    Args:
        at: Since when it is so.
        release: The version of the software; empty if it isn't known.
        security: How clients say who they are; empty where they don't.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": write(at),
        "kind": "instance",
        **({"instantiates": [f"{_BACKPORT}/CapabilityStatement/{_SERVERS[version]}"]} if version in _SERVERS else {}),
        "software": {"name": "fhir-event-hub"} | ({"version": release} if release else {}),
        "implementation": {"description": "FHIR event notification hub", "url": base},
        "fhirVersion": version.number,
        "format": ["json", "application/fhir+json"],
        "patchFormat": ["application/json-patch+json", "application/fhir+json"],
        **({"implementationGuide": [_GUIDE]} if version in _SERVERS else {}),
        "rest": [
            {
                "mode": "server",
                **({"security": dict(security)} if security else {}),
                "resource": sorted(_resources(version, topics), key=itemgetter("type")),
                "interaction": [{"code": "batch"}, {"code": "transaction"}, {"code": "history-system"}],
                "operation": [
                    {
                        "name": "process-message",
                        "definition": "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message",
                    }
                ],
            }
        ],
    }


def _resources(version: FhirVersion, topics: Iterable[Topic]) -> Iterator[dict[str, Any]]:
    yield _subscription(version, topics)
    yield _audit(version)
    if version is not FhirVersion.R4:
        yield _without_history(version, "SubscriptionTopic")
    yield from (_resource(version, type_) for type_ in stored_types(version))


def _resource(version: FhirVersion, type_: str) -> dict[str, Any]:
    return {
        "type": type_,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        **({"conditionalPatch": True} if version is FhirVersion.R5 else {}),
        "conditionalDelete": "single",
        "searchParam": [_parameter(parameter) for parameter in searchable(version, type_)],
    }


def _audit(version: FhirVersion) -> dict[str, Any]:
    return {
        "type": "AuditEvent",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "conditionalRead": "full-support",
        "searchParam": [_parameter(parameter) for parameter in searchable(version, "AuditEvent")],
    }


def _subscription(version: FhirVersion, topics: Iterable[Topic]) -> dict[str, Any]:
    extension = f"{_BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
    profiles = {"supportedProfile": [f"{_BACKPORT}/StructureDefinition/backport-subscription"]}
    return {
        "extension": [{"url": extension, "valueCanonical": topic.url} for topic in topics],
        **(profiles if version in _SERVERS else {}),
        **_without_history(version, "Subscription"),
        "operation": [{"name": name, "definition": url} for name, url in _operations(version).items()],
    }


def _operations(version: FhirVersion) -> dict[str, str]:
    """By name, the definitions of the operations on Subscription; `$resend` is the Backport IG's alone."""
    backport = f"{_BACKPORT}/OperationDefinition/backport-subscription-"
    own = backport if version in _SERVERS else "http://hl7.org/fhir/OperationDefinition/Subscription-"
    return {
        "status": f"{own}status",
        "events": f"{own}events",
        "resend": f"{backport}resend",
        "validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    }


def _without_history(version: FhirVersion, type_: str) -> dict[str, Any]:
    """What can be done with Subscriptions and topics."""
    return {
        "type": type_,
        "interaction": [{"code": code} for code in _OF_SUBSCRIPTION],
        "versioning": "versioned-update",
        "readHistory": False,
        "updateCreate": True,
        "conditionalCreate": False,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        **({"conditionalPatch": False} if version is FhirVersion.R5 else {}),
        "conditionalDelete": "not-supported",
        "searchParam": [_parameter(parameter) for parameter in searchable(version, type_)],
    }


def _parameter(parameter: SearchParameter) -> dict[str, str]:
    return {"name": parameter.code, "definition": parameter.url, "type": parameter.type.value}
