"""The hub as its clients see it, and the endpoints that it has to reach."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp.resolver import AsyncResolver

from hub.channels.clients import tls_context
from hub.channels.guard import Guard
from hub.channels.own import found as own_addresses
from hub.cli.examining.clocks import drift
from hub.cli.examining.findings import Finding, fail, ok, warn
from hub.cli.examining.machine import release
from hub.cli.examining.tls import DAYS, Reached, reach
from hub.cli.pages import pages
from hub.cli.remote import KEY, Denied, Remote, remote
from hub.errors import HubError
from hub.settings import Settings

HUB, ENDPOINTS = "hub", "endpoints"

#: Endpoints that are called at once.
AT_ONCE = 20


async def hub(url: str, settings: Settings) -> AsyncIterator[Finding]:
    """Whether it answers, and is ready; then, if it lets us, whether its subscribers can be reached."""
    async with remote(url) as asked:
        if asked.root.startswith("https:"):
            yield await _certificate(asked.root, settings)
        try:
            async for finding in _answers(asked):
                yield finding
        except HubError as error:
            yield fail(HUB, str(error), "")
            return
        except _NoHub as error:
            yield fail(HUB, str(error), "Say where it is by --hub.")
            return
        try:
            rows = [row async for row in pages(asked, "/admin/subscriptions", "subscriptions", count=500, sort="id")]
        except HubError as error:
            grade = fail if isinstance(error, Denied) and error.status == 401 and os.environ.get(KEY) else warn
            yield grade(ENDPOINTS, f"not looked at: {error}", f"Give a key of an operator's by {KEY}.")
            return
    async for finding in _endpoints(rows, settings):
        yield finding


class _NoHub(Exception):
    """Something else answers where the hub should be."""


async def _answers(asked: Remote) -> AsyncIterator[Finding]:
    began, at = time.time(), time.monotonic()
    ready = await asked.request("GET", f"{asked.root}/readyz")
    took = time.monotonic() - at
    told = ready.json() if "json" in ready.headers.get("Content-Type", "") else {}
    if ready.status_code == 503 and "reason" in told:
        yield fail(HUB, f"it is not ready: {told['reason']}", "")
    elif not ready.is_success or "pumps" not in told:
        raise _NoHub(f"what answers at {asked.url} is no hub ({ready.status_code})")
    else:
        for finding in _ready(told):
            yield finding
    if date := ready.headers.get("Date"):
        # It has whole seconds: half of one is what it is behind on average.
        theirs = parsedate_to_datetime(date).timestamp() + 0.5
        yield drift("the hub", theirs, began + took / 2, took / 2 + 0.5)
    metadata = await asked.read("/fhir/r4/metadata", _summary="true")
    running, ours = metadata.get("software", {}).get("version", ""), release()
    if running and ours and running != ours:
        yield warn(HUB, f"it is version {running}, this command {ours}", "Have them of one version.")


def _ready(told: Mapping[str, Any]) -> list[Finding]:
    """What the hub says of itself; and most of it is what to do."""
    found = []
    workers = {"match": "nothing is matched", "deliver": "nothing is sent"}
    for kind, without in workers.items():
        if not told["pumps"].get(kind):
            todo = f"Start one: `hub worker {kind}`, or see why it ends in its log."
            found.append(fail(HUB, f"no {kind} worker is at work: {without}", todo))
    if "clock" in told:
        todo = "Start it: `hub clock`, or see why it ends in its log."
        found.append(fail(HUB, "no clock is at work: nothing is tried again, and nothing ends", todo))
    if "declines" in told:
        found.append(fail(HUB, f"it takes nothing: {told['declines']}", ""))
    if "volatile" in told:
        found.append(warn(HUB, f"its Redis may forget: {told['volatile']}", ""))
    if "audit" in told:
        found.append(warn(HUB, f"the audit is {told['audit']}", ""))
    counts = ", ".join(f"{number} {kind}" for kind, number in told["pumps"].items())
    return found or [ok(HUB, f"it is ready; workers: {counts}")]


async def _certificate(url: str, settings: Settings) -> Finding:
    """The hub's own, as clients who call it by HUB_BASE_URL see it."""
    place, base = urlsplit(url), urlsplit(settings.base_url)
    name = base.hostname if base.scheme == "https" and base.hostname else place.hostname
    everywhere = _Anywhere(allow_private=True, networks=(), ports=range(65_536))
    reached = await reach(everywhere, tls_context(), place.hostname or "", place.port or 443, name or "")
    return _judged(reached, "tls", f"the hub's certificate for {name}")


class _Anywhere(Guard):
    """This command calls the hub that it was told, wherever that is."""

    def refusal(self, address: str, port: int) -> str | None:
        del address, port
        return None


async def _endpoints(rows: list[dict[str, Any]], settings: Settings) -> AsyncIterator[Finding]:
    """Of each origin that something is sent to."""
    origins = Counter(row["origin"] for row in rows if row["status"] != "off" and row["origin"])
    if not origins:
        yield ok(ENDPOINTS, "there are no Subscriptions to tell anything")
        return
    resolver = AsyncResolver()
    try:
        own = await own_addresses(settings, (), resolver)
    finally:
        await resolver.close()
    s = settings
    guard = Guard(s.allow_private_endpoints, s.private_networks, frozenset(s.endpoint_ports), own=own)
    tls, at_once = tls_context(settings.endpoint_ca_file), asyncio.Semaphore(AT_ONCE)

    async def one(origin: str) -> Finding:
        place = urlsplit(origin)
        host = place.hostname or ""
        rule = replace(guard, allow_private=True) if host in settings.private_hosts else guard
        secure = place.scheme == "https"
        async with at_once:
            reached = await reach(rule, tls if secure else None, host, place.port or (443 if secure else 80))
        number = origins[origin]
        return _judged(reached, ENDPOINTS, f"{origin} ({number} {'Subscription' if number == 1 else 'Subscriptions'})")

    for finding in await asyncio.gather(*map(one, sorted(origins))):
        yield finding


def _judged(reached: Reached, area: str, what: str) -> Finding:
    if reached.fault:
        return fail(area, f"{what}: {reached.fault}", reached.todo)
    if reached.days is None:
        return ok(area, f"{what}: reached, without TLS")
    if reached.days < DAYS:
        return warn(area, f"{what}: its certificate is good for {reached.days:.1f} days", "Have it renewed.")
    return ok(area, f"{what}: reached; its certificate is good for {reached.days:.0f} days")
