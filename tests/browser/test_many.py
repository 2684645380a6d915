"""
The console with 2,000 Subscriptions while 200 changes come in each second: how long an operator waits for the page, and
what it costs publishers that somebody looks.

An interaction lasts from the key or the press to the next picture, as the browser measures it; the page says meanwhile
that it reads. Beside it is how long it is until what was asked for is painted.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.benchmarks.load import Load, publish
from tests.benchmarks.report import Report
from tests.benchmarks.stocked import BODIES, Stocked, costs, round_of, spread, stocked
from tests.browser.looking import Look, Opening
from tests.browser.recording import Recording

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1200)]

RATE = 200
#: How often each is done, and the seconds that an operator takes between two.
INTERACTED, ACTED, PAUSE = 3, 20, 0.15
#: Pairs of rounds in which the hub takes all it can, and the seconds of each.
ROUNDS, SECONDS = 5, 6

#: Times what is done, from the press until it is painted.
ACTS = (Path(__file__).parent / "acts.js").read_text()

#: One after the other, as an operator would.
ORDER = ("list", "filter", "all", "sort", "page", "detail", "trace", "topics", "overview")

#: Notes how long each interaction lasts, and how long the page was busy at once.
WATCH = """() => {
  window.lasted = [];
  window.busy = [];
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) if (each.interactionId) window.lasted.push([each.name, each.duration]);
  }).observe({ type: "event", durationThreshold: 16 });
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) window.busy.push(each.duration);
  }).observe({ type: "longtask" });
}"""


@asynccontextmanager
async def publishing(at: Stocked) -> AsyncIterator[list[Load]]:
    """`RATE` changes a second, each of another patient; on leaving there is what came of it."""
    over, found = asyncio.Event(), list[Load]()
    writing = asyncio.create_task(publish(at.url, *BODIES, seconds=3_600, rate=RATE, over=over))
    try:
        yield found
        assert not writing.done()
        over.set()
        found.append(await writing)
        assert set(found[0].statuses) == {"201"}, found[0].statuses
    finally:
        writing.cancel()


async def typing(look: Look) -> None:
    await look.at("subscriptions")
    await look.page.get_by_label("Find").press_sequentially("127.0.0.1", delay=60)
    await expect(look.page).to_have_url(f"{look.url}#/subscriptions?q=127.0.0.1")


async def filtering(look: Look) -> None:
    await look.page.get_by_label("Status").focus()
    await look.page.keyboard.press("ArrowDown")
    await look.page.keyboard.press("ArrowDown")
    await expect(look.page.get_by_role("row")).to_have_count(51)


async def turning(look: Look) -> None:
    for _ in range(3):
        await look.page.get_by_role("link", name="Next page").click()
        await expect(look.page.locator("table[aria-busy]")).to_have_count(0)


async def opening(look: Look) -> None:
    await look.page.get_by_role("row").nth(1).get_by_role("link").click()
    await expect(look.page.get_by_role("img")).to_be_visible()
    await look.button("Send a test…").click()
    await expect(look.page.get_by_role("dialog")).to_be_visible()
    await look.page.keyboard.press("Escape")
    await expect(look.page.get_by_role("dialog")).to_have_count(0)


async def overviewing(look: Look) -> None:
    await look.page.get_by_role("link", name="Overview").click()
    await expect(look.page.locator(".plot canvas")).to_have_count(4)
    for span in ("6 hours", "2 minutes", "1 hour"):
        await look.button(span).click()
    await look.page.get_by_role("switch").click()


async def tailing(look: Look) -> None:
    await look.page.get_by_role("link", name="Live tail").click()
    await expect(look.page.locator(".tail li")).to_have_count(200)
    await look.page.get_by_label("Only those with").press_sequentially("accepted", delay=60)
    await look.button("Pause").click()


INTERACTIONS: tuple[Callable[[Look], Awaitable[None]], ...] = (
    typing, filtering, turning, opening, overviewing, tailing,
)  # fmt: skip


async def test_interactions(tmp_path: Path, look: Opening, report: Report) -> None:
    """Each one several times, under the load: to the next picture, and then to what was asked for."""
    lasted: defaultdict[str, list[float]] = defaultdict(list)
    shown: defaultdict[str, list[float]] = defaultdict(list)
    async with stocked(tmp_path) as at, publishing(at) as loads:
        first = await at.first_look()
        looking = await look(at.hub.url)
        await looking.at("")
        await looking.page.evaluate(WATCH)
        await looking.page.evaluate(f"() => {{ {ACTS} }}")
        for _ in range(ACTED):
            for name in ORDER:
                if name == "trace":  # its first event may be still to come
                    await expect(looking.page.locator('main a[href*="/events/"]').first).to_be_visible(timeout=20_000)
                shown[name].append(await looking.page.evaluate("name => acted(name)", name))
                await asyncio.sleep(PAUSE)
        for _ in range(INTERACTED):
            for act in INTERACTIONS:
                await looking.page.evaluate("window.lasted = []")
                await act(looking)
                await asyncio.sleep(0.3)
                told: list[list[Any]] = await looking.page.evaluate("window.lasted")
                lasted[act.__name__].extend(float(duration) for _, duration in told)
        busy = await looking.page.evaluate("window.busy")
        await looking.page.goto("about:blank")  # before the hub is gone
    rate, every = loads[0].rate, sorted(duration for durations in lasted.values() for duration in durations)
    p95, most = every[int(len(every) * 0.95)], every[-1]
    report.add(
        f"interactions with the console at {rate:.0f} changes/s, to the next picture ({len(every)} above 16 ms)",
        f"p95 {p95:.0f} ms, max {most:.0f} ms; longest task {max(busy, default=0):.0f} ms",
        "–",
        "max ≤ 100 ms",
        most <= 100,
        by_kind={name: sorted(map(round, durations)) for name, durations in lasted.items()},
        long_tasks_ms=sorted(map(round, busy)),
    )
    report.add("… the first overview of all after the start, answered", f"{first:.0f} ms", "–", "–", True)
    for name, times in shown.items():
        report.add(
            f"… {name}: until what was asked for is painted, p50 / p95 / longest",
            spread(times),
            "–",
            "p95 < 100 ms",
            sorted(times)[int(len(times) * 0.95)] < 100,
            milliseconds=[round(each, 1) for each in times],
        )


async def test_what_an_open_page_costs(tmp_path: Path, look: Opening, report: Report) -> None:
    """
    As fast as the hub takes changes, in turn with the overview open in a browser here, with the same page that looks at
    a recording, and with an empty page: between the first two is what the hub does for it, the rest is the browser's.
    """
    with_it, recorded, without = [], [], []
    async with stocked(tmp_path) as at, Recording(at.hub.url).open() as recording:
        looking, at_recording = await look(at.hub.url), await look(recording.url)
        await round_of(at, SECONDS)
        await at_recording.at("")
        await at_recording.page.wait_for_timeout(SECONDS * 1000)
        asked = recording.asked
        for _ in range(ROUNDS):
            await at_recording.at("")
            recorded.append(await round_of(at, SECONDS))
            await at_recording.page.goto("about:blank")
            await looking.at("")
            with_it.append(await round_of(at, SECONDS))
            await looking.page.goto("about:blank")
            without.append(await round_of(at, SECONDS))
        assert recording.asked == asked
    costs(report, "with the page open in a browser, against the same page on a recording", with_it, recorded)
    costs(report, "with the page on a recording, against an empty page", recorded, without)
