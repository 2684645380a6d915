"""
`Subscription/$explain`: why a change concerns a Subscription, or not. Nothing is stored, nothing is sent.

Of a Subscription and a resource that are given, or of a Subscription and a version of a resource that the hub holds.
The operation is this hub's own.

What a Subscription here matches goes by what its owner sees of other resources, as when it is matched; what is shown of
them, by what he sees who asks.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.documentation import subscriptions as documentation
from hub.api.exchange import Answer, Exchange
from hub.api.given import Given, Takes
from hub.api.happened import Past
from hub.api.routes import Route, forbidden
from hub.api.subscriptions import Subscriptions
from hub.errors import Refused
from hub.holdings import Holdings
from hub.ingest.validation import issues
from hub.instants import instant
from hub.keys import ResourceId
from hub.membership import Member
from hub.outbox import Outboxes
from hub.registered import Registered
from hub.state import State
from hub.stream import Changes
from hub.topics import Published
from hub.turn import OwedEvent
from subscriptions.change import Change
from subscriptions.codes import Interaction, IssueCode, SubscriptionStatus
from subscriptions.errors import Rejected
from subscriptions.explanation import Explanation, as_sent, explain, supposed
from subscriptions.reach import Reach
from subscriptions.search.held import Held
from subscriptions.subscription import Style, Subscription

#: Events that are looked through at once.
CHUNK = 1_000

OF_GIVEN = Takes("$explain", ("subscription", "resource", "previous"), ("interaction",))
OF_ONE = Takes("$explain of one Subscription", ("resource", "previous"), ("interaction", "reference"), alone="resource")

#: What a status means for changes, if they are numbered; and what it means if they aren't.
MEANS = {
    SubscriptionStatus.REQUESTED: "It is not active yet: changes are numbered and kept, but not sent.",
    SubscriptionStatus.ACTIVE: "Changes are numbered and sent.",
    SubscriptionStatus.ERROR: "Changes are numbered and kept, but not sent.",
}
PASSING = "Nothing is numbered, and nothing sent, before it is active: all changes pass by."


@dataclass(frozen=True, slots=True)
class Fact:
    """
    What became of a change that happened.

    waits: Whether it is still to be matched.
    event: The event of the Subscription that it became; None for none.
    registered, topic: What may be newer than the change. The topic is None where criteria are a search.
    """

    change: Change
    member: Member
    waits: bool
    event: OwedEvent | None
    registered: Registered | None
    topic: Published | None

    def parts(self, *, expected: bool) -> Iterator[dict[str, Any]]:
        """In words; `expected`: whether it would concern the Subscription, as all stands now."""
        yield {"name": "text", "valueString": self.text}
        if self.event:
            yield {"name": "event-number", "valueString": str(self.event.number)}
        state = self.member.state
        yield {"name": "status", "valueCode": state.status.value}
        yield {"name": "status-means", "valueString": MEANS[state.status] if state.counting else PASSING}
        for name, text in self.remarks(expected=expected).items():
            yield {"name": name, "valueString": text}

    def remarks(self, *, expected: bool) -> dict[str, str]:
        """Why what is in force now may say otherwise than what was; `expected` as in `parts`."""
        newer = dict(self._newer())
        explained = self.event or self.member.state.counting  # else the status says why there is no event
        if not newer and not self.waits and explained and expected is not bool(self.event):
            newer["differs"] = (
                "That differs from what follows, which goes by what is in force now: when the change was matched, other"
                " resources or ValueSets that the filters look at were otherwise, or it was set aside, which the hub's"
                " log says."
            )
        return newer

    @property
    def text(self) -> str:
        if self.event:
            number = self.event.number
            return f"The change is event {number} of this Subscription: {standing(self.member.state, number)}."
        if self.waits:
            return "The change is not matched yet: it may still become an event of this Subscription."
        return "The change was matched and passed by: it made no event of this Subscription."

    def _newer(self) -> Iterator[tuple[str, str]]:
        at = self.change.at
        if self.registered and instant(self.registered.since) > at:
            text = "The Subscription was written after the change: it may have been another one then."
            yield "subscription-newer", text
        elif instant(self.member.state.updated) > at:
            text = "The Subscription got its status after the change: it may have had another one then."
            yield "status-newer", text
        if self.topic and instant(self.topic.at) > at:
            text = "The topic was written after the change: it may have been another one then."
            yield "topic-newer", text


def standing(state: State, number: int) -> str:
    """How it stands with a Subscription's event of this number."""
    if number <= state.delivered:
        if any(number in each for each in state.missed):
            return "it was skipped when the Subscription became active again, and not sent since"
        return "it was sent"
    match state.status:
        case SubscriptionStatus.ACTIVE:
            return "it is still to be sent"
        case SubscriptionStatus.REQUESTED:
            return "it is kept, and nothing is sent before the Subscription is active again"
        case _:
            return f"it is kept, but not sent, since the status is `{state.status}`"


@dataclass(frozen=True, slots=True)
class Found:
    """
    What became of a change that happened, and why.

    why: None when it can't be said any more, and `error` says what for.
    """

    fact: Fact
    why: Explanation | None
    error: str = ""

    @property
    def expected(self) -> bool:
        """Whether it would concern the Subscription, as all stands now."""
        return self.why is not None and self.why.matched

    @property
    def parameters(self) -> Iterator[dict[str, Any]]:
        yield {"name": "fact", "part": list(self.fact.parts(expected=self.expected))}
        if self.why:
            yield from self.why.parameters
        else:
            yield {"name": "matched", "valueBoolean": False}
            yield {"name": "error", "valueString": self.error}


@dataclass(frozen=True)
class Explaining:
    """The operation at one FHIR base."""

    subscriptions: Subscriptions
    past: Past
    changes: Changes
    outboxes: Outboxes

    def routes(self) -> Iterator[Route]:
        yield Route("POST", "/Subscription/$explain", self.of_given, documentation.EXPLAIN)
        yield Route("POST", "/Subscription/{id}/$explain", self.of_one, documentation.EXPLAIN_ONE)

    async def of_given(self, request: Request) -> Response:
        """Of a Subscription that need not exist, and a change that need not have happened."""
        exchange = Exchange(request)
        given = await self._given(exchange, OF_GIVEN)
        explanation = await self.of_sent(exchange, given.resource("subscription"), given)
        return _respond(exchange, explanation.parameters)

    async def of_one(self, request: Request) -> Response:
        """Of a Subscription here, and a change that happened, by `reference`, or one that need not have."""
        exchange, id_ = Exchange(request), request.path_params["id"]
        given = await self._given(exchange, OF_ONE)
        if "reference" in given.texts:
            return _respond(exchange, (await self.of_named(exchange.caller, id_, given)).parameters)
        return _respond(exchange, (await self.of_supposed(exchange, id_, given)).parameters)

    async def of_sent(self, exchange: Exchange, subscription: Mapping[str, Any], given: Given) -> Explanation:
        """Of a Subscription that need not exist, and a change that need not have happened."""
        # It may have been read from a hub, where its `end` has passed meanwhile.
        wanted = self._wanted(as_sent(subscription), 0, self.subscriptions.admission.legacy)
        return await self._explained(exchange.caller, wanted, self._supposed(exchange, given))

    async def of_supposed(self, exchange: Exchange, id_: str, given: Given) -> Explanation:
        """Of a Subscription here, and a change that need not have happened."""
        member = await self.subscriptions.member(exchange.caller, id_)
        wanted, change = self._in_force(member), self._supposed(exchange, given)
        return await self._explained(exchange.caller, wanted, change, owner=member.state.owner)

    async def of_named(self, caller: Caller, id_: str, given: Given) -> Found:
        """Of a Subscription here, and the change that is named by `reference`."""
        if given.resources or len(given.texts) > 1:
            text = "The reference names a change that happened: nothing else can be given with it."
            raise Refused.because(400, IssueCode.INVALID, text, "reference")
        return await self.of_happened(caller, id_, given.texts["reference"])

    async def of_happened(self, caller: Caller, id_: str, reference: str, *, known: OwedEvent | None = None) -> Found:
        """What became of a change, and why. `known`: The event that it became, if that is known."""
        s = self.subscriptions
        happened = await self.past.change(reference, caller)
        change, resource = happened.change, happened.resource
        # In this order: what is matched while this is asked has its event by then.
        waits = known is None and await self.changes.waits(resource, change.version_id)
        member = await s.member(caller, id_)
        if resource.tenant != s.tenant and member.state.style is not Style.TOPIC:
            text = "Criteria that are a search are about the resources of their own tenant alone."
            raise Refused.because(409, IssueCode.BUSINESS_RULE, text, "reference")
        event = known or await self._event(member, resource, change.version_id)
        registered = await s.membership.registry.find(s.tenant, s.version, id_)
        wanted, why, error = self._in_force(member), None, ""
        try:
            why = await self._explained(caller, wanted, change, owner=member.state.owner, held=happened.held)
        except Rejected as rejected:  # a ValueSet that the filters name may be another one by now
            error = str(rejected)
        fact = Fact(change, member, waits, event, registered, s.admission.topics.published(wanted.topic))
        return Found(fact, why, error)

    async def _given(self, exchange: Exchange, takes: Takes) -> Given:
        s = self.subscriptions
        return await takes.read(exchange, max_body=s.max_body, max_nesting=s.max_nesting)

    def _wanted(self, resource: Mapping[str, Any], at: int, legacy: Style) -> Subscription:
        """The Subscription as it is understood; `at` is when it was sent, in ms. Raises Rejected."""
        form = self.subscriptions.form
        return form.parse_subscription(resource, now=instant(at), allow_http=True, legacy=legacy)

    def _in_force(self, member: Member) -> Subscription:
        state = member.state
        return self._wanted(msgspec.json.decode(state.resource), state.updated, state.style)

    def _supposed(self, exchange: Exchange, given: Given) -> Change:
        """The change that is given; its versions are such as a write would be accepted of."""
        for name in ("resource", "previous"):
            if name in given.resources and (found := issues(given.resources[name], self.subscriptions.version)):
                raise Rejected(*found)
        code = given.texts.get("interaction")
        if code not in (None, *Interaction):
            text = f"`{code}` is not an interaction: those are {', '.join(Interaction)}."
            raise Refused.because(400, IssueCode.VALUE, text, "interaction")
        return supposed(
            given.resources.get("resource"),
            given.resources.get("previous"),
            Interaction(code) if code else None,
            version=self.subscriptions.version,
            at=instant(self.subscriptions.now()),
            events=exchange.events,
        )

    async def _explained(
        self,
        caller: Caller,
        subscription: Subscription,
        change: Change,
        *,
        owner: str | None = None,
        held: type[Held] = Held,
    ) -> Explanation:
        """`owner`: Whose it is; None for one that is only given, which is the caller's."""
        topics = self.subscriptions.admission.topics
        await topics.refresh()
        topic = topics.of(subscription)
        if topic is None:
            text = f"The topic {subscription.topic} is not there."
            raise Refused.because(409, IssueCode.CONFLICT, text, self.subscriptions.form.topic_element)
        context = topics.contexts[subscription.version]
        if lacking := Reach.of(subscription, topic, context).hidden(caller.rights):
            raise forbidden(" ".join(lacking))

        async def seen(holdings: Holdings) -> Explanation:
            found = held(change.at)
            return await holdings.settled(found, lambda: explain(subscription, topic, change, context, found))

        holdings, standings = self.subscriptions.holdings, self.subscriptions.standings
        shown = await seen(holdings)
        if owner is None:
            return shown
        await standings.current()
        return (await seen(holdings.cleared(standings.clearance(owner)))).showing(shown)

    async def _event(self, member: Member, resource: ResourceId, number: int) -> OwedEvent | None:
        """The event that a change became, looked for from the last one on."""
        last = member.state.events
        while last > 0:
            first = max(1, last - CHUNK + 1)
            for event in reversed(await self.outboxes.events(member.key, first, last)):
                key = member.key
                where = ResourceId(event.tenant or key.tenant, key.version, event.type, event.id)
                if where == resource and event.version == number:
                    return event
            last = first - 1
        return None


def _respond(exchange: Exchange, parameters: Iterable[dict[str, Any]]) -> Response:
    body = msgspec.json.encode({"resourceType": "Parameters", "parameter": list(parameters)})
    return exchange.respond(Answer(200, body))
