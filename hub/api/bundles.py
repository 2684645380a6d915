"""`POST` to the base: batches and transactions. https://hl7.org/fhir/R4/http.html#transaction."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.answers import deleted
from hub.api.calls import note
from hub.api.conditional import Conditional
from hub.api.entries import ORDER, Bundle, Entry, bundle, refusal, told_at
from hub.api.entry_needs import demand_all, demand_entry
from hub.api.exchange import Answer, Exchange, Prefer
from hub.api.history import Histories
from hub.api.interactions import Interactions
from hub.api.outcome import failure, outcome
from hub.api.pages import bundle as written
from hub.api.parameters import without
from hub.api.patching import LARGE
from hub.api.resources import version_number
from hub.api.search import Searches
from hub.api.subset import subset
from hub.api.topics import TopicResources, for_topics
from hub.api.transactions import Row, Transactions, key_of
from hub.errors import HubError, Refused
from hub.ingest.strict import parse
from hub.instants import instant
from hub.intent import Key
from hub.write import Events
from subscriptions.audit import Kind
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.versions.instant import write

#: Entries of a batch that are done at once.
AT_ONCE = 16

#: What writes under an id that the Bundle names.
_WRITING = ("PUT", "PATCH", "DELETE")


class _Said(TypedDict):
    """What a client says beside what it writes."""

    expected: str
    events: Events


class Bundles:
    """
    Batches and transactions at one FHIR base.

    base: Without a slash at its end.
    topics: Where they are read as Basic; None elsewhere.
    most_bytes, most_nesting, most_entries: Of a Bundle.
    """

    def __init__(
        self,
        interactions: Interactions,
        conditional: Conditional,
        searches: Searches,
        histories: Histories,
        transactions: Transactions,
        base: str,
        topics: TopicResources | None,
        *,
        most_bytes: int,
        most_nesting: int,
        most_entries: int,
    ) -> None:
        self._interactions = interactions
        self._conditional = conditional
        self._searches = searches
        self._histories = histories
        self._transactions = transactions
        self._base = base
        self._topics = topics
        self._most_bytes = most_bytes
        self._most_nesting = most_nesting
        self._most_entries = most_entries

    async def post(self, request: Request) -> Response:
        exchange = Exchange(request)
        exchange.without_parameters()
        idempotency_key, events = exchange.idempotency_key, exchange.events
        body = await exchange.body(self._most_bytes)
        large = len(body) > LARGE
        found = await asyncio.to_thread(self._read, body, events) if large else self._read(body, events)
        exchange.charge(len(found.entries) - 1)
        if self._topics:
            found = await _with_topics(found, self._topics)
        if found.type == "batch":
            if idempotency_key:
                text = "Idempotency-Key is for a transaction or a single create; in a batch use ifNoneExist."
                raise Refused.because(400, IssueCode.NOT_SUPPORTED, text)
            entries = await self._batch(found, exchange)
        else:
            key = key_of(self._base, exchange.client, idempotency_key, body, events) if idempotency_key else None
            entries = await self._transaction(found, exchange, key)
        return exchange.respond(Answer(200, written(f"{found.type}-response", entries, ())))

    def _read(self, body: bytes, events: Events) -> Bundle:
        parsed = parse(body, max_nesting=self._most_nesting)
        found = bundle(
            parsed,
            body,
            self._interactions.version,
            most_entries=self._most_entries,
            most_nesting=self._most_nesting,
            base=self._base,
        )
        entries = [replace(each, events=events) if isinstance(each, Entry) else each for each in found.entries]
        return Bundle(found.type, entries) if events else found

    async def _batch(self, found: Bundle, exchange: Exchange) -> list[dict[str, Any]]:
        """Each entry on its own. Those of one verb are done together, but those about one resource one by one."""
        answers: dict[int, dict[str, Any]] = {
            index: _refused(entry) for index, entry in enumerate(found.entries) if not isinstance(entry, Entry)
        }
        places = asyncio.Semaphore(AT_ONCE)

        async def do(entries: list[Entry]) -> None:
            async with places:
                for entry in entries:
                    answers[entry.index] = await self._on_its_own(entry, exchange)

        for method in ORDER:
            lanes: dict[object, list[Entry]] = {}
            for entry in found.entries:
                if isinstance(entry, Entry) and entry.method == method:
                    lanes.setdefault((entry.type, entry.id) if entry.id else entry.index, []).append(entry)
            async with asyncio.TaskGroup() as group:
                for lane in lanes.values():
                    group.create_task(do(lane))
        return [answers[index] for index in range(len(found.entries))]

    async def _on_its_own(self, entry: Entry, exchange: Exchange) -> dict[str, Any]:
        try:
            demand_entry(exchange.caller, entry)
            if entry.method == "GET":
                answer = await self._get(entry, exchange)
                note(exchange, Kind.READ if entry.id else Kind.SEARCHED, _place(entry))
                return self._written(replace(answer, location=""), Prefer.REPRESENTATION)
            answer = await self._write(entry, exchange.caller)
            return self._written(answer, exchange.preferred(Prefer.MINIMAL))
        except (HubError, Rejected) as error:
            if isinstance(error, Refused) and error.status == HTTPStatus.FORBIDDEN:
                note(exchange, Kind.REFUSED, "")
            return _refused(error)

    async def _write(self, entry: Entry, by: Caller) -> Answer:
        said = _Said(expected=entry.expected, events=entry.events)
        type_ = self._interactions.known(entry.type)
        if entry.patch and entry.id:
            return await self._conditional.patching.patch(entry.patch, type_, entry.id, client=by.name, **said)
        if entry.patch:
            return await self._conditional.patch(entry.patch, type_, entry.query, by=by, **said)
        if entry.draft is None and entry.id:
            return await self._interactions.delete(type_, entry.id, client=by.name, **said)
        if entry.draft is None:
            return await self._conditional.delete(type_, entry.query, by=by, **said)
        if entry.method == "PUT" and entry.id:
            return await self._interactions.update(entry.draft, entry.id, client=by.name, **said)
        if entry.method == "PUT":
            return await self._conditional.update(entry.draft, entry.query, by=by, **said)
        return await self._interactions.create(entry.draft, by=by, condition=entry.if_none_exist, events=entry.events)

    async def _get(self, entry: Entry, exchange: Exchange) -> Answer:
        by = exchange.caller
        if entry.history and not entry.id:
            return await self._histories.of_all(entry.type, entry.query)
        if not entry.id:
            asked = exchange.lifted(entry.query, entry.type, veiled=True)
            if entry.topic and self._topics:
                return await self._topics.found(asked, by)
            return await self._searches.answer(entry.type, asked, by)
        if entry.history and not entry.number:
            return await self._histories.answer(entry.type, entry.id, entry.query)
        wanted, rest = subset(entry.query, entry.type, self._interactions.version)
        without(rest, "`_summary` or `_elements`")
        number = version_number(entry.number) if entry.number else None
        if entry.topic and self._topics:
            answer = await self._topics.found_by(entry.id, number)
        else:
            answer = await self._interactions.read(entry.type, entry.id, number=number)
        if entry.known.covers(answer.version, answer.at):
            return replace(answer, status=304, body=b"")
        return replace(answer, body=wanted.of(answer.body))

    async def _transaction(self, found: Bundle, exchange: Exchange, key: Key | None) -> list[dict[str, Any]]:
        demand_all(exchange.caller, [entry for entry in found.entries if isinstance(entry, Entry)])
        rows = await self._transactions.answered(key) if key else None
        if rows is None:
            if error := refusal(found):
                raise error
            entries = [entry for entry in found.entries if isinstance(entry, Entry)]
            await self._check_gets(entries, exchange)
            rows = await self._transactions.run(entries, by=exchange.caller, key=key)
        prefer = exchange.preferred(Prefer.MINIMAL)
        answers = {row.index: await self._row(row, prefer) for row in rows}
        for entry in found.entries:
            if isinstance(entry, Entry) and entry.method == "GET":
                answers[entry.index] = await self._on_its_own(entry, exchange)
        return [answers[index] for index in range(len(found.entries))]

    async def _check_gets(self, entries: Sequence[Entry], exchange: Exchange) -> None:
        """Refuse a transaction after which a GET would fail, as far as its own writes decide it."""
        writes = {(entry.type, entry.id): entry.method for entry in entries if entry.method in _WRITING}
        for entry in entries:
            if entry.method == "GET":
                try:
                    await self._check_get(entry, writes.get((entry.type, entry.id), ""), exchange)
                except (Refused, Rejected) as error:
                    raise told_at(f"{entry.expression}.request.url", error) from None

    async def _check_get(self, entry: Entry, write: str, exchange: Exchange) -> None:
        """
        Raise what a GET would raise after a transaction.

        Args:
            write: PUT, PATCH or DELETE, if the transaction does that to the same resource; else empty.
        """
        made = 0
        if write:
            resource = self._interactions.resource(entry.type, entry.id)
            made = await self._interactions.next_version(resource, by_delete=write == "DELETE")
        if made and not entry.query and (not entry.history or entry.number == str(made)):
            if write == "DELETE":
                raise deleted(f"{entry.type}/{entry.id}" + (f"/_history/{made}" if entry.number else ""), made)
            return
        try:
            await self._get(entry, exchange)
        except Refused as refused:
            begins = write == "PUT" and entry.history and not entry.number  # the history, with this PUT
            if not (begins and refused.status == 404):
                raise

    async def _row(self, row: Row, prefer: Prefer) -> dict[str, Any]:
        """The answer to an entry of a transaction."""
        location = f"{row.type}/{row.id}/_history/{row.version}" if row.status != 204 else ""
        body = b""
        if prefer is Prefer.REPRESENTATION and location:
            with suppress(Refused):  # it may have gone since, when this is a repeated answer
                body = (await self._interactions.read(row.type, row.id, number=row.version)).body
        return self._written(Answer(row.status, body, location, row.version, row.at), prefer)

    def _written(self, answer: Answer, prefer: Prefer) -> dict[str, Any]:
        """An entry of the answer; a write's says where the version is."""
        response: dict[str, Any] = {"status": _status(answer.status)}
        if answer.location:
            response["location"] = f"{self._base}/{answer.location}"
        if answer.version:
            response["etag"] = answer.etag
        if answer.at:
            response["lastModified"] = write(instant(answer.at))
        if prefer is Prefer.OUTCOME and answer.location:
            issue = Issue(IssueCode.INFORMATIONAL, f"{answer.location} is stored.")
            response["outcome"] = msgspec.Raw(outcome(issue, severity="information"))
        if prefer is Prefer.REPRESENTATION and answer.body:
            return {"resource": msgspec.Raw(answer.body), "response": response}
        return {"response": response}


async def _with_topics(found: Bundle, topics: TopicResources) -> Bundle:
    """The same, with the entries marked that read topics."""
    if not any(isinstance(entry, Entry) and entry.method == "GET" and entry.type == "Basic" for entry in found.entries):
        return found
    await topics.topics.refresh()
    return Bundle(found.type, [_with_topic(entry, topics) for entry in found.entries])


def _with_topic(entry: Entry | Refused | Rejected, topics: TopicResources) -> Entry | Refused | Rejected:
    if not isinstance(entry, Entry) or entry.method != "GET" or entry.type != "Basic":
        return entry
    if entry.history and not entry.number:  # topics have none
        return entry
    is_topic = topics.topics.named(entry.id) is not None if entry.id else for_topics(entry.query)
    return replace(entry, topic=is_topic)


def _place(entry: Entry) -> str:
    """What an entry asks for, as the audit calls it: nothing of a search's parameters."""
    if not entry.id:
        return f"type/{entry.type}"
    return f"{entry.type}/{entry.id}" + (f"/_history/{entry.number}" if entry.number else "")


def _refused(error: Exception) -> dict[str, Any]:
    """An entry that was not done."""
    status, issues, headers = failure(error)
    response: dict[str, Any] = {"status": _status(status)}
    if "ETag" in headers:
        response["etag"] = headers["ETag"]
    return {"response": {**response, "outcome": msgspec.Raw(outcome(*issues))}}


def _status(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
