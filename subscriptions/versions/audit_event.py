"""
AuditEvent, as R4, R4B and R5 have it: https://hl7.org/fhir/R4/auditevent.html, https://hl7.org/fhir/R5/auditevent.html.

Its type (R5's category) and first subtype (R5's code) are of the codes that FHIR names; a second one is the hub's own,
by which each kind of act is found.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from subscriptions.audit import HUB, Act, Entry, Kind, Outcome
from subscriptions.codes import FhirVersion
from subscriptions.versions.instant import write

Json = dict[str, Any]

#: The system of the hub's own codes, which are the values of Kind.
KINDS = "https://fhir-event-hub.example/CodeSystem/audit"

_HL7 = "http://terminology.hl7.org/CodeSystem"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_REST = "http://hl7.org/fhir/restful-interaction"
#: `Type/id`, of one version or of any.
_REFERENCE = re.compile(r"([A-Z][A-Za-z]{1,63})/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Coding:
    """A code and where it is from."""

    system: str
    code: str
    display: str

    @property
    def json(self) -> Json:
        return {"system": self.system, "code": self.code, "display": self.display}


@dataclass(frozen=True, slots=True)
class Meaning:
    """
    What a kind of act is in FHIR's words.

    action: `C`, `R`, `U`, `D` or `E`: http://hl7.org/fhir/ValueSet/audit-event-action.
    subtype: None where FHIR has no word for it.
    """

    type: Coding
    action: str
    subtype: Coding | None = None


def _rest(interaction: str, action: str) -> Meaning:
    return Meaning(
        Coding(f"{_HL7}/audit-event-type", "rest", "RESTful Operation"), action, Coding(_REST, interaction, interaction)
    )


def _dicom(code: int, display: str, action: str, subtype: int = 0, display_of_subtype: str = "") -> Meaning:
    detail = Coding(_DICOM, str(subtype), display_of_subtype) if subtype else None
    return Meaning(Coding(_DICOM, str(code), display), action, detail)


def _lifecycle(code: str, display: str, action: str) -> Meaning:
    return Meaning(Coding(f"{_HL7}/iso-21089-lifecycle", code, display), action)


_ACTIVITY, _ALERT = (110100, "Application Activity"), (110113, "Security Alert")
_ATTRIBUTES = (110137, "User Security Attributes Changed")

#: Of each kind.
MEANINGS: Mapping[Kind, Meaning] = MappingProxyType(
    {
        Kind.SUBSCRIPTION_CREATED: _rest("create", "C"),
        Kind.SUBSCRIPTION_CHANGED: _rest("update", "U"),
        Kind.SUBSCRIPTION_DELETED: _rest("delete", "D"),
        Kind.SUBSCRIPTION_ACTIVATED: _dicom(*_ACTIVITY, "U"),
        Kind.SUBSCRIPTION_FAILED: _dicom(*_ACTIVITY, "U"),
        Kind.SUBSCRIPTION_OFF: _dicom(*_ACTIVITY, "U"),
        Kind.SUBSCRIPTION_RESUMED: _dicom(*_ACTIVITY, "U"),
        Kind.CREDENTIALS_CHANGED: _dicom(*_ALERT, "U", *_ATTRIBUTES),
        Kind.SECRET_ROTATED: _dicom(*_ALERT, "U", *_ATTRIBUTES),
        Kind.TOPIC_CREATED: _rest("create", "C"),
        Kind.TOPIC_CHANGED: _rest("update", "U"),
        Kind.TOPIC_DELETED: _rest("delete", "D"),
        Kind.CLIENT_CHANGED: _dicom(*_ALERT, "U", *_ATTRIBUTES),
        Kind.CLIENT_REMOVED: _dicom(*_ALERT, "D", *_ATTRIBUTES),
        Kind.KEY_CREATED: _dicom(*_ALERT, "C", *_ATTRIBUTES),
        Kind.KEY_REVOKED: _dicom(*_ALERT, "D", *_ATTRIBUTES),
        Kind.TENANT_CHANGED: _dicom(*_ALERT, "U", 110136, "Security Roles Changed"),
        Kind.RULE_ADDED: _dicom(*_ALERT, "C", *_ATTRIBUTES),
        Kind.RULE_REMOVED: _dicom(*_ALERT, "D", *_ATTRIBUTES),
        Kind.RESENT: _rest("operation", "E"),
        Kind.ORIGIN_DRAINED: _dicom(*_ACTIVITY, "E"),
        Kind.ORIGIN_RESUMED: _dicom(*_ACTIVITY, "E"),
        Kind.REDELIVERED: _rest("operation", "E"),
        Kind.TESTED: _rest("operation", "E"),
        Kind.RECOVERED: _dicom(*_ACTIVITY, "E"),
        Kind.RESEALED: _dicom(*_ALERT, "E", 110129, "Security Configuration"),
        Kind.EXPORTED: _dicom(110101, "Audit Log Used", "R"),
        Kind.ERASED: _lifecycle("destroy", "Destroy/Delete Record Lifecycle Event", "D"),
        Kind.SUPPRESSED: _dicom(110106, "Export", "R"),
        Kind.REFUSED: _dicom(*_ALERT, "E", 110132, "Use of Restricted Function"),
        Kind.LOST: _dicom(*_ALERT, "E", 110133, "Audit Recording Stopped"),
        Kind.NOTIFIED: _dicom(110106, "Export", "R"),
        Kind.READ: _rest("read", "R"),
        Kind.SEARCHED: _rest("search-type", "E"),
    }
)

#: R5's codes of an outcome: http://hl7.org/fhir/R5/valueset-audit-event-outcome.html.
_OUTCOMES = {
    Outcome.SUCCESS: ("success", "Operation Successful"),
    Outcome.REFUSED: ("warning", "Warning"),
    Outcome.FAILED: ("error", "Error"),
}

_SOURCE, _DESTINATION = Coding(_DICOM, "110153", "Source Role ID"), Coding(_DICOM, "110152", "Destination Role ID")
_SERVER = Coding(f"{_HL7}/security-source-type", "4", "Application Server")
_PATIENT = Coding(f"{_HL7}/object-role", "1", "Patient")
_RESOURCE = Coding(f"{_HL7}/object-role", "4", "Domain Resource")
_OTHER = Coding(f"{_HL7}/object-role", "13", "Security Resource")


def audit_event(entry: Entry, version: FhirVersion, bases: Mapping[FhirVersion, str]) -> Json:
    """
    An entry as the AuditEvent of a FHIR version.

    bases: The FHIR base of each version, without a slash at its end.
    """
    at = write(datetime.fromtimestamp(entry.at / 1000, UTC))
    head = {"resourceType": "AuditEvent", "id": entry.id, "meta": {"versionId": "1", "lastUpdated": at}}
    body = _r5 if version is FhirVersion.R5 else _r4
    return head | body(entry.act, at, version, bases)


def _r4(act: Act, at: str, version: FhirVersion, bases: Mapping[FhirVersion, str]) -> Json:
    meaning, entities = MEANINGS[act.kind], list(_entities(act, version, bases))
    written: Json = {
        "type": meaning.type.json,
        "subtype": [coding.json for coding in _codes(act.kind)],
        "action": meaning.action,
        "recorded": at,
        "outcome": act.outcome,
        **({"outcomeDesc": act.text} if act.text else {}),
        "agent": [
            agent | {"altId": agent["who"]["display"], "name": agent["who"]["display"]} for agent in _agents(act)
        ],
        "source": {"observer": _observer(bases[version]), "type": [_SERVER.json]},
    }
    if entities:
        written["entity"] = [
            {
                "what": what,
                **({"type": {"system": "http://hl7.org/fhir/resource-types", "code": type_}} if type_ else {}),
                "role": role.json,
                **({"name": what["display"]} if "display" in what else {}),
            }
            for what, type_, role in entities
        ]
    return written


def _r5(act: Act, at: str, version: FhirVersion, bases: Mapping[FhirVersion, str]) -> Json:
    meaning, entities = MEANINGS[act.kind], list(_entities(act, version, bases))
    code, display = _OUTCOMES[act.outcome]
    outcome: Json = {"code": {"system": "http://hl7.org/fhir/issue-severity", "code": code, "display": display}}
    if act.text:
        outcome["detail"] = [{"text": act.text}]
    patients = [what for what, _, role in entities if role is _PATIENT]
    written: Json = {
        "category": [_concept(meaning.type)],
        "code": {"coding": [coding.json for coding in _codes(act.kind)]},
        "action": meaning.action,
        "recorded": at,
        "outcome": outcome,
        **({"patient": patients[0]} if len(patients) == 1 else {}),
        "agent": list(_agents(act)),
        "source": {"observer": _observer(bases[version]), "type": [_concept(_SERVER)]},
    }
    if entities:
        written["entity"] = [{"what": what, "role": _concept(role)} for what, _, role in entities]
    return written


def _codes(kind: Kind) -> Iterator[Coding]:
    if subtype := MEANINGS[kind].subtype:
        yield subtype
    yield Coding(KINDS, kind, kind.replace("-", " ").capitalize())


def _agents(act: Act) -> Iterator[Json]:
    """Who did it; and whom it was told to, where that is somebody else."""
    if act.kind is Kind.NOTIFIED:
        yield _agent(HUB, _SOURCE, requestor=True)
        yield _agent(act.agent, _DESTINATION, requestor=False)
    else:
        yield _agent(act.agent, _SOURCE, requestor=True)


def _agent(name: str, role: Coding, *, requestor: bool) -> Json:
    name = name or "unknown"
    return {"type": _concept(role), "who": {"identifier": {"value": name}, "display": name}, "requestor": requestor}


def _observer(base: str) -> Json:
    return {"identifier": {"system": "urn:ietf:rfc:3986", "value": base}, "display": "FHIR event hub"}


def _entities(act: Act, version: FhirVersion, bases: Mapping[FhirVersion, str]) -> Iterator[tuple[Json, str, Coding]]:
    """Reference, type where it is one of this FHIR version's resources, and role of each."""
    for entity in act.entities:
        found = _REFERENCE.fullmatch(entity)
        if not found or act.version is None:
            yield {"identifier": {"value": entity}, "display": entity}, "", _OTHER
            continue
        own = act.version is version
        reference = entity if own else f"{bases[act.version]}/{entity}"
        role = _PATIENT if found[1] == "Patient" else _RESOURCE
        yield {"reference": reference}, found[1] if own else "", role


def _concept(coding: Coding) -> Json:
    return {"coding": [coding.json]}
