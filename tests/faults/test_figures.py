"""Each figure that operators are shown, held against what publishers and subscribers have in their own logs."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from tests.facts import eventually
from tests.faults.agreement import differences, ms
from tests.faults.conftest import directory
from tests.faults.counted import Requests, disagree
from tests.faults.figures import (
    asked,
    attempts,
    events,
    more,
    page,
    row,
    statuses,
    trace,
    withheld,
    without_refusals,
)
from tests.faults.ledger import BACKLOG, LATE, Moment, Seen
from tests.faults.logbook import Subscriber, is_gone, is_slow, now_and_then, refuses, wall
from tests.faults.watched import Happened, added_up, origins, overview, point, steps, summary, tallied
from tests.faults.written import Publisher
from tests.fhir import Fhir
from tests.processes import TOPIC, HubProcess, subscription, subscription_r5

pytestmark = pytest.mark.timeout(300)

#: Seconds for which publishers write, and that each rests after a write.
SECONDS, REST = 14, 0.1

SETTINGS = {
    "HUB_RETRY_WAITS": "0.2,0.3,0.5,0.5,1,1,1",
    "HUB_REQUEST_TIMEOUT": "4",
    "HUB_MAX_BACKLOG": str(BACKLOG),
    "HUB_RATE": "0",
}


def subscribers() -> list[Subscriber]:
    """One for each way in which things go well or wrong; those for a while only are told so by the story."""
    return [
        Subscriber("healthy", "r4", refuses),
        Subscriber("whole", "r4b", refuses, options={"content": "full-resource", "max_count": 10}),
        Subscriber("filtered", "r5", refuses, patient="a", options={"max_count": 5}),
        Subscriber("flaky", "r4b", now_and_then(500, each=4), options={"max_count": 5}),
        Subscriber("hanging", "r5", now_and_then(None, each=12), options={"max_count": 10, "timeout": 2}, seconds=2),
        Subscriber("slow", "r5", is_slow, options={"max_count": 20}),
        Subscriber("away", "r4", refuses, options={"max_count": 20}),
        Subscriber("broken", "r4", refuses, options={"max_count": 5, "retry_waits": "1,1"}),
        Subscriber("stuck", "r4b", refuses, patient="b", options={"max_count": 10, "retry_waits": "1,600"}),
        Subscriber("kept", "r4", refuses, options={"max_count": 10}),
        Subscriber("drained", "r5", refuses, options={"max_count": 20}),
        Subscriber("gone", "r4b", is_gone, options={"max_count": 10}),
    ]


@dataclass
class Story:
    """
    What happens, and what comes of it.

    requests: All that the hub was asked.
    faults: What differed while it happened.
    figures, steps: What the live stream told.
    """

    http: httpx.AsyncClient
    publishers: list[Publisher]
    seen: list[Seen]
    requests: Requests
    faults: list[str] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> Seen:
        return next(each for each in self.seen if each.subscriber.name == name)

    async def run(self) -> None:
        """The load, and meanwhile whatever goes wrong."""
        async with asyncio.TaskGroup() as group:
            for publisher in self.publishers:
                group.create_task(publisher.run(SECONDS))
            for name in ("flaky", "hanging", "slow", "stuck", "kept"):
                self.named(name).subscriber.ill = True
            group.create_task(self._break())
            group.create_task(self._leave())
            group.create_task(self._drain())
        by_version, kept = {each.fhir: each for each in self.publishers}, self.named("kept")
        while self.ended.events(kept).low < BACKLOG + 5:  # also where each write takes its time, some find no room
            await by_version["r4"].put("more", "a")
        self.named("gone").subscriber.ill = True
        await by_version["r4b"].put("last", "b")

    async def _break(self) -> None:
        """One fails until its Subscription is in error, is mended, and made active again."""
        broken = self.named("broken")
        await asyncio.sleep(2)
        broken.subscriber.ill = True
        await eventually(lambda: self._has(broken, "error"))
        await asyncio.sleep(1)
        broken.subscriber.ill = False
        assert (await self.http.post(f"{broken.path}/resume")).status_code == 202
        await eventually(lambda: self._has(broken, "active"))

    async def _leave(self) -> None:
        """One refuses connections for a while."""
        away = self.named("away").subscriber
        await asyncio.sleep(3)
        await away.shut()
        await asyncio.sleep(2.5)
        await away.open()

    async def _drain(self) -> None:
        """Nothing is sent to one any more."""
        await asyncio.sleep(SECONDS - 5)
        wanted = {"origin": self.named("drained").subscriber.origin, "minutes": 60}
        assert (await self.http.post("/admin/origins/drain", json=wanted)).status_code == 200

    async def _has(self, of: Seen, status: str) -> bool:
        return str((await self.get(of.path))["status"]) == status

    def note(self) -> None:
        """Sort the steps of attempts by whose they are."""
        for of in self.seen:
            of.told.clear()
        by = {each.id: each for each in self.seen}
        for step in self.steps:
            if step["step"] == "delivery.attempted" and step["kind"] == "events":
                of, place = (
                    by[step["subscription"].split("/")[2]],
                    (step["first_event"], step["last_event"], step["outcome"]),
                )
                of.told[place].append({**step, "at": ms(step["at"])})

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def moment(self, since: int, until: int) -> Moment:
        return Moment(self.publishers, self.seen, since, until)

    @property
    def ended(self) -> Moment:
        now = wall()
        return self.moment(now, now)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look at all of them again and again."""
        tasks = [asyncio.create_task(each) for each in (self._watch(), self._follow())]
        await eventually(lambda: len(self.figures) > 2)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks), tasks

    async def _follow(self) -> None:
        """Take what the live stream tells."""
        async with self.http.stream("GET", "/admin/live?tail=true") as stream:
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    (self.figures if kind == "figures" else self.steps).append(orjson.loads(value))

    async def _watch(self) -> None:
        while True:
            began = wall()
            shown = {each["id"]: each for each in (await self.get("/admin/subscriptions"))["subscriptions"]}
            whole = await self.get("/admin/overview")
            at = self.moment(began - LATE, wall())
            self.faults += differences(whole, overview(whole, at), "while it ran: overview")
            for of in self.seen:
                self.faults += differences(shown[of.id], row(at, of), f"while it ran: {of.subscriber.name}")
            await asyncio.sleep(1)


@asynccontextmanager
async def told() -> AsyncIterator[Story]:
    """A hub, its subscribers, all active, and its publishers, who have not begun."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(HubProcess(stack.enter_context(directory()), SETTINGS))
        requests: Requests = []

        async def client(path: str = "") -> httpx.AsyncClient:
            async def note(answer: httpx.Response) -> None:
                requests.append((wall(), answer.request.method, answer.status_code))

            hooks = {"response": [note]}
            made = httpx.AsyncClient(base_url=f"{hub.url}{path}", timeout=30, event_hooks=hooks)
            return await stack.enter_async_context(made)

        http = await client()
        bases = {version: await client(f"/fhir/{version}/") for version in ("r4", "r4b", "r5")}

        async def register(subscriber: Subscriber) -> Seen:
            await stack.enter_async_context(subscriber.serving())
            wanted = subscription_r5 if subscriber.version == "r5" else subscription
            patient = f"patient=Patient/{subscriber.patient}"
            filters = [patient] if subscriber.patient else []
            resource = wanted(subscriber.url, "Immunization", *filters, **subscriber.options)
            id_ = await Fhir(bases[subscriber.version]).subscribe(resource)
            return Seen(subscriber, id_, wall())

        seen = [await register(each) for each in subscribers()]
        dice = random.Random(7)
        publishers = [Publisher(client, version, REST, dice) for version, client in bases.items()]
        yield Story(http, publishers, seen, requests)


async def look(story: Story) -> list[str]:
    """What differs, when nothing happens any more, of all that there is to see."""
    found = list[str]()
    story.note()
    for of in story.seen:
        found += [f"{of.subscriber.name} {each}" for each in await _one(story, of)]
    found += await _listed(story)
    scraped = (await story.http.get("/metrics")).text
    found += disagree(scraped, story.ended, story.requests)
    return [*found, *await _whole(story)]


async def _whole(story: Story) -> list[str]:
    """The overview, the history, and what the live stream has told."""
    shown, history = await story.get("/admin/overview"), await story.get("/admin/history")
    at = story.ended
    found = list(differences(shown, overview(shown, at), "overview"))
    left = await story.get("/admin/origins")
    found += differences(left, {"origins": origins(at)}, "origins")
    points, happened = history["points"], Happened.of(at)
    found += differences(history["step"], 10, "history's step")
    for before, each in zip([None, *points], points, strict=False):
        seconds = (ms(each["at"]) - ms(before["at"])) / 1000 if before else 10
        found += differences(each, point(each, seconds, happened), f"history at {each['at']}")
    found += [f"history: {each}" for each in added_up(points, 10, at, len(points))]
    figures = list(story.figures)
    stands = [each for each in figures if "subscriptions" in each]
    told = [{name: value for name, value in each.items() if name != "subscriptions"} for each in figures]
    for before, each in itertools.pairwise(told):
        seconds = (ms(each["at"]) - ms(before["at"])) / 1000
        found += differences(each, point(each, seconds, happened), f"live at {each['at']}")
    found += [f"live: {each}" for each in added_up(told, 1, at, len(told) / 100)]
    found += differences(stands[-1]["subscriptions"], summary(at), "live: subscriptions")
    return found + list(differences(tallied(story.steps), steps(at), "live: steps"))


async def _one(story: Story, of: Seen) -> list[str]:
    """One Subscription: how it stands, its events, the traces of some of them, and the attempts."""
    at = story.ended
    shown = (await story.get(f"{of.path}/events?count=500"))["events"][::-1]
    of.events.update({each["number"]: each for each in shown})
    wanted = events(at, of, shown)
    found = list(differences(shown, wanted, "events"))
    if len(wanted) != at.events(of).high:
        found.append(f"events: {len(wanted)}, and {at.events(of).high} were written")
    detail = await story.get(of.path)
    found += differences(detail, row(at, of) | more(of), "detail")
    tried = (await story.get(f"{of.path}/attempts"))["attempts"]
    requests = attempts(of)
    if of.subscriber.closed:
        reached = without_refusals(of, tried)
        found += differences(reached, [{**each, "attempt": 1} for each in requests[: len(reached)]], "attempts")
    else:
        found += differences(tried, requests, "attempts")
    for number in {1, len(shown) // 2, len(shown)}:
        told = await story.get(f"{of.path}/events/{number}")
        found += differences(told, trace(of, shown[number - 1], tried), f"trace of {number}")
    return found


async def _listed(story: Story) -> list[str]:
    """All of them, those that something is asked of, and what is told of topics and of what was lost."""
    at, found = story.ended, list[str]()
    every = sorted(story.seen, key=lambda each: (each.subscriber.version, each.id))
    rows = [row(at, of) for of in every]
    found += differences(await story.get("/admin/subscriptions?sort=id"), page(rows), "list")
    for query, chosen in asked(at, every).items():
        shown = await story.get(f"/admin/subscriptions?sort=id&{query}")
        found += differences(shown, page([row(at, of) for of in chosen]), f"list of {query}")
    topics = (await story.get("/admin/topics"))["topics"]
    used = {each["url"]: each["subscriptions"] for each in topics if any(each["subscriptions"].values())}
    found += differences(used, {TOPIC.format("immunization"): statuses(at)}, "topics")
    lost = await story.get("/admin/withheld")
    lost["lost"].sort(key=lambda each: each["kind"])
    return [*found, *differences(lost, withheld(at), "withheld")]


async def test_figures() -> None:
    """Of a load with failures, while it runs and at its end."""
    async with told() as story, story.watched():
        await story.run()
        found = await agreed(story)
    assert not found, "\n".join(found[:60])
    assert not story.faults, "\n".join(story.faults[:60])


async def agreed(story: Story) -> list[str]:
    """What differs when all has been told; the last to come is what processes count, once a second."""
    found = ["nothing was looked at"]

    async def agrees() -> bool:
        found[:] = await look(story)
        return not found

    with suppress(TimeoutError):
        await eventually(agrees)
    return found
