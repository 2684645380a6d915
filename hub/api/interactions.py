"""
FHIR's interactions with one resource: https://hl7.org/fhir/R4/http.html#operations.

The same whether a request asks for one, or an entry of a batch.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence, Set
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from urllib.parse import urlencode
from uuid import uuid4

from hub.access import Caller
from hub.api.answers import answer_of, check_done, deleted, gone, stored, topic_here
from hub.api.exchange import Answer
from hub.api.idempotency import Idempotency
from hub.api.permits import demand, demand_beyond
from hub.errors import Refused, Unavailable
from hub.ingest import Draft, is_id, stored_types
from hub.instants import now_ms
from hub.keys import ResourceId
from hub.pressure import Pressure
from hub.search import Search, Upcoming
from hub.store import Store, Version
from hub.topics import Topics
from hub.transaction import PATIENCE, TransactionCoordinator
from hub.visibility import Visibility
from hub.write import NO_EVENTS, NOTHING, Events, Indexed, Lock, Put, PutResult, Write
from subscriptions.codes import FhirVersion, Interaction, IssueCode
from subscriptions.scopes import Permission
from subscriptions.search.asking import Context


class Interactions:
    """What can be done with single resources of one tenant and FHIR version."""

    def __init__(
        self,
        store: Store,
        search: Search,
        transactions: TransactionCoordinator,
        tenant: str,
        context: Context,
        pressure: Pressure,
        topics: Topics,
        visibility: Visibility,
    ) -> None:
        self.pressure = pressure
        self._topics = topics
        self._store = store
        self._search = search
        self._transactions = transactions
        self._tenant = tenant
        self.version = context.version
        self._bases = context.bases
        self._visibility = visibility
        self._types = stored_types(context.version)

    def known(self, type_: str) -> str:
        """The type, if the store holds it. Raises Refused: 404."""
        if type_ not in self._types:
            text = f"{type_[:60]} is not a resource type of FHIR {self.version.upper()} that is kept here."
            raise Refused.because(404, IssueCode.NOT_SUPPORTED, text)
        return type_

    def resource(self, type_: str, id_: str) -> ResourceId:
        """Where a resource is. Raises Refused: 404 for a type or an id that can't be."""
        if not is_id(id_):
            text = f"{id_[:80]} is not an id: 1 to 64 letters, digits, `-` and `.`."
            raise Refused.because(404, IssueCode.VALUE, text)
        return ResourceId(self._tenant, self.version, self.known(type_), id_)

    def holds(self, resource: ResourceId, type_: str = "") -> bool:
        """Whether a resource is of this tenant and FHIR version, and of a type, unless that is empty."""
        here = resource.tenant == self._tenant and resource.version is self.version
        return here and (not type_ or resource.type == type_)

    async def check_free(self, resource: ResourceId) -> None:
        """Raise Refused, 405, where a topic is, which R4 reads as a Basic: it is written elsewhere, and by others."""
        if resource.type != "Basic" or self.version is not FhirVersion.R4:
            return
        await self._topics.refresh()
        if self._topics.named(resource.id):
            raise topic_here()

    def indexed(self, draft: Draft, id_: str) -> tuple[Indexed, ...]:
        """All that a draft is found by under this id."""
        return draft.indexed(id_, self._bases)

    async def read(self, type_: str, id_: str, *, number: int | None = None) -> Answer:
        """The version in force, or the one of this number. What the caller may not see is not known here."""
        resource = self.resource(type_, id_)
        version = await self._store.read(resource, number)
        name = f"{type_}/{id_}" + (f"/_history/{number}" if number is not None else "")
        if version is None and await self._was_erased(resource, number):
            raise gone(name)
        if version is None or not all(await self._visibility.of([(resource, version)])):
            raise Refused.because(404, IssueCode.NOT_FOUND, f"{name} is not known here.")
        if version.interaction is Interaction.DELETE:
            raise deleted(name, version.number)
        answer = answer_of(resource, version)
        if version.body is None:
            raise Refused.because(410, IssueCode.NOT_FOUND, f"{name} is not kept any more.")
        return answer

    async def _was_erased(self, resource: ResourceId, number: int | None) -> bool:
        """Whether the caller may know that something was erased: whoever sees everything; else nobody can judge it."""
        if not self._visibility.full:
            return False
        (erased,) = await self._store.erased([resource])
        return erased > 0 and (number is None or 0 < number <= erased)

    async def create(
        self,
        draft: Draft,
        *,
        by: Caller,
        condition: list[tuple[str, str]] | None = None,
        idempotency: Idempotency | None = None,
        events: Events = NO_EVENTS,
    ) -> Answer:
        """
        Create a resource under a new id.

        Args:
            condition: A search; the resource is created if it finds nothing.
            idempotency: A repeat gets the first answer. With a condition it is the same request only if that is the
                same too.
        """
        await self.pressure.check()
        name = self.lock_name(draft.type, condition) if condition else ""
        id_ = self.new_id(draft.type, name, idempotency)
        if not condition:
            return await self.create_as(id_, draft, by.name, idempotency=idempotency, events=events)
        if idempotency and await self._store.read(self.resource(draft.type, id_)):
            return await self.create_as(id_, draft, by.name, idempotency=idempotency, events=events)
        async with self.locked(name) as lock:
            existing = await self.one_match(draft.type, condition, by=by)
            if existing is not None:
                return answer_of(*existing)
            return await self.create_as(id_, draft, by.name, idempotency=idempotency, events=events, lock=lock)

    async def update(
        self, draft: Draft, id_: str, *, client: str, expected: str = "", events: Events = NO_EVENTS
    ) -> Answer:
        """Create or update the resource of this id."""
        resource = self.resource(draft.type, id_)
        if draft.id != id_:
            reason = f"must be {id_}, as in the URL" + (f", not {draft.id}." if draft.id else "; it is missing.")
            raise Refused.because(400, IssueCode.INVALID, f"id {reason}", f"{draft.type}.id")
        await self.check_free(resource)
        await self.pressure.check()
        indexed = self.indexed(draft, id_)

        def write(at: int) -> Write:
            head, tail = draft.numbered(id_, at)
            return Write(resource, "update", at, head, tail, expected, client, indexed, events=events)

        write_, result = await self._put(write)
        await self.check_done(write_, result)
        return stored(write_, result)

    async def delete(
        self, type_: str, id_: str, *, client: str, expected: str = "", events: Events = NO_EVENTS
    ) -> Answer:
        """Delete a resource; nothing happens if it isn't there."""
        resource = self.resource(type_, id_)
        await self.check_free(resource)
        await self.pressure.check()
        write, result = await self._put(
            lambda at: Write(resource, "delete", at, expected=expected, publisher=client, events=events)
        )
        await self.check_done(write, result)
        return Answer(204, version=result.version)

    async def check_done(self, write: Write, result: PutResult) -> None:
        """Raise what a client is told of a write that was not done: of a version that it can't see, as of none."""
        number = bool(write.expected) and write.expected != NOTHING
        if number and result.outcome is Put.CONFLICT and not self._visibility.full:
            version = await self._store.read(write.resource)
            if version is not None and not all(await self._visibility.of([(write.resource, version)])):
                result = replace(result, version=0)
        check_done(write, result)

    async def one_match(
        self,
        type_: str,
        query: list[tuple[str, str]],
        *,
        by: Caller,
        without: Set[ResourceId] = frozenset(),
        upcoming: Sequence[Upcoming] = (),
    ) -> tuple[ResourceId, Version] | None:
        """
        The one resource that a condition finds; None for none.

        Args:
            without: What it does not find, though it is stored.
            upcoming: What it finds, though it is not stored yet.

        Raises:
            Refused: 412, when there are several, or too many to look at; 403, when `by` may not search for it.
        """
        demand(by, type_, Permission.SEARCH)
        compiled = await self._search.compiled(query, type_)
        demand_beyond(by, compiled)
        soon = await self._search.among(compiled, upcoming)
        page = await self._search.page(compiled, most=2, without=without)
        found = [*soon.found, *page.found]
        text = f"{type_}?{urlencode(query)}"
        if len(found) > 1:
            raise Refused.because(412, IssueCode.MULTIPLE_MATCHES, f"{text} finds several resources.")
        if page.following or page.unreadable or soon.unreadable:
            reason = f"{text} can't be answered here: there are too many {type_} to look at. Use an identifier."
            raise Refused.because(412, IssueCode.TOO_COSTLY, reason)
        return found[0] if found else None

    async def next_version(self, resource: ResourceId, *, by_delete: bool = False) -> int:
        """
        The number that the next version of a resource gets, another one if somebody else is quicker.

        Args:
            by_delete: Whether a delete makes it: 0 if it makes none, since nothing is there.
        """
        version = await self._store.read(resource)
        if by_delete and (version is None or version.interaction is Interaction.DELETE):
            return 0
        return version.number + 1 if version else 1

    def lock_name(self, type_: str, query: list[tuple[str, str]]) -> str:
        """The name of the lock on a conditional write."""
        return f"{self._tenant}/{self.version}/{type_}?{urlencode(sorted(query))}"

    @asynccontextmanager
    async def locked(self, name: str) -> AsyncIterator[Lock]:
        """Hold the lock of a conditional write, waiting for whoever has it."""
        lock = await self._transactions.lock(name)
        try:
            yield lock
        finally:
            with suppress(Unavailable):  # it runs out by itself
                await self._store.reservations.unlock(lock)

    def new_id(self, type_: str, lock_name: str = "", idempotency: Idempotency | None = None) -> str:
        """An id for a new resource, which lies where the lock of its conditional create lies."""
        for number in count():
            id_ = idempotency.id(number) if idempotency else str(uuid4())
            if not lock_name or self._store.reservations.lies_with(self.resource(type_, id_), lock_name):
                return id_
        raise AssertionError("unreachable")

    async def create_as(
        self,
        id_: str,
        draft: Draft,
        client: str,
        *,
        idempotency: Idempotency | None = None,
        events: Events = NO_EVENTS,
        lock: Lock | None = None,
    ) -> Answer:
        """
        Create a resource under a `new_id`.

        Args:
            lock: Of its conditional create, in whose partition the id lies.
        """
        resource = self.resource(draft.type, id_)
        fingerprint = idempotency.fingerprint if idempotency else ""
        indexed = self.indexed(draft, id_)

        def write(at: int) -> Write:
            head, tail = draft.numbered(id_, at)
            return Write(resource, "create", at, head, tail, "", client, indexed, fingerprint, lock=lock, events=events)

        write_, result = await self._put(write)
        check_done(write_, result)
        if result.outcome is Put.REPEATED:
            return await self._first(resource)
        return stored(write_, result)

    async def _first(self, resource: ResourceId) -> Answer:
        """The answer that a create got at first."""
        version = await self._store.read(resource, 1)
        if version is None:
            return Answer(201, location=f"{resource.type}/{resource.id}/_history/1", version=1)
        answer = answer_of(resource, version)
        return Answer(201, answer.body, answer.location, 1, answer.at)

    async def _put(self, write: Callable[[int], Write]) -> tuple[Write, PutResult]:
        """Do a write, made for the time of doing it; wait for transactions that have reserved its resource."""
        until = time.monotonic() + PATIENCE
        while True:
            done = write(now_ms())
            result = await self._store.put(done)
            if result.outcome is not Put.RESERVED:
                return done, result
            await self._transactions.outlast(done.resource, result.by, until)
