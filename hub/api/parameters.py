"""The parameters of a query or form."""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from hub.errors import Refused
from subscriptions.codes import IssueCode

#: In a query or form. Of values what divides them is counted, as it is or percent-encoded; `%2F` is, too.
MOST_PARAMETERS, MOST_VALUES = 100, 2_000


def parameters(query: str) -> list[tuple[str, str]]:
    """
    The parameters of a query string, without `_format` and `_pretty`.

    Raises:
        Refused: 400, when there are more than a search is worth: each is held against each resource that is looked at.
    """
    if query.count("&") >= MOST_PARAMETERS or query.count(",") + query.count("%2") >= MOST_VALUES:
        text = f"There may be {MOST_PARAMETERS} parameters, with {MOST_VALUES} values in all: ask more than once."
        raise Refused.because(400, IssueCode.TOO_COSTLY, text)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise Refused.because(400, IssueCode.VALUE, "The query is not percent-encoded UTF-8.") from None
    return [(name, value) for name, value in pairs if name not in ("_format", "_pretty")]


def without(parameters: Iterable[tuple[str, str]], taken: str) -> None:
    """Raise Refused, 400, when parameters are left that an interaction does not take. `taken`: What it does take."""
    if names := ", ".join(f"`{name[:60]}`" for name, _ in parameters):
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, f"{names}: this interaction takes {taken}.")
