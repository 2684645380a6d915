"""
What can be wrong, as one tree.

* SubscriptionsError
  x Rejected            a client's resource or search can't be accepted; carries one Issue for each reason
  x EvaluationError     a trigger, filter or expression failed on a resource: set aside and counted, never a match
"""

from dataclasses import dataclass
from typing import Self

from subscriptions.codes import IssueCode

#: Characters of what an engine says.
MOST_CITED = 200


@dataclass(frozen=True, slots=True)
class Issue:
    """
    One reason, as it will stand in an OperationOutcome.

    `text` says what is wrong and what would be right; `expression` is the FHIRPath of the element
    (`Subscription.channel.endpoint`) or empty when there is none.
    """

    code: IssueCode
    text: str
    expression: str = ""


class SubscriptionsError(Exception):
    """Something this package can't go on with."""


class Rejected(SubscriptionsError):
    """A client's resource or search can't be accepted, for the reasons in `issues` (never empty)."""

    def __init__(self, *issues: Issue) -> None:
        super().__init__("; ".join(": ".join(filter(None, (issue.expression, issue.text))) for issue in issues))
        self.issues = issues


class EvaluationError(SubscriptionsError):
    """
    A trigger, filter or expression failed on a resource. It counts as no match, and is counted and shown.

    `cited` is what an engine said, which may cite the resource; `text` is all but that, and fit for a log.
    """

    def __init__(self, text: str, cited: str = "") -> None:
        super().__init__(": ".join(filter(None, (text, cited))))
        self.text = text
        self.cited = cited

    @classmethod
    def within(cls, text: str, error: Exception) -> Self:
        """What failed, because of what was met in it."""
        if isinstance(error, EvaluationError):
            return cls(f"{text}: {error.text}", error.cited)
        return cls(f"{text}: {type(error).__name__}", " ".join(str(error)[:MOST_CITED].split()))
