"""
How far a Subscription reaches: of which resource types its owner is told, or learns something.

Whoever asks for it has to be allowed to read all of them: `system/Immunization.r`, or `system/*.r` for all types.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from subscriptions import filters
from subscriptions.codes import Content, IssueCode
from subscriptions.errors import Issue
from subscriptions.rights import Rights
from subscriptions.scopes import EVERY, Permission
from subscriptions.search.asking import Context
from subscriptions.search.beyond import beyond
from subscriptions.search.parameters import resource_types
from subscriptions.shapes import shapes
from subscriptions.subscription import Subscription, types_told
from subscriptions.topic import ANY, Topic


@dataclass(frozen=True, slots=True)
class Reach:
    """
    Resource types; EVERY stands for all.

    told: Whose changes are told.
    along: That come along with these. Nothing does where the content is `empty`.
    beyond: That its filters, or the topic's triggers, look at.
    """

    told: frozenset[str]
    along: frozenset[str]
    beyond: frozenset[str]

    @classmethod
    def of(cls, wanted: Subscription, topic: Topic, context: Context) -> "Reach":
        """
        Raises:
            Rejected: The topic doesn't allow its filters, or these can't be evaluated.
        """
        told = types_told(topic, wanted.filters)
        focuses = resource_types(context.version) if EVERY in told else told
        shaped = shapes(topic, context)
        along = frozenset[str]().union(*map(shaped.types, focuses)) if wanted.content is not Content.EMPTY else ()
        met = chain.from_iterable(filters.criteria(wanted.filters, topic, context).values())
        return cls(told, frozenset(along), frozenset().union(*map(beyond, met), _looked_at(topic, context)))

    def lacking(self, rights: Rights) -> tuple[str, ...]:
        """The scopes that are lacking for all of it, sorted."""
        return rights.scopes.lacking(self.told | self.along | self.beyond, Permission.READ)

    def hidden(self, rights: Rights) -> tuple[str, ...]:
        """The scopes that are lacking for whoever only learns whether a change of its own would be told of."""
        return rights.scopes.lacking(self.beyond, Permission.READ)

    def issues(self, rights: Rights, element: str) -> Iterator[Issue]:
        """The same in words. `element`: Where the Subscription names its topic."""
        for types, what in (
            (self.told, "It is told of changes of {}"),
            (self.along - self.told, "With what it is told comes {} along"),
            (self.beyond, "By its filters, or its topic, something is learned of {}"),
        ):
            if lacking := rights.scopes.lacking(types, Permission.READ):
                names = ", ".join(each.partition("/")[2].removesuffix(".r") for each in lacking)
                text = f"{what.format(names.replace(EVERY, 'every type'))}: this needs {' '.join(lacking)}."
                yield Issue(IssueCode.FORBIDDEN, text, element)


def excess(wanted: Subscription, rights: Rights, element: str) -> Iterator[Issue]:
    """That a Subscription asks to be told more than may be. `element`: Where it says how much."""
    if not rights.tell(wanted.content):
        text = f"Of a resource this client may be told `{rights.content}` at most, not `{wanted.content}`."
        yield Issue(IssueCode.FORBIDDEN, text, element)


def _looked_at(topic: Topic, context: Context) -> frozenset[str]:
    """The types of what the triggers' searches look at, beside the changed resource."""
    queries = ((each.resource, each.query) for each in topic.triggers if each.query)
    every = resource_types(context.version)
    found: set[str] = set()
    for type_, query in queries:
        for text in filter(None, (query.previous, query.current)):
            types = every if type_ == ANY else frozenset({type_})
            for criterion in chain.from_iterable(filters.queries(filters.parse(text), types, context).values()):
                found |= beyond(criterion)
    return frozenset(found)
