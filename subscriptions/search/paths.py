"""
The way from a resource to the parameter that a filter is on: https://hl7.org/fhir/R4/search.html#chaining, #has.

    path = *link parameter [":" modifier]
    link = parameter [":" type] "."  |  "_has:" type ":" parameter ":"
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected

#: The most links between a resource and the values that it is judged by.
MOST_LINKS = 4

_FORWARD = re.compile(r"([_a-z][A-Za-z0-9_\-]*)(?::([A-Z][A-Za-z]*))?\.(.+)", re.DOTALL)
_BACKWARD = re.compile(r"_has:([A-Z][A-Za-z]*):([_a-z][A-Za-z0-9_\-]*):(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Forward:
    """To what a reference parameter points to. `type`: only to this one; None for any that it can point to."""

    code: str
    type: str | None


@dataclass(frozen=True, slots=True)
class Backward:
    """To the resources of a type whose reference parameter points here."""

    type: str
    code: str


Link: TypeAlias = Forward | Backward


@dataclass(frozen=True, slots=True)
class Path:
    """The links from a resource to the one that has the parameter."""

    links: tuple[Link, ...]
    code: str
    modifier: str | None


@lru_cache(maxsize=4096)
def path(parameter: str, modifier: str | None) -> Path:
    """
    Read a parameter's name. Of `subject:Patient.name:exact`, whoever looks for a colon first has taken off all of
    `Patient.name:exact` as the modifier.

    Raises:
        Rejected: There are too many links, or `_has` is not written as it must be.
    """
    name = parameter if modifier is None else f"{parameter}:{modifier}"
    rest, links = name, list[Link]()
    while True:
        if back := _BACKWARD.fullmatch(rest):
            links.append(Backward(back[1], back[2]))
            rest = back[3]
        elif forth := _FORWARD.fullmatch(rest):
            links.append(Forward(forth[1], forth[2]))
            rest = forth[3]
        else:
            break
    code, colon, last = rest.partition(":")
    if code == "_has":
        reason = f"`{name}` is not of the form `_has:Type:reference:parameter`, as in `_has:Observation:patient:code`"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    if len(links) > MOST_LINKS:
        reason = f"`{name}` follows {len(links)} references, one behind the other; {MOST_LINKS} are allowed"
        raise Rejected(Issue(IssueCode.TOO_COSTLY, reason))
    return Path(tuple(links), code, last if colon else None)
