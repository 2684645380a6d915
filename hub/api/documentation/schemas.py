"""JSON Schemas of what is ours, in few words. https://json-schema.org/draft/2020-12"""

from collections.abc import Iterable
from typing import Any

from hub.api.negotiation import FHIR_JSON, JSON

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
RATE: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
AT: Schema = {"type": "string", "format": "date-time"}


def or_none(schema: Schema) -> Schema:
    """The same, or null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def about(schema: Schema, description: str) -> Schema:
    """The same, with what it means."""
    return schema | {"description": description}


def words(choices: Iterable[str]) -> Schema:
    """One of some words."""
    return {"type": "string", "enum": list(choices)}


def listed(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def told(optional: Schema | None = None, /, **members: Schema) -> Schema:
    """An object that always has these members, and sometimes the optional ones."""
    return {"type": "object", "required": list(members), "properties": members | (optional or {})}


def given(required: Iterable[str] = (), **members: Schema) -> Schema:
    """OpenAPI's Request Body Object of an object with some of these members and no others."""
    schema = {"type": "object", "required": list(required), "properties": members, "additionalProperties": False}
    content = {media_type: {"schema": schema} for media_type in (JSON, FHIR_JSON)}
    return {"required": bool(schema["required"]), "content": content}
