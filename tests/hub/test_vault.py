"""Bodies sealed at rest: what stands in Redis, and that all goes on as if they were not."""

import os
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import NotTheHub
from hub.intent import Intent
from hub.keys import BODIES, ResourceId
from hub.resealing import Resealing
from hub.seal import Seal
from hub.secrets import Secrets, Unopened
from hub.settings import Settings
from hub.vault import Vault
from hub.wiring.erasing import erasing
from hub.wiring.parts import parts as built
from hub.write import Write
from subscriptions.codes import FhirVersion
from tests.dump import everything
from tests.facts import eventually
from tests.hub.api.server import Hub, patient, place, serving
from tests.hub.conftest import close, settings
from tests.hub.engines import active, events, fanout, matched, running

ONE, OTHER = (urlsafe_b64encode(os.urandom(32)).decode() for _ in range(2))
HER = ResourceId("default", FhirVersion.R4, "Patient", "her")
NAME, NHI, SYSTEM = "Wharerau", "ZAA0067", "urn:nhi"
WHERE = f"/Patient?identifier={SYSTEM}%7C{NHI}"


def vault() -> Vault:
    return Vault(os.urandom(64), True)


@given(head=st.binary(min_size=1), tail=st.binary(), number=st.integers(1, 10**15))
def test_what_is_sealed_is_opened(head: bytes, tail: bytes, number: int) -> None:
    """Whatever the JSON, and whatever number `put` puts behind it; and nothing of it shows."""
    of, text = vault(), str(number).encode()
    before, behind = of.seal(HER, head, tail)
    assert of.open(HER, before + text + behind) == head + text + tail
    assert len(head) < 8 or head not in before + behind


def test_what_is_in_clear_stays_so() -> None:
    """What was stored before, a delete, and all while nothing is sealed."""
    clear = b'{"resourceType":"Patient"}'
    assert vault().open(HER, clear) == clear
    assert vault().open(HER, None) is None
    assert vault().seal(HER, b"", b"") == (b"", b"")
    assert Vault().seal(HER, b"a", b"b") == (b"a", b"b")
    assert Vault().looked_up_by("s|v") == ("s|v",)


@pytest.mark.parametrize("elsewhere", [ResourceId("other", *(FhirVersion.R4, "Patient", "her")),
                                       ResourceId("default", FhirVersion.R4, "Patient", "him")])  # fmt: skip
def test_at_another_place_it_does_not_open(elsewhere: ResourceId) -> None:
    """What somebody has moved in Redis is nobody's body."""
    of = vault()
    before, behind = of.seal(HER, b"{", b"}")
    assert of.open(elsewhere, before + b"1" + behind) is None
    assert of.open(HER, before[:-1] + bytes([before[-1] ^ 1]) + b"1" + behind) is None
    assert vault().open(HER, before + b"1" + behind) is None
    assert Vault().open(HER, before + b"1" + behind) is None


@given(st.data())
def test_what_is_cut_or_altered_does_not_open(data: st.DataObject) -> None:
    """Wherever that is, it is no failure: nobody can say what stands in Redis."""
    of = vault()
    sealed = b"".join(of.seal(HER, b"{", b"}"))
    place = data.draw(st.integers(2, len(sealed) - 1))
    altered = sealed[:place] + bytes([sealed[place] ^ data.draw(st.integers(1, 255))]) + sealed[place + 1 :]
    assert of.open(HER, altered + b"1") is None
    assert of.open(HER, sealed[:place]) is None


def test_a_text_at_its_place() -> None:
    of = vault()
    wrapped = of.wrap("here", b"text")
    assert (of.unwrap("here", wrapped), of.unwrap("here", b"clear")) == (b"text", b"clear")
    with pytest.raises(Unopened):
        of.unwrap("there", wrapped)


def wanted(url: str, data: Path, *, on: bool = True, keys: str = ONE) -> Settings:
    return settings(url, data).model_copy(update={"secrets_key": keys, "encrypt_bodies": on})


@pytest.fixture
async def sealed(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub that seals bodies."""
    async with serving(wanted(redis_url, tmp_path)) as found:
        yield found


def her(**more: Any) -> dict[str, Any]:
    return patient("her", name=[{"family": NAME}], identifier=[{"system": SYSTEM, "value": NHI}], **more)


async def test_nothing_of_a_body_stands_in_redis(sealed: Hub) -> None:
    """Neither its name nor its identifier; and it is read, found, patched, listed and held against filters."""
    key = await active(sealed.parts)
    for method, url, body in (
        ("PUT", "/Patient/her", her()),
        ("PUT", "/Patient/her", her(active=True)),
        ("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": her(gender="female"), "request": {"method": "PUT", "url": "Patient/her"}}]}),
    ):  # fmt: skip
        assert (await sealed.client.request(method, url, json=body)).status_code in (200, 201)
    found = (await sealed.get(WHERE)).json()
    assert [each["resource"]["name"][0]["family"] for each in found["entry"]] == [NAME]
    assert (await sealed.get("/Patient/her/_history/2")).json()["active"] is True
    assert [each["resource"]["meta"]["versionId"] for each in (await sealed.get("/Patient/her/_history")).json()[
        "entry"]] == ["3", "2", "1"]  # fmt: skip
    again = await sealed.post("/Patient", her() | {"id": "x"}, if_none_exist=WHERE.partition("?")[2])
    assert (again.status_code, again.json()["id"]) == (200, "her")
    immunization = {"resourceType": "Immunization", "id": "i", "status": "completed", "occurrenceString": "o",
                    "vaccineCode": {"text": "v"}, "patient": {"reference": "Patient/her"}}  # fmt: skip
    assert (await sealed.put("/Immunization/i", immunization)).status_code == 201
    async with running(fanout(sealed.parts)):
        await matched(sealed.parts)
    assert await events(sealed.parts, key) == ["i"]
    held = await everything(sealed.parts.pipeline.command)
    assert NAME.encode() not in held
    assert NHI.encode() not in held


async def test_what_a_transaction_is_about_to_write(sealed: Hub) -> None:
    """It is written down sealed, and whoever finds it applies it as it was meant."""
    head = b'{"resourceType":"Patient","id":"her","meta":{"versionId":"'
    tail = b'"},"name":[{"family":"%b"}]}' % NAME.encode()
    transactions = sealed.transactions
    intent = await transactions.begin([Write(place("Patient", "her"), "update", 1, head, tail)])
    assert isinstance(intent, Intent)
    assert NAME.encode() not in await everything(sealed.parts.pipeline.command)
    await transactions.reserve(intent)
    await transactions.commit(intent, b"")
    await transactions.complete(intent.attempt)
    assert (await sealed.get("/Patient/her")).json()["name"] == [{"family": NAME}]


async def test_it_is_turned_on_and_off(redis_url: str, tmp_path: Path) -> None:
    """What is there stays as it is, and is read and found either way; a new version is as it is set now."""
    held = list[bool]()
    for on in (False, True, False):
        async with serving(wanted(redis_url, tmp_path, on=on)) as hub:
            for url in ("/Patient/her", "/Patient/her/_history/1"):
                assert (await hub.get(url)).status_code == (200 if held else 404)
            assert (await hub.get(WHERE)).json()["total"] == (1 if held else 0)
            assert (await hub.put("/Patient/her", her())).status_code in (200, 201)
            assert (await hub.get(WHERE)).json()["total"] == 1
            key = f"hub:{{{place('Patient', 'her').partition(4)}}}:resource:{place('Patient', 'her')}"
            last = await hub.parts.pipeline.command("HGET", key, "version")
            held.append(NAME.encode() in await hub.parts.pipeline.command("HGET", key, b"b" + last))
    assert held == [True, False, True]


async def test_it_is_erased(sealed: Hub) -> None:
    """Also by what a body says, which is opened for it."""
    await sealed.put("/Patient/her", her())
    observation = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "c"}}
    await sealed.put("/Observation/o", observation | {"subject": {"identifier": her()["identifier"][0]}})
    answer = await sealed.post("http://hub.example/admin/erase", {"resource": "Patient/her", "compartment": True})
    assert answer.json()["erased"] == {"Observation": 1, "Patient": 1}
    assert (await sealed.get(WHERE)).json()["total"] == 0
    assert erasing(sealed.parts).census.vault is sealed.store.vault


async def tamper(hub: Hub, number: int) -> None:
    """Have a version not open any more."""
    key = f"hub:{{{place('Patient', 'her').partition(4)}}}:resource:{place('Patient', 'her')}"
    body = await hub.parts.pipeline.command("HGET", key, f"b{number}")
    await hub.parts.pipeline.command("HSET", key, f"b{number}", body[:30] + bytes([body[30] ^ 1]) + body[31:])


async def test_what_does_not_open_is_erased_with_its_patient(sealed: Hub) -> None:
    """Whatever it is about, it is a version of the very resource that is to go."""
    for gender in ("female", "other"):
        await sealed.put("/Patient/her", her(gender=gender))
    await tamper(sealed, 2)
    answer = await sealed.post("http://hub.example/admin/erase", {"resource": "Patient/her", "compartment": True})
    assert (answer.json()["versions"], answer.json()["notUnderstood"]) == (2, [])


async def test_what_was_tampered_with_is_set_aside(sealed: Hub) -> None:
    """A body that doesn't open is as one that is gone: it holds up nothing."""
    await sealed.put("/Patient/her", her())
    await tamper(sealed, 1)
    assert (await sealed.get("/Patient/her")).status_code == 410
    engine = fanout(sealed.parts)
    async with running(engine):
        await eventually(lambda: engine.poison["body"] == 1)


async def test_a_new_key_in_front(redis_url: str, tmp_path: Path) -> None:
    """The bodies stay as they are: `hub secrets reseal` seals their key anew, and then the old key can go."""
    async with serving(wanted(redis_url, tmp_path)) as hub:
        await hub.put("/Patient/her", her())
    both = await built(wanted(redis_url, tmp_path, keys=f"{OTHER},{ONE}"))
    try:
        done = await Resealing(both.pipeline, both.registry, both.seal).run()
        assert (done.unopened, len(done.retired)) == ((), 1)
    finally:
        await close(both.client)
    async with serving(wanted(redis_url, tmp_path, keys=OTHER)) as hub:
        assert (await hub.get("/Patient/her")).json()["name"] == [{"family": NAME}]


async def test_a_key_that_is_lost(redis_url: str, tmp_path: Path) -> None:
    """The bodies are never given up: neither by a start nor by `hub secrets reseal --forget`."""
    async with serving(wanted(redis_url, tmp_path)) as hub:
        await hub.put("/Patient/her", her())
        pipeline, before = hub.parts.pipeline, await hub.parts.pipeline.command("GET", BODIES)
        seal = Seal(pipeline, Secrets.of(OTHER, None))
        with pytest.raises(NotTheHub, match="bodies"):
            await Resealing(pipeline, hub.parts.registry, seal).run(forget=True)
        assert await pipeline.command("GET", BODIES) == before
    with pytest.raises(NotTheHub):
        await built(wanted(redis_url, tmp_path, keys=OTHER))


async def test_without_a_key(redis_url: str, tmp_path: Path) -> None:
    """There is nothing to seal with: it doesn't start."""
    with pytest.raises(NotTheHub, match="HUB_ENCRYPT_BODIES"):
        await built(wanted(redis_url, tmp_path, keys=""))
