"""What one tenant grants another: to be told of its changes, each as that of a resource on its own base."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.access import DEFAULT, Tenant
from hub.in_force import InForce
from hub.keys import SubscriptionKey
from hub.sight import Sight
from hub.telling import Judgement
from hub.turn import OwedEvent
from subscriptions.codes import Content, FhirVersion, Interaction, SubscriptionStatus
from subscriptions.matching import Index
from subscriptions.scopes import Scopes
from subscriptions.shapes import Included
from subscriptions.withheld import Reason, Withheld
from tests.facts import eventually
from tests.hub.api.server import Hub, issue, serving
from tests.hub.conftest import BASE, settings
from tests.hub.engines import activate, delivering, fanout, matched, running
from tests.hub.test_fanout import Buggy
from tests.processes import subscription
from tests.receiver import Received, Receiver

R4 = FhirVersion.R4
NORTH, SOUTH = f"{BASE}/t/north/fhir/r4", f"{BASE}/t/south/fhir/r4"
ENDPOINT = "http://127.0.0.1:9/hook"

Json = dict[str, Any]


@pytest.fixture
async def hub(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    more = {"allow_chained_filters": True, "legacy_style": "r4"}
    async with serving(settings(redis_url, tmp_path).model_copy(update=more)) as found:
        await found.parts.access.set(Tenant("south"))
        await grant(found, "system/Immunization.r")
        yield found


@pytest.fixture
async def matcher(hub: Hub) -> AsyncIterator[None]:
    async with running(fanout(hub.parts)):
        yield


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def grant(hub: Hub, scopes: str) -> None:
    """What north lets south be told of."""
    await hub.parts.access.set(Tenant("north", {"south": Scopes.parse(scopes)} if scopes else {}))


async def put(hub: Hub, base: str, reference: str, **more: Any) -> None:
    type_, _, id_ = reference.partition("/")
    answer = await hub.put(f"{base}/{reference}", {"resourceType": type_, "id": id_} | more)
    assert answer.status_code in (200, 201), answer.text


async def vaccinated(hub: Hub, base: str, id_: str = "1", patient: str = "Patient/1", **more: Any) -> None:
    code = {"coding": [{"system": "urn:v", "code": "08"}]}
    given: Json = {"status": "completed", "vaccineCode": code, "occurrenceDateTime": "2026-11-27"} | more
    await put(hub, base, f"Immunization/{id_}", patient={"reference": patient}, **given)
    await matched(hub.parts)


async def subscribed(hub: Hub, *filters: str, tenant: str = "south", id_: str = "s", **options: Any) -> SubscriptionKey:
    """A Subscription on Immunizations that is active, without anybody to deliver to it."""
    resource = subscription(options.pop("endpoint", ENDPOINT), "Immunization", *filters, **options) | {"id": id_}
    answer = await hub.put(f"{hub.parts.tenancy.base(tenant, R4)}/Subscription/{id_}", resource)
    assert answer.status_code == 201, answer.text
    found = await hub.parts.membership.find(tenant, R4, id_)
    assert found is not None
    await activate(hub.parts, found.key)
    return found.key


async def owed(hub: Hub, key: SubscriptionKey) -> list[tuple[str, str]]:
    """Whose resources the events are of, and which."""
    events = await hub.parts.outboxes.events(key, 1, 100)
    return [(event.tenant or key.tenant, f"{event.type}/{event.id}") for event in events]


async def events(hub: Hub, content: str = "full-resource") -> Json:
    """What south's Subscription is told of its events: the references of each, the entries, what is wrong."""
    answer = await hub.get(f"{SOUTH}/Subscription/s/$events?content={content}")
    assert answer.status_code == 200, answer.text
    status, *entries = answer.json()["entry"]
    found: Json = {"foci": [], "along": [], "error": [], "entries": entries}
    for parameter in status["resource"]["parameter"]:
        if parameter["name"] == "error":
            found["error"].append(parameter["valueCodeableConcept"]["text"])
        if parameter["name"] == "notification-event":
            parts = {part["name"]: part for part in parameter["part"]}
            found["foci"].append(parts["focus"]["valueReference"]["reference"] if "focus" in parts else None)
            found["along"] += [
                part["valueReference"]["reference"]
                for part in parameter["part"]
                if part["name"] == "additional-context"
            ]
    return found


@pytest.mark.usefixtures("matcher")
async def test_a_subscription_is_told_of_what_another_tenant_grants_its_own(hub: Hub) -> None:
    """And nobody in the other direction, nor the default tenant, nor of another type, nor of what was before."""
    everybody = [await subscribed(hub, tenant=tenant) for tenant in ("south", "north", DEFAULT)]
    await vaccinated(hub, NORTH)
    await vaccinated(hub, SOUTH)
    await put(hub, NORTH, "Patient/1")
    await matched(hub.parts)
    south, north, default = [await owed(hub, key) for key in everybody]
    assert sorted(south) == [("north", "Immunization/1"), ("south", "Immunization/1")]
    assert north == [("north", "Immunization/1")]
    assert default == []


@pytest.mark.usefixtures("matcher")
@pytest.mark.parametrize(
    ("filter_", "told"),
    [
        ("status=completed", True),
        ("patient=Patient/1", False),
        (f"patient={NORTH}/Patient/1", True),
        (f"patient={SOUTH}/Patient/1", False),
        ("patient._in=Group/vip", False),
        ("patient.family=of-north", False),
        ("patient.family=of-south", False),
        ("vaccine-code:in=urn:given", False),
        ("_id=1", False),
    ],
)
async def test_what_looks_alike_at_the_other_tenant_is_not_the_same(hub: Hub, filter_: str, told: bool) -> None:
    """Filters name what is on their own base, whatever is on the other one."""
    for base, code in ((NORTH, "08"), (SOUTH, "03")):
        await put(hub, base, "Patient/1", name=[{"family": "of-north" if base == NORTH else "of-south"}])
        member = [{"entity": {"reference": "Patient/1"}}]
        await put(hub, base, "Group/vip", type="person", actual=True, member=member)
        include = [{"system": "urn:v", "concept": [{"code": code}]}]
        await put(hub, base, "ValueSet/v", url="urn:given", status="active", compose={"include": include})
    await matched(hub.parts)
    key = await subscribed(hub, filter_)
    await vaccinated(hub, NORTH)
    assert await owed(hub, key) == ([("north", "Immunization/1")] if told else [])


@pytest.mark.usefixtures("matcher")
async def test_a_granted_event_has_the_url_and_the_body_of_the_other_base(hub: Hub) -> None:
    await vaccinated(hub, SOUTH, lotNumber="of-south")
    await subscribed(hub, content="full-resource")
    await vaccinated(hub, NORTH, lotNumber="of-north")
    found = await events(hub)
    assert found["foci"] == [f"{NORTH}/Immunization/1"]
    (entry,) = found["entries"]
    assert entry["fullUrl"] == f"{NORTH}/Immunization/1"
    assert entry["request"] == {"method": "POST", "url": f"{NORTH}/Immunization"}
    assert entry["resource"]["lotNumber"] == "of-north"


@pytest.mark.usefixtures("matcher")
@pytest.mark.parametrize("content", ["id-only", "full-resource"])
async def test_of_what_is_granted_no_more_nothing_is_told_that_is_owed_still(hub: Hub, content: str) -> None:
    """It keeps its number and its time; and a new change is owed no more."""
    key = await subscribed(hub, content="full-resource")
    await vaccinated(hub, NORTH)
    await vaccinated(hub, SOUTH)
    assert None not in (await events(hub, content))["foci"]
    await grant(hub, "")
    await vaccinated(hub, NORTH, "2")
    assert len(await owed(hub, key)) == 2
    found = await events(hub, content)
    assert sorted(found["foci"], key=str) == [None, f"{SOUTH}/Immunization/1"]
    assert "north" not in json.dumps(found)
    assert len(found["error"]) == 1
    await grant(hub, "system/Immunization.r")
    assert None not in (await events(hub, content))["foci"]


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
async def test_what_waits_to_be_sent_is_sent_without_what_is_granted_no_more(
    hub: Hub, receiver: Receiver, content: str
) -> None:
    url = f"{SOUTH}/Subscription/s"
    resource = subscription(f"{receiver.url}/s", content=content) | {"id": "s"}

    async def is_active() -> bool:
        found = await hub.parts.membership.find("south", R4, "s")
        return found is not None and found.state.status is SubscriptionStatus.ACTIVE

    async with running(fanout(hub.parts)):
        async with delivering(hub.parts):
            assert (await hub.put(url, resource)).status_code == 201
            await eventually(is_active)
            await vaccinated(hub, NORTH)
            (first,) = await receiver.events("/s", 1)
        await vaccinated(hub, NORTH, "2")
        await grant(hub, "system/Patient.r")
        async with delivering(hub.parts):
            _, second = await receiver.events("/s", 2)
    assert (first.numbers, second.numbers) == ([1], [2])
    assert _told(first) == ([] if content == "empty" else [f"{NORTH}/Immunization/1"])
    assert _told(second) == []
    assert b"Immunization/2" not in second.body
    assert b"/t/north" not in second.body


@pytest.mark.usefixtures("matcher")
@pytest.mark.parametrize(
    ("scopes", "along"),
    [
        ("system/Immunization.r", []),
        ("system/Immunization.r system/Patient.s", []),
        ("system/Immunization.r system/Patient.r", [f"{NORTH}/Patient/1"]),
    ],
)
async def test_what_comes_along_is_the_other_tenants_and_granted_too(hub: Hub, scopes: str, along: list[str]) -> None:
    await grant(hub, scopes)
    await put(hub, SOUTH, "Patient/1", name=[{"family": "of-south"}])
    await put(hub, NORTH, "Patient/1", name=[{"family": "of-north"}])
    topic = {
        "resourceType": "SubscriptionTopic",
        "id": "t",
        "url": "urn:with-patients",
        "status": "active",
        "resourceTrigger": [{"resource": "Immunization"}],
        "notificationShape": [{"resource": "Immunization", "include": ["Immunization:patient"]}],
    }
    assert (await hub.put(f"{BASE}/t/south/fhir/r5/SubscriptionTopic/t", topic)).status_code == 201
    resource = subscription(ENDPOINT, content="full-resource") | {"id": "s", "criteria": "urn:with-patients"}
    assert (await hub.put(f"{SOUTH}/Subscription/s", resource)).status_code == 201
    found = await hub.parts.membership.find("south", R4, "s")
    assert found is not None
    await activate(hub.parts, found.key)
    await vaccinated(hub, NORTH)
    told = await events(hub)
    assert told["along"] == along
    assert ["of-north"] * len(along) == [
        entry["resource"]["name"][0]["family"] for entry in told["entries"] if entry["fullUrl"].endswith("Patient/1")
    ]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param("Observation Patient Practitioner", "Observation Practitioner", ["Patient"], id="less"),
        pytest.param("Observation Practitioner", "Observation Patient Practitioner", [], id="more"),
        pytest.param("Practitioner", "Observation Patient Practitioner", None, id="from-nothing"),
    ],
)
async def test_a_grant_that_changes_while_events_are_judged(
    hub: Hub, before: str, after: str, told: list[str] | None
) -> None:
    """What is told is what was judged: nothing that is kept from somebody comes in the place of something else."""
    access = hub.parts.access

    def grants(types: str) -> dict[str, Tenant]:
        scopes = Scopes.parse(" ".join(f"system/{type_}.r" for type_ in types.split()))
        return {"north": Tenant("north", {"south": scopes})}

    def judging(judgement: Judgement) -> Withheld | None:
        access.tenants = grants(after)  # what another lane of the process has just seen
        return Withheld(Reason.CLEARANCE) if judgement.told.type == "Practitioner" else None

    await put(hub, NORTH, "Observation/1", status="final", code={"text": "x"})
    for base, reference in ((NORTH, "Patient/1"), (NORTH, "Practitioner/1"), (SOUTH, "Patient/own")):
        await put(hub, base, reference)
    along = tuple(Included(type_, "1", 1) for type_ in ("Patient", "Practitioner"))
    owed = [
        OwedEvent(1, "Patient", "own", 1, Interaction.CREATE, 0),
        OwedEvent(2, "Observation", "1", 1, Interaction.CREATE, 0, along, "north"),
    ]
    access.tenants = grants(before)
    key, sight = SubscriptionKey("south", R4, "s", "1"), Sight(hub.parts.store, hub.parts.telling, judging)
    _, event = await hub.parts.disclosure.of(key, owed, Content.FULL_RESOURCE, sight)
    assert event.withheld is (told is None)
    assert [each.type for each in event.additional_context] == (told or [])
    assert all(each.body for each in event.additional_context)


async def test_a_bug_with_anothers_subscriptions_keeps_nothing_from_its_own(hub: Hub) -> None:
    parts = hub.parts
    south, north = await subscribed(hub), await subscribed(hub, tenant="north")
    engine = fanout(parts)
    buggy: Index[SubscriptionKey] = Buggy(parts.tenancy.context("south", R4))
    engine.in_force = InForce(parts.registry, parts.tenancy, parts.access, _indexes={("south", R4): buggy})
    async with running(engine):
        await vaccinated(hub, NORTH, "odd")
    assert await owed(hub, north) == [("north", "Immunization/odd")]
    assert await owed(hub, south) == []
    assert engine.poison == {"matching": 1}


@pytest.mark.usefixtures("matcher")
async def test_criteria_that_are_a_search_are_about_the_own_tenant_alone(hub: Hub) -> None:
    """What R4 sends for them, a PUT of `Immunization/1`, says nothing of whose that is."""
    resource = subscription(ENDPOINT) | {"id": "s", "criteria": "Immunization?status=completed"}
    del resource["channel"]["_payload"]
    assert (await hub.put(f"{SOUTH}/Subscription/s", resource)).status_code == 201
    found = await hub.parts.membership.find("south", R4, "s")
    assert found is not None
    await activate(hub.parts, found.key)
    await vaccinated(hub, NORTH)
    await vaccinated(hub, SOUTH)
    assert await owed(hub, found.key) == [("south", "Immunization/1")]
    answer = await explained(hub, f"{NORTH}/Immunization/1/_history/1")
    assert answer.status_code == 409


async def test_the_past_that_is_granted_is_told_to_who_begins_before_now(hub: Hub, receiver: Receiver) -> None:
    async with running(fanout(hub.parts)), delivering(hub.parts):
        await vaccinated(hub, NORTH)
        await vaccinated(hub, SOUTH)
        resource = subscription(f"{receiver.url}/s", start="2020-01-01T00:00:00Z") | {"id": "s"}
        assert (await hub.put(f"{SOUTH}/Subscription/s", resource)).status_code == 201
        received = await receiver.events("/s", 2)
    assert {focus for each in received for focus in _told(each)} == {
        f"{NORTH}/Immunization/1",
        f"{SOUTH}/Immunization/1",
    }


@pytest.mark.usefixtures("matcher")
async def test_a_change_of_another_tenant_is_explained_by_its_url_while_it_is_granted(hub: Hub) -> None:
    await subscribed(hub, "patient=Patient/1")
    await vaccinated(hub, SOUTH)
    await vaccinated(hub, NORTH)
    own = (await explained(hub, "Immunization/1/_history/1")).json()["parameter"]
    theirs = (await explained(hub, f"{NORTH}/Immunization/1/_history/1")).json()["parameter"]
    assert [each["valueBoolean"] for each in own if each["name"] == "matched"] == [True]
    assert [each["valueBoolean"] for each in theirs if each["name"] == "matched"] == [False]
    assert "made no event" in theirs[0]["part"][0]["valueString"]
    await grant(hub, "")
    refused = await explained(hub, f"{NORTH}/Immunization/1/_history/1")
    assert refused.status_code == 404
    missing = await explained(hub, f"{NORTH}/Immunization/nothing/_history/1")
    assert issue(refused)["details"]["text"].replace("/1/", "/nothing/", 1) == issue(missing)["details"]["text"]


async def explained(hub: Hub, reference: str) -> httpx.Response:
    given = [{"name": "reference", "valueString": reference}]
    body = {"resourceType": "Parameters", "parameter": given}
    return await hub.post(f"{SOUTH}/Subscription/s/$explain", body)


def _told(received: Received) -> list[str]:
    events = received.parameters["notification-event"]
    return [each["focus"]["reference"] for each in events if "focus" in each]
