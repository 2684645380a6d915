"""A header's secret on its real trip, and the key that seals it replaced as the guide has it."""

import os
from base64 import urlsafe_b64encode
from pathlib import Path

from redis.asyncio import Redis

from tests.dump import everything, files
from tests.fhir import immunization, talking_to
from tests.operator import operate
from tests.processes import SHARED, HubProcess, subscription
from tests.receiver import Received, Receiver

TOKEN = "hush-5ca1ab1e-hush"
ENDPOINT = "/sealed-hook"


async def reseal(data: Path) -> tuple[int, str]:
    """What `hub secrets reseal` says, and its exit code."""
    code, output, said = await operate(data, "secrets", "reseal")
    return code, output + said


def authorized(received: Received) -> str:
    return dict(received.headers)["Authorization"]


async def test_a_header_stands_nowhere_and_its_key_is_replaced(data: Path, receiver: Receiver) -> None:
    """Neither in Redis, nor in its files, nor in what the hub says; and one key after the other opens it."""
    keys = data / "secrets.key"
    async with HubProcess(data, SHARED) as hub, talking_to(hub) as fhir:
        wanted = subscription(f"{receiver.url}{ENDPOINT}", headers=[f"Authorization: Bearer {TOKEN}"])
        await fhir.subscribe(wanted)
        await fhir.put(immunization("one"))
        await receiver.events(ENDPOINT, 1)
        async with Redis.from_url(hub.redis_url) as redis:
            held = await everything(redis.execute_command)
        code, said = await reseal(data)
    assert (code, "another hub already runs" in said) == (2, True)
    assert not [line for line in hub.output if TOKEN in line]
    log = files(data)
    for found in (held, log):
        assert ENDPOINT.encode() in found
        assert TOKEN.encode() not in found

    old = keys.read_text().strip()
    new = urlsafe_b64encode(os.urandom(32)).decode()
    keys.write_text(f"{new}\n")
    code, said = await reseal(data)
    assert (code, "not opened by any of the keys: 1" in said) == (1, True), said
    keys.write_text(f"{new}\n{old}\n")
    code, said = await reseal(data)
    assert (code, "what 1 of 1 subscriptions have" in said) == (0, True), said
    assert said.count("not needed any more") == 1
    keys.write_text(f"{new}\n")
    async with HubProcess(data, SHARED) as hub, talking_to(hub) as fhir:
        await fhir.put(immunization("two"))
        received = await receiver.events(ENDPOINT, 2)
    assert {authorized(each) for each in received} == {f"Bearer {TOKEN}"}
    assert TOKEN.encode() not in files(data)
