"""
Where events are fetched that were missed: the hub's `$events`.

http://hl7.org/fhir/uv/subscriptions-backport/STU1.1/OperationDefinition-backport-subscription-events.html
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from hub.receiver.errors import Unfetched, Unreadable
from hub.receiver.notification import Event
from hub.receiver.reading import read
from subscriptions.ranges import Range

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


class Source:
    """
    One FHIR base of a hub's, asked as the Subscription's owner.

    Of what a notification names, the Subscription's id alone is used: the key goes nowhere else than to the base.

    Args:
        base: `https://hub.example/fhir/r4`.
        key: An API key; empty where nobody is asked for one.
        client: In place of one that is made for each answer, such as one with an access token.
        seconds: That one answer may take.
    """

    def __init__(
        self, base: str, key: str = "", *, client: httpx.AsyncClient | None = None, seconds: float = 30
    ) -> None:
        self._base = base.rstrip("/")
        self._headers = {"Accept": "application/fhir+json"} | ({"X-Api-Key": key} if key else {})
        self._client = client
        self._seconds = seconds

    async def page(self, subscription: str, wanted: Range) -> tuple[Event, ...]:
        """
        Events of a Subscription, by rising number, as many as one answer has: those behind the last may be had, too.

        None of those asked for is kept any more when there are none.

        Raises:
            Unfetched: The hub doesn't answer, or refuses.
        """
        id_ = subscription.rpartition("/")[2]
        if not _ID.fullmatch(id_) or id_ in (".", ".."):
            raise Unfetched("the Subscription has no id to ask for")
        params = {"eventsSinceNumber": wanted.first, "eventsUntilNumber": wanted.last}
        url = f"{self._base}/Subscription/{id_}/$events"
        try:
            async with self._lent() as client:
                answer = await client.get(url, params=params, headers=self._headers, timeout=self._seconds)
        except httpx.HTTPError as error:
            raise Unfetched(f"{self._base} does not answer: {type(error).__name__}") from error
        if answer.status_code == 410:
            return ()
        if answer.status_code != 200:
            raise Unfetched(f"{self._base} answers {answer.status_code} to $events of Subscription/{id_}")
        try:
            events = read(answer.content).events
        except Unreadable as error:
            raise Unfetched(f"{self._base} answers $events with what is no notification") from error
        found = tuple(event for event in events if wanted.first <= event.number <= wanted.last)
        if not found:
            raise Unfetched(f"{self._base} answers $events with others than were asked for")
        return found

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[httpx.AsyncClient]:
        if self._client is not None:
            yield self._client
            return
        async with httpx.AsyncClient() as client:
            yield client
