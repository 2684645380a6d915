"""
How a search's results are to come, beside which ones: https://hl7.org/fhir/R4/search.html#modifyingresults

There are no `_include`, `_revinclude` and `_contained`; they are refused as search parameters that are not known.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from hub.api.pages import Parameters, paging
from hub.api.subset import Subset, one, subset
from hub.errors import Refused
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected


class Total(StrEnum):
    """http://hl7.org/fhir/ValueSet/search-total. An estimate is exact here, too."""

    NONE = "none"
    ESTIMATE = "estimate"
    ACCURATE = "accurate"


@dataclass(frozen=True, slots=True)
class Results:
    """
    How results are to come.

    count: Entries on a page; 0 when only the total is wanted.
    cursor: Where the page begins; None for the first one.
    total: Whether the total is wanted; None for when it costs nothing.
    issues: What is not supported.
    """

    count: int
    cursor: str | None
    subset: Subset
    total: Total | None
    issues: tuple[Issue, ...] = ()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Raise Rejected for what is not supported, along with what the other parameters are refused for."""
        try:
            yield
        except Rejected as rejected:
            raise Rejected(*self.issues, *rejected.issues) from None
        if self.issues:
            raise Rejected(*self.issues)

    def known(self, total: int | None) -> int | None:
        """A total that costs nothing, unless the client wants none."""
        return None if self.total is Total.NONE else total


def results(
    asked: Parameters, type_: str, version: FhirVersion, *, most: int, order: str
) -> tuple[Results, list[tuple[str, str]]]:
    """
    Take out of a search what says how its results are to come; the other parameters say which.

    Args:
        most: Entries on a page.
        order: The one in which results come, as `_sort` has it.

    Raises:
        Refused: 400, for what is malformed or repeated.
    """
    count, cursor, rest = paging(asked, most)
    wanted, rest = subset(rest, type_, version, counts=True)
    total = one(rest, "_total", _read_total)
    issues = tuple(
        Issue(
            IssueCode.NOT_SUPPORTED, f"`_sort={by[:60]}`: what is found comes by `{order}`, and by nothing else.", name
        )
        for name, by in rest
        if name == "_sort" and by != order
    )
    rest = [(name, value) for name, value in rest if name not in ("_total", "_sort")]
    return Results(0 if wanted.only_total else count, cursor, wanted, total, issues), rest


def _read_total(value: str) -> Total:
    try:
        return Total(value)
    except ValueError:
        text = f"`_total` is one of {', '.join(Total)}, not {value[:60]}."
        raise Refused.because(400, IssueCode.VALUE, text, "_total") from None
