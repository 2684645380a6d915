"""
Reading `Subscription.channel`: where notifications go, with which headers, in which form, how many at a time.

Each reader adds what is wrong to `issues` and then returns a stand-in, which nobody sees since the whole is rejected.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from subscriptions.codes import ChannelType, Content, IssueCode
from subscriptions.errors import Issue
from subscriptions.subscription import Style
from subscriptions.versions.r4 import extensions

#: The largest value of FHIR's integers.
_MOST = 2**31 - 1

#: Seconds that a subscriber may ask us to wait, in its delivery window and between attempts: a week. And how often.
LONGEST_WAIT = 7 * 24 * 3600
MOST_WAITS = 50

_WAIT = re.compile(r"[0-9]{1,7}", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PRINTABLE = re.compile(r"[\t\x20-\x7e]*")
_URL = re.compile(r"[!-~]+")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?)(:\d*)?", re.IGNORECASE)

#: Headers that belong to one connection or to the hub; so do all `proxy-`, `content-` and `webhook-` ones.
_OWN_HEADERS = frozenset(
    ["connection", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"]
)
_OWN_PREFIXES = ("proxy-", "content-", "webhook-")


def text(value: object, expression: str, issues: list[Issue]) -> str:
    """A string that must be there and say something."""
    if value is None:
        issues.append(Issue(IssueCode.REQUIRED, f"{expression} is required.", expression))
    elif not isinstance(value, str):
        issues.append(Issue(IssueCode.STRUCTURE, f"{expression} must be a string.", expression))
    elif not value.strip():
        issues.append(Issue(IssueCode.VALUE, f"{expression} must not be blank.", expression))
    else:
        return value
    return ""


def channel_type(channel: Mapping[str, Any], issues: list[Issue]) -> ChannelType:
    """`rest-hook`, and no other channel hidden behind it: the extension overrides the code."""
    expression = "Subscription.channel.type"
    for i, _ in extensions.of(channel.get("_type"), extensions.CHANNEL_TYPE):
        issue = "Custom channel types are not supported: leave the extension out and use `rest-hook`."
        issues.append(Issue(IssueCode.NOT_SUPPORTED, issue, f"{expression}.extension[{i}]"))
    code = text(channel.get("type"), expression, issues)
    if code and code not in list(ChannelType):
        known = ", ".join(ChannelType)
        issues.append(Issue(IssueCode.VALUE, f"`{code}` is not a channel type; FHIR has {known}.", expression))
    elif code and code != ChannelType.REST_HOOK:
        issue = f"The channel type `{code}` is not supported: use `rest-hook`."
        issues.append(Issue(IssueCode.NOT_SUPPORTED, issue, expression))
    return ChannelType(code) if code in list(ChannelType) else ChannelType.REST_HOOK


def endpoint(channel: Mapping[str, Any], issues: list[Issue], *, allow_http: bool) -> str:
    """A URL that notifications can be POSTed to. Whether its address may be called is judged when it is called."""
    expression = "Subscription.channel.endpoint"
    url = text(channel.get("endpoint"), expression, issues)
    if not url:
        return ""
    if issue := wrong_url(url, allow_http=allow_http):
        issues.append(Issue(IssueCode.VALUE, issue, expression))
    return url


def wrong_url(url: str, *, allow_http: bool) -> str | None:
    """What is wrong with the URL of an endpoint; None if nothing is."""
    try:
        return _wrong_endpoint(url, urlsplit(url), allow_http)
    except ValueError as error:
        return f"The endpoint is not a URL: {error}."


def _wrong_endpoint(url: str, parts: SplitResult, allow_http: bool) -> str | None:
    """
    Say what is wrong with an endpoint; None if nothing is.

    Raises:
        ValueError: The port or a literal address is malformed.
    """
    if not _URL.fullmatch(url) or "\\" in url:
        # Checked on the text, since urlsplit drops tabs and line breaks without a word.
        return "The endpoint has characters that no URL has; write them percent-encoded, and a host name in Punycode."
    if parts.scheme not in ("https", "http"):
        return f"The endpoint must be an https URL, not `{parts.scheme or url}`."
    if parts.scheme == "http" and not allow_http:
        return "The endpoint must be an https URL: over http anybody on the way can read the notifications."
    if parts.username is not None or parts.password is not None:
        return "The endpoint must not have user information; put credentials into Subscription.channel.header."
    if "#" in url:
        return "The endpoint must not have a fragment: it would never be sent."
    if not _AUTHORITY.fullmatch(parts.netloc):
        return "The endpoint needs a host name or an address, and perhaps a port."
    if parts.netloc.startswith("["):
        IPv6Address(parts.hostname or "")
    if parts.port == 0:
        return "The endpoint's port must be from 1 to 65535."
    return None


def headers(channel: Mapping[str, Any], issues: list[Issue]) -> tuple[tuple[str, str], ...]:
    """`Authorization: Bearer abc`, split at the first colon and trimmed; order and repetitions are kept."""
    lines = channel.get("header", [])
    if not isinstance(lines, list):
        issue = "Subscription.channel.header must be a list of strings."
        issues.append(Issue(IssueCode.STRUCTURE, issue, "Subscription.channel.header"))
        return ()
    found = []
    for i, line in enumerate(lines):
        expression = f"Subscription.channel.header[{i}]"
        line = text(line, expression, issues)
        name, colon, value = (part.strip(" \t") for part in line.partition(":"))
        wrong = None
        if not _PRINTABLE.fullmatch(line):
            wrong = "A header must not have control characters, line breaks or characters beyond ASCII."
        elif not colon or not _TOKEN.fullmatch(name):
            wrong = "A header has the form `Name: value`."
        elif name.lower() in _OWN_HEADERS or name.lower().startswith(_OWN_PREFIXES):
            wrong = f"The header `{name}` is the hub's own to set; leave it out."
        if line and wrong:
            issues.append(Issue(IssueCode.VALUE, wrong, expression))
        found.append((name, value))
    return tuple(found)


def content(channel: Mapping[str, Any], issues: list[Issue]) -> Content:
    """How much a notification says: the one extension of that name on the payload."""
    expression = "Subscription.channel.payload.extension"
    found = extensions.of(channel.get("_payload"), extensions.PAYLOAD_CONTENT)
    known = ", ".join(f"`{code}`" for code in Content)
    if not found:
        issue = f"Say how much notifications contain: the extension {extensions.PAYLOAD_CONTENT} with one of {known}."
        issues.append(Issue(IssueCode.REQUIRED, issue, expression))
    for i, extension in found[1:]:
        issues.append(Issue(IssueCode.STRUCTURE, f"Only one {extension['url']} is allowed.", f"{expression}[{i}]"))
    for i, extension in found[:1]:
        code = extension.get("valueCode")
        if isinstance(code, str) and code in list(Content):
            return Content(code)
        issue = f"The content must be a valueCode, one of {known}."
        issues.append(Issue(IssueCode.NOT_SUPPORTED, issue, f"{expression}[{i}]"))
    return Content.EMPTY


def content_type(channel: Mapping[str, Any], issues: list[Issue]) -> str:
    """The MIME type of notifications, as written: JSON, and no FHIR version but 4.0."""
    expression = "Subscription.channel.payload"
    mime = text(channel.get("payload"), expression, issues)
    essence, *parameters = (part.strip(" ") for part in mime.lower().split(";"))
    wrong = None
    if mime != mime.strip() or not _PRINTABLE.fullmatch(mime):
        wrong = "The MIME type must not begin or end with a blank, nor have control characters."
    elif essence not in ("application/fhir+json", "application/json"):
        wrong = f"Notifications as `{essence}` are not supported: use `application/fhir+json`."
    elif len({parameter.partition("=")[0] for parameter in parameters}) < len(parameters):
        wrong = "A parameter of the MIME type stands there twice."
    else:
        for name, _, value in (parameter.partition("=") for parameter in parameters):
            if name == "fhirversion" and value not in ("4.0", '"4.0"'):
                wrong = f"Notifications in FHIR version `{value}` are not supported here: use `4.0` or leave it out."
            elif name == "charset" and value not in ("utf-8", '"utf-8"'):
                wrong = f"The character set `{value}` is not supported: use `utf-8` or leave it out."
            elif name not in ("fhirversion", "charset"):
                wrong = f"The MIME type's parameter `{name}` is not supported."
    if mime and wrong:
        issues.append(Issue(IssueCode.NOT_SUPPORTED, wrong, expression))
    return mime


def payload(channel: Mapping[str, Any], style: Style, issues: list[Issue]) -> tuple[Content, str]:
    """What is sent where the criteria are a search, and its MIME type; without `payload` nothing, but Medplum's way."""
    if channel.get("payload") is not None:
        return Content.FULL_RESOURCE, content_type(channel, issues)
    if style is Style.MEDPLUM:
        return Content.FULL_RESOURCE, "application/fhir+json"
    return Content.EMPTY, ""


def number(channel: Mapping[str, Any], url: str, issues: list[Issue], *, most: int = _MOST) -> int | None:
    """A count or a number of seconds in an extension of the channel; None when it isn't there."""
    found = extensions.of(channel, url)
    for i, _ in found[1:]:
        expression = f"Subscription.channel.extension[{i}]"
        issues.append(Issue(IssueCode.STRUCTURE, f"Only one {url} is allowed.", expression))
    for i, extension in found[:1]:
        # The IG's type for each is one of the first two; public samples also have the third.
        values = [extension.get(key) for key in ("valueUnsignedInt", "valuePositiveInt", "valueInteger")]
        value = next((value for value in values if value is not None), None)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
            return value
        issue = f"{url} must be a whole number from 1 to {most}."
        issues.append(Issue(IssueCode.VALUE, issue, f"Subscription.channel.extension[{i}]"))
    return None


def window(channel: Mapping[str, Any], heartbeat_period: int | None, issues: list[Issue]) -> int | None:
    """Seconds after a notification in which nothing is sent; None when it isn't there."""
    found = number(channel, extensions.DELIVERY_WINDOW, issues, most=LONGEST_WAIT)
    if found is not None and heartbeat_period is not None and found > heartbeat_period:
        at, _ = extensions.of(channel, extensions.DELIVERY_WINDOW)[0]
        issue = f"The delivery window of {found} s is longer than the heartbeat period of {heartbeat_period} s."
        issues.append(Issue(IssueCode.BUSINESS_RULE, issue, f"Subscription.channel.extension[{at}]"))
    return found


def retry_waits(channel: Mapping[str, Any], issues: list[Issue]) -> tuple[int, ...] | None:
    """Seconds before each further attempt, of one extension after the other; None when there is none."""
    found: list[int] = []
    extended = extensions.of(channel, extensions.RETRY_WAITS)
    for i, extension in extended:
        expression = f"Subscription.channel.extension[{i}]"
        value = text(extension.get("valueString"), f"{expression}.value", issues)
        waits = [wait.strip(" ") for wait in value.split(",")] if value else []
        if all(_WAIT.fullmatch(wait) and 1 <= int(wait) <= LONGEST_WAIT for wait in waits):
            found += map(int, waits)
        else:
            issue = f"Waits are whole numbers of seconds from 1 to {LONGEST_WAIT}, joined by commas, such as `1,5,30`."
            issues.append(Issue(IssueCode.VALUE, issue, expression))
    if len(found) > MOST_WAITS:
        at = f"Subscription.channel.extension[{extended[-1][0]}]"
        issues.append(Issue(IssueCode.VALUE, f"There may be {MOST_WAITS} waits at most, not {len(found)}.", at))
    return tuple(found) if extended else None
