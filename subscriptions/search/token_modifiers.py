"""
The modifiers of a token: https://hl7.org/fhir/R4/search.html#token, https://hl7.org/fhir/R5/search.html#modifiers.

`:not` "includes resources that have no value"; `:not-in` is taken for the opposite of `:in` in the same way. ValueSets
and hierarchies are those of the hub's vocabulary; their codes belong to a system, so that a Coding without one is in
none. `:text`, and R5's `:code-text`, look for the beginning of a text, as a string does.

HL7 says twice what `:code-text` looks at: "the textual display value" (http://hl7.org/fhir/search-modifier-code), and
"code values", so that `language:code-text=en` finds `en-AU` (search.html#modifiercodetext). Both count.

MIME types need no CodeSystem for `:below`: `contenttype:below=text/xml` finds `text/xml; charset=UTF-8`, and
`contenttype:below=image` whatever begins with `image/` (https://hl7.org/fhir/R5/search.html#mimetype).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Criterion, Meets, Not, source
from subscriptions.search.elements import part, parts, string, text
from subscriptions.search.escapes import split, unescape
from subscriptions.search.extraction import Value
from subscriptions.search.string import StartsWith, fold, parse
from subscriptions.search.token import Reading, equality
from subscriptions.search.vocabulary import Code

#: All of them, each with the data types that it can be asked of; None is any. A `code` has to have a known system, but
#: for `code-text`.
MODIFIERS = {
    "not": None,
    "text": frozenset({"CodeableConcept", "Coding", "Identifier"}),
    "in": frozenset({"CodeableConcept", "Coding", "code"}),
    "not-in": frozenset({"CodeableConcept", "Coding", "code"}),
    "above": frozenset({"CodeableConcept", "Coding", "code"}),
    "below": frozenset({"CodeableConcept", "Coding", "code"}),
    "of-type": frozenset({"Identifier"}),
    "code-text": frozenset({"CodeableConcept", "Coding", "code"}),
}

#: The system of MIME types: https://hl7.org/fhir/R4/valueset-mimetypes.html.
_MIME = "urn:ietf:bcp:13"
_MIME_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+\-]*(/[A-Za-z0-9][A-Za-z0-9!#$&^_.+\-]*)?")


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: The parameter has no such modifier, or no value of it can be what is asked for.
    """
    asked.uncompared()
    supported = tuple(_supported(asked))
    match asked.modifier:
        case None:
            return equality(asked)
        case modifier if modifier not in supported:
            raise asked.unsupported(supported)
        case "not":
            equal = equality(asked)
            return Criterion(equal.source, Not(equal.test))
        case "in":
            return _among(asked, lambda value: asked.context.vocabulary.codes(_value_set(asked, value)))
        case "not-in":
            among = _among(asked, lambda value: asked.context.vocabulary.codes(_value_set(asked, value)))
            return Criterion(among.source, Not(among.test))
        case "above":
            return _among(asked, lambda value: asked.context.vocabulary.above(*_code(asked, value)))
        case "below" if asked.found.parameter.held(asked.found.resource_type) == {"code": _MIME}:
            return Criterion(
                source(asked.found, MimeLevels()), Meets(frozenset(_mime(asked, each) for each in asked.values))
            )
        case "below":
            return _among(asked, lambda value: asked.context.vocabulary.below(*_code(asked, value)))
        case "of-type":
            return Criterion(source(asked.found, OfType()), Meets(frozenset(map(_typed, asked.values))))
        case _:  # `text` and `code-text`
            reading = Texts(asked.modifier == "code-text", asked.context.version is FhirVersion.R5)
            return Criterion(source(asked.found, reading), StartsWith(frozenset(map(parse, asked.values))))


def _supported(asked: Asked) -> Iterator[str]:
    held = asked.found.parameter.held(asked.found.resource_type)
    of = {type_ for type_, system in held.items() if type_ != "code" or system}
    for modifier, types in MODIFIERS.items():
        newer = modifier == "code-text" and asked.context.version is not FhirVersion.R5
        asked_of = held.keys() if modifier == "code-text" else of
        if not newer and (not held or types is None or asked_of & types):
            yield modifier


def _among(asked: Asked, codes: Callable[[str], frozenset[Code]]) -> Criterion:
    held = asked.found.parameter.held(asked.found.resource_type)
    keys = frozenset[Code]().union(*map(codes, asked.values))
    return Criterion(source(asked.found, Reading(held.get("code") or "")), Meets(keys))


def _value_set(asked: Asked, value: str) -> str:
    """The ValueSet of a URI, "relative or absolute", literal or logical: without the hub's own base."""
    uri = unescape(value)
    for base in asked.context.bases:
        uri = uri.removeprefix(f"{base.rstrip('/')}/")
    return uri


def _code(asked: Asked, value: str) -> Code:
    """The concept of `system|code`, or of a code alone if all values are of the one system of their definition."""
    held = asked.found.parameter.held(asked.found.resource_type)
    match [unescape(each) for each in split(value, "|")]:
        case [system, code] if system and code:
            return system, code
        case [code] if code and held.keys() == {"code"}:
            return str(held["code"]), code
    raise Rejected(Issue(IssueCode.VALUE, f"a concept for `:{asked.modifier}` is written `system|code`"))


def _mime(asked: Asked, value: str) -> str:
    system, code = _code(asked, value)
    if system != _MIME or not _MIME_TYPE.fullmatch(code):
        reason = "`:below` takes a MIME type without parameters, as `text/xml`, or its first part, as `image`"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    return code.lower()


def _typed(value: str) -> tuple[str, str, str]:
    found = tuple(unescape(each) for each in split(value, "|"))
    if len(found) != 3 or not all(found):
        form = '`:of-type` is written `system|code|value`, system and code those of Identifier.type; "All 3 parts must'
        raise Rejected(Issue(IssueCode.VALUE, f'{form} be present"'))
    return found


@dataclass(frozen=True, slots=True)
class OfType:
    """System and code of each type of an Identifier, with its value."""

    def __call__(self, value: Value) -> Iterator[tuple[str, str, str]]:
        if value.type == "Identifier" and (number := text(value.data, "value")) is not None:
            for coding in parts(part(value.data, "type"), "coding"):
                if (code := text(coding, "code")) is not None:
                    yield text(coding, "system") or "", code, number


@dataclass(frozen=True, slots=True)
class MimeLevels:
    """A MIME type without its parameters, and its first part. Their case does not count (RFC 6838, 4.2)."""

    def __call__(self, value: Value) -> Iterator[str]:
        plain = string(value.data).partition(";")[0].strip().lower()
        yield plain
        yield plain.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Texts:
    """
    "either CodeableConcept.text, Coding.display, or Identifier.type.text", folded.

    codes: Codes too.
    assigners: R5's "or Identifier.assigner.display" too.
    """

    codes: bool
    assigners: bool

    def __call__(self, value: Value) -> Iterator[str]:
        match value.type:
            case "CodeableConcept":
                found = [text(value.data, "text")]
                found += (said for coding in parts(value.data, "coding") for said in self._said(coding))
            case "Coding":
                found = self._said(value.data)
            case "Identifier":
                found = [text(part(value.data, "type"), "text")]
                found += [text(part(value.data, "assigner"), "display")] if self.assigners else []
            case "code" if self.codes:
                found = [string(value.data)]
            case _:
                found = []
        yield from (fold(said) for said in found if said)

    def _said(self, coding: Mapping[str, Any]) -> list[str | None]:
        return [text(coding, "display"), text(coding, "code") if self.codes else None]
