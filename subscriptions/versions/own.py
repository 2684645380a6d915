"""
The hub's own extensions of a Subscription: how it paces, from when on, and whom it tells.

Two of them stand on the element that describes the channel: `Subscription.channel` where there is one, else the
Subscription itself.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue
from subscriptions.versions import instant, values
from subscriptions.versions.extensions import OWN, of

DELIVERY_WINDOW = f"{OWN}/delivery-window"
RETRY_WAITS = f"{OWN}/retry-waits"
START = f"{OWN}/start"
ALERT_ENDPOINT = f"{OWN}/alert-endpoint"

#: Seconds that a subscriber may ask us to wait, in its delivery window and between attempts: a week. And how often.
LONGEST_WAIT = 7 * 24 * 3600
MOST_WAITS = 50

_WAIT = re.compile(r"[0-9]{1,7}", re.ASCII)


def number(element: object, url: str, path: str, issues: list[Issue], *, most: int = values.MOST) -> int | None:
    """A count or a number of seconds in an extension of the element at `path`; None when it isn't there."""
    found = of(element, url)
    for i, _ in found[1:]:
        issues.append(Issue(IssueCode.STRUCTURE, f"Only one {url} is allowed.", f"{path}.extension[{i}]"))
    for i, extension in found[:1]:
        # The IG's type for each is one of the first two; public samples also have the third.
        given = [extension.get(key) for key in ("valueUnsignedInt", "valuePositiveInt", "valueInteger")]
        value = next((each for each in given if each is not None), None)
        return values.whole(value, url, f"{path}.extension[{i}]", issues, most=most)
    return None


def window(element: object, path: str, heartbeat_period: int | None, issues: list[Issue]) -> int | None:
    """Seconds after a notification in which nothing is sent; None when it isn't there."""
    found = number(element, DELIVERY_WINDOW, path, issues, most=LONGEST_WAIT)
    if found is not None and heartbeat_period is not None and found > heartbeat_period:
        at, _ = of(element, DELIVERY_WINDOW)[0]
        issue = f"The delivery window of {found} s is longer than the heartbeat period of {heartbeat_period} s."
        issues.append(Issue(IssueCode.BUSINESS_RULE, issue, f"{path}.extension[{at}]"))
    return found


def retry_waits(element: object, path: str, issues: list[Issue]) -> tuple[int, ...] | None:
    """Seconds before each further attempt, of one extension after the other; None when there is none."""
    found: list[int] = []
    extended = of(element, RETRY_WAITS)
    for i, extension in extended:
        expression = f"{path}.extension[{i}]"
        value = values.text(extension.get("valueString"), f"{expression}.value", issues)
        waits = [wait.strip(" ") for wait in value.split(",")] if value else []
        if all(_WAIT.fullmatch(wait) and 1 <= int(wait) <= LONGEST_WAIT for wait in waits):
            found += map(int, waits)
        else:
            issue = f"Waits are whole numbers of seconds from 1 to {LONGEST_WAIT}, joined by commas, such as `1,5,30`."
            issues.append(Issue(IssueCode.VALUE, issue, expression))
    if len(found) > MOST_WAITS:
        at = f"{path}.extension[{extended[-1][0]}]"
        issues.append(Issue(IssueCode.VALUE, f"There may be {MOST_WAITS} waits at most, not {len(found)}.", at))
    return tuple(found) if extended else None


def start(resource: Mapping[str, Any], issues: list[Issue]) -> datetime | None:
    """From when on. Whether it may be then is for whoever knows which changes are kept."""
    found, at = of(resource, START), None
    for place, (i, extension) in enumerate(found):
        try:
            at = instant.read(str(extension.get("valueInstant")))
            issue = f"Only one {START} is allowed." if place else ""
        except ValueError:
            issue = "The start must be a valueInstant, such as `2026-11-21T09:59:59Z`."
        if issue:
            issues.append(Issue(IssueCode.VALUE, issue, f"Subscription.extension[{i}]"))
    return at


def alert_endpoint(resource: Mapping[str, Any], issues: list[Issue], *, allow_http: bool) -> str:
    """A URL as the channel's endpoint is one; whether its address may be called is judged as there."""
    found, url = of(resource, ALERT_ENDPOINT), ""
    for place, (i, extension) in enumerate(found):
        expression = f"Subscription.extension[{i}]"
        url = values.text(extension.get("valueUrl"), f"{expression}.value", issues)
        issue = f"Only one {ALERT_ENDPOINT} is allowed." if place else None
        if issue := issue or (values.wrong_url(url, allow_http=allow_http) if url else None):
            issues.append(Issue(IssueCode.VALUE, issue, expression))
    return url
