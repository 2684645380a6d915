"""
The ValueSets and CodeSystems that the hub was given: https://hl7.org/fhir/R4/valueset.html#compositions.

Membership is decided from them alone. What they don't enumerate is rejected with the reason, and never guessed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from subscriptions.change import Resource
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.code_system import CodeSystem, code_system

#: System and code.
Code: TypeAlias = tuple[str, str]

#: What makes an expansion a part of the ValueSet.
_PARTIAL = frozenset(
    {
        "http://hl7.org/fhir/StructureDefinition/valueset-toocostly",
        "http://hl7.org/fhir/StructureDefinition/valueset-unclosed",
        "filter",
        "limitedExpansion",
    }
)


class Vocabulary:
    """
    One never changes: for other resources make another one. They are compared by identity.

    A ValueSet is asked for by its `url`, by `url|version` or by `ValueSet/id`, a CodeSystem by its URL. Codes are
    compared literally, with their case.
    """

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        """
        Args:
            resources: ValueSets and CodeSystems, each valid by the standard of its version. Of several with the same
                URL the last one counts where no version is asked for. Supplements of CodeSystems have no codes.
        """
        self._value_sets: dict[str, Resource] = {}
        self._code_systems: dict[str, Resource] = {}
        self._expanded: dict[str, frozenset[Code]] = {}
        self._read: dict[str, CodeSystem] = {}
        for resource in resources:
            match resource["resourceType"]:
                case "ValueSet":
                    self._value_sets.update((name, resource) for name in _names(resource))
                case "CodeSystem" if resource.get("content") != "supplement":
                    self._code_systems.update((name, resource) for name in _names(resource))

    def codes(self, value_set: str) -> frozenset[Code]:
        """
        Everything in a ValueSet.

        Raises:
            Rejected: It isn't here, or can't be enumerated from what is.
        """
        return self._codes(value_set, ())

    def below(self, system: str, code: str) -> frozenset[Code]:
        """
        A code and whatever it subsumes.

        Raises:
            Rejected: The CodeSystem isn't here with all its codes, has no such code, or its hierarchy means something
                else.
        """
        return _of(system, self._hierarchy(system, code).below(code))

    def above(self, system: str, code: str) -> frozenset[Code]:
        """
        A code and whatever subsumes it.

        Raises:
            Rejected: As of `below`.
        """
        return _of(system, self._hierarchy(system, code).above(code))

    def _codes(self, name: str, through: tuple[str, ...]) -> frozenset[Code]:
        if name not in self._expanded:
            if name not in self._value_sets:
                raise _rejected(f"the hub was not given the ValueSet `{name}`")
            if name in through:
                raise _rejected(f"the ValueSet `{name}` includes itself")
            try:
                self._expanded[name] = self._enumerated(self._value_sets[name], (*through, name))
            except Rejected as rejected:
                reasons = "; ".join(issue.text for issue in rejected.issues)
                raise _rejected(f"the ValueSet `{name}` can't be enumerated: {reasons}") from None
        return self._expanded[name]

    def _enumerated(self, value_set: Resource, through: tuple[str, ...]) -> frozenset[Code]:
        expansion = value_set.get("expansion", {})
        entries = list(_entries(expansion))
        if "expansion" in value_set and _is_whole(expansion, len(entries)):
            return frozenset(
                (each.get("system", ""), each["code"])
                for each in entries
                if "code" in each and not each.get("abstract")
            )
        compose = value_set.get("compose")
        if not compose:
            text = "its expansion is only a part of it" if entries else "it has no content"
            raise _rejected(f"{text}, and it does not say what it is composed of")
        active = compose.get("inactive") is False
        included, excluded = (
            frozenset[Code]().union(*(self._part(part, active, through) for part in compose.get(side, [])))
            for side in ("include", "exclude")
        )
        return included - excluded

    def _part(self, part: Mapping[str, Any], active: bool, through: tuple[str, ...]) -> frozenset[Code]:
        """What one include or exclude selects: what is in its system's selection and in each of its ValueSets."""
        selections = [self._codes(name, through) for name in part.get("valueSet", [])]
        if "system" in part:
            selections.append(self._selected(part, active))
        if not selections:
            raise _rejected("a part of it names neither a system nor a ValueSet")
        return frozenset.intersection(*selections)

    def _selected(self, part: Mapping[str, Any], active: bool) -> frozenset[Code]:
        system = part["system"]
        if "concept" in part:
            return _of(system, frozenset(each["code"] for each in part["concept"]))
        name = f"{system}|{part['version']}" if "version" in part else system
        known = self._complete(name)
        found = known.codes - known.inactive if active else known.codes
        for each in part.get("filter", []):
            found &= self._filtered(name, each)
        return _of(system, found)

    def _filtered(self, system: str, wanted: Mapping[str, str]) -> frozenset[str]:
        value = wanted["value"]
        match wanted["property"], wanted["op"]:
            case "concept", "is-a":
                return self._hierarchy(system, value).below(value)
            case "concept", "descendent-of":
                return self._hierarchy(system, value).below(value) - {value}
            case "concept", "is-not-a":
                known = self._hierarchy(system, value)
                return known.codes - known.below(value)
            case "concept", "generalizes":
                return self._hierarchy(system, value).above(value)
            case property_, op:
                supported = "`is-a`, `descendent-of`, `is-not-a` and `generalizes` on `concept` are evaluated"
                raise _rejected(f"it filters by `{property_}` `{op}`, of which only {supported}")

    def _complete(self, name: str) -> CodeSystem:
        if name not in self._code_systems:
            raise _rejected(f"the hub was not given the CodeSystem `{name}`")
        if name not in self._read:
            self._read[name] = code_system(self._code_systems[name])
        if not self._read[name].complete:
            content = self._code_systems[name].get("content")
            raise _rejected(f"the CodeSystem `{name}` was not given with all its codes: its content is `{content}`")
        return self._read[name]

    def _hierarchy(self, system: str, code: str) -> CodeSystem:
        known = self._complete(system)
        if code not in known.codes:
            raise _rejected(f"the CodeSystem `{system}` has no code `{code}`")
        if known.meaning != "is-a":
            raise _rejected(f"the hierarchy of the CodeSystem `{system}` means `{known.meaning}`, not `is-a`")
        return known


#: Of a hub that was given none.
EMPTY = Vocabulary()


def _names(resource: Resource) -> Iterator[str]:
    if "url" in resource:
        yield resource["url"]
        if "version" in resource:
            yield f"{resource['url']}|{resource['version']}"
    if "id" in resource:
        yield f"{resource['resourceType']}/{resource['id']}"


def _entries(expansion: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every entry of an expansion, at any depth."""
    left = list(expansion.get("contains", []))
    while left:
        entry = left.pop()
        yield entry
        left += entry.get("contains", [])


def _is_whole(expansion: Mapping[str, Any], count: int) -> bool:
    """Whether an expansion of so many entries has everything, and not a page or a selection."""
    said = {each["url"] for each in expansion.get("extension", [])}
    said.update(each["name"] for each in expansion.get("parameter", []) if each.get("valueBoolean") is not False)
    return not expansion.get("offset") and expansion.get("total", count) <= count and said.isdisjoint(_PARTIAL)


def _of(system: str, codes: frozenset[str]) -> frozenset[Code]:
    return frozenset((system, code) for code in codes)


def _rejected(text: str) -> Rejected:
    return Rejected(Issue(IssueCode.NOT_SUPPORTED, text))
