"""
What can go wrong in the hub, as one tree.

* HubError
  x Refused             the client's request can't be done as it is: 4xx
    + Overtaken         another version is in force than the write expects: 412
  x Unavailable         a part of ours failed; the same request may succeed later: 503
    + Declined          the hub does nothing of the kind for now, and says why: 503
  x Mistaken            what an operator asks for can't be done as it is: refused, in one line
  x NotTheHub           the settings, the Redis or the data directory don't fit: refused at start, in one line
"""

import re

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue

#: Scopes as a header may hold them, and no more of them than proxies let through.
_SCOPES = re.compile(r"[!#-\[\]-~ ]{1,2000}")


class HubError(Exception):
    """Something the hub can't go on with."""


class Refused(HubError):
    """
    The client's request can't be done as it is, for the reasons in `issues`.

    status: The HTTP status, 400 to 499.
    headers: What the answer carries beside the OperationOutcome, such as `ETag` or `Allow`.
    """

    def __init__(self, status: int, *issues: Issue, headers: dict[str, str] | None = None) -> None:
        super().__init__("; ".join(issue.text for issue in issues))
        self.status = status
        self.issues = issues
        self.headers = headers or {}

    @classmethod
    def because(cls, status: int, code: IssueCode, text: str, expression: str = "") -> "Refused":
        return cls(status, Issue(code, text, expression))


def insufficient(scope: str) -> dict[str, str]:
    """
    The header of a 403 for lack of a scope, or of several: https://www.rfc-editor.org/rfc/rfc6750#section-3.1.

    They are left out where they can't stand in one: they have the type from the path, whatever that is.
    """
    named = f', scope="{scope}"' if _SCOPES.fullmatch(scope) else ""
    return {"WWW-Authenticate": f'Bearer error="insufficient_scope"{named}'}


class Overtaken(Refused):
    """Another version is in force than the write expects; nothing was done."""


class Unavailable(HubError):
    """A part of ours failed; nothing was half-written. `retry_after` is in seconds."""

    def __init__(self, text: str, *, retry_after: int = 1) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Declined(Unavailable):
    """The hub does nothing of the kind for now. The text is for the client too: nothing was done."""

    def __init__(self, text: str, *, retry_after: int, code: IssueCode = IssueCode.TRANSIENT) -> None:
        super().__init__(text, retry_after=retry_after)
        self.code = code


class Mistaken(HubError):
    """What an operator asks for can't be done as it is; nothing was done. The text is one line to act on."""


class NotTheHub(HubError):
    """The settings, the Redis or the data directory don't fit: nothing starts. The text is one line to act on."""
