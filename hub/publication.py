"""
Topics that clients and directories give: tried before they are stored, and never taken away from who uses them.

A Subscription is put on the version of the topic that its filters were judged by, in one step with its registration; a
topic is changed only when no Subscription has come since its users' filters were judged by the new version, and deleted
only when there are no users: so neither can overtake the other.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from logging import getLogger
from pathlib import Path
from typing import Any

import msgspec

from hub.errors import NotTheHub, Refused, Unavailable
from hub.ingest.validation import issues
from hub.registered import Registered
from hub.registry import CHUNK, Registry
from hub.store import instant
from hub.topics import Defined, Definition, Published, Topics
from subscriptions.checking import check
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.filters import criteria
from subscriptions.topic import Topic
from subscriptions.versions.forms import FORMS
from subscriptions.versions.topics import is_topic, read_topic

#: How often the users of a topic are judged, when new ones come all the time.
TRIES = 5

#: Users that a refusal names.
NAMED = 5

log = getLogger("hub.publication")

#: Numbers keep their digits.
_FROM_JSON = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_TO_JSON = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Publication:
    """Writes of topics."""

    topics: Topics
    registry: Registry

    async def put(
        self, id_: str, resource: Mapping[str, Any], sent: bytes, form: FhirVersion, *, now: int, expected: str = ""
    ) -> tuple[Published, tuple[Issue, ...]]:
        """
        Create or change a topic; returns it as stored, and what its author is warned of.

        Raises:
            Rejected: It can't be read, or can do nothing in any FHIR version that there is.
            Refused: 405 for a built-in one; 409 when its canonical is another's, or Subscriptions on it could not go on
                as they are; 412 when another version is there than `expected`.
        """
        topic = read_topic(resource, form)
        if found := issues(resource, form):
            raise Rejected(*found)
        await self.topics.refresh()
        self._not_built_in(id_, topic.url)
        warnings, unfit = await asyncio.to_thread(self._tried, topic)
        published = Published(id_, 0, now, form, topic, sent)
        for _ in range(TRIES):
            joins = await self.topics.joins(topic.url)
            await self._judge_users(topic, unfit)
            done = await self.topics.define(published, expected=expected, joins=joins)
            if done.outcome is Defined.DEFINED:
                await self.topics.refresh()
                log.info("topic.stored", extra={"topic": topic.url, "warnings": [issue.text for issue in warnings]})
                return Published(id_, int(done.detail), now, form, topic, sent), warnings
            if done.outcome is not Defined.JOINED:
                raise _refused(id_, done)
        raise Unavailable(f"Subscriptions join {topic.url} faster than they can be judged")

    async def delete(self, id_: str, *, expected: str = "") -> int:
        """
        Delete a topic; returns the number of the version that this made, 0 when there was none.

        Raises:
            Refused: 405, 409 when Subscriptions are on it, 412.
        """
        await self.topics.refresh()
        self._not_built_in(id_, "")
        done = await self.topics.delete(id_, expected=expected)
        if done.outcome is Defined.MISSING:
            return 0
        if done.outcome is not Defined.DELETED:
            raise _refused(id_, done)
        await self.topics.refresh()
        return int(done.detail)

    async def load(self, directory: Path, *, now: int) -> None:
        """
        Store the topics in the JSON files of a directory, as far as they are not stored as they are.

        Raises:
            NotTheHub: One of them can't be used.
        """
        for path, topics in _files(directory):
            try:
                for resource, form in topics:
                    await self._load(resource, form, now=now)
            except (Rejected, Refused) as error:
                raise _unfit(path, error) from error

    async def _load(self, resource: dict[str, Any], form: FhirVersion, *, now: int) -> None:
        url = str(resource.get("url", ""))
        id_ = str(resource.get("id") or f"t-{blake2b(url.encode(), digest_size=12).hexdigest()}")
        sent = _TO_JSON.encode(resource)
        await self.topics.refresh()
        held = self.topics.named(id_)
        if held is None or held.sent != sent or held.form is not form:
            await self.put(id_, resource, sent, form, now=now)

    def _not_built_in(self, id_: str, url: str) -> None:
        named, published = self.topics.named(id_), self.topics.published(url)
        if (named and named.built_in) or (published and published.built_in):
            text = "Built-in topics can be neither changed nor deleted."
            raise Refused(405, Issue(IssueCode.NOT_SUPPORTED, text), headers={"Allow": "GET, HEAD"})

    def _tried(self, topic: Topic) -> tuple[tuple[Issue, ...], dict[FhirVersion, Rejected]]:
        """
        What is to be warned of, and in which FHIR versions it can't be used.

        Raises:
            Rejected: It can be used in none.
        """
        warnings: dict[Issue, None] = {}
        unfit: dict[FhirVersion, Rejected] = {}
        for version, context in self.topics.contexts.items():
            try:
                warnings |= dict.fromkeys(check(topic, context))
            except Rejected as error:
                unfit[version] = error
        if len(unfit) == len(self.topics.contexts):
            raise next(iter(unfit.values()))
        return tuple(warnings), unfit

    async def _judge_users(self, topic: Topic, unfit: Mapping[FhirVersion, Rejected]) -> None:
        """Raises Refused, 409, when Subscriptions on the topic could not be on this version of it."""
        lost = [(name, reason) async for name, reason in self._lost(topic, unfit)]
        if lost:
            some = "; ".join(f"Subscription/{name.rpartition('/')[2]}: {reason}" for name, reason in lost[:NAMED])
            text = f"{len(lost)} Subscriptions on this topic could not go on as they are. {some}"
            raise Refused.because(409, IssueCode.CONFLICT, text)

    async def _lost(self, topic: Topic, unfit: Mapping[FhirVersion, Rejected]) -> AsyncIterator[tuple[str, str]]:
        names = await self.topics.users([topic.url])
        for chunk in (names[i : i + CHUNK] for i in range(0, len(names), CHUNK)):
            for name, registered in zip(chunk, await self.registry.read(chunk), strict=True):
                if registered and (reason := self._lacks(registered, topic, unfit)):
                    yield name, reason

    def _lacks(self, registered: Registered, topic: Topic, unfit: Mapping[FhirVersion, Rejected]) -> str:
        """Why a Subscription could not be on this topic; empty when it could."""
        version = registered.key.version
        resource = msgspec.json.decode(registered.resource)
        wanted = FORMS[version].parse_subscription(
            resource, now=instant(registered.since), allow_http=True, legacy=registered.style
        )
        if wanted.topic.partition("|")[0] != topic.url:  # it is about to leave another topic for this one
            return ""
        if version in unfit:
            return str(unfit[version])
        try:
            criteria(wanted.filters, topic, self.topics.contexts[version])
        except Rejected as rejected:
            return str(rejected)
        return ""


def _refused(id_: str, done: Definition) -> Refused:
    match done.outcome:
        case Defined.TAKEN:
            text = f"SubscriptionTopic/{done.detail} has this url: a canonical names one topic."
            return Refused.because(409, IssueCode.DUPLICATE, text, "SubscriptionTopic.url")
        case Defined.USED:
            text = (
                f"{done.detail} Subscriptions are on SubscriptionTopic/{id_}. Retire it (status `retired`), and it"
                " takes no new ones; it can be deleted, or get another url, when they have gone."
            )
            return Refused.because(409, IssueCode.CONFLICT, text)
        case _:
            there = f"version {done.detail} is in force" if done.detail != "0" else "there is none"
            text = f"SubscriptionTopic/{id_} is not at the version that was expected: {there}. Read it, and try again."
            return Refused.because(412, IssueCode.CONFLICT, text)


def _files(directory: Path) -> list[tuple[Path, list[tuple[dict[str, Any], FhirVersion]]]]:
    """The topics in each JSON file of a directory. Raises NotTheHub for one that can't be read."""
    found = []
    try:
        if not directory.is_dir():
            raise NotADirectoryError("it is not a directory")
        for path in sorted(directory.rglob("*.json")):
            directory = path
            found.append((path, _topics(path.read_bytes())))
    except (Rejected, ValueError, OSError) as error:
        raise _unfit(directory, error) from error
    return found


def _unfit(path: Path, error: Exception) -> NotTheHub:
    return NotTheHub(f"HUB_TOPICS_DIR: {path}: {' '.join(str(error).split())}")


def _topics(content: bytes) -> list[tuple[dict[str, Any], FhirVersion]]:
    """The topics in a file, each with the FHIR version of its form. Raises Rejected or ValueError for anything else."""
    resource = _FROM_JSON.decode(content)
    if resource.get("resourceType") == "Bundle":
        entries = resource.get("entry", [])
        found = [_formed(entry["resource"]) for entry in entries if isinstance(entry, dict) and "resource" in entry]
        if len(found) != len(entries):
            raise ValueError("an entry of the Bundle has no resource")
        return found
    return [_formed(resource)]


def _formed(resource: dict[str, Any]) -> tuple[dict[str, Any], FhirVersion]:
    """R4B's form is R5's but for the modifiers, so that one is tried first."""
    if resource.get("resourceType") == "Basic" and is_topic(resource):
        return resource, FhirVersion.R4
    try:
        read_topic(resource, FhirVersion.R5)
    except Rejected as in_r5:
        try:
            read_topic(resource, FhirVersion.R4B)
        except Rejected:
            raise in_r5 from None
        return resource, FhirVersion.R4B
    return resource, FhirVersion.R5
