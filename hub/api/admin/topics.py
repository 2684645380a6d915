"""`/admin/topics`: what can be subscribed to, and who does."""

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
from hub.survey import Survey
from hub.topics import Published, Topics
from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.topic import CanFilterBy


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The topics of one tenant."""

    topics: Topics
    survey: Survey

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/admin/topics", self.all, documentation.TOPICS)

    async def all(self, request: Request) -> Response:
        """Those that somebody published first; then those that are built in."""
        Exchange(request).without_parameters()
        await self.topics.refresh()
        used = await self._used()
        every = {each.topic.url: each for version in FhirVersion for each in self.topics.all(version)}
        ordered = sorted(every.values(), key=lambda each: (each.built_in, each.topic.url))
        return json({"topics": [_shown(each, used[each.topic.url]) for each in ordered]})

    async def _used(self) -> defaultdict[str, dict[str, int]]:
        """How many Subscriptions there are on each, by status."""
        used = defaultdict[str, dict[str, int]](lambda: dict.fromkeys(map(str, SubscriptionStatus), 0))
        for row in await self.survey.of(self.topics.tenant):
            used[row.wanted.topic.partition("|")[0]][row.status.value] += 1
        return used


def _shown(of: Published, used: dict[str, int]) -> dict[str, Any]:
    topic = of.topic
    filters = topic.can_filter_by
    return {
        "url": topic.url,
        "version": topic.version,
        "title": topic.title,
        "description": topic.description,
        "purpose": "" if of.built_in else str(msgspec.json.decode(of.sent).get("purpose", "")),
        "kind": "built-in" if of.built_in else "published",
        "retired": topic.retired,
        "resourceTypes": sorted(topic.resource_types),
        "filters": None if filters is None else list(map(_filter, filters)),
        "subscriptions": used,
    }


def _filter(of: CanFilterBy) -> dict[str, Any]:
    return {
        "resource": of.resource,
        "parameter": of.parameter,
        "modifiers": sorted(of.modifiers),
        "comparators": sorted(of.comparators),
        "description": of.description,
    }
