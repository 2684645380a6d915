"""Each view: it shows what there is, on a wide page and on a telephone, in light and in dark, to everybody."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping

import pytest
from playwright.async_api import expect

from tests.browser.looking import Look, Opening
from tests.browser.scene import TOPIC, Scene
from tests.facts import eventually
from tests.fhir import immunization
from tests.receiver import accept

pytestmark = pytest.mark.browser

Sees = Callable[[Look, Scene], Awaitable[None]]


async def overview(look: Look, _: Scene) -> None:
    """The sentence, what is wrong with its remedy, figures that come by themselves."""
    await expect(look.page.locator("#standing")).not_to_be_empty()
    await expect(look.page.locator(".aside").first).to_contain_text("active, and the oldest event that waits")
    await expect(look.page.locator(".problems li").first).to_contain_text(re.compile("Subscriptions? in error"))
    await expect(look.page.get_by_role("link", name="See them, and resume")).to_be_visible()
    await expect(look.page.locator(".liveness")).to_have_text("Live")
    await expect(look.page.locator(".plot canvas")).to_have_count(4)
    table = look.button("Show as a table: In and out")
    await table.click()
    await expect(look.page.get_by_role("table", name="In and out, the latest first")).to_be_visible()
    await look.button("Hide the table: In and out").click()


async def subscriptions(look: Look, _: Scene) -> None:
    rows = look.page.get_by_role("row")
    await expect(rows.filter(has_text="vaccination-register")).to_contain_text("active")
    await expect(rows.filter(has_text="ward-7-whiteboard")).to_contain_text("answered 500")
    await expect(rows.filter(has_text="old-laboratory")).to_contain_text("off")


async def in_error(look: Look, _: Scene) -> None:
    """Why it is, the state that is marked in the picture, and what happened."""
    await expect(look.page.locator(".lead")).to_contain_text("The hub has given up: the endpoint answered 500")
    await expect(look.page.get_by_role("img", name="it is error")).to_be_visible()
    await expect(look.page.locator(".machine .now")).to_have_text("▸ error")
    await expect(look.page.locator(".timeline")).to_contain_text("subscription failed by hub")
    await expect(look.page.get_by_role("row").filter(has_text="given up")).to_have_count(1)
    await expect(look.page.get_by_role("row").filter(has_text="Immunization/dose-1,")).to_contain_text("kept")
    await look.page.get_by_text("The resource", exact=True).click()
    await expect(look.page.locator("pre")).to_contain_text('"resourceType": "Subscription"')


async def active(look: Look, _: Scene) -> None:
    await expect(look.page.locator(".lead")).to_have_text("All its events are delivered.")
    await expect(look.page.get_by_role("row").filter(has_text="handshake")).to_contain_text("now active")


async def trace(look: Look, _: Scene) -> None:
    """From the change by the clause to the outcome."""
    steps = look.page.locator(".steps > li")
    await expect(steps.nth(0)).to_contain_text("was created at")
    await expect(steps.nth(1)).to_contain_text("met")
    await expect(steps.nth(1)).to_contain_text('Immunization.patient: {"reference":"Patient/1"}')
    await expect(steps.nth(2)).to_contain_text("Got number 3")
    await expect(steps.nth(3).get_by_role("row").nth(1)).to_contain_text("delivered")
    await expect(steps.nth(4)).to_contain_text("Event 3 was delivered.")


async def explain(look: Look, _: Scene) -> None:
    """Each clause, with what was found."""
    await expect(look.page.locator("datalist option")).not_to_have_count(0)
    await look.page.get_by_label("Resource, as JSON").fill(json.dumps(immunization("x", patient="2")))
    await look.button("Explain").click()
    answer = look.page.locator(".answer")
    await expect(answer.get_by_role("heading")).to_have_text("It would not be told.")
    await expect(answer.locator("li").nth(0)).to_contain_text("fires")
    await expect(answer.locator("li").nth(1)).to_contain_text("not met")
    await expect(answer.locator("li").nth(1)).to_contain_text("Patient/2")


async def topics(look: Look, _: Scene) -> None:
    """In words of the work that it is for."""
    await expect(look.page.locator(".catalogue li")).to_have_count(1)
    await expect(look.page.locator(".catalogue li")).to_contain_text("The register asks the family again")
    await expect(look.page.locator(".catalogue li")).to_contain_text("Can be filtered by patient.")


async def origins(look: Look, _: Scene) -> None:
    await expect(look.page.get_by_text("All origins are served")).to_be_visible()


async def withheld(look: Look, _: Scene) -> None:
    await expect(look.page.get_by_text("Nothing was kept back.")).to_be_visible()


async def index(look: Look, _: Scene) -> None:
    await expect(look.page.get_by_role("heading", name="Filters that cost most")).to_be_visible()


async def tail(look: Look, scene: Scene) -> None:
    """What happens shows as it happens, with the ids and no more; it can be held and searched."""
    await expect(look.page.locator(".liveness")).to_have_text("Live")
    steps = look.page.locator(".tail li")

    async def seen() -> bool:
        """All processes of the hub tell what they do from the second on in which they learn that somebody looks."""
        await scene.change()
        await look.page.wait_for_timeout(200)
        found: int = await steps.filter(has_text="Attempt").filter(has_text="vaccination-register").count()
        return found > 0

    await eventually(seen)
    await expect(steps.filter(has_text=f"Immunization/dose-{scene.changes}").first).to_be_visible()
    await look.page.get_by_label("Only those with").fill("stored")
    await expect(steps.filter(has_text="Attempt")).to_have_count(0)
    await look.page.get_by_label("Only those with").fill("")
    await look.button("Pause").click()
    await look.button("Go on").click()


VIEWS: Mapping[str, tuple[str, Sees]] = {
    "overview": ("", overview),
    "subscriptions": ("subscriptions", subscriptions),
    "in-error": ("subscriptions/r4/ward-7-whiteboard", in_error),
    "active": ("subscriptions/r4/vaccination-register", active),
    "trace": ("subscriptions/r4/vaccination-register/events/3", trace),
    "explain": ("explain?subscription=vaccination-register", explain),
    "topics": ("topics?q=dose was refused", topics),
    "origins": ("origins", origins),
    "withheld": ("withheld", withheld),
    "index": ("index", index),
    "tail": ("tail", tail),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 640, 1280])
@pytest.mark.parametrize("view", VIEWS)
async def test_view(view: str, width: int, scheme: str, look: Opening, scene: Scene) -> None:
    """640 is what a window of 1280 has at 200 %."""
    place, sees = VIEWS[view]
    looking = await look(scene.hub.url, width=width, color_scheme=scheme)
    await looking.at(place)
    await sees(looking, scene)
    await looking.shot(f"{view}-{width}-{scheme}")
    assert await looking.fits()
    assert await looking.accessible() == []


async def test_nothing_is_here(look: Opening, scene: Scene) -> None:
    """Another address says so, and leads back."""
    looking = await look(scene.hub.url, expected="404")
    await looking.at("nowhere")
    await expect(looking.page.get_by_role("heading")).to_have_text("Nothing is here")
    await looking.at("%E0%A4%A")
    await expect(looking.page.get_by_role("heading")).to_have_text("Nothing is here")
    await looking.at("subscriptions/r4/nobody/events/first")
    await expect(looking.page.get_by_role("heading")).to_have_text("Event first of nobody")
    await looking.at("subscriptions/r4/nobody")
    await expect(looking.page.get_by_role("alert")).to_contain_text("There is no Subscription/nobody")


@pytest.mark.parametrize("width", [360, 1280])
async def test_long_names_and_markup(width: int, look: Opening, scene: Scene) -> None:
    """Ids of 64 letters and words without end are broken; markup is text like any other."""
    id_, title = "w" * 64, "<script>document.title = 'taken'</script>"
    await scene.subscribe(id_, accept)
    async with scene.hub.client("r5") as r5:
        topic = TOPIC | {"id": "odd", "url": "https://example.org/SubscriptionTopic/odd", "title": title}
        (await r5.put("SubscriptionTopic/odd", json=topic | {"purpose": "x" * 300})).raise_for_status()
    looking = await look(scene.hub.url, width=width)
    await looking.at(f"subscriptions?q={id_}")
    await expect(looking.page.get_by_role("link", name=id_)).to_be_visible(
        timeout=15_000
    )  # a look is believed for seconds
    assert await looking.page.locator(".scroll").evaluate("each => each.scrollWidth <= each.clientWidth")
    await looking.page.get_by_role("link", name=id_).click()
    await expect(looking.page.get_by_role("heading", name=id_)).to_be_visible()
    assert await looking.fits()
    await looking.at("topics?q=odd")
    await expect(looking.page.get_by_role("heading", name=title)).to_be_visible()
    assert await looking.fits()
    await expect(looking.page).to_have_title("Topics · FHIR event hub")
