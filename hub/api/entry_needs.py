"""What an entry of a Bundle asks of whoever sends it: what its own interaction would."""

from collections.abc import Sequence

from hub.access import Caller
from hub.api.entries import Entry
from hub.api.permits import demand
from hub.api.topics import TOPIC
from hub.errors import Refused, insufficient
from hub.ingest.validation import MOST_ISSUES
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue
from subscriptions.scopes import EVERY, Permission, scope

#: A patch reads: it may test what is there, and copy it.
_WRITES = {
    "POST": (Permission.CREATE,),
    "PUT": (Permission.UPDATE,),
    "PATCH": (Permission.READ, Permission.UPDATE),
    "DELETE": (Permission.DELETE,),
}


def asked(entry: Entry) -> tuple[str, tuple[Permission, ...]]:
    """The type that an entry is about, EVERY for all, and what it does there."""
    if entry.method == "GET":
        return TOPIC if entry.topic else entry.type or EVERY, (Permission.READ if entry.id else Permission.SEARCH,)
    searches = entry.if_none_exist is not None if entry.method == "POST" else not entry.id
    return entry.type, (*_WRITES[entry.method], *((Permission.SEARCH,) if searches else ()))


def demand_entry(by: Caller, entry: Entry) -> None:
    """Raise Refused, 403, unless a caller may do what an entry asks for."""
    type_, permissions = asked(entry)
    demand(by, type_, *permissions)


def demand_all(by: Caller, entries: Sequence[Entry]) -> None:
    """The same of entries that are done together or not at all: each is named that may not be done."""
    lacking: dict[str, None] = {}
    issues: list[Issue] = []
    for entry in entries:
        type_, permissions = asked(entry)
        if not by.rights.scopes.allow(type_, *permissions):
            needed = scope(type_, *permissions)
            lacking[needed] = None
            issues.append(Issue(IssueCode.FORBIDDEN, f"This needs the scope {needed}.", entry.expression))
    if issues:
        raise Refused(403, *issues[:MOST_ISSUES], headers=insufficient(" ".join(lacking)))
