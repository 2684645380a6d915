"""A Subscription is accepted only if its owner may be told of what it asks for."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from subscriptions.clearance import NORMAL
from subscriptions.codes import Content
from tests.conformance.topics import SHAPED, TOPICS
from tests.hub.api.clients import Clients
from tests.hub.api.server import FHIR, Hub, issue
from tests.hub.api.subscriptions import ENDPOINT
from tests.hub.api.test_own import IMMUNIZATION
from tests.processes import subscription, subscription_r5

SUBSCRIBE = "system/Subscription.cruds"


def wanted(version: str = "r4", **options: Any) -> dict[str, Any]:
    made = subscription_r5(ENDPOINT, **options) if version == "r5" else subscription(ENDPOINT, **options)
    return made | {"id": "s"}


async def register(hub: Hub, resource: dict[str, Any], version: str = "r4") -> httpx.Response:
    return await hub.put(f"{FHIR.removesuffix('r4')}{version}/Subscription/s", resource)


def refused(answer: httpx.Response, scope: str = "") -> list[dict[str, Any]]:
    """The issues of a 403, which names the scope, where it is for lack of one."""
    assert answer.status_code == 403, answer.text
    issue(answer)
    assert {each["code"] for each in answer.json()["issue"]} == {"forbidden"}
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"' if scope else None
    assert answer.headers.get("WWW-Authenticate") == challenge
    return list(answer.json()["issue"])


@pytest.mark.parametrize(("version", "element"), [("r4", "criteria"), ("r4b", "criteria"), ("r5", "topic")])
async def test_the_scope_and_the_element_are_named(clients: Clients, version: str, element: str) -> None:
    """By create, update, patch and `$validate`; with the scope it is accepted."""
    lab = await clients.may("lab", f"{SUBSCRIBE} system/Immunization.cus system/Patient.r")
    base = f"{FHIR.removesuffix('r4')}{version}"
    resource = wanted(version)
    for answer in (await register(lab, resource, version), await lab.post(f"{base}/Subscription", resource)):
        [found] = refused(answer, "system/Immunization.r")
        assert "system/Immunization.r" in found["details"]["text"]
        assert found["expression"] == [f"Subscription.{element}"]
        for path in ("/Subscription/$validate", "/Subscription/s/$validate"):
            tried = await lab.post(f"{base}{path}", resource)
            assert (tried.status_code, tried.json()["issue"]) == (200, [found])
    assert (await lab.get(f"{base}/Subscription/s")).status_code == 404
    lab = await clients.may("lab", f"{SUBSCRIBE} system/Immunization.r")
    assert (await lab.post(f"{base}/Subscription/s/$validate", resource)).json()["issue"][0][
        "severity"
    ] == "information"
    assert (await register(lab, resource, version)).status_code == 201


@pytest.mark.parametrize(("version", "element"), [("r4", "channel.payload"), ("r5", "content")])
@pytest.mark.parametrize("most", [Content.EMPTY, Content.ID_ONLY])
async def test_the_content_that_is_allowed_is_named(
    clients: Clients, version: str, element: str, most: Content
) -> None:
    lab = await clients.may("lab", f"{SUBSCRIBE} system/*.r", most)
    [found] = refused(await register(lab, wanted(version, content="full-resource"), version))
    assert found["expression"] == [f"Subscription.{element}"]
    assert f"`{most}` at most" in found["details"]["text"]
    assert (await register(lab, wanted(version, content=most.value), version)).status_code == 201
    refused(await register(lab, wanted(version, content="full-resource"), version))
    assert (await lab.get(f"{FHIR.removesuffix('r4')}{version}/Subscription/s")).json()["meta"]["versionId"] == "1"


async def test_criteria_that_are_a_search_are_told_the_whole_resource(clients: Clients) -> None:
    lab = await clients.may("lab", f"{SUBSCRIBE} system/Immunization.r", Content.ID_ONLY)
    resource = wanted() | {"criteria": "Immunization?status=completed"}
    del resource["channel"]["_payload"]
    [found] = refused(await register(lab, resource))
    assert found["expression"] == ["Subscription.channel.payload"]
    del resource["channel"]["payload"]
    resource["criteria"] = "Patient?gender=male"
    refused(await register(lab, resource), "system/Patient.r")
    assert (await register(lab, resource | {"criteria": "Immunization?status=completed"})).status_code == 201


async def test_what_comes_along_has_to_be_allowed_too(clients: Clients) -> None:
    operator = await clients.may("operator", "system/*.cruds")
    [topic] = [each for each in TOPICS if each["url"] == SHAPED]
    put = await operator.put(f"{FHIR.removesuffix('r4')}r5/SubscriptionTopic/{topic['id']}", topic)
    assert put.status_code == 201
    lab = await clients.may("lab", f"{SUBSCRIBE} system/Immunization.r")
    refused(await register(lab, wanted() | {"criteria": SHAPED}), "system/Patient.r")
    lab = await clients.may("lab", f"{SUBSCRIBE} system/Immunization.r system/Patient.r")
    assert (await register(lab, wanted() | {"criteria": SHAPED})).status_code == 201


async def test_lost_rights_are_seen_when_it_is_changed_and_not_when_it_is_turned_off(clients: Clients) -> None:
    """Whoever may be told no more may still end it, or have it off; back on it comes with the right alone."""
    lab = await clients.may("lab", f"{SUBSCRIBE} system/Immunization.r")
    assert (await register(lab, wanted())).status_code == 201
    lab = await clients.may("lab", SUBSCRIBE)
    patch = [{"op": "replace", "path": "/reason", "value": "another"}]
    headers = {"Content-Type": "application/json-patch+json"}
    refused(await register(lab, wanted()), "system/Immunization.r")
    refused(await lab.client.patch("/Subscription/s", json=patch, headers=headers), "system/Immunization.r")
    assert (await register(lab, wanted(status="off"))).status_code == 200
    refused(await register(lab, wanted()), "system/Immunization.r")
    assert (await lab.delete("/Subscription/s")).status_code == 204


async def test_an_operator_gives_nobody_more_than_he_may(clients: Clients) -> None:
    """What counts is what the owner may, not what whoever writes may."""
    lab = await clients.may("lab", f"{SUBSCRIBE} system/Immunization.r", Content.ID_ONLY)
    assert (await register(lab, wanted())).status_code == 201
    operator = await clients.may("operator", "system/*.cruds hub/admin")
    refused(await register(operator, wanted()), "system/Immunization.r")  # of the client there is no record yet
    await clients.register("lab", f"{SUBSCRIBE} system/Immunization.r", Content.ID_ONLY)
    assert (await register(operator, wanted())).status_code == 200
    refused(await register(operator, wanted(content="full-resource")))


async def test_malformed_is_told_before_forbidden(clients: Clients) -> None:
    """A client learns what is wrong with its own text, in any case."""
    lab = await clients.may("lab", SUBSCRIBE)
    answer = await register(lab, wanted() | {"status": "asleep"})
    assert (answer.status_code, issue(answer)["expression"]) == (400, ["Subscription.status"])


async def test_an_explanation_of_a_stored_change_is_for_whoever_may_read_it(clients: Clients) -> None:
    """Whether or not there is such a version, which nobody else learns."""
    lab = await clients.may("lab", f"{SUBSCRIBE} system/Immunization.ru")
    assert (await register(lab, wanted())).status_code == 201
    assert (await lab.put("/Immunization/i", IMMUNIZATION)).status_code == 201
    url = "/Subscription/s/$explain?reference=Immunization/{}/_history/1"
    assert (await lab.post(url.format("i"), None)).status_code == 200
    assert (await lab.post(url.format("none"), None)).status_code == 404
    lab = await clients.may("lab", SUBSCRIBE)
    for id_ in ("i", "none"):
        refused(await lab.post(url.format(id_), None), "system/Immunization.r")
    # What it brings itself it may have explained.
    assert (await lab.post("/Subscription/s/$explain", IMMUNIZATION)).status_code == 200


async def test_an_explanation_does_not_show_what_its_labels_keep_from_the_client(clients: Clients) -> None:
    lab = await clients.may("lab", f"{SUBSCRIBE} system/Immunization.ru")
    assert (await register(lab, wanted())).status_code == 201
    secret = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}
    for more in ({"meta": {"security": [secret]}}, {}):
        assert (await lab.put("/Immunization/i", IMMUNIZATION | more)).is_success
    clients.gate.rights["lab"] = replace(clients.gate.rights["lab"], clearance=NORMAL)
    url = "/Subscription/s/$explain?reference=Immunization/{}/_history/{}"
    none = await lab.post(url.format("none", 1), None)
    for number in (1, 2):  # the second one tells of the first
        answer = await lab.post(url.format("i", number), None)
        assert answer.text == none.text.replace("/none/_history/1", f"/i/_history/{number}")
        assert answer.status_code == 404


async def test_a_chain_asks_nothing_of_what_the_client_may_not_read(chained: Clients) -> None:
    """In a Subscription, and in an explanation of what was never registered: each would answer for the Patient."""
    lab = await chained.may("lab", f"{SUBSCRIBE} system/Immunization.r")
    resource = wanted() | {"criteria": "Immunization?patient.gender=male"}
    del resource["channel"]["payload"], resource["channel"]["_payload"]
    given = {"resourceType": "Parameters", "parameter": [
        {"name": "subscription", "resource": resource}, {"name": "resource", "resource": IMMUNIZATION}
    ]}  # fmt: skip
    refused(await register(lab, resource), "system/Patient.r")
    refused(await lab.post("/Subscription/$explain", given), "system/Patient.r")
    lab = await chained.may("lab", f"{SUBSCRIBE} system/Immunization.r system/Patient.r")
    assert (await lab.post("/Subscription/$explain", given)).status_code == 200
    assert (await register(lab, resource)).status_code == 201
    lab = await chained.may("lab", f"{SUBSCRIBE} system/Immunization.r")
    refused(await lab.post("/Subscription/s/$explain", IMMUNIZATION), "system/Patient.r")
