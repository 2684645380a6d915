"""`/openapi.json`: it says of each interaction what it takes and what it answers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hub.api.server import FHIR, Hub, patient
from tests.hub.api.subscriptions import ENDPOINT, put
from tests.processes import subscription

FHIR_JSON = {"application/fhir+json", "application/json"}


async def document(hub: Hub) -> dict[str, Any]:
    answer = await hub.client.get(FHIR.removesuffix("/fhir/r4") + "/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path below the FHIR base, and operation."""
    for path, item in document["paths"].items():
        if path.startswith("/fhir/r4"):
            for method, operation in item.items():
                yield method, path.removeprefix("/fhir/r4"), operation


async def test_every_interaction_is_there_with_a_summary_and_its_path(hub: Hub) -> None:
    found = {(method, path): operation for method, path, operation in operations(await document(hub))}
    for one, summary in ((("put", "/{type}/{id}"), "Update"), (("get", "/Subscription/$status"), "stand")):
        assert summary in found[one]["summary"]
    for (_, path), operation in found.items():
        placed = [each for each in operation["parameters"] if each["in"] == "path"]
        assert [each["name"] for each in placed] == re.findall(r"\{(\w+)\}", path)
        assert all(each["required"] and each["description"] for each in placed)


async def test_nothing_lists_a_validation_error_of_fastapis_own(hub: Hub) -> None:
    """Errors are OperationOutcomes, and every interaction says which it may have."""
    said = await document(hub)
    assert "HTTPValidationError" not in str(said)
    for method, path, operation in operations(said):
        refusals = {status: one for status, one in operation["responses"].items() if status >= "400"}
        assert {"400", "406", "503"} <= refusals.keys(), (method, path)
        for one in refusals.values():
            schema = one["content"]["application/fhir+json"]["schema"]
            assert schema["properties"]["resourceType"] == {"type": "string", "enum": ["OperationOutcome"]}


async def test_each_write_lists_its_body(hub: Hub) -> None:
    """Only `$status`, `$test` and `$get-ws-binding-token` of a Subscription heed none, by whatever method."""
    for method, path, operation in operations(await document(hub)):
        if method in ("post", "put") and not path.endswith(("{id}/$status", "{id}/$test", "-binding-token")):
            form = {"application/x-www-form-urlencoded"}
            assert operation["requestBody"]["content"].keys() == (form if "_search" in path else FHIR_JSON), path
            assert {"413", "415"} <= operation["responses"].keys()
        elif method == "patch":
            assert operation["requestBody"]["content"].keys() == FHIR_JSON | {"application/json-patch+json"}
            assert {"413", "415", "422"} <= operation["responses"].keys()
        else:
            assert "requestBody" not in operation


@pytest.mark.parametrize(
    ("method", "path", "statuses", "takes"),
    [
        ("post", "/{type}", {"201", "200", "422"}, {"If-None-Exist", "Idempotency-Key", "Prefer"}),
        ("put", "/{type}/{id}", {"201", "200", "412"}, {"If-Match", "If-None-Match", "Prefer"}),
        ("patch", "/{type}/{id}", {"200", "404", "412", "422"}, {"If-Match", "Prefer"}),
        ("put", "/{type}", {"201", "200", "412"}, {"If-Match", "Prefer"}),
        ("patch", "/Subscription/{id}", {"200", "404", "412", "422"}, {"If-Match", "Prefer"}),
        ("get", "/{type}/{id}", {"200", "304", "404", "410"}, {"If-None-Match"}),
        ("delete", "/{type}/{id}", {"204", "412"}, {"If-Match"}),
        ("get", "/{type}", {"200"}, {"_id", "_lastUpdated", "_count"}),
        ("get", "/{type}/{id}/_history", {"200", "404"}, {"_since", "_count"}),
        ("post", "", {"200"}, {"Prefer", "Idempotency-Key"}),
        ("post", "/Subscription", {"201"}, {"Prefer"}),
        ("put", "/Subscription/{id}", {"201", "200", "412"}, {"If-Match", "If-None-Match", "Prefer"}),
        ("get", "/Subscription", {"200"}, {"url", "status", "criteria", "_id", "_lastUpdated", "_count"}),
        ("post", "/Subscription/$status", {"200"}, {"id", "status"}),
    ],
)
async def test_an_interaction_says_what_it_heeds_and_answers(
    hub: Hub, method: str, path: str, statuses: set[str], takes: set[str]
) -> None:
    operation = (await document(hub))["paths"][f"/fhir/r4{path}"][method]
    assert statuses <= operation["responses"].keys()
    assert takes <= {each["name"] for each in operation["parameters"]}
    assert ("200" in operation["responses"]) == ("200" in statuses)


async def test_what_is_answered_is_what_is_said(hub: Hub) -> None:
    """Each kind of success, and the media type that it comes in."""
    await put(hub, "s")
    await hub.put("/Patient/a", patient("a"))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    paths = (await document(hub))["paths"]
    for method, documented, url, body in (
        ("POST", "/{type}", "/Patient", patient()),
        ("PUT", "/{type}/{id}", "/Patient/a", patient("a")),
        ("GET", "/{type}/{id}/_history/{number}", "/Patient/a/_history/1", None),
        ("GET", "/{type}/{id}/_history", "/Patient/a/_history", None),
        ("GET", "/{type}/_history", "/Patient/_history", None),
        ("GET", "/_history", "/_history", None),
        ("POST", "/{type}/_search", "/Patient/_search", None),
        ("DELETE", "/{type}/{id}", "/Patient/a", None),
        ("GET", "/metadata", "/metadata", None),
        ("POST", "", "", {"resourceType": "Bundle", "type": "batch"}),
        ("POST", "/Subscription", "/Subscription", subscription(ENDPOINT)),
        ("GET", "/Subscription/{id}/_history/{number}", "/Subscription/s/_history/1", None),
        ("POST", "/Subscription/_search", "/Subscription/_search", None),
        ("GET", "/Subscription/{id}/$status", "/Subscription/s/$status", None),
        ("DELETE", "/Subscription/{id}", "/Subscription/s", None),
    ):
        headers = form if url.endswith("_search") else {}
        answer = await hub.client.request(method, url, json=body, headers=headers)
        said = paths[f"/fhir/r4{documented}"][method.lower()]["responses"][str(answer.status_code)]
        assert answer.is_success, answer.text
        media_type = answer.headers.get("Content-Type", "").partition(";")[0]
        assert ("content" in said) == bool(answer.content)
        if answer.content:
            known = said["content"][media_type]["schema"]["properties"]["resourceType"].get("enum")
            assert known is None or answer.json()["resourceType"] in known


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
async def test_that_a_basic_may_be_a_topic_is_said_where_one_is_written(hub: Hub, method: str) -> None:
    """R4 reads topics as Basics, and can't change them."""
    answer = await hub.client.request(method, "/Basic/immunization-change", json={"resourceType": "Basic"})
    said = (await document(hub))["paths"]["/fhir/r4/{type}/{id}"][method]
    assert str(answer.status_code) in said["responses"], answer.text
    assert answer.status_code == 405


async def test_who_asks_nobody_says_so(hub: Hub) -> None:
    """Without authentication there is no way to say who calls, and nobody is refused for that."""
    said = await document(hub)
    assert "securitySchemes" not in said.get("components", {})
    for _, _, operation in operations(said):
        assert "security" not in operation
        assert not {"401", "403"} & operation["responses"].keys()
