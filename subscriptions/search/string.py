"""
String search: https://hl7.org/fhir/R4/search.html#string. Equal is what starts with it, case and accents aside.

`:contains` finds it anywhere, `:exact` as the whole string "including casing and accents". R5's `:text` is "processed
as input to a search with advanced text handling", which no two servers do alike: it is rejected.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Access, Beginning, Criterion, Meets, source
from subscriptions.search.elements import string
from subscriptions.search.escapes import unescape
from subscriptions.search.extraction import Value

MODIFIERS = ("exact", "contains")

#: The parts of HumanName and Address that are strings.
_PARTS = ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country")


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: Nothing is left of one of the values that could be compared.
    """
    asked.uncompared()
    match asked.modifier:
        case None:
            return Criterion(source(asked.found, Reading()), StartsWith(frozenset(map(parse, asked.values))))
        case "contains":
            return Criterion(source(asked.found, Reading()), Contains(frozenset(map(parse, asked.values))))
        case "exact":
            keys = frozenset(normal(unescape(value)) for value in asked.values)
            return Criterion(source(asked.found, Exactly()), Meets(keys))
        case "text":
            raise asked.unsupported(MODIFIERS, "it asks for a text search, which the resource alone does not decide")
        case _:
            raise asked.unsupported(MODIFIERS)


def parse(text: str) -> str:
    """
    Read the beginning of a string, folded.

    Raises:
        Rejected: Nothing is left of it that could be compared.
    """
    folded = fold(unescape(text))
    if not folded:
        raise Rejected(Issue(IssueCode.VALUE, "a string needs a letter, a digit or a symbol to compare"))
    return folded


def fold(text: str) -> str:
    """Without case, combining characters and punctuation, and with single blanks."""
    kept = "".join(character for character in plain(text) if unicodedata.category(character)[0] != "P")
    return " ".join(kept.split())


def plain(text: str) -> str:
    """Without case and combining characters."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).casefold()
    return "".join(character for character in folded if unicodedata.category(character)[0] != "M")


def normal(text: str) -> str:
    """The one way to write what looks the same: `ā` is one character, whether it was sent as one or as two."""
    return unicodedata.normalize("NFC", text)


@dataclass(frozen=True, slots=True)
class Reading:
    """The strings of a value, folded. Of a family name each word is a beginning: `Carreno Quinones`."""

    def __call__(self, value: Value) -> Iterator[str]:
        if isinstance(value.data, str):
            yield from _beginnings(value.data) if value.path.endswith(".family") else [fold(value.data)]
        else:
            yield from _parts(value.data)


@dataclass(frozen=True, slots=True)
class Exactly:
    """The strings of a value as they are written."""

    def __call__(self, value: Value) -> Iterator[str]:
        texts = [value.data] if isinstance(value.data, str) else (text for _, text in _written(value.data))
        yield from map(normal, texts)


def _parts(data: Mapping[str, Any]) -> Iterator[str]:
    for name, text in _written(data):
        yield from _beginnings(text) if name == "family" else [fold(text)]


def _written(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The strings of a HumanName or an Address, each with the name of its part."""
    for name in _PARTS:
        found = data.get(name)
        yield from (
            (name, string(each)) for each in (found if isinstance(found, list) else [found]) if each is not None
        )


def _beginnings(text: str) -> Iterator[str]:
    words = fold(text).split(" ")
    return (" ".join(words[i:]) for i in range(len(words)))


@dataclass(frozen=True, slots=True)
class StartsWith:
    """One of the strings that were read starts with one of these."""

    beginnings: frozenset[str]

    @property
    def access(self) -> Access:
        return Beginning(self.beginnings)

    def passes(self, read: frozenset[Any]) -> bool:
        beginnings = tuple(self.beginnings)
        return any(text.startswith(beginnings) for text in read)


@dataclass(frozen=True, slots=True)
class Contains:
    """One of these stands somewhere in one of the strings that were read."""

    texts: frozenset[str]

    @property
    def access(self) -> Access:
        return None

    def passes(self, read: frozenset[Any]) -> bool:
        return any(text in each for text in self.texts for each in read)
