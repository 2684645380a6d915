"""In which form answers come and bodies may: JSON of the base's FHIR version, indented or not, and no XML."""

from typing import Any

import httpx
import pytest

from subscriptions.codes import FhirVersion
from tests.hub.api.bundles import ask, bundle
from tests.hub.api.server import Hub, issue, patient
from tests.hub.conftest import BASE

VERSIONS = pytest.mark.parametrize("version", list(FhirVersion))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
XML = b'<Patient xmlns="http://hl7.org/fhir"><id value="a"/></Patient>'

#: All kinds of things that are read.
READ = (
    "Patient/a",
    "Patient/a/_history/1",
    "Patient/a/_history",
    "Patient",
    "Patient/_history",
    "_history",
    "metadata",
    "Subscription",
    "Subscription/$status",
    "Basic",
)


def base(version: str) -> str:
    return f"{BASE}/fhir/{version}"


@VERSIONS
async def test_xml_is_refused_with_a_clear_text(hub: Hub, version: str) -> None:
    await hub.put(f"{base(version)}/Patient/a", patient("a"))
    for path in READ:
        url = f"{base(version)}/{path}"
        for answer in (
            await hub.get(url, accept="application/fhir+xml"),
            await hub.get(f"{url}?_format=xml"),
            await hub.get(f"{url}?_format=application/fhir%2Bxml"),
            await hub.get(f"{url}?_format=text/turtle", accept="application/fhir+json"),
        ):
            assert answer.status_code == 406, (url, answer.text)
            assert f"JSON of FHIR {FhirVersion(version).mime}" in issue(answer)["details"]["text"]
    for method, path in (
        ("POST", "/Patient"),
        ("PUT", "/Patient/a"),
        ("POST", ""),
        ("POST", "/Subscription"),
        ("PUT", "/Subscription/s"),
        ("POST", "/$process-message"),
        ("POST", "/Subscription/$validate"),
        ("POST", "/Patient/_search"),
        *([("POST", "/SubscriptionTopic"), ("PUT", "/SubscriptionTopic/t")] if version != "r4" else []),
    ):
        sent = {"Content-Type": "application/fhir+xml"}
        answer = await hub.client.request(method, f"{base(version)}{path}", content=XML, headers=sent)
        assert answer.status_code == 415, (path, answer.text)
        assert "application/fhir+xml" in issue(answer)["details"]["text"]
    batch = bundle("batch", ask("GET", "Patient/a?_format=xml"))
    [entry] = (await hub.post(base(version), batch)).json()["entry"]
    assert entry["response"]["status"] == "406 Not Acceptable"
    assert [line for line in await hub.changes() if line[1] > 1] == []


@VERSIONS
async def test_media_types_may_name_the_version_of_the_base_and_no_other(hub: Hub, version: str) -> None:
    for other in FhirVersion:
        named = f"application/fhir+json; fhirVersion={other.mime}"
        written = await hub.put(f"{base(version)}/Patient/a", patient("a"), content_type=named)
        assert written.status_code == (415 if other != version else 201)
        url = f"{base(version)}/Patient/a"
        for answer in (
            await hub.get(url, accept=named),
            await hub.client.get(url, params={"_format": named}),
            await hub.get(f"{url}?_format=application/fhir+json;fhirVersion={other.mime}"),
        ):
            # 404 until it was written
            assert (answer.status_code == 406) is (other != version), answer.text


@VERSIONS
@pytest.mark.parametrize("format_", ["json", "application/json", "application/fhir%2Bjson", "application/fhir+json"])
async def test_json_may_be_asked_for_in_the_url_or_a_form(hub: Hub, version: str, format_: str) -> None:
    await hub.put(f"{base(version)}/Patient/a", patient("a"))
    wrong = {"Accept": "application/fhir+xml"}
    assert (await hub.get(f"{base(version)}/Patient/a?_format={format_}", **wrong)).status_code == 200
    for path in ("Patient", "Subscription", "Basic", *(["SubscriptionTopic"] if version != "r4" else [])):
        url = f"{base(version)}/{path}/_search"
        answer = await hub.client.post(url, content=f"_format={format_}&_pretty=true", headers=FORM)
        assert (answer.status_code, answer.content.startswith(b'{\n  "')) == (200, True)
        assert (await hub.client.post(url, content="_format=xml", headers=FORM)).status_code == 406


@VERSIONS
async def test_a_search_by_post_finds_what_one_by_get_does(hub: Hub, version: str) -> None:
    """Of each kind of type, in each version."""
    await hub.put(f"{base(version)}/Patient/a", patient("a"))
    for path in ("Patient", "Basic", "Subscription", *(["SubscriptionTopic"] if version != "r4" else [])):
        url = f"{base(version)}/{path}"
        got = await hub.get(f"{url}?_id=a,patient-change&_count=5")
        posted = await hub.client.post(f"{url}/_search?_count=5", content="_id=a,patient-change", headers=FORM)
        assert (got.status_code, posted.status_code) == (200, 200)
        assert _without_links(posted) == _without_links(got)
        assert (await hub.client.post(f"{url}/_search", content="colour=red", headers=FORM)).status_code == 400
    topics = "Basic?code=SubscriptionTopic" if version == "r4" else "SubscriptionTopic?"
    path, _, query = topics.partition("?")
    posted = await hub.client.post(f"{base(version)}/{path}/_search", content=f"{query}&_count=3", headers=FORM)
    assert len(posted.json()["entry"]) == 3


def _without_links(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "link"}


PRETTY = """{
  "resourceType": "Patient",
  "id": "a",
  "meta": {
    "versionId": "1",
    "lastUpdated": "?"
  },
  "multipleBirthInteger": 2,
  "extension": [
    {
      "url": "http://a",
      "valueDecimal": 1.10
    },
    {
      "url": "http://a",
      "valueDecimal": 12345678901234567.8900
    }
  ],
  "active": true
}"""


@VERSIONS
async def test_pretty_changes_no_digit_and_no_order(hub: Hub, version: str) -> None:
    url = f"{base(version)}/Patient/a"
    plain = "".join(line.strip() for line in PRETTY.splitlines()).replace("?", "2026-11-21T10:00:00Z")
    assert (await hub.client.put(f"{url}?_pretty=true", content=plain)).text.startswith('{\n  "resourceType"')
    answer = await hub.get(f"{url}?_pretty=true")
    assert answer.text == PRETTY.replace("?", answer.json()["meta"]["lastUpdated"])
    assert "\n" not in (await hub.get(f"{url}?_pretty=false")).text
    for path in READ:
        assert (await hub.get(f"{base(version)}/{path}?_pretty=true")).text.startswith('{\n  "resourceType"'), path
    for query in ("_pretty=yes", "_pretty=true&_pretty=false", "_format=json&_format=xml"):
        refused = await hub.get(f"{url}?{query}")
        assert (refused.status_code, issue(refused)["expression"]) == (400, [query.partition("=")[0]])
    assert (await hub.get(f"{base(version)}/Patient/none?_pretty=true")).text.startswith('{\n  "resourceType"')


@VERSIONS
async def test_head_answers_as_get_does_without_a_body(hub: Hub, version: str) -> None:
    await hub.put(f"{base(version)}/Patient/a", patient("a"))
    for path in READ:
        got, head = await hub.get(f"{base(version)}/{path}"), await hub.client.head(f"{base(version)}/{path}")
        assert (got.status_code, head.status_code) == (200, 200), path
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert head.headers.get("ETag") == got.headers.get("ETag")
        assert head.headers.get("Last-Modified") == got.headers.get("Last-Modified")
