"""
Reading the values that a Subscription has in every FHIR version.

Each reader adds what is wrong to `issues` and then returns a stand-in, which nobody sees since the whole is rejected.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from subscriptions.codes import FhirVersion, IssueCode, SubscriptionStatus
from subscriptions.errors import Issue
from subscriptions.versions import instant

#: The largest value of FHIR's integers.
MOST = 2**31 - 1

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PRINTABLE = re.compile(r"[\t\x20-\x7e]*")

#: Of a Subscription; characters of a URL that is called.
MOST_HEADERS, LONGEST_URL = 50, 4_000
_URL = re.compile(r"[!-~]+")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?)(:\d*)?", re.IGNORECASE)
_CANONICAL = re.compile(r"(https?://|urn:)[^\s]+")

#: http://hl7.org/fhir/ValueSet/contact-point-system and http://hl7.org/fhir/ValueSet/contact-point-use
_CONTACT = {
    "system": ("phone", "fax", "email", "pager", "url", "sms", "other"),
    "use": ("home", "work", "temp", "old", "mobile"),
}

#: Headers that belong to one connection or to the hub; so do all `proxy-`, `content-` and `webhook-` ones.
_OWN_HEADERS = frozenset(
    ["connection", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"]
)
_OWN_PREFIXES = ("proxy-", "content-", "webhook-")


def implicit_rules(resource: Mapping[str, Any]) -> Iterator[Issue]:
    """Refuse them."""
    if resource.get("implicitRules") is not None:
        text = "Implicit rules are not supported: they could change what the Subscription means."
        yield Issue(IssueCode.NOT_SUPPORTED, text, "Subscription.implicitRules")


def contacts(resource: Mapping[str, Any]) -> Iterator[Issue]:
    """Of `Subscription.contact`, the codes that its value sets don't have."""
    found = resource.get("contact")
    for i, contact in enumerate(found if isinstance(found, list) else ()):
        for name, codes in _CONTACT.items():
            code = contact.get(name) if isinstance(contact, Mapping) else None
            if code is not None and code not in codes:
                text = f"The {name} of a contact is one of {', '.join(codes)}."
                yield Issue(IssueCode.VALUE, text, f"Subscription.contact[{i}].{name}")


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


def whole(value: object, what: str, expression: str, issues: list[Issue], *, most: int = MOST) -> int | None:
    """A count or a number of seconds, from 1."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    issues.append(Issue(IssueCode.VALUE, f"{what} must be a whole number from 1 to {most}.", expression))
    return None


def status(value: object, issues: list[Issue]) -> SubscriptionStatus:
    """
    What the client wants. FHIR lets it say `requested` and `off` only, but the IG's own examples say `active`; the hub
    then answers with `requested` all the same.
    """
    expression = "Subscription.status"
    code = text(value, expression, issues)
    if code in (SubscriptionStatus.REQUESTED, SubscriptionStatus.ACTIVE, SubscriptionStatus.OFF):
        return SubscriptionStatus(code)
    if code == SubscriptionStatus.ERROR:
        issue = "Only the hub sets the status `error`: send `requested` to start, or `off`."
        issues.append(Issue(IssueCode.BUSINESS_RULE, issue, expression))
    elif code:
        issues.append(Issue(IssueCode.VALUE, f"The status must be `requested` or `off`, not `{code}`.", expression))
    return SubscriptionStatus.OFF


def canonical(value: object, expression: str, otherwise: Callable[[str], Issue], issues: list[Issue]) -> str:
    """A topic's canonical URL. `otherwise`: What is said of another text."""
    found = text(value, expression, issues)
    if found and not _CANONICAL.fullmatch(found):
        issues.append(otherwise(found))
    return found


def end(value: object, issues: list[Issue], *, now: datetime) -> datetime | None:
    """`Subscription.end`, later than `now`."""
    expression = "Subscription.end"
    if value is None:
        return None
    written = text(value, expression, issues)
    try:
        found = instant.read(written)
    except ValueError:
        issue = "The end must be an instant, such as `2027-12-31T12:00:00Z`."
        issues.append(Issue(IssueCode.VALUE, issue, expression))
        return None
    if found <= now:
        issues.append(Issue(IssueCode.BUSINESS_RULE, "The end is in the past: set a later one or none.", expression))
    return found


def endpoint(value: object, expression: str, issues: list[Issue], *, allow_http: bool) -> str:
    """A URL that notifications can be POSTed to. Whether its address may be called is judged when it is called."""
    url = text(value, expression, issues)
    if url and (issue := wrong_url(url, allow_http=allow_http)):
        issues.append(Issue(IssueCode.VALUE, issue, expression))
    return url


def wrong_url(url: str, *, allow_http: bool) -> str | None:
    """What is wrong with the URL of an endpoint; None if nothing is."""
    if len(url) > LONGEST_URL:
        return f"A URL of {len(url)} characters: at most {LONGEST_URL} are called."
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
        return "The endpoint must not have user information; put credentials into a header."
    if "#" in url:
        return "The endpoint must not have a fragment: it would never be sent."
    if not _AUTHORITY.fullmatch(parts.netloc):
        return "The endpoint needs a host name or an address, and perhaps a port."
    if parts.netloc.startswith("["):
        IPv6Address(parts.hostname or "")
    if parts.port == 0:
        return "The endpoint's port must be from 1 to 65535."
    return None


def too_many_headers(count: int, expression: str, issues: list[Issue]) -> bool:
    """Whether there are more headers than each notification can carry; then that is noted."""
    if count > MOST_HEADERS:
        text = f"{count} headers: each notification carries {MOST_HEADERS} at most."
        issues.append(Issue(IssueCode.TOO_COSTLY, text, expression))
    return count > MOST_HEADERS


def wrong_header(name: str, value: str) -> str | None:
    """Why a header of the client's can't be sent along; None if it can."""
    if not _PRINTABLE.fullmatch(name + value):
        return "A header must not have control characters, line breaks or characters beyond ASCII."
    if not _TOKEN.fullmatch(name):
        return "A header has the form `Name: value`."
    if name.lower() in _OWN_HEADERS or name.lower().startswith(_OWN_PREFIXES):
        return f"The header `{name}` is the hub's own to set; leave it out."
    return None


def content_type(mime: str, version: FhirVersion, expression: str, issues: list[Issue]) -> str:
    """The MIME type of notifications, as written: JSON, and no other FHIR version."""
    if mime and (issue := _wrong_content_type(mime, version)):
        issues.append(Issue(IssueCode.NOT_SUPPORTED, issue, expression))
    return mime


def _wrong_content_type(mime: str, version: FhirVersion) -> str | None:
    essence, *parameters = (part.strip(" ") for part in mime.lower().split(";"))
    if mime != mime.strip() or not _PRINTABLE.fullmatch(mime):
        return "The MIME type must not begin or end with a blank, nor have control characters."
    if essence not in ("application/fhir+json", "application/json"):
        return f"Notifications as `{essence}` are not supported: use `application/fhir+json`."
    if len({parameter.partition("=")[0] for parameter in parameters}) < len(parameters):
        return "A parameter of the MIME type stands there twice."
    own = version.mime
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name == "fhirversion" and value not in (own, f'"{own}"'):
            return f"Notifications in FHIR version `{value}` are not supported here: use `{own}` or leave it out."
        if name == "charset" and value not in ("utf-8", '"utf-8"'):
            return f"The character set `{value}` is not supported: use `utf-8` or leave it out."
        if name not in ("fhirversion", "charset"):
            return f"The MIME type's parameter `{name}` is not supported."
    return None
