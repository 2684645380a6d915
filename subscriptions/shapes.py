"""
What comes along with a change: `notificationShape` of its topic, resolved when the change is matched.

https://hl7.org/fhir/R5/subscriptiontopic.html#notifications. A directive is `Type:reference`, perhaps with `:Target`,
as in `_include`; `iterate` is ignored, which the standard allows.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from subscriptions.change import Change, Resource
from subscriptions.codes import IssueCode, SearchType
from subscriptions.errors import EvaluationError, Issue
from subscriptions.search.asking import Context
from subscriptions.search.extraction import Extraction, extraction
from subscriptions.search.following import led_to
from subscriptions.search.held import Held
from subscriptions.search.parameters import parameters, resource_types
from subscriptions.search.target import local
from subscriptions.topic import ANY, Topic

#: More than one directive finds are too many to send along.
MOST_INCLUDED = 100

_DIRECTIVE = re.compile(
    r"(?:_(?:rev)?include=)?(?P<type>[A-Z][A-Za-z]+):(?P<code>[_a-z][A-Za-z0-9_\-]*)(?::(?P<target>[A-Z][A-Za-z]+))?"
)
_ITERATES = re.compile(r"_(?:rev)?include:iterate=")


@dataclass(frozen=True, slots=True)
class Included:
    """The version that was in force of a resource that comes along."""

    type: str
    id: str
    version: int

    def __str__(self) -> str:
        return f"{self.type}/{self.id}/{self.version}"

    @classmethod
    def parse(cls, text: str) -> "Included":
        type_, id_, version = text.split("/")
        return cls(type_, id_, int(version))


@dataclass(frozen=True, slots=True)
class _Include:
    """What a focus refers to. `target`: only of this type; None for any."""

    text: str
    reference: Extraction
    target: str | None

    @property
    def types(self) -> frozenset[str]:
        return frozenset({self.target}) if self.target else led_to(self.reference)

    def found(self, focus: Resource, held: Held, bases: frozenset[str]) -> Iterator[Resource]:
        for value in self.reference.values(focus, held):
            name = local(value.data.get("reference"), bases) if isinstance(value.data, Mapping) else None
            if name and name.partition("/")[0] in self.types and (resource := held.resource(name)):
                yield resource


@dataclass(frozen=True, slots=True)
class _RevInclude:
    """What refers to a focus."""

    text: str
    reference: Extraction

    @property
    def types(self) -> frozenset[str]:
        return frozenset({self.reference.resource_type})

    def found(self, focus: Resource, held: Held, bases: frozenset[str]) -> Iterator[Resource]:
        own = f"{focus['resourceType']}/{focus['id']}"
        for referrer in held.referring(self.reference.resource_type, own):
            found = (value.data for value in self.reference.values(referrer, held))
            if any(isinstance(data, Mapping) and local(data.get("reference"), bases) == own for data in found):
                yield referrer


class Shapes:
    """
    The shapes of one topic, compiled. See `shapes`.

    issues: Directives that can't be followed, and so find nothing. A topic is none the worse: subscribers have to do
        without anything that a shape names (R5 framework).
    """

    def __init__(self, topic: Topic, context: Context) -> None:
        self._bases = context.bases
        self._of: dict[str, list[_Include | _RevInclude]] = {}
        issues: list[Issue] = []
        for i, shape in enumerate(topic.shapes):
            path = f"SubscriptionTopic.notificationShape[{i}]"
            types = resource_types(context.version) if shape.resource == ANY else frozenset({shape.resource})
            for text, back in [
                *((text, False) for text in shape.include),
                *((text, True) for text in shape.rev_include),
            ]:
                for type_, directive in _compiled(text, context, issues, types, path, back=back):
                    if directive not in self._of.setdefault(type_, []):
                        self._of[type_].append(directive)
        self.issues = tuple(issues)

    def concern(self, type_: str) -> bool:
        """Whether anything comes along with changes of this type."""
        return type_ in self._of

    def types(self, type_: str) -> frozenset[str]:
        """The types of what may come along with changes of this type."""
        return frozenset().union(*(directive.types for directive in self._of.get(type_, ())))

    def included(self, change: Change, held: Held) -> tuple[Included, ...]:
        """What comes along with a change. Raises EvaluationError as `resources` does."""
        return tuple(self.resources(change, held))

    def resources(self, change: Change, held: Held, bases: frozenset[str] | None = None) -> dict[Included, Resource]:
        """
        What comes along with a change, in the order of the directives, the focus itself apart. With a delete comes
        what the version before it referred to.

        Args:
            bases: Those where the change happened; None for those of whoever asks.

        Raises:
            EvaluationError: A directive finds too much, or can't be evaluated. Nothing comes along then.
        """
        found: dict[str, tuple[Included, Resource]] = {}
        for directive in self._of.get(change.type, ()):
            for count, resource in enumerate(_guarded(directive, change.subject, held, bases or self._bases)):
                name = f"{resource['resourceType']}/{resource['id']}"
                if count == MOST_INCLUDED:
                    raise EvaluationError(f"`{directive.text}` includes more than {MOST_INCLUDED} resources")
                if name != f"{change.type}/{change.id}":
                    version = int(resource["meta"]["versionId"])
                    found[name] = Included(resource["resourceType"], resource["id"], version), resource
        return dict(found.values())


@lru_cache(maxsize=1024)
def shapes(topic: Topic, context: Context) -> Shapes:
    """The same object for the same topic."""
    return Shapes(topic, context)


def _guarded(
    directive: _Include | _RevInclude, focus: Resource, held: Held, bases: frozenset[str]
) -> Iterator[Resource]:
    try:
        yield from directive.found(focus, held, bases)
    except Exception as error:  # whatever the engine or a malformed value gives rise to
        raise EvaluationError.within(f"`{directive.text}` could not be followed", error) from error


def _compiled(
    text: str, context: Context, issues: list[Issue], types: frozenset[str], path: str, *, back: bool
) -> Iterator[tuple[str, _Include | _RevInclude]]:
    """The directive for each type of focus that it concerns."""
    first = text.partition("&")[0]
    if _ITERATES.match(first):
        return
    directive = _DIRECTIVE.fullmatch(first)
    if not directive:
        reason = f"`{text}` is not of the form `Type:reference`, such as `Encounter:patient`"
        issues.append(Issue(IssueCode.VALUE, reason, path))
        return
    type_, code, target = directive["type"], directive["code"], directive["target"]
    parameter = parameters(context.version).get((type_, code))
    if parameter is None or parameter.type is not SearchType.REFERENCE or not parameter.expression:
        issues.append(Issue(IssueCode.NOT_SUPPORTED, f"`{text}`: {type_} has no reference parameter `{code}`", path))
        return
    reference = extraction(context.version, type_, code)
    if back:
        focuses = types & ({target} if target else reference.targets or resource_types(context.version))
    else:
        focuses = types & {type_}
    if not focuses:
        issues.append(Issue(IssueCode.VALUE, f"`{text}` has nothing to do with {', '.join(sorted(types))}", path))
    for focus in sorted(focuses):
        yield focus, _RevInclude(text, reference) if back else _Include(text, reference, target)
