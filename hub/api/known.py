"""What the client of a read has already: https://hl7.org/fhir/R4/http.html#cread."""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime


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
