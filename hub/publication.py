"""
Topics that clients and HUB_TOPICS_DIR give: tried before they are stored, and never taken away from who uses them.

A Subscription is put on the version of the topic that its filters were judged by, in one step with its registration; a
topic is changed only when no Subscription has come since its users' filters were judged by the new version, and deleted
only when there are no users: so neither can overtake the other.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import msgspec

from hub.access import ANYBODY, Caller
from hub.audit import Audit
from hub.errors import Overtaken, Refused, Unavailable
from hub.ingest.validation import issues
from hub.instants import instant
from hub.keys import ResourceId
from hub.registered import Registered
from hub.registry import CHUNK, Registry
from hub.store import Store
from hub.topics import Defined, Definition, Published, Topics
from hub.write import NOTHING
from subscriptions.audit import OPERATOR, Act, Kind
from subscriptions.checking import check
from subscriptions.codes import FhirVersion, Interaction, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.filters import criteria
from subscriptions.topic import Topic
from subscriptions.versions.forms import FORMS
from subscriptions.versions.topics import read_topic

#: How often the users of a topic are judged, when new ones come all the time.
TRIES = 5

#: Users that a refusal names.
NAMED = 5

log = getLogger("hub.publication")


@dataclass(frozen=True, slots=True)
class Publication:
    """Writes of topics, of which the audit knows before they are done."""

    topics: Topics
    registry: Registry
    audit: Audit
    store: Store

    async def put(
        self,
        id_: str,
        resource: Mapping[str, Any],
        sent: bytes,
        form: FhirVersion,
        *,
        now: int,
        expected: str = "",
        agent: str = OPERATOR,
        by: Caller = ANYBODY,
    ) -> tuple[Published, tuple[Issue, ...]]:
        """
        Create or change a topic; returns it as stored, and what its author is warned of.

        agent: Whose act it is. by: Who is told why it can't be done: of Subscriptions those that it sees.

        Raises:
            Rejected: It can't be read, or can do nothing in any FHIR version that there is.
            Refused: 405 for a built-in one; 409 when its canonical is another's, R4 has a Basic of its id, or
                Subscriptions on it could not go on as they are; 412 when another version is there than `expected`.
        """
        topic = read_topic(resource, form)
        if found := issues(resource, form):
            raise Rejected(*found)
        await self.topics.refresh()
        self._not_built_in(id_, topic.url)
        if self.topics.named(id_) is None:
            await self._no_basic(id_)
        warnings, unfit = await asyncio.to_thread(self._tried, topic, form)
        published, recorded = Published(id_, 0, now, form, topic, sent), False
        for _ in range(TRIES):
            joins = await self.topics.joins(topic.url)
            await self._judge_users(topic, unfit, by)
            if not recorded:
                self._expected(id_, expected)
                await self._record(
                    Kind.TOPIC_CHANGED if self.topics.named(id_) else Kind.TOPIC_CREATED, id_, form, agent
                )
                recorded = True
            done = await self.topics.define(published, expected=expected, joins=joins)
            if done.outcome is Defined.DEFINED:
                await self.topics.refresh()
                log.info("topic.stored", extra={"topic": topic.url, "warnings": [issue.text for issue in warnings]})
                return Published(id_, int(done.detail), now, form, topic, sent), warnings
            if done.outcome is not Defined.JOINED:
                raise _refused(id_, done, by)
        raise Unavailable(f"Subscriptions join {topic.url} faster than they can be judged")

    async def delete(self, id_: str, *, expected: str = "", agent: str = OPERATOR, by: Caller = ANYBODY) -> int:
        """
        Delete a topic; returns the number of the version that this made, 0 when there was none.

        Raises:
            Refused: 405, 409 when Subscriptions are on it, 412.
        """
        await self.topics.refresh()
        self._not_built_in(id_, "")
        self._expected(id_, expected)
        if held := self.topics.named(id_):
            await self._record(Kind.TOPIC_DELETED, id_, held.form, agent)
        done = await self.topics.delete(id_, expected=expected)
        if done.outcome is Defined.MISSING:
            return 0
        if done.outcome is not Defined.DELETED:
            raise _refused(id_, done, by)
        await self.topics.refresh()
        return int(done.detail)

    def _expected(self, id_: str, expected: str) -> None:
        """Raises Overtaken when a topic is at another version than the write expects."""
        held = self.topics.named(id_)
        number = str(held.number) if held else "0"
        if expected and expected != number and not (expected == NOTHING and held is None):
            raise _refused(id_, Definition(Defined.CONFLICT, number))

    async def _record(self, kind: Kind, id_: str, form: FhirVersion, agent: str) -> None:
        entity = f"{'Basic' if form is FhirVersion.R4 else 'SubscriptionTopic'}/{id_}"
        await self.audit.record(self.topics.tenant, Act(kind, agent, entity, form))

    def _not_built_in(self, id_: str, url: str) -> None:
        named, published = self.topics.named(id_), self.topics.published(url)
        if (named and named.built_in) or (published and published.built_in):
            text = "Built-in topics can be neither changed nor deleted."
            raise Refused(405, Issue(IssueCode.NOT_SUPPORTED, text), headers={"Allow": "GET, HEAD"})

    async def _no_basic(self, id_: str) -> None:
        """Raises Refused, 409, where R4 would read the topic in the place of a Basic. One put just now is not seen."""
        there = await self.store.read(ResourceId(self.topics.tenant, FhirVersion.R4, "Basic", id_))
        if there is not None and there.interaction is not Interaction.DELETE:
            text = f"At /fhir/r4, where topics are read as Basic, Basic/{id_} is there already: take another id."
            raise Refused.because(409, IssueCode.DUPLICATE, text, "SubscriptionTopic.id")

    def _tried(self, topic: Topic, form: FhirVersion) -> tuple[tuple[Issue, ...], dict[FhirVersion, Rejected]]:
        """
        What is to be warned of, and in which FHIR versions it can't be used; it is written in that of `form`.

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
            raise unfit[form]
        if form in unfit:
            text = f"Nobody can subscribe to it in FHIR {form.upper()}, where it is published: {unfit[form]}"
            warnings[Issue(IssueCode.NOT_SUPPORTED, text)] = None
        return tuple(warnings), unfit

    async def _judge_users(self, topic: Topic, unfit: Mapping[FhirVersion, Rejected], by: Caller) -> None:
        """Raises Refused, 409, when Subscriptions on the topic could not be on this version of it."""
        lost = [(registered, reason) async for registered, reason in self._lost(topic, unfit)]
        if lost:
            told = [f"Subscription/{each.key.id}: {reason}" for each, reason in lost if by.sees(each.owner)]
            number = f"{len(told)} " if len(told) == len(lost) else ""
            some = "; ".join(told[:NAMED]) or "They are others'."
            text = f"{number}Subscriptions on this topic could not go on as they are. {some}"
            raise Refused.because(409, IssueCode.CONFLICT, text)

    async def _lost(self, topic: Topic, unfit: Mapping[FhirVersion, Rejected]) -> AsyncIterator[tuple[Registered, str]]:
        names = await self.registry.users([f"{self.topics.tenant}/{topic.url}"])
        for chunk in (names[i : i + CHUNK] for i in range(0, len(names), CHUNK)):
            for registered in await self.registry.read(chunk):
                if registered and (reason := self._lacks(registered, topic, unfit)):
                    yield registered, reason

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


def _refused(id_: str, done: Definition, by: Caller = ANYBODY) -> Refused:
    match done.outcome:
        case Defined.TAKEN:
            text = f"SubscriptionTopic/{done.detail} has this url: a canonical names one topic."
            return Refused.because(409, IssueCode.DUPLICATE, text, "SubscriptionTopic.url")
        case Defined.USED:
            # How many others have is for operators.
            number = f"{done.detail} " if by.rights.scopes.admin else ""
            text = (
                f"{number}Subscriptions are on SubscriptionTopic/{id_}. Retire it (status `retired`), and it"
                " takes no new ones; it can be deleted, or get another url, when they have gone."
            )
            return Refused.because(409, IssueCode.CONFLICT, text)
        case _:
            there = f"version {done.detail} is in force" if done.detail != "0" else "there is none"
            text = f"SubscriptionTopic/{id_} is not at the version that was expected: {there}. Read it, and try again."
            return Overtaken(412, Issue(IssueCode.CONFLICT, text))
