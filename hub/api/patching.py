"""PATCH of a stored resource: https://hl7.org/fhir/R4/http.html#patch."""

import asyncio
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from hub.api.exchange import Answer, Exchange
from hub.api.interactions import Interactions
from hub.api.negotiation import FHIR_JSON, JSON
from hub.errors import Overtaken, Refused
from hub.ingest import Draft, draft
from hub.patch import JSON_PATCH, Patch, applied
from hub.patch.fhirpath_patch import FhirPathPatch
from hub.patch.json_patch import JsonPatch
from hub.transaction import PATIENCE
from hub.write import NO_EVENTS, NOTHING, Events
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected

#: Bytes from which on a resource is patched and checked in a thread, so that other requests don't wait.
LARGE = 50_000

_ACCEPTED = f"{JSON_PATCH}, {FHIR_JSON}"
_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True)
class Patching:
    """
    What PATCH does at one FHIR base.

    most_bytes, most_nesting: Of a patch, and of what it makes.
    """

    interactions: Interactions
    most_bytes: int
    most_nesting: int

    async def patch(
        self, patch: Patch, type_: str, id_: str, *, client: str, expected: str = "", events: Events = NO_EVENTS
    ) -> Answer:
        """
        Update a resource by a patch of the version in force; again, if somebody else was quicker.

        Args:
            expected: The number of the version that the patch is for; empty for any.

        Raises:
            Refused: 404, 410; 412 for another version; 413, 422 for a patch that can't be done.
            Rejected: What the patch makes can't be stored.
        """

        async def once() -> Answer:
            held = await self.interactions.read(type_, id_)
            check_expected(expected, held.version, f"{type_}/{id_}")
            made = await self.made(patch, held.body, type_)
            return await self.interactions.update(made, id_, client=client, expected=str(held.version), events=events)

        return await persistently(once, again=not expected)

    async def made(self, patch: Patch, body: bytes, type_: str) -> Draft:
        """What a patch makes of a resource of this type. Refused, Rejected: As `patch` raises them."""
        made = await patched(patch, body, most=self.most_bytes)

        def read() -> Draft:
            return draft(made, self.interactions.version, max_nesting=self.most_nesting, type_=type_)

        return read() if len(made) < LARGE else await asyncio.to_thread(read)


async def patched(patch: Patch, body: bytes, *, most: int) -> bytes:
    """As `applied` has it; other requests don't wait for it."""
    quick = isinstance(patch, JsonPatch) and len(patch.operations) * len(body) < LARGE
    return applied(patch, body, most=most) if quick else await asyncio.to_thread(applied, patch, body, most=most)


async def patch_of(exchange: Exchange, version: FhirVersion, *, most_bytes: int, most_nesting: int) -> Patch:
    """
    The patch that a request carries.

    Raises:
        Refused: 415, with Accept-Patch, for another media type.
        Rejected: It is malformed.
    """
    try:
        body = await exchange.body(most_bytes, frozenset({FHIR_JSON, JSON, JSON_PATCH}))
    except Refused as refused:
        if refused.status == 415:
            raise Refused(415, *refused.issues, headers={"Accept-Patch": _ACCEPTED}) from None
        raise
    media_type = exchange.header(b"content-type").partition(";")[0].strip().lower()

    def read() -> Patch:
        if media_type == JSON_PATCH:
            return JsonPatch.read(body, max_nesting=most_nesting)
        FhirPathPatch.permit(body)
        return FhirPathPatch.read(draft(body, version, max_nesting=most_nesting, type_="Parameters"))

    return read() if media_type == JSON_PATCH and len(body) < LARGE else await asyncio.to_thread(read)


def carried(carrier: Draft, expression: str, *, most_nesting: int) -> Patch:
    """
    The patch that an entry of a Bundle carries as a resource: https://hl7.org/fhir/R4/http.html#jsonpatch-transaction.

    Args:
        expression: Where the resource stands.

    Raises:
        Refused, Rejected: It is no patch.
    """
    try:
        if carrier.type == "Parameters":
            return FhirPathPatch.read(carrier)
        if carrier.type == "Binary" and carrier.resource.get("contentType") == JSON_PATCH:
            return JsonPatch.read(_data(carrier.resource.get("data", "")), max_nesting=most_nesting)
    except Rejected as rejected:
        raise Rejected(*(Issue(each.code, each.text, expression) for each in rejected.issues)) from None
    text = f"A PATCH carries Parameters, or a Binary with a contentType of {JSON_PATCH}."
    raise Refused.because(400, IssueCode.INVALID, text, expression)


def _data(base64: str) -> bytes:
    try:
        return b64decode(base64)
    except ValueError:
        raise Rejected(Issue(IssueCode.VALUE, "data is not base64.")) from None


def check_expected(expected: str, number: int, name: str) -> None:
    """
    Compare the version in force with what the request expects.

    Raises:
        Refused: 400 when it expects nothing (`If-None-Match: *`).
        Overtaken: It expects another one.
    """
    if expected == NOTHING:
        raise Refused.because(400, IssueCode.VALUE, "If-None-Match: * is not for this: something must be there.")
    if expected not in ("", str(number)):
        text = f"{name} is at version {number}, not as the request expects."
        raise Overtaken.because(412, IssueCode.CONFLICT, text)


async def persistently(once: Callable[[], Awaitable[_Done]], *, again: bool) -> _Done:
    """
    Do something that reads a version and writes the next one.

    Args:
        again: Whether it is done again when somebody else was quicker: the client has not named the version.

    Raises:
        Refused: 409 when it still is overtaken after a while.
    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return await once()
        except Overtaken:
            if not again:
                raise
            if time.monotonic() > until:
                text = "Others write the same all the time: read it, and try again."
                raise Refused.because(409, IssueCode.CONFLICT, text) from None
