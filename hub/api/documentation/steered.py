"""What `/openapi.json` says of what operators do."""

from hub.api.documentation.schemas import AT, NUMBER, TEXT, Schema, about, given, listed, or_none, told, words
from hub.api.documented import Documented
from hub.api.needs import OPERATOR

_EVENT_OR_TIME: Schema = {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "format": "date-time"}]}
_SAID = told(text=TEXT)

REDELIVER = Documented(
    "Send events of a Subscription once more: from a number or an instant to another, both included",
    OPERATOR,
    {202: "They will be sent, with the numbers that they have, before anything new"},
    body=given(**{"from": _EVENT_OR_TIME, "to": _EVENT_OR_TIME}),
    refusals=(404, 409, 410),
    schema=told(first=or_none(NUMBER), last=or_none(NUMBER), text=TEXT),
)
TEST = Documented(
    "Send a Subscription a notification without events",
    OPERATOR,
    {202: "It is queued"},
    refusals=(404, 409),
    schema=_SAID,
)
RESUME = Documented(
    "Begin again with a Subscription that is in `error` or `off`: its endpoint is asked by a handshake",
    OPERATOR,
    {202: "It is `requested`"},
    refusals=(404, 409),
    schema=_SAID,
)
OFF = Documented("Turn a Subscription off", OPERATOR, {200: "It is off"}, refusals=(404, 409), schema=_SAID)
ROTATE = Documented(
    "Give a Subscription a new secret to sign with, which is shown this once",
    OPERATOR,
    {200: "The secret"},
    refusals=(404, 409),
    schema=told({"publicKey": TEXT, "previousUntil": TEXT}, text=TEXT, secret=TEXT),
)
ORIGIN = told(
    origin=about(TEXT, "Scheme, host and port"),
    state=about(words(("open", "drained", "failing")), "`open`: it is left alone, and probed now and then"),
    since=about(or_none(AT), "When the first connection failed, or it was drained"),
    failures=about(NUMBER, "Connections that failed since the last that was made"),
    probeAt=about(or_none(AT), "When it is tried next"),
    parked=about(NUMBER, "Subscriptions that wait for it"),
    until=about(or_none(AT), "When it is drained no more"),
    by=about(or_none(TEXT), "Who has it drained"),
)
ORIGINS = Documented(
    "List the origins that are left alone, drained, or failing",
    OPERATOR,
    {200: "The first 200 of them"},
    schema=told(origins=listed(ORIGIN)),
)
DRAIN = Documented(
    "Send nothing new to an origin for a while: what is under way ends, and what comes is kept, in order",
    OPERATOR,
    {200: "All that send know within a second"},
    body=given(
        ("origin", "minutes"),
        origin=about(TEXT, "Scheme, host and port of endpoints"),
        minutes={"type": "integer", "minimum": 1, "maximum": 10_080},
    ),
    refusals=(404,),
    schema=told(origin=TEXT, until=AT, text=TEXT),
)
RESUME_ORIGIN = Documented(
    "Send to a drained origin again",
    OPERATOR,
    {200: "What waits goes on its way"},
    body=given(("origin",), origin=TEXT),
    refusals=(404,),
    schema=told(origin=TEXT, text=TEXT),
)
