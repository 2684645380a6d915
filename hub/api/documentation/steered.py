"""What `/openapi.json` says of what operators do."""

from hub.api.documentation.schemas import NUMBER, TEXT, Schema, given, or_none, told
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
