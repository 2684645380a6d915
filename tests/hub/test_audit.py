"""The audit: what is appended, what is left out when it is full, and what nobody can change."""

from dataclasses import replace

import pytest

from hub.access import Tenant
from hub.audit import CHUNK, LOOKED_AT
from hub.keys import audit_keys
from hub.retention import AuditRetention
from hub.wiring.parts import Parts
from subscriptions.audit import MOST_TEXT, Act, Kind, Level, Outcome
from subscriptions.codes import FhirVersion

CREATED = Act(Kind.SUBSCRIPTION_CREATED, "lab", "Subscription/1", FhirVersion.R4)
NOTIFIED = Act(Kind.NOTIFIED, "lab", "Subscription/1", FhirVersion.R4)
READ = Act(Kind.READ, "lab", "Patient/1", FhirVersion.R4)
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
        pytest.param(Level.ALL, [CREATED.kind, SUPPRESSED.kind, NOTIFIED.kind, READ.kind], id="all"),
    ],
)
async def test_level(parts: Parts, level: Level, kept: list[str]) -> None:
    """The level decides what is recorded."""
    audit = replace(parts.audit, level=level)
    await audit.record("default", CREATED, SUPPRESSED, NOTIFIED, READ)
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


async def test_retention(parts: Parts) -> None:
    """Time removes what is older than the window, of every tenant, and nothing else does."""
    await parts.access.set(Tenant("ward"))
    for tenant in ("default", "ward"):
        for ms in (1_000, 2_000, 3_000):
            await parts.pipeline.command("XADD", audit_keys(tenant)[0], f"{ms}-0", *_fields())
    await AuditRetention(parts.audit, parts.access, 500).run(2_600)
    for tenant in ("default", "ward"):
        ids = [entry.id async for entries in parts.audit.oldest(tenant) for entry in entries]
        assert ids == ["3000-0"]


def _fields() -> list[str]:
    fields = {"kind": CREATED.kind, "agent": "lab", "entities": "", "version": "", "outcome": "0", "text": ""}
    return [part for pair in fields.items() for part in pair]


async def test_read(parts: Parts) -> None:
    """What is read is what was recorded, both ways, from any time and behind any entry, and by its id."""
    acts = [Act(Kind.NOTIFIED, f"c{n}", "Subscription/1", FhirVersion.R5, Outcome.FAILED, "why", ("Patient/1", "x/y"))
            for n in range(CHUNK * 2 + 1)]  # fmt: skip
    audit = replace(parts.audit, level=Level.ALL)
    await audit.record("default", *acts)
    oldest = [entry async for entries in audit.oldest("default") for entry in entries]
    newest = [entry async for entries in audit.newest("default") for entry in entries]
    assert [entry.act for entry in oldest] == acts
    assert newest == oldest[::-1]
    rest = [entry async for entries in audit.newest("default", before=oldest[3].id) for entry in entries]
    assert rest == newest[-3:]
    assert await audit.read("default", oldest[5].id) == oldest[5]
    at = oldest[-1].at
    assert [entry async for entries in audit.oldest("default", since=at + 1) for entry in entries] == []
    assert [entry async for entries in audit.oldest("default", until=at) for entry in entries] == oldest


async def test_about(parts: Parts) -> None:
    """Of one entity, newest first, and of none that is only named along with another; no further back than is asked."""
    audit = replace(parts.audit, level=Level.ALL)
    own = [Act(Kind.NOTIFIED, "hub", "Subscription/1", FhirVersion.R5, text=f"{n}") for n in range(2)]
    others = [Act(Kind.NOTIFIED, "hub", "Subscription/11", FhirVersion.R5, also=("Subscription/1",))] * LOOKED_AT
    await audit.record("default", own[0], *others, own[1])
    every = [entry.act async for entry in audit.about("default", "Subscription/1", most=10 * LOOKED_AT)]
    assert every == own[::-1]
    assert [entry.act async for entry in audit.about("default", "Subscription/1", most=LOOKED_AT)] == own[1:]
    assert [entry async for entry in audit.about("ward", "Subscription/1", most=LOOKED_AT)] == []


@pytest.mark.parametrize("text", ["x" * 2_000, "new\nline", "", "ā"])
async def test_text(parts: Parts, text: str) -> None:
    """A text is what it was, as far as there is room."""
    await parts.audit.record("default", replace(CREATED, text=text))
    (entry,) = [entry async for entries in parts.audit.oldest("default") for entry in entries]
    assert entry.act.text == text[:MOST_TEXT]


async def test_lost(parts: Parts) -> None:
    """What is left out is counted until there is room, and then told in words."""
    full = replace(parts.audit, most=1)
    await full.record("default", CREATED, SUPPRESSED, SUPPRESSED)
    assert await parts.audit.lost("default", "ward") == 2
    await parts.audit.record("default", SUPPRESSED)
    assert await parts.audit.lost("default", "ward") == 0
    _, told, _ = [entry async for entries in parts.audit.oldest("default") for entry in entries]
    assert told.act.text.startswith("2 entries have been left out since 2")
