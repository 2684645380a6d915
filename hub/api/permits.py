"""
What is asked of a caller where the route alone can't say it.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from hub.access import Caller
from hub.api.exchange import Answer
from hub.api.routes import forbidden
from hub.errors import Refused
from hub.query import Query
from subscriptions.codes import IssueCode
from subscriptions.errors import Rejected
from subscriptions.scopes import Permission, scope
from subscriptions.search.beyond import beyond


def demand(by: Caller, type_: str, *permissions: Permission) -> None:
    """Raise Refused, 403, unless a caller may do this with resources of a type."""
    if not by.rights.scopes.allow(type_, *permissions):
        raise forbidden(scope(type_, *permissions))


def demand_beyond(by: Caller, query: Query) -> None:
    """Raise Refused, 403, unless a caller may search in all other types that a search looks at."""
    types = frozenset[str]().union(*map(beyond, query.criteria))
    if lacking := by.rights.scopes.lacking(types, Permission.SEARCH):
        raise forbidden(" ".join(lacking))


def shown(by: Caller, type_: str, answer: Answer) -> Answer:
    """The answer to a patch: what it made of what was there is for those alone who may read that."""
    return answer if by.rights.scopes.allow(type_, Permission.READ) else replace(answer, body=b"")


@contextmanager
def sparing(by: Caller, type_: str) -> Iterator[None]:
    """Where what a patch makes can't be stored, tell whoever may not read it no more than that: quote nothing."""
    try:
        yield
    except (Refused, Rejected) as error:
        if (isinstance(error, Refused) and error.status != 400) or by.rights.scopes.allow(type_, Permission.READ):
            raise
        needed = scope(type_, Permission.READ)
        text = f"What the patch makes can't be stored. Why is told to those who may read it: {needed}."
        raise Refused.because(400, IssueCode.INVALID, text) from None
