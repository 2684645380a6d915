"""
What is asked of a caller where the route alone can't say it.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from collections.abc import Iterable

from hub.access import Caller
from hub.api.routes import forbidden
from hub.query import Query
from subscriptions.scopes import Permission, scope
from subscriptions.search.beyond import beyond


def demand(by: Caller, type_: str, *permissions: Permission) -> None:
    """Raise Refused, 403, unless a caller may do this with resources of a type."""
    if not by.rights.scopes.allow(type_, *permissions):
        raise forbidden(scope(type_, *permissions))


def demand_each(by: Caller, types: Iterable[str], permission: Permission) -> None:
    """Raise Refused, 403, unless a caller may do this with resources of each of these types."""
    if lacking := by.rights.scopes.lacking(types, permission):
        raise forbidden(" ".join(lacking))


def demand_beyond(by: Caller, query: Query) -> None:
    """Raise Refused, 403, unless a caller may search in all other types that a search looks at."""
    demand_each(by, frozenset[str]().union(*map(beyond, query.criteria)), Permission.SEARCH)
