"""
Reading `Subscription.channel`: where notifications go, with which headers, in which form, how many at a time.

As in `values`, each reader notes what is wrong and then returns a stand-in.
"""

from collections.abc import Mapping
from typing import Any

from subscriptions.codes import ChannelType, Content, FhirVersion, IssueCode
from subscriptions.errors import Issue
from subscriptions.subscription import Style
from subscriptions.versions import values
from subscriptions.versions.backport import extensions
from subscriptions.versions.extensions import of


def channel_type(channel: Mapping[str, Any], issues: list[Issue]) -> ChannelType:
    """`rest-hook`, and no other channel hidden behind it: the extension overrides the code."""
    expression = "Subscription.channel.type"
    for i, _ in of(channel.get("_type"), extensions.CHANNEL_TYPE):
        issue = "Custom channel types are not supported: leave the extension out and use `rest-hook`."
        issues.append(Issue(IssueCode.NOT_SUPPORTED, issue, f"{expression}.extension[{i}]"))
    code = values.text(channel.get("type"), expression, issues)
    if code and code not in list(ChannelType):
        known = ", ".join(ChannelType)
        issues.append(Issue(IssueCode.VALUE, f"`{code}` is not a channel type; FHIR has {known}.", expression))
    elif code and code != ChannelType.REST_HOOK:
        issue = f"The channel type `{code}` is not supported: use `rest-hook`."
        issues.append(Issue(IssueCode.NOT_SUPPORTED, issue, expression))
    return ChannelType(code) if code in list(ChannelType) else ChannelType.REST_HOOK


def headers(channel: Mapping[str, Any], issues: list[Issue]) -> tuple[tuple[str, str], ...]:
    """`Authorization: Bearer abc`, split at the first colon and trimmed; order and repetitions are kept."""
    lines = channel.get("header", [])
    if not isinstance(lines, list):
        issue = "Subscription.channel.header must be a list of strings."
        issues.append(Issue(IssueCode.STRUCTURE, issue, "Subscription.channel.header"))
        return ()
    if values.too_many_headers(len(lines), "Subscription.channel.header", issues):
        return ()
    found = []
    for i, line in enumerate(lines):
        expression = f"Subscription.channel.header[{i}]"
        line = values.text(line, expression, issues)
        name, colon, value = (part.strip(" \t") for part in line.partition(":"))
        # The line as a whole: what is trimmed must be no line break.
        wrong = values.wrong_header(name if colon else "", line)
        if line and wrong:
            issues.append(Issue(IssueCode.VALUE, wrong, expression))
        found.append((name, value))
    return tuple(found)


def content(channel: Mapping[str, Any], issues: list[Issue]) -> Content:
    """How much a notification says: the one extension of that name on the payload."""
    expression = "Subscription.channel.payload.extension"
    found = of(channel.get("_payload"), extensions.PAYLOAD_CONTENT)
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


def content_type(channel: Mapping[str, Any], version: FhirVersion, issues: list[Issue]) -> str:
    """The MIME type of notifications, as written: JSON, and no other FHIR version."""
    expression = "Subscription.channel.payload"
    return values.content_type(values.text(channel.get("payload"), expression, issues), version, expression, issues)


def payload(channel: Mapping[str, Any], style: Style, version: FhirVersion, issues: list[Issue]) -> tuple[Content, str]:
    """What is sent where the criteria are a search, and its MIME type; without `payload` nothing, but Medplum's way."""
    if channel.get("payload") is not None:
        return Content.FULL_RESOURCE, content_type(channel, version, issues)
    if style is Style.MEDPLUM:
        return Content.FULL_RESOURCE, "application/fhir+json"
    return Content.EMPTY, ""
