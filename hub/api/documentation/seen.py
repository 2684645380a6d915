"""What `/openapi.json` says of what operators see."""

from hub.api.documentation.schemas import AT, FLAG, NUMBER, TEXT, Schema, about, listed, or_none, told, words
from hub.api.documented import Documented, parameter
from hub.api.needs import OPERATOR
from subscriptions.audit import Kind
from subscriptions.codes import Content, FhirVersion, Interaction, SubscriptionStatus

VERSION: Schema = words(FhirVersion)
NEXT = about(or_none(TEXT), "The URL of the next page; null on the last one")

ROW: dict[str, Schema] = {
    "version": VERSION,
    "id": TEXT,
    "owner": about(TEXT, "The client whose it is"),
    "topic": about(TEXT, "The canonical, or the search that its criteria are"),
    "origin": about(TEXT, "Scheme, host and port of its endpoint"),
    "content": about(TEXT, f"Of a resource it is told: {', '.join(Content)}"),
    "status": words(SubscriptionStatus),
    "events": about(NUMBER, "Numbers that were given"),
    "delivered": about(NUMBER, "The highest that needs no sending any more"),
    "undelivered": about(NUMBER, "Events that wait: to be sent, or for an activation"),
    "oldestAt": about(or_none(AT), "When the oldest one happened that waits"),
    "dropped": about(NUMBER, "Events ever that were removed before they could be sent"),
    "skipped": about(NUMBER, "Events ever that were passed by when it became active again"),
    "attempt": about(NUMBER, "Failures so far of what is being sent"),
    "nextAt": about(or_none(AT), "When that is tried again"),
    "failing": FLAG,
    "error": about(TEXT, "Why the status is `error` or `off`, or what goes wrong while attempts go on"),
    "code": about(TEXT, "FHIR's code of the error"),
    "outcome": about(TEXT, "Of the last attempt"),
    "outcomeAt": or_none(AT),
    "updated": about(or_none(AT), "When it got its status"),
}
PINNED: dict[str, Schema] = {
    "kind": words(("events", "handshake", "heartbeat", "resend")),
    "firstEvent": about(or_none(NUMBER), "null in those without events"),
    "lastEvent": or_none(NUMBER),
}
ATTEMPT = told(
    at=about(AT, "When it was over"),
    **PINNED,
    attempt=about(NUMBER, "1 for the first one at these bytes"),
    decision=words(("delivered", "again", "error", "off", "active")),
    said=about(TEXT, "Why"),
    milliseconds=NUMBER,
    bytes=about(NUMBER, "Of the body; 0 when nothing was sent"),
    answer=about(TEXT, "Its first 200 characters"),
)
RANGE = told(first=NUMBER, last=NUMBER)

ATTEMPTS = Documented(
    "List the last attempts at a Subscription's notifications, the latest first: what was sent, and what came of it",
    OPERATOR,
    {200: "The last 100 at most"},
    refusals=(404,),
    schema=told(attempts=listed(ATTEMPT)),
)
SUBSCRIPTIONS = Documented(
    "List Subscriptions, and how they stand",
    OPERATOR,
    {200: "A page of them"},
    takes=(
        parameter("status", "query", f"Of these, joined by commas: {', '.join(SubscriptionStatus)}"),
        parameter("topic", "query", "On this canonical, or this search in `criteria`"),
        parameter("owner", "query", "Of this client"),
        parameter("origin", "query", "At this scheme, host and port: `https://ward.example:443`"),
        parameter("version", "query", "Of this FHIR version", enum=[*FhirVersion]),
        parameter("q", "query", "With these characters in id, owner, topic, origin, error or outcome"),
        parameter("lagging", "query", "With events that wait", enum=["true", "false"]),
        parameter("missed", "query", "With events that were passed by, and not sent since", enum=["true", "false"]),
        parameter("sort", "query", "Longest waiting, latest change, or id first", enum=["lag", "updated", "id"]),
        parameter("count", "query", "Rows on a page", type="integer", minimum=1),
        parameter("page", "query", "Where a page begins, as `next` has it"),
    ),
    schema=told(total=about(NUMBER, "All that are asked for"), subscriptions=listed(told(**ROW)), next=NEXT),
)
HAPPENED = told(at=AT, what=words(Kind), by=about(TEXT, "A client, `hub` or `operator`"), text=TEXT)
SUBSCRIPTION = Documented(
    "Tell all of one Subscription: how it stands, what it asked for, and what happened to it",
    OPERATOR,
    {200: "The Subscription"},
    takes=(
        parameter("timeline", "query", "Whether the audit is looked through for what happened", enum=["true", "false"]),
    ),
    refusals=(404,),
    schema=told(
        **ROW,
        resource=about({"type": ["object", "null"]}, "As every reader sees it; null if its headers can't be opened"),
        timeline=about(or_none(listed(HAPPENED)), "null if it isn't wanted"),
        sending=about(or_none(told(**PINNED, at=AT, attempt=NUMBER)), "What is on its way, or tried again"),
        resend=about(listed(RANGE), "What waits to be sent once more"),
        missed=about(listed(RANGE), "What was passed by when it became active again, and was not sent since"),
    ),
)
_EVENT: dict[str, Schema] = {
    "number": NUMBER,
    "type": about(or_none(TEXT), "null, like what follows, of what isn't kept or may not be told any more"),
    "id": or_none(TEXT),
    "versionId": or_none(NUMBER),
    "interaction": or_none(words(Interaction)),
    "at": or_none(AT),
    "tenant": about(or_none(TEXT), "Whose the resource is; null for the Subscription's own"),
    "state": words(("delivered", "waiting", "kept", "skipped", "dropped", "gone")),
}
EVENTS = Documented(
    "List the events of a Subscription, the newest first",
    OPERATOR,
    {200: "A page of numbers, each with the event as far as it is kept"},
    takes=(
        parameter("before", "query", "Numbers below this one", type="integer", minimum=1),
        parameter("count", "query", "Numbers on a page", type="integer", minimum=1),
    ),
    refusals=(404,),
    schema=told(events=listed(told(**_EVENT)), next=NEXT),
)
REASONS: dict[str, Schema] = {
    "matched": about(or_none(FLAG), "null where it can't be said any more"),
    "text": TEXT,
    "trigger": listed(told(fired=FLAG, reason=TEXT, error=TEXT)),
    "filters": listed(
        told(
            filter=TEXT,
            matched=about(or_none(FLAG), "null for one that is for other types, or failed"),
            found=about(listed(TEXT), "In the resource, for whoever may read it"),
            error=TEXT,
        )
    ),
}
_CHANGE = told(
    version=VERSION,
    type=TEXT,
    id=TEXT,
    versionId=NUMBER,
    interaction=words(Interaction),
    at=AT,
    publisher=about(or_none(TEXT), "null where clients are not told apart, or it isn't known any more"),
    stillKept=FLAG,
)
TRACE = Documented(
    "Trace one event: the change, by which clause it matched, the attempts, and what became of it",
    OPERATOR,
    {200: "The whole trace, as far as it is kept"},
    refusals=(404,),
    schema=told(
        event=told(**_EVENT),
        change=or_none(_CHANGE),
        matched=or_none(told(**REASONS, remarks=about(listed(TEXT), "Why it may have been otherwise then"))),
        attempts=listed(ATTEMPT),
        outcome=TEXT,
    ),
)
