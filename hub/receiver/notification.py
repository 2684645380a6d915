"""A notification as an app sees it, whatever FHIR version it was written in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from subscriptions.codes import Interaction, SubscriptionStatus
from subscriptions.ranges import Range

#: A FHIR resource, as its JSON.
Resource: TypeAlias = Mapping[str, Any]


class Kind(StrEnum):
    """What a notification is: the five of FHIR, and the two that come where the criteria are a search."""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENT_NOTIFICATION = "event-notification"
    QUERY_STATUS = "query-status"
    QUERY_EVENT = "query-event"
    #: A resource alone, with no number and no word of its Subscription.
    RESOURCE = "resource"
    #: Nothing at all: something has changed.
    BARE = "bare"


@dataclass(frozen=True, slots=True)
class Context:
    """
    What came along with an event's focus, such as the patient of an encounter.

    resource: None unless the Subscription is told full resources, or when it is not kept any more.
    """

    reference: str
    resource: Resource | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """
    One change that an app is told of.

    number: Counts up from 1 without gaps in its Subscription; 0 where nothing is numbered.
    subscription: The Subscription's URL, and `topic` its topic's canonical; each is empty when that is not told.
    at: When the change was stored, aware; None when that is not told.
    focus: The URL of what changed; empty with the content `empty`, or when it may not be told any more.
    interaction: None when a notification doesn't say: it does with `full-resource`, and of deletes mostly.
    resource: The version that the change made; None after a delete, with other contents than `full-resource`, or when
        it is not kept any more.
    """

    number: int
    subscription: str = ""
    topic: str = ""
    at: datetime | None = None
    focus: str = ""
    interaction: Interaction | None = None
    resource: Resource | None = field(default=None, repr=False)
    contexts: tuple[Context, ...] = ()

    @property
    def type(self) -> str:
        """Of what changed: `Immunization`; empty when that is not told."""
        return self.focus.rpartition("/")[0].rpartition("/")[2]

    @property
    def id(self) -> str:
        """Of what changed; empty when that is not told."""
        return self.focus.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Missed:
    """Events that will not come any more: nobody was asked for them, or they are not kept any more."""

    subscription: str
    range: Range


@dataclass(frozen=True, slots=True)
class Notification:
    """
    All that one request says.

    id: The Bundle's, the same in all repeats; empty where there is no Bundle.
    status: The Subscription's; None when that is not told.
    counter: How many events the Subscription had; in an event notification, up to its last one.
    at: When it was made, aware; None when that is not told.
    errors: What the hub says that went wrong, such as events that it had to drop.
    """

    kind: Kind
    id: str = ""
    subscription: str = ""
    topic: str = ""
    status: SubscriptionStatus | None = None
    counter: int = 0
    at: datetime | None = None
    events: tuple[Event, ...] = ()
    errors: tuple[str, ...] = ()
