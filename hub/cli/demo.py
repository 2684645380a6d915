"""
`hub demo`: the trip, seen. A hub, a subscriber and a publisher on this machine, with HL7's own example resources.

Everything is real and of its own: processes, sockets, settings, a fresh Redis in a temporary directory. It ends without
a trace, unless it is killed: then the directory is left.
"""

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any

import httpx
import orjson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hub.cli.actors import CANONICAL_BASE, PATIENCE, Hub, Subscriber, serving
from hub.cli.endpoint import listening
from hub.cli.evidence import Published, events, faults, trips
from hub.cli.registration import Registration, Wanted, register
from hub.cli.remote import Remote
from hub.cli.report import Report
from hub.errors import NotTheHub
from hub.settings import Settings
from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction, SubscriptionStatus
from subscriptions.explanation import Explanation, explain
from subscriptions.search.asking import Context
from subscriptions.search.held import Held
from subscriptions.topic import built_in
from subscriptions.versions.forms import FORMS

FIXTURES = Path(__file__).parents[2] / "fixtures" / "r4"
PUBLISHED = ("Patient", "Immunization", "Observation")
FILTER = "Immunization?patient=Patient/example&status=completed"
TOPIC = built_in(CANONICAL_BASE, "Immunization")


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del arguments, settings
    files = sorted(path for type_ in PUBLISHED for path in FIXTURES.glob(f"{type_}-*.json"))
    if not files:
        raise NotTheHub(f"no example resources in {FIXTURES}: the demo runs from a checkout of the project")
    with TemporaryDirectory(prefix="hub-demo-") as data:
        return asyncio.run(_until_told(_demo(Path(data), [orjson.loads(path.read_bytes()) for path in files])))


async def _until_told(demo: Coroutine[Any, Any, int]) -> int:
    """Play it; SIGTERM and SIGHUP end it in order, and make the exit code that shells give them."""
    playing = asyncio.ensure_future(demo)
    told: list[int] = []

    def end(number: int) -> None:
        told.append(number)
        if len(told) == 1:
            playing.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        return await playing
    except asyncio.CancelledError:
        if not told:
            raise
        return 128 + told[0]


async def _demo(data: Path, resources: list[dict[str, Any]]) -> int:
    report, subscriber = Report(), Subscriber()
    async with listening(subscriber.take) as endpoint, serving(data) as hub:
        report.say(f"hub running at [bold]{hub.url}/fhir/r4[/]")
        report.say(f"subscriber listening at [bold]{endpoint}[/]")
        async with httpx.AsyncClient(base_url=hub.url, timeout=PATIENCE, trust_env=False) as client:
            registration = await _subscribe(report, Remote(hub.url, client), subscriber, endpoint)
            published = await _publish(report, client, resources)
            await _told(report, hub, subscriber, len(published))
            status = await registration.stands()
            subscription = (await client.get(registration.path)).raise_for_status().json()
        told = events(subscriber.received)
        explained = _explain(f"{hub.url}/fhir/r4", subscription, published)
        report.trips(trips(published, told, hub))
        if subscriber.first:
            report.notification(subscriber.first)
        report.silence(explained)
    expected = [name for name, explanation in explained if explanation.matched]
    handled = [event.number for event in subscriber.handled]
    found = list(faults(published, expected, told, handled, hub, status.counter))
    for fault in found:
        report.say(f"[bold]NO[/]: {fault}")
    if not found:
        report.say("the expected events, once each and in order, as many as $status counts: [bold]yes[/]")
    return 1 if found else 0


async def _subscribe(report: Report, hub: Remote, subscriber: Subscriber, endpoint: str) -> Registration:
    """Register the Subscription, and wait until its handshake has made it active."""
    reason = "Completed immunizations of one patient"
    wanted = Wanted(FhirVersion.R4, TOPIC.url, endpoint, (FILTER,), reason=reason)
    registration = await register(hub, wanted)
    report.say(f"POST Subscription, off as yet: [cyan]{FILTER}[/]")
    subscriber.know(f"{hub.url}/fhir/r4", await registration.secret())
    await registration.activate()
    report.say("$rotate-secret, then PATCH to requested")
    await subscriber.until(1)
    report.say("handshake arrived, and is the hub's by its signature")
    async with asyncio.timeout(PATIENCE):
        while (status := (await registration.stands()).status) is not SubscriptionStatus.ACTIVE:
            pass
    report.say(f"Subscription/{registration.id} is [green]{status}[/]")
    return registration


async def _publish(report: Report, client: httpx.AsyncClient, resources: list[dict[str, Any]]) -> list[Published]:
    """PUT each resource under its own id, as a health system does, a few at a time."""
    columns = (TextColumn("          publishing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    at_once = asyncio.Semaphore(8)
    with Progress(*columns, console=report.console) as progress:
        task = progress.add_task("", total=len(resources))

        async def publish(resource: dict[str, Any]) -> Published:
            async with at_once:
                sent = time()
                answer = await client.put(f"/fhir/r4/{resource['resourceType']}/{resource['id']}", json=resource)
                progress.advance(task)
                version_id = int(answer.json()["meta"]["versionId"]) if answer.is_success else 0
                return Published(resource, answer.status_code, version_id, sent, time())

        published = list(await asyncio.gather(*map(publish, resources)))
    report.say(f"{sum(each.status == 201 for each in published)} resources published")
    return published


async def _told(report: Report, hub: Hub, subscriber: Subscriber, changes: int) -> None:
    """Wait until all changes are matched, and what was numbered has come."""
    with suppress(TimeoutError):  # then what is missing will be said
        await hub.until_matched(changes)
        await subscriber.until(1 + hub.events)
    report.say(f"{len(hub.matched)} changes matched, {hub.events} events")
    report.say(f"{len(subscriber.received) - 1} notifications received")


def _explain(base: str, subscription: dict[str, Any], published: list[Published]) -> list[tuple[str, Explanation]]:
    """What ought to have been told, by the rules alone."""
    parsed = FORMS[FhirVersion.R4].parse_subscription(subscription, now=datetime.now(UTC), allow_http=True)
    context = Context(FhirVersion.R4, frozenset({base}))
    changes = [(each.name, _change(each)) for each in published]
    return [(name, explain(parsed, TOPIC, change, context, Held(change.at))) for name, change in changes]


def _change(published: Published) -> Change:
    resource = published.resource
    return Change(
        version=FhirVersion.R4,
        interaction=Interaction.CREATE,
        type=resource["resourceType"],
        id=resource["id"],
        version_id=published.version_id,
        at=datetime.now(UTC),
        resource=resource,
    )
