"""
HL7's own examples of each FHIR version, unedited: accepted, or rejected for a reason that is listed here; read back as
they came.
"""

import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import emptied
from tests.hub.api.server import Hub, serving
from tests.hub.conftest import BASE, settings
from tests.redis_server import RedisServer

EXAMPLES = Path(__file__).parents[3] / "fixtures"

#: Types that do not go through the store: they have tests of their own. AuditEvents are the hub's own, and append-only:
#: one that somebody could send in would prove nothing.
KEPT_ELSEWHERE = ("Subscription", "SubscriptionTopic", "SubscriptionStatus", "AuditEvent")

#: File: the element that its FHIR version requires or restricts and that the example has wrong.
REJECTED = {
    # `linkId` is 1..1 on every item; this example has it on none.
    "r4/Questionnaire-qs1.json": "Questionnaire.item[0].item[0].linkId",
    # An id, and so a reference to `DocumentReference/WES_FullSequencedRegion_GRCh38`, has no underscore.
    "r5/GenomicStudy-example-lungMass.json": "GenomicStudy.analysis[0].regionsStudied[0].reference",
    # A reference names a type before the id.
    "r5/ResearchSubject-example-crossover-placebo-to-drug.json": "ResearchSubject.study.reference",
}


@pytest.fixture(scope="module")
async def hub(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """One for all: no example is stored twice."""
    async with serving(settings(emptied(redis_server), tmp_path_factory.mktemp("data"))) as found:
        yield found


MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def examples() -> dict[tuple[str, str], list[Path]]:
    """The files by FHIR version and resource type."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(EXAMPLES.glob("r*/*.json")):
        if (version := path.parent.name) in ("r4", "r4b", "r5"):
            found.setdefault((version, json.loads(path.read_bytes())["resourceType"]), []).append(path)
    return {(version, type_): paths for (version, type_), paths in found.items() if type_ not in KEPT_ELSEWHERE}


BY_TYPE = examples()


@pytest.mark.parametrize("version", ["r4", "r4b", "r5"])
def test_there_are_about_700_examples_of_most_types(version: str) -> None:
    """The fixtures are there: an empty folder would pass every other test here."""
    of_version = [paths for (each, _), paths in BY_TYPE.items() if each == version]
    assert sum(map(len, of_version)) > 650
    assert len(of_version) > 115


@pytest.mark.parametrize(("version", "type_"), BY_TYPE)
async def test_an_example_is_stored_and_read_back_as_it_came(hub: Hub, version: str, type_: str) -> None:
    """Everything but `meta.versionId`, `meta.lastUpdated` and a missing `id` keeps its very bytes."""
    base = f"{BASE}/fhir/{version}"
    for path in BY_TYPE[version, type_]:
        body = path.read_bytes()
        sent = _parsed(body)
        if "id" in sent:
            answer = await hub.client.put(f"{base}/{type_}/{sent['id']}", content=body)
        else:
            answer = await hub.client.post(f"{base}/{type_}", content=body)
        if (name := f"{version}/{path.name}") in REJECTED:
            assert answer.status_code == 400
            assert answer.json()["issue"][0]["expression"] == [REJECTED[name]]
            continue
        assert answer.status_code == 201, f"{name}: {answer.text}"
        stored = (await hub.get(answer.headers["Location"])).content
        assert answer.content == stored
        assert _without(_parsed(stored), sent) == sent | {"meta": sent.get("meta", {})}
        _same_bytes(MEMBERS.decode(body), MEMBERS.decode(stored))


def _parsed(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body, parse_float=Decimal)
    return found


def _without(stored: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """What is stored, without what the hub has added, and with what it has replaced put back."""
    meta = {name: value for name, value in stored["meta"].items() if name not in ("versionId", "lastUpdated")}
    meta |= {name: sent["meta"][name] for name in ("versionId", "lastUpdated") if name in sent.get("meta", {})}
    found = stored | {"meta": meta}
    return found if "id" in sent else {name: value for name, value in found.items() if name != "id"}


def _same_bytes(sent: dict[str, msgspec.Raw], stored: dict[str, msgspec.Raw]) -> None:
    assert [name for name in stored if name in sent] == list(sent)
    for name in sent.keys() - {"meta"}:
        assert bytes(stored[name]) == bytes(sent[name])
    before, after = (MEMBERS.decode(members.get("meta", b"{}")) for members in (sent, stored))
    for name in before.keys() - {"versionId", "lastUpdated"}:
        assert bytes(after[name]) == bytes(before[name])


def _decimals(value: object) -> Iterator[Decimal]:
    match value:
        case Decimal():
            yield value
        case dict():
            for member in value.values():
                yield from _decimals(member)
        case list():
            for item in value:
                yield from _decimals(item)


async def test_the_digits_of_a_decimal_survive(hub: Hub) -> None:
    """HL7's example of decimals has trailing zeros and exponents: `1.00`, `1.000000000000000000E-245`."""
    body = (EXAMPLES / "r4" / "Observation-decimal.json").read_bytes()
    answer = await hub.client.put("/Observation/decimal", content=body)
    sent, stored = (list(map(str, _decimals(_parsed(text)))) for text in (body, answer.content))
    assert stored == sent
    assert any(text.endswith("00") for text in sent)
