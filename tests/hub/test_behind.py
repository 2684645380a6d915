"""How far matching is behind: counted without looking at what waits, whoever matches and whatever retention removes."""

from hub.keys import Partition
from hub.stream import Behind
from hub.wiring.parts import Parts
from tests.hub.engines import Publisher, entries, fanout, matched, now, running


async def behind(parts: Parts) -> int:
    found = await parts.changes.behind()
    assert found == Behind(0, 0) or found.changes > 0
    return found.changes


async def put(parts: Parts, partition: Partition, many: int) -> list[str]:
    """Put so many changes; the ids of all that are kept."""
    publisher = Publisher(parts)
    for _ in range(many):
        await publisher.put_in(partition)
    return [entry.id for entry in await entries(parts, partition)]


async def test_what_is_not_matched_is_counted_in_all_partitions(parts: Parts) -> None:
    assert await parts.changes.behind() == Behind(0, 0)
    one, two, *_ = parts.changes.partitions
    ids = await put(parts, one, 10)
    await put(parts, two, 3)
    assert await behind(parts) == 13
    await parts.changes.advance(one, "a", ids[3])
    assert await behind(parts) == 9
    assert (await parts.changes.behind()).seconds < 60
    async with running(fanout(parts)):
        await matched(parts)
    assert await behind(parts) == 0


async def test_who_matches_a_batch_again_counts_nothing_twice(parts: Parts) -> None:
    """Two that read the same changes when a lease ran out: the one has come less far, or as far."""
    partition = parts.changes.partitions[0]
    ids = await put(parts, partition, 10)
    for mark, left in ((ids[2], 7), (ids[2], 7), (ids[0], 7), (ids[5], 4), (ids[8], 1), (ids[9], 0)):
        await parts.changes.advance(partition, "a", mark)
        assert await behind(parts) == left


async def test_what_retention_removes_was_counted_as_matched(parts: Parts) -> None:
    partition = parts.changes.partitions[0]
    ids = await put(parts, partition, 10)
    await parts.changes.advance(partition, "a", ids[5])
    await parts.retention.keep(now() + 1, 0)
    assert len(await entries(parts, partition)) < 10
    assert await behind(parts) == 4
    ids = await put(parts, partition, 2)
    assert await behind(parts) == 6
    await parts.changes.advance(partition, "a", ids[-1])
    await parts.retention.keep(now() + 1, 0)
    assert await behind(parts) == 0
    await put(parts, partition, 1)
    assert await behind(parts) == 1


async def test_what_an_earlier_release_did_not_count_is_made_good_when_all_is_matched(parts: Parts) -> None:
    partition = parts.changes.partitions[0]
    ids = await put(parts, partition, 5)
    await parts.changes.advance(partition, "a", ids[3])
    await parts.pipeline.command("DEL", partition.passed)
    assert await behind(parts) == 5
    await parts.changes.advance(partition, "a", ids[4])
    await put(parts, partition, 2)
    assert await behind(parts) == 2
