"""A topic in the form of a FHIR version: the client's own bytes in the one that it was sent in."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from subscriptions.can_filter_by import evaluable
from subscriptions.codes import Comparator, FhirVersion, Interaction
from subscriptions.topic import CanFilterBy, EventTrigger, NotificationShape, ResourceTrigger, Topic
from subscriptions.versions import instant
from subscriptions.versions.topics.element import CROSS_VERSION
from subscriptions.versions.topics.reading import R4B_MODIFIERS

_STRUCTURE_DEFINITION = "http://hl7.org/fhir/StructureDefinition/"
_TYPE_CODE = {"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}

#: Elements of R5 that R4B hasn't.
_R5_ONLY = ("name", "versionAlgorithmString", "versionAlgorithmCoding", "copyrightLabel")
#: The type of each element in an extension, those apart that have elements of their own.
_VALUE = {
    **dict.fromkeys(("url", "resource", "filterDefinition"), "valueUri"),
    **dict.fromkeys(("description", "purpose", "copyright"), "valueMarkdown"),
    **dict.fromkeys(("supportedInteraction", "resultForCreate", "resultForDelete", "status"), "valueCode"),
    **dict.fromkeys(("comparator", "modifier"), "valueCode"),
    **dict.fromkeys(("experimental", "requireBoth"), "valueBoolean"),
    **dict.fromkeys(("approvalDate", "lastReviewDate"), "valueDate"),
    "date": "valueDateTime",
    "derivedFrom": "valueCanonical",
    "identifier": "valueIdentifier",
    "contact": "valueContactDetail",
    "useContext": "valueUsageContext",
    "jurisdiction": "valueCodeableConcept",
    "effectivePeriod": "valuePeriod",
    "event": "valueCodeableConcept",
    "versionAlgorithmCoding": "valueCoding",
}
_NESTED = frozenset({"resourceTrigger", "eventTrigger", "canFilterBy", "notificationShape", "queryCriteria"})
#: What stays as it is in every form.
_FRAME = ("contained", "implicitRules", "language", "text")


def topic_json(
    topic: Topic,
    sent: bytes,
    written_in: FhirVersion,
    version: FhirVersion,
    *,
    id: str,
    version_id: int,
    last_updated: datetime,
) -> bytes:
    """
    Render a topic as it is returned by the base of a FHIR version.

    In the version that it was sent in: the bytes that came, apart from `id` and `meta`. In another one: what `topic`
    says, and the elements about its publication. Elements that the version lacks become cross-version extensions;
    other extensions are left out.

    Args:
        sent: As it was sent, or empty for a built-in topic, which is written from `topic` alone.
    """
    members = msgspec.json.decode(sent, type=dict[str, msgspec.Raw]) if sent else {}
    meta = msgspec.json.decode(members.get("meta", b"null"), type=dict[str, msgspec.Raw] | None) or {}
    if version is not written_in:
        meta.pop("profile", None)
    ours: dict[str, Any] = {
        "resourceType": "Basic" if version is FhirVersion.R4 else "SubscriptionTopic",
        "id": id,
        "meta": meta | {"versionId": str(version_id), "lastUpdated": instant.write(last_updated)},
    }
    if sent and version is written_in:
        return msgspec.json.encode(ours | {name: value for name, value in members.items() if name not in ours})
    published = _published(members, written_in)
    frame = {name: members[name] for name in _FRAME if name in members}
    return msgspec.json.encode(ours | frame | _formed(published | _elements(topic, version), version))


def _formed(elements: dict[str, Any], version: FhirVersion) -> dict[str, Any]:
    match version:
        case FhirVersion.R4:
            return _basic(elements)
        case FhirVersion.R4B:
            return _r4b(elements)
        case FhirVersion.R5:
            return elements


def _published(members: Mapping[str, msgspec.Raw], written_in: FhirVersion) -> dict[str, Any]:
    """The elements that `Topic` doesn't have: those about the topic's publication."""
    if written_in is not FhirVersion.R4:
        names = (*_VALUE, *_R5_ONLY, "publisher")
        own = {name: msgspec.json.decode(members[name]) for name in names if name in members}
        extended = _of_extensions(members.get("extension", b"[]"))
        return extended | own
    return _of_extensions(members.get("extension", b"[]"))


def _of_extensions(extensions: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for extension in msgspec.json.decode(extensions, type=list[dict[str, Any]]):
        name = re.sub(r".*extension-SubscriptionTopic\.", "", extension["url"])
        value = next((value for key, value in extension.items() if key.startswith("value")), None)
        if value is None or name == extension["url"]:
            continue
        if name in ("identifier", "contact", "useContext", "jurisdiction"):
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


def _elements(topic: Topic, version: FhirVersion) -> dict[str, Any]:
    """The topic in R5's form. Where it allows every filter, they are listed."""
    allowed = topic.can_filter_by
    if allowed is None:
        allowed = tuple(each for type_ in sorted(topic.resource_types) for each in evaluable(type_, version))
    return _present(
        url=topic.url,
        version=topic.version,
        title=topic.title,
        derivedFrom=list(topic.derived_from),
        status=topic.status.value,
        description=topic.description,
        resourceTrigger=[_trigger(each) for each in topic.triggers],
        eventTrigger=[_event(each) for each in topic.event_triggers],
        canFilterBy=[_allowed(each) for each in allowed],
        notificationShape=[_shape(each) for each in topic.shapes],
    )


def _trigger(trigger: ResourceTrigger) -> dict[str, Any]:
    query = trigger.query
    return _present(
        description=trigger.description,
        resource=_STRUCTURE_DEFINITION + trigger.resource,
        supportedInteraction=[each.value for each in Interaction if each in trigger.interactions],
        queryCriteria=query
        and _present(
            previous=query.previous,
            resultForCreate=_result(query.result_for_create),
            current=query.current,
            resultForDelete=_result(query.result_for_delete),
            requireBoth=query.require_both or None,
        ),
        fhirPathCriteria=trigger.fhirpath,
    )


def _result(passes: bool | None) -> str | None:
    return None if passes is None else "test-passes" if passes else "test-fails"


def _event(trigger: EventTrigger) -> dict[str, Any]:
    codings = [{"system": system, "code": code} for system, code in sorted(trigger.codings)]
    event, resource = {"coding": codings}, _STRUCTURE_DEFINITION + trigger.resource
    return _present(description=trigger.description, event=event, resource=resource)


def _allowed(allowed: CanFilterBy) -> dict[str, Any]:
    return _present(
        description=allowed.description,
        resource=allowed.resource,
        filterParameter=allowed.parameter,
        filterDefinition=allowed.definition,
        comparator=[each.value for each in Comparator if each in allowed.comparators],
        modifier=sorted(allowed.modifiers),
    )


def _shape(shape: NotificationShape) -> dict[str, Any]:
    return _present(resource=shape.resource, include=list(shape.include), revInclude=list(shape.rev_include))


def _present(**elements: Any) -> dict[str, Any]:
    return {name: value for name, value in elements.items() if value not in (None, "", [], {})}


def _r4b(elements: dict[str, Any]) -> dict[str, Any]:
    """R5's form without what R4B lacks: that goes into extensions."""
    own = {name: value for name, value in elements.items() if name not in _R5_ONLY}
    extensions = [_extension(name, elements[name]) for name in _R5_ONLY if name in elements]
    own["canFilterBy"] = [_r4b_filter(each) for each in elements.get("canFilterBy", [])]
    return _present(**own, extension=extensions)


def _r4b_filter(allowed: dict[str, Any]) -> dict[str, Any]:
    modifiers = allowed.get("modifier", [])
    codes = ["=", *allowed.get("comparator", []), *(each for each in modifiers if each in R4B_MODIFIERS)]
    others = [_extension("canFilterBy.modifier", each) for each in modifiers if each not in R4B_MODIFIERS]
    rest = {name: value for name, value in allowed.items() if name not in ("comparator", "modifier")}
    return _present(**rest, modifier=codes, extension=others)


def _extension(name: str, value: Any, prefix: str = CROSS_VERSION) -> dict[str, Any]:
    return {"url": prefix + name, _VALUE.get(name.rpartition(".")[2], "valueString"): value}


def _basic(elements: dict[str, Any]) -> dict[str, Any]:
    status = _extension("status", elements.pop("status"))
    extensions = list(_extensions(elements, CROSS_VERSION))
    return {"extension": extensions, "modifierExtension": [status], "code": {"coding": [_TYPE_CODE]}}


def _extensions(elements: Mapping[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    for name, found in elements.items():
        values: Iterable[Any] = found if isinstance(found, list) else [found]
        for value in values:
            if name in _NESTED:
                yield {"url": prefix + name, "extension": list(_extensions(value, ""))}
            else:
                yield _extension(name, value, prefix)
