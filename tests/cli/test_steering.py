"""`hub subscriptions`, `topics` and `resend`: what an operator sees and does from a shell."""

import re
from uuid import uuid4

import pytest

from tests.cli.commands import command
from tests.facts import eventually
from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver


async def told(hub: HubProcess, *words: str) -> str:
    """What a command prints; it has to go well."""
    done = await command(hub.url, *words)
    assert (done.code, done.err) == (0, "")
    return done.out


async def test_one_subscription(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Found, looked at, tested, turned off and on, and its events sent once more; the endpoint sees each of it."""
    patient = f"Patient/{uuid4()}"
    id_ = await fhir.subscribe(subscription(f"{receiver.url}/a", "Immunization", f"patient={patient}"))
    await fhir.post(immunization() | {"patient": {"reference": patient}})
    await eventually(lambda: [each.numbers for each in receiver.received if each.numbers] == [[1]])

    listed = await told(hub, "subscriptions", "list", "--search", id_)
    assert re.fullmatch(rf"subscription +status +wait +oldest +told at\nr4/{id_} +active +{receiver.url}\n", listed)
    (row,) = (await command(hub.url, "subscriptions", "list", "--origin", receiver.url, "--json")).json
    assert (row["id"], row["events"]) == (id_, 1)

    shown = await told(hub, "subscriptions", "show", id_)
    assert re.search(r"^status +active$", shown, re.M)
    assert re.search(r"^events +1, delivered to 1$", shown, re.M)
    assert re.search(r" events 1 ", shown)
    assert "subscription-created" in shown
    assert "/a" not in shown.replace("/admin", "")
    whole = (await command(hub.url, "subscriptions", "show", f"r4/{id_}", "--json")).json
    assert whole["resource"]["id"] == id_
    assert whole["attempts"][0]["lastEvent"] == 1

    assert "test notification" in await told(hub, "subscriptions", "test", id_)
    await eventually(lambda: receiver.received[-1].type == "heartbeat" or len(receiver.received) > 2)
    assert "once more" in await told(hub, "resend", id_, "--from", "1")
    await eventually(lambda: [each.numbers for each in receiver.received if each.numbers] == [[1], [1]])
    assert (await command(hub.url, "resend", id_, "--from", "1", "--to", "1", "--json")).json["last"] == 1

    assert "It is off" in await told(hub, "subscriptions", "off", id_)
    refused = await command(hub.url, "subscriptions", "off", id_)
    assert (refused.code, refused.err) == (2, "hub subscriptions: 409: Subscription.status: It is off already.\n")
    assert "requested" in await told(hub, "subscriptions", "resume", id_)
    await fhir.until(id_, "active")
    assert "whsec_" in await told(hub, "subscriptions", "rotate-secret", id_)


async def test_pages(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """All of them are listed, however many come on a page, and no more than are wanted."""
    ids = {await fhir.post(subscription(f"{receiver.url}/{n}", "Basic") | {"status": "requested"}) for n in range(55)}
    rows = (await command(hub.url, "subscriptions", "list", "--origin", receiver.url, "--limit", "0", "--json")).json
    assert {row["id"] for row in rows} == ids
    few = await told(hub, "subscriptions", "list", "--origin", receiver.url, "--limit", "2")
    assert len(few.splitlines()) == 4
    assert few.endswith("These are the first 2: --limit 0 shows all.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["subscriptions", "show", "nobody"], "there is no Subscription nobody"),
        (["subscriptions", "show", "r5/nobody"], "404: There is no Subscription/nobody at /fhir/r5."),
        (["subscriptions", "show", "a/b/c"], "should be the id of a Subscription, or VERSION/ID"),
        (["resend", "r4/nobody", "--from", "x"], "400: `from` must be an instant"),
        (["topics", "nothing"], "there is no topic nothing"),
        (["topics", "--hub", "x"], "should be the hub's URL"),
    ],
)
async def test_what_there_is_not(hub: HubProcess, words: list[str], said: str) -> None:
    """It is said, in a line, with 2."""
    done = await command(hub.url, *words)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""


async def test_topics(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Those that are used, all of them, and one with its filters. What a publisher has written is shown as text."""
    await fhir.subscribe(subscription(f"{receiver.url}/a", "Encounter"))
    url = f"https://topics.example/{uuid4()}"
    topic = {
        "resourceType": "SubscriptionTopic",
        "url": url,
        "status": "active",
        "title": "\x1b[31m[bold]Red[/bold]\u202e",
        "description": "Beds change.",
        "resourceTrigger": [{"resource": "Encounter", "supportedInteraction": ["create"]}],
        "canFilterBy": [{"resource": "Encounter", "filterParameter": "patient", "description": "whose"}],
    }
    async with hub.client("r5") as r5:
        made = await r5.post("SubscriptionTopic", json=topic)
    assert made.status_code == 201, made.text
    listed = await told(hub, "topics")
    assert re.search(rf"^{url} +published +Encounter", listed, re.M)
    assert re.search(r"/encounter-change +built-in +Encounter +1", listed, re.M)
    assert "/basic-change" in await told(hub, "topics", "--all")
    shown = await told(hub, "topics", url)
    assert "\ufffd[31m[bold]Red[/bold]\ufffd" in shown
    assert re.search(r"Encounter\?patient .*whose", shown)
    assert (await command(hub.url, "topics", "encounter-change", "--json")).json["kind"] == "built-in"
