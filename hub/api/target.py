"""What an entry of a batch or transaction is about: `Bundle.entry.request.url`. https://hl7.org/fhir/R4/bundle.html"""

import re
from typing import NamedTuple
from urllib.parse import unquote

from hub.errors import Refused
from subscriptions.codes import IssueCode

_TYPE = re.compile(r"[A-Za-z]+")
_FORMS = {
    "GET": "`Patient/1`, `Patient/1/_history[/2]`, `Patient/_history`, `_history` or `Patient?name=x`",
    "POST": "`Patient`",
    "PUT": "`Patient/1` or `Patient?identifier=x`",
    "PATCH": "`Patient/1` or `Patient?identifier=x`",
    "DELETE": "`Patient/1` or `Patient?identifier=x`",
}


class Target(NamedTuple):
    """What the URL of a request names; empty for what it doesn't. Of all types, there is only the history."""

    type: str = ""
    id: str = ""
    history: bool = False
    number: str = ""
    query: str = ""


def target_of(method: str, url: str, expression: str, base: str) -> Target:
    """What a request is about, by its URL, relative to the base or below it. Refused: 400, when it can't be."""
    target = _named(url.removeprefix(base).lstrip("/"))
    fits = target and (
        method == "GET"
        or (method == "POST" and not target.id and not target.history and not target.query)
        or (method in ("PUT", "PATCH", "DELETE") and not target.history and bool(target.id) is not bool(target.query))
    )
    if not target or not fits:
        text = f"{method} takes a URL such as {_FORMS[method]}."
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, expression)
    if target.type == "Subscription":
        text = f"Subscriptions are not handled in Bundles: send them to {base}/Subscription on their own."
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, expression)
    return target._replace(id=unquote(target.id))


def _named(url: str) -> Target | None:
    """What a URL below the base names; None for what is none of an interaction."""
    path, _, query = url.partition("?")
    parts = path.split("/")
    match parts:
        case ["_history"]:
            return Target(history=True, query=query)
        case [type_, "_history"]:
            found = Target(type_, history=True, query=query)
        case [type_] | [type_, _]:
            found = Target(type_, "".join(parts[1:]), query=query)
        case [type_, id_, "_history"] | [type_, id_, "_history", _]:
            found = Target(type_, id_, True, "".join(parts[3:]), query)
        case _:
            return None
    return found if all(parts) and _TYPE.fullmatch(type_) else None
