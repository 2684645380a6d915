"""A subscriber asks for a secret and verifies what comes, as the guide has it."""

import stat

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver


async def test_signed(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    id_ = await fhir.subscribe(
        subscription(f"{receiver.url}/hook", "Immunization", "Immunization?patient=Patient/signed")
    )
    answer = await fhir.http.post(f"Subscription/{id_}/$rotate-secret")
    assert answer.status_code == 200, answer.text
    secret, public = (parameter["valueString"] for parameter in answer.json()["parameter"])
    await fhir.put(immunization("signed", patient="signed"))
    (received,) = await receiver.events("/hook", 1)
    body, headers = received.body, dict(received.headers)
    Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"signed", b"forged"), headers)
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{hub.url}/signing-keys")).json() == {"keys": [public]}
    assert stat.S_IMODE((hub.data / "secrets.key").stat().st_mode) == 0o600
    assert not [line for line in hub.output if "whsec_" in line]
