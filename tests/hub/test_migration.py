"""A store of an older layout is brought to the one that is known, whatever was going on when it was left."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.access import DEFAULT
from hub.errors import NotTheHub
from hub.indexes import LookUp
from hub.intent import Intent
from hub.keys import EPOCH, LAYOUT, TERMINOLOGY, TERMS, Index, Partition, ResourceId
from hub.settings import Settings
from hub.wiring.commands import resealing
from hub.wiring.parts import Parts, existing
from hub.wiring.parts import parts as built
from hub.write import Write
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from tests.hub.conftest import close, settings
from tests.hub.engines import now, publish
from tests.hub.test_holdings import group, immunization, patient

R4 = FhirVersion.R4


async def as_of_layout_1(parts: Parts, *resources: dict[str, Any]) -> None:
    """Take away what layout 1 did not have, and give it what it had."""
    for resource in resources:
        await publish(parts, resource)
        place = ResourceId("default", R4, resource["resourceType"], resource["id"])
        partition = Partition(place.partition(4))
        await parts.pipeline.command("HDEL", partition.resource(place), "indexed")
        for index in (Index.REFERENCES, Index.MEMBERS, Index.MERGED):
            await parts.pipeline.command("DEL", partition.index(index, "default", R4, place.type))
        if borne := [f"{each['system']}|{each['value']}" for each in resource.get("identifier", [])]:
            await parts.pipeline.command(
                "HSET", partition.resource(place), "identifiers", msgspec.msgpack.encode(borne)
            )
    await parts.pipeline.command("HSET", EPOCH, "layout", 1)


async def found(parts: Parts, index: Index, key: str, type_: str = "Immunization") -> list[list[str]]:
    (rows,) = await parts.store.indexes.look_up([LookUp(index, "default", R4, type_, key)])
    return sorted(rows)


async def test_everything_is_found_afterwards_and_only_as_long_as_it_is_so(
    parts: Parts, redis_url: str, tmp_path: Path
) -> None:
    many = [immunization(f"i{number}", "Patient/b") for number in range(250)]
    await as_of_layout_1(parts, *many, group("g", "Patient/b"), patient("a", replaced_by="b"))
    # Several processes start at once.
    migrated, other = await asyncio.gather(*(built(settings(redis_url, tmp_path)) for _ in range(2)))
    assert await migrated.pipeline.command("HGET", EPOCH, "layout") == str(LAYOUT).encode()
    assert len(await found(migrated, Index.REFERENCES, "Patient/b")) == 250
    assert await found(migrated, Index.MEMBERS, "Patient/b") == [["Group", "", "", "g"]]
    assert await found(migrated, Index.MERGED, "Patient/b") == [["Patient/a", "a"]]
    assert await found(migrated, Index.IDENTIFIERS, "urn:nhi|A", "Patient") == [["a"]]
    await publish(migrated, {**patient("a"), "identifier": [{"system": "urn:nhi", "value": "OTHER"}]})
    assert await found(migrated, Index.MERGED, "Patient/b") == []
    assert await found(migrated, Index.IDENTIFIERS, "urn:nhi|A", "Patient") == []
    assert await found(migrated, Index.IDENTIFIERS, "urn:nhi|OTHER", "Patient") == [["a"]]
    for each in (migrated, other):
        await close(each.client)


async def test_what_can_not_be_read_does_not_stop_it(parts: Parts, redis_url: str, tmp_path: Path) -> None:
    await parts.store.put(Write(ResourceId("default", R4, "Group", "x"), "update", 1, b'{"n":"', b""))
    await as_of_layout_1(parts, group("g", "Patient/b"))
    migrated = await built(settings(redis_url, tmp_path))
    assert await found(migrated, Index.MEMBERS, "Patient/b") == [["Group", "", "", "g"]]
    await close(migrated.client)


async def test_a_transaction_that_was_committed_and_not_applied_is_applied_and_indexed(
    parts: Parts, redis_url: str, tmp_path: Path
) -> None:
    place, body = ResourceId("default", R4, "Group", "g"), msgspec.json.encode(group("g", "Patient/b"))
    write = Write(place, "update", now(), body[:-1] + b',"meta":{"versionId":"', b'"}}')
    intent = await parts.transactions.begin([write])
    assert isinstance(intent, Intent)
    await parts.transactions.reserve(intent)
    await parts.transactions.commit(intent, b"done")
    await parts.pipeline.command("ZADD", "hub:{transactions}:open", "XX", 1, str(intent.attempt))
    await as_of_layout_1(parts)
    migrated = await built(settings(redis_url, tmp_path))
    assert await found(migrated, Index.MEMBERS, "Patient/b") == [["Group", "", "", "g"]]
    await close(migrated.client)


async def test_what_is_written_meanwhile_is_left_as_it_is(parts: Parts) -> None:
    await publish(parts, patient("a", replaced_by="b"))
    place = ResourceId("default", R4, "Patient", "a")
    assert not await parts.store.indexes.reindex(place, 7, ())
    assert await found(parts, Index.MERGED, "Patient/b") == [["Patient/a", "a"]]
    assert await parts.store.indexes.reindex(place, 1, ())
    assert await found(parts, Index.MERGED, "Patient/b") == []


async def test_terminology_of_before_layout_3_counts_afterwards(parts: Parts, redis_url: str, tmp_path: Path) -> None:
    concepts = [{"code": "08"}]
    include = {"include": [{"system": "urn:vaccines", "concept": concepts}]}
    for id_ in ("kept", "deleted"):
        value_set = {"resourceType": "ValueSet", "id": id_, "url": f"urn:{id_}", "status": "active", "compose": include}
        await publish(parts, value_set)
    await parts.store.put(Write(ResourceId("default", R4, "ValueSet", "deleted"), "delete", now()))
    await parts.pipeline.command("DEL", TERMINOLOGY)
    await parts.pipeline.command("DEL", TERMS)
    await parts.pipeline.command("HSET", EPOCH, "layout", 2)
    migrated = await built(settings(redis_url, tmp_path))
    await migrated.tenancy.refresh([DEFAULT])
    assert migrated.tenancy.context(DEFAULT, R4).vocabulary.codes("urn:kept") == {("urn:vaccines", "08")}
    with pytest.raises(Rejected):
        migrated.tenancy.context(DEFAULT, R4).vocabulary.codes("urn:deleted")
    await close(migrated.client)


@pytest.mark.parametrize("command", [existing, resealing])
async def test_a_command_migrates_nothing(
    parts: Parts, command: Callable[[Settings], AbstractAsyncContextManager[object]]
) -> None:
    """A hub of the older release may still run."""
    await parts.pipeline.command("HSET", EPOCH, "layout", LAYOUT - 1)
    with pytest.raises(NotTheHub, match="start the hub first"):
        async with command(parts.settings):
            pass
    assert await parts.pipeline.command("HGET", EPOCH, "layout") == str(LAYOUT - 1).encode()
