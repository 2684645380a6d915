"""One trace from a publisher's request to the attempt that tells of it, over the processes of a real hub."""

import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.collector import CLIENT, CONSUMER, SERVER, Collector
from tests.dump import everything
from tests.facts import eventually
from tests.fhir import Fhir, immunization, talking_to
from tests.processes import SHARED, HubProcess, subscription
from tests.receiver import Holding, Received, Receiver, after_handshake

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
OTHER = "0af7651916cd43dd8448eb211c80319c"


def settings(collector: str) -> dict[str, str]:
    """Of a hub that tells a collector at once."""
    return {
        "HUB_TRACES": "otlp",
        "HUB_LOG_LEVEL": "info",
        "HUB_RETRY_WAITS": "0.05,0.05,0.05",
        "HUB_REQUEST_TIMEOUT": SHARED["HUB_REQUEST_TIMEOUT"],  # requests are held
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
async def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> AsyncIterator[HubProcess]:
    async with HubProcess(tmp_path_factory.mktemp("hub") / "data", settings(collector.url)) as hub:
        yield hub


@pytest.fixture
async def publisher(traced: HubProcess) -> AsyncIterator[Fhir]:
    async with talking_to(traced) as fhir:
        yield fhir


async def put(fhir: Fhir, resource: dict[str, Any], parent: str) -> None:
    """Publish it as a part of a trace."""
    place = f"{resource['resourceType']}/{resource['id']}"
    answer = await fhir.http.put(place, json=resource, headers={"traceparent": parent})
    assert answer.status_code in (200, 201), answer.text


def parents(received: list[Received]) -> list[list[str]]:
    """The trace, span and flags that requests bore; none for a request that bore none."""
    found = []
    for each in received:
        given = [value for name, value in each.headers if name.lower() == "traceparent"]
        assert len(given) <= 1
        found.append(given[0].split("-")[1:] if given else [])
    return found


async def test_one_trace(traced: HubProcess, publisher: Fhir, collector: Collector, receiver: Receiver) -> None:
    """
    Its id is the one that the publisher sent and that the subscriber got, its spans come from three processes, each
    below the one before, and what failed was sent again with the same bytes.
    """
    receiver.answers["/one"] = after_handshake(503, 200)
    wanted = subscription(f"{receiver.url}/one?secret=q", "Immunization", "patient=Patient/traced-one")
    id_ = await publisher.subscribe(wanted)
    await put(publisher, immunization("traced-one", patient="traced-one"), PARENT)
    told = await receiver.events("/one", 2)
    await collector.until(lambda: len(collector.of(TRACE)) >= 4)

    [post], [match] = collector.of(TRACE, SERVER), collector.of(TRACE, CONSUMER)
    first, second = sorted(collector.of(TRACE, CLIENT), key=lambda span: span.attributes["hub.attempt"])
    assert [each.parent for each in (post, match, first, second)] == [SPAN, post.id, match.id, match.id]
    assert len({post.process, match.process, first.process}) == 3
    assert first.process == second.process
    assert parents(told) == [[TRACE, first.id, "01"], [TRACE, second.id, "01"]]
    assert told[0].body == told[1].body
    assert collector.service == {"fhir-event-hub"}

    change = "default/r4/Immunization/traced-one/1"
    assert post.name == "PUT /fhir/r4/{type}/{id}"
    assert post.attributes == {
        "http.request.method": "PUT",
        "http.response.status_code": 201,
        "http.route": "/fhir/r4/{type}/{id}",
        "url.scheme": "http",
    }
    assert post.events == [{"hub.change": change}]
    assert match.name == "match changes"
    assert (match.attributes["hub.change"], match.attributes["hub.subscriptions"]) == (change, 1)
    port = int(receiver.url.rpartition(":")[2])
    subscription_ = second.attributes.pop("hub.subscription")
    assert subscription_.startswith(f"default/r4/{id_}/")
    assert second.attributes == {
        "http.request.method": "POST",
        "http.request.resend_count": 1,
        "http.response.status_code": 200,
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": port,
        "messaging.system": "fhir_event_hub",
        "messaging.operation.name": "deliver",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 1,
        "hub.kind": "events",
        "hub.first_event": 1,
        "hub.last_event": 1,
        "hub.attempt": 2,
        "hub.outcome": "accepted",
    }
    assert (first.attributes["error.type"], first.failed, second.failed) == ("503", True, False)
    assert not any(b"secret" in body for body in collector.bodies)
    steps = ["change.matched", "change.stored", "delivery.attempted", "delivery.attempted"]
    await eventually(lambda: len([line for line in traced.output if TRACE in line]) >= len(steps))
    said = [json.loads(line) for line in traced.output if TRACE in line]
    assert sorted(line["event"] for line in said) == steps  # of three processes: any of them may be late with its line


async def test_a_header_of_its_own(publisher: Fhir, receiver: Receiver) -> None:
    """A Subscription that has the header itself gets that, and no other beside it."""
    headers = [f"Traceparent: 00-{OTHER}-{SPAN}-01"]
    await publisher.subscribe(
        subscription(f"{receiver.url}/own-header", "Immunization", "patient=Patient/headed", headers=headers)
    )
    await put(publisher, immunization("headed", patient="headed"), PARENT)
    assert parents(await receiver.events("/own-header", 1)) == [[OTHER, SPAN, "01"]]


async def test_several_traces(publisher: Fhir, collector: Collector, receiver: Receiver) -> None:
    """A notification of events from several traces belongs to the first one's, and is linked to the others."""
    receiver.answers["/several"] = holding = Holding()
    wanted = subscription(f"{receiver.url}/several", "Immunization", "patient=Patient/several", max_count=3)
    id_ = await publisher.subscribe(wanted)
    await put(publisher, immunization("several-0", patient="several"), f"00-{'1' * 32}-{SPAN}-01")
    await receiver.until(lambda: holding.on_the_wire == 1)
    for number, trace in enumerate((OTHER, "2" * 32, OTHER), 1):
        await put(publisher, immunization(f"several-{number}", patient="several"), f"00-{trace}-{SPAN}-01")
        await publisher.until_events(id_, number + 1)
    holding.release()
    _, told = await receiver.events("/several", 2)
    assert told.numbers == [2, 3, 4]
    await collector.until(lambda: bool(collector.of(OTHER, CLIENT)))
    [attempt] = collector.of(OTHER, CLIENT)
    assert parents([told]) == [[OTHER, attempt.id, "01"]]
    assert attempt.links == ["2" * 32, OTHER]


async def test_transaction(publisher: Fhir, collector: Collector, receiver: Receiver) -> None:
    """Whatever a transaction writes belongs to the trace of its request."""
    trace = "3" * 32
    await publisher.subscribe(subscription(f"{receiver.url}/bundle", "Immunization", "patient=Patient/bundled"))
    entries = [
        {"resource": immunization(id_, patient="bundled"), "request": {"method": "PUT", "url": f"Immunization/{id_}"}}
        for id_ in ("bundled-1", "bundled-2")
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await publisher.http.post("", json=bundle, headers={"traceparent": f"00-{trace}-{SPAN}-01"})
    assert answer.status_code == 200
    told = await receiver.events("/bundle", 2)
    assert [each[0] for each in parents(told)] == [trace, trace]
    await collector.until(lambda: len(collector.of(trace)) >= 5)
    [post] = collector.of(trace, SERVER)
    assert sorted(event["hub.change"].split("/")[3] for event in post.events) == ["bundled-1", "bundled-2"]


@pytest.mark.parametrize(
    "given",
    [
        "",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        "Quixlethorpe",
    ],
)
async def test_a_trace_of_its_own(publisher: Fhir, receiver: Receiver, collector: Collector, given: str) -> None:
    """A request without a valid `traceparent` begins a trace, and what it bore is told nobody."""
    id_ = f"own-{abs(hash(given))}"
    await publisher.subscribe(subscription(f"{receiver.url}/own", "Immunization", f"patient=Patient/{id_}"))
    await put(publisher, immunization(id_, patient=id_), given)
    [told] = await receiver.events("/own", 1)
    [[trace, span, _]] = parents([told])
    assert trace != TRACE
    assert re.fullmatch("[0-9a-f]{32}", trace)
    await collector.until(lambda: len(collector.of(trace)) >= 3)
    [post] = collector.of(trace, SERVER)
    assert post.parent == ""
    assert [each.id for each in collector.of(trace, CLIENT)] == [span]
    assert not any(b"Quixlethorpe" in body for body in collector.bodies)


async def test_what_is_not_sampled(publisher: Fhir, receiver: Receiver, collector: Collector) -> None:
    """It is told so to the subscriber, in the same trace, and no span of it is sent."""
    trace = "5" * 32
    await publisher.subscribe(subscription(f"{receiver.url}/unsampled", "Immunization", "patient=Patient/unsampled"))
    await put(publisher, immunization("unsampled", patient="unsampled"), f"00-{trace}-{SPAN}-00")
    [told] = await receiver.events("/unsampled", 1)
    [[found, _, flags]] = parents([told])
    assert (found, flags) == (trace, "00")
    await put(publisher, immunization("sampled", patient="sampled"), f"00-{'6' * 32}-{SPAN}-01")
    await collector.until(lambda: len(collector.of("6" * 32)) >= 2)
    assert collector.of(trace) == []


async def test_refused(traced: HubProcess, collector: Collector) -> None:
    """Of a request that leads nowhere, or is refused, nothing is told that its client wrote."""
    trace = "7" * 32
    async with httpx.AsyncClient(base_url=traced.url, headers={"traceparent": f"00-{trace}-{SPAN}-01"}) as http:
        assert (await http.post("/Plimmerzweig/1?name=Narrathurgic")).status_code == 404
        assert (await http.put("/fhir/r4/Patient/Plimmerzweig%20a?b=Narrathurgic", json={})).status_code >= 400
        assert (await http.get("/fhir/r4/Patient/Plimmerzweig")).status_code == 404
    await collector.until(lambda: len(collector.of(trace)) >= 2)
    assert {each.name for each in collector.of(trace)} == {"POST", "PUT /fhir/r4/{type}/{id}"}
    assert not any(each.failed for each in collector.of(trace))
    assert not any(word in body for body in collector.bodies for word in (b"Plimmerzweig", b"Narrathurgic"))


def lines(hub: HubProcess, event: str) -> Iterator[dict[str, Any]]:
    for line in hub.output:
        if line.startswith("{") and json.loads(line)["event"] == event:
            yield json.loads(line)


async def test_collector_refuses(data: Path, receiver: Receiver, collector: Collector) -> None:
    """Everything is delivered; each process says once that its spans are not taken, and once that they are again."""
    collector.status = 400
    try:
        async with HubProcess(data, settings(collector.url)) as hub, talking_to(hub) as fhir:
            await fhir.subscribe(subscription(f"{receiver.url}/refuses"))
            for number in range(20):
                await fhir.put(immunization(f"refused-{number}"))
            await receiver.events("/refuses", 20)
            asked = collector.requests
            await eventually(lambda: len(list(lines(hub, "traces.away"))) == 3 and collector.requests > asked)
            collector.status = 200
            await fhir.put(immunization("taken"))
            await eventually(lambda: len(list(lines(hub, "traces.back"))) == 3)
            said = list(lines(hub, "traces.away"))
            assert len(said) == 3
            assert all("400" in each["reason"] for each in said)
            assert all(each["lost"] > 0 for each in lines(hub, "traces.back"))
    finally:
        collector.status = 200


async def test_collector_away(data: Path, receiver: Receiver) -> None:
    """Where nobody listens, everything is delivered, the hub says so, and ends in time with spans that it has kept."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        host, port = nobody.getsockname()
        async with HubProcess(data, settings(f"http://{host}:{port}")) as hub, talking_to(hub) as fhir:
            await fhir.subscribe(subscription(f"{receiver.url}/away"))
            await fhir.put(immunization("away"))
            await receiver.events("/away", 1)
            await eventually(lambda: any("refused" in each["reason"] for each in lines(hub, "traces.away")))
            await fhir.put(immunization("last"))
            await receiver.events("/away", 2)
            began = monotonic()
            assert await hub.stop() == 0
            assert monotonic() - began < 10
            await hub.start()


async def test_off(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """What a publisher sends along is then neither kept nor handed on."""
    await fhir.subscribe(subscription(f"{receiver.url}/off", "Immunization", "patient=Patient/off"))
    await put(fhir, immunization("off", patient="off"), PARENT)
    told = await receiver.events("/off", 1)
    assert parents(told) == [[]]
    async with Redis.from_url(hub.redis_url) as redis:
        kept = await everything(redis.execute_command)
    assert TRACE.encode() not in kept
