"""What would be told of one resource, as far as that decides who may be told, and who that is."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from subscriptions.change import Resource
from subscriptions.labels import Labels, objects
from subscriptions.search.target import literals, local


@dataclass(frozen=True)
class Told:
    """
    What would be told of one resource.

    labels: Of each version.
    versions: All that would be told of, or that what is told gives away.
    bases: The hub's own base URLs.
    at: When it would be told, aware.
    """

    type: str
    id: str
    versions: tuple[Resource, ...]
    labels: tuple[Labels, ...]
    bases: frozenset[str]
    at: datetime

    @property
    def own(self) -> str:
        return f"{self.type}/{self.id}"

    @cached_property
    def references(self) -> frozenset[str]:
        """Itself, and what it refers to on this hub by any element, as `Type/id`."""
        found = (local(literal, self.bases) for version in self.versions for literal in literals(version))
        return frozenset({self.own, *filter(None, found)})

    @cached_property
    def types(self) -> frozenset[str]:
        """Its type, and those of the resources in it."""
        found = (each.get("resourceType") for version in self.versions for each in objects(version))
        return frozenset({self.type, *(type_ for type_ in found if isinstance(type_, str))})


@dataclass(frozen=True, slots=True)
class Recipient:
    """
    Who would be told.

    names: All that it is known by.
    others: What all other clients are known by.
    """

    name: str
    names: frozenset[str] = field(default_factory=frozenset)
    others: frozenset[str] = field(default_factory=frozenset)
