"""Token search: https://hl7.org/fhir/R4/search.html#token. What its modifiers ask is in `token_modifiers`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Criterion, Meets, source
from subscriptions.search.elements import parts, string, text
from subscriptions.search.escapes import split, unescape
from subscriptions.search.extraction import Value

#: System and code. None stands for any; the system of something that has none is empty.
Key: TypeAlias = tuple[str | None, str | None]

#: In place of a system, for a string: its case does not count. No system is a blank.
FOLDED = " "

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_WITH_SYSTEM = frozenset({"Coding", "CodeableConcept", "Identifier"})


def equality(asked: Asked) -> Criterion:
    """
    What is asked without a modifier.

    Raises:
        Rejected: No value of the parameter can be equal to one of those asked for.
    """
    found = asked.found
    held = found.parameter.held(found.resource_type)
    values: Iterable[str] = asked.values
    if found.parameter.code == "_id":
        values = [value.removeprefix(f"{found.resource_type}/") for value in values]
    keys = frozenset().union(*(parse(value, held) for value in values))
    return Criterion(source(found, Reading(held.get("code") or "")), Meets(keys))


def parse(value: str, held: Mapping[str, str | None]) -> frozenset[Key]:
    """
    Read `code`, `system|code`, `|code` or `system|`.

    Args:
        held: The data types of the parameter's values, with the code system of a `code`.

    Raises:
        Rejected: No value of these types can be equal to it.
    """
    written = [unescape(each) for each in split(value, "|")]
    if len(written) > 2 or not any(written):
        raise _rejected("a token is written `code`, `system|code`, `|code` or `system|`")
    if len(written) == 2 and held and _WITH_SYSTEM.isdisjoint(held):
        return frozenset({_of_code(written[0], written[1], held)})
    code = written[-1]
    if set(held) == {"boolean"} and code not in ("true", "false"):
        raise _rejected("the value is `true` or `false`")
    if set(held) == {"id"} and not _ID.fullmatch(code):
        raise _rejected("an id is up to 64 letters, digits, `-` and `.`")
    folded, system = (FOLDED, code.casefold()), written[0] if len(written) == 2 else None
    if set(held) == {"string"}:
        return frozenset({folded})
    # Of a topic's own definition it isn't known what it finds: strings too, which have no system.
    return frozenset({(system, code or None)} | ({folded} if not held and not system else set()))


def _of_code(system: str, code: str, held: Mapping[str, str | None]) -> Key:
    """A key for values that are written without a system: it can only be the one of their definition."""
    own = held.get("code")
    if own is None:
        raise _rejected("the values have no system: give the code alone, without `|`")
    if system not in ("", own):
        raise _rejected(f"the values are of the system {own}: give that one, or the code alone")
    return system, code or None


def _rejected(reason: str) -> Rejected:
    return Rejected(Issue(IssueCode.VALUE, reason))


@dataclass(frozen=True, slots=True)
class Reading:
    """
    The keys of a token.

    system: The code system of the values that are plain codes, by definition of the element; empty if unknown.
    """

    system: str = ""

    def __call__(self, value: Value) -> Iterator[Key]:
        match value.type:
            case "CodeableConcept":
                for coding in parts(value.data, "coding"):
                    yield from _pair(coding, "code")
            case "Coding":
                yield from _pair(value.data, "code")
            case "Identifier":
                yield from identified(value.data)
            case "ContactPoint":
                if (number := text(value.data, "value")) is not None:
                    yield None, number
            case "boolean":
                yield None, _truth(value.data)
            case "code":
                # A plain code has the system of its definition, and has no system of its own.
                yield from _keys(self.system, string(value.data))
                yield "", value.data
            case "string":
                yield FOLDED, string(value.data).casefold()
            case type_ if type_[0].islower():
                yield None, string(value.data)


def _truth(data: Any) -> str:
    if not isinstance(data, bool):
        raise ValueError(f"a boolean is expected, not {type(data).__name__}")
    return "true" if data else "false"


def identified(identifier: Mapping[str, Any]) -> Iterator[Key]:
    """The keys of an Identifier."""
    return _pair(identifier, "value")


def _pair(data: Mapping[str, Any], member: str) -> Iterator[Key]:
    """A Coding or Identifier; one without a code can still be found by its system."""
    return _keys(text(data, "system") or "", text(data, member))


def _keys(system: str, code: str | None) -> Iterator[Key]:
    if system:
        yield system, None
    if code is not None:
        yield None, code
        yield system, code
