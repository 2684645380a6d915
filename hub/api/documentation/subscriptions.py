"""What `/openapi.json` says of the interactions with Subscriptions and of their operations."""

from dataclasses import replace

from hub.api.documented import (
    EVENT,
    FORM_BODY,
    FOUND,
    GONE,
    IF_MATCH,
    IF_NONE,
    LIST,
    PATCHES,
    PREFER,
    READING,
    REFUSALS,
    SEARCHED,
    VERSION,
    WRITTEN,
    Documented,
    body,
    parameter,
)
from hub.api.needs import needs
from subscriptions.codes import Content, Interaction

SUBSCRIBE = Documented(
    "Register a Subscription",
    needs("c", "Subscription"),
    {201: "Registered"},
    "Subscription",
    takes=(PREFER,),
    body=body("Subscription"),
)
READ_SUBSCRIPTION = Documented(
    "Read a Subscription", needs("r", "Subscription"), VERSION, "Subscription", takes=READING, refusals=(404,)
)
VREAD_SUBSCRIPTION = replace(READ_SUBSCRIPTION, summary="Read the current version of a Subscription by its number")
CHANGE_SUBSCRIPTION = Documented(
    "Change a Subscription, or register it under this id",
    needs("u", "Subscription"),
    WRITTEN,
    "Subscription",
    takes=(IF_MATCH, IF_NONE, PREFER),
    body=body("Subscription"),
    refusals=(412,),
)
PATCH_SUBSCRIPTION = Documented(
    "Change a Subscription by a JSON Patch or a FHIRPath Patch",
    needs("u", "Subscription"),
    {200: "Updated"},
    "Subscription",
    takes=(IF_MATCH, PREFER),
    body=PATCHES,
    refusals=(404, 409, 412, 422),
)
END_SUBSCRIPTION = Documented(
    "End a Subscription", needs("d", "Subscription"), GONE, takes=(IF_MATCH,), refusals=(412,)
)
SEARCH_SUBSCRIPTIONS = Documented(
    "Search in the Subscriptions, by id",
    needs("s", "Subscription"),
    FOUND,
    "Bundle",
    takes=(
        parameter("url", "query", "The endpoint"),
        parameter("status", "query", "`requested`, `active`, `error` or `off`; several joined by commas"),
        parameter("criteria", "query", "The topic's URL, or its beginning"),
        *SEARCHED,
    ),
)
SEARCH_SUBSCRIPTIONS_BY_FORM = Documented(
    "Search in the Subscriptions, with the parameters as a form",
    needs("s", "Subscription"),
    FOUND,
    "Bundle",
    body=FORM_BODY,
)
_PROFILE = parameter("profile", "query", "Of the standard or of the Backport IG: both are looked at anyway")
VALIDATE = Documented(
    "Say whether a Subscription would be accepted, and how it would be understood; nothing is stored",
    needs("c", "Subscription"),
    {200: "All that is against it, or how its filters are understood"},
    "OperationOutcome",
    takes=(parameter("mode", "query", "What is tried", enum=["create", "profile"]), _PROFILE),
    body=body(),
)
VALIDATE_ONE = replace(
    VALIDATE,
    summary="Say whether a Subscription could be changed or deleted; nothing is",
    needs=needs("u", "Subscription"),
    takes=(parameter("mode", "query", "What is tried", enum=["update", "delete", "profile"]), _PROFILE),
    body=body(required=False),
    refusals=(404,),
)
_INTERACTION = parameter(
    "interaction", "query", "What happened; seen from the versions that are given without it", enum=[*Interaction]
)
EXPLAIN = Documented(
    "Explain whether a change would concern a Subscription",
    needs("r", "Subscription"),
    {200: "Each trigger and each filter, with what it found"},
    "Parameters",
    takes=(_INTERACTION, EVENT),
    body=body("Parameters"),
    refusals=(409,),
)
EXPLAIN_ONE = Documented(
    "Explain why a change concerned a Subscription, or not",
    needs("r", "Subscription"),
    {200: "What happened, and each trigger and each filter, with what it found"},
    "Parameters",
    takes=(
        _INTERACTION,
        parameter("reference", "query", "A version that the hub holds: `Immunization/1/_history/3`"),
        EVENT,
    ),
    body=body(required=False),
    refusals=(404, 409),
)
STATUS = Documented(
    "Tell how a Subscription stands", needs("r", "Subscription"), {200: "Its status"}, "Bundle", refusals=(404,)
)
TEST = Documented(
    "Have a notification without events sent to a Subscription's endpoint",
    needs("u", "Subscription"),
    {202: "It goes out next, and it is said where the outcome is seen"},
    "OperationOutcome",
    refusals=(404, 409),
)
BINDING_TOKEN = Documented(
    "Refuse to bind a websocket: there is none", needs("r", "Subscription"), {400: REFUSALS[400]}, "OperationOutcome"
)
STATUSES = Documented(
    "Tell how Subscriptions stand",
    needs("r", "Subscription"),
    {200: "Their statuses"},
    "Bundle",
    takes=(
        parameter("id", "query", "Of these Subscriptions; of all without it", **LIST),
        parameter("status", "query", "Of those in one of these states", **LIST),
    ),
)
EVENTS = Documented(
    "Tell the events of a Subscription again",
    needs("r", "Subscription"),
    {200: "The events, with the numbers that they have; as many as fit on a page"},
    "Bundle",
    takes=(
        parameter("eventsSinceNumber", "query", "The first event; by default, the first of all"),
        parameter("eventsUntilNumber", "query", "The last event; by default, the last of all"),
        parameter(
            "content", "query", "How much to tell, at most as much as the Subscription is told", enum=list(Content)
        ),
    ),
    refusals=(404, 410),
)
RESEND = Documented(
    "Send events of a Subscription once more, over its channel",
    needs("u", "Subscription"),
    {200: "They will be sent, with the numbers that they have, before anything new"},
    "OperationOutcome",
    takes=(
        parameter("eventsSinceNumber", "query", "The first event"),
        parameter("eventsUntilNumber", "query", "The last event"),
        parameter("eventsSinceInstant", "query", "No event from before, such as `2026-11-21T09:59:59.123Z`"),
        parameter("eventsUntilInstant", "query", "No event from after"),
    ),
    body=body("Parameters", required=False),
    refusals=(404, 409, 410),
)
EVENTS_BY_POST = replace(EVENTS, body=body("Parameters", required=False))
STATUSES_BY_POST = replace(STATUSES, body=body("Parameters", required=False))
ROTATE_SECRET = Documented(
    "Make a new secret to sign with, and show it this once",
    needs("u", "Subscription"),
    {200: "The secret, the hub's public key, and until when the secret before signs too"},
    "Parameters",
    body=body("Parameters", required=False),
    refusals=(404, 409),
)
ENTRUST = Documented(
    "Give the hub what its endpoint is to know it by: OAuth client credentials, a client certificate; or nothing more",
    needs("u", "Subscription"),
    {200: "What is kept, but for whatever is secret"},
    "Parameters",
    body=body("Parameters", required=False),
    refusals=(404,),
)
ENTRUSTED = Documented(
    "Tell what the endpoint knows the hub by",
    needs("r", "Subscription"),
    {200: "What is kept, but for whatever is secret"},
    "Parameters",
    refusals=(404,),
)
