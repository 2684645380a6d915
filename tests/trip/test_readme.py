"""The sessions in the README and the guide work as they stand there."""

import re
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from tests.guide import README, ROOT, SUBSCRIBER
from tests.processes import HubProcess
from tests.receiver import Receiver


@dataclass(frozen=True)
class Session:
    """
    What somebody does by hand who follows what is written.

    path: Of the endpoint that stands for the written one, on the port that it has there.
    """

    client: httpx.AsyncClient
    receiver: Receiver
    path: str

    def endpoint(self, written: str) -> str:
        """The endpoint instead of the one that is written there."""
        assert written == "http://127.0.0.1:9000/"
        return f"{self.receiver.url}{self.path}"

    async def send(self, url: str, file: str) -> str:
        """POST a file of ours; returns the id that it got."""
        headers = {"Content-Type": "application/fhir+json"}
        answer = await self.client.post(url, content=(ROOT / file).read_bytes(), headers=headers)
        assert answer.status_code == 201
        return str(answer.json()["id"])

    async def be_told(self, wanted: dict[str, Any], published: str) -> None:
        """Register, publish: the notification arrives."""
        subscription = await self.client.post("Subscription", json=wanted)
        assert subscription.status_code == 201
        await self.receiver.until(lambda: bool(self.receiver.at(self.path, "handshake")))
        status = f"Subscription/{subscription.json()['id']}"
        while (await self.client.get(status)).json()["status"] != "active":
            pass
        id_ = await self.send("Immunization", published)
        await self.receiver.until(lambda: bool(self.receiver.at(self.path)))
        assert self.receiver.at(self.path)[0].foci == [f"Immunization/{id_}"]
        await self.client.delete(status)


async def test_the_session_by_hand(hub: HubProcess) -> None:
    """Register with the README's Subscription, publish its file, then take the guide's topic and ValueSet."""
    readme, guide = README.read_text(), SUBSCRIBER.read_text()
    (written,) = re.findall(r"/fhir/r4/Subscription .*? -d '(\{.*?\})'\n", readme, re.DOTALL)
    (published,) = re.findall(r"-d @(\S+)", readme)
    (topic,) = re.findall(r"/SubscriptionTopic .*?\n  -d @(\S+)", guide)
    (value_set,) = re.findall(r"/fhir/r4/ValueSet/flu .*? -d '(\{.*?\})'\n", guide, re.DOTALL)
    (by_value_set,) = re.findall(r"`(Immunization\?vaccine-code:in=\S+)`", guide)
    async with Receiver() as receiver, hub.client() as client:
        session, wanted = Session(client, receiver, "/readme"), orjson.loads(written)
        wanted["channel"]["endpoint"] = session.endpoint(wanted["channel"]["endpoint"])
        await session.be_told(wanted, published)
        at_r5 = f"{hub.url}/fhir/r5/SubscriptionTopic"
        made = await session.send(at_r5, topic)
        assert (await client.put("ValueSet/flu", json=orjson.loads(value_set))).status_code == 201
        wanted["_criteria"]["extension"][0]["valueString"] = by_value_set
        subscription = await client.post("Subscription", json=wanted)
        assert subscription.status_code == 201
        # Others use the same hub.
        assert (await client.delete(f"Subscription/{subscription.json()['id']}")).status_code == 204
        assert (await client.delete(f"{at_r5}/{made}")).status_code == 204


async def test_the_guides_subscription(hub: HubProcess) -> None:
    """It registers, and is told in the form that the guide shows of an event."""
    wanted, event = (orjson.loads(each) for each in re.findall(r"```json\n(.*?)```", SUBSCRIBER.read_text(), re.DOTALL))
    async with Receiver() as receiver, hub.client() as client:
        session = Session(client, receiver, "/guide")
        assert wanted["channel"]["endpoint"].startswith("https://")
        wanted["channel"]["endpoint"] = f"{receiver.url}{session.path}"
        wanted["channel"]["_payload"]["extension"][0]["valueCode"] = "id-only"
        await session.be_told(wanted, "fixtures/r4/Immunization-example.json")
        assert shape(receiver.at(session.path)[0].bundle) == shape(event)


def shape(value: Any) -> Any:
    """What JSON is made of, without its values; and without profiles, which the guide leaves out."""
    match value:
        case dict():
            return {name: shape(each) for name, each in value.items() if name != "meta"}
        case list():
            return [shape(each) for each in value]
        case _:
            return type(value)


async def test_the_session_in_r5(hub: HubProcess) -> None:
    """The same with the guide's Subscription of R5."""
    guide = SUBSCRIBER.read_text()
    (written,) = re.findall(r"/fhir/r5/Subscription .*? -d '(\{.*?\})'\n", guide, re.DOTALL)
    (published,) = re.findall(r"/fhir/r5/Immunization .*?\n  -d @(\S+)", guide)
    at_once = r"/r5/Subscription (?:(?!```).)*/r5/Immunization"  # pasted as one, it would come before the handshake
    assert not re.search(at_once, guide, re.DOTALL)
    async with Receiver() as receiver, hub.client("r5") as client:
        session, wanted = Session(client, receiver, "/readme-r5"), orjson.loads(written)
        await session.be_told(wanted | {"endpoint": session.endpoint(wanted["endpoint"])}, published)
