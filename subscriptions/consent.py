"""
What a Consent keeps from whom: https://hl7.org/fhir/R4/consent.html, https://hl7.org/fhir/R5/consent.html.

Its provisions are a tree, of which each one is an exception to the one above. A deny holds wherever it may: what the
hub can't evaluate of it (its purpose, action, content codes, an actor who is no client) doesn't narrow it. A permit, an
exception to a deny, holds only where all that it says can be evaluated and is met.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from subscriptions.change import Resource
from subscriptions.clearance import RANKS
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from subscriptions.labels import CONFIDENTIALITY, Label
from subscriptions.search import date
from subscriptions.search.parameters import resource_types
from subscriptions.search.ranges import Range
from subscriptions.search.target import local
from subscriptions.told import Recipient, Told

#: Codes of R4's policyRule by which everything is denied, but for what is permitted: v3-ActCode.
_OPTED_OUT = frozenset({"OPTOUT", "OPTOUTE"})

#: Scopes of R4 that are about what is done to somebody, and not about what is told of him.
_OF_CARE = frozenset({"adr", "treatment"})

#: Elements of a provision that are evaluated, or say nothing.
_EVALUATED = frozenset(
    ("id", "extension", "type", "period", "class", "resourceType", "securityLabel", "actor", "data", "provision")
)
#: The systems of R4's resource types, and of R5's.
_TYPES = frozenset({"http://hl7.org/fhir/resource-types", "http://hl7.org/fhir/fhir-types"})


@dataclass(frozen=True, slots=True)
class Provision:
    """
    One rule of a Consent. What is empty narrows nothing.

    period: As `date` counts; None for always.
    actors: Of each all names that it may be known by.
    data: What it is about, as `Type/id`.
    vague: Elements that can't be evaluated.
    """

    deny: bool
    period: Range | None = None
    types: frozenset[str] = frozenset()
    labels: frozenset[Label] = frozenset()
    actors: tuple[frozenset[str], ...] = ()
    data: frozenset[str] = frozenset()
    vague: frozenset[str] = frozenset()
    nested: tuple["Provision", ...] = ()

    def denies(self, told: Told, recipient: Recipient) -> bool:
        """Whether something may not be told."""
        if self.deny:
            return self._may_hold(told, recipient) and not any(each.permits(told, recipient) for each in self.nested)
        return self._in_force(told) and any(each.denies(told, recipient) for each in self.nested)

    def permits(self, told: Told, recipient: Recipient) -> bool:
        """Whether this takes something out of the deny that it is an exception to."""
        if self.deny or self.vague or not self._holds(told, recipient):
            return False
        return not any(each.denies(told, recipient) for each in self.nested)

    @property
    def all_vague(self) -> frozenset[str]:
        """Those of the nested ones too."""
        return self.vague.union(*(each.all_vague for each in self.nested))

    def _in_force(self, told: Told) -> bool:
        return self.period is None or self.period.contains(date.parse(told.at.isoformat()))

    def _may_hold(self, told: Told, recipient: Recipient) -> bool:
        return (
            self._in_force(told)
            and (not self.types or not self.types.isdisjoint(told.types))
            and (not (self.labels and told.labels) or any(_may_be(label, told) for label in self.labels))
            and (not self.actors or any(_may_name(actor, recipient) for actor in self.actors))
            and (not self.data or not self.data.isdisjoint(told.references))
        )

    def _holds(self, told: Told, recipient: Recipient) -> bool:
        return (
            self._in_force(told)
            and (not self.types or told.types <= self.types)
            and (not self.labels or (bool(told.labels) and all(_is(self.labels, labels) for labels in told.labels)))
            and (not self.actors or any(not actor.isdisjoint(recipient.names) for actor in self.actors))
            and (not self.data or told.own in self.data)
        )


@dataclass(frozen=True, slots=True)
class Consent:
    """
    A Consent that denies something.

    patient: About whom: `Patient/1`.
    """

    id: str
    patient: str
    provision: Provision

    def denies(self, told: Told, recipient: Recipient) -> bool:
        return self.patient in told.references and self.provision.denies(told, recipient)


class Unattributed(ValueError):
    """A Consent that denies something, and doesn't say about whom in a way that the hub could follow."""


def consent(resource: Resource, version: FhirVersion, bases: frozenset[str]) -> Consent | None:
    """
    What a Consent denies; None when it denies nothing, or nothing yet, or nothing any more.

    Raises:
        Unattributed: Its patient is not named by a reference to this hub.
    """
    if resource.get("status") != "active":
        return None
    provision = (_r5 if version is FhirVersion.R5 else _r4)(resource, version, bases)
    if not _denies_something(provision):
        return None
    about = resource.get("subject" if version is FhirVersion.R5 else "patient")
    patient = local(about.get("reference"), bases) if isinstance(about, Mapping) else None
    if patient is None:
        raise Unattributed(f"Consent/{resource.get('id')} denies something, and names no patient by a reference")
    return Consent(str(resource.get("id")), patient, provision)


def _r4(resource: Resource, version: FhirVersion, bases: frozenset[str]) -> Provision:
    if _codes(resource.get("scope")) & _OF_CARE:
        return Provision(deny=False)
    opted_out = bool(_codes(resource.get("policyRule")) & _OPTED_OUT)
    given = resource.get("provision")
    root = given if isinstance(given, Mapping) else {}
    if root.get("type") == "deny":
        return _provision(root, version, bases, deny=True)
    if not opted_out:
        return _provision(root, version, bases, deny=False)
    if root.get("type") == "permit":
        return Provision(deny=True, nested=(_provision(root, version, bases, deny=False),))
    # What is neither narrows nothing: it may be an exception, or what is denied.
    return Provision(deny=True, nested=_provision(root, version, bases, deny=True).nested)


def _r5(resource: Resource, version: FhirVersion, bases: frozenset[str]) -> Provision:
    deny = resource.get("decision") == "deny"
    period = {"period": resource["period"]} if "period" in resource else {}
    # It is also that of every provision that has none.
    exceptions = [period | dict(each) for each in _objects(resource.get("provision"))]
    nested = tuple(_provision(each, version, bases, deny=not deny) for each in exceptions)
    return Provision(deny=deny, period=_period(resource.get("period")) if deny else None, nested=nested)


def _provision(given: Mapping[str, Any], version: FhirVersion, bases: frozenset[str], *, deny: bool) -> Provision:
    """`deny`: What it is unless it says so itself."""
    deny = {"deny": True, "permit": False}.get(str(given.get("type")), deny)
    classes = [*_objects(given.get("class")), *_objects(given.get("resourceType"))]
    types = [_type(each, version) for each in classes]
    data = [_instance(each, bases) for each in _objects(given.get("data"))]
    period = _period(given.get("period"))
    unclear = {"class": None in types, "data": None in data, "period": period is None and "period" in given}
    return Provision(
        deny=deny,
        period=period,
        types=_all(types),
        labels=frozenset(_label(each) for each in _objects(given.get("securityLabel"))),
        actors=tuple(_names(each.get("reference")) for each in _objects(given.get("actor"))),
        data=_all(data),
        vague=frozenset(given).difference(_EVALUATED).union(name for name, is_ in unclear.items() if is_),
        nested=tuple(_provision(each, version, bases, deny=not deny) for each in _objects(given.get("provision"))),
    )


def _denies_something(provision: Provision) -> bool:
    return provision.deny or any(map(_denies_something, provision.nested))


def _type(coding: Mapping[str, Any], version: FhirVersion) -> str | None:
    """The resource type that a class is; None for one of documents, say, or an abstract type."""
    system, code = _label(coding)
    return code if system in _TYPES and code in resource_types(version) else None


def _instance(data: Mapping[str, Any], bases: frozenset[str]) -> str | None:
    """`Type/id` of what a provision is about; None for all that is related to something."""
    reference = data.get("reference")
    if data.get("meaning") != "instance" or not isinstance(reference, Mapping):
        return None
    return local(reference.get("reference"), bases)


def _all(found: Sequence[str | None]) -> frozenset[str]:
    """Nothing, if one of them can't be evaluated: what it adds isn't known."""
    return frozenset() if None in found else frozenset(filter(None, found))


def _names(reference: Any) -> frozenset[str]:
    """All that an actor may be known by."""
    if not isinstance(reference, Mapping):
        return frozenset()
    identifier = reference.get("identifier")
    found = (
        str(reference.get("reference") or "").rpartition("/")[2],
        identifier.get("value") if isinstance(identifier, Mapping) else None,
        reference.get("display"),
    )
    return frozenset(str(each) for each in found if each)


def _may_name(actor: frozenset[str], recipient: Recipient) -> bool:
    """Whether an actor may be the recipient: whoever isn't known to be somebody else."""
    return not actor.isdisjoint(recipient.names) or actor.isdisjoint(recipient.others)


def _may_be(label: Label, told: Told) -> bool:
    """Whether a label that a provision names may be about what is told; see R4's provision.securityLabel."""
    system, code = label
    if system == CONFIDENTIALITY and code in RANKS:  # a high-water mark: what is as high, or lower
        return any(_rank(labels) <= RANKS.index(code) for labels in told.labels)
    # Another label of the system may be below it.
    return any(held[0] in (system, "") or held[1] == code for labels in told.labels for held in labels)


def _is(wanted: frozenset[Label], held: frozenset[Label]) -> bool:
    """Whether something with these labels is surely what a provision names by labels."""
    marks = {label for label in wanted if label[0] == CONFIDENTIALITY and label[1] in RANKS}
    highest = max((RANKS.index(code) for _, code in marks), default=-1)
    return not held.isdisjoint(wanted - marks) or _rank(held, unknown=len(RANKS)) <= highest


def _rank(labels: frozenset[Label], *, unknown: int = 0) -> int:
    """The confidentiality of something with these labels. `unknown`: What it counts as if it can't be compared."""
    found = [label for label in labels if label[0] in (CONFIDENTIALITY, "")]  # without a system it may be one
    ranks = [RANKS.index(code) if system and code in RANKS else unknown for system, code in found]
    return max(ranks, default=RANKS.index("N"))


def _period(given: Any) -> Range | None:
    """None for one that can't be read, too: a deny then holds for ever."""
    if not isinstance(given, Mapping):
        return None
    start, end = given.get("start"), given.get("end")
    try:
        first = date.parse(str(start)).start if start else -float("inf")
        return Range(first, date.parse(str(end)).end if end else float("inf"))
    except Rejected:
        return None


def _label(coding: Mapping[str, Any]) -> Label:
    return str(coding.get("system", "")), str(coding.get("code", ""))


def _codes(concept: Any) -> set[str]:
    codings = _objects(concept.get("coding")) if isinstance(concept, Mapping) else []
    return {str(coding.get("code")) for coding in codings}


def _objects(given: Any) -> list[Mapping[str, Any]]:
    return [each for each in given if isinstance(each, Mapping)] if isinstance(given, list) else []
