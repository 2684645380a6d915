"""
The subscriptions in force.

`hub:{registry}:subscriptions` is a hash: `tenant/version/id` -> `incarnation state revision ms resource`, where `state`
is `on` (in the index) or `off`, with the style behind it (`on:r4`) where the criteria are a search, `revision` is that
of the write, so that no earlier one comes over a later one, `ms` is when it was accepted, and the resource is the JSON
as the client sent it.
`hub:{registry}:log` is a stream with the name of whatever changed. A subscription enters before its status changes and
leaves after, so that the index never lacks one that is active; `owe` alone decides by the status.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from logging import getLogger
from uuid import uuid4

import msgspec

from hub.keys import JOINED, JOINS, PLACES, REGISTRY, REGISTRY_LOG, SCANNED, TOPICS, USERS, SubscriptionKey
from hub.pipeline import Pipeline, script
from hub.registered import Registered
from hub.scanning import Scanning
from hub.topics import Topics
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from subscriptions.matching import Index
from subscriptions.search.asking import Context
from subscriptions.shapes import Shapes, shapes
from subscriptions.versions.forms import FORMS

REGISTER = script("register")

#: What a name in the log begins with that is a topic's, `tenant/canonical`, and no Subscription's.
_TOPIC = "topic:"

#: The same of a ValueSet or CodeSystem.
_TERMINOLOGY = "terminology:"

#: Subscriptions that are read at once.
CHUNK = 500

log = getLogger("hub.registry")

#: Subscriptions that are put into an index without a look at what else there is to do: a few ms.
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class On:
    """
    The topic that a Subscription is put on.

    place: `tenant/canonical` of a stored topic; `-` for a built-in one.
    field, number: Which version of it the filters were judged by; empty for a built-in one.
    """

    place: str = "-"
    field: str = ""
    number: str = ""


class TopicChanged(Exception):
    """The topic isn't there any more as the Subscription's filters were judged by it."""


class Registry:
    """Which subscriptions there are."""

    def __init__(self, pipeline: Pipeline, scanning: Scanning) -> None:
        self._pipeline = pipeline
        self._scanning = scanning

    async def find(self, tenant: str, version: FhirVersion, id_: str) -> Registered | None:
        """The life of this id that is registered now."""
        name = f"{tenant}/{version}/{id_}"
        record = await self._pipeline.command("HGET", REGISTRY, name)
        return Registered.parse(name, record) if record else None

    async def enter(self, registered: Registered, *, instead_of: str = "", on: On | None = None) -> bool:
        """
        Register a new life of a Subscription, where there is none or, given its incarnation, in the place of an earlier
        one; False, and nothing done, when something else is there. `on`: None for a topic that is built in.

        Raises:
            TopicChanged: Nothing was done.
            Rejected: The same, since it would be held against every change, as many others are.
        """
        return await self._set(registered.key, registered.record, instead_of, on or On(), registered, limited=True)

    async def refusal(self, wanted: Registered) -> Rejected | None:
        """Why `enter`, or `join` where it is there already, would now reject it; None when they would not."""
        places = self._scanning.places(wanted)
        if not places:
            return None
        counts, held = await self._pipeline.all(
            [("HMGET", SCANNED, *places), ("HGET", PLACES, wanted.key.registered_as)]
        )
        return self._scanning.full(places, [int(count or 0) for count in counts], held)

    async def put(self, registered: Registered, *, on: On | None = None, joined: str = "") -> bool:
        """
        Change what is registered of this life, unless that is newer; False when it isn't registered any more.

        Args:
            on: None for the topic that it is on already.
            joined: What `join` gave; that is over now, whatever becomes of it.
        """
        key = registered.key
        return await self._set(key, registered.record, key.incarnation, on, registered, token=joined)

    async def join(self, registered: Registered, on: On, wanted: Registered) -> str:
        """
        Put what is registered on one more topic, and count it also where `wanted` would be held against every change,
        until one of them is `put` with what is returned.

        Raises:
            TopicChanged: Nothing was done.
            Rejected: The same, as in `enter`.
        """
        key, token = registered.key, uuid4().hex
        await self._set(key, registered.record, key.incarnation, on, wanted, token=token, more=True, limited=True)
        return token

    async def remove(self, key: SubscriptionKey) -> None:
        """Remove this life of a Subscription; a later one stays."""
        await self._set(key, b"", key.incarnation, None, None)

    async def _set(
        self,
        key: SubscriptionKey,
        record: bytes,
        only: str,
        on: On | None,
        scanned: Registered | None,
        *,
        token: str = "",
        more: bool = False,
        limited: bool = False,
    ) -> bool:
        keys = [REGISTRY, REGISTRY_LOG, TOPICS, USERS, JOINS, JOINED, SCANNED, PLACES]
        topic = (on.place, on.field, on.number) if on else ("", "", "")
        places = msgspec.json.encode(self._scanning.places(scanned) if scanned else [])
        rest = (places, token, self._scanning.most if limited else 0)
        done = await self._pipeline.run(
            REGISTER, keys, key.registered_as, record, only, *topic, "1" if more else "", *rest
        )
        if done == -1:
            raise TopicChanged
        if isinstance(done, bytes):
            raise self._scanning.refusal(done.decode())
        return bool(done)

    async def all(self, prefix: str = "", *, chunk: int = CHUNK) -> AsyncIterator[Registered]:
        """All of them, or those whose `tenant/version/id` begins with a prefix; one that changes may come twice."""
        cursor = b"0"
        while True:
            cursor, reply = await self._pipeline.command("HSCAN", REGISTRY, cursor, "COUNT", chunk)
            rows = list(reply.items()) if isinstance(reply, dict) else list(zip(reply[::2], reply[1::2], strict=True))
            for name, record in rows:
                if name.decode().startswith(prefix):
                    yield Registered.parse(name.decode(), record)
            if int(cursor) == 0:
                return

    async def end_of_log(self) -> str:
        """The mark behind all that has changed so far: always an entry, so that trimming behind it can be seen."""
        entries = await self._pipeline.command("XREVRANGE", REGISTRY_LOG, "+", "-", "COUNT", 1)
        if not entries:
            return str((await self._pipeline.command("XADD", REGISTRY_LOG, "*", "name", "")).decode())
        return str(entries[0][0].decode())

    async def changed(self, mark: str, *, most: int = 1000) -> tuple[str, list[str]] | None:
        """Up to `most` names changed behind a mark, and the mark behind them; None when the log begins later."""
        entries = await self._pipeline.command("XRANGE", REGISTRY_LOG, mark, "+", "COUNT", most + 1)
        if not entries or entries[0][0].decode() != mark:
            return None
        names = [(fields[b"name"] if isinstance(fields, dict) else fields[1]).decode() for _, fields in entries[1:]]
        return str(entries[-1][0].decode()), names

    async def read(self, names: list[str]) -> list[Registered | None]:
        """What is registered under these names."""
        records = await self._pipeline.command("HMGET", REGISTRY, *names)
        return [Registered.parse(name, record) if record else None for name, record in zip(names, records, strict=True)]


@dataclass
class InForce:
    """
    A process' copy of the registry, as an index for matching. `refresh` brings it up to date.

    broken: Subscriptions that can't be understood (any more), and why: set aside, counted and shown.
    """

    registry: Registry
    topics: Topics
    contexts: Mapping[FhirVersion, Context]
    broken: dict[str, str] = field(default_factory=dict)
    _indexes: dict[tuple[str, FhirVersion], Index[SubscriptionKey]] = field(default_factory=dict)
    _keys: dict[str, SubscriptionKey] = field(default_factory=dict)
    _shapes: dict[SubscriptionKey, Shapes] = field(default_factory=dict)
    _mark: str = ""
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def index(self, tenant: str, version: FhirVersion) -> Index[SubscriptionKey]:
        """The index over a tenant's subscriptions of one FHIR version."""
        if (tenant, version) not in self._indexes:
            self._indexes[tenant, version] = Index(self.contexts[version])
        return self._indexes[tenant, version]

    def shapes(self, key: SubscriptionKey) -> Shapes | None:
        """What comes along with the changes that concern a subscription; None when nothing ever does."""
        return self._shapes.get(key)

    async def refresh(self) -> None:
        """See everything that was registered before this was called."""
        # One at a time: what was read earlier must not be set later, over what another partition's matcher has seen.
        async with self._refreshing:
            while True:
                found = await self.registry.changed(self._mark) if self._mark else None
                if found is None:
                    await self._load()
                    continue
                mark, names = found
                if not names:
                    return
                unique = await self._concerned(names)
                for chunk in (unique[i : i + CHUNK] for i in range(0, len(unique), CHUNK)):
                    for count, (name, registered) in enumerate(
                        zip(chunk, await self.registry.read(chunk), strict=True)
                    ):
                        self._set(name, registered)
                        await _let_others_run(count)
                self._mark = mark

    async def _concerned(self, names: list[str]) -> list[str]:
        """The names of the Subscriptions that changed, or whose topics or ValueSets did."""
        urls = dict.fromkeys(name.partition("/")[2] for name in names if name.startswith(_TOPIC))
        found = dict.fromkeys(name for name in names if name and not name.startswith((_TOPIC, _TERMINOLOGY)))
        if urls:
            await self.topics.refresh()
            found |= dict.fromkeys(await self.topics.users(urls))
        if any(name.startswith(_TERMINOLOGY) for name in names):
            await self.topics.refresh()
            found |= dict.fromkeys([*self._understand(), *self.broken])
        return list(found)

    def _understand(self) -> list[str]:
        """Have the indexes understand by the terminology that there is now; the names of those whom it concerns."""
        asking = (index.understand(self.contexts[version]) for (_, version), index in self._indexes.items())
        return [key.registered_as for keys in asking for key in keys]

    async def _load(self) -> None:
        mark = await self.registry.end_of_log()
        await self.topics.refresh()
        self._understand()
        seen = set()
        async for registered in self.registry.all():
            seen.add(registered.key.registered_as)
            self._set(registered.key.registered_as, registered)
            await _let_others_run(len(seen))
        for name in (self._keys.keys() | self.broken.keys()) - seen:
            self._set(name, None)
        self._mark = mark

    def _set(self, name: str, registered: Registered | None) -> None:
        old = self._keys.pop(name, None)
        if old is not None:
            self.index(old.tenant, old.version).remove(old)
            self._shapes.pop(old, None)
        self.broken.pop(name, None)
        if registered is None or not registered.on:
            return
        key = registered.key
        try:
            come_along = self._put(self.index(key.tenant, key.version), registered)
            if come_along:
                self._shapes[key] = come_along
        except Exception as error:  # whatever it is, it must not stop the others
            self.broken[name] = str(error)
            log.error("subscription.broken", extra={"subscription": name, "reason": str(error)})
        else:
            self._keys[name] = key

    async def alone(self, key: SubscriptionKey) -> "InForce | None":
        """A subscription by itself, as it is registered now; None when it isn't, is off, or can't be understood."""
        (registered,) = await self.registry.read([key.registered_as])
        if registered is None or registered.key != key or not registered.on or key.registered_as in self.broken:
            return None
        index = Index[SubscriptionKey](self.contexts[key.version])
        try:
            come_along = self._put(index, registered)
        except Exception as error:  # it, or its topic, has changed since the last refresh
            log.error("subscription.broken", extra={"subscription": key.registered_as, "reason": str(error)})
            return None
        return InForce(
            self.registry,
            self.topics,
            self.contexts,
            _indexes={(key.tenant, key.version): index},
            _shapes={key: come_along} if come_along else {},
        )

    def _put(self, index: Index[SubscriptionKey], registered: Registered) -> Shapes | None:
        """Put a subscription into an index; returns what comes along with the changes that concern it."""
        key, resource = registered.key, msgspec.json.decode(registered.resource)
        interest = FORMS[key.version].read_interest(resource, legacy=registered.style)
        topic = interest.own_topic or self.topics.find(key.version, interest.topic)
        if topic is None:
            raise LookupError(f"topic {interest.topic} is not known any more")
        come_along = shapes(topic, self.contexts[key.version]) if topic.shapes else None
        index.put(key, topic, interest.filters)
        return come_along


async def _let_others_run(count: int) -> None:
    """Let the event loop turn after every `AT_ONCE` of many."""
    if count % AT_ONCE == 0:
        await asyncio.sleep(0)
