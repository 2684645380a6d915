"""AuditEvents of each kind, read by another implementation of FHIR."""

import json

import pytest

from subscriptions.audit import HUB, Act, Entry, Kind
from subscriptions.codes import FhirVersion
from subscriptions.versions.audit_event import audit_event
from tests.node.test_bundles import errors
from tests.subscriptions.test_audit_event import AT, BASES, of

pytestmark = pytest.mark.node


@pytest.mark.parametrize("version", FhirVersion)
async def test_each_kind_is_read_without_error(version: FhirVersion) -> None:
    """With all that it may have, and with no more than it must."""
    acts = [act for kind in Kind for act in (of(kind), Act(kind, HUB), Act(kind, ""))]
    events = [json.dumps(audit_event(Entry(f"{AT}-0", AT, act), version, BASES)).encode() for act in acts]
    found = await errors(version, events)
    assert {act.kind: each for act, each in zip(acts, found, strict=True) if each} == {}


@pytest.mark.parametrize("version", FhirVersion)
async def test_what_is_broken_would_be_told(version: FhirVersion) -> None:
    """Without what it must have it is an error to the other implementation."""
    event = audit_event(Entry(f"{AT}-0", AT, of(Kind.NOTIFIED)), version, BASES)
    broken = [json.dumps({k: v for k, v in event.items() if k != name}).encode() for name in ("agent", "source")]
    assert all(await errors(version, broken))
