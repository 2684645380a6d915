"""What `/openapi.json` says of the interactions with resources, and of those with a whole base."""

from dataclasses import replace

from hub.api.documented import (
    EVENT,
    FORM_BODY,
    FOUND,
    GONE,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE,
    IF_NONE_EXIST,
    OTHERS,
    PAGING,
    PATCHES,
    PREFER,
    READING,
    SEARCHED,
    SUBSET,
    VERSION,
    WRITTEN,
    Documented,
    body,
    parameter,
)
from hub.api.needs import ANYBODY, KNOWN, needs
from subscriptions.scopes import EVERY

CREATE = Documented(
    "Create a resource",
    needs("c"),
    {201: "Created", 200: "Nothing is created, since If-None-Exist finds this one"},
    takes=(IF_NONE_EXIST, IDEMPOTENCY_KEY, EVENT, PREFER),
    body=body(),
    refusals=(404, 409, 412, 422),
)
READ = Documented("Read a resource", needs("r"), VERSION, takes=READING, refusals=(404, 410))
VREAD = Documented("Read one version of a resource", needs("r"), VERSION, takes=READING, refusals=(404, 410))
UPDATE = Documented(
    "Update a resource, or create it under this id",
    needs("u"),
    WRITTEN,
    takes=(IF_MATCH, IF_NONE, EVENT, PREFER),
    body=body(),
    refusals=(404, 405, 412),
)
DELETE = Documented("Delete a resource", needs("d"), GONE, takes=(IF_MATCH, EVENT), refusals=(404, 405, 412))
PATCH = Documented(
    "Change a resource by a JSON Patch or a FHIRPath Patch",
    needs("ru"),
    {200: "Updated"},
    takes=(IF_MATCH, EVENT, PREFER),
    body=PATCHES,
    refusals=(404, 405, 409, 410, 412, 422),
)
UPDATE_FOUND = Documented(
    "Update the one resource that a search finds, or create it",
    needs("us"),
    WRITTEN,
    takes=(OTHERS, IF_MATCH, EVENT, PREFER),
    body=body(),
    refusals=(404, 409, 412),
)
PATCH_FOUND = Documented(
    "Change the one resource that a search finds by a JSON Patch or a FHIRPath Patch",
    needs("rus"),
    {200: "Updated"},
    takes=(OTHERS, IF_MATCH, EVENT, PREFER),
    body=PATCHES,
    refusals=(404, 409, 410, 412, 422),
)
DELETE_FOUND = Documented(
    "Delete the one resource that a search finds",
    needs("ds"),
    GONE,
    takes=(OTHERS, IF_MATCH, EVENT),
    refusals=(404, 409, 412),
)
SEARCH = Documented(
    "Search in the resources of a type, newest first", needs("s"), FOUND, "Bundle", takes=SEARCHED, refusals=(404,)
)
SEARCH_BY_FORM = Documented(
    "Search, with the parameters as a form", needs("s"), FOUND, "Bundle", body=FORM_BODY, refusals=(404,)
)
HISTORY = Documented(
    "List the versions of a resource, newest first",
    needs("r"),
    {200: "A page of the versions"},
    "Bundle",
    takes=(*PAGING, parameter("_since", "query", "An instant, before which no version is listed"), *SUBSET),
    refusals=(404,),
)
HISTORY_OF_TYPE = replace(
    HISTORY, needs=needs("s"), summary="List the changes of all resources of a type that are kept, newest first"
)
HISTORY_OF_ALL = replace(
    HISTORY,
    summary="List the changes of all resources that are kept, newest first",
    needs=needs("s", EVERY),
    takes=HISTORY.takes[:-1],
    refusals=(),
)
BUNDLE = Documented(
    "Process a batch or a transaction",
    KNOWN,
    {200: "What became of each entry"},
    "Bundle",
    takes=(IDEMPOTENCY_KEY, EVENT, PREFER),
    body=body("Bundle"),
    refusals=(404, 409, 412, 422),
)
MESSAGE = Documented(
    "Process a message: store what it carries, and name its event along with it",
    KNOWN,
    {200: "The message in answer"},
    "Bundle",
    takes=(
        parameter("async", "query", "`false`: the answer comes at once", enum=["false"]),
        IDEMPOTENCY_KEY,
        EVENT,
    ),
    body=body(),
    refusals=(409, 412, 422),
)
METADATA = Documented(
    "Say what is supported: the CapabilityStatement", ANYBODY, {200: "The CapabilityStatement"}, "CapabilityStatement"
)
