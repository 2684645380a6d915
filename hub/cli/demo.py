"""
`hub demo`: the trip, seen. A hub, a subscriber and a publisher on this machine, with HL7's own example resources.

Everything is real and of its own: processes, sockets, settings, a fresh Redis in a temporary directory. It ends without
a trace, unless it is killed: then the directory is left.
"""

import argparse
import asyncio
import signal
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.json import JSON
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hub.cli.actors import CANONICAL_BASE, PATIENCE, Subscriber, listening, serving
from hub.errors import NotTheHub
from hub.settings import Settings
from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction
from subscriptions.matching import Explanation, explain
from subscriptions.topic import built_in
from subscriptions.versions.forms import FORMS

FIXTURES = Path(__file__).parents[2] / "fixtures" / "r4"
PUBLISHED = ("Patient", "Immunization", "Observation")
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
FILTER = "Immunization?patient=Patient/example&status=completed"


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del arguments, settings
    files = sorted(path for type_ in PUBLISHED for path in FIXTURES.glob(f"{type_}-*.json"))
    if not files:
        raise NotTheHub(f"no example resources in {FIXTURES}: the demo runs from a checkout of the project")
    console = Console(highlight=False)
    with TemporaryDirectory(prefix="hub-demo-") as data:
        return asyncio.run(_until_told(_demo(console, Path(data), [orjson.loads(path.read_bytes()) for path in files])))


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


@dataclass(frozen=True, slots=True)
class Published:
    """A resource that was published. `sent` and `answered` are seconds since 1970."""

    resource: dict[str, Any]
    status: int
    version_id: int
    sent: float
    answered: float

    @property
    def name(self) -> str:
        return f"{self.resource['resourceType']}/{self.resource['id']}"


async def _demo(console: Console, data: Path, resources: list[dict[str, Any]]) -> int:
    began = time()
    subscriber = Subscriber()
    async with listening(subscriber) as endpoint, serving(data) as hub:
        _say(console, began, f"hub running at [bold]{hub.url}/fhir/r4[/]")
        _say(console, began, f"subscriber listening at [bold]{endpoint}[/]")
        async with httpx.AsyncClient(base_url=f"{hub.url}/fhir/r4/", timeout=PATIENCE, trust_env=False) as client:
            subscription = await _subscribe(console, began, client, subscriber, endpoint)
            published = await _publish(console, client, resources)
            topic = built_in(CANONICAL_BASE, "Immunization")
            parsed = FORMS[FhirVersion.R4].parse_subscription(subscription, now=datetime.now(UTC), allow_http=True)
            base = frozenset({f"{hub.url}/fhir/r4"})
            explained = [(each, explain(parsed, topic, _change(each), base)) for each in published]
            matching = [each for each, explanation in explained if explanation.matched]
            await subscriber.until(1 + len(matching))
            _say(console, began, f"{len(published)} resources published, {len(matching)} notifications received")
            status = (await client.get(f"Subscription/{subscription['id']}/$status")).json()
        _show_hops(console, matching, subscriber, hub.steps)
        _show_notification(console, subscriber.received[1][1])
        _show_silence(console, explained)
        _show_status(console, status)
    told = [int(event["event-number"]) for _, body in subscriber.received[1:] for event in _events(orjson.loads(body))]
    complete = told == list(range(1, len(matching) + 1))
    _say(console, began, f"every event once, in order, none missing: [bold]{'yes' if complete else 'NO'}[/]")
    return 0 if complete and all(each.status == 201 for each in published) else 1


def _say(console: Console, began: float, text: str) -> None:
    console.print(f"[dim]{time() - began:6.2f} s[/]  {text}")


async def _subscribe(
    console: Console,
    began: float,
    client: httpx.AsyncClient,
    subscriber: Subscriber,
    endpoint: str,
) -> dict[str, Any]:
    """Register the Subscription, and wait until its handshake has made it active."""
    wanted = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Completed immunizations of one patient",
        "criteria": built_in(CANONICAL_BASE, "Immunization").url,
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
    _say(console, began, f"POST Subscription → {answer.status_code}, {subscription['status']}: [cyan]{FILTER}[/]")
    await subscriber.until(1)
    _say(console, began, "handshake arrived")
    async with asyncio.timeout(PATIENCE):
        while subscription["status"] != "active":
            subscription = (await client.get(where)).raise_for_status().json()
    _say(console, began, f"{where} is [green]{subscription['status']}[/]")
    return subscription


async def _publish(console: Console, client: httpx.AsyncClient, resources: list[dict[str, Any]]) -> list[Published]:
    """PUT each resource under its own id, as a health system does, a few at a time."""
    columns = (TextColumn("          publishing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    at_once = asyncio.Semaphore(8)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(resources))

        async def publish(resource: dict[str, Any]) -> Published:
            async with at_once:
                sent = time()
                answer = await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
                progress.advance(task)
                version_id = int(answer.json()["meta"]["versionId"]) if answer.is_success else 0
                return Published(resource, answer.status_code, version_id, sent, time())

        return list(await asyncio.gather(*map(publish, resources)))


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


def _events(bundle: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a notification, each with its parts by name."""
    for parameter in bundle["entry"][0]["resource"]["parameter"]:
        if parameter["name"] == "notification-event":
            yield {
                part["name"]: next(value for name, value in part.items() if name.startswith("value"))
                for part in parameter["part"]
            }


def _show_hops(
    console: Console, matching: list[Published], subscriber: Subscriber, steps: list[dict[str, Any]]
) -> None:
    """Each event's way, hop by hop, in ms since its resource was sent."""
    table = Table(title="the trip of each event, in ms since its resource was sent", title_justify="left")
    table.add_column("event", justify="right")
    table.add_column("resource")
    for hop in ("stored", "201", "matched, numbered", "notified"):
        table.add_column(hop, justify="right")
    sent = {each.name: each for each in matching}
    for arrived, body in subscriber.received[1:]:
        bundle = orjson.loads(body)
        event = next(_events(bundle))
        each = sent[event["focus"]["reference"].split("/r4/")[1]]
        hops = (_seconds(event["timestamp"]), each.answered, _seconds(bundle["timestamp"]), arrived)
        table.add_row(event["event-number"], each.name, *(f"{(hop - each.sent) * 1000:.0f}" for hop in hops))
    console.print(table)
    counted = Counter(step["event"] for step in steps)
    said = ", ".join(f"{counted[name]} × {name}" for name in ("change.stored", "change.matched", "delivery.attempted"))
    console.print(f"[dim]the hub's log has {said}[/]")


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def _show_notification(console: Console, body: bytes) -> None:
    console.print(Panel(JSON(body.decode()), title="the first notification, as received", title_align="left"))


def _show_silence(console: Console, explained: list[tuple[Published, Explanation]]) -> None:
    """What did not match, and why: one line for each reason."""
    reasons: dict[str, list[str]] = {}
    for each, explanation in explained:
        if not explanation.matched:
            reasons.setdefault(_reason(explanation), []).append(each.name)
    table = Table(title="what did not match, and why", title_justify="left")
    table.add_column("resources", justify="right")
    table.add_column("such as")
    table.add_column("reason")
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        table.add_row(str(len(names)), names[0], reason)
    console.print(table)


def _reason(explanation: Explanation) -> str:
    if not explanation.trigger.fired:
        return explanation.trigger.reason
    return "; ".join(
        f"{each.filter.text} asked, {', '.join(str(value.data) for value in each.values) or 'nothing'} found"
        for each in explanation.filters
        if each.matched is False
    )


def _show_status(console: Console, bundle: dict[str, Any]) -> None:
    parameters = {each["name"]: each for each in bundle["entry"][0]["resource"]["parameter"]}
    status = parameters["status"]["valueCode"]
    events = parameters["events-since-subscription-start"]["valueString"]
    console.print(f"          $status: {status}, events since the subscription's start: {events}")
