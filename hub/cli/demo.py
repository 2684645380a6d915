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

from hub.cli.actors import CANONICAL_BASE, PATIENCE, Hub, Subscriber, listening, serving
from hub.cli.evidence import Published, counted, events, faults, trips
from hub.cli.report import Report
from hub.errors import NotTheHub
from hub.settings import Settings
from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction
from subscriptions.explanation import Explanation, explain
from subscriptions.search.asking import Context
from subscriptions.search.held import Held
from subscriptions.topic import built_in
from subscriptions.versions.forms import FORMS

FIXTURES = Path(__file__).parents[2] / "fixtures" / "r4"
PUBLISHED = ("Patient", "Immunization", "Observation")
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
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
    async with listening(subscriber) as endpoint, serving(data) as hub:
        report.say(f"hub running at [bold]{hub.url}/fhir/r4[/]")
        report.say(f"subscriber listening at [bold]{endpoint}[/]")
        async with httpx.AsyncClient(base_url=f"{hub.url}/fhir/r4/", timeout=PATIENCE, trust_env=False) as client:
            subscription = await _subscribe(report, client, subscriber, endpoint)
            published = await _publish(report, client, resources)
            await _told(report, hub, subscriber, len(published))
            status = (await client.get(f"Subscription/{subscription['id']}/$status")).raise_for_status().json()
        told = events(subscriber.received)
        explained = _explain(f"{hub.url}/fhir/r4", subscription, published)
        report.trips(trips(published, told, hub))
        if len(subscriber.received) > 1:
            report.notification(subscriber.received[1][1])
        report.silence(explained)
    expected = [name for name, explanation in explained if explanation.matched]
    found = list(faults(published, expected, told, hub, counted(status)))
    for fault in found:
        report.say(f"[bold]NO[/]: {fault}")
    if not found:
        report.say("the expected events, once each and in order, as many as $status counts: [bold]yes[/]")
    return 1 if found else 0


async def _subscribe(
    report: Report, client: httpx.AsyncClient, subscriber: Subscriber, endpoint: str
) -> dict[str, Any]:
    """Register the Subscription, and wait until its handshake has made it active."""
    wanted = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Completed immunizations of one patient",
        "criteria": TOPIC.url,
        "_criteria": {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": FILTER}]},
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "full-resource"}]},
        },
    }
    answer = await client.post("Subscription", json=wanted)
    subscription: dict[str, Any] = answer.raise_for_status().json()
    where = f"Subscription/{subscription['id']}"
    report.say(f"POST Subscription → {answer.status_code}, {subscription['status']}: [cyan]{FILTER}[/]")
    await subscriber.until(1)
    report.say("handshake arrived")
    async with asyncio.timeout(PATIENCE):
        while subscription["status"] != "active":
            subscription = (await client.get(where)).raise_for_status().json()
    report.say(f"{where} is [green]{subscription['status']}[/]")
    return subscription


async def _publish(report: Report, client: httpx.AsyncClient, resources: list[dict[str, Any]]) -> list[Published]:
    """PUT each resource under its own id, as a health system does, a few at a time."""
    columns = (TextColumn("          publishing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    at_once = asyncio.Semaphore(8)
    with Progress(*columns, console=report.console) as progress:
        task = progress.add_task("", total=len(resources))

        async def publish(resource: dict[str, Any]) -> Published:
            async with at_once:
                sent = time()
                answer = await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
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
        await subscriber.until(1 + hub.total("events"))
    report.say(f"{hub.total('changes')} changes matched in {len(list(hub.logged('change.matched')))} batches")
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
