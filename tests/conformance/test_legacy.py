"""Criteria that are a search, as R4 and R4B had Subscriptions before topics."""

from typing import Any

from tests.conformance.bases import Base
from tests.fhir import immunization


def wanted(base: Base, name: str, payload: str = "") -> dict[str, Any]:
    made: dict[str, Any] = base.wanted(name, headers=["X-Ward: 7"])
    channel = {key: value for key, value in made["channel"].items() if key not in ("payload", "_payload")}
    return made | {
        "criteria": f"Immunization?patient=Patient/{name}",
        "channel": channel | ({"payload": payload} if payload else {}),
    }


async def test_H24_A143_legacy(base: Base) -> None:
    """An empty POST, or the resource by PUT; with headers; of creates and updates, not of deletes; no handshake."""
    for name, payload in (("H24-post", ""), ("H24-put", "application/fhir+json")):
        await base.subscribe(wanted(base, name, payload))
        await base.fhir.put(immunization(name, patient=name))
        await base.fhir.put(immunization(name, patient=name, lot="2"))
        await base.fhir.put(immunization(f"{name}-other", patient="other"))
        await base.fhir.delete(f"Immunization/{name}")
        await base.fhir.put(immunization(f"{name}-last", patient=name))

    def came(name: str) -> list[Any]:
        return [each for each in base.receiver.received if each.path.startswith(base.path(name))]

    await base.receiver.until(lambda: len(came("H24-post")) >= 3 and len(came("H24-put")) >= 3)
    posts, puts = came("H24-post"), came("H24-put")
    assert [(each.method, each.body) for each in posts] == [("POST", b"")] * 3
    paths = [f"{base.path('H24-put')}/Immunization/{name}" for name in ("H24-put", "H24-put", "H24-put-last")]
    assert sorted((each.method, each.path) for each in puts) == [("PUT", path) for path in paths]
    assert [each.bundle["lotNumber"] for each in puts if each.path == paths[0]] == ["1", "2"]
    assert all(("X-Ward", "7") in each.headers for each in (*posts, *puts))
    assert all(("Content-Type", "application/fhir+json") in each.headers for each in puts)
