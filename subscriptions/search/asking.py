"""What a filter asks, before it is compiled by the file of its parameter's type."""

from collections.abc import Iterable
from dataclasses import dataclass

from subscriptions.codes import Comparator, FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.extraction import Extraction
from subscriptions.search.vocabulary import EMPTY, Vocabulary

#: Modifiers of the standard that no filter can have, and why.
_UNDECIDABLE = {
    "text-advanced": "what it finds is up to a server's text search, and can't be decided from the resource alone",
    "iterate": "it is for `_include` and `_revinclude`, and no filter",
}


@dataclass(frozen=True, slots=True)
class Context:
    """
    What filters are understood in, whatever their topic.

    bases: The hub's own base URLs: references below them are the relative ones.
    chained: Whether filters may look at other resources that the hub holds. Rosters always may.
    vocabulary: The ValueSets and CodeSystems that they may name. Filters are compiled against it once: with another
        one they have to be compiled anew.
    """

    version: FhirVersion
    bases: frozenset[str]
    chained: bool = False
    vocabulary: Vocabulary = EMPTY


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A filter on one parameter.

    modifier: Without the colon; None without one. `missing`, which every type has, is seen to before.
    comparator: Where it is given apart from the values, as in R5; None otherwise. Types with an order find it in front
        of each value too.
    values: Joined by OR; FHIR's escapes are still in them. Never empty.
    """

    found: Extraction
    modifier: str | None
    comparator: Comparator | None
    values: tuple[str, ...]
    context: Context

    def plain(self) -> None:
        """
        Allow equality only.

        Raises:
            Rejected: Something else is asked.
        """
        self.unmodified()
        self.uncompared()

    def uncompared(self) -> None:
        """
        Allow no comparator but `eq`.

        Raises:
            Rejected: There is one.
        """
        code = self.found.parameter.code
        if self.comparator not in (None, Comparator.EQ):
            reason = f"the comparator `{self.comparator}` of `{code}` is not supported; only equality (`eq`) is"
            raise Rejected(Issue(IssueCode.NOT_SUPPORTED, reason))

    def unmodified(self) -> None:
        """
        Allow no modifier.

        Raises:
            Rejected: There is one.
        """
        if self.modifier is not None:
            raise self.unsupported()

    def unsupported(self, supported: Iterable[str] = (), why: str = "") -> Rejected:
        """
        What there is to say against the modifier.

        Args:
            supported: The modifiers that the parameter has besides `:missing`.
            why: What stands against this one in particular.
        """
        reason = f"the modifier `:{self.modifier}` of `{self.found.parameter.code}` is not supported"
        if why := why or _UNDECIDABLE.get(self.modifier or "", ""):
            reason = f"{reason}: {why}"
        names = ", ".join(f"`:{each}`" for each in (*supported, "missing"))
        return Rejected(Issue(IssueCode.NOT_SUPPORTED, f"{reason}; supported: {names}"))
