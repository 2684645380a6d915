"""PATCH of stored resources: https://hl7.org/fhir/R4/http.html#patch."""

import asyncio
from typing import Any

import httpx
import pytest

from subscriptions.codes import FhirVersion
from tests.hub.api.patches import JSON_PATCH, fhirpath, operation, patch
from tests.hub.api.server import Hub, issue, patient
from tests.hub.conftest import BASE

versions = pytest.mark.parametrize("version", list(FhirVersion))

#: A JSON Patch and a FHIRPath Patch that do the same.
MALE: tuple[Any, ...] = (
    [{"op": "add", "path": "/gender", "value": "male"}],
    fhirpath(operation("add", "Patient", name="gender", valueCode="male")),
)
both = pytest.mark.parametrize("male", MALE, ids=["json-patch", "fhirpath-patch"])


@versions
@both
async def test_a_patch_is_an_update_that_is_a_change(hub: Hub, version: FhirVersion, male: Any) -> None:
    url = f"{BASE}/fhir/{version}/Patient/ann"
    await hub.put(url, patient("ann", active=True))
    answer = await patch(hub, url, male)
    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert answer.json()["gender"] == "male"
    assert answer.json()["active"] is True
    assert answer.json()["meta"]["versionId"] == "2"
    assert (await hub.get(url)).content == answer.content
    assert await hub.changes() == [("Patient/ann", 1, "create"), ("Patient/ann", 2, "update")]


@both
async def test_what_a_patch_does_not_touch_keeps_its_bytes(hub: Hub, male: Any) -> None:
    """Decimals their zeros, instants their digits, however deep they stand; text its escapes."""
    kept = [
        b'"extension":[{"url":"http://example.org/weight","valueDecimal":70.500},'
        b'{"url":"http://example.org/at","valueInstant":"2026-11-21T10:00:00.123456789+13:00"}]',
        b'"name":[{"text":"\\u00c4nn", "family" : "Doe"}]',
    ]
    body = b'{"resourceType":"Patient","id":"ann",%b}' % b",".join(kept)
    assert (await hub.client.put("/Patient/ann", content=body)).status_code == 201
    answer = await patch(hub, "/Patient/ann", male)
    assert answer.status_code == 200
    for member in kept:
        assert member in answer.content


async def test_decimals_and_instants_beside_a_change_keep_their_digits(hub: Hub) -> None:
    body = (
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"c"},'
        b'"effectiveInstant":"2026-11-21T10:00:00.100000000Z",'
        b'"valueQuantity":{"value":1.50,"unit":"g"},"component":[{"code":{"text":"a"},"valueQuantity":{"value":2.00}}]}'
    )
    assert (await hub.client.put("/Observation/o", content=body)).status_code == 201
    by_json = await patch(hub, "/Observation/o", [{"op": "replace", "path": "/valueQuantity/unit", "value": "kg"}])
    assert b'"valueQuantity":{"value":1.50,"unit":"kg"}' in by_json.content
    by_path = await patch(
        hub,
        "/Observation/o",
        fhirpath(operation("replace", "Observation.component.where(value.value = 2).code.text", valueString="b")),
    )
    assert b'"component":[{"code":{"text":"b"},"valueQuantity":{"value":2.00}}]' in by_path.content
    assert b'"effectiveInstant":"2026-11-21T10:00:00.100000000Z"' in by_path.content


async def test_a_value_of_a_patch_keeps_its_bytes(hub: Hub) -> None:
    await hub.put(
        "/Observation/o", {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "c"}}
    )
    body = b'[{"op":"add","path":"/valueQuantity","value":{"value": 3.1400 }}]'
    answer = await hub.client.patch("/Observation/o", content=body, headers={"Content-Type": JSON_PATCH})
    assert b'"valueQuantity":{"value": 3.1400 }' in answer.content


@both
async def test_a_patch_of_another_version_than_if_match_names_is_refused(hub: Hub, male: Any) -> None:
    await hub.put("/Patient/ann", patient("ann"))
    await hub.put("/Patient/ann", patient("ann", active=True))
    stale = await patch(hub, "/Patient/ann", male, if_match='W/"1"')
    assert (stale.status_code, issue(stale)["code"]) == (412, "conflict")
    assert (await patch(hub, "/Patient/ann", male, if_match='W/"2"')).status_code == 200
    assert len(await hub.changes()) == 3


@pytest.mark.usefixtures("patience")
async def test_patches_at_once_are_all_done(hub: Hub, other: Hub) -> None:
    """None is lost: each is done on the version that another one has made."""
    await hub.put("/Patient/ann", patient("ann", name=[{"given": ["0"]}]))
    given = [str(number) for number in range(1, 21)]
    answers = await asyncio.gather(
        *(
            patch(process, "/Patient/ann", [{"op": "add", "path": "/name/0/given/-", "value": name}])
            for name, process in zip(given, [hub, other] * 10, strict=True)
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    held = (await hub.get("/Patient/ann")).json()["name"][0]["given"]
    assert sorted(held, key=int) == ["0", *given]
    assert len(await hub.changes()) == 21


async def test_a_patch_is_done_as_a_whole_or_not_at_all(hub: Hub) -> None:
    await hub.put("/Patient/ann", patient("ann"))
    answer = await patch(
        hub,
        "/Patient/ann",
        [{"op": "add", "path": "/gender", "value": "male"}, {"op": "test", "path": "/active", "value": True}],
    )
    assert answer.status_code == 422
    assert "gender" not in (await hub.get("/Patient/ann")).json()
    assert len(await hub.changes()) == 1


@both
async def test_what_is_not_there_is_not_patched(hub: Hub, male: Any) -> None:
    missing = await patch(hub, "/Patient/ann", male)
    assert (missing.status_code, issue(missing)["code"]) == (404, "not-found")
    await hub.put("/Patient/ann", patient("ann"))
    await hub.delete("/Patient/ann")
    deleted = await patch(hub, "/Patient/ann", male)
    assert (deleted.status_code, issue(deleted)["code"]) == (410, "deleted")
    assert (await patch(hub, "/Nonsense/ann", male)).status_code == 404


IMPOSSIBLE = [
    pytest.param([{"op": "test", "path": "/active", "value": False}], "Patient.active", id="test-fails"),
    pytest.param([{"op": "test", "path": "/active", "value": 1}], "Patient.active", id="true-is-not-1"),
    pytest.param([{"op": "remove", "path": "/name/1"}], "Patient.name[1]", id="no-such-item"),
    pytest.param([{"op": "replace", "path": "/gender", "value": "male"}], "Patient.gender", id="no-such-member"),
    pytest.param([{"op": "add", "path": "/photo/0/url", "value": "x"}], "Patient.photo", id="no-parent"),
    pytest.param([{"op": "add", "path": "/active/x", "value": "x"}], "Patient.active", id="in-a-primitive"),
    pytest.param([{"op": "add", "path": "/name/5", "value": {}}], "Patient.name[5]", id="behind-the-end"),
    pytest.param([{"op": "add", "path": "/name/01", "value": {}}], "Patient.name", id="no-index"),
    pytest.param([{"op": "remove", "path": ""}], "Patient", id="the-whole-resource"),
    pytest.param(fhirpath(operation("replace", "Patient.gender", valueCode="male")), "", id="path-finds-nothing"),
    pytest.param(fhirpath(operation("replace", "Patient.name.given", valueString="x")), "", id="path-finds-several"),
    pytest.param(fhirpath(operation("delete", "Patient.nmae")), "", id="no-such-element"),
    pytest.param(fhirpath(operation("delete", "Patient")), "", id="delete-the-resource"),
    pytest.param(fhirpath(operation("replace", "Patient", valueString="x")), "", id="replace-the-resource"),
    pytest.param(fhirpath(operation("add", "Patient", name="active", valueBoolean=True)), "", id="there-already"),
    pytest.param(fhirpath(operation("insert", "Patient.name", index=2, valueHumanName={"text": "x"})), "", id="index"),
    pytest.param(fhirpath(operation("insert", "Patient.active", index=0, valueBoolean=True)), "", id="no-list"),
    pytest.param(fhirpath(operation("move", "Patient.name[0].given", source=0, destination=2)), "", id="destination"),
]


@pytest.mark.parametrize(("wanted", "expression"), IMPOSSIBLE)
async def test_a_patch_that_does_not_fit_is_unprocessable(hub: Hub, wanted: Any, expression: str) -> None:
    await hub.put("/Patient/ann", patient("ann", active=True, name=[{"given": ["a", "b"]}]))
    answer = await patch(hub, "/Patient/ann", wanted)
    assert answer.status_code == 422
    assert issue(answer)["expression"] == [expression or "Parameters.parameter[0]"]
    assert len(await hub.changes()) == 1


MALFORMED = [
    pytest.param([{"op": "ad", "path": "/active", "value": True}], id="op"),
    pytest.param([{"path": "/active", "value": True}], id="no-op"),
    pytest.param([{"op": ["add"], "path": "/active", "value": True}], id="op-is-no-text"),
    pytest.param([{"op": "add", "value": True}], id="no-path"),
    pytest.param([{"op": "add", "path": "active", "value": True}], id="path-without-a-slash"),
    pytest.param([{"op": "add", "path": "/a~2", "value": True}], id="escape"),
    pytest.param([{"op": "add", "path": "/active"}], id="no-value"),
    pytest.param([{"op": "move", "path": "/active"}], id="no-from"),
    pytest.param([{"op": "move", "path": "/name/0/period", "from": "/name"}], id="into-itself"),
    pytest.param(["add"], id="no-object"),
    pytest.param([{"op": "test", "path": "", "value": 1}] * 1001, id="too-many"),
    pytest.param({"resourceType": "Patient"}, id="no-parameters"),
    pytest.param(fhirpath({"name": "operation"}), id="no-parts"),
    pytest.param(fhirpath({"name": "op", "part": operation("delete", "Patient.name")["part"]}), id="no-operation"),
    pytest.param(fhirpath(operation("remove", "Patient.name")), id="type"),
    pytest.param(fhirpath(operation("add", "Patient", name="active")), id="value-missing"),
    pytest.param(fhirpath(operation("add", "Patient", valueBoolean=True)), id="name-missing"),
    pytest.param(fhirpath(operation("delete", "Patient.name", index=1)), id="too-much"),
    pytest.param(fhirpath(operation("insert", "Patient.name", index=-1, valueHumanName={"text": "x"})), id="index"),
    pytest.param(fhirpath(operation("move", "Patient.name[0]", source=0, destination=1)), id="no-name-of-a-list"),
    pytest.param(fhirpath(operation("delete", "Patient.name.")), id="path"),
    pytest.param(fhirpath(operation("delete", "Patient.name.where(")), id="open-bracket"),
    pytest.param(fhirpath(operation("delete", "Patient.name.where(given ||)")), id="criterion"),
    pytest.param(fhirpath(operation("delete", "Patient.name.where(now() > 1)")), id="clock"),
    pytest.param(fhirpath(operation("delete", "Patient.name.repeat(given)")), id="function"),
    pytest.param(fhirpath(*[operation("delete", "Patient.name" + " " * 5000)] * 3), id="long-paths"),
]


@pytest.mark.parametrize("wanted", MALFORMED)
async def test_a_malformed_patch_is_a_bad_request(hub: Hub, wanted: Any) -> None:
    await hub.put("/Patient/ann", patient("ann", active=True, name=[{"given": ["a", "b"]}]))
    answer = await patch(hub, "/Patient/ann", wanted)
    assert answer.status_code == 400
    assert issue(answer)
    assert len(await hub.changes()) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'[{"op":"add","op":"test","path":""}]', b"[NaN]", b"\xff"])
async def test_a_patch_that_is_no_json_is_a_bad_request(hub: Hub, body: bytes) -> None:
    await hub.put("/Patient/ann", patient("ann"))
    answer = await hub.client.patch("/Patient/ann", content=body, headers={"Content-Type": JSON_PATCH})
    assert answer.status_code == 400
    assert issue(answer)


@versions
async def test_a_patch_of_another_media_type_is_told_which_there_are(hub: Hub, version: FhirVersion) -> None:
    url = f"{BASE}/fhir/{version}/Patient/ann"
    await hub.put(url, patient("ann"))
    for media_type in ("application/merge-patch+json", "application/xml-patch+xml", "text/plain"):
        answer = await patch(hub, url, {}, media_type)
        assert (answer.status_code, issue(answer)["code"]) == (415, "not-supported")
        assert answer.headers["Accept-Patch"] == "application/json-patch+json, application/fhir+json"


@pytest.mark.parametrize(
    ("wanted", "expression"),
    [
        pytest.param([{"op": "add", "path": "/birthDate", "value": "x"}], "Patient.birthDate", id="date"),
        pytest.param([{"op": "add", "path": "/gendre", "value": "male"}], "Patient.gendre", id="no-such-element"),
        pytest.param([{"op": "replace", "path": "/id", "value": "bob"}], "Patient.id", id="another-id"),
        pytest.param([{"op": "replace", "path": "/resourceType", "value": "Basic"}], "Patient.resourceType", id="type"),
        pytest.param([{"op": "replace", "path": "", "value": 3}], None, id="no-object"),
        pytest.param(
            fhirpath(operation("add", "Patient", name="birthDate", valueString="x")), "Patient.birthDate", id="by-path"
        ),
    ],
)
async def test_what_a_patch_makes_must_be_valid(hub: Hub, wanted: Any, expression: str | None) -> None:
    await hub.put("/Patient/ann", patient("ann"))
    answer = await patch(hub, "/Patient/ann", wanted)
    assert answer.status_code == 400
    assert issue(answer).get("expression") == (expression and [expression])
    assert len(await hub.changes()) == 1


async def test_a_patch_can_not_grow_without_end(hub: Hub) -> None:
    """Each operation doubles what is there."""
    await hub.put("/Patient/ann", patient("ann", name=[{"text": "x" * 100}]))
    double = [{"op": "copy", "from": "/name", "path": "/name/-"}] * 1000
    answer = await patch(hub, "/Patient/ann", double)
    assert (answer.status_code, issue(answer)["code"]) == (413, "too-costly")


async def test_a_patch_can_not_nest_without_end(hub: Hub) -> None:
    await hub.put("/Patient/ann", patient("ann"))
    deeper: list[dict[str, Any]] = [{"op": "add", "path": "/a", "value": {}}]
    for _ in range(300):
        deeper += [
            {"op": "add", "path": "/b", "value": {}},
            {"op": "move", "from": "/a", "path": "/b/a"},
            {"op": "move", "from": "/b", "path": "/a"},
        ]
    answer = await patch(hub, "/Patient/ann", deeper)
    assert (answer.status_code, "Nested more than" in issue(answer)["details"]["text"]) == (400, True)


async def test_a_patch_answers_what_is_preferred(hub: Hub) -> None:
    await hub.put("/Patient/ann", patient("ann"))
    answer = await patch(hub, "/Patient/ann", MALE[0], prefer="return=minimal")
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (200, b"", 'W/"2"')


@versions
async def test_the_capability_statement_says_how_a_patch_is_written(hub: Hub, version: FhirVersion) -> None:
    answer: httpx.Response = await hub.get(f"{BASE}/fhir/{version}/metadata")
    assert answer.json()["patchFormat"] == ["application/json-patch+json", "application/fhir+json"]
    for resource in answer.json()["rest"][0]["resource"]:
        # Nobody writes those.
        assert ({"code": "patch"} in resource["interaction"]) is (resource["type"] != "AuditEvent"), resource["type"]
