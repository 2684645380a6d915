"""The console's page and files, as they are served."""

import re
from collections.abc import Iterator
from posixpath import dirname, join, normpath

import pytest

from hub.access import Tenant
from hub.api.console import POLICY, Console
from tests.hub.api.server import Hub, issue
from tests.hub.conftest import BASE

CONSOLE = Console.read()
URL = f"{BASE}/console"

#: The address of another host; that of SVG is a name.
_HOSTS = re.compile(rb"https?://(?!www\.w3\.org/)[^\s\"'`<>)}]+")


def asked() -> Iterator[str]:
    """What the page asks for, file by file."""
    yield from re.findall(rf'(?:src|href)="{CONSOLE.digest}/([^"]+)"', CONSOLE.page.decode())


def imported(path: str) -> Iterator[str]:
    for found in re.findall(rb'^(?:import|export)[^;"]*"([^"]+\.js)"', CONSOLE.held[path], re.M):
        assert found.startswith((b"./", b"../")), (path, found)
        yield normpath(join(dirname(path), found.decode()))


async def test_page(hub: Hub) -> None:
    """It runs and shows only what comes from here, and is asked for anew each time."""
    answer = await hub.client.get(f"{URL}/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "no-cache"
    again = await hub.client.get(f"{URL}/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_policy() -> None:
    """Nothing inline, nothing evaluated, nothing from elsewhere, in no frame."""
    assert "unsafe" not in POLICY
    sources = dict(part.strip().split(" ", 1) for part in POLICY.split(";"))
    assert {each for name, each in sources.items() if name.endswith("-src")} == {"'none'", "'self'"}
    assert sources["frame-ancestors"] == sources["base-uri"] == sources["form-action"] == "'none'"
    assert not re.search(rb"<style|<script(?! type=\"module\" src=)| style=| on[a-z]+=", CONSOLE.page)


async def test_without_a_slash(hub: Hub) -> None:
    """Links are relative, so that it leads to where they lead on from, whatever stands before the hub."""
    answer = await hub.client.get(URL)
    assert (answer.status_code, answer.headers["location"]) == (308, "console/")


async def test_who_has_but_the_hubs_url(hub: Hub) -> None:
    """Is led to the page: that of the tenant whose URL it is."""
    await hub.parts.access.set(Tenant("north"))
    for root in (BASE, f"{BASE}/t/north"):
        answer = await hub.client.get(f"{root}/")
        assert (answer.status_code, answer.headers["location"]) == (307, "console/")


async def test_every_file_that_is_asked_for_is_there(hub: Hub) -> None:
    assert set(asked()) >= {"main.js", "icon.svg", "style/tokens.css", "vendor/uplot.css"}
    for path in asked():
        answer = await hub.client.get(f"{URL}/{CONSOLE.digest}/{path}")
        assert answer.status_code == 200, path
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        expected = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[path.rpartition(".")[2]]
        assert answer.headers["content-type"].split(";")[0] == expected


def test_every_module_is_reached() -> None:
    """From the first one, by what each imports; there is none that nobody needs."""
    reached, left = set[str](), ["main.js"]
    while left:
        path = left.pop()
        if path not in reached:
            reached.add(path)
            left += imported(path)
    assert reached == {path for path in CONSOLE.held if path.endswith(".js")}


def test_modules_are_short() -> None:
    own = {path: body.count(b"\n") for path, body in CONSOLE.held.items() if not path.startswith("vendor/")}
    assert {path: lines for path, lines in own.items() if lines >= 300} == {}


@pytest.mark.parametrize("path", sorted(path for path in CONSOLE.held if not path.startswith("vendor/")))
def test_no_other_host(path: str) -> None:
    """No file of ours names one, but for what stands in a field as an example."""
    assert {each for each in _HOSTS.findall(CONSOLE.held[path]) if b".example" not in each} == set()


async def test_of_another_release(hub: Hub) -> None:
    """What isn't of the release that runs is not there: nothing of two releases is mixed."""
    for path in (f"{'0' * 32}/main.js", f"{CONSOLE.digest}/none.js", f"{CONSOLE.digest}/../index.html"):
        answer = await hub.client.get(f"{URL}/{path}")
        assert answer.status_code == 404
        assert issue(answer)["code"] == "not-found"


async def test_of_a_tenant(hub: Hub) -> None:
    """Each has its own, at its own base; one that there isn't has none."""
    await hub.parts.access.set(Tenant("north"))
    answer = await hub.client.get(f"{BASE}/t/north/console/")
    assert (answer.status_code, answer.content) == (200, CONSOLE.page)
    assert (await hub.client.get(f"{BASE}/t/north/console/{CONSOLE.digest}/main.js")).status_code == 200
    assert (await hub.client.get(f"{BASE}/t/south/console/")).status_code == 404
