"""Everything by keyboard: the way to the content, the views, filters, dialogs; the focus stays where it was."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.looking import Opening
from tests.browser.scene import Scene

pytestmark = pytest.mark.browser


async def focused(page: Page) -> str:
    """The text, or else the id, of what has the focus."""
    return str(await page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))


async def test_skip_to_the_content(look: Opening, scene: Scene) -> None:
    """The first thing that is reached is the way past the views."""
    looking = await look(scene.hub.url)
    await looking.at("topics")
    await looking.page.keyboard.press("Tab")
    assert await focused(looking.page) == "Skip to the content"
    await looking.page.keyboard.press("Enter")
    assert await looking.page.evaluate("document.activeElement.id") == "main"


async def test_views_are_reached(look: Opening, scene: Scene) -> None:
    """By Tab and Enter; then the focus is in the new view, and the title says which one it is."""
    looking = await look(scene.hub.url)
    await looking.at("topics")
    link = looking.page.get_by_role("link", name="Index")
    for _ in range(20):
        await looking.page.keyboard.press("Tab")
        if await focused(looking.page) == "Index":
            break
    await expect(link).to_be_focused()
    await looking.page.keyboard.press("Enter")
    await expect(looking.page).to_have_title("Index · FHIR event hub")
    assert await looking.page.evaluate("document.activeElement.id") == "main"
    await expect(link).to_have_attribute("aria-current", "page")


async def test_menu_on_a_telephone(look: Opening, scene: Scene) -> None:
    looking = await look(scene.hub.url, width=360)
    await looking.at("topics")
    await expect(looking.page.get_by_role("navigation", name="Views")).to_have_count(0)
    await looking.button("Menu").press("Enter")
    await looking.page.get_by_role("link", name="Explain").press("Enter")
    await expect(looking.page.get_by_role("heading", name="Explain", level=1)).to_be_visible()
    await expect(looking.page.get_by_role("navigation", name="Views")).to_have_count(0)


async def test_dialog(look: Opening, scene: Scene) -> None:
    """It keeps the focus, Escape closes it and does nothing, and the focus is where it was before."""
    looking = await look(scene.hub.url)
    await looking.at("subscriptions/r4/vaccination-register")
    await looking.button("Switch off…").press("Enter")
    dialog = looking.page.get_by_role("dialog", name="Switch it off?")
    await expect(dialog).to_be_visible()
    assert await looking.accessible() == []
    for _ in range(4):
        await looking.page.keyboard.press("Tab")
        # Between its last and its first element the focus is with the browser's own controls.
        assert await looking.page.evaluate("document.activeElement.closest('dialog, body:not(:has(:focus))') !== null")
    await looking.shot("dialog-1280-light")
    await looking.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(looking.button("Switch off…")).to_be_focused()
    assert (await scene.fhir.status("vaccination-register"))["status"] == "active"


async def test_focus_is_kept(look: Opening, scene: Scene) -> None:
    """Rows are read again every so often; who stands on one stays there."""
    looking = await look(scene.hub.url)
    await looking.at("subscriptions")
    link = looking.page.get_by_role("link", name="vaccination-register")
    await link.focus()
    before = await looking.page.get_by_role("row").filter(has_text="vaccination-register").inner_text()
    await scene.change()
    async with looking.page.expect_response("**/admin/subscriptions?*"):
        await scene.receiver.until(lambda: len(scene.receiver.numbers("/vaccination-register")) >= scene.changes)
    await expect(looking.page.get_by_role("row").filter(has_text="vaccination-register")).not_to_have_text(before)
    await expect(link).to_be_focused()


async def test_filters_are_in_the_address(look: Opening, scene: Scene) -> None:
    """What is asked can be sent to others, and the browser's way back leads back."""
    looking = await look(scene.hub.url)
    await looking.at("subscriptions")
    await looking.page.get_by_label("Status").select_option("off")
    await expect(looking.page.get_by_role("row")).to_have_count(2)
    await expect(looking.page).to_have_url(f"{looking.url}#/subscriptions?status=off")
    await looking.page.get_by_label("Find").type("old-lab")
    await expect(looking.page).to_have_url(f"{looking.url}#/subscriptions?status=off&q=old-lab")
    await expect(looking.page.get_by_label("Find")).to_be_focused()
    await looking.page.go_back()
    await expect(looking.page.get_by_label("Status")).to_have_value("")
    await expect(looking.page.get_by_label("Find")).to_have_value("")


async def test_what_is_chosen_while_a_word_is_typed_stays(look: Opening, scene: Scene) -> None:
    """A word is asked for some time after its last key, and takes nothing back."""
    looking = await look(scene.hub.url)
    await looking.at("subscriptions")
    await looking.page.get_by_label("Find").type("old-lab")
    await looking.page.get_by_label("Status").select_option("off")
    await expect(looking.page).to_have_url(f"{looking.url}#/subscriptions?status=off&q=old-lab")


async def test_colours_are_chosen(look: Opening, scene: Scene) -> None:
    """Against what the system has, and so after a reload."""
    looking = await look(scene.hub.url, color_scheme="light")
    await looking.at("topics")
    switch = looking.page.get_by_role("switch", name="Dark colours")
    await expect(switch).not_to_be_checked()
    await switch.press("Space")
    await expect(switch).to_be_checked()
    await looking.page.reload()
    await expect(switch).to_be_checked()
    assert await looking.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
