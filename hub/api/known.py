"""
What the client of a read has already, and what that of a write expects to be there.

https://hl7.org/fhir/R4/http.html#cread, https://hl7.org/fhir/R4/http.html#concurrency
"""

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from hub.errors import Refused
from hub.write import NOTHING
from subscriptions.codes import IssueCode

_ETAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,15})"')


@dataclass(frozen=True, slots=True)
class Known:
    """
    A version, or everything up to a time.

    if_none_match: The header; empty for none.
    if_modified_since: ms since 1970, heeded without the other one only; None for none.
    """

    if_none_match: str = ""
    if_modified_since: int | None = None

    def covers(self, version: int, at: int) -> bool:
        """Whether the version of this number, from a time in ms, or from 0 if that isn't known, is what it has."""
        if self.if_none_match:
            given = {tag.strip().removeprefix("W/") for tag in self.if_none_match.split(",")}
            return bool(given & {"*", f'"{version}"'})
        return self.if_modified_since is not None and 0 < at <= self.if_modified_since


def http_date(text: str) -> int | None:
    """The end of that second, in ms since 1970; None for what is no date, which is to be passed over (RFC 9110)."""
    try:
        return int(parsedate_to_datetime(text).timestamp()) * 1000 + 999 if text else None
    except (ValueError, OverflowError):
        return None


def expected(if_match: str, if_none_match: str = "") -> str:
    """What must be there for a write: a version's number, NOTHING (`If-None-Match: *`), or empty for anything."""
    if if_match:
        found = _ETAG.fullmatch(if_match.strip())
        if not found:
            raise Refused.because(
                400, IssueCode.VALUE, f'If-Match must be one ETag such as W/"3", not {if_match[:60]}.'
            )
        return found[1]
    if if_none_match and if_none_match.strip() != "*":
        raise Refused.because(400, IssueCode.VALUE, "If-None-Match must be * on a write.")
    return NOTHING if if_none_match else ""
