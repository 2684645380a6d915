"""
A transaction Bundle: https://hl7.org/fhir/R4/http.html#trules.

Everything that can be wrong is found before anything is reserved: entries, duplicates, conditions, references.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from hub.api.entries import Entry, doubles
from hub.api.interactions import Interactions, conditions
from hub.errors import Refused, Unavailable
from hub.ingest import Draft
from hub.ingest.references import Link, Path, links, replaced
from hub.ingest.validation import MOST_ISSUES
from hub.keys import ResourceId
from hub.store import Lock, PutResult, Store, Version, Write, now_ms
from hub.transaction import Blocked, Key, TransactionCoordinator
from subscriptions.codes import Interaction, IssueCode
from subscriptions.errors import Rejected

_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)
_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_REST = re.compile(r"(.*/)[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}", re.DOTALL)


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
        self, interactions: Interactions, store: Store, coordinator: TransactionCoordinator, base: str
    ) -> None:
        self._interactions = interactions
        self._store = store
        self._coordinator = coordinator
        self._base = base

    async def answered(self, key: Key) -> list[Row] | None:
        """What an earlier request with this key did."""
        answer = await self._coordinator.answered(key)
        return None if answer is None else _ROWS.decode(answer)

    async def run(self, entries: Sequence[Entry], *, client: str, key: Key | None) -> list[Row]:
        """
        Do all entries that write, or none.

        Raises:
            Refused, Rejected: Something is wrong with an entry, named by `expression`.
            Unavailable: Redis did not confirm, or somebody else was in the way for too long.
        """
        writing = [entry for entry in entries if entry.method != "GET"]
        if issues := list(doubles(writing)):
            raise Rejected(*issues[:MOST_ISSUES])
        locks: dict[int, Lock] = {}
        try:
            existing = await self._conditions(writing, locks)
            return await self._run(writing, existing, locks, client, key)
        finally:
            with suppress(Unavailable):  # they run out by themselves; those of reservations are the transaction's
                for lock in locks.values():
                    await self._store.unlock(lock)

    async def _conditions(
        self, entries: Sequence[Entry], locks: dict[int, Lock]
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
                match = await self._interactions.one_match(entry.type, entry.if_none_exist or [], without=deleted)
            except (Refused, Rejected) as error:
                raise told_at(expression, error) from None
            if match:
                found[entry.index] = match
                del locks[entry.index]
                await self._store.unlock(lock)
        return found

    async def _run(
        self,
        entries: Sequence[Entry],
        existing: dict[int, tuple[ResourceId, Version]],
        locks: dict[int, Lock],
        client: str,
        key: Key | None,
    ) -> list[Row]:
        targets: dict[int, ResourceId] = {index: resource for index, (resource, _) in existing.items()}
        for entry in entries:
            if entry.index not in targets:
                targets[entry.index] = self._target(entry, locks.get(entry.index))
        resolved = await self._resolved(entries, targets)
        at = now_ms()
        writes = {
            i: _write(entry, targets[i], resolved.get(i), locks.get(i), client, at)
            for entry in entries
            if (i := entry.index) not in existing
        }
        rows = [Row(i, 200, r.type, r.id, v.number, round(v.at.timestamp() * 1000)) for i, (r, v) in existing.items()]

        def answer(results: Sequence[PutResult]) -> bytes:
            done = (_row(index, writes[index], result) for index, result in zip(writes, results, strict=True))
            return msgspec.msgpack.encode([*rows, *done])

        try:
            return _ROWS.decode(await self._coordinator.run(list(writes.values()), answer, key=key))
        except Blocked as blocked:
            index = next(index for index, write in writes.items() if write.resource == blocked.write.resource)
            try:
                self._interactions.check(blocked.write, blocked.result)
            except Refused as refused:
                raise told_at(f"Bundle.entry[{index}]", refused) from None
            raise

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

    async def _resolved(self, entries: Sequence[Entry], targets: dict[int, ResourceId]) -> dict[int, Draft]:
        """The resources, with what points to other entries pointing to what these become."""
        known = {
            entry.full_url: f"{targets[entry.index].type}/{targets[entry.index].id}"
            for entry in entries
            if entry.full_url and entry.method != "DELETE"
        }
        conditional: dict[str, str] = {}
        found: dict[int, Draft] = {}
        for entry in entries:
            if entry.draft is None:
                continue
            changes: dict[Path, str] = {}
            for link in links(entry.draft):
                try:
                    target = _within_bundle(link, entry, known) or await self._found(link, conditional)
                except (Refused, Rejected) as error:
                    raise told_at(link.expression(f"{entry.expression}.resource"), error) from None
                if target:
                    changes[link.path] = target
            found[entry.index] = replaced(entry.draft, changes)
        return found

    async def _found(self, link: Link, conditional: dict[str, str]) -> str | None:
        """What a conditional reference finds: `Patient?identifier=x|1` must find one resource."""
        asked = _CONDITIONAL.fullmatch(link.target) if link.literal else None
        if not asked:
            return None
        if link.target not in conditional:
            type_ = self._interactions.known(asked[1])
            match = await self._interactions.one_match(type_, conditions(asked[2], type_))
            if match is None:
                raise Refused.because(412, IssueCode.CONFLICT, f"{link.target} finds nothing.")
            conditional[link.target] = f"{match[0].type}/{match[0].id}"
        return conditional[link.target]


def _within_bundle(link: Link, entry: Entry, known: dict[str, str]) -> str | None:
    """What an entry becomes that a link points to by its `fullUrl`, whole or relative to the link's own entry's."""
    if link.target in known:
        return known[link.target]
    if link.literal and link.target.startswith(("urn:uuid:", "urn:oid:")):
        raise Refused.because(400, IssueCode.NOT_FOUND, f"{link.target} is not the fullUrl of an entry that is stored.")
    root = _REST.fullmatch(entry.full_url)
    if link.literal and root and _RELATIVE.fullmatch(link.target):
        return known.get(root[1] + link.target)
    return None


def _write(entry: Entry, resource: ResourceId, draft: Draft | None, lock: Lock | None, client: str, at: int) -> Write:
    if draft is None:
        return Write(resource, "delete", at, expected=entry.expected, publisher=client)
    head, tail = draft.numbered(resource.id, at)
    method = "create" if entry.method == "POST" else "update"
    return Write(resource, method, at, head, tail, entry.expected, client, draft.identifiers, lock=lock)


def _row(index: int, write: Write, result: PutResult) -> Row:
    written = 201 if result.interaction is Interaction.CREATE else 200
    status = 204 if write.method == "delete" else written
    return Row(index, status, write.resource.type, write.resource.id, result.version, write.at)


def told_at(expression: str, error: Refused | Rejected) -> Refused:
    """The same error, of an entry."""
    status = error.status if isinstance(error, Refused) else 400
    return Refused(status, *(replace(issue, expression=expression) for issue in error.issues))
