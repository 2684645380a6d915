"""All that a resource is found by in the indexes of the store."""

from collections.abc import Collection, Iterator
from datetime import datetime

from hub.keys import Index
from hub.write import Indexed
from subscriptions.change import Resource
from subscriptions.roster import memberships, merged
from subscriptions.search.target import literals, local

#: The elements that the search parameter `identifier` finds, in one type or another.
_IDENTIFYING = ("identifier", "masterIdentifier")


def found_by(resource: Resource, bases: Collection[str]) -> tuple[Indexed, ...]:
    """
    See `hub.keys` for what the texts are.

    Args:
        resource: With its `id`.
        bases: The hub's own base URLs: references below them are the relative ones.

    Raises:
        Rejected: The period of a member is malformed.
    """
    return tuple(dict.fromkeys(_found_by(resource, bases)))


def identifiers(resource: Resource) -> Iterator[str]:
    """`system|value` of each identifier of a resource that has a value."""
    for name in _IDENTIFYING:
        held = resource.get(name, ())
        for identifier in held if isinstance(held, list) else [held]:
            if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
                yield f"{identifier.get('system', '')}|{identifier['value']}"


def _found_by(resource: Resource, bases: Collection[str]) -> Iterator[Indexed]:
    for identifier in identifiers(resource):
        yield Indexed(Index.IDENTIFIERS, identifier)
    for literal in literals(resource):
        if target := local(literal, bases):
            yield Indexed(Index.REFERENCES, target)
    for member, membership in memberships(resource, bases):
        limits = (_ms(membership.start), _ms(membership.end))
        yield Indexed(Index.MEMBERS, "\0".join((member, resource["resourceType"], *limits)))
    for other in merged(resource, bases):
        own = f"Patient/{resource['id']}"
        yield Indexed(Index.MERGED, f"{own}\0{other}")
        yield Indexed(Index.MERGED, f"{other}\0{own}")


def _ms(at: datetime | None) -> str:
    return "" if at is None else str(round(at.timestamp() * 1000))
