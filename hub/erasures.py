"""
What operators want erased, how far that has come, and what was found: noted, so that a crash loses none of it.

`hub:{erasures}:order:<id>` is a hash: `order` and `found` (JSON, as `Order` and `Found` have it; no `found` until all
is found), `stage`, `files` (once it is done: empty, or why files were not written anew). `hub:{erasures}:left:<id>` has
the resources that are still to be erased, `hub:{erasures}:open` the orders that are not done.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from hub.keys import ERASURES, ResourceId, erasure, erasure_left
from hub.pipeline import Pipeline, script
from hub.wire import Argument
from subscriptions.codes import FhirVersion

FURTHER = script("further")

#: ms: how long one is left alone that somebody is at work on, who says so anew meanwhile; how long it is remembered.
CLAIMED = 10_000
KEPT = 30 * 86_400_000

#: Resources in one command.
CHUNK = 200


class Stage(StrEnum):
    """FINDING: nothing was erased yet. FILES: all was, and Redis' files are being written anew."""

    FINDING = "finding"
    ERASING = "erasing"
    FILES = "files"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Order:
    """
    What is to be erased.

    type, id: Of the resource.
    compartment: It is a Patient, and all that is in the compartment goes as well.
    by: Whose order it is.
    """

    tenant: str
    version: FhirVersion
    type: str
    id: str
    compartment: bool
    by: str

    @property
    def name(self) -> str:
        return f"{self.type}/{self.id}"

    @property
    def resource(self) -> ResourceId:
        return ResourceId(self.tenant, self.version, self.type, self.id)


@dataclass(frozen=True, slots=True)
class Found:
    """
    What an order comes to.

    resources: How many of each type are erased, wholly or in part.
    versions: How many versions these have.
    mentioned: `Type/id`, or with `/_history/n` a version that is not in force: what refers to it and stays.
    linked: Other Patients that it is linked with: these have compartments of their own.
    unread: Versions of which could not be said whether they are about the patient.
    """

    resources: dict[str, int] = field(default_factory=dict)
    versions: int = 0
    mentioned: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Erasure:
    """An order, and how it stands. `found` is None until all is found; `files`: why some were not written anew."""

    id: str
    order: Order
    stage: Stage
    found: Found | None = None
    files: str = ""


@dataclass(frozen=True, slots=True)
class Erasures:
    """The notes of all of them."""

    pipeline: Pipeline

    async def begin(self, id_: str, order: Order, *, now: int) -> None:
        """Note an order. It is the caller's for a while; then anybody's."""
        await self.pipeline.command(
            "HSET", erasure(id_), "order", msgspec.json.encode(order), "stage", Stage.FINDING.value
        )
        await self.pipeline.command("ZADD", ERASURES, now + CLAIMED, id_)

    async def claim(self, id_: str, *, now: int) -> None:
        """Be left alone with it for a while, if it is not done."""
        await self.pipeline.command("ZADD", ERASURES, "XX", now + CLAIMED, id_)

    async def leave(self, id_: str) -> None:
        """Let anybody go on with it now."""
        await self.pipeline.command("ZADD", ERASURES, "XX", 0, id_)

    async def abandoned(self, now: int) -> list[str]:
        """Those that nobody is at work on."""
        return [name.decode() for name in await self.pipeline.command("ZRANGEBYSCORE", ERASURES, "-inf", now)]

    async def read(self, id_: str) -> Erasure | None:
        fields = ("order", "stage", "found", "files")
        order, stage, found, files = await self.pipeline.command("HMGET", erasure(id_), *fields)
        if order is None:
            return None
        return Erasure(
            id_,
            msgspec.json.decode(order, type=Order),
            Stage(stage.decode()),
            msgspec.json.decode(found, type=Found) if found else None,
            (files or b"").decode(),
        )

    async def found(self, id_: str, plan: dict[ResourceId, int], found: Found) -> None:
        """Note what was found. From here on it is erased, and nothing that is written from now on."""
        pairs = [part for resource, last in plan.items() for part in (str(resource), last)]
        await self._further(id_, Stage.FINDING, Stage.ERASING, "found", msgspec.json.encode(found), *pairs)

    async def left(self, id_: str) -> list[tuple[ResourceId, int]]:
        """Some of what is still to be erased: the resource, and its last version that is; empty when all is."""
        # In one step: were the numbers asked for after the names, another one may have erased all of these by then.
        reply = await self.pipeline.command("HRANDFIELD", erasure_left(id_), CHUNK, "WITHVALUES")
        pairs = reply if reply and isinstance(reply[0], (list, tuple)) else zip(reply[::2], reply[1::2], strict=True)
        return [(_resource(name.decode()), int(number)) for name, number in pairs]

    async def done(self, id_: str, resources: list[ResourceId]) -> None:
        """These are erased."""
        if resources:
            await self.pipeline.command("HDEL", erasure_left(id_), *map(str, resources))

    async def erased(self, id_: str) -> None:
        """Nothing is left of it but in Redis' files."""
        await self._further(id_, Stage.ERASING, Stage.FILES, "")

    async def end(self, id_: str, files: str) -> None:
        """All is done, but for what `files` says. It may be repeated."""
        await self.pipeline.command("PEXPIRE", erasure(id_), KEPT)
        await self._further(id_, Stage.FILES, Stage.DONE, "files", files)
        await self.forget(id_)

    async def forget(self, id_: str) -> None:
        """Nobody has to go on with it."""
        await self.pipeline.command("ZREM", ERASURES, id_)

    async def _further(self, id_: str, stage: Stage, following: Stage, *noted: Argument) -> None:
        await self.pipeline.run(FURTHER, [erasure(id_), erasure_left(id_)], stage, following, *noted)


def _resource(name: str) -> ResourceId:
    tenant, version, type_, id_ = name.split("/")
    return ResourceId(tenant, FhirVersion(version), type_, id_)
