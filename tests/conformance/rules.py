"""What is wrong with a notification by FHIR's own rules: models, invariants, profiles."""

from collections.abc import Iterator
from typing import Any

from fhir.resources import get_fhir_model_class
from fhir.resources.R4B import get_fhir_model_class as r4b_model_class

from tests.conformance.bases import profile

BUNDLES = {
    "r4": ("history", "Parameters", "backport-subscription-notification-r4"),
    "r4b": ("history", "SubscriptionStatus", "backport-subscription-notification"),
    "r5": ("subscription-notification", "SubscriptionStatus", ""),
}
#: The parts of R4's status, with their one type of value; the first three are required (1..1).
PARAMETERS = {
    "subscription": "valueReference",
    "status": "valueCode",
    "type": "valueCode",
    "topic": "valueCanonical",
    "events-since-subscription-start": "valueString",
    "error": "valueCodeableConcept",
    "notification-event": "part",
}
PARTS = {
    "event-number": "valueString",
    "timestamp": "valueInstant",
    "focus": "valueReference",
    "additional-context": "valueReference",
}
REQUIRED = ("subscription", "status", "type")
STATUSES = ("requested", "active", "error", "off")


def faults(version: str, bundle: dict[str, Any]) -> list[str]:
    """What is wrong with a notification Bundle, or the answer to `$events`; nothing if it is valid."""
    return list(_bundle(version, bundle))


def status_faults(version: str, status: dict[str, Any]) -> list[str]:
    """What is wrong with a status by itself."""
    return list(_parameters(status) if version == "r4" else _status(status))


def validate(version: str, resource: dict[str, Any]) -> None:
    """Raise ValidationError if it isn't what FHIR's definitions say. R4's of these types are those of R4B."""
    find = get_fhir_model_class if version == "r5" else r4b_model_class
    find(resource["resourceType"]).model_validate(resource)


def _bundle(version: str, bundle: dict[str, Any]) -> Iterator[str]:
    type_, first, name = BUNDLES[version]
    validate(version, bundle)
    if bundle["type"] != type_:
        yield f"type {bundle['type']}"
    if name and bundle["meta"]["profile"] != [profile(name)]:
        yield "no profile"
    entries = bundle["entry"]
    status = entries[0]["resource"]
    if status["resourceType"] != first:
        yield f"first entry {status['resourceType']}"
    if any(entry["resource"]["resourceType"] == first for entry in entries[1:] if "resource" in entry):
        yield "a second status"
    yield from status_faults(version, status)
    for i, entry in enumerate(entries):
        if type_ == "history" and not {"request", "response"} <= entry.keys():
            yield f"bdl-3, bdl-4: entry {i}"
        if not {"resource", "request", "response"} & entry.keys():
            yield f"bdl-5: entry {i}"
        if "fullUrl" not in entry or "/_history/" in entry["fullUrl"]:
            yield f"bdl-8, bdl-15: entry {i}"
    urls = [(entry["fullUrl"], entry.get("resource", {}).get("meta", {}).get("versionId")) for entry in entries]
    if type_ != "history" and len({*urls}) != len(urls):
        yield "bdl-7"


def _parameters(status: dict[str, Any]) -> Iterator[str]:
    if status["meta"]["profile"] != [profile("backport-subscription-status-r4")]:
        yield "no profile of the status"
    names = [each["name"] for each in status["parameter"]]
    yield from (f"{name} is not there once" for name in REQUIRED if names.count(name) != 1)
    for each in status["parameter"]:
        if each.keys() != {"name", PARAMETERS.get(each["name"], "?")}:
            yield f"parameter {each}"
        if each["name"] == "status" and each["valueCode"] not in STATUSES:
            yield f"status {each['valueCode']}"
        if each["name"] == "notification-event":
            parts = [part["name"] for part in each["part"]]
            if parts.count("event-number") != 1:
                yield "an event without its number"
            yield from (f"part {part}" for part in each["part"] if part.keys() != {"name", PARTS.get(part["name"])})


def _status(status: dict[str, Any]) -> Iterator[str]:
    events = status.get("notificationEvent", [])
    if status["type"] in ("event-notification", "query-event") and not events:
        yield "sst-1"
    if status["type"] == "query-status" and "status" not in status:
        yield "sst-2"
    if status.get("status") not in STATUSES or "reference" not in status["subscription"]:
        yield "no status or no subscription"
    counters = [status["eventsSinceSubscriptionStart"], *(event["eventNumber"] for event in events)]
    yield from (f"counter {each!r}" for each in counters if not isinstance(each, str) or not each.isdecimal())
