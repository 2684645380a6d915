"""
`Subscription/$explain`: why a change concerns a Subscription, or not. Nothing is stored, nothing is sent.

Of a Subscription and a resource that are given, or of a Subscription and a version of a resource that the hub holds.
The operation is this hub's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api import documentation
from hub.api.exchange import Answer, Exchange
from hub.api.routes import Route
from hub.api.subscriptions import Subscriptions
from hub.errors import Refused
from hub.ingest.strict import parse
from hub.keys import ResourceId
from hub.membership import Member
from hub.outbox import Outboxes
from hub.store import Store, instant
from hub.turn import OwedEvent
from hub.write import Events
from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction, IssueCode
from subscriptions.errors import EvaluationError
from subscriptions.explanation import Explanation, FilterExplanation, explain
from subscriptions.search.asking import Context
from subscriptions.search.held import Held
from subscriptions.subscription import Style, Subscription
from subscriptions.versions.forms import FORMS

#: Events that are looked through at once.
CHUNK = 1_000

_RESOURCES = ("subscription", "resource", "previous")
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


@dataclass(frozen=True)
class Explaining:
    """The operation at one FHIR base."""

    subscriptions: Subscriptions
    store: Store
    outboxes: Outboxes
    context: Context

    def routes(self) -> Iterator[Route]:
        yield Route("POST", "/Subscription/$explain", self.of_given, documentation.EXPLAIN)
        yield Route("POST", "/Subscription/{id}/$explain", self.of_one, documentation.EXPLAIN_ONE)

    async def of_given(self, request: Request) -> Response:
        """Of a Subscription that need not exist, and a change that need not have happened."""
        exchange = Exchange(request)
        given = await self._given(exchange)
        if "subscription" not in given:
            raise _missing("subscription")
        s = self.subscriptions
        wanted = self._wanted(given["subscription"], s.now(), s.admission.legacy)
        change = _hypothetical(given, s.version, s.now(), exchange.events)
        return _respond(exchange, _verdict(await self._explained(wanted, change)))

    async def of_one(self, request: Request) -> Response:
        """Of a Subscription here, and a change that happened, by `reference`, or one that need not have."""
        exchange = Exchange(request)
        given = await self._given(exchange)
        s = self.subscriptions
        member = await s.member(request.path_params["id"])
        state = member.state
        wanted = self._wanted(msgspec.json.decode(state.resource), state.updated, state.style)
        if "reference" not in given:
            explanation = await self._explained(wanted, _hypothetical(given, s.version, s.now(), exchange.events))
            return _respond(exchange, _verdict(explanation))
        change = await self._happened(str(given["reference"]))
        event = await self._event(member, change)
        explanation = await self._explained(wanted, change)
        return _respond(exchange, [*_fact(member, event, change), *_verdict(explanation)])

    async def _given(self, exchange: Exchange) -> dict[str, Any]:
        """The Parameters resource of the request, by name."""
        s = self.subscriptions
        resource = parse(await exchange.body(s.max_body), max_nesting=s.max_nesting)
        parameters = resource.get("parameter")
        if resource.get("resourceType") != "Parameters" or not isinstance(parameters, list):
            raise Refused.because(400, IssueCode.STRUCTURE, "A Parameters resource is expected.", "Parameters")
        given: dict[str, Any] = {}
        for i, parameter in enumerate(parameters):
            name, value = _named(parameter, f"Parameters.parameter[{i}]")
            if name in given:
                text = f"`{name}` is given twice."
                raise Refused.because(400, IssueCode.INVALID, text, f"Parameters.parameter[{i}]")
            given[name] = value
        return given

    def _wanted(self, resource: Mapping[str, Any], at: int, legacy: Style) -> Subscription:
        """The Subscription as it is understood; `at` is when it was sent, in ms. Raises Rejected."""
        form = FORMS[self.subscriptions.version]
        return form.parse_subscription(resource, now=instant(at), allow_http=True, legacy=legacy)

    async def _explained(self, subscription: Subscription, change: Change) -> Explanation:
        topics = self.subscriptions.admission.topics
        await topics.refresh()
        topic = topics.of(subscription)
        if topic is None:
            text = f"The topic {subscription.topic} is not there."
            raise Refused.because(409, IssueCode.CONFLICT, text, "Subscription.criteria")
        held = Held(change.at)
        return await self.subscriptions.holdings.settled(
            held, lambda: explain(subscription, topic, change, self.context, held)
        )

    async def _happened(self, reference: str) -> Change:
        """The change that made a version of a resource; Refused with 404 when it isn't held."""
        parts = reference.split("/")
        if len(parts) != 4 or parts[2] != "_history" or not (parts[3].isascii() and parts[3].isdecimal()):
            text = "The reference names a version: `Immunization/1/_history/3`."
            raise Refused.because(400, IssueCode.VALUE, text, "reference")
        s, number = self.subscriptions, int(parts[3][:15])
        resource = ResourceId(s.tenant, s.version, parts[0], parts[1])
        made, before = await self.store.read(resource, number), await self.store.read(resource, number - 1)
        if made is None:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"{reference} is not held.", "reference")
        created = made.interaction is Interaction.CREATE
        return Change(
            version=s.version,
            interaction=made.interaction,
            type=parts[0],
            id=parts[1],
            version_id=number,
            at=made.at,
            resource=_decode(made.body) if made.body else None,
            previous=_decode(before.body) if before and before.body and not created else None,
            events=made.events,
        )

    async def _event(self, member: Member, change: Change) -> OwedEvent | None:
        """The event that a change became, looked for from the last one on."""
        last = member.state.events
        while last > 0:
            first = max(1, last - CHUNK + 1)
            for event in reversed(await self.outboxes.events(member.key, first, last)):
                if (event.type, event.id, event.version) == (change.type, change.id, change.version_id):
                    return event
            last = first - 1
        return None


def _named(parameter: object, place: str) -> tuple[str, Any]:
    """A parameter's name and what it gives."""
    match parameter:
        case {"name": str(name), "resource": dict(resource)} if name in _RESOURCES:
            return name, resource
        case {"name": "interaction", "valueCode": str(code)} if code in set(Interaction):
            return "interaction", Interaction(code)
        case {"name": "reference", "valueString": str(text)} | {"name": "reference", "valueUri": str(text)}:
            return "reference", text
        case {"name": "reference", "valueReference": {"reference": str(text)}}:
            return "reference", text
    text = (
        "A parameter is `subscription`, `resource` or `previous` with a resource, `interaction` with a valueCode of "
        "`create`, `update` or `delete`, or `reference` with the reference to a version."
    )
    raise Refused.because(400, IssueCode.INVALID, text, place)


def _hypothetical(given: Mapping[str, Any], version: FhirVersion, now: int, events: Events) -> Change:
    """
    The change that is given: what it is, where that isn't said, is seen from the versions that are there.

    Args:
        events: Those that the header `Event` names, as with a write.
    """
    resource, previous = given.get("resource"), given.get("previous")
    subject = resource or previous
    if subject is None:
        raise _missing("resource")
    seen = Interaction.UPDATE if resource and previous else Interaction.CREATE if resource else Interaction.DELETE
    interaction = given.get("interaction", seen)
    if interaction is Interaction.DELETE:
        resource, previous = None, previous or resource
    type_, id_ = str(subject.get("resourceType", "")), str(subject.get("id", "1"))
    return Change(version, interaction, type_, id_, 1, instant(now), resource, previous, events)


def _missing(name: str) -> Refused:
    return Refused.because(400, IssueCode.REQUIRED, f"The parameter `{name}` is missing.", "Parameters")


def _fact(member: Member, event: OwedEvent | None, change: Change) -> Iterator[dict[str, Any]]:
    """What happened, before what ought to have."""
    state = member.state
    if event is None:
        text = "The change made no event of this Subscription."
    elif event.number <= state.delivered:
        text = f"The change is event {event.number}, which needs no sending any more."
    else:
        text = f"The change is event {event.number}, which is still to be sent."
    number = [] if event is None else [{"name": "event-number", "valueString": str(event.number)}]
    parts = [{"name": "text", "valueString": text}, *number, {"name": "status", "valueCode": state.status.value}]
    if instant(state.updated) > change.at:
        text = "The Subscription was written after the change: it may have been another one then."
        parts.append({"name": "newer", "valueString": text})
    yield {"name": "fact", "part": parts}


def _verdict(explanation: Explanation) -> Iterator[dict[str, Any]]:
    yield {"name": "matched", "valueBoolean": explanation.matched}
    for tried in explanation.trigger.tried:
        parts = [{"name": "fired", "valueBoolean": tried.verdict is True}]
        parts.append({"name": "reason", "valueString": tried.reason})
        if isinstance(tried.verdict, EvaluationError):
            parts.append({"name": "error", "valueString": str(tried.verdict)})
        yield {"name": "trigger", "part": parts}
    if not explanation.type_allowed:
        text = "The filters name other resource types than that of the change, or the topic is not about it."
        yield {"name": "type", "valueString": text}
    for each in explanation.filters:
        yield {"name": "filter", "part": list(_filter(each))}


def _filter(explained: FilterExplanation) -> Iterator[dict[str, Any]]:
    yield {"name": "wanted", "valueString": explained.filter.text}
    if explained.error:
        yield {"name": "error", "valueString": explained.error}
    elif explained.matched is None:
        yield {"name": "text", "valueString": "It is for other resource types than that of the change."}
    else:
        yield {"name": "matched", "valueBoolean": explained.matched}
        for value in explained.values:
            found = msgspec.json.encode(value.data).decode()
            yield {"name": "found", "valueString": f"{value.path}: {found}" if value.path else found}


def _respond(exchange: Exchange, parameters: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> Response:
    body = msgspec.json.encode({"resourceType": "Parameters", "parameter": list(parameters)})
    return exchange.respond(Answer(200, body))
