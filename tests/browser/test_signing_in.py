"""Where callers are told apart: a key is asked for, kept in the tab alone, and forgotten when somebody signs out."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from hub.access import DEFAULT, Access, Client, Key, Tenant
from hub.instants import now_ms
from subscriptions.codes import Content
from subscriptions.rights import Rights
from subscriptions.scopes import Scopes
from tests.browser.looking import Look, Opening
from tests.facts import eventually
from tests.faults.tenants import opened_access
from tests.processes import HubProcess

pytestmark = pytest.mark.browser

#: Of the log: that somebody was turned away.
TURNED_AWAY = "status of 40[134]"


@dataclass
class Guarded:
    """A hub that asks for keys: those of its operator, of the operator of a tenant, and of a client that is neither."""

    hub: HubProcess
    access: Access
    operator: str
    north: str
    client: str


@pytest.fixture(scope="session")
async def guarded() -> AsyncIterator[Guarded]:
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        async with HubProcess(Path(folder), {"HUB_AUTH": "keys"}) as hub, opened_access(hub) as access:
            await access.set(Tenant("north"))
            operator = await _key(access, "night-shift", DEFAULT, "hub/admin system/*.rs")
            north = await _key(access, "north-shift", "north", "hub/admin")
            client = await _key(access, "laboratory", DEFAULT, "system/Immunization.crs")
            await eventually(lambda: hub.have(1))
            async with hub.client() as http:

                async def known() -> bool:
                    return (await http.get(f"{hub.url}/t/north/console/")).status_code == 200

                await eventually(known)
            yield Guarded(hub, access, operator, north, client)


async def _key(access: Access, name: str, tenant: str, scopes: str) -> str:
    return (await _keyed(access, name, tenant, scopes))[1]


async def _keyed(access: Access, name: str, tenant: str, scopes: str) -> tuple[Key, str]:
    rights = Rights(Scopes.parse(scopes), Content.FULL_RESOURCE)
    await access.set(Client(name, tenant, rights))
    key, text = Key.new(name, rights.scopes, now=now_ms(), expires=None)
    await access.set(key)
    return key, text


async def enter(look: Look, key: str) -> None:
    await look.page.get_by_label("Key or token").fill(key)
    await look.page.keyboard.press("Enter")


async def test_a_key_is_asked_for(look: Opening, guarded: Guarded) -> None:
    """Nothing is shown before; a wrong one is told; the right one leads to where one wanted to go."""
    looking = await look(guarded.hub.url, expected=TURNED_AWAY)
    await looking.page.goto(f"{looking.url}#/subscriptions")
    await expect(looking.page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(looking.page.get_by_label("Key or token")).to_be_focused()
    await expect(looking.page.get_by_role("navigation")).to_have_count(0)
    assert await looking.accessible() == []
    await looking.shot("sign-in-1280-light")
    await enter(looking, "hub_wrong_key")
    await expect(looking.page.get_by_role("alert")).not_to_be_empty()
    await expect(looking.page.get_by_label("Key or token")).to_have_attribute("aria-invalid", "true")
    await enter(looking, guarded.operator)
    await expect(looking.page.get_by_role("heading", name="Subscriptions", level=1)).to_be_visible()
    await expect(looking.page.get_by_text("Nobody has subscribed yet.")).to_be_visible()


async def test_several_answers_to_a_wrong_key(look: Opening, guarded: Guarded) -> None:
    """The page asks for several things at once; whichever is refused last, the key goes on being called wrong."""
    looking = await look(guarded.hub.url, expected=TURNED_AWAY)
    await looking.page.goto(f"{looking.url}#/topics")
    await expect(looking.page.get_by_label("Key or token")).to_be_visible()
    both = asyncio.Barrier(2)

    async def together(route: Route) -> None:
        answer = await route.fetch()
        await both.wait()
        await route.fulfill(response=answer)

    await looking.page.route("**/admin/**", together)
    for _ in range(5):
        await enter(looking, "hub_wrong_key")
        await expect(looking.page.get_by_role("alert")).not_to_be_empty()
        await expect(looking.page.get_by_label("Key or token")).to_have_attribute("aria-invalid", "true")


async def test_it_is_kept_in_the_tab_alone(look: Opening, guarded: Guarded) -> None:
    looking = await look(guarded.hub.url, expected=TURNED_AWAY)
    await looking.page.goto(f"{looking.url}#/topics")
    await enter(looking, guarded.operator)
    await expect(looking.page.get_by_role("heading", name="Topics", level=1)).to_be_visible()
    kept = "JSON.stringify([localStorage, document.cookie, location.href])"
    assert guarded.operator not in await looking.page.evaluate(kept)
    await looking.page.reload()
    await expect(looking.page.get_by_role("heading", name="Topics", level=1)).to_be_visible()
    await looking.button("Sign out").click()
    await expect(looking.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert guarded.operator not in await looking.page.evaluate("JSON.stringify(sessionStorage)")


async def test_of_no_operator(look: Opening, guarded: Guarded) -> None:
    """Whoever may not is told so, and can sign in as somebody else."""
    looking = await look(guarded.hub.url, expected=TURNED_AWAY)
    await looking.page.goto(f"{looking.url}#/subscriptions")
    await enter(looking, guarded.client)
    await expect(looking.page.get_by_role("alert")).to_contain_text("hub/admin")
    await looking.button("Sign out").click()
    await expect(looking.page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_key_that_is_revoked(look: Opening, guarded: Guarded) -> None:
    """Whoever looks at the page is asked for another one and sees nothing more; that one leads to the same place."""
    key, text = await _keyed(guarded.access, "leaver", DEFAULT, "hub/admin")
    looking = await look(guarded.hub.url, expected=TURNED_AWAY)
    await looking.page.goto(f"{looking.url}#/origins")
    await enter(looking, text)
    await expect(looking.page.get_by_text("All origins are served")).to_be_visible()
    await guarded.access.revoke(key)
    await expect(looking.page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=20_000)
    await expect(looking.page.get_by_role("alert")).not_to_be_empty()
    await expect(looking.page.get_by_text("All origins are served")).to_have_count(0)
    await enter(looking, guarded.operator)
    await expect(looking.page.get_by_text("All origins are served")).to_be_visible()


async def test_of_a_tenant(look: Opening, guarded: Guarded) -> None:
    """A tenant's console asks that tenant, whose operator sees nothing of the whole hub."""
    looking = await look(guarded.hub.url, expected=TURNED_AWAY)
    looking.url = f"{guarded.hub.url}/t/north/console/"
    await looking.page.goto(f"{looking.url}#/origins")
    await enter(looking, guarded.north)
    await expect(looking.page.get_by_text("Only the whole hub's operator sees its origins.")).to_be_visible()
    await looking.at("")
    await expect(looking.page.locator("#standing")).not_to_be_empty()
    await expect(looking.page.get_by_role("heading", name="Redis")).to_have_count(0)
    await looking.shot("tenant-1280-light")
    assert await looking.accessible() == []
