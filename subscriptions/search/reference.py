"""
Reference search: https://hl7.org/fhir/R4/search.html#reference. What is behind a reference is never looked at.

`subject:Patient=23` is the same as `subject=Patient/23`. `:identifier` asks for what Reference.identifier says, in the
form of a token; `:text`, and R5's `:code-text`, for the beginning of Reference.display. `:above` and `:below` have a
meaning for canonicals only: those of other references would be found through the resources that they point to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Criterion, Meets, source
from subscriptions.search.elements import part, string, text
from subscriptions.search.escapes import split, unescape
from subscriptions.search.extraction import Extraction, Value
from subscriptions.search.parameters import resource_types
from subscriptions.search.string import StartsWith, fold
from subscriptions.search.string import parse as beginning
from subscriptions.search.token import Key, identified
from subscriptions.search.token import parse as token
from subscriptions.search.uri import hierarchical

#: All of them; `type` stands for the name of a resource type. Which ones a parameter has depends on its values.
MODIFIERS = ("type", "identifier", "text", "code-text", "above", "below")


_ID = r"[A-Za-z0-9\-.]{1,64}"
_LOCAL = re.compile(rf"([A-Z][A-Za-z]+)/({_ID})(/_history/{_ID})?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values is no reference, or can't be what the parameter finds.
    """
    asked.uncompared()
    found, modifier, bases = asked.found, asked.modifier, asked.context.bases
    supported = modifiers(asked)
    if modifier in resource_types(found.version) and "type" in supported:
        keys = frozenset().union(*(parse(_of_type(modifier, value), found, bases) for value in asked.values))
        return Criterion(source(found, Reading(bases)), Meets(keys))
    match modifier:
        case None:
            keys = frozenset().union(*(parse(value, found, bases) for value in asked.values))
            return Criterion(source(found, Reading(bases)), Meets(keys))
        case "above" | "below" if modifier in supported:
            return hierarchical(asked, lambda value: parse(value, found, bases))
        case "identifier" if modifier in supported:
            identifiers = frozenset[Key]().union(*(token(value, {"Identifier": None}) for value in asked.values))
            return Criterion(source(found, Identified()), Meets(identifiers))
        case "text" | "code-text" if modifier in supported:
            return Criterion(source(found, Displayed()), StartsWith(frozenset(map(beginning, asked.values))))
        case "above" | "below":
            why = "it would depend on the resources that are referred to"
            raise asked.unsupported(_shown(supported), why)
        case _:
            raise asked.unsupported(_shown(supported))


def modifiers(asked: Asked) -> tuple[str, ...]:
    """Those that a parameter has, by the data types of its values; `type` stands for the names of types."""
    held = asked.found.parameter.held(asked.found.resource_type)
    if held and "Reference" not in held:
        return ("above", "below")
    if asked.found.parameter.code == "_in":  # its references are not the resource's: they have nothing but a URL
        return ("type",)
    version = asked.context.version
    return ("type", "identifier", "text", "code-text") if version is FhirVersion.R5 else ("type", "identifier", "text")


def _shown(supported: tuple[str, ...]) -> Iterator[str]:
    return ("[type]" if each == "type" else each for each in supported)


def _of_type(type_: str, id_: str) -> str:
    """
    Raises:
        Rejected: Something else than an id is given.
    """
    if not re.fullmatch(_ID, id_):
        raise _rejected(f"with `:{type_}` the id alone is given, as in `:{type_}=23`")
    return f"{type_}/{id_}"


def parse(value: str, extraction: Extraction, bases: frozenset[str]) -> frozenset[str]:
    """
    Read `id`, `Type/id`, `Type/id/_history/version`, an absolute URL, a URN, or a canonical with `|version`.

    A reference without a version is equal to one with any version, not the other way round.

    Raises:
        Rejected: It is none of these, or points to a type that no value can point to.
    """
    held = extraction.parameter.held(extraction.resource_type)
    parts = [unescape(each) for each in split(value, "|")]
    if held and "Reference" not in held:
        if not parts[0] or parts[0].startswith("#") or len(parts) > 2:
            raise _rejected("a canonical is written `url` or `url|version`")
        return frozenset({"|".join(parts)})
    if len(parts) > 1:
        raise _rejected("a reference has no `|`: it is written `id`, `Type/id` or as an absolute URL")
    literal = _relative(parts[0], bases)
    local = _LOCAL.fullmatch(literal)
    if extraction.parameter.code == "_in" and (local[3] if local else not re.fullmatch(_ID, literal)):
        raise _rejected("a roster is one that the hub holds, and is written `id` or `Type/id`")
    if local:
        _check_type(local[1], extraction)
    elif not re.fullmatch(_ID, literal) and not _ABSOLUTE.fullmatch(literal):
        raise _rejected("a reference is written `id`, `Type/id` or as an absolute URL")
    return frozenset({literal})


def _check_type(type_: str, extraction: Extraction) -> None:
    allowed = extraction.targets or resource_types(extraction.version)
    if type_ not in allowed:
        some = ", ".join(sorted(allowed)) if len(allowed) < 20 else "any resource type"
        raise _rejected(f"it can point to {some}, not to {type_}")


def _rejected(reason: str) -> Rejected:
    return Rejected(Issue(IssueCode.VALUE, reason))


def _relative(literal: str, bases: frozenset[str]) -> str:
    """A URL below one of the hub's own bases is the relative reference."""
    for base in bases:
        if literal.startswith(f"{base.rstrip('/')}/"):
            return literal[len(base.rstrip("/")) + 1 :]
    return literal


@dataclass(frozen=True, slots=True)
class Reading:
    """
    The keys of a reference.

    bases: The hub's own base URLs: `Patient/1` and `{base}/Patient/1` are equal.
    """

    bases: frozenset[str]

    def __call__(self, value: Value) -> Iterator[str]:
        match value.type, value.data:
            case "Reference", reference:
                literal = text(reference, "reference")
                if literal and not literal.startswith("#"):
                    yield from self._literal(literal)
            case _, {"resourceType": str(type_), "id": str(id_)}:
                yield from self._literal(f"{type_}/{id_}")
            case type_, canonical if type_[0].islower():
                if not string(canonical).startswith("#"):
                    yield canonical
                    yield canonical.partition("|")[0]

    def _literal(self, literal: str) -> Iterator[str]:
        literal = _relative(literal, self.bases)
        yield literal
        yield literal.partition("/_history/")[0]
        if local := _LOCAL.fullmatch(literal):
            yield local[2]


@dataclass(frozen=True, slots=True)
class Identified:
    """The keys of the Identifier in a reference, as of a token."""

    def __call__(self, value: Value) -> Iterator[Key]:
        if value.type == "Reference":
            yield from identified(part(value.data, "identifier"))


@dataclass(frozen=True, slots=True)
class Displayed:
    """What a reference is shown as, folded."""

    def __call__(self, value: Value) -> Iterator[str]:
        if value.type == "Reference" and (display := text(value.data, "display")) is not None:
            yield fold(display)
