"""What an entry of a Bundle asks, a condition, a chain, a message: what the same would ask on its own."""

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from tests.hub.api.bundles import ask, bundle, done, observation, post, put, status, transaction
from tests.hub.api.clients import Clients
from tests.hub.api.server import FHIR, Hub, issue, patient
from tests.hub.api.subscriptions import ENDPOINT
from tests.hub.api.test_registering import refused
from tests.processes import subscription

NAMED = [{"system": "urn:nhi", "value": "1"}]
BY_NHI = "identifier=urn:nhi|1"


def patch(url: str) -> dict[str, Any]:
    data = b64encode(json.dumps([{"op": "add", "path": "/active", "value": True}]).encode()).decode()
    carrier = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}
    return {"resource": carrier, "request": {"method": "PATCH", "url": url}}


def put_by_search(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "PUT", "url": f"Patient?{BY_NHI}"}}


#: An entry, the scopes that it asks for, and whether a transaction takes it too.
ENTRIES = [
    pytest.param(post(patient(identifier=NAMED)), "Patient.c", True, id="create"),
    pytest.param(post(patient(identifier=NAMED), ifNoneExist=BY_NHI), "Patient.cs", True, id="conditional-create"),
    pytest.param(put(patient("b")), "Patient.u", True, id="update"),
    pytest.param(put_by_search(patient(identifier=NAMED)), "Patient.us", False, id="conditional-update"),
    pytest.param(patch("Patient/a"), "Patient.ru", True, id="patch"),
    pytest.param(patch(f"Patient?{BY_NHI}"), "Patient.rus", False, id="conditional-patch"),
    pytest.param(ask("DELETE", "Patient/a"), "Patient.d", True, id="delete"),
    pytest.param(ask("DELETE", f"Patient?{BY_NHI}"), "Patient.ds", False, id="conditional-delete"),
    pytest.param(ask("GET", "Patient/a"), "Patient.r", True, id="read"),
    pytest.param(ask("GET", "Patient/a/_history/1"), "Patient.r", True, id="vread"),
    pytest.param(ask("GET", "Patient/a/_history"), "Patient.r", True, id="history"),
    pytest.param(ask("GET", "Patient?gender=male"), "Patient.s", True, id="search"),
    pytest.param(ask("GET", "Patient/_history"), "Patient.s", True, id="history-of-a-type"),
    pytest.param(ask("GET", "_history"), "*.s", True, id="history-of-all"),
]  # fmt: skip


async def stocked(clients: Clients) -> None:
    all_ = await clients.may("all", "system/*.cruds")
    assert (await all_.put("/Patient/a", patient("a", identifier=NAMED, gender="male"))).status_code == 201


async def kept(clients: Clients) -> set[bytes]:
    """Every key, but those of the audit, which has the refusals."""
    return {key for key in await clients.hub.keys() if not key.startswith(b"hub:{audit:")}


def less(scope: str) -> list[str]:
    """What comes close: without one of the letters, and all of them on another type."""
    type_, letters = scope.split(".")
    others = "".join(each for each in "cruds" if each not in letters)
    close = [f"system/{type_}.{''.join(each for each in 'cruds' if each != letter)}" for letter in letters]
    return [*close, f"system/{type_}.{others}", "system/Observation.cruds"]


@pytest.mark.parametrize(("entry", "scope", "_"), ENTRIES)
async def test_in_a_batch_an_entry_is_refused_on_its_own(
    clients: Clients, entry: dict[str, Any], scope: str, _: bool
) -> None:
    """The others are done."""
    await stocked(clients)
    other = put(observation("o"))
    for close in less(scope):
        lab = await clients.may("lab", f"{close} system/Observation.u")
        before = await clients.hub.changes()
        mine, others = await done(lab, bundle("batch", entry, other))
        assert status([mine, others])[0] == 403, close
        assert status([others])[0] in (200, 201)
        [told] = mine["response"]["outcome"]["issue"]
        assert (told["code"], f"system/{scope}" in told["details"]["text"]) == ("forbidden", True)
        assert {name for name, *_ in {*await clients.hub.changes()} - {*before}} == {"Observation/o"}
    lab = await clients.may("lab", f"system/{scope} system/Observation.u")
    assert all(each < 400 for each in status(await done(lab, bundle("batch", entry, other))))


@pytest.mark.parametrize(("entry", "scope", "taken"), ENTRIES)
async def test_a_transaction_is_refused_as_a_whole(
    clients: Clients, entry: dict[str, Any], scope: str, taken: bool
) -> None:
    """Nothing is stored, reserved or locked."""
    await stocked(clients)
    sent = transaction(put(observation("o")), entry)
    keys = await kept(clients)
    for close in less(scope):
        lab = await clients.may("lab", f"{close} system/Observation.u")
        [told] = refused(await lab.post("", sent, idempotency_key="k"), f"system/{scope}")
        assert told["expression"] == ["Bundle.entry[1]"]
        assert await kept(clients) == keys
    lab = await clients.may("lab", f"system/{scope} system/Observation.u")
    assert (await lab.post("", sent)).status_code == (200 if taken else 400)


async def test_a_transaction_names_every_entry_that_lacks_something(clients: Clients) -> None:
    lab = await clients.may("lab", "system/Patient.c")
    sent = transaction(post(patient()), put(patient("a")), ask("DELETE", "Observation/1"))
    told = refused(await lab.post("", sent), "system/Patient.u system/Observation.d")
    assert [each["expression"] for each in told] == [["Bundle.entry[1]"], ["Bundle.entry[2]"]]


async def test_a_repeated_transaction_asks_again(clients: Clients) -> None:
    """What was answered is told only to whoever may still do it."""
    sent = transaction(put(patient("a")))
    lab = await clients.may("lab", "system/Patient.u")
    first = await lab.post("", sent, idempotency_key="k")
    assert (first.status_code, (await lab.post("", sent, idempotency_key="k")).json()) == (200, first.json())
    lab = await clients.may("lab", "system/Patient.rs")
    refused(await lab.post("", sent, idempotency_key="k"), "system/Patient.u")


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET", "PATCH"])
async def test_subscriptions_and_topics_are_not_in_bundles(clients: Clients, kind: str, method: str) -> None:
    """Whatever the client may do: so nothing is asked there that another place would have to ask too."""
    lab = await clients.may("lab", "system/*.cruds")
    resource = subscription(ENDPOINT) | {"id": "s"}
    for type_ in ("Subscription", "SubscriptionTopic"):
        url = type_ if method == "POST" else f"{type_}/s"
        entry = patch(url) if method == "PATCH" else ask(method, url)
        if method in ("POST", "PUT"):
            entry["resource"] = resource | {"resourceType": type_}
        answer = await lab.post("", bundle(kind, entry))
        assert (status(answer.json()["entry"])[0] if kind == "batch" else answer.status_code) in (400, 404)
    assert (await lab.get("/Subscription")).json()["total"] == 0


@pytest.mark.parametrize(
    ("method", "scope"),
    [("POST", "Patient.cs"), ("PUT", "Patient.us"), ("PATCH", "Patient.rus"), ("DELETE", "Patient.ds")],
)
async def test_a_condition_is_a_search(clients: Clients, method: str, scope: str) -> None:
    """Also where a search isn't the interaction's name, as in If-None-Exist."""
    await stocked(clients)

    async def write(hub: Hub) -> httpx.Response:
        if method == "POST":
            return await hub.post("/Patient", patient(), if_none_exist=BY_NHI)
        body = [{"op": "add", "path": "/active", "value": True}] if method == "PATCH" else patient(identifier=NAMED)
        headers = {"Content-Type": "application/json-patch+json"} if method == "PATCH" else {}
        sent = None if method == "DELETE" else body
        return await hub.client.request(method, f"/Patient?{BY_NHI}", json=sent, headers=headers)

    changes = await clients.hub.changes()
    lab = await clients.may("lab", f"system/{scope.removesuffix('s')}")
    answer = await write(lab)
    assert answer.status_code == 403
    assert "system/Patient." in issue(answer)["details"]["text"]
    assert await clients.hub.changes() == changes
    assert (await write(await clients.may("lab", f"system/{scope}"))).is_success


@pytest.mark.parametrize("kind", ["batch", "transaction", ""])
async def test_a_patch_reads(clients: Clients, kind: str) -> None:
    """It may test what is there and copy it, so that who may only update learns nothing by one."""
    await stocked(clients)
    for scope, expected in (("u", 403), ("r", 403), ("ru", 200)):
        lab = await clients.may("lab", f"system/Patient.{scope}")
        if kind:
            answer = await lab.post("", bundle(kind, patch("Patient/a")))
            found = status(answer.json()["entry"])[0] if answer.is_success else answer.status_code
        else:
            test = [{"op": "test", "path": "/resourceType", "value": "Patient"}]
            headers = {"Content-Type": "application/json-patch+json"}
            found = (await lab.client.patch("/Patient/a", json=test, headers=headers)).status_code
        assert (scope, found) == (scope, expected)


async def test_a_reference_that_is_a_search_asks_to_search(clients: Clients) -> None:
    """In a transaction and in a message; nothing is stored, and no id is told."""
    await stocked(clients)
    of_patient = observation(subject={"reference": f"Patient?{BY_NHI}"})
    lab = await clients.may("lab", "system/Observation.c system/Patient.r")
    for url, sent in (("", transaction(post(of_patient))), ("/$process-message", message(of_patient))):
        changes = await clients.hub.changes()
        answer = await lab.post(url, sent)
        assert answer.status_code == 403
        assert "system/Patient.s" in issue(answer)["details"]["text"]
        assert await clients.hub.changes() == changes
    lab = await clients.may("lab", "system/Observation.c system/Patient.s")
    for url, sent in (("", transaction(post(of_patient))), ("/$process-message", message(of_patient))):
        assert (await lab.post(url, sent)).status_code == 200


def message(*carried: dict[str, Any]) -> dict[str, Any]:
    header = {
        "resourceType": "MessageHeader",
        "id": "m",
        "eventCoding": {"system": "urn:events", "code": "a"},
        "source": {"endpoint": "urn:oid:1.2.3"},
    }
    return {"resourceType": "Bundle", "type": "message", "entry": [{"resource": each} for each in (header, *carried)]}


async def test_a_message_asks_to_create_or_update_all_that_it_carries(clients: Clients) -> None:
    sent = message(patient("a"), observation())
    before = await kept(clients)
    for scopes, lacking in (
        ("", "system/Patient.u system/Observation.c"),
        ("system/Patient.crds system/Observation.c", "system/Patient.u"),
        ("system/Patient.u system/Observation.ruds", "system/Observation.c"),
    ):
        lab = await clients.may("lab", scopes)
        refused(await lab.post("/$process-message", sent), lacking)
        assert await kept(clients) == before
    lab = await clients.may("lab", "system/Patient.u system/Observation.c")
    assert (await lab.post("/$process-message", sent)).status_code == 200


@pytest.mark.parametrize(
    ("query", "others"),
    [
        ("subject:Patient.gender=male", "Patient"),
        ("_has:Provenance:target:agent-type=x", "Provenance"),
        ("patient._in=Group/1", "Group"),
    ],
)
async def test_what_looks_at_other_types_asks_to_search_these_too(chained: Clients, query: str, others: str) -> None:
    """By URL, form, condition and Bundle, or a search would tell of what may not be searched."""
    all_ = await chained.may("all", "system/*.cruds")
    assert (await all_.put("/Patient/a", patient("a", gender="male"))).status_code == 201
    body = observation(subject={"reference": "Patient/a"})
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    async def each(hub: Hub) -> list[httpx.Response]:
        return [
            await hub.get(f"/Observation?{query}"),
            await hub.client.post("/Observation/_search", content=query, headers=form),
            await hub.post("/Observation", body, if_none_exist=query),
            await hub.client.put(f"/Observation?{query}", json=body),
            await hub.client.delete(f"/Observation?{query}"),
            await hub.post("", transaction(post(body, ifNoneExist=query))),
        ]

    lab = await chained.may("lab", "system/Observation.cruds system/Patient.r system/Provenance.r system/Group.r")
    for answer in await each(lab):
        assert answer.status_code == 403, answer.request.url
        assert f"system/{others}.s" in issue(answer)["details"]["text"]
    [searched] = await done(lab, bundle("batch", ask("GET", f"Observation?{query}")))
    assert status([searched]) == [403]
    assert (await chained.hub.changes())[0][0] == "Patient/a"
    lab = await chained.may("lab", f"system/Observation.cruds system/{others}.s")
    for answer in await each(lab):
        assert answer.is_success, answer.text


async def test_a_topic_is_no_basic_to_write(clients: Clients) -> None:
    """Neither on its own, nor by a Bundle, a message or a condition; who may write topics does it elsewhere."""
    operator = await clients.may("operator", "system/*.cruds")
    topic = {
        "resourceType": "SubscriptionTopic",
        "id": "t",
        "url": "http://topics.example/t",
        "status": "active",
        "resourceTrigger": [{"resource": "Immunization"}],
    }
    assert (await operator.put(f"{FHIR.removesuffix('r4')}r5/SubscriptionTopic/t", topic)).status_code == 201
    basic = {"resourceType": "Basic", "id": "t", "code": {"text": "x"}}
    by_search: dict[str, Any] = {"resource": basic, "request": {"method": "PUT", "url": "Basic?code=none"}}
    entries = (put(basic), by_search, patch("Basic/t"), ask("DELETE", "Basic/t"))
    before = await clients.hub.changes()
    for who in (operator, await clients.may("lab", "system/Basic.cruds")):
        for entry in entries:
            assert status(await done(who, bundle("batch", entry)))[0] in (404, 405), entry
            if "?" not in entry["request"]["url"]:
                refusal = await who.post("", transaction(entry))
                assert (refusal.status_code, issue(refusal)["expression"]) == (405, ["Bundle.entry[0]"])
        assert (await who.post("/$process-message", message(basic))).status_code == 405
        assert (await who.client.put("/Basic?code=none", json=basic)).status_code == 405
    assert await clients.hub.changes() == before
    for method, body in (("PUT", basic), ("DELETE", None), ("GET", None)):
        answer = await (await clients.may("lab", "system/Basic.cruds")).client.request(method, "/Basic/t", json=body)
        assert answer.status_code == 403
        assert "system/SubscriptionTopic." in issue(answer)["details"]["text"]
    reading = (ask("GET", "Basic/t"), ask("GET", "Basic?code=SubscriptionTopic"), ask("GET", "Basic"))
    lab = await clients.may("lab", "system/Basic.cruds")
    assert status(await done(lab, bundle("batch", *reading))) == [403, 403, 200]
    refused(await lab.post("", transaction(*reading)), "system/SubscriptionTopic.r system/SubscriptionTopic.s")
    lab = await clients.may("lab", "system/SubscriptionTopic.rs")
    assert status(await done(lab, bundle("batch", *reading))) == [200, 200, 403]
    assert (await lab.get("/Basic/t")).json()["id"] == "t"
    assert (await lab.get("/Basic?code=SubscriptionTopic")).json()["total"] > 100
    refused(await lab.get("/Basic"), "system/Basic.s")
    refused(await lab.get("/Basic/none"), "system/Basic.r")
