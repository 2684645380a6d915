"""What is told of in the audit: acts, and how much of them."""

from dataclasses import dataclass
from enum import StrEnum

from subscriptions.codes import FhirVersion

#: The agent of what operators do at the command line, and of what the hub does by itself.
OPERATOR, HUB = "operator", "hub"

#: Characters of an act's text that are kept, and further entities.
MOST_TEXT, MOST_ENTITIES = 500, 100


class Level(StrEnum):
    """How much is audited; each has what the ones before it have."""

    OFF = "off"
    RIGHTS = "rights"
    NOTIFICATIONS = "notifications"
    ALL = "all"

    def has(self, kind: "Kind") -> bool:
        """Whether acts of this kind are audited."""
        return _RANKS[kind.level] <= _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}


class Outcome(StrEnum):
    """How an act ended; the value is R4's code: http://hl7.org/fhir/ValueSet/audit-event-outcome."""

    SUCCESS = "0"
    #: It was refused, or is to be tried again.
    REFUSED = "4"
    FAILED = "8"


class Kind(StrEnum):
    """What was done."""

    SUBSCRIPTION_CREATED = "subscription-created"
    SUBSCRIPTION_CHANGED = "subscription-changed"
    SUBSCRIPTION_DELETED = "subscription-deleted"
    SUBSCRIPTION_ACTIVATED = "subscription-activated"
    SUBSCRIPTION_FAILED = "subscription-failed"
    SUBSCRIPTION_OFF = "subscription-off"
    #: An operator has its endpoint asked anew.
    SUBSCRIPTION_RESUMED = "subscription-resumed"
    #: OAuth or TLS credentials were given, or taken away.
    CREDENTIALS_CHANGED = "credentials-changed"
    SECRET_ROTATED = "secret-rotated"  # noqa: S105 (a kind)

    TOPIC_CREATED = "topic-created"
    TOPIC_CHANGED = "topic-changed"
    TOPIC_DELETED = "topic-deleted"

    CLIENT_CHANGED = "client-changed"
    CLIENT_REMOVED = "client-removed"
    KEY_CREATED = "key-created"
    KEY_REVOKED = "key-revoked"
    #: A tenant was made, or what it grants others was changed.
    TENANT_CHANGED = "tenant-changed"

    #: Events are sent once more: to whoever missed them, or since an operator says so.
    RESENT = "resent"
    #: By a rule something is told to nobody, or not to one client.
    RULE_ADDED = "rule-added"
    RULE_REMOVED = "rule-removed"

    #: Nothing new is sent to an origin for a while; or it is again.
    ORIGIN_DRAINED = "origin-drained"
    ORIGIN_RESUMED = "origin-resumed"

    REDELIVERED = "redelivered"
    TESTED = "tested"
    RECOVERED = "recovered"
    RESEALED = "resealed"
    EXPORTED = "exported"
    ERASED = "erased"

    #: Something was kept from a subscriber.
    SUPPRESSED = "suppressed"
    #: Somebody was refused: 401 or 403.
    REFUSED = "refused"
    #: Entries were left out, since the audit was full.
    LOST = "lost"

    #: One attempt at a notification.
    NOTIFIED = "notified"

    #: A client read resources, or searched for them.
    READ = "read"
    SEARCHED = "searched"

    @property
    def level(self) -> Level:
        """The first level that has it."""
        if self is Kind.NOTIFIED:
            return Level.NOTIFICATIONS
        return Level.ALL if self in (Kind.READ, Kind.SEARCHED) else Level.RIGHTS

    @property
    def bulk(self) -> bool:
        """Whether there may be any number of them, so that they are left out, and counted, when the audit is full."""
        return self.level is not Level.RIGHTS or self in (Kind.SUPPRESSED, Kind.REFUSED)


@dataclass(frozen=True, slots=True)
class Act:
    """
    agent: The client whose act it is, or who is told by a notification; OPERATOR or HUB. Empty for somebody who is not
        known.
    entity: What was acted upon: `Type/id` or `Type/id/_history/n`, or what is no resource: `client/lab`, `tenant/ward`,
        `key/<id>`. Empty for the hub itself.
    version: The FHIR version of the entities that are resources; None where none is.
    also: Further resources that it is about, such as those of a notification.
    text: For whoever reads the audit. No secret and no patient's data, of whom there are ids alone.
    """

    kind: Kind
    agent: str
    entity: str = ""
    version: FhirVersion | None = None
    outcome: Outcome = Outcome.SUCCESS
    text: str = ""
    also: tuple[str, ...] = ()

    @property
    def entities(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.entity, *self.also)))


@dataclass(frozen=True, slots=True)
class Entry:
    """An act, as it was recorded at this time (ms since 1970)."""

    id: str
    at: int
    act: Act
