"""What `/openapi.json` says of the interactions with topics."""

from dataclasses import replace

from hub.api.documented import (
    FORM_BODY,
    FOUND,
    GONE,
    IF_MATCH,
    IF_NONE,
    PATCHES,
    PREFER,
    READING,
    SEARCHED,
    VERSION,
    WRITTEN,
    Documented,
    body,
    parameter,
)
from hub.api.needs import needs

PUBLISH_TOPIC = Documented(
    "Publish a topic",
    needs("c", "SubscriptionTopic"),
    {201: "Published"},
    "SubscriptionTopic",
    takes=(PREFER,),
    body=body("SubscriptionTopic"),
    refusals=(405, 409, 412),
)
READ_TOPIC = Documented(
    "Read a topic", needs("r", "SubscriptionTopic"), VERSION, "SubscriptionTopic", takes=READING, refusals=(404, 410)
)
VREAD_TOPIC = replace(READ_TOPIC, summary="Read the current version of a topic by its number")
CHANGE_TOPIC = Documented(
    "Change a topic, or publish it under this id",
    needs("u", "SubscriptionTopic"),
    WRITTEN,
    "SubscriptionTopic",
    takes=(IF_MATCH, IF_NONE, PREFER),
    body=body("SubscriptionTopic"),
    refusals=(405, 409, 412),
)
PATCH_TOPIC = Documented(
    "Change a topic by a JSON Patch or a FHIRPath Patch",
    needs("u", "SubscriptionTopic"),
    {200: "Updated"},
    "SubscriptionTopic",
    takes=(IF_MATCH, PREFER),
    body=PATCHES,
    refusals=(404, 405, 409, 410, 412, 422),
)
DELETE_TOPIC = Documented(
    "Delete a topic that nobody uses",
    needs("d", "SubscriptionTopic"),
    GONE,
    takes=(IF_MATCH,),
    refusals=(405, 409, 412),
)
SEARCH_TOPICS = Documented(
    "Search in the topics, by id",
    needs("s", "SubscriptionTopic"),
    FOUND,
    "Bundle",
    takes=(
        parameter("url", "query", "The canonical"),
        parameter("derived-or-self", "query", "The canonical, or one that it is derived from"),
        parameter("resource", "query", "A type that it has a trigger for"),
        parameter("title", "query", "Its beginning"),
        parameter("status", "query", "`draft`, `active`, `retired` or `unknown`"),
        *SEARCHED,
    ),
)
SEARCH_TOPICS_BY_FORM = Documented(
    "Search in the topics, with the parameters as a form",
    needs("s", "SubscriptionTopic"),
    FOUND,
    "Bundle",
    body=FORM_BODY,
)
