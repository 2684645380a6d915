"""The searches that writes depend on: https://hl7.org/fhir/R4/http.html#ccreate, #cond-update."""

import re

from hub.api.parameters import parameters
from hub.errors import Refused
from subscriptions.codes import IssueCode


def conditions(query: str, type_: str) -> list[tuple[str, str]]:
    """
    The parameters of a conditional create or reference: `identifier=x`, or with its type, `Patient?identifier=x`.

    Raises:
        Refused: 400 when there are none, or the type is another one.
    """
    named = re.match(r"([A-Za-z]*)\?", query)
    if named and named[1] not in ("", type_):
        text = f"The condition is about {named[1][:60]}, not {type_}."
        raise Refused.because(400, IssueCode.VALUE, text)
    return condition(parameters(query[named.end() :] if named else query))


def condition(asked: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The parameters of a search as a condition. Raises Refused, 400, when there are none."""
    if not asked:
        raise Refused.because(400, IssueCode.VALUE, "A condition is a search with at least one parameter.")
    return asked
