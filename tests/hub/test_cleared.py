"""Filters that look at other resources: those that the owner of a Subscription may not see are not there for it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.fanout import Fanout
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from tests.hub.conftest import close, settings
from tests.hub.engines import active, entries, events, fanout, publish
from tests.hub.rights import client, labelled, telling_apart

LABEL = labelled("i", "R")["meta"]
#: Filters, and whether an Immunization meets them whose patient is male and in a Group, and of whom it is observed;
#: and if all of this is not there.
FILTERS = [
    pytest.param("patient._in=Group/g", True, False, id="group"),
    pytest.param("patient.gender=male", True, False, id="chain"),
    pytest.param("patient._in:missing=true", False, True, id="missing"),
    pytest.param("patient._has:Observation:patient:status=final", True, False, id="has"),
    pytest.param("status=completed", True, True, id="own"),
]


@pytest.fixture
async def apart(redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """A hub that tells clients apart, in which filters may look at other resources."""
    parts = await built(settings(redis_url, tmp_path).model_copy(update={"allow_chained_filters": True}))
    yield telling_apart(parts)
    await close(parts.client)


async def around(parts: Parts, **meta: Any) -> None:
    """What filters look at, with labels or without."""
    code, subject = {"text": "x"}, {"reference": "Patient/1"}
    member = [{"entity": subject}]
    for resource in (
        {"resourceType": "Patient", "id": "1", "gender": "male"},
        {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": member},
        {"resourceType": "Observation", "id": "o", "status": "final", "code": code, "subject": subject},
    ):
        await publish(parts, resource | meta)


async def match(engine: Fanout, parts: Parts, id_: str = "i") -> None:
    """Match the changes of one Immunization."""
    for partition in parts.changes.partitions:
        if found := [entry for entry in await entries(parts, partition) if entry.resource.id == id_]:
            await engine.match(partition, found)


@pytest.mark.parametrize(("filter_", "there", "absent"), FILTERS)
async def test_what_is_hidden_is_not_there(apart: Parts, filter_: str, there: bool, absent: bool) -> None:
    """For whoever is not cleared for it; for others it is, whatever filters they have in common."""
    keys = {}
    for name, clearance in (("low", "N"), ("high", "R"), ("all", "V *")):
        await client(apart, name, "system/*.rs", clearance=clearance)
        keys[name] = await active(apart, name, f"Immunization?{filter_}", owner=name)
    await around(apart, meta=LABEL)
    await publish(apart, labelled("i"))
    await match(fanout(apart), apart)
    told = {name: bool(await events(apart, key)) for name, key in keys.items()}
    assert told == {"low": absent, "high": there, "all": there}


@pytest.mark.parametrize(("filter_", "there", "absent"), FILTERS)
async def test_a_clearance_that_changes(apart: Parts, filter_: str, there: bool, absent: bool) -> None:
    """It counts for the changes that are matched from then on, by whoever has matched before."""
    engine = fanout(apart)
    await client(apart, scopes="system/*.rs")
    key = await active(apart, "s", f"Immunization?{filter_}", owner="lab")
    await around(apart, meta=LABEL)
    for id_, clearance in (("a", "N"), ("b", "R"), ("c", "N")):
        await client(apart, scopes="system/*.rs", clearance=clearance)
        await publish(apart, labelled(id_))
        await match(engine, apart, id_)
    assert await events(apart, key) == [id_ for id_, met in (("a", absent), ("b", there), ("c", absent)) if met]


async def test_nobody_told_apart(apart: Parts) -> None:
    """With HUB_AUTH=none all of it is there for everybody."""
    parts = replace(apart, telling=telling_apart(apart, "none").telling)
    key = await active(parts, "s", "Immunization?patient._in=Group/g")
    await around(parts, meta=LABEL)
    await publish(parts, labelled("i"))
    await match(fanout(parts), parts)
    assert await events(parts, key) == ["i"]
