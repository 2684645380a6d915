"""Why does a change concern a subscription, or not? The whole answer, filter by filter, for whoever asks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from subscriptions.can_filter_by import concerns, permitted
from subscriptions.change import Change, Resource
from subscriptions.codes import FhirVersion, Interaction, IssueCode, SubscriptionStatus
from subscriptions.errors import EvaluationError, Issue, Rejected
from subscriptions.filters import criteria
from subscriptions.findings import Findings, every
from subscriptions.search.asking import Context
from subscriptions.search.extraction import Value
from subscriptions.search.held import Held
from subscriptions.subscription import Filter, Subscription
from subscriptions.topic import Topic
from subscriptions.triggers import Firing, Triggers

#: What stands where a filter says nothing of a change, and where all of them do.
OTHER_TYPES = "It is for other resource types than that of the change."
OTHER_TYPE = "The filters name other resource types than that of the change, or the topic is not about it."

_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class FilterExplanation:
    """
    What a filter found.

    matched: None when it is for other types than the change's, or when it failed.
    values: All that its parameter found in the resource.
    error: Why it failed; empty when it didn't.
    """

    filter: Filter
    matched: bool | None
    values: tuple[Value, ...] = ()
    error: str = ""

    def showing(self, values: tuple[Value, ...]) -> "FilterExplanation":
        """The same, with no other values than these."""
        return replace(self, values=tuple(value for value in self.values if value in values))

    @property
    def found(self) -> tuple[str, ...]:
        """Each value as JSON, behind the place where it stands."""
        return tuple(": ".join(filter(None, (value.path, _encode(value.data).decode()))) for value in self.values)


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Why a change concerns a subscription or not.

    verdict: An error if it can't be said; then the change concerns nobody by it.
    trigger: Whether the topic fires.
    type_allowed: Whether the topic has the change's type, and the filters name it, if they name any.
    """

    verdict: bool | EvaluationError
    trigger: Firing
    type_allowed: bool
    filters: tuple[FilterExplanation, ...]

    @property
    def matched(self) -> bool:
        return self.verdict is True

    def showing(self, seen: "Explanation") -> "Explanation":
        """The same, without the values that somebody doesn't find who sees less. `seen`: The same, as he sees it."""
        pairs = zip(self.filters, seen.filters, strict=True)
        return replace(self, filters=tuple(each.showing(his.values) for each, his in pairs))

    @property
    def parameters(self) -> Iterator[dict[str, Any]]:
        """The same as parts of a FHIR Parameters resource."""
        yield {"name": "matched", "valueBoolean": self.matched}
        for tried in self.trigger.tried:
            parts = [{"name": "fired", "valueBoolean": tried.verdict is True}]
            parts.append({"name": "reason", "valueString": tried.reason})
            if isinstance(tried.verdict, EvaluationError):
                parts.append({"name": "error", "valueString": str(tried.verdict)})
            yield {"name": "trigger", "part": parts}
        if not self.type_allowed:
            yield {"name": "type", "valueString": OTHER_TYPE}
        for each in self.filters:
            yield {"name": "filter", "part": list(_parts(each))}


def supposed(
    resource: Resource | None,
    previous: Resource | None,
    interaction: Interaction | None,
    *,
    version: FhirVersion,
    at: datetime,
    events: frozenset[tuple[str, str]] = frozenset(),
) -> Change:
    """
    The change that is meant by the versions that are given.

    Args:
        resource: The version after; of a delete the last one, unless that is `previous`.
        interaction: None where it is to be seen from the versions.

    Raises:
        Rejected: They make no change, or not this one.
    """
    seen = Interaction.UPDATE if resource and previous else Interaction.CREATE if resource else Interaction.DELETE
    interaction = interaction or seen
    if interaction is Interaction.DELETE:
        if resource and previous:
            raise Rejected(Issue(IssueCode.INVALID, "Of a delete only the last version is given.", "previous"))
        resource, previous = None, previous or resource
    elif resource is None:
        text = f"The parameter `resource` is missing: the version that the {interaction} makes."
        raise Rejected(Issue(IssueCode.REQUIRED, text, "resource"))
    elif interaction is Interaction.CREATE and previous:
        raise Rejected(Issue(IssueCode.INVALID, "Before a create there is no version.", "previous"))
    subject = resource or previous
    if subject is None:
        raise Rejected(Issue(IssueCode.REQUIRED, "The parameter `resource` is missing.", "resource"))
    if resource and previous and not _same(resource, previous):
        raise Rejected(Issue(IssueCode.INVALID, "It is no version of the same resource.", "previous"))
    type_, id_ = str(subject.get("resourceType", "")), str(subject.get("id", "1"))
    return Change(version, interaction, type_, id_, 1, at, resource, previous, events)


def as_sent(subscription: Resource) -> Resource:
    """A Subscription as its client may have sent it: one that was read from a hub may be in `error`."""
    in_error = subscription.get("status") == SubscriptionStatus.ERROR
    return {**subscription, "status": SubscriptionStatus.REQUESTED.value} if in_error else subscription


def explain(subscription: Subscription, topic: Topic, change: Change, context: Context, held: Held) -> Explanation:
    """
    Go through everything that decides, whether or not an earlier part has already decided.

    Args:
        change: Of the subscription's FHIR version.

    Raises:
        Rejected: One of the filters or triggers can't be evaluated.
    """
    wanted = criteria(subscription.filters, topic, context)
    findings = Findings(change, held)
    trigger = Triggers(topic, context).firing(findings)
    filters = tuple(
        _explained(filter_, topic, change, context, held)
        if concerns(filter_, change.type, topic)
        else FilterExplanation(filter_, None)
        for filter_ in subscription.filters
    )
    met = findings.subject.all(wanted.get(change.type, ()))
    verdict = every((trigger.verdict, change.type in wanted, met))
    return Explanation(verdict, trigger, change.type in wanted, filters)


def _explained(filter_: Filter, topic: Topic, change: Change, context: Context, held: Held) -> FilterExplanation:
    asked = permitted(filter_, change.type, topic, context)
    try:
        matched = asked.matches(change.subject, held)
    except EvaluationError as error:
        return FilterExplanation(filter_, None, error=str(error))
    return FilterExplanation(filter_, matched, tuple(asked.source.extraction.values(change.subject, held)))


def _same(one: Resource, other: Resource) -> bool:
    ids = {each["id"] for each in (one, other) if "id" in each}
    return one.get("resourceType") == other.get("resourceType") and len(ids) < 2


def _parts(explained: FilterExplanation) -> Iterator[dict[str, Any]]:
    yield {"name": "wanted", "valueString": explained.filter.text}
    if explained.error:
        yield {"name": "error", "valueString": explained.error}
    elif explained.matched is None:
        yield {"name": "text", "valueString": OTHER_TYPES}
    else:
        yield {"name": "matched", "valueBoolean": explained.matched}
        for found in explained.found:
            yield {"name": "found", "valueString": found}
