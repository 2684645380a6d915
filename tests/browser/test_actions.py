"""Each action of an operator: it asks, says what will happen, is done at the hub, and its subscriber sees it."""

import pytest
from playwright.async_api import expect

from tests.browser.looking import Look, Opening
from tests.browser.scene import Scene, refuse
from tests.facts import eventually
from tests.receiver import accept

pytestmark = pytest.mark.browser


async def opened(look: Opening, scene: Scene, id_: str) -> Look:
    looking = await look(scene.hub.url)
    await looking.at(f"subscriptions/r4/{id_}")
    return looking


async def test_send_a_test(look: Opening, scene: Scene) -> None:
    """A notification without events comes, and its attempt shows."""
    await scene.subscribe("tested", accept)
    looking = await opened(look, scene, "tested")
    assert "queued" in await looking.do("Send a test…", "Send it")
    await scene.receiver.until(lambda: len(scene.receiver.at("/tested", "heartbeat")) == 1)
    await expect(looking.page.get_by_role("row").filter(has_text="heartbeat").first).to_contain_text("delivered")


async def test_resend_a_range(look: Opening, scene: Scene) -> None:
    """Those numbers come again, and no others."""
    await scene.subscribe("resent", accept)
    await scene.change(4)
    await scene.receiver.numbered("/resent", 4)
    looking = await opened(look, scene, "resent")
    said = await looking.do("Resend events…", "Resend them", From_event="2", To_event="3")
    assert "2" in said
    assert "3" in said
    await scene.receiver.until(lambda: sorted(scene.receiver.numbers("/resent")) == [1, 2, 2, 3, 3, 4])
    await expect(looking.page.get_by_role("row").filter(has_text="once more").first).to_be_visible()


async def test_a_range_that_is_not_there(look: Opening, scene: Scene) -> None:
    """What the hub refuses is said in the dialog, which stays."""
    await scene.subscribe("short", accept)
    await scene.change(2)
    await scene.receiver.numbered("/short", 2)
    looking = await look(scene.hub.url, expected="40|422")
    await looking.at("subscriptions/r4/short")
    await looking.button("Resend events…").click()
    dialog = looking.page.get_by_role("dialog")
    await dialog.get_by_label("From event").fill("2")
    await dialog.get_by_label("To event").fill("1")
    await dialog.get_by_role("button", name="Resend them").click()
    await expect(dialog.get_by_role("alert")).not_to_be_empty()
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)


async def test_mend_and_resume(look: Opening, scene: Scene) -> None:
    """One that was given up goes on when its endpoint is mended; what it missed is resent."""
    await scene.subscribe("mended", accept)
    scene.receiver.answers["/mended"] = refuse
    await scene.change()
    await scene.fhir.until("mended", "error")
    looking = await opened(look, scene, "mended")
    await expect(looking.page.get_by_role("img", name="it is error")).to_be_visible()
    scene.receiver.answers["/mended"] = accept
    said = await looking.do("Resume…", "Resume")
    assert said.startswith("It is requested: the handshake goes out now")
    await expect(looking.page.get_by_role("img", name="it is active")).to_be_visible()
    await expect(looking.button("Resume…")).to_have_count(0)
    lead = looking.page.locator(".lead")
    await expect(lead).to_contain_text("It has missed event 1:")
    await scene.change()
    await scene.receiver.until(lambda: 2 in scene.receiver.numbers("/mended"))
    before = len(scene.receiver.numbers("/mended"))
    await looking.do("Resend events…", "Resend them")
    await scene.receiver.until(lambda: len(scene.receiver.numbers("/mended")) > before)
    assert scene.receiver.numbers("/mended")[before:] == [1]
    await expect(lead).to_have_text("All its events are delivered.")


async def test_what_is_typed_stays(look: Opening, scene: Scene) -> None:
    """The page comes anew every few seconds; what stands in a dialog is the operator's."""
    await scene.subscribe("typed", accept)
    await scene.change(3)
    await scene.receiver.numbered("/typed", 3)
    looking = await opened(look, scene, "typed")
    await looking.button("Resend events…").click()
    field = looking.page.get_by_role("dialog").get_by_label("From event")
    async with looking.page.expect_response("**/admin/subscriptions/r4/typed?timeline=*"):
        await field.fill("2")
    async with looking.page.expect_response("**/admin/subscriptions/r4/typed?timeline=*"):
        await expect(field).to_have_value("2")
    await expect(field).to_have_value("2")


async def test_resume_all_in_error(look: Opening, scene: Scene) -> None:
    """After an outage one action brings back whoever is mended, with what was missed, and says who is not."""
    ids = [f"outage-{number}" for number in range(4)]
    for id_ in ids:
        await scene.subscribe(id_, accept)
        scene.receiver.answers[f"/{id_}"] = refuse
    await scene.change(2)
    for id_ in ids:
        await scene.fhir.until(id_, "error")
    for id_ in ids[1:]:
        scene.receiver.answers[f"/{id_}"] = accept
    looking = await look(scene.hub.url)
    await looking.at("subscriptions?status=error&q=outage-")
    await looking.button("Resume all 4…").click()
    dialog = looking.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Resume").click()
    await expect(dialog).to_contain_text("3 of 4 have answered.")
    await expect(dialog).to_have_count(0, timeout=30_000)  # a handshake is tried three times
    said = await looking.page.locator(".notice span").inner_text()
    assert said.startswith("3 of 4 Subscriptions are active, and 6 events that they missed are sent.")
    assert "1 Subscription did not come back, as outage-0: the handshake failed" in said
    for id_ in ids[1:]:
        await scene.receiver.numbered(f"/{id_}", 2)
    await expect(looking.button("Resume all 1…")).to_be_visible(timeout=15_000)


async def test_who_leaves_asks_no_more(look: Opening, scene: Scene) -> None:
    """What an action has asked again soon after is not asked once the page shows something else."""
    await scene.subscribe("left", accept)
    looking = await look(scene.hub.url)
    await looking.page.clock.install()
    await looking.at("subscriptions/r4/left")
    await looking.do("Send a test…", "Send it")
    await looking.at("topics")
    asked: list[str] = []
    looking.page.on("request", lambda request: asked.append(request.url))
    await looking.page.clock.run_for(10_000)
    assert not [url for url in asked if "/subscriptions/r4/left" in url]


async def test_switch_off_and_resume(look: Opening, scene: Scene) -> None:
    """Nothing is numbered while it is off."""
    await scene.subscribe("switched", accept)
    looking = await opened(look, scene, "switched")
    assert "off" in await looking.do("Switch off…", "Switch off")
    await expect(looking.page.get_by_role("img", name="it is off")).to_be_visible()
    await scene.change()
    assert await scene.fhir.events("switched") == 0
    await looking.do("Resume…", "Resume")
    await expect(looking.page.get_by_role("img", name="it is active")).to_be_visible()


async def test_rotate_the_secret(look: Opening, scene: Scene) -> None:
    """It is shown this once; afterwards notifications are signed with it, too."""
    await scene.subscribe("signed", accept)
    looking = await opened(look, scene, "signed")
    await looking.button("Rotate the secret…").click()
    await looking.page.get_by_role("dialog").get_by_role("button", name="Make a new secret").click()
    shown = looking.page.get_by_role("dialog", name="The new secret")
    await expect(shown.locator("code")).to_contain_text("whsec_")
    await shown.get_by_role("button", name="Close").click()
    await expect(looking.page.get_by_role("dialog")).to_have_count(0)
    await expect(looking.page.locator(".timeline")).to_contain_text("secret rotated")


async def test_drain_and_resume_an_origin(look: Opening, scene: Scene) -> None:
    """While it is drained its events wait, in order; afterwards all of them come."""
    await scene.subscribe("drained", accept)
    looking = await look(scene.hub.url)
    await looking.at("origins")
    await looking.do("Drain an origin…", "Drain it", Origin=scene.receiver.url, For_so_many_minutes="5")
    row = looking.page.get_by_role("row").filter(has_text=scene.receiver.url)
    await expect(row).to_contain_text("drained")

    async def waits() -> bool:
        """Whoever sends knows of it within a second."""
        await scene.change()
        await looking.page.wait_for_timeout(200)
        return await scene.fhir.events("drained") > len(scene.receiver.numbers("/drained"))

    await eventually(waits)
    events = await scene.fhir.events("drained")
    await looking.do(f"Resume… {scene.receiver.url}", "Resume")
    await scene.receiver.numbered("/drained", events)
    assert scene.receiver.numbers("/drained") == list(range(1, events + 1))
    await expect(looking.page.get_by_text("All origins are served")).to_be_visible()
