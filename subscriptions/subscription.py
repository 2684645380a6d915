"""A Subscription, whatever FHIR version it was written in. `versions/` parses into it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from subscriptions.codes import ChannelType, Comparator, Content, FhirVersion, SubscriptionStatus
from subscriptions.errors import Issue
from subscriptions.scopes import EVERY
from subscriptions.topic import ANY, Topic


class Style(StrEnum):
    """How a subscriber says what it wants, and is told of it."""

    #: By a topic; notifications are Bundles, after a handshake.
    TOPIC = "topic"
    #: By a search in `criteria`, as R4 had it before topics: an empty POST, or the resource as an update (PUT).
    R4 = "r4"
    #: By a search in `criteria`; the resource is POSTed, as Medplum does it.
    MEDPLUM = "medplum"


@dataclass(frozen=True, slots=True)
class Filter:
    """
    One condition on the resource of a change: `Immunization?patient=Patient/1,Patient/2`.

    resource_type: The type whose changes it restricts; None for every type of the topic.
    parameter: A search parameter's code (`patient`).
    modifier: Without the colon (`missing`), or None.
    comparator: Where it is given apart from the value, as in R5. A criteria string has it inside (`gt2024`), since
        only the parameter's type tells whether it is one.
    values: Joined by OR. FHIR's escapes are still in them, since what `|` and `$` mean depends on the type too.
    text: The condition as the client wrote it, for messages and `explain`.
    """

    resource_type: str | None
    parameter: str
    modifier: str | None
    comparator: Comparator | None
    values: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """
    What a subscriber asked for.

    status: As the client wants it; the status in force is the hub's to keep.
    topic: The topic's canonical as the client wrote it, perhaps with `|version`; empty with `own_topic`.
    filters: Joined by AND; each one only for changes of its own resource type.
    headers: Name and value, in order, repetitions kept.
    content_type: The MIME type of the notification, verbatim; empty when an empty body is sent.
    heartbeat_period, timeout: Seconds; None when not asked for.
    window: Seconds after a notification in which nothing is sent; None when not asked for.
    retry_waits: Seconds before each further attempt, instead of the hub's own schedule; None when not asked for.
    max_count: The most events that one notification may hold; None when not asked for.
    end: When to turn off, aware; None for never.
    alert_endpoint: Where its owner is told how it fares; empty for nowhere.
    start: From when on changes concern it, aware; None for its first activation.
    own_topic: What a search in `criteria` comes to; None with Style.TOPIC.
    """

    version: FhirVersion
    status: SubscriptionStatus
    topic: str
    filters: tuple[Filter, ...]
    channel: ChannelType
    endpoint: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    content: Content
    content_type: str
    heartbeat_period: int | None = None
    window: int | None = None
    retry_waits: tuple[int, ...] | None = None
    timeout: int | None = None
    max_count: int | None = None
    end: datetime | None = None
    start: datetime | None = None
    alert_endpoint: str = ""
    style: Style = Style.TOPIC
    own_topic: Topic | None = None


@dataclass(frozen=True, slots=True)
class Interest:
    """What a Subscription is to be told of: `topic`, `own_topic` and `filters` as in Subscription."""

    topic: str
    own_topic: Topic | None
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What was read of a Subscription, for whoever may have more to say against it.

    subscription: Has stand-ins for the elements that can't be read.
    filters: Those of the subscription, by the element that they stand in.
    issues: Why it can't be accepted; empty when it can.
    """

    subscription: Subscription
    filters: Mapping[str, tuple[Filter, ...]]
    issues: tuple[Issue, ...]

    def is_sound(self, element: str) -> bool:
        """Whether nothing was found against this very element."""
        return all(issue.expression != element for issue in self.issues)


def types_told(topic: Topic, filters: Iterable[Filter]) -> frozenset[str]:
    """
    The resource types whose changes a subscriber is told of, perhaps EVERY: those that its filters name, or else the
    topic's.
    """
    named = frozenset(each.resource_type for each in filters if each.resource_type)
    return named or frozenset(EVERY if each == ANY else each for each in topic.resource_types)
