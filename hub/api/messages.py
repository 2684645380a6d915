"""
`$process-message`: what a message carries is stored, and its event named along with it.

https://hl7.org/fhir/R4/messageheader-operation-process-message.html. The answer comes at once: nobody is called back.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api.entries import Bundle as Entries
from hub.api.entries import Entry, draft_of, opened, refusal
from hub.api.entry_needs import demand_all
from hub.api.exchange import Answer, Exchange
from hub.api.given import named
from hub.api.interactions import Interactions
from hub.api.outcome import outcome
from hub.api.patching import LARGE
from hub.api.transactions import Row, Transactions, key_of
from hub.errors import Refused
from hub.ingest.strict import parse
from hub.instants import instant
from hub.intent import Key
from hub.write import Events
from subscriptions.change import Resource
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.versions.instant import write

HEADER = "Bundle.entry[0].resource"


class _Parameters(msgspec.Struct):
    """Parameters, each with the bytes of its members."""

    parameter: list[dict[str, msgspec.Raw]] = []


_PARAMETERS = msgspec.json.Decoder(_Parameters)


@dataclass(frozen=True, slots=True)
class Message:
    """
    A message, understood.

    id: The Bundle's; empty when it has none.
    body: The Bundle's JSON.
    header: The MessageHeader.
    entries: Its other resources, each with the events that it is about.
    """

    id: str
    body: bytes
    header: Resource
    entries: list[Entry]

    @property
    def key(self) -> str:
        """What makes a repeated message the same one; empty when it says nothing of the kind."""
        return f"{self.id} {self.header['id']}" if self.id else ""


class Messages:
    """
    Messages to one FHIR base.

    base: Without a slash at its end.
    most_bytes, most_nesting, most_entries: Of a Bundle.
    """

    def __init__(
        self,
        interactions: Interactions,
        transactions: Transactions,
        base: str,
        *,
        most_bytes: int,
        most_nesting: int,
        most_entries: int,
    ) -> None:
        self._interactions = interactions
        self._transactions = transactions
        self._base = base
        self._most_bytes = most_bytes
        self._most_nesting = most_nesting
        self._most_entries = most_entries

    async def post(self, request: Request) -> Response:
        """Store what a message carries, all of it or nothing."""
        exchange = Exchange(request)
        for name, value in exchange.query:
            if (name, value) != ("async", "false"):
                raise _unsupported(name)
        idempotency_key, events = exchange.idempotency_key, exchange.events
        body = await exchange.body(self._most_bytes)
        large = len(body) > LARGE
        message = await asyncio.to_thread(self._read, body, events) if large else self._read(body, events)
        exchange.charge(len(message.entries) - 1)
        demand_all(exchange.caller, message.entries)
        key = self._key(exchange, idempotency_key, message)
        rows = await self._transactions.answered(key) if key else None
        if rows is None:
            rows = await self._transactions.run(message.entries, by=exchange.caller, key=key)
        return exchange.respond(Answer(200, self._answer(message, rows, key)))

    def _key(self, exchange: Exchange, idempotency_key: str, message: Message) -> Key | None:
        if idempotency_key:
            return key_of(self._base, exchange.client, idempotency_key, message.body, exchange.events)
        if not message.key:
            return None
        base = f"{self._base}/$process-message"
        found = key_of(base, exchange.client, message.key, message.body, exchange.events)
        return replace(found, name="Bundle.id with this MessageHeader.id")

    def _read(self, body: bytes, events: Events) -> Message:
        parsed = parse(body, max_nesting=self._most_nesting)
        if parsed.get("resourceType") == "Parameters":
            parsed, body = _content(parsed, body)
        if parsed.get("resourceType") != "Bundle" or parsed.get("type") != "message":
            text = "$process-message takes a Bundle of type message, alone or as the parameter `content`."
            raise Refused.because(400, IssueCode.INVALID, text, "Bundle.type")
        version = self._interactions.version
        entries = list(opened(parsed, body, version, most_entries=self._most_entries))
        if len(entries) < 2:
            text = "A message has a MessageHeader as its first entry, and others: what happened, and to what."
            raise Refused.because(400, IssueCode.REQUIRED, text, "Bundle.entry")
        header = draft_of(*entries[0], version, "Bundle.entry[0]", type_="MessageHeader").resource
        coding = _event(header)
        found = Entries("message", [self._entry(index, *each) for index, each in enumerate(entries) if index])
        if error := refusal(found):
            raise error
        carried = [each for each in found.entries if isinstance(each, Entry)]
        about = self._about(header, carried)
        of_event = [replace(each, events=events | {coding} if each.index in about else events) for each in carried]
        return Message(parsed.get("id", ""), body, header, of_event)

    def _entry(self, index: int, entry: dict[str, Any], raw: msgspec.Raw | None) -> Entry | Refused | Rejected:
        """A write of what an entry carries: of its id if it has one, else of a new one."""
        expression = f"Bundle.entry[{index}]"
        try:
            for member in ("request", "response", "search"):
                if member in entry:
                    text = f"An entry of a message has no {member}: leave it out."
                    raise Refused.because(400, IssueCode.INVALID, text, f"{expression}.{member}")
            draft = draft_of(entry, raw, self._interactions.version, expression)
            try:
                self._interactions.known(draft.type)
            except Refused as refused:
                raise Refused.because(400, IssueCode.NOT_SUPPORTED, str(refused), f"{expression}.resource") from None
        except (Refused, Rejected) as error:
            return error
        return Entry(
            index=index,
            method="PUT" if draft.id else "POST",
            type=draft.type,
            id=draft.id,
            history=False,
            number="",
            query=[],
            full_url=entry.get("fullUrl", ""),
            draft=draft,
            expected="",
        )

    def _about(self, header: Resource, entries: Sequence[Entry]) -> set[int]:
        """The entries that the event is about: those in focus, or all of them if none is named."""
        if not header.get("focus"):
            return {entry.index for entry in entries}
        found: set[int] = set()
        for i, focus in enumerate(header["focus"]):
            reference = focus.get("reference", "").partition("/_history/")[0]
            meant = {entry.index for entry in entries if reference and reference in self._names(entry)}
            if not meant:
                text = f"{reference[:200] or 'A focus without a reference'} is not in the message."
                raise Refused.because(400, IssueCode.NOT_FOUND, text, f"{HEADER}.focus[{i}]")
            found |= meant
        return found

    def _names(self, entry: Entry) -> Iterator[str]:
        """What a reference to an entry may be."""
        if entry.full_url:
            yield entry.full_url
        if entry.id:
            yield f"{entry.type}/{entry.id}"
            yield f"{self._base}/{entry.type}/{entry.id}"

    def _answer(self, message: Message, rows: Sequence[Row], key: Key | None) -> bytes:
        """The message that says what became of a message; the same again for a repeat."""
        own = UUID(key.id) if key else uuid4()
        id_, details = uuid5(own, "MessageHeader"), f"urn:uuid:{uuid5(own, 'OperationOutcome')}"
        stored = (
            Issue(IssueCode.INFORMATIONAL, f"{row.type}/{row.id}/_history/{row.version} is stored.")
            for row in sorted(rows, key=lambda row: row.index)
        )
        header = {
            "resourceType": "MessageHeader",
            "id": str(id_),
            "eventCoding": message.header["eventCoding"],
            "source": {"endpoint": f"{self._base}/$process-message"},
            "response": {"identifier": message.header["id"], "code": "ok", "details": {"reference": details}},
        }
        return msgspec.json.encode(
            {
                "resourceType": "Bundle",
                "id": str(uuid5(own, "Bundle")),
                "type": "message",
                "timestamp": write(instant(rows[0].at)),
                "entry": [
                    {"fullUrl": f"urn:uuid:{id_}", "resource": header},
                    {"fullUrl": details, "resource": msgspec.Raw(outcome(*stored, severity="information"))},
                ],
            }
        )


def _content(parameters: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """The message that Parameters carry, and its JSON. Refused: there is none, or something that is not heeded."""
    found: tuple[dict[str, Any], bytes] | None = None
    given = list(named(parameters.get("parameter", [])))
    for (where, name, parameter), raw in zip(given, _PARAMETERS.decode(body).parameter, strict=True):
        match parameter:
            case {"resource": dict(content)} if name == "content":
                if found:
                    raise Refused.because(400, IssueCode.INVALID, "`content` is given twice.", where)
                found = content, bytes(raw["resource"])
            case {"valueBoolean": False} if name == "async":
                continue
            case _:
                raise _unsupported(name, where)
    if found is None:
        text = "The parameter `content` is missing: the message."
        raise Refused.because(400, IssueCode.REQUIRED, text, "Parameters.parameter")
    return found


def _unsupported(name: str, where: str = "") -> Refused:
    text = f"`{name}`, as it is given here, is not supported: the answer comes at once, and nobody is called back."
    return Refused.because(400, IssueCode.NOT_SUPPORTED, text, where)


def _event(header: Resource) -> tuple[str, str]:
    """The coding of a message's event. Refused: it has none, or it can't be answered."""
    if not header.get("id"):
        text = "A MessageHeader has an id: the answer names it."
        raise Refused.because(400, IssueCode.REQUIRED, text, f"{HEADER}.id")
    if "eventCoding" not in header:
        text = "The event is named by a Coding: an eventUri is what no topic could mean."
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, f"{HEADER}.event")
    coding = header["eventCoding"]
    system, code = coding.get("system", ""), coding.get("code", "")
    if not system or not code or "|" in system or any(char.isspace() and char != " " for char in system + code):
        text = "The event's Coding has a system and a code, each on one line: a topic names both."
        raise Refused.because(400, IssueCode.REQUIRED, text, f"{HEADER}.event")
    return system, code
