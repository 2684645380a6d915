"""A client's own Subscriptions, and what it learns of others': nothing."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hub.api.routes import Application
from subscriptions.codes import Content
from tests.hub.api.clients import Clients
from tests.hub.api.server import FHIR, Hub, issue
from tests.hub.api.subscriptions import ENDPOINT, asking, listed, put
from tests.processes import subscription

MAY = "system/Subscription.cruds system/Immunization.rs"
NOBODYS = "none"


async def two(clients: Clients) -> tuple[Hub, Hub]:
    """`lab` has the Subscription `s`, `ward` has one of its own."""
    lab, ward = await clients.may("lab", MAY), await clients.may("ward", MAY)
    await put(lab, "s")
    await put(ward, "w")
    return lab, ward


def of_one(app: Any) -> Iterator[tuple[str, str]]:
    """Method and path of every interaction with one Subscription."""
    assert isinstance(app, Application)
    for each in app.described:
        if each.base.endswith("/fhir/r4") and each.path.startswith("/Subscription/{id}"):
            yield each.method, each.path


def sent(method: str, path: str, id_: str) -> Any:
    """A sound body."""
    resource = subscription(ENDPOINT) | {"id": id_}
    if method == "PATCH":
        return [{"op": "replace", "path": "/reason", "value": "mine"}]
    if path.endswith("$validate"):
        return resource
    if path.endswith("$explain"):
        return IMMUNIZATION
    return resource if method == "PUT" else {"resourceType": "Parameters"}


IMMUNIZATION: dict[str, Any] = {
    "resourceType": "Immunization",
    "id": "i",
    "status": "completed",
    "vaccineCode": {"text": "x"},
    "patient": {"reference": "Patient/1"},
    "occurrenceDateTime": "2026-01-01",
}


async def ask(hub: Hub, method: str, path: str, id_: str, number: str = "1", **headers: str) -> httpx.Response:
    body = None if method in ("GET", "DELETE") else sent(method, path, id_)
    if method == "PATCH":
        headers["Content-Type"] = "application/json-patch+json"
    url = path.replace("{id}", id_).replace("{number}", number)
    return await hub.client.request(method, url, json=body, headers=headers)


def told(answer: httpx.Response, id_: str) -> tuple[int, str, set[str]]:
    """Everything that an answer tells, but for the id that was asked for."""
    return answer.status_code, answer.text.replace(f"/{id_}", "/?"), {*answer.headers} - {"content-length"}


async def test_anothers_subscription_answers_as_one_that_does_not_exist(clients: Clients) -> None:
    """Every interaction with one Subscription, whatever there will be; all but a PUT, which would create one."""
    lab, ward = await two(clients)
    before = (await lab.get("/Subscription/s")).json()
    asked = list(of_one(clients.hub.app))
    assert len(asked) > 12
    for method, path in asked:
        for headers in ({}, {"If-Match": 'W/"1"'}):
            others = told(await ask(ward, method, path, "s", **headers), "s")
            if path.endswith("$validate") or (method == "PUT" and not headers):
                continue
            assert others == told(await ask(ward, method, path, NOBODYS, **headers), NOBODYS), (method, path, headers)
            gone = 412 if headers and method in ("PUT", "DELETE") else 204 if method == "DELETE" else 404
            assert others[0] == (400 if "$get-ws" in path else gone), (method, path, headers)
    assert (await lab.get("/Subscription/s")).json() == before


async def test_its_own_and_an_operators_are_found_by_the_same_requests(clients: Clients) -> None:
    """So that the test above compares something: none of them is 404."""
    lab, _ = await two(clients)
    operator = await clients.may("operator", f"{MAY} hub/admin")
    for method, path in of_one(clients.hub.app):
        if method != "DELETE" and "$events" not in path and "$resend" not in path:
            for who in (lab, operator):
                number = str((await lab.get("/Subscription/s")).json()["meta"]["versionId"])
                answer = await ask(who, method, path, "s", number)
                assert answer.status_code != 404, (method, path, answer.text)
    assert issue(await ask(lab, "GET", "/Subscription/{id}/$events", "s"))["details"]["text"] == (
        "There has been no event yet."
    )


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": "*"}])
async def test_a_put_onto_anothers_id_is_404_and_changes_nothing(clients: Clients, headers: dict[str, str]) -> None:
    """It can't create, since the id is in use; of what is there, it learns nothing."""
    lab, ward = await two(clients)
    before = (await lab.get("/Subscription/s")).json()
    answer = await ask(ward, "PUT", "/Subscription/{id}", "s", **headers)
    read = await ward.get("/Subscription/s")
    assert told(answer, "s") == told(read, "s")
    assert answer.status_code == 404
    tried = await ask(ward, "POST", "/Subscription/{id}/$validate", "s")
    assert told(tried, "s") == told(read, "s")
    assert (await lab.get("/Subscription/s")).json() == before
    assert (await ask(ward, "PUT", "/Subscription/{id}", "free", **headers)).status_code == 201


async def test_an_operators_change_leaves_a_subscription_its_owners(clients: Clients) -> None:
    lab, ward = await two(clients)
    operator = await clients.may("operator", f"{MAY} hub/admin")
    await clients.register("lab", MAY, Content.ID_ONLY)
    await put(operator, "s", reason="another")
    assert (await lab.get("/Subscription/s")).json()["reason"] == "another"
    assert (await ward.get("/Subscription/s")).status_code == 404


async def test_searches_and_statuses_list_and_count_its_own(clients: Clients) -> None:
    """Whatever is asked for: all, by id, or by what is in them; an operator finds everybody's."""
    lab, ward = await two(clients)
    operator = await clients.may("operator", f"{MAY} hub/admin")
    for who, ids in ((lab, {"s"}), (ward, {"w"}), (operator, {"s", "w"})):
        for query in ("", "?_id=s,w,none", f"?url={ENDPOINT}", "?_count=1&_total=accurate", "?_summary=count"):
            found = (await who.get(f"/Subscription{query}")).json()
            assert found["total"] == len(ids), query
            if "_count" not in query and "count" not in query:
                assert {each["resource"]["id"] for each in found["entry"]} == ids, query
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        posted = await who.client.post("/Subscription/_search", content="_id=s,w", headers=form)
        assert posted.json()["total"] == len(ids)
        assert listed(await who.get("/Subscription/$status")).keys() == ids
        assert listed(await who.get("/Subscription/$status?id=s,w")).keys() == ids
        assert listed(await who.post("/Subscription/$status", asking(id="s,w"))).keys() == ids
    assert listed(await ward.get("/Subscription/$status?id=s")) == {}


async def test_a_page_ends_where_its_own_end(clients: Clients) -> None:
    """No link leads on for the sake of another's."""
    lab, ward = await two(clients)
    await put(lab, "z")
    found = (await ward.get("/Subscription?_count=1")).json()
    assert [link["relation"] for link in found["link"]] == ["self"]
    assert FHIR in found["link"][0]["url"]


async def test_a_refusal_to_change_a_topic_tells_of_its_own_alone(clients: Clients) -> None:
    """Neither ids nor filters nor how many there are: an operator is told of all."""
    may = f"{MAY} system/SubscriptionTopic.cruds system/Immunization.r"
    lab, ward = await clients.may("lab", may), await clients.may("ward", may)
    operator = await clients.may("operator", f"{may} hub/admin")
    url, place = "http://topics.example/t", f"{FHIR.removesuffix('r4')}r5/SubscriptionTopic/t"
    filters = [{"resource": "Immunization", "filterParameter": each} for each in ("patient", "lot-number")]
    topic = {
        "resourceType": "SubscriptionTopic",
        "id": "t",
        "url": url,
        "status": "active",
        "resourceTrigger": [{"resource": "Immunization"}],
        "canFilterBy": filters,
    }
    assert (await lab.put(place, topic)).status_code == 201
    secret = subscription(ENDPOINT, "Immunization", "patient=Patient/secret") | {"criteria": url}
    for id_ in ("s1", "s2"):
        assert (await lab.put(f"/Subscription/{id_}", secret | {"id": id_})).status_code == 201
    narrower = topic | {"canFilterBy": filters[1:]}

    async def refusals(who: Hub) -> str:
        answers = [await who.put(place, narrower), await who.put(place, topic | {"url": f"{url}2"})]
        answers.append(await who.delete(place))
        assert [answer.status_code for answer in answers] == [409, 409, 409]
        return " ".join(issue(answer)["details"]["text"] for answer in answers)

    told = await refusals(ward)
    assert not any(each in told for each in ("s1", "s2", "secret", "2 Subs", "1 Subs", "0 Subs"))
    others = subscription(ENDPOINT, "Immunization", "patient=Patient/mine") | {"criteria": url}
    assert (await ward.put("/Subscription/s3", others | {"id": "s3"})).status_code == 201
    told = await refusals(ward)
    assert "Subscription/s3" in told
    assert not any(each in told for each in ("s1", "s2", "secret", "3 Subs"))
    told = await refusals(operator)
    assert all(each in told for each in ("s1", "s2", "s3", "3 Subscriptions"))
