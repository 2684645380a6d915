"""The session in the README works as it stands there."""

import re
from pathlib import Path

import orjson

from tests.processes import HubProcess
from tests.receiver import Receiver

ROOT = Path(__file__).parents[2]


async def test_the_session_by_hand(hub: HubProcess) -> None:
    """Register with the README's Subscription, publish the file that it names: the notification arrives."""
    readme = (ROOT / "README.md").read_text()
    (written,) = re.findall(r"/fhir/r4/Subscription .*? -d '(\{.*?\})'\n", readme, re.DOTALL)
    published, _, topic = re.findall(r"-d @(\S+)", readme)
    (value_set,) = re.findall(r"/fhir/r4/ValueSet/flu .*? -d '(\{.*?\})'\n", readme, re.DOTALL)
    (by_value_set,) = re.findall(r"`(Immunization\?vaccine-code:in=\S+)`", readme)
    async with Receiver() as receiver, hub.client() as client:
        wanted = orjson.loads(written)
        assert wanted["channel"]["endpoint"] == "http://127.0.0.1:9000/"
        wanted["channel"]["endpoint"] = f"{receiver.url}/readme"
        subscription = await client.post("Subscription", json=wanted)
        assert subscription.status_code == 201
        await receiver.until(lambda: bool(receiver.at("/readme", "handshake")))
        status = f"Subscription/{subscription.json()['id']}"
        while (await client.get(status)).json()["status"] != "active":
            pass
        headers = {"Content-Type": "application/fhir+json"}
        answer = await client.post("Immunization", content=(ROOT / published).read_bytes(), headers=headers)
        assert answer.status_code == 201
        await receiver.until(lambda: bool(receiver.at("/readme")))
        assert receiver.at("/readme")[0].foci == [f"Immunization/{answer.json()['id']}"]
        await client.delete(status)
        at_r5 = f"{hub.url}/fhir/r5/SubscriptionTopic"
        made = await client.post(at_r5, content=(ROOT / topic).read_bytes(), headers=headers)
        assert made.status_code == 201
        assert (await client.put("ValueSet/flu", json=orjson.loads(value_set))).status_code == 201
        wanted["_criteria"]["extension"][0]["valueString"] = by_value_set
        subscription = await client.post("Subscription", json=wanted)
        assert subscription.status_code == 201
        # Others use the same hub.
        assert (await client.delete(f"Subscription/{subscription.json()['id']}")).status_code == 204
        assert (await client.delete(f"{at_r5}/{made.json()['id']}")).status_code == 204


async def test_the_session_in_r5(hub: HubProcess) -> None:
    """Register with the README's Subscription of R5, publish the file that it names: the notification arrives."""
    readme = (ROOT / "README.md").read_text()
    (written,) = re.findall(r"/fhir/r5/Subscription .*? -d '(\{.*?\})'\n", readme, re.DOTALL)
    (published,) = re.findall(r"/fhir/r5/Immunization .*?\n  -d @(\S+)", readme)
    async with Receiver() as receiver, hub.client("r5") as client:
        wanted = orjson.loads(written)
        assert wanted["endpoint"] == "http://127.0.0.1:9000/"
        wanted["endpoint"] = f"{receiver.url}/readme-r5"
        subscription = await client.post("Subscription", json=wanted)
        assert subscription.status_code == 201
        await receiver.until(lambda: bool(receiver.at("/readme-r5", "handshake")))
        status = f"Subscription/{subscription.json()['id']}"
        while (await client.get(status)).json()["status"] != "active":
            pass
        headers = {"Content-Type": "application/fhir+json"}
        answer = await client.post("Immunization", content=(ROOT / published).read_bytes(), headers=headers)
        assert answer.status_code == 201
        await receiver.until(lambda: bool(receiver.at("/readme-r5")))
        assert receiver.at("/readme-r5")[0].foci == [f"Immunization/{answer.json()['id']}"]
        await client.delete(status)
