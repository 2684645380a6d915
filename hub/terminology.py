"""
The ValueSets and CodeSystems that the hub was given, and what filters are understood in with them.

`hub:{registry}:terminology` is a hash: `tenant/version/Type/id` -> `number resource`, where `version` is `any` for what
a directory has, which counts in every FHIR version. Its field with an empty name counts the changes, and
`hub:{registry}:terms` has by which change each of them came. A delete changes nothing here: Subscriptions that name a
ValueSet go on with the last version that there was. Of one that was erased `null` is there, and it counts no more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from hub.keys import REGISTRY_LOG, TERMINOLOGY, TERMS, ResourceId
from hub.pipeline import Pipeline, script
from subscriptions.change import Resource
from subscriptions.codes import FhirVersion
from subscriptions.search.asking import Context
from subscriptions.search.vocabulary import Vocabulary

REMEMBER, UNREMEMBER = script("remember"), script("unremember")

#: The types that a vocabulary is made of.
TYPES = frozenset({"ValueSet", "CodeSystem"})

#: In the place of a FHIR version: for every one.
_ANY = "any"

#: Resources that are read at once.
_CHUNK = 100


async def remember(pipeline: Pipeline, resource: ResourceId, number: int, body: bytes) -> None:
    """Have a version of a ValueSet or CodeSystem count from now on, unless a later one does. It may be repeated."""
    keys = [TERMINOLOGY, TERMS, REGISTRY_LOG]
    await pipeline.run(REMEMBER, keys, str(resource), body, number)


async def remember_for_all(pipeline: Pipeline, tenant: str, type_: str, id_: str, body: bytes) -> None:
    """The same of one that counts in every FHIR version, and has no versions of its own."""
    keys = [TERMINOLOGY, TERMS, REGISTRY_LOG]
    await pipeline.run(REMEMBER, keys, f"{tenant}/{_ANY}/{type_}/{id_}", body, "")


async def unremember(pipeline: Pipeline, resource: ResourceId, number: int) -> None:
    """Have no version up to this one count any more, nor ever again."""
    keys = [TERMINOLOGY, TERMS, REGISTRY_LOG]
    await pipeline.run(UNREMEMBER, keys, str(resource), number, "null", f"terminology:{resource}")


@dataclass(eq=False)
class Contexts(Mapping[FhirVersion, Context]):
    """
    What a tenant's filters are understood in, of each FHIR version that there is. `refresh` brings it up to date.

    Whoever remembers a context has to ask again after that: one with other terminology is another one.
    """

    pipeline: Pipeline
    tenant: str
    _now: dict[FhirVersion, Context]
    # By name, without the tenant; the one that came last is the last one.
    _held: dict[str, Resource] = field(default_factory=dict)
    _seen: int = 0

    def __getitem__(self, version: FhirVersion) -> Context:
        return self._now[version]

    def __iter__(self) -> Iterator[FhirVersion]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)

    async def refresh(self) -> None:
        """See all terminology that was confirmed before this was called."""
        count = int(await self.pipeline.command("HGET", TERMINOLOGY, "") or 0)
        if count == self._seen:
            return
        found = await self.pipeline.command("ZRANGEBYSCORE", TERMS, f"({self._seen}", "+inf")
        names = [name for name in found if name.startswith(f"{self.tenant}/".encode())]
        concerned = set[str]()
        for chunk in (names[i : i + _CHUNK] for i in range(0, len(names), _CHUNK)):
            records = await self.pipeline.command("HMGET", TERMINOLOGY, *chunk)
            for name, record in zip(chunk, records, strict=True):
                rest = name.decode().partition("/")[2]
                self._held.pop(rest, None)
                if (resource := _read(record)) is not None:
                    self._held[rest] = resource
                concerned.add(rest.partition("/")[0])
        self._seen = count
        for version in self._now:
            if concerned & {version, _ANY}:
                self._now[version] = replace(self._now[version], vocabulary=Vocabulary(self._of(version)))

    def _of(self, version: FhirVersion) -> Iterator[Resource]:
        return (each for name, each in self._held.items() if name.partition("/")[0] in (version, _ANY))


def _read(record: bytes) -> Resource | None:
    resource: dict[str, Any] | None = msgspec.json.decode(record.partition(b" ")[2])
    return resource
