"""
Does a change fire a topic? https://hl7.org/fhir/R5/subscriptiontopic.html#trigger.

First the resource type and the interaction have to be right, only then are criteria evaluated. Of the two languages
that they can be written in, queryCriteria outweighs fhirPathCriteria. An absent side counts as the topic says; if it
doesn't say, only the side that is there is evaluated, and so it is where only one of `previous` and `current` is given.

Errors stay with their trigger: it doesn't fire, and another one still may.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from subscriptions import filters
from subscriptions.change import Change
from subscriptions.codes import Interaction, IssueCode
from subscriptions.errors import EvaluationError, Issue, Rejected
from subscriptions.findings import Findings, every, some
from subscriptions.predicate import Predicate, predicate
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion
from subscriptions.search.parameters import resource_types
from subscriptions.topic import ANY, EventTrigger, QueryCriteria, ResourceTrigger, Topic

#: Characters of FHIRPath in all triggers of a topic: whoever has it compiled holds up all others for so long.
MOST_FHIRPATH = 5_000


@dataclass(frozen=True, slots=True)
class Tried:
    """
    One trigger, held against a change.

    verdict: An error if it can't be said; that is no firing.
    reasons: Why, in words: each test of the trigger, and how they count.
    """

    trigger: ResourceTrigger | EventTrigger
    verdict: bool | EvaluationError
    reasons: tuple[str, ...]

    @property
    def reason(self) -> str:
        return "; ".join(self.reasons)


@dataclass(frozen=True, slots=True)
class Firing:
    """Whether a change fires a topic, and why, trigger by trigger, for whoever asks."""

    verdict: bool | EvaluationError
    tried: tuple[Tried, ...]

    @property
    def fired(self) -> bool:
        return self.verdict is True

    @property
    def reason(self) -> str:
        told = [each for each in self.tried if each.verdict is True] or self.tried
        return "; ".join(each.reason for each in told)


class Triggers:
    """
    A topic's triggers, compiled for one FHIR version. They know no subscriptions.

    ask_vocabulary: Whether what they mean may depend on the vocabulary of their context.
    """

    def __init__(self, topic: Topic, context: Context) -> None:
        """
        Raises:
            Rejected: For each trigger that can't be evaluated, with its element.
        """
        self.topic = topic
        self.context = context
        self._compiled: list[_ResourceTrigger | _EventTrigger] = []
        issues: list[Issue] = []
        if (long := sum(len(trigger.fhirpath) for trigger in topic.triggers)) > MOST_FHIRPATH:
            text = f"{long} characters of FHIRPath in all: a topic has {MOST_FHIRPATH} at most"
            raise Rejected(Issue(IssueCode.TOO_COSTLY, text, "SubscriptionTopic.resourceTrigger"))
        for i, trigger in enumerate(topic.triggers):
            try:
                self._compiled.append(_compiled(trigger, context, f"SubscriptionTopic.resourceTrigger[{i}]"))
            except Rejected as rejected:
                issues += rejected.issues
        self._compiled += map(_EventTrigger, topic.event_triggers)
        if issues:
            raise Rejected(*issues)
        queries = [each.query for each in topic.triggers if each.query]
        texts = filter(None, (text for query in queries for text in (query.previous, query.current)))
        self.ask_vocabulary = any(filters.ask_vocabulary(filters.parse(text)) for text in texts)

    def wants(self, change: Change) -> bool:
        """Whether one of the triggers is for such a change, going by its type and interaction alone."""
        return any(trigger.wants(change) for trigger in self._compiled)

    def fires(self, findings: Findings) -> bool | EvaluationError:
        """Whether one of the triggers does; the first error if none does and one failed."""
        return some(trigger.fires(findings) for trigger in self._compiled if trigger.wants(findings.change))

    def firing(self, findings: Findings) -> Firing:
        """`fires`, with the reason."""
        tried = tuple(_tried(trigger, findings) for trigger in self._compiled)
        return Firing(some(each.verdict for each in tried), tried)


def _tried(trigger: "_ResourceTrigger | _EventTrigger", findings: Findings) -> Tried:
    change = findings.change
    if not trigger.wants(change):
        what = f"{change.interaction} of {change.type}"
        return Tried(trigger.trigger, False, (f"{what} is not what the trigger is for: {trigger.wanted}",))
    return Tried(trigger.trigger, trigger.fires(findings), tuple(trigger.reasons(findings)))


@dataclass(frozen=True, slots=True)
class _EventTrigger:
    trigger: EventTrigger

    @property
    def wanted(self) -> str:
        named = ", ".join(sorted(f"{system}|{code}" for system, code in self.trigger.codings))
        return f"the event {named} on {self.trigger.resource}"

    def wants(self, change: Change) -> bool:
        return self.trigger.resource in (ANY, change.type)

    def fires(self, findings: Findings) -> bool:
        return not self.trigger.codings.isdisjoint(findings.change.events)

    def reasons(self, findings: Findings) -> Iterator[str]:
        said = "named" if self.fires(findings) else "did not name"
        yield f"the publisher {said} {self.wanted}"


class _Side(Enum):
    """Which version a test of a queryCriteria looks at."""

    PREVIOUS = "previous"
    CURRENT = "current"

    @property
    def absent(self) -> Interaction:
        """The interaction that leaves no version on this side."""
        return Interaction.CREATE if self is _Side.PREVIOUS else Interaction.DELETE


@dataclass(frozen=True, slots=True)
class _Test:
    """
    One side of a queryCriteria.

    criteria: By resource type, since a trigger may be for all of them; a type that is not there fails.
    absent: What it counts as when there is no version on its side; None when that isn't said.
    """

    side: _Side
    query: str
    criteria: Mapping[str, tuple[Criterion, ...]]
    absent: bool | None

    def verdict(self, findings: Findings) -> bool | EvaluationError | None:
        """None where it is not applicable: there is no version on its side, and nothing said for that case."""
        if findings.change.interaction is self.side.absent:
            return self.absent
        criteria = self.criteria.get(findings.change.type)
        facts = findings.before if self.side is _Side.PREVIOUS else findings.after
        return False if criteria is None else facts.all(criteria)

    def reason(self, findings: Findings) -> str:
        verdict = self.verdict(findings)
        if findings.change.interaction is not self.side.absent:
            return f"{self.side.value} `{self.query}` {_said(verdict)}"
        there = f"there is no {self.side.value} version, which"
        if verdict is None:
            return f"{there} the topic says nothing about"
        return f"{there} {'passes' if verdict else 'fails'} by resultFor{self.side.absent.title()}"


@dataclass(frozen=True, slots=True)
class _ResourceTrigger:
    """
    tests: Those of the queryCriteria; empty without.
    predicate: None when there is none, or tests outweigh it.
    """

    trigger: ResourceTrigger
    tests: tuple[_Test, ...]
    predicate: Predicate | None

    @property
    def wanted(self) -> str:
        return f"{', '.join(sorted(self.trigger.interactions))} of {self.trigger.resource}"

    def wants(self, change: Change) -> bool:
        return change.interaction in self.trigger.interactions and self.trigger.resource in (ANY, change.type)

    def fires(self, findings: Findings) -> bool | EvaluationError:
        if self.trigger.query:
            verdicts = (test.verdict(findings) for test in self.tests)
            return combined((verdict for verdict in verdicts if verdict is not None), self.trigger.query)
        return findings.holds(self.predicate) if self.predicate else True

    def reasons(self, findings: Findings) -> Iterator[str]:
        yield f"the topic has a trigger for {findings.change.interaction} of {self.trigger.resource}"
        if self.trigger.query:
            for test in self.tests:
                yield test.reason(findings)
            if len(self.tests) > 1:
                yield "both have to pass" if self.trigger.query.require_both else "one of both has to pass"
        elif self.predicate:
            yield f"`{self.predicate.expression}` {_said(findings.holds(self.predicate))}"


def combined(verdicts: Iterable[bool | EvaluationError], query: QueryCriteria) -> bool | EvaluationError:
    """What the applicable tests of a queryCriteria come to; without any it doesn't fire."""
    applicable = list(verdicts)
    return bool(applicable) and (every(applicable) if query.require_both else some(applicable))


def _said(verdict: bool | EvaluationError | None) -> str:
    if isinstance(verdict, EvaluationError):
        return f"could not be evaluated: {verdict}"
    return "passes" if verdict else "fails"


def _compiled(trigger: ResourceTrigger, context: Context, path: str) -> _ResourceTrigger:
    every_type = resource_types(context.version)
    if trigger.resource not in (ANY, *every_type):
        text = f"`{trigger.resource}` is not a resource type of FHIR {context.version.upper()}"
        raise Rejected(Issue(IssueCode.VALUE, text, f"{path}.resource"))
    types = every_type if trigger.resource == ANY else frozenset({trigger.resource})
    issues: list[Issue] = []
    tests: list[_Test] = []
    if trigger.query:
        for side, query, absent in (
            (_Side.PREVIOUS, trigger.query.previous, trigger.query.result_for_create),
            (_Side.CURRENT, trigger.query.current, trigger.query.result_for_delete),
        ):
            try:
                tests += _test(side, query, absent, types, context, f"{path}.queryCriteria.{side.value}")
            except Rejected as rejected:
                issues += rejected.issues
    expression = None
    try:
        expression = predicate(trigger.fhirpath, context.version) if trigger.fhirpath else None
    except Rejected as rejected:
        issues += (Issue(each.code, each.text, f"{path}.fhirPathCriteria") for each in rejected.issues)
    if issues:
        raise Rejected(*issues)
    return _ResourceTrigger(trigger, tuple(tests), None if trigger.query else expression)


def _test(
    side: _Side, query: str, absent: bool | None, types: frozenset[str], context: Context, path: str
) -> Iterator[_Test]:
    if not query:
        return
    try:
        asked = filters.parse(query)
    except Rejected as rejected:
        raise Rejected(*(Issue(each.code, each.text, path) for each in rejected.issues)) from rejected
    yield _Test(side, query, filters.queries(asked, types, context, path), absent)
