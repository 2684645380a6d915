"""
What is about a patient: his compartment, and whatever else mentions him.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html. Three things are read otherwise than there:

- A Group is in nobody's compartment: it is about all of its members.
- A reference that names the patient by an identifier alone is as good as one by URL, if that has a system and is one of
  the patient's own; and so is one to a contained Patient that bears it.
- `where(resolve() is Patient)` is left out, since what is asked for is one Patient anyway.

Free text is not read: who is only named there is not found.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from subscriptions.change import Resource
from subscriptions.codes import FhirVersion
from subscriptions.errors import EvaluationError
from subscriptions.search.extraction import Expression
from subscriptions.search.held import Held
from subscriptions.search.parameters import of_patients
from subscriptions.search.target import local

#: System and value, neither of them empty.
Identity = tuple[str, str]

_RESOLVES = re.compile(r"\.where\(resolve\(\) is \w+\)")

#: What is found doesn't depend on it.
_ANY_TIME = Held(datetime(1970, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Compartment:
    """
    One patient's.

    id: Of the Patient.
    identities: All that he is known by.
    bases: The hub's own base URLs.
    """

    version: FhirVersion
    id: str
    identities: frozenset[Identity]
    bases: frozenset[str]

    @property
    def name(self) -> str:
        return f"Patient/{self.id}"

    def holds(self, resource: Resource) -> bool:
        """
        Whether a resource is in it.

        Raises:
            EvaluationError: That can't be said.
        """
        type_ = resource["resourceType"]
        if type_ == "Patient" and resource.get("id") == self.id:
            return True
        if type_ == "Group":
            return False
        try:
            return any(
                self._means(value.data, resource)
                for expression in _expressions(self.version, type_)
                for value in expression.values(resource, _ANY_TIME)
                if isinstance(value.data, Mapping)
            )
        except Exception as error:  # whatever the engine meets
            raise EvaluationError.within(f"the compartment of {type_}", error) from None

    def mentions(self, resource: Resource) -> bool:
        """Whether a resource refers to the patient anywhere, bears an identifier of his, or has him inside."""
        left: list[Any] = [resource]
        while left:
            value = left.pop()
            if isinstance(value, Mapping):
                if any(local(value.get(name), self.bases) == self.name for name in ("reference", "fullUrl")):
                    return True
                if not self.identities.isdisjoint(_identity(value)):
                    return True
                if value.get("resourceType") == "Patient" and value.get("id") == self.id:
                    return True
                left += (each for name, each in value.items() if name != "contained")
                left += _within(value.get("contained"))
            elif isinstance(value, list):
                left += value
        return False

    def _means(self, reference: Mapping[str, Any], resource: Resource) -> bool:
        """Whether a Reference in a resource is to the patient."""
        literal = reference.get("reference")
        if literal is not None and local(literal, self.bases) == self.name:
            return True
        if not self.identities.isdisjoint(_identity(reference.get("identifier"))):
            return True
        if isinstance(literal, str) and literal.startswith("#"):
            return any(
                not self.identities.isdisjoint(identities([inner]))
                for inner in resource.get("contained", ())
                if inner.get("resourceType") == "Patient" and f"#{inner.get('id')}" == literal
            )
        return False


def identities(patients: Iterable[Resource]) -> frozenset[Identity]:
    """All that these versions of a Patient are known by, as far as a system says what it is."""
    return frozenset(
        one for each in patients for identifier in each.get("identifier", ()) for one in _identity(identifier)
    )


def linked(patients: Iterable[Resource], bases: Collection[str]) -> frozenset[str]:
    """The other Patients, such as `Patient/7`, that these versions of a Patient are linked to."""
    found = (local(link.get("other", {}).get("reference"), bases) for each in patients for link in each.get("link", ()))
    return frozenset(name for name in found if name and name.startswith("Patient/"))


def _within(contained: Any) -> Iterator[Any]:
    """What stands in contained resources, but not these themselves: their ids are their container's own."""
    for inner in contained if isinstance(contained, list) else [contained]:
        yield list(inner.values()) if isinstance(inner, Mapping) else inner


def _identity(identifier: Any) -> Iterator[Identity]:
    """An Identifier's system and value, if it has both."""
    match identifier:
        case {"system": str(system), "value": str(value)} if system and value:
            yield system, value


@cache
def _expressions(version: FhirVersion, type_: str) -> tuple[Expression, ...]:
    return tuple(
        Expression(version, type_, replace(each, expression=_RESOLVES.sub("", each.expression)))
        for each in of_patients(version).get(type_, ())
    )
