"""
What a stranger's bytes come to, apart from HTTP and Redis: kinds of input, each with the code that reads it.

Each begins with two bytes that choose: the FHIR version, and the resource that is looked at. Whoever reads refuses by
`Rejected` or `Refused`; anything else that is raised is a fault.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any

from fhirpathpy.engine.invocations import invocation_registry

from hub.errors import Refused
from hub.ingest import draft, strict
from hub.patch import applied
from hub.patch.fhirpath_patch import FhirPathPatch
from hub.patch.json_patch import JsonPatch, Op
from hub.query import compiled
from subscriptions import filters
from subscriptions.change import Change, Resource
from subscriptions.clearance import NORMAL
from subscriptions.codes import Comparator, FhirVersion, Interaction
from subscriptions.compartment import Compartment, identities
from subscriptions.consent import Unattributed, consent
from subscriptions.errors import EvaluationError, Rejected
from subscriptions.findings import Findings
from subscriptions.labels import labels
from subscriptions.predicate import Predicate
from subscriptions.search.asking import Context
from subscriptions.search.fhirpath import LONGEST
from subscriptions.suppression import Rule
from subscriptions.told import Recipient, Told
from subscriptions.topic import MODIFIERS, built_in
from subscriptions.triggers import Triggers
from subscriptions.versions.forms import FORMS
from subscriptions.versions.topics import read_topic
from tests.fuzz.bodies import resources
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.examples import FIXTURES

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NESTING = 50
BASE = "https://hub.example/fhir/r4"

#: Of what is looked at by criteria and expressions.
TYPES = ("Patient", "Observation", "Encounter", "Consent", "Immunization", "Group", "ValueSet", "MedicationRequest")


def read(kind: str, data: bytes) -> None:
    """Have an input read as what it is meant to be."""
    if len(data) > 2:
        version = tuple(FhirVersion)[data[0] % 3]
        with suppress(Rejected, Refused):
            KINDS[kind](data[2:], version, _looked_at(version)[data[1] % len(_looked_at(version))])


def _resource(data: bytes, version: FhirVersion, _: Change) -> None:
    found = draft(data, version, max_nesting=NESTING)
    head, rest = found.numbered("a", 1_700_000_000_000)
    again = draft(head + b"1" + rest, version, max_nesting=NESTING, type_=found.type)
    assert again.resource["meta"]["versionId"] == "1"
    found.indexed("a", (BASE,))
    _judge(found.resource, version)
    match found.type:
        case "Subscription":
            FORMS[version].parse_subscription(found.resource, now=NOW, allow_http=True)
        case "SubscriptionTopic" | "Basic":
            Triggers(read_topic(found.resource, version), _context(version))
        case "Parameters":
            FhirPathPatch.read(found)


def _judge(resource: Resource, version: FhirVersion) -> None:
    """Ask whom something that was accepted may be told, and about whom it is."""
    NORMAL.covers(resource)
    bases = frozenset({BASE})
    told = Told(resource["resourceType"], "a", (resource,), (labels(resource),), bases, NOW)
    if resource["resourceType"] == "Consent":
        with suppress(Unattributed):
            if found := consent(resource, version, bases):
                found.denies(told, Recipient("client", frozenset({"Organization/f001"})))
    compartment = Compartment(version, "example", identities([resource]), bases)
    compartment.mentions(resource)
    with suppress(EvaluationError):
        compartment.holds(resource)


def _criteria(data: bytes, version: FhirVersion, change: Change) -> None:
    text = data.decode(errors="replace")
    findings = Findings(change, nothing_else())
    with suppress(Rejected):
        Rule.checked("a", text, "", [_context(version)])
    with suppress(Rejected):
        asked = filters.criteria(filters.parse(text), built_in(BASE, change.type), _context(version))
        for each in asked.values():
            findings.subject.all(each)
    query = [(name, value) for name, _, value in (part.partition("=") for part in text.split("&"))]
    findings.subject.all(compiled(query, change.type, _context(version)).criteria)


def _fhirpath(data: bytes, version: FhirVersion, change: Change) -> None:
    Predicate(data.decode(errors="replace"), version).says(change)


def _json_patch(data: bytes, _: FhirVersion, change: Change) -> None:
    patch = JsonPatch.read(data, max_nesting=NESTING)
    strict.parse(applied(patch, _written(change), most=100_000), max_nesting=1000)


def _fhirpath_patch(data: bytes, version: FhirVersion, change: Change) -> None:
    patch = FhirPathPatch.read(draft(data, version, max_nesting=NESTING, type_="Parameters"))
    strict.parse(applied(patch, _written(change), most=100_000), max_nesting=1000)


KINDS: Mapping[str, Callable[[bytes, FhirVersion, Change], None]] = MappingProxyType(
    {
        "resource": _resource,
        "criteria": _criteria,
        "fhirpath": _fhirpath,
        "json-patch": _json_patch,
        "fhirpath-patch": _fhirpath_patch,
    }
)


@cache
def _context(version: FhirVersion) -> Context:
    return Context(version, frozenset({BASE}), chained=True)


@cache
def _looked_at(version: FhirVersion) -> tuple[Change, ...]:
    """An update of a resource of each type."""
    found = {one["resourceType"]: one for one in resources(version)}
    parsed = [strict.parse(json.dumps(found[type_]).encode(), max_nesting=NESTING) for type_ in TYPES if type_ in found]
    return tuple(
        Change(version, Interaction.UPDATE, each["resourceType"], "a", 2, NOW, each, each | {"status": "unknown"})
        for each in parsed
    )


def _written(change: Change) -> bytes:
    return json.dumps(change.resource, default=float).encode()


def seeds(kind: str) -> Iterator[bytes]:
    """What a fuzzer begins with."""
    for i, text in enumerate(_SEEDS.get(kind, ())):
        yield bytes([i % 3, i]) + text.encode()
    if kind == "fhirpath":
        for path in sorted((FIXTURES / "topics").glob("*.json")):
            for text in _members(json.loads(path.read_bytes()), "fhirPathCriteria"):
                yield b"\0\0" + text.encode()
    if kind == "resource":
        for i, version in enumerate(FhirVersion):
            for one in resources(version)[::8] + resources(version)[-8:]:
                yield bytes([i, 0]) + json.dumps(one, separators=(",", ":")).encode()


def largest(kind: str) -> Iterator[bytes]:
    """As large as they may be, and of what takes longest. A fuzzer that began with them would get nowhere."""
    if kind == "fhirpath":
        for text in ("iif(true" + ",a" * LONGEST, "a" + "|1" * LONGEST, "(1=" * LONGEST, "a" + ".a" * LONGEST):
            yield b"\0\0" + text[: LONGEST - 1].encode() + b")"


def words(kind: str) -> Iterator[str]:
    """What a fuzzer may put in as a whole."""
    if kind in ("fhirpath", "fhirpath-patch"):
        yield from (f"{name}(" for name in invocation_registry if name.isalpha())
        yield from (
            "%previous",
            "%current",
            "$this",
            "$index",
            "$total",
            "@2020-01-01T",
            "ofType(",
            " implies ",
            "'mg'",
        )
    if kind == "criteria":
        for type_ in TYPES:
            yield from (f"{type_}?", *(f"{each.code}=" for each in filters.searchable(FhirVersion.R4, type_)))
        yield from (*(f":{modifier}=" for modifier in MODIFIERS), *Comparator, "http://loinc.org|", "$", "\\,", "%7C")
    if kind in ("resource", "fhirpath-patch"):
        yield from (f'"{name}":' for name in ("extension", "contained", "resourceType", "id", "meta", "valueString"))
        yield from ('"Patient"', '"operation"', "1e300", "[[[[", '{"":', "null", "\\ud800")
    if kind == "json-patch":
        yield from (f'"op":"{op}"' for op in Op)
        yield from ('"path":"/', '"from":"/', "/-", "/0", "~0", "~1", '"value":')


def _members(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (each for key, each in value.items() if key == name and isinstance(each, str))
    if isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _members(each, name)


_SEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "criteria": (
            "Patient?name:exact=a,b&birthdate=ge2020-01-01T00:00:00Z",
            "Observation?value-quantity=gt5.4|http://unitsofmeasure.org|mg&code:in=http://example.org/vs",
            "Encounter?patient.name=a&class=http://terminology.hl7.org/CodeSystem/v3-ActCode|IMP",
            "Immunization?vaccine-code:not=207&date=ap2020",
            "_has:Observation:patient:code=a",
            "Patient?identifier:of-type=http://a|MR|1",
            "Observation?component-code-value-quantity=http://loinc.org|8480-6$lt60",
            "Patient?_in=Group/102&_security=http://terminology.hl7.org/CodeSystem/v3-ActCode%7CHIV",
            "_lastUpdated=2020&_id=a\\,b&general-practitioner:identifier=a|b",
            "Group?value=a&characteristic-value=a$b",
            "MedicationRequest?authoredon:missing=true&medication:Medication.code:text=a",
            "ValueSet?url:below=http://example.org/&version=1",
        ),
        "fhirpath": (
            "%previous.status != 'planned' and %current.status = 'finished'",
            "(%previous.empty() | (%previous.status != 'x')) and %current.exists()",
            "name.where(use = 'official').given.first().startsWith('A') or birthDate < @1970-01-01",
            "Observation.value.ofType(Quantity).value > 5.4 'mg'",
            "component.select(value as Quantity).all(value in (1 | 2 | 3))",
            "identifier.value.matches('^[A-Z]{3}[0-9]{4}$')",
            "repeat(contained | extension).count() + descendants().count() > 3",
            "iif(status = 'a', true, {}) implies meta.security.code contains 'R'",
            "name.given.aggregate($this + $total, '') = 'a'",
            "(1 + 2 * 3 div 4 mod 5 - -6).toString().length().power(2).sqrt() ~ 1.0",
            "'a'.replace('', 'b').indexOf('c').toQuantity() is System.Quantity",
            "period.start + 3 days <= period.end and children().trace('x').distinct().isDistinct()",
            "extension('http://a').value.toDateTime() = @2020-01-01T00:00:00+12:00",
            "`resourceType`.upper() & 'x' in ('a').combine('b').skip(1).take(2).tail()",
        ),
        "json-patch": (
            '[{"op":"replace","path":"/status","value":"unknown"},{"op":"test","path":"/id","value":"example"}]',
            '[{"op":"add","path":"/name/-","value":{"family":"a"}},{"op":"remove","path":"/name/0/given"}]',
            '[{"op":"move","from":"/identifier/0","path":"/identifier/1"},{"op":"copy","from":"/a~1b","path":"/~0"}]',
        ),
        "fhirpath-patch": tuple(
            json.dumps({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]})
            for part in (
                [
                    {"name": "type", "valueCode": "replace"},
                    {"name": "path", "valueString": "Patient.name.where(use = 'official').family"},
                    {"name": "value", "valueString": "a"},
                ],
                [
                    {"name": "type", "valueCode": "add"},
                    {"name": "path", "valueString": "Patient"},
                    {"name": "name", "valueString": "contact"},
                    {"name": "value", "part": [{"name": "name", "valueHumanName": {"text": "a"}}]},
                ],
                [
                    {"name": "type", "valueCode": "move"},
                    {"name": "path", "valueString": "Patient.identifier"},
                    {"name": "source", "valueInteger": 1},
                    {"name": "destination", "valueInteger": 0},
                ],
                [
                    {"name": "type", "valueCode": "delete"},
                    {"name": "path", "valueString": "Observation.component[0].value.ofType(Quantity)"},
                ],
            )
        ),
    }
)
