"""
What of a Subscription is between its client and its endpoint: the headers, which often hold a token.

They are kept apart from the rest, and whoever reads the Subscription learns their names alone.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/safety_security.html
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

_EMPTY = b"[]"

#: What a value reads as.
REDACTED = "********"

_decode = msgspec.json.Decoder(list[Any]).decode
_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


def withhold(sent: bytes, *path: str) -> tuple[bytes, bytes]:
    """
    A Subscription's JSON without its headers, and the JSON of these; empty when there are none.

    Where they were is an empty list, which no JSON of FHIR has. All other members on the way keep their bytes.

    Args:
        path: The names of the members that lead to the headers.
    """
    kept, headers = _exchanged(sent, path, _EMPTY)
    return (sent, b"") if headers in (b"", _EMPTY, b"null") else (kept, headers)


def restore(kept: bytes, withheld: bytes, *path: str) -> bytes:
    """Undo `withhold`."""
    return _exchanged(kept, path, withheld)[0] if withheld else kept


def redacted(headers: bytes) -> bytes:
    """The JSON of headers as it is shown: their names, in order."""
    return msgspec.json.encode([_redacted(each) for each in _decode(headers)])


def refilled(sent: bytes, held: bytes) -> tuple[bytes, list[int]]:
    """
    The JSON of headers, those that came redacted as they are held; and the places of those of which that can't be said.

    Those of one name are told apart by their order: among all of them, if there are as many as are held, or else among
    those that came redacted, if these are as many.

    Args:
        held: JSON; empty when there are none.
    """
    before = _by_name(_decode(held or _EMPTY))
    raw, after = _raw(sent), _decode(sent)
    alike, hidden = Counter(map(_name, after)), Counter(_name(each) for each in after if is_redacted(each))
    met, met_hidden, unknown = Counter[str](), Counter[str](), []
    for i, each in enumerate(after):
        name = _name(each)
        met[name] += 1
        if not is_redacted(each):
            continue
        met_hidden[name] += 1
        of_name = before[name]
        if len(of_name) not in (alike[name], hidden[name]):
            unknown.append(i)
            continue
        nth = met[name] if len(of_name) == alike[name] else met_hidden[name]
        raw[i] = msgspec.Raw(msgspec.json.encode(_filled(each, of_name[nth - 1])))
    return msgspec.json.encode(raw), unknown


def are_those(given: bytes, held: bytes) -> bool:
    """Whether headers, of which some may be redacted, are the ones that are held."""
    filled, unknown = refilled(given, held)
    return not unknown and bool(_decode(filled) == _decode(held))


def is_redacted(header: Any) -> bool:
    """Whether a header's value is not told."""
    value = header.get("value") if isinstance(header, dict) else str(header).partition(":")[2]
    return isinstance(value, str) and value.strip(" \t") == REDACTED


def _redacted(header: Any) -> Any:
    """Of what isn't understood nothing is told."""
    match header:
        case {"name": str(name)}:
            return {"name": name, "value": REDACTED}
        case str() if ":" in header:
            return f"{header.partition(':')[0]}: {REDACTED}"
        case _:
            return REDACTED


def _filled(header: Any, held: Any) -> Any:
    """What of a parameter is not its value may be another by now."""
    return held | header | {"value": held["value"]} if isinstance(header, dict) else held


def _by_name(headers: Sequence[Any]) -> defaultdict[str, list[Any]]:
    """Headers by their names, which don't heed case."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for each in headers:
        found[_name(each)].append(each)
    return found


def _name(header: Any) -> str:
    name = header.get("name", "") if isinstance(header, dict) else str(header).partition(":")[0]
    return str(name).strip().lower()


def _exchanged(element: bytes, path: tuple[str, ...], value: bytes) -> tuple[bytes, bytes]:
    """An element with another value at the end of the path, and the value that was there; empty for none."""
    if not path:
        return value, element
    members = msgspec.json.decode(element or b"{}", type=dict[str, msgspec.Raw])
    changed, found = _exchanged(bytes(members.get(path[0], b"")), path[1:], value)
    return msgspec.json.encode(members | {path[0]: msgspec.Raw(changed)}), found
