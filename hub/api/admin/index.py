"""`/admin/index`: what matching costs. Where changes are held against everybody, and whose criteria take longest."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api.admin.shown import json
from hub.api.documentation import catalogued as documentation
from hub.api.exchange import Exchange
from hub.api.routes import Route
from hub.figures import Readings
from hub.registered import Registered
from hub.registry import Registry
from subscriptions.errors import Rejected
from subscriptions.versions.forms import FORMS

#: The most expensive ones that are asked for, and that are shown.
ASKED, SHOWN = 1_000, 50


@dataclass(frozen=True, slots=True)
class IndexCost:
    """What matching one tenant's Subscriptions costs."""

    tenant: str
    registry: Registry
    readings: Readings

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/admin/index", self.all, documentation.INDEX)

    async def all(self, request: Request) -> Response:
        Exchange(request).without_parameters()
        return json({"types": await self._types(), "criteria": await self._criteria()})

    async def _types(self) -> list[dict[str, Any]]:
        """Of each type that is scanned on any topic, how many Subscriptions each of its changes is held against."""
        found = defaultdict[tuple[str, str], dict[str, int]](dict)
        for place, count in (await self.registry.scanned(self.tenant)).items():
            found[place.version, place.type][place.topic] = count
        types = [
            {
                "version": version,
                "type": type_,
                "scanned": sum(topics.values()),
                "topics": [
                    {"topic": topic, "scanned": count}
                    for topic, count in sorted(topics.items(), key=lambda each: (-each[1], each[0]))
                ],
            }
            for (version, type_), topics in found.items()
        ]
        return sorted(types, key=lambda each: (-each["scanned"], each["version"], each["type"]))

    async def _criteria(self) -> list[dict[str, Any]]:
        """Whose took longest lately, and which share of all that was spent on this tenant's."""
        own = [(name, cost) for name, cost in await self.readings.costs(ASKED) if name.startswith(f"{self.tenant}/")]
        spent = sum(cost for _, cost in own)
        names = ["/".join(name.split("/")[:3]) for name, _ in own[:SHOWN]]
        registered = await self.registry.read(names) if names else []
        return [
            {
                "version": each.key.version.value,
                "id": each.key.id,
                "filters": _filters(each),
                "microseconds": cost,
                "share": round(cost / spent, 4) if spent else 0.0,
            }
            for each, (name, cost) in zip(registered, own, strict=False)
            if each is not None and str(each.key) == name  # not what was spent on one that it replaces
        ]


def _filters(of: Registered) -> list[str]:
    """As the client wrote them; none where they can't be read any more."""
    try:
        interest = FORMS[of.key.version].read_interest(msgspec.json.decode(of.resource), legacy=of.style)
    except (Rejected, ValueError, TypeError, AttributeError):
        return []
    return [each.text for each in interest.filters]
