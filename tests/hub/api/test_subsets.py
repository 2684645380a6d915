"""`_summary` and `_elements`: what is left of a resource, on reads, searches and histories in each FHIR version."""

import json
from typing import Any

import httpx
import pytest

from subscriptions.codes import FhirVersion
from tests.hub.api.bundles import ask, bundle
from tests.hub.api.server import Hub, issue, patient
from tests.hub.api.subscriptions import ENDPOINT
from tests.hub.conftest import BASE
from tests.processes import subscription, subscription_r5

VERSIONS = pytest.mark.parametrize("version", list(FhirVersion))
MARK = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

#: Σ: identifier, name, active and, within them, all but extensions. Not Σ: text, extension, contact, photo.
PATIENT = (
    b'{"resourceType":"Patient","id":"a","meta":{"tag":[{"code":"x"}]},"implicitRules":"http://rules",'
    b'"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">a</div>"},'
    b'"extension":[{"url":"http://a","valueDecimal":1.10}],'
    b'"modifierExtension":[{"url":"http://a","valueDecimal":2.20}],'
    b'"contact":[{"gender":"male"}],'
    b'"name":[{"extension":[{"url":"http://a","valueDecimal":3.30}],"family":"D\\u00f6e"}],'
    b'"active":true,"_gender":{"extension":[{"url":"http://a","valueDecimal":4.40}]},"multipleBirthInteger":2,'
    b'"identifier":[{"extension":[{"url":"http://a","valueCode":"masked"}]}]}'
)
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">o</div>'},
    "status": "final",
    "code": {"text": "c"},
    "valueQuantity": {"value": 1, "unit": "mg"},
    "note": [{"text": "n"}],
    "component": [{"code": {"text": "c"}, "valueString": "v", "referenceRange": [{"text": "r"}]}],
}


async def shown(hub: Hub, url: str) -> dict[str, Any]:
    answer = await hub.get(url)
    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == 'W/"1"'
    return dict(answer.json())


def members(resource: dict[str, Any]) -> set[str]:
    """The names of a subset's members, of which it says that they are not all."""
    assert MARK in resource["meta"]["tag"]
    assert {"versionId", "lastUpdated"} <= resource["meta"].keys()
    return resource.keys() - {"resourceType", "id", "meta"}


@VERSIONS
@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("_summary=true", {"code", "component", "status", "valueQuantity"}),
        ("_summary=text", {"code", "status", "text"}),
        ("_summary=data", {"code", "component", "note", "status", "valueQuantity"}),
        ("_elements=note", {"code", "note", "status"}),
        ("_elements=value,Observation.note", {"code", "note", "status", "valueQuantity"}),
        ("_elements=value[x]", {"code", "status", "valueQuantity"}),
        ("_elements=id", {"code", "status"}),
    ],
)
async def test_a_subset_has_what_is_asked_for_and_what_is_mandatory(
    hub: Hub, version: str, query: str, left: set[str]
) -> None:
    """By whatever interaction it is asked for."""
    url = f"{BASE}/fhir/{version}/Observation"
    assert (await hub.put(f"{url}/o", OBSERVATION)).status_code == 201
    assert members(await shown(hub, f"{url}/o?{query}")) == left
    assert members(await shown(hub, f"{url}/o/_history/1?{query}")) == left
    for path in (f"{url}?{query}", f"{url}/o/_history?{query}", f"{url}/_history?{query}"):
        [entry] = (await hub.get(path)).json()["entry"]
        assert members(entry["resource"]) == left, path
    batch = bundle("batch", ask("GET", f"Observation/o?{query}"))
    [entry] = (await hub.post(f"{BASE}/fhir/{version}", batch)).json()["entry"]
    assert members(entry["resource"]) == left
    whole = await hub.get(f"{url}/o?_summary=false")
    assert whole.content == (await hub.get(f"{url}/o")).content
    assert "tag" not in whole.json()["meta"]


@VERSIONS
async def test_what_is_left_has_its_bytes_and_order(hub: Hub, version: str) -> None:
    url = f"{BASE}/fhir/{version}/Patient/a"
    stored = (await hub.client.put(url, content=PATIENT)).content
    at = json.loads(stored)["meta"]["lastUpdated"].encode()
    tags = b'"tag":[{"code":"x"},%b]' % json.dumps(MARK, separators=(",", ":")).encode()
    head = b'{"resourceType":"Patient","id":"a","meta":{"versionId":"1","lastUpdated":"%b",%b},' % (at, tags)
    rules = b'"implicitRules":"http://rules",'
    modifier = b'"modifierExtension":[{"url":"http://a","valueDecimal":2.20}],'
    unsaid = b'"_gender":{"extension":[{"url":"http://a","valueDecimal":4.40}]}'
    masked = b'"identifier":[{"extension":[{"url":"http://a","valueCode":"masked"}]}]'
    summary = b'"name":[{"family":"D\\u00f6e"}],"active":true,' + unsaid + b"," + masked
    assert (await hub.get(f"{url}?_summary=true")).content == head + rules + modifier + summary + b"}"
    chosen = b'"name":[{"extension":[{"url":"http://a","valueDecimal":3.30}],"family":"D\\u00f6e"}],' + unsaid
    assert (await hub.get(f"{url}?_elements=name,gender")).content == head + rules + modifier + chosen + b"}"
    text = PATIENT[PATIENT.index(b'"text"') : PATIENT.index(b'"extension"')]
    without = stored.replace(text, b"").replace(b'"tag":[{"code":"x"}]', tags)
    assert (await hub.get(f"{url}?_summary=data")).content == without


@VERSIONS
async def test_a_summary_leaves_out_what_is_within(hub: Hub, version: str) -> None:
    url = f"{BASE}/fhir/{version}/Observation/o"
    await hub.put(url, OBSERVATION)
    assert (await shown(hub, f"{url}?_summary=true"))["component"] == [{"code": {"text": "c"}, "valueString": "v"}]


@VERSIONS
async def test_subscriptions_and_topics_come_in_subsets_too(hub: Hub, version: str) -> None:
    base = f"{BASE}/fhir/{version}"
    wanted = subscription_r5(ENDPOINT) if version == "r5" else subscription(ENDPOINT)
    url = f"{base}/Subscription"
    assert (await hub.put(f"{url}/s", wanted | {"id": "s", "end": "2999-01-01T00:00:00Z"})).status_code == 201
    required = {"status", "topic", "channelType", "criteria", "_criteria", "channel", "reason"}
    one = (await hub.get(f"{url}/s?_elements=end")).json()
    [entry] = (await hub.get(f"{url}?_elements=end")).json()["entry"]
    assert members(one) == members(entry["resource"]) == {"end", *(required & wanted.keys())}
    assert (await hub.get(f"{url}?_summary=count")).json().get("entry") is None
    topics = "Basic?code=SubscriptionTopic" if version == "r4" else "SubscriptionTopic?"
    found = (await hub.get(f"{base}/{topics}&_summary=text&_count=2")).json()["entry"]
    kept = {"code", "modifierExtension"} if version == "r4" else {"url", "status"}
    assert [members(entry["resource"]) for entry in found] == [kept, kept]
    topic = found[0]["fullUrl"]
    assert members((await hub.get(f"{topic}?_summary=text")).json()) == kept
    assert members((await hub.get(f"{topic}/_history/1?_summary=text")).json()) == kept


@VERSIONS
async def test_summary_count_is_the_total_alone(hub: Hub, version: str) -> None:
    url = f"{BASE}/fhir/{version}/Patient"
    for id_ in "abc":
        await hub.put(f"{url}/{id_}", patient(id_, active=id_ == "a"))
    for query, total in (("", 3), ("&active=true", 1), ("&_id=a,b&_count=1", 2)):
        found = (await hub.get(f"{url}?_summary=count{query}")).json()
        assert (found["type"], found["total"], "entry" in found) == ("searchset", total, False)


@VERSIONS
@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("Patient/a?_summary=count", "_summary"),
        ("Patient/a?_summary=yes", "_summary"),
        ("Patient?_summary=", "_summary"),
        ("Patient?_summary=true&_summary=false", "_summary"),
        ("Patient?_elements=name.family", "_elements"),
        ("Patient?_elements=colour", "_elements"),
        ("Patient?_elements=Observation.note", "_elements"),
        ("Patient/a?_elements=", "_elements"),
        ("Patient/a?_elements=name&_summary=true", "_elements"),
        ("_history?_elements=name", "_elements"),
        ("Subscription?_elements=colour", "_elements"),
        ("Subscription/s?_summary=count", "_summary"),
        ("Patient?_total=many", "_total"),
        ("Patient?_sort=name", "_sort"),
        ("Patient?_sort=_lastUpdated", "_sort"),
        ("Subscription?_sort=-_lastUpdated", "_sort"),
        ("Patient?_include=Patient:organization", "_include"),
        ("Patient?_revinclude=Observation:subject", "_revinclude"),
        ("Patient?_contained=true", "_contained"),
    ],
)
async def test_what_is_not_supported_is_refused(hub: Hub, version: str, path: str, named: str) -> None:
    await hub.put(f"{BASE}/fhir/{version}/Patient/a", patient("a"))
    answer = await hub.get(f"{BASE}/fhir/{version}/{path}")
    assert (answer.status_code, issue(answer)["expression"]) == (400, [named])


async def test_reads_take_no_other_parameters(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    for path in ("/Patient/a", "/Patient/a/_history/1", "/Subscription/s", "/Subscription/s/_history/1"):
        answer = await hub.get(f"{path}?colour=red&_summary=text")
        assert answer.status_code == 400
        assert "`colour`" in issue(answer)["details"]["text"]


async def test_where_it_is_not_known_what_is_mandatory_there_is_no_subset(hub: Hub) -> None:
    """R4's types that the models don't know; their text can be left out."""
    product = {"resourceType": "MedicinalProduct", "id": "m", "name": [{"productName": "n"}]}
    assert (await hub.put("/MedicinalProduct/m", product)).status_code == 201
    for query in ("_summary=true", "_summary=text", "_elements=name"):
        answer = await hub.get(f"/MedicinalProduct/m?{query}")
        assert (answer.status_code, issue(answer)["expression"]) == (400, [query.partition("=")[0]])
    assert members((await hub.get("/MedicinalProduct/m?_summary=data")).json()) == {"name"}
    assert (await hub.get("/_history?_summary=true")).json()["entry"][0]["resource"]["name"] == product["name"]


async def test_the_total_is_told_as_asked_for(hub: Hub) -> None:
    for id_ in "abc":
        await hub.put(f"/Patient/{id_}", patient(id_, active=True))

    def total(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json().get("total")

    assert total(await hub.get("/Patient?active=true&_count=1")) is None
    assert total(await hub.get("/Patient?active=true&_count=1&_total=accurate")) == 3
    assert total(await hub.get("/Patient?active=true&_count=1&_total=estimate")) == 3
    assert total(await hub.get("/Patient?_total=none")) is None
    assert total(await hub.get("/Subscription?_total=none")) is None
    assert total(await hub.get("/Subscription?_total=accurate&_sort=_id")) == 0
    assert total(await hub.get("/Patient?_sort=-_lastUpdated")) == 3
