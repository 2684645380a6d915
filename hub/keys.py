"""
Every Redis key: its type, what it holds, how long it lives. The part in braces is the hash tag: scripts touch one only.

`p` is a partition (`0`, `1`, …), `s` a subscription (`tenant/version/id/incarnation`), `k` a shard of due work.

hub:{p}:resource:<tenant>/<v>/<Type>/<id>
    hash: the versions of one resource (fields: see store.py)
hub:{p}:changes
    stream: one entry per change; those behind matched as long as retention has it
hub:{p}:superseded
    string: bytes of the kept versions of resources that are not in force any more
hub:{p}:types:<tenant>/<v>/<Type>
    zset: id -> last update in ms, of what is not deleted
hub:{p}:identifiers:<tenant>/<v>/<Type>
    zset: `system|value`, NUL, id: who bears an identifier, by lexical range; so are the next three read
hub:{p}:references:<tenant>/<v>/<Type>
    zset: `Type/id` of what a resource of this type refers to, NUL, id
hub:{p}:members:<tenant>/<v>
    zset: `Type/id` of a member, NUL, type of the roster, NUL, start, NUL, end (ms, or empty), NUL, id of the roster
hub:{p}:merged:<tenant>/<v>
    zset: `Patient/id`, NUL, `Patient/id` of another that it is one with, NUL, id of the one that says so
hub:{p}:lock:<digest>
    string: who may do a conditional create; seconds, or until a transaction ends
hub:{p}:locks
    string: the last lock token given out
hub:{p}:matched
    string: id of the last change that fan-out has finished
hub:{p}:passed
    string: how many of the changes that are in the stream fan-out has finished
hub:{p}:trimmed
    string: id of a change before which some may have been removed
hub:{p}:filling
    set: subscriptions that may want changes of the past; each until it has been filled
hub:{p}:matcher
    string: the pump that matches this partition; 3 s, renewed
hub:{s}:subscription
    hash: one Subscription and its state (fields: see state.py)
hub:{s}:outbox
    stream: its events, with the event number as id: 17-0
hub:{s}:attempts
    stream: the last 100 attempts or a few more at its notifications (fields: see attempts.py)
hub:{due:k}:due, :wait, :lease
    zset: subscription -> ms: next work, end of back-off, end of lease
hub:{due:k}:end
    zset: subscription -> ms at which it is turned off
hub:{due:k}:owner
    hash: subscription -> token of its lease
hub:{due:k}:fence
    string: the last lease token given out
hub:{due:k}:wake
    stream: one entry, new whenever work came; what an idle deliver pump waits on
hub:{origin:<digest>}:breaker
    hash: how it stands with an origin to which connections fail (fields: see breakers.py); 1 h while it is closed
hub:{origin:<digest>}:probe
    string: whose notification is the probe; as long as a request may take
hub:{origin:<digest>}:parked
    zset: subscription -> ms since which it waits for the breaker
hub:{origin:<digest>}:drained
    string: until when and since when (ms) nothing is sent there, and who wants that; as long as it is so
hub:{origins}:failing, :open, :drained
    zset: origin -> ms: last failure to connect, next probe, end of being drained
hub:{origins}:waking
    set: origins that are back, while they have parked subscriptions
hub:{registry}:subscriptions
    hash: tenant/version/id -> incarnation, revision and the resource, its headers left out (see registry.py)
hub:{registry}:topics
    hash: tenant/id -> number, ms, form, canonical and the topic as sent; `` -> changes so far (see topics.py)
hub:{registry}:terminology
    hash: tenant/version/Type/id -> number and JSON of a ValueSet or CodeSystem (see terminology.py)
hub:{registry}:terms
    zset: the same names -> the how-manieth change of the terminology that was
hub:{registry}:suppressions
    hash: tenant/rule/id, tenant/version/Consent/id -> what is kept from whom; `` -> changes (see suppressions.py)
hub:{registry}:suppressing
    zset: the same names -> the how-manieth change of the suppressions that was
hub:{registry}:canonicals
    hash: tenant/canonical -> id of the topic
hub:{registry}:users
    zset: tenant/canonical, NUL, name in `subscriptions`: who is on a stored topic, by lexical range
hub:{registry}:joins
    hash: tenant/canonical -> how often somebody was put on it
hub:{registry}:joined
    hash: name in `subscriptions` -> the stored topics that it is on
hub:{registry}:scanned
    hash: tenant/version/type, blank, topic -> how many subscriptions each such change is held against; the same, blank,
    client -> how many of its; @client -> how many it has that are not off
hub:{registry}:places
    hash: name in `subscriptions` -> where it is one of these, by its record and by writes under way (lua/places.lua)
hub:{registry}:log
    stream: which of them changed; trimmed to the last 10,000
hub:{registry}:signing
    string: the hub's own Ed25519 key, sealed (see secrets.py)
hub:{registry}:bodies
    string: the key of the bodies of resources, sealed (see vault.py)
hub:{registry}:veil
    string: a random key, by which links don't show what was searched for by POST (see veil.py)
hub:{registry}:sealers
    set: fingerprints of the keys that have sealed what may still be there (see seal.py)
hub:{registry}:epoch
    hash: id of this store, number of partitions, layout, a count that rises every second, ids of before (foundation.py)
hub:{access}:tenants, :clients, :keys
    hash: name -> JSON of it; in `:clients` `` -> changes so far of all three (see access.py)
hub:{access}:swept
    hash: client -> digest of its rights when its subscriptions were last looked at for them (see withdrawal.py)
hub:{audit:<tenant>}:log
    stream: who did what (see audit.py); as long as HUB_AUDIT_DAYS has it
hub:{audit:<tenant>}:lost
    hash: how many entries were left out, and since when; until there is room
hub:{alerts}:due
    zset: subscription -> ms at which somebody is to be told of it (see alerts.py)
hub:{alerts}:spent:<digest>
    string: alerts that were sent to an origin in this minute; a minute
hub:{tx:<id>}:transaction
    hash: one transaction: state and intents; 24 h after its end
hub:{erasures}:open
    zset: erasure -> ms after which anybody goes on with it
hub:{erasures}:order:<id>
    hash: what is to be erased, how far that has come, and what was found (see erasures.py); 30 days after its end
hub:{erasures}:left:<id>
    hash: tenant/version/Type/id -> the number of the last version that is still to be erased
hub:{transactions}:open
    zset: transaction -> ms after which the clock settles it
hub:{meter}:totals, :flushed, :sampled
    hash: what all processes have counted; how far each has; what it was ten seconds ago (see metering.py)
hub:{meter}:criteria
    zset: name in `subscriptions`, a slash, incarnation -> microseconds that matching its criteria took lately
hub:{meter}:history
    stream: what was counted in each ten seconds of the last six hours
hub:{meter}:tail
    stream: the last 1,000 steps that happened while somebody watched
hub:{meter}:watched
    string: somebody watches what happens; 5 s, renewed
hub:{clock}:lease
    string: which process is the clock; 3 s, renewed
hub:{pumps}:<kind>
    zset: running pump -> ms until which it is believed alive
"""

from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b

from subscriptions.codes import FhirVersion

#: Raised when keys or fields change their meaning; a store with another number is migrated or refused at start.
LAYOUT = 4

REGISTRY = "hub:{registry}:subscriptions"
SCANNED = "hub:{registry}:scanned"
PLACES = "hub:{registry}:places"
REGISTRY_LOG = "hub:{registry}:log"
TOPICS = "hub:{registry}:topics"
CANONICALS = "hub:{registry}:canonicals"
TERMINOLOGY = "hub:{registry}:terminology"
TERMS = "hub:{registry}:terms"
SUPPRESSIONS = "hub:{registry}:suppressions"
SUPPRESSING = "hub:{registry}:suppressing"
USERS = "hub:{registry}:users"
JOINS = "hub:{registry}:joins"
JOINED = "hub:{registry}:joined"
SIGNING_KEY = "hub:{registry}:signing"
SEALERS = "hub:{registry}:sealers"
VEIL = "hub:{registry}:veil"
BODIES = "hub:{registry}:bodies"
EPOCH = "hub:{registry}:epoch"
TENANTS = "hub:{access}:tenants"
CLIENTS = "hub:{access}:clients"
KEYS = "hub:{access}:keys"
SWEPT = "hub:{access}:swept"
ALERTS = "hub:{alerts}:due"
TRANSACTIONS = "hub:{transactions}:open"
CLOCK = "hub:{clock}:lease"
ERASURES = "hub:{erasures}:open"
FAILING = "hub:{origins}:failing"
OPEN = "hub:{origins}:open"
DRAINED = "hub:{origins}:drained"
WAKING = "hub:{origins}:waking"


def _spread(text: str, buckets: int) -> int:
    """The same bucket for the same text, in every process and for ever."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") % buckets


def _digest(text: str) -> str:
    """What stands for a text of any length in a key."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


class Index(IntEnum):
    """What `put` keeps an index of, beside types and times. The numbers are stored with each resource."""

    IDENTIFIERS = 1
    REFERENCES = 2
    MEMBERS = 3
    MERGED = 4

    @property
    def by_type(self) -> bool:
        """Whether there is one for each resource type."""
        return self in (Index.IDENTIFIERS, Index.REFERENCES)


@dataclass(frozen=True, slots=True)
class ResourceId:
    """Where a resource lives: one tenant, one FHIR version, one type, one id."""

    tenant: str
    version: FhirVersion
    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.version}/{self.type}/{self.id}"

    def change(self, number: int) -> str:
        """How logs and traces name the change that made a version of it: by this alone a trip is found."""
        return f"{self}/{number}"

    def partition(self, partitions: int) -> int:
        return _spread(str(self), partitions)


@dataclass(frozen=True, slots=True)
class SubscriptionKey:
    """One life of one Subscription. A re-created one has another incarnation and never meets the old one's outbox."""

    tenant: str
    version: FhirVersion
    id: str
    incarnation: str

    def __str__(self) -> str:
        return f"{self.registered_as}/{self.incarnation}"

    @classmethod
    def parse(cls, text: str) -> "SubscriptionKey":
        tenant, version, id_, incarnation = text.split("/")
        return cls(tenant, FhirVersion(version), id_, incarnation)

    @property
    def registered_as(self) -> str:
        """The field in the registry: the same for every incarnation."""
        return f"{self.tenant}/{self.version}/{self.id}"

    def _key(self, name: str) -> str:
        return f"hub:{{{self}}}:{name}"

    @property
    def subscription(self) -> str:
        return self._key("subscription")

    @property
    def outbox(self) -> str:
        return self._key("outbox")

    @property
    def attempts(self) -> str:
        return self._key("attempts")

    def shard(self, shards: int) -> int:
        return _spread(str(self), shards)


@dataclass(frozen=True, slots=True)
class Partition:
    """The keys of one partition of resources and changes."""

    number: int

    def _key(self, name: str) -> str:
        return f"hub:{{{self.number}}}:{name}"

    @property
    def changes(self) -> str:
        return self._key("changes")

    @property
    def matched(self) -> str:
        return self._key("matched")

    @property
    def passed(self) -> str:
        return self._key("passed")

    @property
    def superseded(self) -> str:
        return self._key("superseded")

    @property
    def trimmed(self) -> str:
        return self._key("trimmed")

    @property
    def filling(self) -> str:
        return self._key("filling")

    @property
    def matcher(self) -> str:
        return self._key("matcher")

    @property
    def locks(self) -> str:
        return self._key("locks")

    def resource(self, resource: ResourceId) -> str:
        return self._key(f"resource:{resource}")

    def types(self, tenant: str, version: FhirVersion, type_: str) -> str:
        return self._key(f"types:{tenant}/{version}/{type_}")

    def index(self, index: Index, tenant: str, version: FhirVersion, type_: str) -> str:
        """`type_`: Of the resources that are found by it, as far as it is `by_type`."""
        place = f"{tenant}/{version}/{type_}" if index.by_type else f"{tenant}/{version}"
        return self._key(f"{index.name.lower()}:{place}")

    def lock(self, name: str) -> str:
        return self._key(f"lock:{_digest(name)}")


def lock_partition(name: str, partitions: int) -> Partition:
    """The partition in which a conditional create of this name happens, lock and resource alike."""
    return Partition(_spread(name, partitions))


@dataclass(frozen=True, slots=True)
class Shard:
    """The keys of one shard of due work."""

    number: int

    def _key(self, name: str) -> str:
        return f"hub:{{due:{self.number}}}:{name}"

    @property
    def due(self) -> str:
        return self._key("due")

    @property
    def wait(self) -> str:
        return self._key("wait")

    @property
    def lease(self) -> str:
        return self._key("lease")

    @property
    def end(self) -> str:
        return self._key("end")

    @property
    def owner(self) -> str:
        return self._key("owner")

    @property
    def fence(self) -> str:
        return self._key("fence")

    @property
    def wake(self) -> str:
        return self._key("wake")


@dataclass(frozen=True, slots=True)
class OriginKeys:
    """The keys of one origin: scheme, host and port."""

    origin: str

    def _key(self, name: str) -> str:
        return f"hub:{{origin:{_digest(self.origin)}}}:{name}"

    @property
    def all(self) -> list[str]:
        """The breaker, who probes it, and who is parked: the KEYS of its scripts."""
        return [self._key("breaker"), self._key("probe"), self.parked]

    @property
    def parked(self) -> str:
        return self._key("parked")

    @property
    def drained(self) -> str:
        return self._key("drained")


def audit_keys(tenant: str) -> list[str]:
    """The log of a tenant's audit, and what was left out of it."""
    return [f"hub:{{audit:{tenant}}}:{name}" for name in ("log", "lost")]


def meter(name: str) -> str:
    return f"hub:{{meter}}:{name}"


def alerts_spent(origin: str) -> str:
    return f"hub:{{alerts}}:spent:{_digest(origin)}"


def transaction(id_: str) -> str:
    return f"hub:{{tx:{id_}}}:transaction"


def erasure(id_: str) -> str:
    return f"hub:{{erasures}}:order:{id_}"


def erasure_left(id_: str) -> str:
    return f"hub:{{erasures}}:left:{id_}"


def pumps(kind: str) -> str:
    return f"hub:{{pumps}}:{kind}"
