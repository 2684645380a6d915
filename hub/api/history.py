"""`GET /{Type}/{id}/_history`: https://hl7.org/fhir/R4/http.html#history."""

from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api.exchange import Answer, Exchange
from hub.api.interactions import Interactions
from hub.api.pages import Parameters, bad_cursor, bundle, links, paging
from hub.errors import Refused
from hub.keys import ResourceId
from hub.store import Store, Version
from subscriptions.codes import Interaction, IssueCode
from subscriptions.versions import instant

_METHOD = {Interaction.CREATE: "POST", Interaction.UPDATE: "PUT", Interaction.DELETE: "DELETE"}
_STATUS = {Interaction.CREATE: "201 Created", Interaction.UPDATE: "200 OK", Interaction.DELETE: "204 No Content"}


class Histories:
    """
    Histories at one FHIR base.

    base: Without a slash at its end.
    most_entries: On a page.
    """

    def __init__(self, interactions: Interactions, store: Store, base: str, *, most_entries: int) -> None:
        self._interactions = interactions
        self._store = store
        self._base = base
        self._most_entries = most_entries

    async def get(self, request: Request) -> Response:
        exchange = Exchange(request)
        type_, id_ = request.path_params["type"], request.path_params["id"]
        return exchange.respond(await self.answer(type_, id_, exchange.query))

    async def answer(self, type_: str, id_: str, asked: Parameters) -> Answer:
        """
        A page of a resource's versions, newest first.

        Raises:
            Refused: There never was such a resource, or a parameter is not `_count`, `_since` or a cursor.
        """
        resource = self._interactions.resource(type_, id_)
        count, cursor, rest = paging(asked, self._most_entries)
        since = _since(rest)
        if cursor is not None and not cursor.isdecimal():
            raise bad_cursor()
        before = int(cursor) if cursor is not None else None
        newest, versions = await self._store.history(resource, before=before, count=count + 1)
        if newest == 0:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"{type_}/{id_} is not known here.")
        wanted = [version for version in versions if since is None or version.at >= since]
        page = wanted[:count]
        # One more than asked for was read: whether there is a next page, or this is all.
        more = count > 0 and len(wanted) > count
        total = len(wanted) if before is None and not more and count > 0 else None
        url = f"{self._base}/{type_}/{id_}/_history"
        following = str(page[-1].number) if more else None
        entries = [self._entry(resource, version) for version in page]
        return Answer(200, bundle("history", entries, links(url, asked, following), total))

    def _entry(self, resource: ResourceId, version: Version) -> dict[str, Any]:
        name = f"{resource.type}/{resource.id}"
        entry: dict[str, Any] = {"fullUrl": f"{self._base}/{name}"}
        if version.body is not None:
            entry["resource"] = msgspec.Raw(version.body)
        created = version.interaction is Interaction.CREATE
        entry["request"] = {"method": _METHOD[version.interaction], "url": resource.type if created else name}
        entry["response"] = {
            "status": _STATUS[version.interaction],
            "etag": f'W/"{version.number}"',
            "lastModified": instant.write(version.at),
        }
        return entry


def _since(parameters: Parameters) -> datetime | None:
    """The time that `_since` names; None without it."""
    found = None
    for name, value in parameters:
        if name != "_since" or found is not None:
            text = f"`{name[:60]}`: a history takes `_count` and one `_since`."
            raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, name[:60])
        try:
            # A query string's decoder leaves a blank where the client did not encode the plus.
            found = instant.read(value.replace(" ", "+"))
        except ValueError:
            text = "`_since` is an instant: 2026-11-21T10:00:00Z."
            raise Refused.because(400, IssueCode.VALUE, text, name) from None
    return found
