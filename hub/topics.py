"""
The topics: the built-in ones, and those that clients or a directory gave.

`hub:{registry}:topics` is a hash: `tenant/id` -> `number ms form canonical resource`, where `number` is that of the
version, `form` the FHIR version that the resource is written in, and the resource the JSON as it was sent; of a deleted
topic only the number is left. The field with an empty name counts the changes. `hub:{registry}:canonicals` has the id
of each canonical, `tenant/canonical` -> id.

One set of topics serves the bases of all FHIR versions: R4 has no resource for them, yet its subscribers need them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from logging import getLogger
from typing import NamedTuple

import msgspec

from hub.keys import CANONICALS, JOINS, REGISTRY_LOG, TOPICS, USERS
from hub.pipeline import Pipeline, script
from hub.terminology import Contexts
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from subscriptions.search.asking import Context
from subscriptions.search.parameters import resource_types
from subscriptions.subscription import Subscription
from subscriptions.topic import Topic, built_in
from subscriptions.triggers import Triggers
from subscriptions.versions.topics import read_topic

DEFINE = script("define")

#: What notifying itself is made of makes no change.
_INTERNAL = frozenset({"Subscription", "SubscriptionTopic", "SubscriptionStatus", "AuditEvent"})

#: The version of a built-in topic; it never changes.
BUILT_IN = 1

log = getLogger("hub.topics")


@dataclass(frozen=True, slots=True)
class Published:
    """
    A topic as a resource.

    number: Of its version, from 1.
    at: When that was stored, in ms; 0 for a built-in one.
    form: The FHIR version that `sent` is written in.
    sent: The JSON as it came; empty for a built-in one.
    """

    id: str
    number: int
    at: int
    form: FhirVersion
    topic: Topic
    sent: bytes = b""

    @property
    def built_in(self) -> bool:
        return not self.sent


class Defined(StrEnum):
    """What became of a write of a topic."""

    DEFINED = "defined"
    DELETED = "deleted"
    MISSING = "missing"
    CONFLICT = "conflict"
    TAKEN = "taken"
    USED = "used"
    JOINED = "joined"


class Definition(NamedTuple):
    """`detail`: the number of the version, the id that has the canonical, or how many use it."""

    outcome: Defined
    detail: str


def built_in_topics(canonical_base: str) -> Iterator[Topic]:
    """The topics that are always there: one for each resource type of any FHIR version."""
    types = frozenset().union(*map(resource_types, FhirVersion)) - _INTERNAL
    return (built_in(canonical_base, type_) for type_ in sorted(types))


@dataclass
class Topics:
    """
    A process' copy of a tenant's topics. `refresh` brings it up to date.

    contexts: What filters are understood in, of each FHIR version that subscriptions are matched in.
    """

    pipeline: Pipeline
    tenant: str
    canonical_base: str
    contexts: Contexts
    _built_in: dict[str, Published] = field(init=False)
    _stored: dict[str, Published] = field(default_factory=dict)
    _deleted: Mapping[str, int] = field(default_factory=dict)
    # Why not, and the context that it was found in.
    _unusable: dict[tuple[FhirVersion, str], tuple[str, Context]] = field(default_factory=dict)
    _changes: bytes = b""

    def __post_init__(self) -> None:
        topics = ((topic.url.rpartition("/")[2], topic) for topic in built_in_topics(self.canonical_base))
        published = (Published(id_, BUILT_IN, 0, FhirVersion.R5, topic) for id_, topic in topics)
        self._built_in = {each.topic.url: each for each in published}

    async def refresh(self) -> None:
        """See every topic, and all terminology, that was stored before this was called."""
        await self.contexts.refresh()
        changes = await self.pipeline.command("HGET", TOPICS, "") or b""
        if changes == self._changes:
            return
        reply = await self.pipeline.command("HGETALL", TOPICS)
        rows = dict(reply) if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
        stored, deleted = dict[str, Published](), dict[str, int]()
        for name, record in rows.items():
            tenant, _, id_ = name.decode().partition("/")
            if tenant != self.tenant:
                continue
            if b" " not in record:
                deleted[id_] = int(record)
            elif published := _published(id_, record):
                stored[published.topic.url] = published
        self._stored, self._deleted, self._unusable = stored, deleted, {}
        self._changes = rows.get(b"", b"")

    def all(self, version: FhirVersion) -> list[Published]:
        """All topics, the built-in ones first, those of the types that the FHIR version has; each kind by canonical."""
        types = resource_types(version)
        built_in = (each for each in self._built_in.values() if each.topic.resource_types <= types)
        return [*built_in, *(self._stored[url] for url in sorted(self._stored))]

    def usable(self, version: FhirVersion) -> list[Topic]:
        """The topics that Subscriptions of a FHIR version can be on."""
        found = (self.find(version, each.topic.url) for each in self.all(version))
        return [topic for topic in found if topic and not topic.retired]

    def published(self, canonical: str) -> Published | None:
        """The topic of a canonical. Its URL is its identity: a `|version` behind it is not compared."""
        url = canonical.partition("|")[0]
        return self._built_in.get(url) or self._stored.get(url)

    def named(self, id_: str) -> Published | None:
        """The topic of an id."""
        every = (*self._built_in.values(), *self._stored.values())
        return next((each for each in every if each.id == id_), None)

    def changed_since(self, at: int) -> list[Published]:
        """Those of which another version was published behind a time (ms), the last one first."""
        found = (each for each in self._stored.values() if each.number > 1 and each.at > at)
        return sorted(found, key=lambda each: -each.at)

    def deleted(self, id_: str) -> int:
        """The number of the delete of a topic; 0 if there was none."""
        return self._deleted.get(id_, 0)

    def find(self, version: FhirVersion, canonical: str) -> Topic | None:
        """The topic of a canonical, if its triggers can be evaluated in this FHIR version."""
        found = self.published(canonical)
        return None if found is None or self.unusable(version, found.topic) else found.topic

    def of(self, subscription: Subscription) -> Topic | None:
        """What a Subscription is on: the topic that it names, or what a search in its criteria comes to."""
        return subscription.own_topic or self.find(subscription.version, subscription.topic)

    def unusable(self, version: FhirVersion, topic: Topic) -> str:
        """Why a topic can't be used in a FHIR version; empty when it can."""
        place, context = (version, topic.url), self.contexts[version]
        why, known_in = self._unusable.get(place, ("", None))
        if known_in is not context:
            try:
                Triggers(topic, context)
                why = ""
            except Rejected as rejected:
                why = str(rejected)
            self._unusable[place] = why, context
        return why

    async def define(self, published: Published, *, expected: str = "", joins: str = "") -> Definition:
        """
        Store a version of a topic; its number is given here.

        Args:
            expected: The number of the version that must be there, `*` for none, empty for any or none.
            joins: What `joins` said before the filters of its users were judged; empty when they weren't.
        """
        record = f"{published.at} {published.form} {published.topic.url} ".encode() + published.sent
        return await self._define(published.id, record, published.topic.url, expected, joins)

    async def delete(self, id_: str, *, expected: str = "") -> Definition:
        """Delete a topic that nobody uses."""
        return await self._define(id_, b"", "", expected, "")

    async def _define(self, id_: str, record: bytes, url: str, expected: str, joins: str) -> Definition:
        keys = [TOPICS, CANONICALS, USERS, JOINS, REGISTRY_LOG]
        reply = await self.pipeline.run(DEFINE, keys, self.tenant, id_, record, url, expected, joins)
        detail = reply[1] if len(reply) > 1 else b""
        return Definition(Defined(reply[0].decode()), detail.decode() if isinstance(detail, bytes) else str(detail))

    async def joins(self, url: str) -> str:
        """How often a Subscription was put on a topic, ever."""
        return (await self.pipeline.command("HGET", JOINS, f"{self.tenant}/{url}") or b"0").decode()


def _published(id_: str, record: bytes) -> Published | None:
    """A record, read; None if it can't be any more: that is shown by the subscriptions on it."""
    number, at, form, url, sent = record.split(b" ", 4)
    version = FhirVersion(form.decode())
    try:
        topic = read_topic(msgspec.json.decode(sent), version)
    except Rejected as rejected:
        log.error("topic.broken", extra={"topic": url.decode(), "reason": str(rejected)})
        return None
    return Published(id_, int(number), int(at), version, topic, sent)
