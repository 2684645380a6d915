"""The start that a Subscription may ask for: what is refused, and that it stays as it was."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from subscriptions.versions.instant import write
from tests.hub.api.server import Hub, issue
from tests.hub.api.subscriptions import ENDPOINT
from tests.processes import OWN, subscription

AGO = write(datetime.now(UTC) - timedelta(hours=1))


def starting(start: str = AGO, **more: Any) -> dict[str, Any]:
    return {**subscription(ENDPOINT, start=start), **more}


async def test_a_start_of_the_past_is_kept_as_it_was_sent(hub: Hub) -> None:
    created = await hub.post("/Subscription", starting())
    assert created.status_code == 201
    assert created.json()["extension"] == [{"url": f"{OWN}/start", "valueInstant": AGO}]


async def test_a_start_in_the_future_is_refused(hub: Hub) -> None:
    refused = await hub.post("/Subscription", starting("2099-01-01T00:00:00Z"))
    assert refused.status_code == 400
    assert issue(refused)["expression"] == ["Subscription.extension"]
    assert "in the future" in issue(refused)["details"]["text"]


async def test_a_start_before_what_is_kept_is_refused_and_the_earliest_one_named(hub: Hub) -> None:
    partition = hub.parts.changes.partitions[1]
    await hub.parts.pipeline.command("SET", partition.trimmed, "1767225600000-3")
    refused = await hub.post("/Subscription", starting("2025-12-31T23:59:59Z"))
    assert (refused.status_code, issue(refused)["code"]) == (400, "business-rule")
    assert issue(refused)["details"]["text"].endswith("the earliest possible one is 2026-01-01T00:00:00.001Z.")
    assert (await hub.post("/Subscription", starting("2026-01-01T00:00:00.001Z"))).status_code == 201


@pytest.mark.parametrize(
    "extension",
    [{"valueDateTime": "2026-01-01"}, {"valueInstant": "2026-01-01"}, {"valueInstant": 5}, {}],
    ids=["another-type", "no-instant", "number", "nothing"],
)
async def test_what_is_no_instant_is_refused(hub: Hub, extension: dict[str, Any]) -> None:
    wanted = subscription(ENDPOINT) | {"extension": [{"url": f"{OWN}/start", **extension}]}
    refused = await hub.post("/Subscription", wanted)
    assert refused.status_code == 400
    assert issue(refused)["expression"] == ["Subscription.extension[0]"]


async def test_two_starts_and_one_elsewhere_are_refused(hub: Hub) -> None:
    extension = {"url": f"{OWN}/start", "valueInstant": AGO}
    refused = await hub.post("/Subscription", subscription(ENDPOINT) | {"extension": [extension] * 2})
    assert issue(refused)["expression"] == ["Subscription.extension[1]"]
    wanted = subscription(ENDPOINT)
    wanted["channel"]["extension"] = [extension]
    assert issue(await hub.post("/Subscription", wanted))["expression"] == ["Subscription.channel.extension[0]"]
    unknown = {"url": f"{OWN}/begin", "valueInstant": AGO}
    refused = await hub.post("/Subscription", subscription(ENDPOINT) | {"extension": [unknown]})
    assert issue(refused)["code"] == "not-supported"


async def test_a_later_write_may_repeat_the_start_or_leave_it_out_and_not_change_it(hub: Hub) -> None:
    assert (await hub.put("/Subscription/s", starting(id="s"))).status_code == 201
    assert (await hub.put("/Subscription/s", starting(id="s", reason="another"))).status_code == 200
    moment = datetime.fromisoformat(AGO)
    again = (moment.replace(tzinfo=UTC)).isoformat(timespec="milliseconds")
    assert (await hub.put("/Subscription/s", starting(again, id="s"))).status_code == 200
    refused = await hub.put("/Subscription/s", starting(write(moment + timedelta(seconds=1)), id="s"))
    assert refused.status_code == 400
    assert issue(refused)["details"]["text"].startswith("The start of a Subscription can't be changed")
    assert (await hub.put("/Subscription/s", {**subscription(ENDPOINT), "id": "s"})).status_code == 200
    assert (await hub.put("/Subscription/s", starting(id="s"))).status_code == 400


async def test_a_dry_run_says_the_same(hub: Hub) -> None:
    said = await hub.post("/Subscription/$validate", starting("2099-01-01T00:00:00Z"))
    assert said.status_code == 200
    assert "in the future" in issue(said)["details"]["text"]
    assert (await hub.put("/Subscription/s", {**subscription(ENDPOINT), "id": "s"})).status_code == 201
    said = await hub.post("/Subscription/s/$validate", starting(id="s"))
    assert "can't be changed or given later" in issue(said)["details"]["text"]
