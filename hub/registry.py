"""
Which subscriptions there are.

`hub:{registry}:subscriptions` is a hash: `tenant/version/id` -> `incarnation state revision ms resource`, where `state`
is `on` (in the index) or `off`, with the style behind it (`on:r4`) where the criteria are a search, and behind that the
client whose it is (`on::lab`), where clients are told apart; `revision` is that of the write, so that no earlier one
comes over a later one, `ms` is when it was accepted, and the resource is the JSON as the client sent it, without its
headers (see seal.py).
`hub:{registry}:log` is a stream with the name of whatever changed. A subscription enters before its status changes and
leaves after, so that the index never lacks one that is active; `owe` alone decides by the status.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from uuid import uuid4

import msgspec

from hub.keys import JOINED, JOINS, PLACES, REGISTRY, REGISTRY_LOG, SCANNED, TOPICS, USERS, SubscriptionKey
from hub.pipeline import Pipeline, script
from hub.registered import Registered
from hub.scanning import Scanning
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected

REGISTER = script("register")

#: Subscriptions that are read at once.
CHUNK = 500


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


@dataclass(frozen=True, slots=True)
class Scanned:
    """Where changes are held against Subscriptions that nothing looks up."""

    version: str
    type: str
    topic: str


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
            Rejected: The same, since it would be held against every change, as many others are, or its client has as
                many as may be.
        """
        return await self._set(registered.key, registered.record, instead_of, on or On(), registered, limited=True)

    async def refusal(self, wanted: Registered) -> Rejected | None:
        """Why `enter`, or `join` where it is there already, would now reject it; None when they would not."""
        places = await self._scanning.places(wanted)
        if not places:
            return None
        counts, held = await self._pipeline.all(
            [("HMGET", SCANNED, *places), ("HGET", PLACES, wanted.key.registered_as)]
        )
        return self._scanning.full(places, [int(count or 0) for count in counts], held, wanted.key.version)

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
        standing: Registered | None,
        *,
        token: str = "",
        more: bool = False,
        limited: bool = False,
    ) -> bool:
        keys = [REGISTRY, REGISTRY_LOG, TOPICS, USERS, JOINS, JOINED, SCANNED, PLACES]
        topic = (on.place, on.field, on.number) if on else ("", "", "")
        places = await self._scanning.places(standing) if standing else []
        limits = [self._scanning.most(place) for place in places] if limited else []
        rest = (msgspec.json.encode(places), token, msgspec.json.encode(limits))
        done = await self._pipeline.run(
            REGISTER, keys, key.registered_as, record, only, *topic, "1" if more else "", *rest
        )
        if done == -1:
            raise TopicChanged
        if isinstance(done, bytes):
            raise self._scanning.refusal(done.decode(), key.version)
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

    async def scanned(self, tenant: str) -> dict[Scanned, int]:
        """How many of a tenant's Subscriptions there are at each such place."""
        reply = await self._pipeline.command("HGETALL", SCANNED)
        rows = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        found = {}
        for name, count in rows:
            place, *topic = name.decode().split(" ")
            of, _, rest = place.partition("/")
            if of == tenant and len(topic) == 1 and int(count) > 0:  # those of one client are among them
                version, _, type_ = rest.partition("/")
                found[Scanned(version, type_, topic[0])] = int(count)
        return found

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

    async def users(self, topics: Iterable[str]) -> list[str]:
        """The names of the Subscriptions that are on these stored topics, each a `tenant/canonical`."""
        places = [f"[{topic}\0".encode() for topic in topics]
        ranges = await self._pipeline.all([("ZRANGEBYLEX", USERS, place, place + b"\xff") for place in places])
        return [member.decode().partition("\0")[2] for members in ranges for member in members]

    async def read(self, names: list[str]) -> list[Registered | None]:
        """What is registered under these names."""
        records = await self._pipeline.command("HMGET", REGISTRY, *names)
        return [Registered.parse(name, record) if record else None for name, record in zip(names, records, strict=True)]
