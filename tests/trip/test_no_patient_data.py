"""
Nothing of a patient stands in what the hub says of itself: in no log, metric, trace, alert, error text, URL, job or
process title, whatever is published, asked and refused, whoever fails or dies.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from aiohttp import web
from redis.asyncio import Redis

from tests.collector import CLIENT, CONSUMER, SERVER, Collector
from tests.dump import everything
from tests.facts import eventually
from tests.fhir import immunization, observation, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Received, Receiver

FIXTURES = Path(__file__).parents[2] / "fixtures"
PEOPLE = ("Patient", "Person", "RelatedPerson", "Practitioner")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/fhir+json"}
#: What is asked of the API when nobody has anything against it.
WELL = range(200, 300)

Json = dict[str, Any]

#: One person of whom every word is found nowhere else. What is no data of a patient's has none of them.
WORDS = {
    "family": "Quixlethorpe",
    "given": "Zsanettika",
    "nhi": "ZZQ8842",
    "birth date": "1903-02-17",
    "street": "Plimmerzweig",
    "phone": "+64215550199",
    "narrative": "Narrathurgic",
    "display": "Displayquist",
    "criteria": "crit-vorgaloo",
    "broken": "Brokenwaithe",
    "echo": "Echoplast",
}
SYSTEM = "https://standards.digital.health.nz/ns/nhi-id"
SHE: Json = {
    "resourceType": "Patient",
    "id": "she",
    "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{WORDS["narrative"]}</div>'},
    "identifier": [{"system": SYSTEM, "value": WORDS["nhi"]}],
    "name": [{"family": WORDS["family"], "given": [WORDS["given"]]}],
    "telecom": [{"system": "phone", "value": WORDS["phone"]}],
    "birthDate": WORDS["birth date"],
    "address": [{"line": [WORDS["street"]]}],
}


def people() -> Iterator[Json]:
    """HL7's examples of persons."""
    for version in ("r4",):
        for file in sorted((FIXTURES / version).iterdir()):
            if file.name.partition("-")[0] in PEOPLE:
                yield json.loads(file.read_bytes())


def words(resource: Json) -> Iterator[str]:
    """What is said of a person: names, identifiers, birth date, addresses."""
    for name in _several(resource.get("name")):
        yield from (name.get("family", ""), *name.get("given", ()))
    yield from (str(each.get("value", "")) for each in resource.get("identifier", ()))
    yield resource.get("birthDate", "")
    for address in _several(resource.get("address")):
        yield from address.get("line", ())


def _several(value: Any) -> list[Json]:
    held = value if isinstance(value, list) else [value]
    return [each for each in held if isinstance(each, dict)]


def telling(resources: list[Json]) -> re.Pattern[str]:
    """
    All that the examples say of persons, but for what says nothing by itself: short words and numbers, and those that
    are in ids, by which the hub names resources.
    """
    ids = " ".join(str(each["id"]) for each in resources).lower()
    found = {word for each in resources for word in words(each) if len(word) > 4 and not re.fullmatch(r"\d{1,8}", word)}
    known = sorted(word for word in found if word.lower() not in ids)
    assert len(known) > 60
    return re.compile("|".join(rf"\b{re.escape(word)}\b" for word in [*known, *WORDS.values()]))


@dataclass
class Client:
    """Who says things to a hub, and looks at what it answers."""

    http: httpx.AsyncClient
    telling: re.Pattern[str]
    refused: int = 0
    urls: list[str] = field(default_factory=list)

    async def say(
        self, method: str, url: str, body: Any = None, *, well: bool | None = True, **headers: str
    ) -> httpx.Response:
        """
        Say it, and see that it goes well or is refused; None for whichever. What it is refused with must tell nothing
        of what others have stored.
        """
        content = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.http.request(method, url, content=content, headers=JSON | given)
        went = answer.status_code in WELL
        assert well in (went, None), f"{method} {url}: {answer.status_code} {answer.text}"
        assert answer.status_code < 500, answer.text
        if not went:
            self.refused += 1
            # What the client itself has sent may be told to it; of what others have stored nothing may.
            sent = f"{url} {content!r} {given}"
            told = set(self.telling.findall(answer.text)) - set(self.telling.findall(sent))
            assert not told, f"{method} {url}: {answer.text}"
        self.urls += [value for name, value in answer.headers.items() if name.lower() in ("location", "link")]
        return answer

    async def search(self, type_: str, form: str) -> None:
        """Search by POST, and follow its links."""
        answer = await self.http.post(f"{type_}/_search", content=form, headers=FORM)
        for _ in range(3):
            assert answer.status_code == 200, answer.text
            self.urls += [each["url"] for each in answer.json()["link"]]
            answer = await self.http.get(self.urls[-1])


async def publishes(client: Client, persons: list[Json]) -> None:
    """Every example, and one that has all kinds of data, in all ways that there are."""
    for each in persons:
        await client.say("PUT", f"{each['resourceType']}/{each['id']}", each)
    await client.say("PUT", "Patient/she", SHE)
    await client.say("PUT", "Patient/she", SHE | {"active": True})
    await client.say("PATCH", "Patient/she", [{"op": "test", "path": "/birthDate", "value": WORDS["birth date"]}],
                     Content_Type="application/json-patch+json")  # fmt: skip
    anonymous = {name: value for name, value in SHE.items() if name != "id"}
    query = f"identifier={quote(SYSTEM + '|' + WORDS['nhi'])}"
    await client.say("POST", "Patient", anonymous, If_None_Exist=query)
    await client.say("POST", "Patient", anonymous, Idempotency_Key="k")
    await client.say("POST", "Patient", anonymous, Idempotency_Key="k")
    her = {"reference": "Patient/she", "display": WORDS["display"], "identifier": SHE["identifier"][0]}
    await client.say("PUT", "Observation/hers", observation("hers", subject=her))
    entries = [{"resource": SHE, "request": {"method": "PUT", "url": "Patient/she"}}]
    await client.say("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    await client.say("POST", "", {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": f"Patient?family={WORDS['family']}&_count=1"}}]})  # fmt: skip


async def asks(client: Client) -> None:
    """Searches of all kinds, by words that are hers."""
    await client.say("GET", f"Patient?family={WORDS['family']}&birthdate={WORDS['birth date']}")
    await client.say("GET", f"Observation?subject:identifier={quote(SYSTEM + '|' + WORDS['nhi'])}")
    await client.search("Patient", f"family={WORDS['family']}&_count=1")
    await client.search("Patient", f"identifier={quote(SYSTEM + '|' + WORDS['nhi'])}&_count=1")
    await client.search("Subscription", f"criteria:contains={WORDS['criteria']}&_count=1")
    await client.say("GET", "Patient/she/_history")


async def is_refused(client: Client) -> None:
    """Bad input of every kind that holds her data, or meets it in what is stored."""
    name, nhi = WORDS["broken"], WORDS["nhi"]
    query = f"identifier={quote(SYSTEM + '|' + nhi)}"
    for method, url, body, headers in (
        ("PUT", "Patient/b", f'{{"resourceType":"Patient","name":"{name}', {}),
        ("PUT", "Patient/b", f'{{"resourceType":"Patient","{name}":1,"id":"b"}}', {}),
        ("PUT", "Patient/b", {"resourceType": "Patient", "id": "b", "birthDate": name}, {}),
        ("PUT", "Patient/b", {"resourceType": "Patient", "id": "b", "gender": name}, {}),
        ("PUT", "Patient/b", {"resourceType": "Patient", "id": name, "name": [{"family": name}]}, {}),
        ("PUT", "Patient/b", {"resourceType": name, "id": "b"}, {}),
        ("PUT", "Patient/she", SHE, {"If_Match": 'W/"77"'}),
        ("PUT", f"Patient?{query}", {**SHE, "id": "another"}, {}),
        ("POST", "Patient", {**SHE, "active": False}, {"If_None_Exist": query}),
        ("POST", "Patient", {**SHE, "active": False}, {"Idempotency_Key": "k"}),
        ("PATCH", "Patient/she", [{"op": "test", "path": "/birthDate", "value": "1999-01-01"}],
         {"Content_Type": "application/json-patch+json"}),
        ("PATCH", "Patient/she", [{"op": "replace", "path": "/name/0/family/x", "value": name}],
         {"Content_Type": "application/json-patch+json"}),
        ("PATCH", "Patient/she", [{"op": "add", "path": "/gender", "value": name}],
         {"Content_Type": "application/json-patch+json"}),
        ("DELETE", f"Patient?family={WORDS['family']}", None, {}),
        ("GET", f"Patient?birthdate={name}", None, {}),
        ("GET", f"Patient?{name}={name}", None, {}),
        ("GET", f"Patient/{name}%20{name}", None, {}),
        ("GET", f"{name}/1", None, {}),
        ("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": {**SHE, "gender": name}, "request": {"method": "PUT", "url": "Patient/she"}}]}, {}),
        ("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": SHE, "request": {"method": "PUT", "url": "Patient/she", "ifMatch": 'W/"99"'}}]}, {}),
        ("POST", "Subscription", subscription("http://127.0.0.1:1/", "Immunization", f"patient.birthdate={name}"), {}),
        ("POST", "Subscription", subscription("http://127.0.0.1:1/", "Immunization", f"{name}=1"), {}),
        ("POST", "$process-message", {**SHE}, {}),
    ):  # fmt: skip
        await client.say(method, url, body, well=None, **headers)


async def is_explained(client: Client, id_: str) -> None:
    """A change that concerns a Subscription, and one that doesn't."""
    await client.say("POST", f"Subscription/{id_}/$explain?reference=Observation/hers/_history/1")
    value = {"name": "resource", "resource": SHE}
    await client.say("POST", f"Subscription/{id_}/$explain", {"resourceType": "Parameters", "parameter": [value]})


async def echoes(received: Received) -> web.Response:
    """An endpoint that fails, and says again what it was sent."""
    if received.type == "handshake":
        return web.Response()
    return web.Response(status=500, text=f"{WORDS['echo']} {received.body.decode()}")


@dataclass
class Said:
    """All that a hub has said, by where it did."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, text: str) -> None:
        self.texts[where] = self.texts.get(where, "") + text + "\n"

    def titles(self, hub: HubProcess) -> None:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if str(hub.data) in (line := file.read_bytes().replace(b"\0", b" ").decode()):
                    self.add("process titles", line)

    async def jobs(self, hub: HubProcess) -> None:
        async with Redis.from_url(hub.redis_url) as redis:
            self.add("jobs", (await everything(redis.execute_command, "rq:*")).decode(errors="replace"))

    async def pages(self, hub: HubProcess) -> None:
        async with httpx.AsyncClient(base_url=hub.url, timeout=30) as http:
            for path in ("/readyz", "/healthz", "/metrics", "/openapi.json", "/fhir/r4/metadata"):
                self.add(path, (await http.get(path)).text)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as collector:
        yield collector


@pytest.mark.timeout(400)
async def test_no_patient_data(data: Path, receiver: Receiver, collector: Collector) -> None:
    """A full life of a hub that logs and traces all that it can."""
    persons = list(people())
    pattern, said = telling(persons), Said()
    receiver.answers["/echo"] = echoes
    receiver.answers["/gone"] = _gone
    settings = {
        "HUB_LOG_LEVEL": "debug",
        "HUB_ALERT_URL": f"{receiver.url}/alerts",
        "HUB_RETRY_WAITS": "0.1,0.1",
        "HUB_AUDIT": "all",
        "HUB_ALLOW_CHAINED_FILTERS": "true",
        "HUB_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    async with HubProcess(data, settings) as hub:
        async with talking_to(hub) as fhir:
            client = Client(fhir.http, pattern)
            await client.say("PUT", "Patient/she", SHE)
            named = f"patient.identifier={SYSTEM}|{WORDS['nhi']}"
            all_ = await fhir.subscribe(subscription(f"{receiver.url}/all", "Patient", content="full-resource"))
            await fhir.subscribe(subscription(f"{receiver.url}/echo", "Patient", content="full-resource"))
            await fhir.subscribe(subscription(f"{receiver.url}/named", "Immunization", named))
            criteria = f"patient=Patient/{WORDS['criteria']}"
            hers = await fhir.subscribe(subscription(f"{receiver.url}/hers", "Immunization", criteria))
            await fhir.post(subscription(f"{receiver.url}/gone", "Immunization", criteria))
            await publishes(client, persons)
            await client.say("PUT", "Immunization/i", immunization("i", patient="she"))
            await asks(client)
            await is_refused(client)
            await is_explained(client, all_)
            await client.say("POST", f"Subscription/{hers}/$explain?reference=Immunization/i/_history/1")
            said.titles(hub)
            await said.jobs(hub)
            await hub.kill("worker match")
            await hub.kill("worker deliver")
            patients = sum(each["resourceType"] == "Patient" for each in persons)
            await receiver.until(lambda: len(set(receiver.numbers("/all"))) > patients)
            await receiver.until(lambda: any(each.path == "/alerts" for each in receiver.received))
            await hub.kill("redis")
            await eventually(lambda: _ready(hub))
            await client.say("PUT", "Patient/she", SHE)
            await hub.kill("api")
            await eventually(lambda: _ready(hub))
            await client.say("POST", f"{hub.url}/admin/erase", {"resource": "Patient/she", "compartment": True})
            await said.pages(hub)
            said.titles(hub)
            await said.jobs(hub)
            await hub.stop(kill=True)
            await hub.start()
            await client.say("PUT", "Patient/she", SHE)
            assert client.refused >= 18
            for url in client.urls:
                said.add("URLs", url)
        await receiver.until(lambda: len(set(receiver.numbers("/all"))) > patients + 2)
    for line in hub.output:
        said.add("log", line)
    said.add("Redis' log", logs(data))
    assert {each.kind for each in collector.spans} == {SERVER, CLIENT, CONSUMER}
    for body in collector.bodies:
        said.add("traces", body.decode(errors="replace"))
    for each in receiver.received:
        if each.path == "/alerts":
            said.add("alerts", each.body.decode() + str(each.headers))
        said.add("headers of notifications", f"{each.path} {each.headers}")
    assert set(said.texts) >= {"log", "alerts", "jobs", "process titles", "URLs", "Redis' log", "/readyz"}
    assert '"event":"change.stored"' in said.texts["log"]
    assert '"event":"delivery.attempted"' in said.texts["log"]
    found = {
        (where, word[0], text[max(word.start() - 150, 0) : word.end() + 50])
        for where, text in said.texts.items()
        for word in pattern.finditer(text)
    }
    assert not found


def logs(data: Path) -> str:
    """What Redis has logged."""
    return "".join(file.read_text() for file in data.glob("redis.log*"))


async def _gone(_: Received) -> int:
    return 410


async def _ready(hub: HubProcess) -> bool:
    with suppress(httpx.TransportError, asyncio.TimeoutError):
        async with httpx.AsyncClient(base_url=hub.url, timeout=5) as http:
            return (await http.get("/readyz")).status_code == 200
    return False


def test_the_words_tell() -> None:
    """They are found where they are, so that the search for them is worth something."""
    persons = list(people())
    pattern = telling(persons)
    hers = set(pattern.findall(json.dumps(SHE)))
    assert hers >= {WORDS["family"], WORDS["nhi"], WORDS["street"], WORDS["narrative"]}
    assert len({word for each in persons for word in pattern.findall(json.dumps(each))}) > 60
    assert not pattern.search(
        '{"at":"2026-11-27T10:00:00.000+00:00","resource":"default/r4/Patient/she","number":12345}'
    )
