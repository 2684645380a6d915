"""
Who may be told of what, and why not.

Of a change everything is judged that tells of it: the version that it made, and the one before it. So an update that
raises the confidentiality is kept from whoever was cleared for the old version alone, and a delete from whoever was not
cleared for what was there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from subscriptions.codes import Content
from subscriptions.labels import Labels
from subscriptions.rights import Rights
from subscriptions.scopes import Permission, scope


class Reason(StrEnum):
    """Why something is kept from somebody."""

    NO_CLIENT = "no-client"
    OFF = "off"
    NO_KEY = "no-key"
    NO_GRANT = "no-grant"
    SCOPE = "scope"
    CONTENT = "content"
    CLEARANCE = "clearance"
    RULE = "rule"
    CONSENT = "consent"
    #: It can't be judged, and so is told to nobody.
    UNREADABLE = "unreadable"

    @property
    def of_change(self) -> bool:
        """Whether it is a change that is kept from him; else he is told nothing at all any more."""
        return self in (Reason.CLEARANCE, Reason.RULE, Reason.CONSENT, Reason.UNREADABLE)


_TEXTS = {
    Reason.NO_CLIENT: "its client is not known here any more",
    Reason.OFF: "its client is turned off",
    Reason.NO_KEY: "its client has no API key that is good any more",
    Reason.NO_GRANT: "nothing of this tenant is granted to its client any more",
    Reason.SCOPE: "its client does not have the scope {} any more",
    Reason.CONTENT: "its client may be told {} at most now",
    Reason.CLEARANCE: "its security labels are beyond the client's clearance",
    Reason.RULE: "the rule {} suppresses it",
    Reason.CONSENT: "{} denies it",
    Reason.UNREADABLE: "whether it may be told can't be judged: {}",
}


@dataclass(frozen=True, slots=True)
class Withheld:
    """
    That something is kept from somebody.

    detail: The scope that is lacking, the content that is allowed, the rule or Consent by which it is; no patient's
        data.
    """

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        """In words. Of a change that is kept from him (`Reason.of_change`) they are for the audit, not for him."""
        return _TEXTS[self.reason].format(self.detail)


#: What somebody may now, or why he may nothing.
Standing: TypeAlias = Rights | Withheld


def of_type(standing: Standing, *types: str) -> Withheld | None:
    """Why changes of one of these types are kept from somebody, whatever is in them."""
    if isinstance(standing, Withheld):
        return standing
    lacking = next((each for each in types if not standing.scopes.allow(each, Permission.READ)), None)
    return Withheld(Reason.SCOPE, scope(lacking, Permission.READ)) if lacking else None


def of_subscription(standing: Standing, types: Iterable[str], content: Content) -> Withheld | None:
    """Why somebody is told nothing more. `types`: All that he is told of. `content`: What he asked for."""
    if isinstance(standing, Withheld):
        return standing
    too_much = None if standing.tell(content) else Withheld(Reason.CONTENT, standing.content)
    return of_type(standing, *sorted(types)) or too_much


def of_versions(standing: Standing, type_: str, versions: Iterable[Labels]) -> Withheld | None:
    """
    Why a resource is kept from somebody.

    versions: The labels of each version that would be told of, or that what is told gives away.
    """
    if isinstance(standing, Withheld):
        return standing
    covered = all(standing.clearance.cover(each) for each in versions)
    return of_type(standing, type_) or (None if covered else Withheld(Reason.CLEARANCE))
