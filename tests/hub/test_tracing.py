"""What of a trace is kept with a change and its events, and what isn't where nothing is traced."""

import sys
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.responses import Response

from hub.api.traced import Traced as TracedApplication
from hub.errors import NotTheHub
from hub.instants import now_ms
from hub.keys import Partition, ResourceId, SubscriptionKey
from hub.stream import Entry
from hub.tracing import REQUEST, Span, Traces, parent_of
from hub.transaction import TransactionCoordinator
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from hub.write import Write
from subscriptions.codes import FhirVersion
from tests.hub.conftest import settings
from tests.hub.life import Life, entry

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
A, B = (ResourceId("default", FhirVersion.R4, "Patient", id_) for id_ in "ab")


class Traced(Span):
    """A request in a trace, that keeps what was stored by it."""

    def __init__(self, trace: str) -> None:
        self.trace = trace
        self.changes: list[str] = []

    def stored(self, change: str) -> None:
        self.changes.append(change)


def write(resource: ResourceId) -> Write:
    return Write(resource, "update", now_ms(), b'{"meta":{"versionId":"', b'"}}')


async def changes(parts: Parts, resource: ResourceId) -> list[Entry]:
    partition = Partition(resource.partition(parts.settings.partitions))
    return [
        each for each in await parts.changes.after(partition, "0-0", count=9, wait_ms=1) if each.resource == resource
    ]


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (PARENT, PARENT),
        (f" {PARENT}\t", PARENT),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"01-{TRACE}-{SPAN}-01-more", PARENT),
        (f"00-{TRACE}-{SPAN}-01-more", ""),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (PARENT.upper(), ""),
        (f"{PARENT}\n", ""),
        ("", ""),
    ],
)
def test_what_is_taken_up(header: str, kept: str) -> None:
    assert parent_of(header) == kept


@pytest.mark.parametrize(
    ("headers", "parent"),
    [([], ""), ([PARENT], PARENT), ([PARENT, f"00-{'7' * 32}-{SPAN}-01"], ""), ([PARENT] * 2, "")],
)
async def test_of_two_traces_none_is_taken_up(headers: list[str], parent: str) -> None:
    """Nobody could say which of them is the right one."""
    asked: list[str] = []

    class Asked(Traces):
        def request(self, method: str, scheme: str, parent: str) -> Span:
            asked.append(parent)
            return super().request(method, scheme, parent)

    application = TracedApplication(Response(status_code=204), Asked())
    given = [("traceparent", header) for header in headers]
    async with AsyncClient(transport=ASGITransport(app=application), base_url="http://hub.test") as http:
        assert (await http.post("/", headers=given)).status_code == 204
    assert asked == [parent]


async def test_a_change_of_a_trace(parts: Parts) -> None:
    """It is kept with the change alone, and the request is told what it stored."""
    request = Traced(PARENT)
    before = REQUEST.set(request)
    await parts.store.put(write(A))
    REQUEST.reset(before)
    [change] = await changes(parts, A)
    assert change.trace == PARENT
    assert request.changes == [change.change] == ["default/r4/Patient/a/1"]


async def test_a_change_of_none(parts: Parts) -> None:
    """It has the fields that it had before there were traces; an event of it, too."""
    await parts.store.put(write(A))
    partition = Partition(A.partition(parts.settings.partitions))
    [[_, fields]] = await parts.pipeline.command("XRANGE", partition.changes, "-", "+")
    assert set(fields[::2]) == {
        b"tenant", b"version", b"type", b"id", b"number", b"interaction", b"publisher", b"at"
    }  # fmt: skip
    life = Life(parts.outboxes, SubscriptionKey("default", FhirVersion.R4, "s", "i"))
    await life.active({0: "0-0"})
    await parts.outboxes.owe(life.key, 0, [entry(0, 1)])
    [[_, fields]] = await parts.pipeline.command("XRANGE", life.key.outbox, "-", "+")
    assert set(fields[::2]) == {b"type", b"id", b"number", b"interaction", b"at"}


async def test_a_transaction_that_somebody_else_ends(parts: Parts) -> None:
    """What it writes belongs to the trace of the request that began it, and to no other's."""
    coordinator, first, other = TransactionCoordinator(parts.pipeline, parts.store), Traced(PARENT), Traced("other")
    before = REQUEST.set(first)
    intent: Any = await coordinator.begin([write(A), write(B)])
    await coordinator.reserve(intent)
    await coordinator.commit(intent, b"")
    REQUEST.reset(before)
    before = REQUEST.set(other)
    await coordinator.complete(intent.attempt)
    REQUEST.reset(before)
    found = [*await changes(parts, A), *await changes(parts, B)]
    assert [each.trace for each in found] == [PARENT, PARENT]
    assert (first.changes, other.changes) == ([], [])


async def test_packages_that_are_not_there(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are an extra: without them a hub that is to trace says what to install."""
    monkeypatch.setitem(sys.modules, "hub.exporting", None)
    wanted = settings(redis_url, tmp_path).model_copy(update={"traces": "otlp"})
    with pytest.raises(NotTheHub, match=r"pip install 'fhir-event-hub\[traces\]'"):
        await built(wanted)
