"""What comes by itself: figures each second, and the word that they don't come."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.looking import Opening
from tests.browser.scene import Scene
from tests.receiver import accept

pytestmark = pytest.mark.browser

#: Of the log, while a part of the hub is away.
AWAY = "ERR_|status of 50"


async def test_figures_come_by_themselves(look: Opening, scene: Scene) -> None:
    """Of the last two minutes there is one more each second; nobody is told of each by a screen reader."""
    looking = await look(scene.hub.url)
    await looking.at("")
    await looking.button("2 minutes").click()
    await looking.button("Show as a table: In and out").click()
    rows = looking.page.get_by_role("table", name="In and out").get_by_role("row")
    before = await rows.count()
    await expect(rows).not_to_have_count(before)
    assert await looking.page.locator(".tiles").evaluate("tiles => tiles.closest('[aria-live], [role=status]')") is None


async def test_a_new_subscriber_shows(look: Opening, scene: Scene) -> None:
    """Nobody reloads the page."""
    looking = await look(scene.hub.url)
    await looking.at("subscriptions?q=newcomer")
    await expect(looking.page.get_by_text("No Subscription is like that.")).to_be_visible()
    await scene.subscribe("newcomer", accept)
    await expect(looking.page.get_by_role("row").filter(has_text="newcomer")).to_contain_text("active", timeout=15_000)


async def test_stale_and_live_again(look: Opening, scene: Scene) -> None:
    """When the hub doesn't answer the page says since when, keeps what it showed, and goes on by itself."""
    looking = await look(scene.hub.url, expected=AWAY)
    await looking.at("")
    liveness = looking.page.locator(".liveness")
    await expect(liveness).to_have_text("Live")
    async with scene.hub.paused("api"):
        await expect(liveness).to_have_text(re.compile("Stale since"), timeout=15_000)
        await expect(looking.page.locator("#standing")).not_to_be_empty()
    await expect(liveness).to_have_text("Live", timeout=30_000)
    await scene.hub.kill("api")
    await expect(liveness).to_have_text(re.compile("Stale since"), timeout=15_000)
    await expect(liveness).to_have_text("Live", timeout=30_000)


async def test_another_clock(look: Opening, scene: Scene) -> None:
    """How long ago something was is told by the hub's clock: that of the browser may be an hour ahead."""
    looking = await look(scene.hub.url)
    await looking.page.add_init_script("const real = Date.now; Date.now = () => real() + 3_600_000;")
    await looking.at("subscriptions/r4/vaccination-register")
    await scene.change()
    await looking.at("subscriptions?q=vaccination-register")
    row = looking.page.get_by_role("row").filter(has_text="vaccination-register")
    await expect(row.locator("time").last).to_have_text(re.compile(r"^(just now|\d+ s ago)$"), timeout=15_000)
