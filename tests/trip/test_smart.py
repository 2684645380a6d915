"""A hub that takes tokens, on its real trip: their issuer changes its key and goes away, its operator turns one off."""

from pathlib import Path

import pytest

from tests.facts import eventually
from tests.fhir import Fhir, immunization
from tests.issuer import TokenIssuer
from tests.operator import done
from tests.processes import SHARED, HubProcess, subscription
from tests.receiver import Receiver


@pytest.mark.timeout(240)
async def test_who_may_call(data: Path, receiver: Receiver) -> None:
    """Tokens for a FHIR base of the hub's, by whatever key their issuer has now."""
    await done(data, "clients", "set", "lab", "--scopes", "system/Immunization.cruds", "--known-as", "0oa1")
    await done(data, "clients", "set", "ward", "--scopes", "system/Immunization.r system/Subscription.cruds")
    async with TokenIssuer() as issuer:
        settings = SHARED | {"HUB_AUTH": "smart", "HUB_SMART_ISSUER": issuer.url}
        async with HubProcess(data, settings) as hub, hub.client() as client:

            def carrying(name: str) -> Fhir:
                token = issuer.token(client_id=name, aud=hub.base, scope="system/*.cruds")
                client.headers["Authorization"] = f"Bearer {token}"
                return Fhir(client)

            assert (await client.get("Immunization/one")).status_code == 401
            configuration = (await client.get(".well-known/smart-configuration")).json()
            assert configuration["token_endpoint"] == f"{issuer.url}/token"
            await carrying("ward").subscribe(subscription(f"{receiver.url}/smart"))
            await carrying("0oa1").put(immunization("one"))
            assert (await receiver.events("/smart", 1))[-1].foci == ["Immunization/one"]

            issuer.rotate("second")

            async def known() -> bool:
                return (await carrying("0oa1").http.get("Immunization/one")).status_code == 200

            await eventually(known)
            await issuer.leave()
            assert await known()
            await done(data, "clients", "off", "lab")

            async def off() -> bool:
                return (await client.get("Immunization/one")).status_code == 401

            await eventually(off)
