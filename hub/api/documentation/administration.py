"""What `/openapi.json` says of the audit and of what operators do."""

from hub.api.documented import FORM_BODY, FOUND, READING, SEARCHED, VERSION, Documented, parameter
from hub.api.needs import OPERATOR, needs
from hub.api.negotiation import FHIR_JSON, JSON
from subscriptions.codes import FhirVersion

READ_AUDIT = Documented(
    "Read an entry of the audit", needs("r", "AuditEvent"), VERSION, "AuditEvent", takes=READING, refusals=(404,)
)
SEARCH_AUDIT = Documented(
    "Search in the audit, newest first",
    needs("s", "AuditEvent"),
    FOUND,
    "Bundle",
    takes=(
        parameter("date", "query", "When it was recorded: `ge2026-11-21`"),
        parameter("agent", "query", "Who did it: a client's name, `operator` or `hub`"),
        parameter("entity", "query", "What was acted upon: `Subscription/1`"),
        *SEARCHED,
    ),
)
SEARCH_AUDIT_BY_FORM = Documented(
    "Search in the audit, with the parameters as a form",
    needs("s", "AuditEvent"),
    FOUND,
    "Bundle",
    body=FORM_BODY,
)
_ERASURE = {
    "type": "object",
    "required": ["resource", "version", "compartment", "state", "erased", "versions"],
    "properties": {
        "id": {"type": "string", "description": "None of a dry run"},
        "dryRun": {"type": "boolean"},
        "resource": {"type": "string"},
        "version": {"type": "string", "enum": [*FhirVersion]},
        "compartment": {"type": "boolean"},
        "state": {"type": "string", "enum": ["finding", "erasing", "files", "done"]},
        "erased": {"type": "object", "additionalProperties": {"type": "integer"}, "description": "Resources by type"},
        "versions": {"type": "integer"},
        "stillMentionedIn": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What refers to it and stays",
        },
        "linkedPatients": {
            "type": "array",
            "items": {"type": "string"},
            "description": "With compartments of their own",
        },
        "notUnderstood": {"type": "array", "items": {"type": "string"}, "description": "Versions that can't be judged"},
        "files": {"type": "string", "description": "`written anew`, or what is left to do"},
    },
}
ERASE = Documented(
    "Erase all versions of a resource, or of all that is in a patient's compartment",
    OPERATOR,
    {200: "It is done: what was erased, and what still mentions it", 202: "It goes on: ask at Location"},
    body={
        "required": True,
        "content": {
            media_type: {
                "schema": {
                    "type": "object",
                    "required": ["resource"],
                    "properties": {
                        "resource": {"type": "string", "description": "`Type/id`"},
                        "version": {"type": "string", "enum": [*FhirVersion], "default": "r4"},
                        "compartment": {"type": "boolean", "description": "Of a Patient: all that is in it, too"},
                        "dryRun": {"type": "boolean", "description": "Say what would be erased, and erase nothing"},
                    },
                    "additionalProperties": False,
                }
            }
            for media_type in (JSON, FHIR_JSON)
        },
    },
    refusals=(404,),
    schema=_ERASURE,
)
ERASURE = Documented("Tell how an erasure stands", OPERATOR, {200: "How it stands"}, refusals=(404,), schema=_ERASURE)
METRICS = Documented(
    "All figures of the hub, as Prometheus reads them",
    OPERATOR,
    {200: "What was counted since the first start, and how it stands now"},
    schema={"type": "string"},
    media_type="text/plain",
)
