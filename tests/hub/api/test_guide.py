"""The guide as it is served."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import pytest

from hub.api.guide import PAGES
from hub.api.page import policy
from tests.guide import GUIDE, anchors
from tests.hub.api.server import Hub
from tests.hub.conftest import BASE

URLS = {name: f"{BASE}/guide" if name == "index" else f"{BASE}/guide/{name}" for name in PAGES}


class Page(HTMLParser):
    """What a page has. `ids` and `links` are in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_each_file_is_a_page() -> None:
    assert set(PAGES) == {path.stem for path in GUIDE.iterdir()}


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_runs_and_loads_nothing(hub: Hub, name: str) -> None:
    """No script, nothing of another host, and no style but its own."""
    answer = await hub.client.get(URLS[name])
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    [style] = re.findall(r"<style>(.*?)</style>", answer.text)
    assert answer.headers["Content-Security-Policy"] == policy(style)
    page = Page(answer.text)
    assert not page.tags & {"script", "img", "link", "iframe", "form", "object"}
    assert "style" not in page.attributes
    assert {"h1", "h2", "nav"} <= page.tags


@pytest.mark.parametrize("name", PAGES)
async def test_each_link_leads_somewhere(hub: Hub, name: str) -> None:
    """To a page that is served, and an anchor that it has; or out, by https."""
    page = Page((await hub.client.get(URLS[name])).text)
    assert len(page.links) > 5
    lost = [link async for link in _lost(hub, URLS[name], page.links)]
    assert lost == []


async def _lost(hub: Hub, here: str, links: list[str]) -> AsyncIterator[str]:
    for link in links:
        url, anchor = urldefrag(urljoin(here, link))
        if url.startswith(BASE):
            answer = await hub.client.get(url)
            if answer.status_code != 200 or (anchor and anchor not in Page(answer.text).ids):
                yield link
        elif not url.startswith("https://"):
            yield link


@pytest.mark.parametrize("name", PAGES)
async def test_an_anchor_is_the_same_as_in_the_repository(hub: Hub, name: str) -> None:
    ids = Page((await hub.client.get(URLS[name])).text).ids
    assert set(ids) == anchors(GUIDE / f"{name}.md")
    assert len(ids) == len(set(ids))


async def test_what_is_not_served_is_no_link(hub: Hub) -> None:
    """The README is the repository's: its text stays, the link doesn't."""
    answer = await hub.client.get(URLS["index"])
    assert "README" in answer.text
    assert "README" not in "".join(Page(answer.text).links)


async def test_there_is_no_other_page(hub: Hub) -> None:
    for path in ("nothing", "operator.md", "operator/", "../settings"):
        assert (await hub.client.get(f"{BASE}/guide/{path}")).status_code == 404
