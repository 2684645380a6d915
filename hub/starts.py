"""Whether a Subscription may start when it wants to: since when changes are kept, not later, and once in its life."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from hub.instants import instant
from hub.membership import Member
from hub.stream import Changes
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue
from subscriptions.subscription import Subscription
from subscriptions.versions.forms import FORMS
from subscriptions.versions.instant import write

EXTENSION = "Subscription.extension"


@dataclass(frozen=True, slots=True)
class Starts:
    """The starts that are possible."""

    changes: Changes

    async def against(self, wanted: Subscription, held: Member | None, *, now: datetime) -> list[Issue]:
        """What is against the start that a Subscription wants, given the one that is there already."""
        if wanted.start is None:
            return []
        if held is not None:
            return list(_changed(wanted.start, held))
        if wanted.start > now:
            text = f"The start is in the future: leave it out, or give one until now, which is {write(now)}."
            return [Issue(IssueCode.BUSINESS_RULE, text, EXTENSION)]
        earliest = instant(await self.changes.complete_from())
        if wanted.start < earliest:
            text = (
                f"Not all changes since that start are kept any more: the earliest possible one is {write(earliest)}."
            )
            return [Issue(IssueCode.BUSINESS_RULE, text, EXTENSION)]
        return []


def _changed(start: datetime, held: Member) -> Iterator[Issue]:
    """Only a new Subscription has a start; a later write may repeat it or leave it out."""
    resource, style = msgspec.json.decode(held.state.resource), held.state.style
    form = FORMS[held.key.version]
    reading = form.read_subscription(resource, now=instant(0), allow_http=True, legacy=style)
    if reading.subscription.start != start:
        text = "The start of a Subscription can't be changed or given later: create another one."
        yield Issue(IssueCode.BUSINESS_RULE, text, EXTENSION)
