"""JSON with one meaning only: https://hl7.org/fhir/R4/json.html, https://www.rfc-editor.org/rfc/rfc7493 (I-JSON)."""

import re
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from json import JSONDecodeError, JSONDecoder
from typing import Any

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected

#: More than any measurement has: characters of a number, and the power of ten of its first digit.
LONGEST_NUMBER = 40
LARGEST_EXPONENT = 300

#: Escapes of what no FHIR string may hold: NUL, and halves of surrogate pairs.
_SUSPICIOUS = re.compile(rb"\\u(0000|[dD][89a-fA-F])")


def parse(body: bytes, *, max_nesting: int) -> dict[str, Any]:
    """
    Read a JSON object. Numbers with a point or an exponent become `Decimal`, with all their digits.

    Args:
        max_nesting: Levels of objects and arrays, the outermost one counted.

    Raises:
        Rejected: It is not one JSON object in UTF-8, repeats a name, is nested too deeply, or holds NaN, an absurd
            number, NUL or half a surrogate pair.
    """
    try:
        parsed = _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise _rejected(f"the body is not UTF-8: byte {error.start} can't be read") from None
    except JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        reason = "the body is empty; a JSON object is expected" if not body.strip() else f"{error.msg} at {where}"
        raise _rejected(f"not JSON: {reason}") from None
    except RecursionError:
        raise _too_deep(max_nesting) from None
    if not isinstance(parsed, dict):
        raise _rejected(f"the body is JSON, but not an object: it is {kind(parsed)}")
    # Each level takes a bracket: most bodies need no closer look.
    if body.count(b"{") + body.count(b"[") > max_nesting and _depth(parsed, max_nesting) > max_nesting:
        raise _too_deep(max_nesting)
    if _SUSPICIOUS.search(body):
        _check_characters(parsed)
    return parsed


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | Decimal():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _rejected(f"the name {twice!r} stands more than once in one object")
    return found


def _decimal(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        raise _rejected(f"a number of {len(text)} characters: at most {LONGEST_NUMBER} are read")
    with suppress(InvalidOperation):
        number = Decimal(text)
        if abs(number.adjusted()) <= LARGEST_EXPONENT:
            return number
    raise _rejected(f"{text} is out of range: at most 1e{LARGEST_EXPONENT}, at least 1e-{LARGEST_EXPONENT}")


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise _rejected(f"a number of {len(text)} characters: at most {LONGEST_NUMBER} are read")
    return int(text)


def _constant(name: str) -> object:
    raise _rejected(f"not JSON: {name} is not a number")


_DECODER = JSONDecoder(
    object_pairs_hook=_object, parse_float=_decimal, parse_int=_integer, parse_constant=_constant, strict=True
)


def _depth(value: Any, most: int) -> int:
    """How many levels there are; counting ends behind `most`."""
    depth, level = 0, [value]
    while level and depth <= most:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return depth


def _check_characters(value: Any) -> None:
    match value:
        case str():
            if "\0" in value:
                raise _rejected("a string holds the character NUL (\\u0000)")
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise _rejected("a string holds half a surrogate pair (\\ud800 to \\udfff)")
        case dict():
            for name, member in value.items():
                _check_characters(name)
                _check_characters(member)
        case list():
            for item in value:
                _check_characters(item)


def _too_deep(most: int) -> Rejected:
    return _rejected(f"nested more than {most} levels deep")


def _rejected(text: str) -> Rejected:
    return Rejected(Issue(IssueCode.STRUCTURE, f"{text[0].upper()}{text[1:]}."))
