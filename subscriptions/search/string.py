"""String search: https://hl7.org/fhir/R4/search.html#string. Equal is what starts with it, case and accents aside."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Access, Beginning, Criterion, source
from subscriptions.search.escapes import unescape
from subscriptions.search.extraction import Value

#: The parts of HumanName and Address that are strings.
_PARTS = ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country")


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: Nothing is left of one of the values that could be compared.
    """
    asked.plain()
    beginnings = frozenset(parse(value) for value in asked.values)
    return Criterion(source(asked.found, Reading()), StartsWith(beginnings))


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
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).casefold()
    kept = "".join(character for character in plain if unicodedata.category(character)[0] not in "MP")
    return " ".join(kept.split())


@dataclass(frozen=True, slots=True)
class Reading:
    """The strings of a value, folded. Of a family name each word is a beginning: `Carreno Quinones`."""

    def __call__(self, value: Value) -> Iterator[str]:
        if isinstance(value.data, str):
            yield from _beginnings(value.data) if value.path.endswith(".family") else [fold(value.data)]
        else:
            yield from _parts(value.data)


def _parts(data: Mapping[str, Any]) -> Iterator[str]:
    for name in _PARTS:
        found = data.get(name) or []
        for text in [found] if isinstance(found, str) else found:
            if text is not None:
                yield from _beginnings(text) if name == "family" else [fold(text)]


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
