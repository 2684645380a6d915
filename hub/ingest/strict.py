"""JSON with one meaning only: https://hl7.org/fhir/R4/json.html, https://www.rfc-editor.org/rfc/rfc7493 (I-JSON)."""

import re
from codecs import BOM_UTF8
from collections import Counter
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from json import JSONDecodeError, JSONDecoder
from typing import Any, TypeVar

from hub.ingest.places import Place, Sought, place
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected

#: More than any measurement has: characters of a number, and the power of ten of its first digit.
LONGEST_NUMBER = 40
LARGEST_EXPONENT = 300

#: What can be the escape of something that no FHIR string may hold.
_SUSPICIOUS = re.compile(rb"\\u(0000|[dD][89a-fA-F])")
#: All before the first escape of NUL or of half a surrogate pair.
_FINE = re.compile(
    r"(?:[^\\]++|\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?!0000|[dD][89a-fA-F]))*+"
)

_Outermost = TypeVar("_Outermost", dict[str, Any], list[Any])


class _Fault(Exception):
    """Something is wrong; `sought` is what to look for in order to find out where."""

    def __init__(self, text: str, sought: Sought) -> None:
        super().__init__(text)
        self.sought = sought


def parse(body: bytes, *, max_nesting: int) -> dict[str, Any]:
    """
    Read a JSON object. Numbers with a point or an exponent become `Decimal`, with all their digits.

    Args:
        max_nesting: Levels of objects and arrays, the outermost one counted.

    Raises:
        Rejected: It is not one JSON object in UTF-8, repeats a name, is nested too deeply, or holds NaN, an absurd
            number, NUL or half a surrogate pair. It says where: the body is read again for that.
    """
    return _read(body, max_nesting, dict)


def parse_array(body: bytes, *, max_nesting: int) -> list[Any]:
    """The same for a JSON array."""
    return _read(body, max_nesting, list)


def _read(body: bytes, max_nesting: int, wanted: type[_Outermost]) -> _Outermost:
    try:
        return _parsed(body, max_nesting, wanted)
    except _Fault as fault:
        raise _rejected(str(fault), place(body.decode(errors="replace"), fault.sought)) from None


def _parsed(body: bytes, max_nesting: int, wanted: type[_Outermost]) -> _Outermost:
    expected = kind(wanted())
    try:
        text = body.decode()
        parsed = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        offset = len(body[: error.start].decode())
        raise _Fault(f"the body is not UTF-8: byte {error.start} can't be read", Sought(offset=offset)) from None
    except JSONDecodeError as error:
        if not body.strip():
            raise _rejected(f"not JSON: the body is empty; {expected} is expected") from None
        if body.startswith(BOM_UTF8):
            reason = "the body begins with a byte order mark (U+FEFF), which no JSON does: leave it out"
            raise _rejected(f"not JSON: {reason}") from None
        raise _Fault(f"not JSON: {error.msg.removesuffix(' at')}", Sought(offset=error.pos)) from None
    except RecursionError:
        raise _too_deep(max_nesting) from None
    if not isinstance(parsed, wanted):
        raise _rejected(f"the body is JSON, but not {expected}: it is {kind(parsed)}")
    # Each level takes a bracket: most bodies need no closer look.
    if body.count(b"{") + body.count(b"[") > max_nesting and _depth(parsed, max_nesting) > max_nesting:
        raise _too_deep(max_nesting)
    if _SUSPICIOUS.search(body):
        _check_escapes(text)
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
        names = Counter(name for name, _ in pairs)
        twice = next(name for name, count in names.items() if count > 1)
        raise _Fault(f"the name {twice[:60]!r} stands more than once in one object", Sought(name=twice))
    return found


def _decimal(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        raise _too_long(text)
    with suppress(InvalidOperation):
        number = Decimal(text)
        if abs(number.adjusted()) <= LARGEST_EXPONENT:
            return number
    reason = f"at most 1e{LARGEST_EXPONENT}, at least 1e-{LARGEST_EXPONENT}"
    raise _Fault(f"{text} is out of range ({reason})", Sought(number=text))


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise _too_long(text)
    return int(text)


def _constant(name: str) -> object:
    raise _Fault(f"not JSON: {name} is not a number", Sought(number=name))


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


def _check_escapes(text: str) -> None:
    found = _FINE.match(text)
    offset = found.end() if found else 0
    if offset < len(text):
        nul = text.startswith("\\u0000", offset)
        what = "the character NUL (\\u0000)" if nul else "half a surrogate pair (\\ud800 to \\udfff)"
        raise _Fault(f"a string holds {what}", Sought(offset=offset))


def _too_long(number: str) -> _Fault:
    reason = f"a number of {len(number)} characters: at most {LONGEST_NUMBER} are read"
    return _Fault(reason, Sought(number=number[: LONGEST_NUMBER + 1]))


def _too_deep(most: int) -> _Fault:
    return _Fault(f"nested more than {most} levels deep", Sought(depth=most))


def _rejected(text: str, at: Place | None = None) -> Rejected:
    where, expression = (f" at {at}", at.expression) if at else ("", "")
    return Rejected(Issue(IssueCode.STRUCTURE, f"{text[0].upper()}{text[1:]}{where}.", expression))
