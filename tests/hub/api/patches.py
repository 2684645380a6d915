"""Patches, and sending them."""

from typing import Any

import httpx

from tests.hub.api.server import Hub

JSON_PATCH = "application/json-patch+json"


async def patch(hub: Hub, url: str, body: Any, media_type: str = "", **headers: str) -> httpx.Response:
    """PATCH: a JSON Patch for a list, a FHIRPath Patch for a resource."""
    media_type = media_type or (JSON_PATCH if isinstance(body, list) else "application/fhir+json")
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    return await hub.client.patch(url, json=body, headers={"Content-Type": media_type, **written})


def fhirpath(*operations: dict[str, Any]) -> dict[str, Any]:
    """A FHIRPath Patch of some operations."""
    return {"resourceType": "Parameters", **({"parameter": list(operations)} if operations else {})}


def operation(type_: str, path: str, **more: Any) -> dict[str, Any]:
    """
    One operation of a FHIRPath Patch.

    Args:
        more: `name`, `index`, `source`, `destination`; its value is `valueString` and its like, `part` or `resource`.
    """
    parts: list[dict[str, Any]] = [{"name": "type", "valueCode": type_}, {"name": "path", "valueString": path}]
    for name, value in more.items():
        if name == "name":
            parts.append({"name": name, "valueString": value})
        elif name in ("index", "source", "destination"):
            parts.append({"name": name, "valueInteger": value})
        else:
            parts.append({"name": "value", name: value})
    return {"name": "operation", "part": parts}
