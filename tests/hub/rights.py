"""Clients with rights, and resources with labels, for hubs that tell clients apart."""

from dataclasses import replace
from typing import Any

from hub.access import DEFAULT, Client, Key
from hub.standing import Standings
from hub.telling import Telling
from hub.wiring.parts import Parts
from subscriptions.audit import Kind
from subscriptions.clearance import ACT_CODE, Clearance
from subscriptions.codes import Content
from subscriptions.labels import CONFIDENTIALITY
from subscriptions.rights import Rights
from subscriptions.scopes import ALL, Scopes
from tests.fhir import immunization
from tests.hub.engines import now

SCOPES = "system/Immunization.rs"


def telling_apart(parts: Parts, auth: str = "smart") -> Parts:
    """The same parts in a hub with HUB_AUTH."""
    telling = Telling(Standings(parts.access, auth), parts.suppressions, parts.tenancy, now)
    return replace(parts, telling=telling)


async def client(
    parts: Parts,
    name: str = "lab",
    scopes: str = SCOPES,
    *,
    content: Content = Content.ID_ONLY,
    clearance: str = "N",
    off: bool = False,
    tenant: str = DEFAULT,
) -> Client:
    """An operator writes a client."""
    rights = Rights(Scopes.parse(scopes), content, Clearance.parse(clearance))
    found = Client(name, tenant, rights, off=off)
    await parts.access.set(found)
    return found


async def key(parts: Parts, name: str = "lab", *, expires: int | None = None) -> Key:
    """An operator gives a client a key."""
    made, _ = Key.new(name, ALL, now=now(), expires=expires)
    await parts.access.set(made)
    return made


def labelled(id_: str, *codes: str, patient: str = "1", **more: Any) -> dict[str, Any]:
    """An Immunization with labels: ranks of confidentiality, or sensitivities."""
    found = immunization(id_, patient=patient, **more)
    if codes:
        systems = [CONFIDENTIALITY if len(code) == 1 else ACT_CODE for code in codes]
        security = [{"system": system, "code": code} for system, code in zip(systems, codes, strict=True)]
        found["meta"] = {"security": security}
    return found


async def suppressed(parts: Parts, tenant: str = DEFAULT) -> list[tuple[str, str]]:
    """What the audit says was kept from somebody: what it was of, and why."""
    entries = await parts.pipeline.command("XRANGE", f"hub:{{audit:{tenant}}}:log", "-", "+")
    fields = [each if isinstance(each, dict) else dict(zip(each[::2], each[1::2], strict=True)) for _, each in entries]
    kept = [each for each in fields if each[b"kind"].decode() == Kind.SUPPRESSED]
    return [(each[b"entities"].decode(), each[b"text"].decode()) for each in kept]
