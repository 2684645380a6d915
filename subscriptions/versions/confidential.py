"""
What of a Subscription is between its client and its endpoint: the headers, which often hold a token.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/safety_security.html
"""

import msgspec

_EMPTY = b"[]"


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


def _exchanged(element: bytes, path: tuple[str, ...], value: bytes) -> tuple[bytes, bytes]:
    """An element with another value at the end of the path, and the value that was there; empty for none."""
    if not path:
        return value, element
    members = msgspec.json.decode(element or b"{}", type=dict[str, msgspec.Raw])
    changed, found = _exchanged(bytes(members.get(path[0], b"")), path[1:], value)
    return msgspec.json.encode(members | {path[0]: msgspec.Raw(changed)}), found
