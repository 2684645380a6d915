"""`hub status` and `hub tail`: how a hub is, and what it does, from a shell."""

import asyncio
import json
import re
import signal
from pathlib import Path
from uuid import uuid4

from aiohttp import web

from tests.cli.commands import begun, command
from tests.facts import eventually
from tests.fhir import Fhir, immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Received, Receiver


async def broken(_: Received) -> int:
    return 500


async def test_well_and_not(data: Path, receiver: Receiver) -> None:
    """Nothing is wrong, and 0; then an endpoint is broken, and it is said what to do and where, and 3."""
    async with HubProcess(data, {"HUB_RETRY_WAITS": "0.1"}) as hub, talking_to(hub) as fhir:

        async def well() -> bool:
            return (await command(hub.url, "status")).code == 0

        await eventually(lambda: hub.have(1))
        await eventually(well)
        done = await command(hub.url, "status")
        assert done.out.startswith("Nothing is wrong.\n")
        assert re.search(r"^at work +1 match, 1 deliver, 1 clock$", done.out, re.M)
        id_ = await fhir.subscribe(subscription(f"{receiver.url}/a", "Immunization"))
        receiver.answers["/a"] = broken
        await fhir.post(immunization())
        await fhir.until(id_, "error")

        async def wrong() -> bool:
            return (await command(hub.url, "status")).code == 3

        await eventually(wrong)
        done = await command(hub.url, "status")
        assert re.search(r"^error +1 Subscription in `error`", done.out, re.M)
        assert f"{hub.url}/console#/subscriptions?status=error" in done.out
        assert re.search(r"^subscriptions +1 error$", done.out, re.M)
        overview = await command(hub.url, "status", "--json")
        assert (overview.code, overview.json["subscriptions"]["error"]) == (3, 1)
        async with begun(hub.url, "status", "--watch", "--json") as process:
            assert process.stdout is not None
            async with asyncio.timeout(30):
                looks = [json.loads(await process.stdout.readline()) for _ in range(2)]
            assert looks[0]["at"] < looks[1]["at"]
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
        url = hub.url
    gone = await command(url, "status")
    assert (gone.code, gone.out) == (1, "")
    assert gone.err.startswith("hub status: no hub answers at ")


async def test_what_stands_still(data: Path) -> None:
    """Whichever part it is, it is said, and what to start; of Redis, without which nothing is known, why that is."""
    async with HubProcess(data) as hub:
        await eventually(lambda: hub.have(1))
        for part in ("worker match", "worker deliver", "clock"):
            name = " ".join(reversed(part.split()))

            async def said(name: str = name) -> bool:
                return f"No {name} is at work" in (await command(hub.url, "status")).out

            async with hub.paused(part):
                await eventually(said)
                lines = [line.strip() for line in (await command(hub.url, "status")).out.splitlines()]
                todo = next(number for number, line in enumerate(lines) if line.endswith(f": hub {part}"))
                assert lines[todo + 1] == f"{hub.url}/console#/?at=workers"
        async with hub.paused("redis"):
            done = await command(hub.url, "status")
            assert (done.code, done.out) == (1, "")
            assert done.err.startswith("hub status: 503: Redis did not confirm: ")
            assert "See that the Redis at HUB_REDIS_URL runs" in done.err


async def test_steps(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """A change is stored, matched, sent: a line each, with the ids of the trip; only those that are asked for."""
    patient = f"Patient/{uuid4()}"
    subscribed = await fhir.subscribe(subscription(f"{receiver.url}/a", "Immunization", f"patient={patient}"))
    lines, steps = list[str](), list[str]()
    stored = list[str]()

    async def told() -> bool:
        """Whoever begins to look sees what comes from then on: so there is something until that is so."""
        stored.append(await fhir.post(immunization() | {"patient": {"reference": patient}}))
        await asyncio.sleep(0.2)  # for the next one
        seen = "".join(lines)
        shown = all(f"  {kind} " in seen for kind in ("stored", "matched", "attempt"))
        return shown and any(f"/{id_}/" in seen for id_ in stored) and f"r4/{subscribed}" in seen and bool(steps)

    only = ("--step", "attempt", "--grep", subscribed, "--json")
    async with begun(hub.url, "tail") as tail, begun(hub.url, "tail", *only) as sent, asyncio.TaskGroup() as reading:
        reading.create_task(_read(tail, lines))
        reading.create_task(_read(sent, steps))
        await eventually(told)
        for process in (tail, sent):
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
    text = "".join(lines)
    assert re.search(
        r"^\d\d:\d\d:\d\d\.\d{3}  stored   r4/Immunization/[-0-9a-f]+/_history/1  create by anonymous$", text, re.M
    )
    assert re.search(r"  matched  r4/Immunization/[-0-9a-f]+/_history/1  concerns [0-9]+$", text, re.M)
    assert re.search(rf"  attempt  r4/{subscribed}  events \d+.*, attempt 1: accepted in [0-9.]+ ms, ", text)
    step = json.loads(steps[0])
    assert step["step"] == "delivery.attempted"
    assert subscribed in step["subscription"]
    assert patient not in text


async def _read(process: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert process.stdout is not None
    while raw := await process.stdout.readline():
        lines.append(raw.decode())


async def test_a_hub_that_is_not_there() -> None:
    done = await command("http://127.0.0.1:1", "tail")
    assert (done.code, done.err.count("\n")) == (1, 1)


async def test_the_worst_says_how_it_ends(receiver: Receiver) -> None:
    """Whichever comes first; the exit code is what scripts go by."""

    async def overview(_: Received) -> web.Response:
        problems = [{"severity": severity} for severity in ("warning", "error", "warning")]
        return web.json_response({"problems": problems})

    async def ready(_: Received) -> web.Response:
        return web.json_response({"status": "ready"})

    receiver.answers = {"/admin/overview": overview, "/readyz": ready}
    assert (await command(receiver.url, "status", "--json")).code == 3


async def test_a_tail_goes_on_when_its_hub_is_back(receiver: Receiver) -> None:
    """It says once why it waits, and goes on. How much was left out is told whichever steps are wanted."""
    left = iter((1, None, None, 2))

    async def live(_: Received) -> web.Response:
        if steps := next(left, 3):
            data = json.dumps({"at": "2026-11-27T00:00:00Z", "step": "left-out", "tenant": "default", "steps": steps})
            return web.Response(text=f"event: step\ndata: {data}\n\n", content_type="text/event-stream")
        return web.json_response({"status": "unavailable", "reason": "away"}, status=503)

    receiver.answers["/admin/live"] = live
    async with begun(receiver.url, "tail", "--step", "attempt") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(30):
            told = [(await process.stdout.readline()).split()[1:] for _ in range(2)]
            assert told == [[b"left-out", b"steps=1"], [b"left-out", b"steps=2"]]
            process.terminate()
            assert await process.stderr.read() == b"hub tail: 503: away\n"
