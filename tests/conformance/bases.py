"""A base of one FHIR version, and a subscriber beside it: Subscriptions written as that version has them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fhir import Fhir, talking_to
from tests.processes import BACKPORT, OWN, HubProcess, subscription, subscription_r5
from tests.receiver import Received, Receiver

#: `Immunization?date=ge2026`, or `lot-number:exact=1`.
_FILTER = re.compile(
    r"(?:(?P<resourceType>[A-Z]\w+)\?)?(?P<filterParameter>[\w.-]+)(?::(?P<modifier>[\w-]+))?="
    r"(?P<comparator>(?:ge|le|lt|gt)(?=\d))?(?P<value>.+)"
)


@dataclass(frozen=True)
class Base:
    """
    url: Of the base, without a slash at its end.
    registered: The Subscriptions that it made.
    """

    version: str
    url: str
    fhir: Fhir
    receiver: Receiver
    registered: list[str] = field(default_factory=list)

    @property
    def is_r5(self) -> bool:
        return self.version == "r5"

    @property
    def http(self) -> httpx.AsyncClient:
        return self.fhir.http

    @property
    def topic(self) -> str:
        """The element that names the topic."""
        return "topic" if self.is_r5 else "criteria"

    def path(self, name: str) -> str:
        """Where the subscriber is told of a Subscription of this name."""
        return f"/{self.version}/{name}"

    def wanted(self, name: str, *filters: str, type_: str = "Immunization", topic: str = "", **options: Any) -> Any:
        """A Subscription told at `path(name)`. Filters: `patient=Patient/1`, or `Immunization?patient=Patient/1`."""
        endpoint = self.receiver.url + self.path(name)
        if self.is_r5:
            made = subscription_r5(endpoint, type_, **options)
            if filters:
                made["filterBy"] = [_filter_by(text) for text in filters]
            if "window" in options:
                made["extension"] = [{"url": f"{OWN}/delivery-window", "valueUnsignedInt": options["window"]}]
        else:
            made = subscription(endpoint, type_, *filters, **options)
        return made | ({self.topic: topic} if topic else {})

    async def register(self, wanted: dict[str, Any]) -> str:
        """Create a Subscription; returns its id."""
        id_ = await self.fhir.post(wanted)
        self.registered.append(id_)
        return id_

    async def subscribe(self, wanted: dict[str, Any]) -> str:
        """The same, and wait until it is active."""
        id_ = await self.register(wanted)
        await self.fhir.until(id_, "active")
        return id_

    def told(self, name: str, type_: str = "event-notification") -> list[Received]:
        return self.receiver.at(self.path(name), type_)

    def subscription(self, id_: str) -> str:
        """The URL of a Subscription."""
        return f"{self.url}/Subscription/{id_}"


def _filter_by(text: str) -> dict[str, str]:
    """R5's form of a filter."""
    match = _FILTER.fullmatch(text)
    assert match, text
    return {name: value for name, value in match.groupdict().items() if value}


def content_type(base: Base, wanted: dict[str, Any]) -> str:
    return str(wanted["contentType"] if base.is_r5 else wanted["channel"]["payload"])


def profile(name: str) -> str:
    return f"{BACKPORT}/{name}"


@asynccontextmanager
async def base_of(hub: HubProcess, receiver: Receiver, version: str) -> AsyncIterator[Base]:
    """A base, whose Subscriptions are deleted in the end."""
    async with talking_to(hub, version) as fhir:
        base = Base(version, f"{hub.url}/fhir/{version}", fhir, receiver)
        yield base
        async with asyncio.TaskGroup() as group:
            for id_ in base.registered:
                group.create_task(fhir.http.delete(f"Subscription/{id_}"))
