"""
URI search: https://hl7.org/fhir/R4/search.html#uri. "Matches are precise, case, accent, and escape sensitive, and the
entire URI must match."

`:below` and `:above` go by the segments of a URL's path: `http://a.example/fhir` is above `http://a.example/fhir/1`,
and not above `http://a.example/fhir2`. A slash at the end makes no difference; a query or a fragment is below the path
that it stands behind. "Note that the :above and :below modifiers only apply to URLs, and not URNS such as OIDs."

R5's `:contains` is "case-insensitive and combining-character insensitive". References to what is contained (`#q`) can't
be asked for from outside.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Criterion, Meets, source
from subscriptions.search.elements import string
from subscriptions.search.escapes import split, unescape
from subscriptions.search.extraction import Value
from subscriptions.search.string import Contains, StartsWith, plain

MODIFIERS = ("above", "below", "contains")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://)[^/?#]+([/?#].*)?")


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values is no URI, or with `:above` and `:below` no URL.
    """
    asked.uncompared()
    held = asked.found.parameter.held(asked.found.resource_type)
    match asked.modifier:
        case None:
            return Criterion(source(asked.found, Reading()), Meets(_all(asked, lambda value: parse(value, held))))
        case "above" | "below":
            return hierarchical(asked, lambda value: parse(value, held))
        case "contains" if asked.context.version is FhirVersion.R5:
            return Criterion(source(asked.found, Anywhere()), Contains(frozenset(map(_part, asked.values))))
        case _:
            raise asked.unsupported(MODIFIERS if asked.context.version is FhirVersion.R5 else MODIFIERS[:2])


def parse(text: str, held: Mapping[str, str | None]) -> frozenset[str]:
    """
    Read a URI, or a canonical with `|version` where the values are canonicals.

    Raises:
        Rejected: It is empty, or has a version although the values have none.
    """
    url, *version = (unescape(part) for part in split(text, "|"))
    if not url or url.startswith("#") or len(version) > 1:
        raise Rejected(Issue(IssueCode.VALUE, "a URI is expected"))
    if version and "canonical" not in held:
        reason = r"the values are URIs without a version: give the URI alone; a literal `|` is written `\|`"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    return frozenset({"|".join((url, *version))})


def _part(text: str) -> str:
    """
    Raises:
        Rejected: Nothing is left of it that could be compared.
    """
    part = plain(unescape(text))
    if not part:
        raise Rejected(Issue(IssueCode.VALUE, "a part of a URI is expected"))
    return part


def hierarchical(asked: Asked, parsed: Callable[[str], frozenset[str]]) -> Criterion:
    """
    What `:above` and `:below` ask of URLs and canonicals.

    Args:
        parsed: Reads a value as it is without modifier.

    Raises:
        Rejected: One of the values is no URL.
    """
    levels = [_levels(url) for url in _all(asked, parsed)]
    if asked.modifier == "below":
        return Criterion(source(asked.found, Levels()), StartsWith(frozenset(each[-1] for each in levels)))
    return Criterion(source(asked.found, Levels()), Meets(frozenset().union(*levels)))


def _all(asked: Asked, parsed: Callable[[str], frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*map(parsed, asked.values))


def _levels(canonical: str) -> list[str]:
    """
    A URL and everything above it, itself last. What is below one begins with it.

    With a version only this one's parts are levels, from `2` by `2.1` to `2.1.3`: of the same URL.
    """
    url, bar, version = canonical.partition("|")
    found = _URL.fullmatch(url)
    if not found:
        raise Rejected(Issue(IssueCode.VALUE, "`:above` and `:below` compare URLs, as `http://a.example/fhir`"))
    if bar:
        numbers = version.split(".")
        return [f"{url}|{'.'.join(numbers[:length])}." for length in range(1, len(numbers) + 1)]
    parts = _path(url).removeprefix(found[1]).removesuffix("/").split("/")
    return [f"{found[1]}{'/'.join(parts[:length])}/" for length in range(1, len(parts) + 1)]


def _path(url: str) -> str:
    """A URL as a path that ends with a slash, its query or fragment being a part of its own."""
    path = re.split("[?#]", url, maxsplit=1)[0]
    behind = url.removeprefix(path).rstrip("/")
    return f"{path.rstrip('/')}/{behind}/" if behind else f"{path.rstrip('/')}/"


@dataclass(frozen=True, slots=True)
class Reading:
    """The keys of a URI: itself, and for a canonical also without its version."""

    def __call__(self, value: Value) -> Iterator[str]:
        if not string(value.data).startswith("#"):
            yield value.data
            if value.type == "canonical":
                yield value.data.partition("|")[0]


@dataclass(frozen=True, slots=True)
class Anywhere:
    """A URI without case and combining characters."""

    def __call__(self, value: Value) -> Iterator[str]:
        yield plain(string(value.data))


@dataclass(frozen=True, slots=True)
class Levels:
    """A URI, and a canonical with its version, each ended so that it begins only with what is above it."""

    def __call__(self, value: Value) -> Iterator[str]:
        url, version = string(value.data), ""
        if value.type != "uri":
            url, _, version = url.partition("|")
        yield _path(url)
        if version:
            yield f"{url}|{version}."
