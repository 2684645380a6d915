"""A CodeSystem as a set of codes with a hierarchy: https://hl7.org/fhir/R4/codesystem.html#hierarchy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from subscriptions.change import Resource

#: The properties that say what a concept is a kind of, or the other way round, by their codes and by their URIs.
_PARENT = frozenset({"parent", "subsumedBy", "http://hl7.org/fhir/concept-properties#parent"})
_CHILD = frozenset({"child", "http://hl7.org/fhir/concept-properties#child"})


@dataclass(frozen=True, slots=True, eq=False)
class CodeSystem:
    """
    codes: All of them, if it is `complete`; else those that were given.
    inactive: The codes that are no longer to be used.
    complete: Whether nothing else is in it.
    meaning: What standing under a concept means; where it is not said, "is a".
    """

    codes: frozenset[str]
    inactive: frozenset[str]
    complete: bool
    meaning: str
    parents: Mapping[str, frozenset[str]]
    children: Mapping[str, frozenset[str]]

    def below(self, code: str) -> frozenset[str]:
        """The code and whatever is a kind of it, at any depth."""
        return _reached(code, self.children)

    def above(self, code: str) -> frozenset[str]:
        """The code and whatever it is a kind of."""
        return _reached(code, self.parents)


def code_system(resource: Resource) -> CodeSystem:
    """Of a resource that is valid by the standard."""
    parent, child = (_named(resource, known) for known in (_PARENT, _CHILD))
    parents: dict[str, set[str]] = {}
    inactive = set()
    for concept, above in _concepts(resource):
        code = concept["code"]
        parents.setdefault(code, set())
        if above is not None:
            parents[code].add(above)
        for each in concept.get("property", []):
            other = each.get("valueCode") or each.get("valueCoding", {}).get("code")
            if other and each["code"] in parent:
                parents[code].add(other)
            elif other and each["code"] in child:
                parents.setdefault(other, set()).add(code)
            elif (each["code"], other or each.get("valueBoolean")) in (("inactive", True), ("status", "retired")):
                inactive.add(code)
    children: dict[str, set[str]] = {}
    for code, each_parent in parents.items():
        for one in each_parent:
            children.setdefault(one, set()).add(code)
    return CodeSystem(
        frozenset(parents),
        frozenset(inactive),
        resource.get("content") == "complete",
        resource.get("hierarchyMeaning", "is-a"),
        {code: frozenset(each) for code, each in parents.items()},
        {code: frozenset(each) for code, each in children.items()},
    )


def _concepts(resource: Resource) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """Every concept, with the code that it stands under."""
    left: list[tuple[Mapping[str, Any], str | None]] = [(each, None) for each in resource.get("concept", [])]
    while left:
        concept, above = left.pop()
        yield concept, above
        left += ((each, concept["code"]) for each in concept.get("concept", []))


def _named(resource: Resource, known: frozenset[str]) -> frozenset[str]:
    """The codes under which a CodeSystem has one of these properties."""
    declared = (each["code"] for each in resource.get("property", []) if each.get("uri") in known)
    return known.union(declared)


def _reached(code: str, further: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found, left = {code}, [code]
    while left:
        new = further.get(left.pop(), frozenset()) - found
        found |= new
        left += new
    return frozenset(found)
