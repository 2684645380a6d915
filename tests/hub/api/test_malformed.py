"""Malformed input of every kind: a 4xx with an OperationOutcome, nothing stored, the process alive."""

import gzip
import json
import tracemalloc
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.ingest import Draft, draft
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from tests.hub.api.server import Hub, issue, patient

PATIENT = b'{"resourceType":"Patient","name":[{"family":"Doe"}]}'

#: A valid resource with most kinds of JSON in it, for Hypothesis to spoil.
WHOLE: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "whole",
    "meta": {"tag": [{"system": "http://a", "code": "b"}], "lastUpdated": "2026-11-21T10:00:00Z"},
    "contained": [{"resourceType": "Patient", "id": "p", "multipleBirthInteger": 2}],
    "extension": [{"url": "http://a", "valueDecimal": 1.25}, {"url": "http://b", "valueBoolean": True}],
    "identifier": [{"system": "http://a", "value": "1"}],
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}], "text": "Body temperature"},
    "subject": {"reference": "#p"},
    "effectiveDateTime": "2026-11-21T09:00:00+13:00",
    "_effectiveDateTime": {"extension": [{"url": "http://a", "valueCode": "x"}]},
    "valueQuantity": {"value": 37.50, "unit": "C", "system": "http://unitsofmeasure.org", "code": "Cel"},
    "component": [{"code": {"text": "x"}, "valueInteger": 3}, {"code": {"text": "y"}, "valueTime": "10:00:00"}],
}

BODIES = [
    pytest.param(b"", 400, id="empty"),
    pytest.param(b"   \n", 400, id="blank"),
    pytest.param(b"{", 400, id="broken"),
    pytest.param(PATIENT[:-1], 400, id="cut-off"),
    pytest.param(PATIENT + PATIENT, 400, id="two-at-once"),
    pytest.param(b"\xef\xbb\xbf" + PATIENT, 400, id="byte-order-mark"),
    pytest.param(b'{"resourceType":"Patient",}', 400, id="trailing-comma"),
    pytest.param(b"{'resourceType':'Patient'}", 400, id="single-quotes"),
    pytest.param(b'{"resourceType":"Patient"/*x*/}', 400, id="comment"),
    pytest.param(b'{"resourceType":"Patient","resourceType":"Patient"}', 400, id="duplicate-key"),
    pytest.param(b'{"resourceType":"Patient","name":[{"family":"a","family":"b"}]}', 400, id="duplicate-key-within"),
    pytest.param(b'{"resourceType":"Patient","\\u0061ctive":true,"active":true}', 400, id="duplicate-key-escaped"),
    pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":NaN}', 400, id="nan"),
    pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":-Infinity}', 400, id="infinity"),
    pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":1e400}', 400, id="absurd-exponent"),
    pytest.param(
        b'{"resourceType":"Patient","multipleBirthInteger":1e99999999999999999999}', 400, id="monstrous-exponent"
    ),
    pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 5000 + b"}", 400, id="absurd-digits"),
    pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":2147483648}', 400, id="beyond-32-bits"),
    pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":1.0}', 400, id="decimal-for-an-integer"),
    pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":01}', 400, id="leading-zero"),
    pytest.param(b'{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}', 400, id="nul-escaped"),
    pytest.param(b'{"resourceType":"Patient","name":[{"family":"a\x00b"}]}', 400, id="nul-raw"),
    pytest.param(b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}', 400, id="half-a-surrogate-pair"),
    pytest.param(b'{"resourceType":"Patient","name":[{"family":"\xff"}]}', 400, id="not-utf-8"),
    pytest.param(PATIENT.decode().encode("utf-16"), 400, id="utf-16"),
    pytest.param(b"[" + PATIENT + b"]", 400, id="array"),
    pytest.param(b'"Patient"', 400, id="string"),
    pytest.param(b"null", 400, id="null"),
    pytest.param(b"{}", 400, id="empty-object"),
    pytest.param(b'{"resourceType":null}', 400, id="type-null"),
    pytest.param(b'{"resourceType":5}', 400, id="type-number"),
    pytest.param(b'{"resourceType":["Patient"]}', 400, id="type-array"),
    pytest.param(b'{"resourceType":{}}', 400, id="type-object"),
    pytest.param(b'{"resourceType":"Observation"}', 400, id="other-type-than-the-url"),
    pytest.param(b'{"resourceType":"patient"}', 400, id="type-in-lower-case"),
    pytest.param(b'{"resourceType":"Patient","id":"a/b"}', 400, id="invalid-id"),
    pytest.param(b'{"resourceType":"Patient","id":""}', 400, id="empty-id"),
    pytest.param(b'{"resourceType":"Patient","id":5}', 400, id="id-number"),
    pytest.param(b'{"resourceType":"Patient","meta":[]}', 400, id="meta-array"),
    pytest.param(b'{"resourceType":"Patient","meta":"x"}', 400, id="meta-string"),
    pytest.param(b'{"resourceType":"Patient","birthDate":"2026-13-01"}', 400, id="no-such-month"),
    pytest.param(b'{"resourceType":"Patient","photo":[{"data":"***"}]}', 400, id="no-base64"),
    pytest.param(b'{"a":' * 100 + b"1" + b"}" * 100, 400, id="100-levels"),
    pytest.param(b"[" * 100_000, 400, id="100000-levels"),
    pytest.param(
        b'{"resourceType":"Patient","extension":' + b'[{"url":"a","extension":' * 100 + b"[]" + b"}]" * 100 + b"}",
        400,
        id="100-levels-of-extensions",
    ),
    pytest.param(PATIENT + b" " * 5_000_000, 413, id="too-large"),
]


@pytest.mark.parametrize(("body", "status"), BODIES)
async def test_a_malformed_body_is_refused_and_nothing_is_stored(hub: Hub, body: bytes, status: int) -> None:
    """Posted or put: what is wrong is told, Redis stays empty, and the next request succeeds."""
    for request in (hub.client.post("/Patient", content=body), hub.client.put("/Patient/x", content=body)):
        answer = await request
        assert answer.status_code == status
        issue(answer)
    assert await hub.keys() == set()
    assert (await hub.client.post("/Patient", content=PATIENT)).status_code == 201


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        pytest.param({"Content-Type": "text/plain"}, PATIENT, 415, id="text"),
        pytest.param({"Content-Type": "application/fhir+xml"}, b"<Patient/>", 415, id="xml"),
        pytest.param({"Content-Type": ""}, PATIENT, 415, id="no-type"),
        pytest.param({"Content-Type": "application/json; charset=latin-1"}, PATIENT, 415, id="latin-1"),
        pytest.param({"Content-Type": "application/fhir+json; fhirVersion=5.0"}, PATIENT, 415, id="r5"),
        pytest.param({"Content-Encoding": "br"}, PATIENT, 415, id="brotli"),
        pytest.param({"Content-Encoding": "gzip"}, PATIENT, 400, id="not-gzip"),
        pytest.param({"Content-Encoding": "gzip"}, gzip.compress(PATIENT)[:-9], 400, id="gzip-cut-off"),
        pytest.param({"Content-Encoding": "gzip"}, gzip.compress(b"0" * 50_000_000), 413, id="gzip-bomb"),
        pytest.param({"Content-Length": "99999999999"}, PATIENT, 413, id="announced-too-large"),
        pytest.param({"Accept": "application/fhir+xml"}, PATIENT, 406, id="wants-xml"),
        pytest.param({"Accept": "application/fhir+json; fhirVersion=5.0"}, PATIENT, 406, id="wants-r5"),
        pytest.param({"Idempotency-Key": ""}, PATIENT, 400, id="key-empty"),
        pytest.param({"Idempotency-Key": "a b"}, PATIENT, 400, id="key-with-blanks"),
        pytest.param({"Idempotency-Key": "x" * 256}, PATIENT, 400, id="key-too-long"),
        pytest.param({"If-None-Exist": ""}, PATIENT, 400, id="no-condition"),
        pytest.param({"If-None-Exist": "_id="}, PATIENT, 400, id="condition-without-a-value"),
        pytest.param({"If-None-Exist": "colour=red"}, PATIENT, 400, id="condition-unknown"),
        pytest.param({"If-None-Exist": "name=%ff"}, PATIENT, 400, id="condition-not-utf-8"),
    ],
)
async def test_malformed_headers_are_refused_and_nothing_is_stored(
    hub: Hub, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await hub.client.post("/Patient", content=body, headers=headers)
    assert answer.status_code == status
    issue(answer)
    assert await hub.keys() == set()


async def test_a_gzip_bomb_is_not_unpacked_beyond_the_limit(hub: Hub) -> None:
    """100 MB come as 100 kB; memory never holds more of them than a body may have."""
    bomb = gzip.compress(bytes(100_000_000))
    tracemalloc.start()
    try:
        answer = await hub.client.post("/Patient", content=bomb, headers={"Content-Encoding": "gzip"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert peak < 4 * hub.parts.settings.max_body_bytes


async def test_sound_gzip_is_read_in_as_many_members_as_it_has(hub: Hub) -> None:
    body = gzip.compress(PATIENT[:10]) + gzip.compress(PATIENT[10:])
    answer = await hub.client.post("/Patient", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.json()["name"] == [{"family": "Doe"}]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Starship", 404),
        ("POST", "/Starship", 404),
        ("GET", "/Starship/1", 404),
        ("GET", "/Patient/1/_history/x", 404),
        ("GET", "/Patient/a_b", 404),
        ("GET", "/Patient/" + "a" * 65, 404),
        ("GET", "/Patient/%00", 404),
        ("PUT", "/Patient/a_b", 404),
        ("DELETE", "/Patient/a%20b", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/Patient/1/2/3/4", 404),
        ("PATCH", "/Patient/a_b", 404),
        ("PATCH", "/Patient/1?x=y", 400),
        ("PATCH", "/Patient/1/_history/1", 405),
        ("DELETE", "/Patient", 400),
        ("PUT", "/Patient", 400),
        ("PATCH", "/Patient", 400),
        ("PUT", "/Starship?name=x", 404),
        ("DELETE", "/Patient?nonsense=x", 400),
        ("DELETE", "/Patient?_count=1", 400),
        ("PUT", "/Subscription?url=x", 405),
        ("PATCH", "/Subscription?url=x", 405),
        ("DELETE", "/Subscription?url=x", 405),
        ("GET", "", 405),
        ("POST", "/metadata", 405),
        ("GET", "/Patient/1?_summary=yes", 400),
        ("DELETE", "/Patient/1?x=y", 400),
        ("GET", "/Patient?_count=-1", 400),
        ("GET", "/Patient?_count=many", 400),
        ("GET", "/Patient?_cursor=x", 400),
        ("GET", "/Patient?_lastUpdated=yesterday", 400),
        ("GET", "/Patient?_lastUpdated=sa20", 400),
        ("GET", "/Patient?name:above=x", 400),
        ("GET", "/Patient?name=%ff", 400),
        ("GET", "/Patient?_sort=name", 400),
        ("GET", "/Patient?_include=Patient:organization", 400),
        ("GET", "/Patient?general-practitioner.name=x", 400),
    ],
)
async def test_what_the_hub_cannot_do_is_an_operation_outcome(hub: Hub, method: str, path: str, status: int) -> None:
    answer = await hub.client.request(method, path)
    assert answer.status_code == status
    issue(answer)
    assert await hub.keys() == set()


async def test_405_says_what_is_allowed(hub: Hub) -> None:
    answer = await hub.client.post("/Patient/1", content=b"[]")
    assert answer.headers["Allow"] == "GET, HEAD, PUT, PATCH, DELETE"
    assert "POST" in issue(answer)["details"]["text"]


@pytest.mark.parametrize(
    ("bundle", "status", "expression"),
    [
        pytest.param(patient(), 400, "Bundle.type", id="no-bundle"),
        pytest.param({"resourceType": "Bundle", "type": "collection"}, 400, "Bundle.type", id="another-type"),
        pytest.param({"resourceType": "Bundle", "type": "batch", "entry": {}}, 400, "Bundle.entry", id="entry-object"),
        pytest.param({"resourceType": "Bundle", "type": "batch", "entry": [5]}, 400, "Bundle.entry[0]", id="entry-5"),
        pytest.param(
            {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": 5}]},
            400,
            "Bundle.entry[0].resource",
            id="resource-5",
        ),
        pytest.param(
            {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET"}}]},
            400,
            "Bundle.entry[0].request.url",
            id="no-url",
        ),
        pytest.param(
            {
                "resourceType": "Bundle",
                "type": "batch",
                "entry": [{"request": {"method": "GET", "url": "Patient"}}] * 1001,
            },
            413,
            "Bundle.entry",
            id="too-many-entries",
        ),
    ],
)
async def test_a_malformed_bundle_is_refused_as_a_whole(
    hub: Hub, bundle: dict[str, Any], status: int, expression: str
) -> None:
    answer = await hub.post("", bundle)
    assert answer.status_code == status
    assert issue(answer)["expression"] == [expression]
    assert await hub.keys() == set()


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, member in inner for found in _paths(member, (*path, name)))]


NAMES = sorted({part for path in _paths(WHOLE) for part in path if isinstance(part, str)})

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "#", "2026-02-30", "urn:uuid:1", "Patient/1", "\0", "\ud800", 10**50, {}, [], [[]], [None]]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
).map(deepcopy)  # what is sampled is the same list each time, and is spoiled further


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """WHOLE with some parts replaced, removed, renamed or added to, and perhaps some bytes changed."""
    resource = json.loads(json.dumps(WHOLE))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in _paths(resource) if path]))
        holder = resource
        for part in path[:-1]:
            holder = holder[part]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                holder[path[-1]] = draw(ANYTHING)
            case "remove":
                del holder[path[-1]]
            case "add" if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES) | st.text(max_size=5))] = draw(ANYTHING)
            case _:
                holder.append(draw(ANYTHING))
        if not isinstance(resource, dict) or len(_paths(resource)) < 2:
            break
    body = bytearray(json.dumps(resource).encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


def _read(body: bytes) -> Draft | Rejected:
    try:
        return draft(body, FhirVersion.R4, max_nesting=64)
    except Rejected as rejected:
        return rejected


@settings(max_examples=1000)
@given(spoiled())
def test_whatever_is_spoiled_is_refused_with_a_reason_or_is_a_resource(body: bytes) -> None:
    """No other error, ever; and what is accepted is stored as JSON of the same type."""
    found = _read(body)
    if isinstance(found, Rejected):
        assert found.issues
        assert all(issue.text for issue in found.issues)
        return
    head, tail = found.numbered("x", 0)
    stored = json.loads(head + b"1" + tail)
    assert stored["resourceType"] == found.type
    assert (stored["id"], stored["meta"]["versionId"]) == ("x", "1")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=spoiled())
async def test_the_process_survives_whatever_is_posted(hub: Hub, body: bytes) -> None:
    answer = await hub.client.post("/Observation", content=body)
    assert answer.status_code in (201, 400)
    if answer.status_code == 400:
        issue(answer)


@pytest.mark.parametrize(
    "asked",
    ["&".join(["name=a"] * 101), "name=" + "a," * 2_000, "name=" + "a%2Ca" * 2_000],
    ids=["many", "or", "encoded"],
)
async def test_a_search_for_too_much(hub: Hub, asked: str) -> None:
    """By URL, as a form, as a condition: it is refused before anything is looked at. As much as may be is done."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [
        await hub.client.get(f"/Patient?{asked}"),
        await hub.client.get(f"/Subscription?{asked}"),
        await hub.client.post("/Patient/_search", content=asked, headers=form),
        await hub.client.delete(f"/Patient?{asked}"),
        await hub.post("/Patient", patient(), if_none_exist=asked),
    ]
    for answer in answers:
        assert (answer.status_code, issue(answer)["code"]) == (400, "too-costly")
    assert (await hub.client.get(f"/Patient?{'&'.join(['name=a'] * 100)}")).status_code == 200
    assert (await hub.client.get(f"/Patient?_id={','.join(['a'] * 1_000)}")).status_code == 200
