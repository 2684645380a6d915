"""FHIR's codes, as far as the hub uses them. Each enum names the value set that it comes from."""

from enum import StrEnum


class FhirVersion(StrEnum):
    """A FHIR version that the hub has a base for; the value is the segment of the base's path."""

    R4 = "r4"
    R4B = "r4b"
    R5 = "r5"

    @property
    def number(self) -> str:
        """As CapabilityStatement.fhirVersion has it: `4.0.1`."""
        return _NUMBERS[self]

    @property
    def mime(self) -> str:
        """As the MIME parameter `fhirVersion` has it: `4.0`."""
        return _NUMBERS[self].rpartition(".")[0]


_NUMBERS = {FhirVersion.R4: "4.0.1", FhirVersion.R4B: "4.3.0", FhirVersion.R5: "5.0.0"}


class Interaction(StrEnum):
    """What happened to a resource: http://hl7.org/fhir/ValueSet/interaction-trigger."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class PublicationStatus(StrEnum):
    """How far a definition is: http://hl7.org/fhir/ValueSet/publication-status."""

    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"
    UNKNOWN = "unknown"


class SubscriptionStatus(StrEnum):
    """http://hl7.org/fhir/ValueSet/subscription-status (R4's four)."""

    REQUESTED = "requested"
    ACTIVE = "active"
    ERROR = "error"
    OFF = "off"


class NotificationType(StrEnum):
    """http://hl7.org/fhir/ValueSet/subscription-notification-type."""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENT_NOTIFICATION = "event-notification"
    QUERY_STATUS = "query-status"
    QUERY_EVENT = "query-event"


class Content(StrEnum):
    """How much of a resource a notification carries: http://hl7.org/fhir/ValueSet/subscription-payload-content."""

    EMPTY = "empty"
    ID_ONLY = "id-only"
    FULL_RESOURCE = "full-resource"

    def within(self, most: "Content") -> "Content":
        """This, but never more than `most`."""
        levels = list(Content)
        return min(self, most, key=levels.index)


class ChannelType(StrEnum):
    """http://hl7.org/fhir/ValueSet/subscription-channel-type (R4; the hub sends `rest-hook`)."""

    REST_HOOK = "rest-hook"
    WEBSOCKET = "websocket"
    EMAIL = "email"
    SMS = "sms"
    MESSAGE = "message"


class ErrorCode(StrEnum):
    """Why notifying failed: http://terminology.hl7.org/CodeSystem/subscription-error."""

    DNS_RESOLUTION_ERROR = "dns-resolution-error"
    NO_RESPONSE = "no-response"
    ERROR_RESPONSE = "error-response"


class IssueCode(StrEnum):
    """What is wrong with a request: http://hl7.org/fhir/ValueSet/issue-type (the ones that the hub says)."""

    STRUCTURE = "structure"
    REQUIRED = "required"
    VALUE = "value"
    INVARIANT = "invariant"
    INVALID = "invalid"
    NOT_FOUND = "not-found"
    DELETED = "deleted"
    CONFLICT = "conflict"
    DUPLICATE = "duplicate"
    MULTIPLE_MATCHES = "multiple-matches"
    NOT_SUPPORTED = "not-supported"
    TOO_LONG = "too-long"
    TOO_COSTLY = "too-costly"
    BUSINESS_RULE = "business-rule"
    TRANSIENT = "transient"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    EXCEPTION = "exception"
    SECURITY = "security"
    LOGIN = "login"
    FORBIDDEN = "forbidden"
    SUPPRESSED = "suppressed"
    INFORMATIONAL = "informational"


class SearchType(StrEnum):
    """http://hl7.org/fhir/ValueSet/search-param-type."""

    NUMBER = "number"
    DATE = "date"
    STRING = "string"
    TOKEN = "token"  # noqa: S105 (a kind of value, no secret)
    REFERENCE = "reference"
    COMPOSITE = "composite"
    QUANTITY = "quantity"
    URI = "uri"
    SPECIAL = "special"


class Comparator(StrEnum):
    """A prefix of an ordered value: http://hl7.org/fhir/ValueSet/search-comparator."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"
