"""
`Subscription/$explain`: why a change concerns a Subscription, or not. Nothing is stored, nothing is sent.

Of a Subscription and a resource that are given, or of a Subscription and a version of a resource that the hub holds.
The operation is this hub's own.
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
from hub.ingest.validation import issues
from hub.keys import ResourceId
from hub.membership import Member
from hub.outbox import Outboxes
from hub.registered import Registered
from hub.store import instant
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
        yield {"name": "text", "valueString": self._text()}
        if self.event:
            yield {"name": "event-number", "valueString": str(self.event.number)}
        state = self.member.state
        yield {"name": "status", "valueCode": state.status.value}
        yield {"name": "status-means", "valueString": MEANS[state.status] if state.counting else PASSING}
        newer = dict(self._newer())
        for name, text in newer.items():
            yield {"name": name, "valueString": text}
        explained = self.event or state.counting  # else the status says why there is no event
        if not newer and not self.waits and explained and expected is not bool(self.event):
            text = (
                "That differs from what follows, which goes by what is in force now: when the change was matched, other"
                " resources or ValueSets that the filters look at were otherwise, or it was set aside, which the hub's"
                " log says."
            )
            yield {"name": "differs", "valueString": text}

    def _text(self) -> str:
        if self.event:
            return f"The change is event {self.event.number} of this Subscription: {self._sending(self.event.number)}."
        if self.waits:
            return "The change is not matched yet: it may still become an event of this Subscription."
        return "The change was matched and passed by: it made no event of this Subscription."

    def _sending(self, number: int) -> str:
        state = self.member.state
        if number <= state.delivered:
            skipped = ", or it was skipped when the Subscription became active again" if state.skipped_events else ""
            return f"it was sent{skipped}"
        match state.status:
            case SubscriptionStatus.ACTIVE:
                return "it is still to be sent"
            case SubscriptionStatus.REQUESTED:
                return "it is kept, and nothing is sent before the Subscription is active again"
            case _:
                return f"it is kept, but not sent, since the status is `{state.status}`"

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
        s = self.subscriptions
        # It may have been read from a hub, where its `end` has passed meanwhile.
        wanted = self._wanted(as_sent(given.resource("subscription")), 0, s.admission.legacy)
        return _respond(
            exchange, (await self._explained(exchange.caller, wanted, self._supposed(exchange, given))).parameters
        )

    async def of_one(self, request: Request) -> Response:
        """Of a Subscription here, and a change that happened, by `reference`, or one that need not have."""
        exchange, id_ = Exchange(request), request.path_params["id"]
        given = await self._given(exchange, OF_ONE)
        if "reference" in given.texts:
            if given.resources or len(given.texts) > 1:
                text = "The reference names a change that happened: nothing else can be given with it."
                raise Refused.because(400, IssueCode.INVALID, text, "reference")
            return _respond(exchange, await self._of_happened(exchange.caller, id_, given.texts["reference"]))
        member = await self.subscriptions.member(exchange.caller, id_)
        explanation = await self._explained(exchange.caller, self._in_force(member), self._supposed(exchange, given))
        return _respond(exchange, explanation.parameters)

    async def _of_happened(self, caller: Caller, id_: str, reference: str) -> list[dict[str, Any]]:
        """What became of a change, and why."""
        s = self.subscriptions
        happened = await self.past.change(reference, caller)
        change, resource = happened.change, happened.resource
        # In this order: what is matched while this is asked has its event by then.
        waits = await self.changes.waits(resource, change.version_id)
        member = await s.member(caller, id_)
        if resource.tenant != s.tenant and member.state.style is not Style.TOPIC:
            text = "Criteria that are a search are about the resources of their own tenant alone."
            raise Refused.because(409, IssueCode.BUSINESS_RULE, text, "reference")
        event = await self._event(member, resource, change.version_id)
        registered = await s.membership.registry.find(s.tenant, s.version, id_)
        wanted = self._in_force(member)
        try:
            explanation = await self._explained(caller, wanted, change, happened.held)
            expected, explained = explanation.matched, list(explanation.parameters)
        except Rejected as rejected:  # a ValueSet that the filters name may be another one by now
            no, why = {"name": "matched", "valueBoolean": False}, {"name": "error", "valueString": str(rejected)}
            expected, explained = False, [no, why]
        fact = Fact(change, member, waits, event, registered, s.admission.topics.published(wanted.topic))
        return [{"name": "fact", "part": list(fact.parts(expected=expected))}, *explained]

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
        self, caller: Caller, subscription: Subscription, change: Change, held: Held | None = None
    ) -> Explanation:
        topics = self.subscriptions.admission.topics
        await topics.refresh()
        topic = topics.of(subscription)
        if topic is None:
            text = f"The topic {subscription.topic} is not there."
            raise Refused.because(409, IssueCode.CONFLICT, text, self.subscriptions.form.topic_element)
        held, context = held or Held(change.at), topics.contexts[subscription.version]
        if lacking := Reach.of(subscription, topic, context).hidden(caller.rights):
            raise forbidden(" ".join(lacking))
        return await self.subscriptions.holdings.settled(
            held, lambda: explain(subscription, topic, change, context, held)
        )

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
