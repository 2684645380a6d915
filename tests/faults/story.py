"""
What a client of the hub goes through, step by step, once with everything that the hub does.

What it was told is in a file, which is read again in its next life: like a publisher that was killed beside the hub it
says again what nobody confirmed, and goes on.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography.fernet import Fernet

from hub.access import Tenant
from hub.belief import BELIEVED
from hub.clock import Clock
from hub.erasures import Order, Stage
from hub.families import CHANGES_STORED
from hub.figures import Readings, Tail
from hub.keys import OPEN, REGISTRY_LOG, SIGNING_KEY, WAKING, OriginKeys
from hub.resealing import Resealing
from hub.seal import Seal
from hub.secrets import Secrets
from hub.wiring.erasing import erasing
from hub.wiring.parts import Parts
from subscriptions.codes import FhirVersion
from subscriptions.suppression import Rule
from tests.dump import everything
from tests.facts import eventually
from tests.faults.publishers import Told
from tests.fhir import immunization, version
from tests.processes import BACKPORT, subscription

#: What every change concerns; the second is slow.
PATHS = ("/one", "/slow")
Json = dict[str, Any]
Step = Callable[["Client"], Awaitable[None]]


@dataclass
class Client:
    """
    Who publishes to the hub and registers Subscriptions, and writes down what was confirmed.

    log: What was confirmed, and which steps of the story have been gone.
    """

    http: httpx.AsyncClient
    parts: Parts
    clock: Clock
    receiver: str
    free_port: int
    log: Path

    async def say(self, method: str, url: str, body: Json, expect: tuple[int, ...], **headers: str) -> httpx.Response:
        """Send it until the hub answers something else than that it can't now."""
        end = time.monotonic() + 30
        while True:
            answer = await self.http.request(method, url, json=body or None, headers=headers)
            if answer.status_code != 503:
                assert answer.status_code in expect, answer.text
                return answer
            assert time.monotonic() < end, answer.text
            await asyncio.sleep(0.05)

    def told(self, reference: str, number: int, lot: str) -> None:
        """The hub has confirmed a version."""
        self._write({"told": asdict(Told(reference, number, lot, 0, 0))})

    def _write(self, line: Json) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    async def live(self, story: list[Step]) -> None:
        done = sum("done" in json.loads(line) for line in self.log.read_text().splitlines()) if self.log.exists() else 0
        for step in story[done:]:
            await step(self)
            self._write({"done": step.__name__})

    async def put(self, id_: str, lot: str, **more: str) -> None:
        answer = await self.say("PUT", f"Immunization/{id_}", immunization(id_, lot=lot, **more), (200, 201))
        self.told(f"Immunization/{id_}", version(answer), lot)

    async def subscribe(self, id_: str, **more: Any) -> None:
        await self.register(id_, subscription(f"{self.receiver}/{id_}", content="full-resource", max_count=2) | more)

    async def register(self, id_: str, wanted: Json) -> None:
        await self.say("PUT", f"Subscription/{id_}", wanted | {"id": id_}, (200, 201))
        await self.until(id_, lambda status, *_: status == "active")

    async def until(self, id_: str, fact: Callable[[str, int, int], bool]) -> None:
        """Wait until a Subscription's status, and its events and those delivered, are as they should be."""
        async with asyncio.timeout(30):
            while True:
                member = await self.parts.membership.find("default", FhirVersion.R4, id_)
                if member and fact(str(member.state.status), member.state.events, member.state.delivered):
                    return
                await asyncio.sleep(0.02)


async def publishes_before_anybody_subscribes(client: Client) -> None:
    """And waits until that is matched: then the registry has been looked at while it was empty."""
    await client.say("PUT", "Patient/1", {"resourceType": "Patient", "id": "1"}, (200, 201))
    await eventually(lambda: _all_matched(client))


async def _all_matched(client: Client) -> bool:
    changes = client.parts.changes
    return await changes.ends() == {each.number: await changes.matched(each) for each in changes.partitions}


async def publishes_a_topic(client: Client) -> None:
    trigger = {"resource": "Immunization", "supportedInteraction": ["create"]}
    topic = {"resourceType": "SubscriptionTopic", "id": "t", "url": "https://a.example/t", "status": "active"}
    url = "http://hub.example/fhir/r5/SubscriptionTopic/t"
    await client.say("PUT", url, topic | {"title": "T", "resourceTrigger": [trigger]}, (200, 201))


async def publishes_a_value_set(client: Client) -> None:
    written = {"resourceType": "ValueSet", "id": "v", "url": "https://a.example/v", "status": "active"}
    include = {"system": "http://hl7.org/fhir/sid/cvx", "concept": [{"code": "207"}]}
    await client.say("PUT", "ValueSet/v", written | {"compose": {"include": [include]}}, (200, 201))


async def subscribes(client: Client) -> None:
    await asyncio.gather(*(client.subscribe(path[1:]) for path in PATHS))


async def empties_the_log(client: Client) -> None:
    """Somebody has emptied the registry's log: whoever follows it reads all of the registry again."""
    await client.parts.client.delete(REGISTRY_LOG)


async def subscribes_for_a_while(client: Client) -> None:
    """And wants heartbeats, which a second look makes sure of."""
    wanted = subscription(f"{client.receiver}/short") | {"end": "2126-01-01T00:00:00Z"}
    wanted["channel"]["extension"] = [{"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 3600}]
    await client.register("short", wanted)
    await client.until("short", lambda status, *_: status == "active")
    await client.clock.tidy()


@asynccontextmanager
async def _open(port: int) -> AsyncIterator[None]:
    """Somebody is at home at a port, and takes everything."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield


async def _is_parked(client: Client) -> bool:
    """Whether the one that is told of who was away waits for longer than its own next attempt."""
    p = client.parts
    member = await p.membership.find("default", FhirVersion.R4, "away")
    assert member is not None
    shard = p.due.shards[member.key.shard(len(p.due.shards))]
    until = await p.pipeline.command("ZSCORE", shard.wait, str(member.key))
    return until is not None and float(until) > (time.time() + 60) * 1000


async def _roused(client: Client) -> bool:
    return not await client.parts.pipeline.command("EXISTS", WAKING)


async def _resent(client: Client) -> bool:
    member = await client.parts.membership.find("default", FhirVersion.R4, "away")
    return member is not None and not member.state.resend


async def tells_the_operator(client: Client) -> None:
    """An endpoint that is gone for good refuses the handshake: that is for the operator to know."""
    wanted = subscription(f"{client.receiver}/gone") | {"id": "gone"}
    await client.say("PUT", "Subscription/gone", wanted, (200, 201))
    await client.until("gone", lambda status, *_: status in ("error", "off"))
    member = await client.parts.membership.find("default", FhirVersion.R4, "gone")
    assert member is not None

    async def so() -> bool:
        held = await client.parts.pipeline.command("HKEYS", member.key.subscription)
        return any(name.startswith(b"quiet:") for name in held)

    await eventually(so)


async def tells_who_was_away(client: Client) -> None:
    """Nobody is at home at an origin until its breaker has opened. A minute is made to pass in Redis."""
    origin, pipeline = f"http://127.0.0.1:{client.free_port}", client.parts.pipeline
    breaker, now = OriginKeys(origin).all[0], int(time.time() * 1000)
    async with _open(client.free_port):
        await client.register("away", subscription(f"{origin}/", "Immunization", "patient=Patient/away"))
    await client.put("away", "away", patient="away")

    async def until(*command: str) -> None:
        async def so() -> bool:
            return bool(await pipeline.command(*command))

        await eventually(so)

    await until("HEXISTS", breaker, "failures")
    await pipeline.command("HMSET", breaker, "since", now - 61_000, "failures", 3)
    await eventually(lambda: _is_parked(client))
    await pipeline.command("HMSET", breaker, "probe_at", now)
    await pipeline.command("ZADD", OPEN, "XX", now, origin)
    async with _open(client.free_port):
        await client.until("away", lambda _, events, delivered: events == delivered)
        await eventually(lambda: _roused(client))
        since = {"name": "eventsSinceNumber", "valueString": "1"}
        wanted = {"resourceType": "Parameters", "parameter": [since]}
        await client.say("POST", "Subscription/away/$resend", wanted, (200,))
        await eventually(lambda: _resent(client))


async def drains_an_origin(client: Client) -> None:
    """An operator has nothing sent to the receiver for a while, and then lets it go on."""
    draining, now = client.parts.draining, int(time.time() * 1000)
    await draining.drain(client.receiver, now=now, milliseconds=60_000, agent="operator")
    await client.put("a0", "drained")
    assert await draining.resume(client.receiver, agent="operator")
    await eventually(lambda: _roused(client))


async def puts(client: Client) -> None:
    for number in range(8):
        await client.put(f"a{number % 2}", f"puts-{number}")


async def posts_with_a_key(client: Client) -> None:
    body = immunization(lot="posted")
    answer = await client.say("POST", "Immunization", body, (201,), **{"Idempotency-Key": "posted"})
    client.told(f"Immunization/{answer.json()['id']}", version(answer), "posted")


async def creates_unless_there_is_one(client: Client) -> None:
    body = immunization(lot="once", identifier=[{"system": "s", "value": "once"}])
    answer = await client.say("POST", "Immunization", body, (200, 201), **{"If-None-Exist": "identifier=s|once"})
    client.told(f"Immunization/{answer.json()['id']}", version(answer), "once")


async def writes_a_transaction(client: Client) -> None:
    entries = [
        {"resource": immunization(id_, lot=f"both-{id_}"), "request": {"method": "PUT", "url": f"Immunization/{id_}"}}
        for id_ in ("b1", "b2", "b3")
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await client.say("POST", "", bundle, (200,), **{"Idempotency-Key": "transaction"})
    for id_, entry in zip(("b1", "b2", "b3"), answer.json()["entry"], strict=True):
        number = int(entry["response"]["etag"].removeprefix('W/"').removesuffix('"'))
        client.told(f"Immunization/{id_}", number, f"both-{id_}")


async def writes_a_transaction_that_is_refused(client: Client) -> None:
    def entry(id_: str, **request: str) -> Json:
        place = {"method": "PUT", "url": f"Immunization/{id_}"}
        return {"resource": immunization(id_, lot="never"), "request": place | request}

    entries = [entry("c1"), entry("c2"), entry("a0", ifMatch='W/"99"'), entry("c3")]
    await client.say("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries}, (412,))


async def entrusts(client: Client) -> None:
    await client.say("POST", "Subscription/short/$rotate-secret", {}, (200,))
    await client.say("POST", "Subscription/short/$credentials", {}, (200,))


async def replaces_the_key(client: Client) -> None:
    """The second key comes in front, and then the first one again: either time all is sealed anew."""
    parts, (one, other) = client.parts, client.parts.seal.secrets.keys
    for keys in ((other, one), (one, other)):
        seal = Seal(parts.pipeline, Secrets(keys))
        done = await Resealing(parts.pipeline, parts.registry, seal).run()
        assert not done.unopened


async def unsubscribes(client: Client) -> None:
    await client.say("DELETE", "Subscription/short", {}, (204,))


async def forgets_a_key_that_is_lost(client: Client) -> None:
    """The hub's own key, sealed with one that nobody has any more."""
    lost = Secrets((Fernet.generate_key(),)).seal(b"lost")
    await client.parts.pipeline.command("SET", SIGNING_KEY, lost)
    done = await Resealing(client.parts.pipeline, client.parts.registry, client.parts.seal).run(forget=True)
    assert done.unopened == ("signing",)


async def keeps_something_back(client: Client) -> None:
    """What an operator has kept from everybody is none of what the others are told."""
    suppressions = client.parts.suppressions
    await suppressions.add("default", Rule("story", "Immunization?status=not-done"))
    known = time.monotonic() + BELIEVED / 1000
    while True:  # until something is sent by whoever knows of the rule
        everybody_knows = time.monotonic() > known
        await client.put("a0", "kept-back")
        await eventually(lambda: _all_matched(client))
        for path in PATHS:
            await client.until(path[1:], lambda _, events, delivered: events == delivered)
        if everybody_knows:
            break
    await suppressions.remove("default", "story")


async def says_who_may_call(client: Client) -> None:
    """An operator makes another tenant."""
    await client.parts.access.set(Tenant("ward"))


async def looks_at_what_was_counted(client: Client) -> None:
    """And watches what happens until something has."""
    tail = Tail(client.parts.client, client.parts.pipeline)
    await tail.watch()
    await eventually(lambda: _watched(client.parts))
    mark = await tail.end()
    await client.put("a0", "watched")
    async with asyncio.timeout(30):
        while not await tail.follow(mark):
            await tail.watch()
    reading = await Readings(client.parts.pipeline).read(60)
    assert reading.totals.total(CHANGES_STORED) > 0


async def _watched(parts: Parts) -> bool:
    return parts.meter.watched


async def reads(client: Client) -> None:
    answer = await client.http.get("Immunization/a0")
    assert answer.status_code == 200
    client.told("Immunization/a0", version(answer), answer.json()["lotNumber"])


async def puts_more(client: Client) -> None:
    for number in range(4):
        await client.put(f"a{number % 2}", f"more-{number}")


async def has_heard_of_everything(client: Client) -> None:
    lines = [json.loads(line).get("told") for line in client.log.read_text().splitlines()]
    last: dict[str, int] = {}
    for told in filter(None, lines):
        last[told["reference"]] = max(told["version"], last.get(told["reference"], 0))
    total = sum(last.values())
    for path in PATHS:
        await client.until(path[1:], lambda _, events, delivered: events == delivered == total)


async def erases(client: Client) -> None:
    """What nobody subscribes to: a patient, about whom a process that died may know less than one that wrote it."""
    patient = {"resourceType": "Patient", "id": "erased", "name": [{"family": "Erased"}]}
    await client.say("PUT", "Patient/erased", patient, (200, 201))
    for resource in ("Patient/erased", "ValueSet/v"):
        type_, _, id_ = resource.partition("/")
        order = Order("default", FhirVersion.R4, type_, id_, False, "operator")
        erasure = await erasing(client.parts).run(order)
        assert erasure.stage is Stage.DONE
        await client.say("GET", resource, {}, (410,))
    assert b"Erased" not in await everything(client.parts.pipeline.command)


async def keeps_nothing(client: Client) -> None:
    """Whatever was delivered is old enough to be forgotten."""
    now = int(time.time() * 1000)
    await client.clock.retention.keep(now, 0)
    await client.clock.audits.run(now)


STORY: list[Step] = [
    publishes_before_anybody_subscribes, publishes_a_topic, publishes_a_value_set, subscribes, subscribes_for_a_while,
    empties_the_log, drains_an_origin, puts, posts_with_a_key, creates_unless_there_is_one, tells_who_was_away,
    writes_a_transaction, tells_the_operator, writes_a_transaction_that_is_refused, entrusts, replaces_the_key,
    unsubscribes, forgets_a_key_that_is_lost, keeps_something_back,
    says_who_may_call, looks_at_what_was_counted, reads, puts_more,
    has_heard_of_everything, erases, keeps_nothing,
]  # fmt: skip
