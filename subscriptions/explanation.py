"""Why does a change concern a subscription, or not? The whole answer, filter by filter, for whoever asks."""

from dataclasses import dataclass

from subscriptions.can_filter_by import concerns, permitted
from subscriptions.change import Change
from subscriptions.errors import EvaluationError
from subscriptions.filters import criteria
from subscriptions.findings import Findings
from subscriptions.search.asking import Context
from subscriptions.search.extraction import Value
from subscriptions.search.held import Held
from subscriptions.subscription import Filter, Subscription
from subscriptions.topic import Topic
from subscriptions.triggers import Firing, Triggers


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


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Why a change concerns a subscription or not.

    trigger: Whether the topic fires.
    type_allowed: Whether the topic has the change's type, and the filters name it, if they name any.
    """

    matched: bool
    trigger: Firing
    type_allowed: bool
    filters: tuple[FilterExplanation, ...]


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
    matched = trigger.fired and met is True and change.type in wanted
    return Explanation(matched, trigger, change.type in wanted, filters)


def _explained(filter_: Filter, topic: Topic, change: Change, context: Context, held: Held) -> FilterExplanation:
    asked = permitted(filter_, change.type, topic, context)
    try:
        matched = asked.matches(change.subject, held)
    except EvaluationError as error:
        return FilterExplanation(filter_, None, error=str(error))
    return FilterExplanation(filter_, matched, tuple(asked.source.extraction.values(change.subject, held)))
