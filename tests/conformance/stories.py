"""
What the suite watches: some Subscriptions' lives at each base, from the request that makes them to their end.

Each is lived once, at all bases at once, and looked at by many tests.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, TypeVar

import httpx

from tests.conformance.bases import Base
from tests.conformance.topics import SHAPED
from tests.facts import eventually
from tests.fhir import immunization
from tests.receiver import Received, after_handshake, parameters

T = TypeVar("T")

CONTENTS = ("empty", "id-only", "full-resource")
HEADERS = ("Authorization: Bearer abc:def", "X-Ward: 7", "X-Ward: 9")
#: Seconds, of the Subscription that asks for heartbeats.
HEARTBEAT = 2


@dataclass(frozen=True)
class Told:
    """
    A Subscription, from its creation to its third event.

    created: The answer to its POST. asked: When that was sent, monotonic in seconds.
    active: As it was read after the handshake.
    local: What was created, updated and deleted: `Immunization/1`.
    history: The entries of its history, the first version first.
    """

    id: str
    wanted: dict[str, Any]
    created: httpx.Response
    asked: float
    handshakes: list[Received]
    active: dict[str, Any]
    local: str
    history: list[dict[str, Any]]
    events: list[Received]


@dataclass(frozen=True)
class Shaped:
    """By content, the event of an Immunization whose topic includes the patient."""

    events: dict[str, Received]


@dataclass(frozen=True)
class Lives:
    """
    Subscriptions in trouble, at rest, and at their end.

    failed, failed_resource: `$status` and the Subscription, after the attempts of event 2 were used up.
    kept: `$status`, after event 3 came, when the endpoint was well again.
    failing: All that came until then, and recovered, from the re-activation to event 4.
    refused: `$status` of one whose handshake is answered with 401.
    gone: `$status` of one by name: `off`, `ended`.
    silent: What came to `off`, `ended` and `deleted` after their end, when a fourth was told.
    heartbeats: All that came to the one that asked for them; quiet: what came meanwhile to the one that didn't.
    """

    id: str
    failed: dict[str, Any]
    failed_resource: dict[str, Any]
    kept: dict[str, Any]
    failing: list[Received]
    recovered: list[Received]
    refused: dict[str, Any]
    gone: dict[str, dict[str, Any]]
    silent: dict[str, int]
    heartbeats: list[Received]
    quiet: list[Received]


async def told(bases: Mapping[str, Base]) -> dict[str, dict[str, Told]]:
    return await _everywhere(bases, _told)


async def shaped(bases: Mapping[str, Base]) -> dict[str, Shaped]:
    return await _everywhere(bases, _shaped)


async def lives(bases: Mapping[str, Base]) -> dict[str, Lives]:
    return await _everywhere(bases, _lives)


async def _everywhere(bases: Mapping[str, Base], story: Callable[[Base], Awaitable[T]]) -> dict[str, T]:
    found = await asyncio.gather(*(story(base) for base in bases.values()))
    return dict(zip(bases, found, strict=True))


async def _told(base: Base) -> dict[str, Told]:
    wanted, created = {}, {}
    for content in CONTENTS:
        wanted[content] = base.wanted(
            f"told-{content}", "patient=Patient/told", content=content, headers=list(HEADERS)
        ) | {"status": "requested"}
        asked = monotonic()
        answer = await base.http.post("Subscription", json=wanted[content])
        assert answer.status_code == 201, answer.text
        created[content] = (answer, asked)
        base.registered.append(answer.json()["id"])
    ids = {content: str(answer.json()["id"]) for content, (answer, _) in created.items()}
    for id_ in ids.values():
        await base.fhir.until(id_, "active")
    active = {content: await base.fhir.read(f"Subscription/{id_}") for content, id_ in ids.items()}
    local = f"Immunization/{await base.fhir.post(immunization(patient='told'))}"
    await base.fhir.put(immunization(local.partition("/")[2], patient="told", lot="2"))
    await base.fhir.put(immunization("told-of-another", patient="another"))
    await base.fhir.delete(local)
    history = (await base.fhir.read(f"{local}/_history"))["entry"][::-1]
    found = {}
    for content, id_ in ids.items():
        name = f"told-{content}"
        await base.receiver.numbered(base.path(name), 3, seconds=60)
        answer, asked = created[content]
        found[content] = Told(
            id=id_,
            wanted=wanted[content],
            created=answer,
            asked=asked,
            handshakes=base.told(name, "handshake"),
            active=active[content],
            local=local,
            history=history,
            events=base.told(name),
        )
    return found


async def _shaped(base: Base) -> Shaped:
    await base.fhir.put({"resourceType": "Patient", "id": "shaped"})
    for content in CONTENTS:
        name = f"shaped-{content}"
        await base.subscribe(base.wanted(name, "Immunization?patient=Patient/shaped", topic=SHAPED, content=content))
    await base.fhir.put(immunization("shaped", patient="shaped"))
    found = {}
    for content in CONTENTS:
        [found[content]] = await base.receiver.events(base.path(f"shaped-{content}"), 1, seconds=60)
    return Shaped(found)


async def _lives(base: Base) -> Lives:
    heart = asyncio.create_task(_heartbeats(base))
    ending = asyncio.create_task(_ends(base))
    base.receiver.answers[base.path("refused")] = _refuse
    refused = await base.register(base.wanted("refused"))

    base.receiver.answers[base.path("failing")] = after_handshake(200, 500)
    wanted = base.wanted("failing", "patient=Patient/failing")
    id_ = await base.subscribe(wanted)
    for lot in ("1", "2"):
        await base.fhir.put(immunization("failing", patient="failing", lot=lot))
    await base.fhir.until(id_, "error")
    failed, resource = await base.fhir.status(id_), await base.fhir.read(f"Subscription/{id_}")
    del base.receiver.answers[base.path("failing")]
    await base.fhir.put(immunization("failing", patient="failing", lot="3"))
    await base.fhir.until_events(id_, 3)
    await heart  # while heartbeats came elsewhere, it had its time to reset itself
    kept = await base.fhir.status(id_)
    failing = _all(base, "failing")
    await base.fhir.put(wanted | {"id": id_})
    await base.fhir.until(id_, "active")
    await base.fhir.put(immunization("failing", patient="failing", lot="4"))
    await base.receiver.until(lambda: 4 in base.receiver.told[base.path("failing")], seconds=60)
    await base.fhir.until(refused, "error")
    gone, silent = await ending
    heartbeats, quiet = await heart
    return Lives(
        id=id_,
        failed=failed,
        failed_resource=resource,
        kept=kept,
        failing=failing,
        recovered=_all(base, "failing")[len(failing) :],
        refused=await base.fhir.status(refused),
        gone=gone,
        silent=silent,
        heartbeats=heartbeats,
        quiet=quiet,
    )


async def _heartbeats(base: Base) -> tuple[list[Received], list[Received]]:
    await base.subscribe(base.wanted("quiet", "patient=Patient/nobody"))
    id_ = await base.subscribe(base.wanted("heart", "patient=Patient/heart", heartbeat=HEARTBEAT))
    await base.receiver.until(lambda: bool(base.told("heart", "heartbeat")), seconds=60)
    await base.fhir.put(immunization("heart", patient="heart"))
    # Where that is matched late, others come before that don't know of it.
    await base.receiver.until(lambda: "1" in counters(base.told("heart", "heartbeat")), seconds=60)
    found = _all(base, "heart"), _all(base, "quiet")
    await base.fhir.delete(f"Subscription/{id_}")
    return found


def counters(received: list[Received]) -> list[str]:
    """How many events each says that there were."""
    return [each.parameters["events-since-subscription-start"] for each in received]


async def _ends(base: Base) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    names = ("off", "ended", "deleted", "witness")
    wanted = {name: base.wanted(name, "patient=Patient/ends") for name in names}
    ids = {name: await base.register(each) for name, each in wanted.items()}
    for id_ in ids.values():
        await base.fhir.until(id_, "active")
    await base.fhir.put(wanted["off"] | {"id": ids["off"], "status": "off"})
    end = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="milliseconds")
    await base.fhir.put(wanted["ended"] | {"id": ids["ended"], "end": end})
    await base.fhir.delete(f"Subscription/{ids['deleted']}")
    for name in ("off", "ended"):
        await base.fhir.until(ids[name], "off")
    before = {name: len(_all(base, name)) for name in names[:3]}
    for lot in ("1", "2"):
        await base.fhir.put(immunization("ends", patient="ends", lot=lot))
    await base.receiver.events(base.path("witness"), 2, seconds=60)
    gone = {name: await base.fhir.status(ids[name]) for name in ("off", "ended")}
    missing = await base.http.get(f"Subscription/{ids['deleted']}/$status")
    assert missing.status_code == 404
    return gone, {name: len(_all(base, name)) - count for name, count in before.items()}


def _all(base: Base, name: str) -> list[Received]:
    return [received for received in base.receiver.received if received.path == base.path(name)]


async def _refuse(_: Received) -> int:
    return 401


async def status(base: Base, url: str, **options: Any) -> list[dict[str, Any]]:
    """The statuses in the answer to a `$status`, as in `parameters`."""
    answer = await base.http.request(options.pop("method", "GET"), url, **options)
    assert answer.status_code == 200, answer.text
    return [parameters(entry["resource"]) for entry in answer.json().get("entry", [])]


def error(found: dict[str, Any]) -> dict[str, Any]:
    """The one error in a status, a CodeableConcept."""
    told: Any = found["error"]
    [one] = told if isinstance(told, list) else [told]
    return dict(one)


async def counted(base: Base, id_: str, events: int) -> None:
    """Wait until a Subscription has had exactly so many events."""

    async def has_them() -> bool:
        return await base.fhir.events(id_) == events

    await eventually(has_them)
