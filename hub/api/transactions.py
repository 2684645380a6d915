"""
A transaction Bundle: https://hl7.org/fhir/R4/http.html#trules.

Everything that can be wrong is found before anything is reserved: entries, duplicates, conditions, references.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import NAMESPACE_URL, uuid5

import msgspec

from hub.access import Caller
from hub.api.entries import Entry, doubles, told_at
from hub.api.idempotency import fingerprint_of
from hub.api.interactions import Interactions
from hub.api.patching import Patching, check_expected, persistently
from hub.api.resolution import Resolution, Step
from hub.errors import Overtaken, Refused, Unavailable
from hub.ingest import Draft
from hub.ingest.validation import MOST_ISSUES
from hub.instants import now_ms
from hub.intent import Blocked, Key
from hub.keys import ResourceId
from hub.store import Store, Version
from hub.transaction import TransactionCoordinator
from hub.write import Events, Lock, PutResult, Write
from subscriptions.codes import Interaction, IssueCode
from subscriptions.errors import Issue, Rejected


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of the answer to one entry. `version` is 0 for none; `at` in ms."""

    index: int
    status: int
    type: str
    id: str
    version: int
    at: int


_ROWS = msgspec.msgpack.Decoder(list[Row])


class Transactions:
    """Transaction Bundles at one FHIR base."""

    def __init__(
        self,
        interactions: Interactions,
        patching: Patching,
        store: Store,
        coordinator: TransactionCoordinator,
        base: str,
    ) -> None:
        self._interactions = interactions
        self._patching = patching
        self._store = store
        self._coordinator = coordinator
        self._base = base

    async def answered(self, key: Key) -> list[Row] | None:
        """What an earlier request with this key did."""
        answer = await self._coordinator.answered(key)
        return None if answer is None else _ROWS.decode(answer)

    async def run(self, entries: Sequence[Entry], *, by: Caller, key: Key | None) -> list[Row]:
        """
        Do all entries that write, or none; again, if somebody else was quicker with what a PATCH is about.

        Raises:
            Refused, Rejected: Something is wrong with an entry, named by `expression`.
            Unavailable: Redis did not confirm, or somebody else was in the way for too long.
        """
        writing = [entry for entry in entries if entry.method != "GET"]
        if writing:
            await self._interactions.pressure.check()
        if issues := [*_unsupported(writing), *doubles(writing)]:
            raise Rejected(*issues[:MOST_ISSUES])
        patching = [entry for entry in writing if entry.patch and not entry.expected]
        return await persistently(lambda: self._once(writing, by, key), again=bool(patching))

    async def _once(self, writing: Sequence[Entry], by: Caller, key: Key | None) -> list[Row]:
        await self._check_free(writing)
        writing = [await self._patched(entry) if entry.patch else entry for entry in writing]
        locks: dict[int, Lock] = {}
        try:
            found = await self._conditions(writing, locks, by)
            steps = [self._step(entry, found.get(entry.index), locks.get(entry.index)) for entry in writing]
            return await self._run(steps, by, key)
        finally:
            with suppress(Unavailable):  # they run out by themselves; those of reservations are the transaction's
                for lock in locks.values():
                    await self._store.reservations.unlock(lock)

    async def _check_free(self, writing: Sequence[Entry]) -> None:
        for entry in writing:
            if entry.id and entry.type == "Basic":
                try:
                    await self._interactions.check_free(self._target(entry, None))
                except Refused as refused:
                    raise told_at(entry.expression, refused) from None

    async def _patched(self, entry: Entry) -> Entry:
        """A PATCH as the update that it is of the version in force."""
        assert entry.patch  # noqa: S101 (what it is called for)
        try:
            held = await self._interactions.read(entry.type, entry.id)
            check_expected(entry.expected, held.version, f"{entry.type}/{entry.id}")
            made = await self._patching.made(entry.patch, held.body, entry.type)
        except (Refused, Rejected) as error:
            raise told_at(entry.expression, error) from None
        if made.id != entry.id:
            text = f"A patch can't change the id, which is {entry.id}."
            raise Refused.because(400, IssueCode.INVALID, text, entry.expression)
        return replace(entry, draft=made, expected=str(held.version))

    async def _conditions(
        self, entries: Sequence[Entry], locks: dict[int, Lock], by: Caller
    ) -> dict[int, tuple[ResourceId, Version]]:
        """
        What conditional creates have found; what the same transaction deletes is not there for them any more.

        The locks of the others are held; taken in one order by all.
        """
        deleted = {self._target(entry, None) for entry in entries if entry.method == "DELETE"}
        conditional = {
            self._interactions.lock_name(entry.type, entry.if_none_exist): entry
            for entry in entries
            if entry.if_none_exist is not None
        }
        found: dict[int, tuple[ResourceId, Version]] = {}
        for name, entry in sorted(conditional.items()):
            expression = f"{entry.expression}.request.ifNoneExist"
            try:
                lock = locks[entry.index] = await self._coordinator.lock(name)
                match = await self._interactions.one_match(
                    entry.type, entry.if_none_exist or [], by=by, without=deleted
                )
            except (Refused, Rejected) as error:
                raise told_at(expression, error) from None
            if match:
                found[entry.index] = match
                del locks[entry.index]
                await self._store.reservations.unlock(lock)
        return found

    async def _run(self, steps: Sequence[Step], by: Caller, key: Key | None) -> list[Row]:
        at = now_ms()
        resolution = Resolution(self._interactions, steps, self._base, at, by)
        drafts = await resolution.drafts()
        writes = {
            step.entry.index: self._write(step, drafts.get(step.entry.index), by.name, at)
            for step in steps
            if not step.found
        }
        rows = [_found(step.entry.index, step.resource, step.found) for step in steps if step.found]

        def answer(results: Sequence[PutResult]) -> bytes:
            done = [_row(index, writes[index], result) for index, result in zip(writes, results, strict=True)]
            if any(row.version != resolution.promised.get(row.index, row.version) for row in done):
                raise Unavailable("somebody else made a version that a reference names")
            return msgspec.msgpack.encode([*rows, *done])

        try:
            return _ROWS.decode(await self._coordinator.run(list(writes.values()), answer, key=key))
        except Blocked as blocked:
            index = next(index for index, write in writes.items() if write.resource == blocked.write.resource)
            try:
                await self._interactions.check_done(blocked.write, blocked.result)
            except Overtaken as overtaken:
                told = told_at(f"Bundle.entry[{index}]", overtaken)
                again = any(step.entry.index == index and step.entry.patch for step in steps)
                raise (Overtaken(told.status, *told.issues) if again else told) from None
            except Refused as refused:
                raise told_at(f"Bundle.entry[{index}]", refused) from None
            raise

    def _write(self, step: Step, draft: Draft | None, client: str, at: int) -> Write:
        entry, resource = step.entry, step.resource
        if draft is None:
            return Write(resource, "delete", at, expected=entry.expected, publisher=client, events=entry.events)
        head, tail = draft.numbered(resource.id, at)
        method = "create" if entry.method == "POST" else "update"
        try:
            indexed = self._interactions.indexed(draft, resource.id)
        except Rejected as rejected:
            raise told_at(f"{entry.expression}.resource", rejected) from None
        return Write(
            resource, method, at, head, tail, entry.expected, client, indexed, lock=step.lock, events=entry.events
        )

    def _step(self, entry: Entry, found: tuple[ResourceId, Version] | None, lock: Lock | None) -> Step:
        return Step(entry, *found) if found else Step(entry, self._target(entry, lock), lock=lock)

    def _target(self, entry: Entry, lock: Lock | None) -> ResourceId:
        """What an entry writes; for a create, under a new id."""
        try:
            if entry.id:
                return self._interactions.resource(entry.type, entry.id)
            return self._interactions.resource(
                entry.type, self._interactions.new_id(entry.type, lock.name if lock else "")
            )
        except Refused as refused:
            raise told_at(f"{entry.expression}.request.url", refused) from None


def _unsupported(entries: Sequence[Entry]) -> Iterator[Issue]:
    """Entries that a transaction does not do, though a batch does."""
    for entry in entries:
        if entry.method != "POST" and not entry.id:
            text = f"A {entry.method} by a search is not supported in a transaction: name the resource, or use a batch."
            yield Issue(IssueCode.NOT_SUPPORTED, text, f"{entry.expression}.request.url")


def key_of(base: str, client: str, key: str, body: bytes, events: Events) -> Key:
    """What makes a repeated transaction the same one: base, client and key; and the fingerprint."""
    return Key(str(uuid5(NAMESPACE_URL, f"{base} {client} {key}")), fingerprint_of(body, events))


def _found(index: int, resource: ResourceId, version: Version) -> Row:
    return Row(index, 200, resource.type, resource.id, version.number, round(version.at.timestamp() * 1000))


def _row(index: int, write: Write, result: PutResult) -> Row:
    written = 201 if result.interaction is Interaction.CREATE else 200
    status = 204 if write.method == "delete" else written
    return Row(index, status, write.resource.type, write.resource.id, result.version, write.at)
