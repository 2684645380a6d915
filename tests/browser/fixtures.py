"""One browser and one hub for all tests of the console, and a page for each."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.looking import Look, Opening
from tests.browser.scene import Scene, stocked
from tests.facts import eventually
from tests.processes import HubProcess

CHROMIUM = "/usr/bin/chromium"

#: In a container as root there is no sandbox; and a browser that asks for updates would ask other hosts.
ARGUMENTS = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run")


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def scene() -> AsyncIterator[Scene]:
    """A hub on which there is something to see."""
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        async with HubProcess(Path(folder)) as hub:
            await eventually(lambda: hub.have(1))
            async with stocked(hub) as scene:
                yield scene


@pytest.fixture
async def look(browser: Browser) -> AsyncIterator[Opening]:
    """Opens the console of a hub; at the end nothing was wrong in any page's log, and no other host was asked."""
    async with AsyncExitStack() as stack:

        async def opened(url: str, **options: object) -> Look:
            return await stack.enter_async_context(_looking(browser, url, options))

        yield opened


@asynccontextmanager
async def _looking(browser: Browser, url: str, options: dict[str, object]) -> AsyncIterator[Look]:
    size = options.pop("width", 1280), options.pop("height", 800)
    viewport = {"width": size[0], "height": size[1]}
    expected = options.pop("expected", "")
    context = await browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type, unused-ignore]
    look = Look(await context.new_page(), f"{url}/console/", str(expected))
    look.listen()
    yield look
    await context.close()
    assert not look.wrong, look.wrong
    assert look.hosts <= {url}, look.hosts
