"""A page of the console, as a test looks at it: what it asks for, what goes wrong, and whether everybody can use it."""

import os
import re
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Locator, Page, expect

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"

#: What axe holds a page against: WCAG 2.2 at AA, and what is good practice beside it.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

#: Where pictures are kept; nowhere when it is empty.
SHOTS = os.environ.get("BROWSER_SHOTS", "")


class Opening(Protocol):
    """Options: `width`, `height`, `color_scheme`, and `expected`, a pattern of what may stand in the log."""

    def __call__(self, url: str, **options: object) -> "Awaitable[Look]": ...


@dataclass
class Look:
    """
    url: Of the console.
    expected: What may stand in the log, as a pattern.
    wrong: What else stood there, and what failed.
    hosts: Whom the page has asked for something.
    """

    page: Page
    url: str
    expected: str = ""
    wrong: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def listen(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    async def at(self, place: str) -> None:
        """Go there by the address, and wait until it is read."""
        await self.page.goto(f"{self.url}#/{place}")
        await expect(self.page.locator("main h1").first).to_be_visible()
        await expect(self.page.get_by_text("Reading…")).to_have_count(0)

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("button", name=name)

    async def do(self, action: str, then: str, **fields: str) -> str:
        """Ask for an action, fill in its dialog, and have it done; what the hub says of it."""
        await self.button(action).click()
        dialog = self.page.get_by_role("dialog")
        for label, text in fields.items():
            await dialog.get_by_label(label.replace("_", " ")).fill(text)
        await dialog.get_by_role("button", name=then).click()
        await expect(dialog).to_have_count(0)
        notice = self.page.locator(".notice span")
        await expect(notice).to_be_visible()
        said: str = await notice.inner_text()
        return said

    async def accessible(self) -> list[str]:
        """What axe finds wrong: the rule, and where."""
        await self.page.evaluate(AXE.read_text())
        options = {"runOnly": RULES, "resultTypes": ["violations"]}
        found: dict[str, Any] = await self.page.evaluate("options => axe.run(document, options)", options)
        return [f"{each['id']}: {node['html'][:160]}" for each in found["violations"] for node in each["nodes"]]

    async def fits(self) -> bool:
        """Whether the page is no wider than its window."""
        return bool(await self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    async def shot(self, name: str) -> None:
        if SHOTS:
            await self.page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not (self.expected and re.search(self.expected, message.text)):
            self.wrong.append(f"{message.type}: {message.text}")

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(f"{parts.scheme}://{parts.netloc}")
