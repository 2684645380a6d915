"""`hub subscriptions`, `topics` and `resend`: what an operator sees and does from a shell."""

import json
import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from tests.cli.commands import begun, command
from tests.facts import eventually
from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Received, Receiver


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

    async def listed() -> bool:
        words = await told(hub, "subscriptions", "list", "--search", id_)
        row = rf"r4/{id_} +active +{receiver.url}\n"
        return re.fullmatch(rf"subscription +status +wait +oldest +told at\n{row}", words) is not None

    async def delivered() -> bool:
        rows = (await command(hub.url, "subscriptions", "list", "--origin", receiver.url, "--json")).json
        return [(row["id"], row["delivered"]) for row in rows] == [(id_, 1)]

    await eventually(delivered)  # a look at all of them is believed for some seconds
    await eventually(listed)

    shown = await told(hub, "subscriptions", "show", id_)
    assert re.search(r"^status +active$", shown, re.M)
    assert re.search(r"^events +1, delivered to 1$", shown, re.M)
    assert re.search(r" events 1 ", shown)
    assert "subscription-created" in shown
    assert f"{receiver.url}/a" not in shown
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


async def test_an_origin_is_drained(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Nothing is sent to it; `hub status` says so, and by which command it ends: then what has waited comes."""
    await fhir.subscribe(subscription(f"{receiver.url}/e", "Immunization"))
    assert receiver.url in await told(hub, "origins", "drain", receiver.url, "--minutes", "5")
    states = {row["origin"]: row["state"] for row in (await command(hub.url, "origins", "list", "--json")).json}
    assert states[receiver.url] == "drained"
    assert re.search(rf"^{receiver.url} +drained ", await told(hub, "origins", "list"), re.M)
    await fhir.post(immunization())
    said = (await command(hub.url, "status")).out
    assert f"Nothing is sent to {receiver.url}: drained until" in said
    assert f"hub origins resume {receiver.url}\n" in said
    assert not [each for each in receiver.received if each.numbers]
    assert "goes on its way" in await told(hub, "origins", "resume", receiver.url)
    await eventually(lambda: [each.numbers for each in receiver.received if each.numbers] == [[1]])
    again = await command(hub.url, "origins", "resume", receiver.url)
    assert (again.code, "is not drained" in again.err) == (2, True)


async def test_pages(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """All of them are listed, however many come on a page, and no more than are wanted."""
    ids = {await fhir.post(subscription(f"{receiver.url}/{n}", "Basic") | {"status": "requested"}) for n in range(55)}

    async def listed() -> bool:
        words = ("subscriptions", "list", "--origin", receiver.url, "--limit", "0", "--json")
        return {row["id"] for row in (await command(hub.url, *words)).json} == ids

    await eventually(listed)  # a look at all of them is believed for some seconds
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

    async def listed() -> bool:
        """A look at the Subscriptions is believed for a while."""
        found = await told(hub, "topics")
        assert re.search(rf"^{url} +published +Encounter", found, re.M)
        return bool(re.search(r"/encounter-change +built-in +Encounter +1", found, re.M))

    await eventually(listed)
    assert "/basic-change" in await told(hub, "topics", "--all")
    shown = await told(hub, "topics", url)
    assert "\ufffd[31m[bold]Red[/bold]\ufffd" in shown
    assert re.search(r"Encounter\?patient .*whose", shown)
    assert (await command(hub.url, "topics", "encounter-change", "--json")).json["kind"] == "built-in"


async def test_why(hub: HubProcess, fhir: Fhir, receiver: Receiver, tmp_path: Path) -> None:
    """`hub explain --ask`: of a Subscription and a version that the hub has, and of files; the exit code says which."""
    id_ = await fhir.subscribe(subscription(f"{receiver.url}/a", "Immunization", "lot-number=2"))
    stored = await fhir.post(immunization())
    done = await command(hub.url, "explain", "--ask", id_, f"Immunization/{stored}")
    assert done.code == 1
    assert done.out.startswith("not told: ")
    assert '✗ wanted   lot-number=2\n  found    Immunization.lotNumber: "1"\n' in done.out
    file = tmp_path / "r"
    file.write_text(json.dumps(immunization() | {"lotNumber": "2"}))
    done = await command(hub.url, "explain", "--ask", f"r4/{id_}", str(file))
    assert (done.code, done.out.partition(":")[0]) == (0, "told")
    given = tmp_path / "s"
    given.write_text(json.dumps(subscription(f"{receiver.url}/a", "Immunization", "lot-number=\x1b[2J")))
    done = await command(hub.url, "explain", "--ask", str(given), str(file))
    assert done.code == 1
    assert "lot-number=\ufffd[2J" in done.out
    assert not (await command(hub.url, "explain", "--ask", str(given), str(file), "--json")).json["matched"]
    for wrong, said in (
        ((id_, "Immunization/nothing"), "404: "),
        ((id_, "nothing"), "neither a file nor a reference"),
        (("a/b/c", str(file)), "neither a file nor the id"),
        ((id_, str(file), "--topic", str(file)), "--topic is for files alone"),
    ):
        done = await command(hub.url, "explain", "--ask", *wrong)
        assert (done.code, said in done.err) == (2, True), done.err
    assert (await command("http://127.0.0.1:1", "explain", "--ask", id_, str(file))).code == 2


async def test_what_was_done_in_json(hub: HubProcess) -> None:
    """Commands that change something say in JSON what they changed, for scripts."""
    name = f"client-{uuid4().hex[:8]}"

    async def did(*words: str) -> Any:
        done = await command(hub.url, *words, "--data", str(hub.data), "--json")
        assert done.code == 0, done.err
        return done.json

    assert (await did("clients", "set", name, "--scopes", "system/Basic.r"))[0]["name"] == name
    key = await did("keys", "create", name)
    assert key["key"].startswith(f"hubkey_{key['id']}_")
    assert (await did("keys", "revoke", key["id"])) == {"id": key["id"], "client": name}
    assert (await did("clients", "off", name))["state"] == "off"
    assert (await did("clients", "remove", name)) == {"name": name, "keys": "1"}
    assert (await did("tenants", "set", f"t-{name}"))["base"] == f"/t/t-{name}/fhir/r4"
    assert (await did("tenants", "grant", f"t-{name}", "default", "system/Basic.r"))["scopes"] == "system/Basic.r"
    assert (await did("tenants", "revoke", f"t-{name}", "default"))["scopes"] is None
    rule = await did("suppress", "add", "Basic?code=nothing")
    assert await did("suppress", "remove", rule["rule"]) == rule
    done = await command(hub.url, "check", "clock", "--json", settings={"HUB_REDIS_URL": hub.redis_url})
    assert (done.code, done.json) == (0, {"part": "clock", "atWork": True})


async def test_all_in_error_are_resumed(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Those of an origin, whose endpoint is mended; not one that was turned off."""

    async def broken(_: Received) -> int:
        return 400

    ids = []
    for path in ("/b", "/c", "/d"):
        receiver.answers[path] = broken
        ids.append(await fhir.post(subscription(f"{receiver.url}{path}", "Immunization")))
    for id_ in ids:
        await fhir.until(id_, "error")

    async def listed() -> bool:
        found = (await command(hub.url, "subscriptions", "list", "--origin", receiver.url, "--json")).json
        return [each["status"] for each in found] == ["error"] * 3

    await eventually(listed)
    await told(hub, "subscriptions", "off", ids[2])
    neither = await command(hub.url, "subscriptions", "resume")
    assert (neither.code, neither.out) == (2, "")
    receiver.answers.clear()
    said = await told(hub, "subscriptions", "resume", "--all", "--origin", receiver.url)
    assert said.startswith("2 of 2 are `requested`")
    for id_ in ids[:2]:
        await fhir.until(id_, "active")
    assert (await command(hub.url, "subscriptions", "show", ids[2], "--json")).json["status"] == "off"


class Hub:
    """What a Receiver has to answer to be taken for a hub. `stands`: How each of its Subscriptions stands."""

    def __init__(self, receiver: Receiver, **stands: str) -> None:
        self.receiver, self.stands = receiver, stands
        self.missed = [{"first": 1, "last": 3}, {"first": 5, "last": 6}]
        self.listed: list[dict[str, Any]] = [{"version": "r4", "id": id_} for id_ in stands]
        self.answer("/admin/subscriptions", lambda: {"subscriptions": self.listed, "next": None})
        for id_ in stands:
            self.answer(f"/admin/subscriptions/r4/{id_}", partial(self.one, id_))
            self.answer(f"/admin/subscriptions/r4/{id_}/resume", partial(self.resumed, id_))
            self.answer(f"/admin/subscriptions/r4/{id_}/redeliver", lambda: {"first": 1, "last": 3, "text": "Sent."})

    def answer(self, path: str, told: Callable[[], Any], status: int = 200) -> None:
        async def answers(_: Received) -> web.Response:
            return web.json_response(told(), status=status)

        self.receiver.answers[path] = answers

    def one(self, id_: str) -> dict[str, Any]:
        return {"status": self.stands[id_], "error": None, "outcome": None, "missed": self.missed}

    def resumed(self, id_: str) -> dict[str, Any]:
        self.stands[id_] = "active"
        return {"text": "It is `requested`."}

    @property
    def resent(self) -> list[str]:
        return [each.path.split("/")[-2] for each in self.receiver.received if each.path.endswith("/redeliver")]


async def test_resumed_by_a_hub_that_goes_away(receiver: Receiver) -> None:
    """One that is not answered for stops none of the others; in a line each it is said which, and 1."""
    hub = Hub(receiver, a="error", b="error", c="error")
    hub.missed = [{"first": 1, "last": 3}]
    hub.answer("/admin/subscriptions/r4/b/redeliver", lambda: {}, 503)
    done = await command(receiver.url, "subscriptions", "resume", "--all", "--resend")
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines() == [
        "r4/b: 503: {} (this is no answer of a hub's)",
        "2 of 3 are `active`: the 6 events that they missed are sent.",
        "`hub subscriptions resume NAME --resend` goes on with one of them.",
    ]
    hub.answer("/admin/subscriptions/r4/b/redeliver", lambda: {"first": 1, "last": 3, "text": "Sent."})
    hub.answer("/admin/subscriptions/r4/b/resume", lambda: {}, 409)  # it is active since
    again = await command(receiver.url, "subscriptions", "resume", "r4/b", "--resend")
    assert (again.code, again.out) == (0, "It is `active`: the 3 events that it missed are sent.\n")


async def test_missed_and_not_kept(receiver: Receiver) -> None:
    """What is not kept any more is counted apart, and what was missed behind it is sent; then it is 3."""
    hub = Hub(receiver, a="error")
    redelivered = iter((web.json_response({}, status=410), web.json_response({"first": 6, "last": 6, "text": "."})))

    async def redeliver(_: Received) -> web.Response:
        return next(redelivered)

    receiver.answers["/admin/subscriptions/r4/a/redeliver"] = redeliver
    done = await command(receiver.url, "subscriptions", "resume", "--all", "--resend", "--json")
    assert (done.code, done.json) == (3, {"active": ["r4/a"], "refused": {}, "missed": 1, "lost": 4})
    assert hub.resent == ["a", "a"]


async def test_stopped_while_it_resumes(receiver: Receiver) -> None:
    """After a Ctrl-C it is said whose events were not sent yet: --all would not find them again."""
    hub = Hub(receiver, a="error")
    hub.answer("/admin/subscriptions/r4/a/resume", lambda: hub.stands.update(a="requested") or {"text": "."})
    async with begun(receiver.url, "subscriptions", "resume", "--all", "--resend") as process:
        await receiver.until(lambda: receiver.requests["/admin/subscriptions/r4/a"] > 1)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.decode().splitlines() == [
        "r4/a is asked; what it missed is not sent yet.",
        "`hub subscriptions resume NAME --resend` goes on with one of them.",
    ]


async def test_what_was_missed_is_sent(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Of each whose endpoint accepts; one that does not is named, and nothing is sent there."""
    answers = {"/e": 200, "/f": 200, "/g": 200}

    async def answer(received: Received) -> int:
        return answers[received.path]

    receiver.answers |= dict.fromkeys(answers, answer)
    ids = {path: await fhir.subscribe(subscription(f"{receiver.url}{path}", "Immunization")) for path in answers}
    answers |= dict.fromkeys(answers, 400)
    await fhir.post(immunization())
    for id_ in ids.values():
        await fhir.until(id_, "error")
    await fhir.post(immunization())
    for id_ in ids.values():
        await fhir.until_events(id_, 2)

    async def listed() -> bool:
        found = (await command(hub.url, "subscriptions", "list", "--origin", receiver.url, "--json")).json
        return [each["status"] for each in found] == ["error"] * 3

    await eventually(listed)
    answers |= {"/e": 200, "/f": 200}
    before = receiver.requests["/g"]
    came = await command(hub.url, "subscriptions", "resume", "--all", "--origin", receiver.url, "--resend")
    assert came.code == 3
    refused, done, _ = came.out.splitlines()
    assert refused.startswith(f"r4/{ids['/g']}: it is `error`, and nothing is resent: ")
    assert done == "2 of 3 are `active`: the 4 events that they missed are sent."
    for path in ("/e", "/f"):
        await receiver.until(partial(_told_again, receiver, path))
    assert receiver.requests["/g"] == before + 1, "the handshake"
    answers["/g"] = 200
    await told(hub, "subscriptions", "resume", ids["/g"])
    await fhir.until(ids["/g"], "active")

    async def missed() -> bool:
        found = await command(hub.url, "subscriptions", "list", "--origin", receiver.url, "--missed", "--json")
        return [each["id"] for each in found.json] == [ids["/g"]]

    await eventually(missed)
    # Others on this hub may have missed something, too.
    said = re.search(r"^not sent +(?:\d+ dropped, )?(\d+) missed$", (await command(hub.url, "status")).out, re.M)
    assert said
    assert int(said[1]) >= 2
    came = await command(hub.url, "subscriptions", "resume", "--all", "--origin", receiver.url, "--resend", "--json")
    assert (came.code, came.json["active"], came.json["missed"]) == (0, [f"r4/{ids['/g']}"], 2)
    await receiver.until(partial(_told_again, receiver, "/g"))


async def test_what_was_missed_by_those_that_were_resumed_before(receiver: Receiver) -> None:
    """With --resend --all has them, too; not who was turned off since, nor who has missed nothing."""
    hub = Hub(receiver, a="active", b="error", c="off", d="active")
    hub.missed = [{"first": 1, "last": 3}]
    hub.answer("/admin/subscriptions/r4/d", lambda: {"status": "active", "missed": []})
    done = await command(receiver.url, "subscriptions", "resume", "--all", "--json")
    assert (done.code, done.json["requested"], hub.resent) == (0, ["r4/b"], [])
    done = await command(receiver.url, "subscriptions", "resume", "--all", "--resend", "--json")
    assert (done.code, done.json["active"]) == (0, ["r4/a", "r4/b"])
    assert sorted(hub.resent) == ["a", "b"]


async def test_why_some_are_in_error_is_listed(receiver: Receiver) -> None:
    """Beside each; there is no such column where nothing is wrong."""
    hub = Hub(receiver, a="error", b="active")
    row = {"undelivered": 0, "oldestAt": None, "origin": "https://lab.example"}
    hub.listed = [row | {"version": "r4", "id": "a", "status": "error", "error": "the endpoint answered 500"}]
    shown = (await command(receiver.url, "subscriptions", "list")).out
    assert re.search(r" why\n.* lab.example +the endpoint answered 500\n$", shown)
    hub.listed = [row | {"version": "r4", "id": "b", "status": "active", "error": ""}]
    assert "why" not in (await command(receiver.url, "subscriptions", "list")).out


def _told_again(receiver: Receiver, path: str) -> bool:
    """The first was tried before, the second was not."""
    return 2 in receiver.numbers(path) and receiver.numbers(path)[-2:] == [1, 2]


async def test_what_is_off_waits_since_no_time(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Its events are counted; none of them is the oldest that is still to be sent."""
    id_ = await fhir.subscribe(subscription(f"{receiver.url}/h", "Immunization"))

    async def broken(_: Received) -> int:
        return 400

    receiver.answers["/h"] = broken
    await fhir.post(immunization())
    await fhir.until(id_, "error")
    await told(hub, "subscriptions", "off", f"r4/{id_}")
    assert re.search(r"^wait +1$", await told(hub, "subscriptions", "show", f"r4/{id_}"), re.M)
