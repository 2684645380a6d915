"""Bundles that list, page by page: https://hl7.org/fhir/R4/http.html#paging."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from hub.errors import Refused
from hub.veil import Veiled
from subscriptions.codes import IssueCode

#: The parameter of ours that says where a page begins.
CURSOR = "_cursor"

#: Entries on a page when the client does not say.
COUNT = 50

Parameters = Sequence[tuple[str, str]]


def paging(parameters: Parameters, most: int) -> tuple[int, str | None, list[tuple[str, str]]]:
    """
    Take `_count` and the cursor out of a query: entries on a page, where it begins, and the other parameters.

    Raises:
        Refused: 400, for a malformed or repeated `_count` or cursor.
    """
    rest = [(name, value) for name, value in parameters if name not in ("_count", CURSOR)]
    counts = [value for name, value in parameters if name == "_count"]
    cursors = [value for name, value in parameters if name == CURSOR]
    if len(counts) > 1 or len(cursors) > 1 or not all(count.isascii() and count.isdecimal() for count in counts):
        text = "`_count` must be one whole number from 0, and there is one cursor at most."
        raise Refused.because(400, IssueCode.VALUE, text, "_count")
    count = min(int(counts[0][:9]), most) if counts else min(COUNT, most)
    return count, cursors[0] if cursors else None, rest


def bad_cursor() -> Refused:
    text = f"`{CURSOR}` is not one that the hub gave: follow the `next` links as they are."
    return Refused.because(400, IssueCode.VALUE, text, CURSOR)


def links(url: str, parameters: Parameters, following: str | None) -> list[dict[str, str]]:
    """The links of a page, which show no parameters that are veiled. `following`: where the next one begins."""
    found = [{"relation": "self", "url": _with(url, parameters, parameters)}]
    if following is not None:
        rest = [(name, value) for name, value in parameters if name != CURSOR]
        found.append({"relation": "next", "url": _with(url, [*rest, (CURSOR, following)], parameters)})
    return found


def bundle(type_: str, entries: Sequence[dict[str, Any]], links: Sequence[Any], total: int | None = None) -> bytes:
    """The JSON of a Bundle. Resources in entries are `msgspec.Raw`: their bytes stay."""
    written: dict[str, Any] = {"resourceType": "Bundle", "type": type_}
    if total is not None:
        written["total"] = total
    if links:
        written["link"] = links
    if entries:
        written["entry"] = entries
    return msgspec.json.encode(written)


def _with(url: str, parameters: Parameters, asked: Parameters) -> str:
    if parameters and isinstance(asked, Veiled):
        parameters = [(CURSOR, asked.hidden(parameters))]
    return f"{url}?{urlencode(parameters)}" if parameters else url
