"""
Writes of the one resource that a search finds: https://hl7.org/fhir/R4/http.html#cond-update.

All that name the same search wait for each other, and for creates under the same condition.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import urlencode

from hub.access import Caller
from hub.api.exchange import Answer
from hub.api.interactions import Interactions
from hub.api.patching import Patching, check_expected, persistently
from hub.errors import Overtaken, Refused
from hub.ingest import Draft
from hub.patch import Patch
from hub.write import NO_EVENTS, NOTHING, Events, Lock
from subscriptions.codes import IssueCode

#: A search: names and values.
Condition: TypeAlias = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Conditional:
    """Conditional updates, patches and deletes at one FHIR base. Each raises Refused, 412, when several are found."""

    interactions: Interactions
    patching: Patching

    async def update(
        self, draft: Draft, condition: Condition, *, by: Caller, expected: str = "", events: Events = NO_EVENTS
    ) -> Answer:
        """
        Update what is found; create it if nothing is, under the draft's own id if it has one.

        Raises:
            Refused: 400 when another id is found; 409 when nothing is found, but there is something under the id.
        """
        type_ = self.interactions.known(draft.type)
        await self.interactions.pressure.check()
        async with self.interactions.locked(self.interactions.lock_name(type_, condition)) as lock:

            async def once() -> Answer:
                found = await self.interactions.one_match(type_, condition, by=by)
                if found is None:
                    _check_absent(expected, type_, condition)
                    return await self._create(draft, condition, lock, by=by, events=events)
                resource, version = found
                if draft.id not in ("", resource.id):
                    text = f"The condition finds {type_}/{resource.id}: the id must be that one, or be left out."
                    raise Refused.because(400, IssueCode.INVALID, text, f"{type_}.id")
                if expected == NOTHING:
                    raise Overtaken.because(412, IssueCode.CONFLICT, f"{type_}/{resource.id} is there.")
                check_expected(expected, version.number, f"{type_}/{resource.id}")
                return await self.interactions.update(
                    replace(draft, id=resource.id),
                    resource.id,
                    client=by.name,
                    expected=str(version.number),
                    events=events,
                )

            return await persistently(once, again=not expected)

    async def patch(
        self,
        patch: Patch,
        type_: str,
        condition: Condition,
        *,
        by: Caller,
        expected: str = "",
        events: Events = NO_EVENTS,
    ) -> Answer:
        """Patch what is found. Raises Refused, 404, when nothing is."""
        async with self.interactions.locked(self.interactions.lock_name(type_, condition)):

            async def once() -> Answer:
                found = await self.interactions.one_match(type_, condition, by=by)
                if found is None:
                    text = f"{type_}?{urlencode(condition)} finds nothing to patch."
                    raise Refused.because(404, IssueCode.NOT_FOUND, text)
                resource, version = found
                check_expected(expected, version.number, f"{type_}/{resource.id}")
                return await self.patching.patch(
                    patch, type_, resource.id, client=by.name, expected=str(version.number), events=events
                )

            return await persistently(once, again=not expected)

    async def delete(
        self, type_: str, condition: Condition, *, by: Caller, expected: str = "", events: Events = NO_EVENTS
    ) -> Answer:
        """Delete what is found; nothing happens if nothing is."""
        async with self.interactions.locked(self.interactions.lock_name(type_, condition)):

            async def once() -> Answer:
                found = await self.interactions.one_match(type_, condition, by=by)
                if found is None:
                    _check_absent(expected, type_, condition)
                    return Answer(204)
                resource, version = found
                check_expected(expected, version.number, f"{type_}/{resource.id}")
                return await self.interactions.delete(
                    type_, resource.id, client=by.name, expected=str(version.number), events=events
                )

            return await persistently(once, again=not expected)

    async def _create(self, draft: Draft, condition: Condition, lock: Lock, *, by: Caller, events: Events) -> Answer:
        if not draft.id:
            id_ = self.interactions.new_id(draft.type, lock.name)
            return await self.interactions.create_as(id_, draft, by.name, events=events, lock=lock)
        try:
            return await self.interactions.update(draft, draft.id, client=by.name, expected=NOTHING, events=events)
        except Overtaken:
            text = f"{draft.type}?{urlencode(condition)} finds nothing, but there is a {draft.type}/{draft.id}."
            raise Refused.because(409, IssueCode.DUPLICATE, text, f"{draft.type}.id") from None


def _check_absent(expected: str, type_: str, condition: Condition) -> None:
    if expected not in ("", NOTHING):
        text = f"{type_}?{urlencode(condition)} finds nothing, though the request expects version {expected}."
        raise Overtaken.because(412, IssueCode.CONFLICT, text)
