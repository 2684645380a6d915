"""The audit: what is appended, what is left out when it is full, and what nobody can change."""

from dataclasses import replace

import pytest

from hub.keys import audit_keys
from hub.wiring.parts import Parts
from subscriptions.audit import Act, Kind, Level
from subscriptions.codes import FhirVersion

CREATED = Act(Kind.SUBSCRIPTION_CREATED, "lab", "Subscription/1", FhirVersion.R4)
NOTIFIED = Act(Kind.NOTIFIED, "lab", "Subscription/1", FhirVersion.R4)
SUPPRESSED = Act(Kind.SUPPRESSED, "lab", "Subscription/1", FhirVersion.R4)


async def kinds(parts: Parts, tenant: str = "default") -> list[str]:
    entries = await parts.pipeline.command("XRANGE", audit_keys(tenant)[0], "-", "+")
    return [dict(zip(row[::2], row[1::2], strict=True))[b"kind"].decode() for _, row in entries]


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        pytest.param(Level.OFF, [], id="off"),
        pytest.param(Level.RIGHTS, [CREATED.kind, SUPPRESSED.kind], id="rights"),
        pytest.param(Level.NOTIFICATIONS, [CREATED.kind, SUPPRESSED.kind, NOTIFIED.kind], id="notifications"),
    ],
)
async def test_level(parts: Parts, level: Level, kept: list[str]) -> None:
    """The level decides what is recorded."""
    audit = replace(parts.audit, level=level)
    await audit.record("default", CREATED, SUPPRESSED, NOTIFIED)
    assert await kinds(parts) == kept


async def test_full(parts: Parts) -> None:
    """A full audit leaves out what there may be any number of, and tells of it when there is room; never the rest."""
    full = replace(parts.audit, most=2)
    await full.record("default", *([SUPPRESSED] * 5), CREATED)
    assert await kinds(parts) == ["suppressed", "suppressed", "subscription-created"]
    await parts.audit.record("default", SUPPRESSED)
    assert await kinds(parts) == ["suppressed", "suppressed", "subscription-created", "lost", "suppressed"]
    await parts.audit.record("default", SUPPRESSED)
    assert (await kinds(parts)).count("lost") == 1


async def test_tenants(parts: Parts) -> None:
    """Each tenant has an audit of its own."""
    await parts.audit.record("ward", CREATED)
    assert await kinds(parts) == []
    assert await kinds(parts, "ward") == [CREATED.kind]
