"""`hub publish`, run as a user does: what comes to the hub, once and in order, and what it says of the rest."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from tests.cli.commands import begun, command
from tests.facts import eventually
from tests.fhir import Fhir
from tests.processes import HubProcess
from tests.receiver import Received, Receiver

Json = dict[str, Any]


def basic(id_: str = "", number: int = 0, run: str = "") -> Json:
    """A resource that nobody else's tests look at. `run` is found by its identifier."""
    found: Json = {
        "resourceType": "Basic",
        "code": {"text": f"number {number}"},
        "identifier": [{"system": "urn:test:publish", "value": run or "none"}],
    }
    return found | ({"id": id_} if id_ else {})


def lines(resources: Iterable[Json]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in resources)


async def versions(fhir: Fhir, reference: str) -> list[str]:
    """What the versions of a Basic say, oldest first."""
    entries = (await fhir.read(f"{reference}/_history?_count=200"))["entry"]
    return [entry["resource"]["code"]["text"] for entry in reversed(entries)]


async def created(fhir: Fhir, run: str) -> int:
    found = await fhir.read(f"Basic?identifier=urn:test:publish|{run}&_count=1&_total=accurate")
    return int(found["total"])


@pytest.fixture
def run() -> str:
    return uuid4().hex


async def test_whatever_holds_resources(hub: HubProcess, fhir: Fhir, tmp_path: Path, run: str) -> None:
    """A directory: a resource, one on each line, Bundles that carry them, and one that belongs together."""
    urn = f"urn:uuid:{uuid4()}"
    (tmp_path / "deep" / ".git").mkdir(parents=True)
    (tmp_path / "deep" / "one.json").write_text(json.dumps(basic(f"{run}-one"), indent=2))
    (tmp_path / "many.ndjson").write_bytes(b"\xef\xbb\xbf" + lines([basic(f"{run}-a"), basic(run=run)]) + b"\n\n")
    (tmp_path / "found.json").write_text(
        json.dumps(
            {
                "resourceType": "Bundle",
                "type": "searchset",
                "entry": [
                    {"resource": basic(f"{run}-found"), "search": {"mode": "match"}},
                    {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}},
                ],
            }
        )
    )
    (tmp_path / "batch.json").write_text(
        json.dumps(
            {
                "resourceType": "Bundle",
                "type": "batch",
                "entry": [
                    {"resource": basic(f"{run}-b"), "request": {"method": "PUT", "url": f"Basic/{run}-b"}},
                    {"request": {"method": "DELETE", "url": f"Basic/{run}-b"}},
                ],
            }
        )
    )
    (tmp_path / "whole.json").write_text(
        json.dumps(
            {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [
                    {
                        "fullUrl": urn,
                        "resource": basic(run=run),
                        "request": {"method": "POST", "url": "Basic"},
                    },
                    {
                        "resource": basic(f"{run}-whole") | {"subject": {"reference": urn}},
                        "request": {"method": "PUT", "url": f"Basic/{run}-whole"},
                    },
                ],
            }
        )
    )
    (tmp_path / "deep" / "README.md").write_text("no resource")
    (tmp_path / "deep" / ".git" / "index.json").write_text("{}")
    done = await command(hub.url, "publish", str(tmp_path), "--json")
    assert (done.code, done.err) == (0, "")
    summary = done.json
    assert (summary["published"], summary["rejected"]) == (7, 0)
    for id_ in ("one", "a", "found", "whole"):
        assert await versions(fhir, f"Basic/{run}-{id_}") == ["number 0"]
    assert (await fhir.http.get(f"Basic/{run}-b")).status_code == 410
    assert await created(fhir, run) == 2


async def test_the_order_of_one_resource(hub: HubProcess, fhir: Fhir, run: str) -> None:
    """Many are on their way at once, but those of one resource come as they are read."""
    given = [basic(f"{run}-{number % 3}", number) for number in range(90)]
    done = await command(hub.url, "publish", "-", "--parallel", "32", given=lines(given))
    assert (done.code, done.err) == (0, "")
    for rest in range(3):
        assert await versions(fhir, f"Basic/{run}-{rest}") == [f"number {each}" for each in range(rest, 90, 3)]


async def test_digits_of_decimals(hub: HubProcess, fhir: Fhir, run: str) -> None:
    """What is carried by a Bundle is sent as it was written."""
    body = b'{"resourceType": "Bundle", "type": "collection", "entry": [{"resource": %s}]}' % (
        b'{"resourceType": "Observation", "id": "%s", "status": "final", "code": {"text": "x"}, '
        b'"valueQuantity": {"value": 1.50}}' % run.encode()
    )
    assert (await command(hub.url, "publish", "-", given=body)).code == 0
    assert '"value":1.50' in (await fhir.http.get(f"Observation/{run}")).text.replace(" ", "")


async def test_killed_and_taken_up(hub: HubProcess, fhir: Fhir, tmp_path: Path, run: str) -> None:
    """kill -9 in the middle; the same command goes on, and the hub's history has each resource once."""
    named = [basic(f"{run}-{number}", number) for number in range(400)]
    given = [each for pair in zip(named, (basic(run=run) for _ in named), strict=True) for each in pair]
    file, journal = tmp_path / "all.ndjson", tmp_path / "journal"
    file.write_bytes(lines(given))
    words = ("publish", str(file), "--journal", str(journal), "--json")
    async with begun(hub.url, *words):
        await eventually(lambda: journal.exists() and journal.read_text().count("done") > 100)
    before = journal.read_text().count("done")
    assert before < len(given)
    done = await command(hub.url, *words)
    assert (done.code, done.err) == (0, "")
    assert done.json["already"] >= before
    assert done.json["published"] + done.json["already"] == len(given)
    assert {tuple(await versions(fhir, f"Basic/{each['id']}")) for each in named} == {
        (f"number {number}",) for number in range(400)
    }
    assert await created(fhir, run) == 400


async def test_what_nobody_knows_of(hub: HubProcess, fhir: Fhir, tmp_path: Path, run: str) -> None:
    """A run that was killed before it could note what the hub had answered asks, and doubles nothing."""
    file, journal = tmp_path / "all.ndjson", tmp_path / "journal"
    file.write_bytes(lines([basic(f"{run}-a"), basic(run=run)]))
    words = ("publish", str(file), "--journal", str(journal), "--json")
    assert (await command(hub.url, *words)).json["created"] == 2
    noted = [line for line in journal.read_text().splitlines() if not line.startswith("done")]
    journal.write_text("\n".join(noted) + "\nbegu")  # the last line is torn
    done = await command(hub.url, *words)
    assert (done.code, done.json["already"]) == (0, 1)
    assert await versions(fhir, f"Basic/{run}-a") == ["number 0"]
    assert await created(fhir, run) == 1
    assert (await command(hub.url, *words)).json["already"] == 2


async def test_rejects(hub: HubProcess, tmp_path: Path, run: str) -> None:
    """What the hub says of them, counted; the file has each, for nobody else to read, and can be sent again."""
    given = [basic(f"{run}-{n}") | {"code": 7} for n in range(3)] + [basic(f"{run}-good"), {"id": "x"}]
    file, rejects = tmp_path / "all.ndjson", tmp_path / "rejects"
    file.write_bytes(lines(given) + b"\x1b[2J{\n")
    done = await command(hub.url, "publish", str(file), "--rejects", str(rejects))
    assert done.code == 3
    assert "published: 1 (1 created)\nrejected: 5\n  3 × 400: Basic.code: " in done.out
    assert "1 × not sent: It is not JSON: invalid character." in done.out
    assert "It has no resourceType" in done.out
    assert "\x1b" not in done.out
    told = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert rejects.stat().st_mode & 0o777 == 0o600
    assert sorted(each["place"] for each in told) == [f"{file}:{n}" for n in (1, 2, 3, 5, 6)]
    of = {each["place"].rpartition(":")[2]: each for each in told}
    assert of["2"]["resource"] == given[1]
    assert of["2"]["status"] == 400
    assert of["6"]["text"] == "\x1b[2J{"


async def test_as_it_is_asked(hub: HubProcess, fhir: Fhir, run: str) -> None:
    """`--as post` gives new ids; `--as put` refuses what has none. `--version` chooses the base."""
    given = lines([basic(f"{run}-id", run=run), basic(run=run)])
    done = await command(hub.url, "publish", "-", "--as", "put", "--json", given=given)
    assert (done.code, done.json["reasons"][0]["reason"]) == (3, "It has no id, and PUT needs one.")
    assert (await command(hub.url, "publish", "-", "--as", "post", given=given)).code == 0
    assert await created(fhir, run) == 3
    assert (await command(hub.url, "publish", "-", "--version", "r5", given=lines([basic(f"{run}-r5")]))).code == 0
    assert (await fhir.http.get(f"Basic/{run}-r5")).status_code == 404


async def test_the_same_by_stdin(hub: HubProcess, fhir: Fhir, run: str) -> None:
    """It is another one each time; of one that goes on by its journal it is the same."""
    given = lines([basic(run=run)])
    for _ in range(2):
        assert (await command(hub.url, "publish", "-", "--json", given=given)).json["created"] == 1
    assert await created(fhir, run) == 2


async def test_a_file_once_more(receiver: Receiver, tmp_path: Path) -> None:
    """What the hub has made before the run, and now answers for again, is said to have been published before."""
    made = "Fri, 20 Nov 2026 10:00:00 GMT"

    async def answer(received: Received) -> web.Response:
        when = made if b"old" in received.body else "Fri, 20 Nov 2026 10:00:59 GMT"
        return web.Response(status=201, headers={"Date": "Fri, 20 Nov 2026 10:01:00 GMT", "Last-Modified": when})

    receiver.answers = {"/fhir/r4/metadata": accepting, "/fhir/r4/Basic": answer}
    (tmp_path / "a.ndjson").write_bytes(lines([basic(run="old"), basic(run="new")]))
    done = await command(receiver.url, "publish", str(tmp_path), "--json")
    assert (done.code, done.json["created"], done.json["already"]) == (0, 1, 1)


def busy(status: int, times: int, calls: list[float], **headers: str) -> Any:
    """An endpoint that takes nothing for so many times."""

    async def answer(_: Received) -> web.StreamResponse:
        calls.append(time.monotonic())
        return web.Response(status=status, headers=headers) if len(calls) <= times else web.Response(status=201)

    return answer


async def accepting(_: Received) -> web.StreamResponse:
    return web.json_response({"resourceType": "CapabilityStatement"})


@pytest.mark.parametrize("said", ["<html>", "[]", "{}"])
async def test_whoever_takes_everything(receiver: Receiver, said: str) -> None:
    """What answers with 200 to whatever is asked, as some web servers do, is no hub: nothing is sent there."""

    async def answer(_: Received) -> web.StreamResponse:
        return web.Response(text=said)

    receiver.answers["/fhir/r4/metadata"] = answer
    done = await command(receiver.url, "publish", "-", given=lines([basic()]))
    assert (done.code, done.out) == (1, "")
    assert done.err == f"hub publish: {receiver.url} answers as no FHIR server does: is it a hub?\n"
    assert [each.path for each in receiver.received] == ["/fhir/r4/metadata"]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_hub_that_says_later(receiver: Receiver, status: int) -> None:
    """It is left alone for as long as it says, by all, and then gets all."""
    calls = list[float]()
    receiver.answers = {
        "/fhir/r4/metadata": accepting,
        "/fhir/r4/Basic": busy(status, 1, calls, **{"Retry-After": "1"}),
    }
    done = await command(receiver.url, "publish", "-", "--parallel", "1", given=lines([basic(), basic(number=1)]))
    assert (done.code, done.err) == (0, "")
    assert len(calls) == 3
    assert calls[1] - calls[0] >= 1
    keys = [dict(each.headers).get("Idempotency-Key") for each in receiver.received if each.path != "/fhir/r4/metadata"]
    assert keys[0] == keys[1]
    assert keys[1] != keys[2]


async def test_whose_patience_ends(receiver: Receiver, tmp_path: Path) -> None:
    """Whoever can't be reached, at first or for too long, is 1; a hub that asks who it is, 2. The reason is a line."""
    receiver.answers = {"/fhir/r4/metadata": accepting, "/fhir/r4/Basic": busy(503, 9, [])}
    journal = tmp_path / "j"
    words = ("publish", "-", "--patience", "0", "--journal", str(journal))
    done = await command(receiver.url, *words, given=lines([basic()]))
    assert done.code == 1
    assert done.err.startswith("The same command goes on from here.\nhub publish: 503: ")
    receiver.answers["/fhir/r4/Basic"] = busy(401, 9, [])
    assert (await command(receiver.url, "publish", "-", given=lines([basic()]))).code == 2
    done = await command("http://127.0.0.1:1", "publish", "-")
    assert (done.code, done.err.count("\n")) == (1, 1)


async def test_what_comes_while_it_waits(hub: HubProcess, fhir: Fhir, tmp_path: Path, run: str) -> None:
    """A line that is piped in is published though the next one isn't there yet; SIGINT then ends it."""
    journal = tmp_path / "journal"
    async with begun(hub.url, "publish", "-", "--journal", str(journal)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines([basic(f"{run}-1")]))
        await eventually(lambda: journal.exists() and "done" in journal.read_text())
        assert (await fhir.http.get(f"Basic/{run}-1")).status_code == 200
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await process.wait() == 130
        assert b"published: 1" in await process.stdout.read()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["{tmp}/nothing"], "nothing: No such file or directory", id="missing"),
        pytest.param(["{tmp}"], "no file in it ends in .json, .ndjson, .jsonl", id="empty-directory"),
        pytest.param(["-", "-"], "- is stdin, which can be read once only", id="stdin-twice"),
        pytest.param(["-", "--parallel", "0"], "should be a number from 1 to 64", id="parallel"),
        pytest.param(["-", "--patience", "nan"], "should be a number of seconds", id="patience"),
        pytest.param(["-", "--journal", "{tmp}/no/j"], "No such file or directory", id="journal"),
        pytest.param(["-", "--journal", "{tmp}/other.txt"], "no journal of `hub publish`", id="no-journal"),
        pytest.param(["-", "--journal", "/dev/zero"], "is no file that could be read again", id="endless-journal"),
        pytest.param(["{tmp}/other.txt", "--rejects", "{tmp}/other.txt"], "is to be read and written", id="overwrites"),
    ],
)
async def test_what_can_not_be_done(tmp_path: Path, words: list[str], said: str) -> None:
    """Nothing is sent, and the exit code is 2."""
    if "other" in str(words):
        (tmp_path / "other.txt").write_text("mine\n")
    done = await command("http://127.0.0.1:1", "publish", *(word.replace("{tmp}", str(tmp_path)) for word in words))
    assert done.code == 2
    assert said in done.err
    assert "other" not in str(words) or (tmp_path / "other.txt").read_text() == "mine\n"


async def test_a_journal_of_a_run_that_goes_on(receiver: Receiver, tmp_path: Path) -> None:
    """Two at once would send the same twice; and that of another hub says nothing of this one."""
    receiver.answers = {"/fhir/r4/metadata": accepting, "/fhir/r4/Basic": busy(503, 10**6, [])}
    words = ("publish", "-", "--journal", str(tmp_path / "j"))
    async with begun(receiver.url, *words) as process:
        assert process.stdin is not None
        process.stdin.write(lines([basic()]))
        await eventually(lambda: any(each.path == "/fhir/r4/Basic" for each in receiver.received))
        done = await command(receiver.url, *words)
        assert (done.code, "a run that goes on" in done.err) == (2, True)
    done = await command("http://127.0.0.1:1", *words)
    assert (done.code, f"that of a run to {receiver.url}/fhir/r4" in done.err) == (2, True)
    assert os.stat(tmp_path / "j").st_mode & 0o777 == 0o600


async def test_sigterm(hub: HubProcess, tmp_path: Path, run: str) -> None:
    """It says how far it got, and how to go on, as after a Ctrl-C."""
    journal = tmp_path / "journal"
    async with begun(hub.url, "publish", "-", "--journal", str(journal)) as process:
        assert process.stdin is not None
        process.stdin.write(lines([basic(f"{run}-1")]))
        await eventually(lambda: journal.exists() and "done" in journal.read_text())
        process.terminate()
        async with asyncio.timeout(10):
            await process.wait()
        assert process.returncode == 143
        assert b"published: 1" in await process.stdout.read()  # type: ignore[union-attr]
        assert b"goes on from here" in await process.stderr.read()  # type: ignore[union-attr]


async def test_nothing_and_what_is_no_json(hub: HubProcess, tmp_path: Path) -> None:
    """A pipe that has nothing is no fault, an empty file is; what is no JSON is told with what is wrong, and where."""
    done = await command(hub.url, "publish", "-", "--json")
    assert (done.code, done.json["published"], done.json["rejected"]) == (0, 0, 0)
    (tmp_path / "empty.json").touch()
    (tmp_path / "two.json").write_text('{"resourceType":\n "Basic"}\n{}')
    (tmp_path / "x.ndjson").write_text('{"resourceType": "Basic",}\n{"resourceType": "Device",}\n')
    rejects = tmp_path / "rejects"
    done = await command(hub.url, "publish", str(tmp_path), "--rejects", str(rejects), "--json")
    assert done.code == 3
    assert {each["reason"]: each["count"] for each in done.json["reasons"]} == {
        "It is empty.": 1,
        "It is not JSON: trailing characters.": 1,
        "It is not JSON: trailing comma in object.": 2,
    }
    told = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert {each["status"] for each in told} == {None}
    assert "It is not JSON: trailing characters (byte 28)." in [each["reason"] for each in told]


async def test_no_room_for_rejects(hub: HubProcess) -> None:
    """It ends with a line that says so."""
    done = await command(hub.url, "publish", "-", "--rejects", "/dev/full", given=b"[1]")
    assert (done.code, done.err) == (2, "hub publish: /dev/full: No space left on device\n")


@pytest.mark.parametrize(
    "words",
    [
        "publish -",
        "publish - --json",
        "topics --json",
        "completion bash",
        "status",
        "status --watch",
        "subscribe --topic Patient",
        "subscribe --topic Patient --json",
        "demo",
    ],
)
async def test_nobody_reads_it(hub: HubProcess, words: str) -> None:
    """`hub … | head -0`: no traceback, and the exit code that shells have for that."""
    async with begun(hub.url, *words.split()) as process:
        process.stdout._transport.close()  # type: ignore[union-attr]
        _, err = await process.communicate(b"[1]")
    assert (process.returncode, err) == (141, b"")
