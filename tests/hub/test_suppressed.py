"""What operators' rules and patients' Consents keep from whom, when changes are matched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.errors import Mistaken, Unavailable
from hub.keys import SUPPRESSIONS, ResourceId
from hub.store import Store
from hub.suppressing import Suppressing
from hub.suppressions import honour
from hub.wiring.commands import suppressing
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from hub.write import Write
from subscriptions.codes import FhirVersion
from subscriptions.suppression import Rule
from tests.hub.conftest import close, settings
from tests.hub.engines import active, entries, events, fanout, matched, now, publish, running
from tests.hub.rights import client, labelled, suppressed, telling_apart

R4 = FhirVersion.R4


@asynccontextmanager
async def process(redis_url: str, tmp_path: Path, *, consents: bool = True) -> AsyncIterator[Parts]:
    """All parts, of a process that begins now."""
    found = await built(settings(redis_url, tmp_path).model_copy(update={"honour_consent": consents}))
    yield found
    await close(found.client)


@pytest.fixture
async def honouring(redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    async with process(redis_url, tmp_path) as parts:
        yield parts


@pytest.fixture
async def worker(redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """Another process, which matches."""
    async with process(redis_url, tmp_path) as parts, running(fanout(parts)):
        yield parts


def consent(status: str = "active", type_: str = "deny", patient: str = "1", **provision: Any) -> dict[str, Any]:
    coding = [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
    return {
        "resourceType": "Consent",
        "id": "c",
        "status": status,
        "scope": {"coding": coding},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policyRule": {"coding": [{"code": "OPTIN"}]},
        "patient": {"reference": f"Patient/{patient}"},
        "provision": {"type": type_, **provision},
    }


async def test_consent(honouring: Parts, worker: Parts) -> None:
    """It counts for all that is put after it was confirmed, as it is when that is matched; numbers have no gaps."""
    key = await active(honouring)
    await publish(honouring, labelled("a"))
    await matched(honouring)
    for number, written in enumerate([consent(), consent("inactive"), consent(), consent(type_="permit"), consent()]):
        await publish(honouring, written)
        await publish(honouring, labelled(f"b{number}"))
        await publish(honouring, labelled(f"c{number}", patient="2"))
        await matched(honouring)
    await honouring.store.put(Write(ResourceId("default", R4, "Consent", "c"), "delete", now()))
    await publish(honouring, labelled("d"))
    await matched(honouring)
    assert sorted(await events(honouring, key)) == ["a", "b1", "b3", "c0", "c1", "c2", "c3", "c4", "d"]
    kept = await suppressed(worker)
    assert sorted(kept) == [
        (f"Subscription/s Immunization/b{number}/_history/1", "Consent/c denies it") for number in (0, 2, 4)
    ]


async def test_consents_that_do_not_count(redis_url: str, tmp_path: Path) -> None:
    """Unless they are honoured nobody asks what they say; once they are, those of before count as well."""
    async with process(redis_url, tmp_path, consents=False) as parts:
        key = await active(parts)
        await publish(parts, consent())
        async with running(fanout(parts)):
            await publish(parts, labelled("a"))
            await matched(parts)
        assert await events(parts, key) == ["a"]
    async with process(redis_url, tmp_path) as parts, running(fanout(parts)):
        await publish(parts, labelled("b"))
        await matched(parts)
        assert await events(parts, key) == ["a"]


async def test_consents_of_an_earlier_release(honouring: Parts, redis_url: str, tmp_path: Path) -> None:
    """A store whose Consents nobody has looked at is caught up with at the next start."""
    key = await active(honouring)
    await publish(honouring, consent())
    await honouring.pipeline.command("DEL", SUPPRESSIONS)
    async with process(redis_url, tmp_path) as parts, running(fanout(parts)):
        await publish(parts, labelled("b"))
        await matched(parts)
    assert await events(honouring, key) == []


class Dying(Store):
    """Dies between storing a version and having it count."""

    async def remember(self, resource: ResourceId, number: int, body: bytes | None) -> None:
        raise Unavailable(f"{resource}/{number} of {len(body or b'')} bytes does not count yet")


async def test_writer_that_dies(honouring: Parts, worker: Parts) -> None:
    """It was confirmed to nobody, and counts from when it is matched."""
    key = await active(worker)
    with pytest.raises(Unavailable):
        await publish(replace(honouring, store=Dying(honouring.pipeline, 4)), consent())
    await matched(worker)
    await publish(honouring, labelled("a"))
    await matched(worker)
    assert await events(worker, key) == []


async def test_late_version(honouring: Parts) -> None:
    """An earlier version that comes later changes nothing, nor does a repeat."""
    place = ResourceId("default", R4, "Consent", "c")
    denies, permits = b'{"status":"active","patient":{"reference":"Patient/1"},"provision":{"type":"deny"}}', b"{}"
    await honour(honouring.pipeline, place, 2, permits)
    for number in (1, 2):
        await honour(honouring.pipeline, place, number, denies)
    await honouring.suppressions.refresh()
    assert honouring.suppressions.of("default", R4).empty
    await honour(honouring.pipeline, place, 3, denies)
    await honouring.suppressions.refresh()
    assert not honouring.suppressions.of("default", R4).empty
    assert honouring.suppressions.of("default", FhirVersion.R5).empty
    assert honouring.suppressions.of("other", R4).empty


async def test_without_a_patient(honouring: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """A deny that nobody can follow is logged, and keeps nothing from anybody; what is vague is logged, and counts."""
    await publish(honouring, {**consent(), "patient": {"display": "somebody"}})
    await publish(honouring, {**consent(purpose=[{"code": "HMARKT"}]), "id": "d"})
    await honouring.suppressions.refresh()
    said = {record.message: record.__dict__ for record in caplog.records if record.name == "hub.suppressions"}
    assert said["consent.unattributed"]["resource"] == "default/r4/Consent/c"
    assert (said["consent.vague"]["resource"], said["consent.vague"]["reason"]) == ("default/r4/Consent/d", "purpose")


async def test_actor(honouring: Parts) -> None:
    """A client is meant by its name."""
    apart = telling_apart(honouring)
    await client(apart, "lab")
    await client(apart, "ward")
    lab, ward = await active(apart, "l", owner="lab"), await active(apart, "w", owner="ward")
    actor = {"role": {"text": "x"}, "reference": {"reference": "Organization/lab"}}
    await publish(apart, consent(actor=[actor]))
    await publish(apart, labelled("a"))
    await match(apart)
    assert (await events(apart, lab), await events(apart, ward)) == ([], ["a"])


async def match(parts: Parts) -> None:
    engine = fanout(parts)
    for partition in parts.changes.partitions:
        if found := await entries(parts, partition):
            await engine.match(partition, found)


async def test_rules(parts: Parts, redis_url: str, tmp_path: Path) -> None:
    """Those of an operator, who is another process, count in the same way; for one client, if they say so."""
    key = await active(parts)
    async with running(fanout(parts)), operator(redis_url, tmp_path) as by:
        await publish(parts, labelled("a"))
        await matched(parts)
        rule = await by.add("default", "Immunization?patient=Patient/1", "")
        await publish(parts, labelled("b"))
        await publish(parts, labelled("c", patient="2"))
        await matched(parts)
        await by.remove("default", rule.id)
        await publish(parts, labelled("d"))
        await matched(parts)
    assert await events(parts, key) == ["a", "c", "d"]
    ((of, why),) = await suppressed(parts)
    assert (of, why) == ("Subscription/s Immunization/b/_history/1", f"the rule {rule.id} suppresses it")


@asynccontextmanager
async def operator(redis_url: str, tmp_path: Path) -> AsyncIterator[Suppressing]:
    async with suppressing(settings(redis_url, tmp_path)) as found:
        yield found


async def test_a_clock_that_is_set_back(parts: Parts, redis_url: str, tmp_path: Path) -> None:
    """What others have said in the meantime counts all the same."""
    time = [1_700_000_000_000]
    held = replace(parts.suppressions, now=lambda: time[0])
    await held.current()
    async with operator(redis_url, tmp_path) as by:
        await by.add("default", "Immunization", "")
    time[0] -= 3_600_000
    assert await held.current()
    assert not held.of("default", R4).empty


async def test_operator(parts: Parts, redis_url: str, tmp_path: Path) -> None:
    """What can't be evaluated, or is of nobody, is no rule; what is one is listed by others too."""
    await client(parts, "lab")
    async with operator(redis_url, tmp_path) as by:
        for tenant, criteria, whom, said in (
            ("default", "Immunization?nonsense=1", "", "nonsense"),
            ("default", "Nothing?a=1", "", "is not a resource type"),
            ("default", "Immunization", "nobody", "there is no client nobody"),
            ("north", "Immunization", "", "there is no tenant north"),
        ):
            with pytest.raises(Mistaken, match=said):
                await by.add(tenant, criteria, whom)
        with pytest.raises(Mistaken, match="there is no rule x"):
            await by.remove("default", "x")
        rule = await by.add("default", "Immunization", "lab")
    async with operator(redis_url, tmp_path) as other:
        assert other.of("default") == {rule.id: Rule(rule.id, "Immunization", "lab")}
