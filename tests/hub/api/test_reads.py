"""Reads of a version, and of one that the client may have already: ETag, Last-Modified, and 304."""

import json
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.versions import instant
from tests.hub.api.bundles import bundle
from tests.hub.api.server import Hub, patient
from tests.hub.api.subscriptions import ENDPOINT
from tests.hub.conftest import BASE
from tests.processes import subscription, subscription_r5

VERSIONS = pytest.mark.parametrize("version", list(FhirVersion))

TOPIC = Path(__file__).parents[3] / "fixtures/topics/immunisation-administered.json"
LATER, EARLIER = "Sat, 01 Jan 2999 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"


def topics(version: str) -> str:
    """The type that a topic has."""
    return "Basic" if version == "r4" else "SubscriptionTopic"


async def read(hub: Hub, version: str) -> list[str]:
    """URLs of one thing of each kind, and of its version."""
    base = f"{BASE}/fhir/{version}"
    wanted = subscription_r5(ENDPOINT) if version == "r5" else subscription(ENDPOINT)
    assert (await hub.put(f"{base}/Patient/a", patient("a"))).status_code == 201
    assert (await hub.put(f"{base}/Subscription/s", wanted | {"id": "s"})).status_code == 201
    topic = json.loads(TOPIC.read_bytes()) | {"id": "t"}
    assert (await hub.put(f"{BASE}/fhir/r5/SubscriptionTopic/t", topic)).status_code == 201
    found = [f"{base}/Patient/a", f"{base}/Subscription/s", f"{base}/{topics(version)}/t"]
    return [*found, *[f"{url}/_history/1" for url in found]]


@VERSIONS
async def test_a_read_says_which_version_it_is_and_since_when(hub: Hub, version: str) -> None:
    for url in await read(hub, version):
        answer = await hub.get(url)
        meta = answer.json()["meta"]
        assert (answer.status_code, answer.headers["ETag"]) == (200, f'W/"{meta["versionId"]}"'), url
        at = instant.read(meta["lastUpdated"]).replace(microsecond=0)
        assert parsedate_to_datetime(answer.headers["Last-Modified"]) == at


@VERSIONS
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"if_none_match": 'W/"1"'}, 304, id="same"),
        pytest.param({"if_none_match": '"1"'}, 304, id="same-strong"),
        pytest.param({"if_none_match": '"7", W/"1"'}, 304, id="one-of-them"),
        pytest.param({"if_none_match": "*"}, 304, id="any"),
        pytest.param({"if_none_match": 'W/"2"'}, 200, id="another"),
        pytest.param({"if_modified_since": "?"}, 304, id="not-since"),
        pytest.param({"if_modified_since": LATER}, 304, id="not-since-later"),
        pytest.param({"if_modified_since": EARLIER}, 200, id="since"),
        pytest.param({"if_modified_since": "yesterday"}, 200, id="no-date"),
        pytest.param({"if_modified_since": "Sat, 01 Jan 99999 00:00:00 GMT"}, 200, id="no-year"),
        pytest.param({"if_none_match": 'W/"2"', "if_modified_since": LATER}, 200, id="the-tag-decides"),
        pytest.param({"if_none_match": 'W/"1"', "if_modified_since": EARLIER}, 304, id="the-tag-decides-too"),
    ],
)
async def test_what_the_client_has_already_is_not_sent(
    hub: Hub, version: str, headers: dict[str, str], status: int
) -> None:
    for url in await read(hub, version):
        whole = await hub.get(url)
        given = {name: value.replace("?", whole.headers["Last-Modified"]) for name, value in headers.items()}
        answer = await hub.get(url, **given)
        assert (answer.status_code, answer.content) == (status, b"" if status == 304 else whole.content), url
        assert answer.headers["ETag"] == 'W/"1"'
        assert answer.headers["Last-Modified"] == whole.headers["Last-Modified"]


@VERSIONS
async def test_of_a_built_in_topic_the_tag_alone_decides(hub: Hub, version: str) -> None:
    """Nobody knows since when it is as it is."""
    listed = await hub.get(f"{BASE}/fhir/{version}/{topics(version)}?code=SubscriptionTopic&_count=1")
    listed = listed if version == "r4" else await hub.get(f"{BASE}/fhir/{version}/SubscriptionTopic?_count=1")
    url = listed.json()["entry"][0]["fullUrl"]
    answer = await hub.get(url)
    assert "Last-Modified" not in answer.headers
    assert (await hub.get(url, if_modified_since=LATER)).status_code == 200
    assert (await hub.get(url, if_none_match=answer.headers["ETag"])).status_code == 304


@VERSIONS
async def test_a_batch_reads_by_the_same_conditions(hub: Hub, version: str) -> None:
    base = f"{BASE}/fhir/{version}"
    written = (await hub.put(f"{base}/Patient/a", patient("a"))).json()["meta"]["lastUpdated"]
    before = instant.read(written).replace(year=2000)
    for condition, status in (
        ({"ifNoneMatch": 'W/"1"'}, "304 Not Modified"),
        ({"ifNoneMatch": 'W/"2"'}, "200 OK"),
        ({"ifModifiedSince": written}, "304 Not Modified"),
        ({"ifModifiedSince": instant.write(before)}, "200 OK"),
        ({"ifModifiedSince": written, "ifNoneMatch": 'W/"2"'}, "200 OK"),
    ):
        sent = bundle("batch", {"request": {"method": "GET", "url": "Patient/a", **condition}})
        [entry] = (await hub.post(base, sent)).json()["entry"]
        assert entry["response"]["status"] == status, condition
        assert ("resource" in entry) is (status == "200 OK")


@VERSIONS
async def test_what_is_gone_is_gone_whatever_the_client_has(hub: Hub, version: str) -> None:
    url = f"{BASE}/fhir/{version}/Patient/a"
    at = parsedate_to_datetime((await hub.put(url, patient("a"))).headers["Last-Modified"])
    await hub.delete(url)
    for headers in ({}, {"if_none_match": "*"}, {"if_modified_since": format_datetime(at, usegmt=True)}):
        assert (await hub.get(url, **headers)).status_code == 410
    assert (await hub.get(f"{url}/_history/2")).status_code == 410
    assert (await hub.get(f"{url}/_history/1", if_none_match='W/"1"')).status_code == 304
