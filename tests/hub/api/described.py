"""Answers, held against what `/openapi.json` says of them."""

from typing import Any

import httpx
import jsonschema_rs

from tests.hub.api.server import Hub


def told(hub: Hub, method: str, path: str, answer: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer, which is as it is described, and has nothing that isn't. `path`: As in the description."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    described = hub.app.openapi()["paths"][path][method]["responses"][str(status)]
    schema = _closed(described["content"]["application/json"]["schema"])
    said = answer.json()
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(said)
    return said


def _closed(schema: Any) -> Any:
    """The same schema, by which objects have nothing that isn't described."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    return closed | ({"additionalProperties": False} if "properties" in closed else {})
