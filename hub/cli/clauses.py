"""How the clauses of an explanation are shown: what was wanted, what was found, and a mark that says how it went."""

from rich.text import Text

from hub.cli.plain import plain
from subscriptions.errors import EvaluationError

YES, NO, FAILED, NEITHER = ("✓", "green"), ("✗", "red"), ("?", "yellow"), ("–", "dim")


def mark(verdict: bool | EvaluationError) -> tuple[str, str]:
    return FAILED if isinstance(verdict, EvaluationError) else YES if verdict else NO


def clause(mark: tuple[str, str] | None, label: str, text: str) -> Text:
    """One line. What it says may come from a resource: it is no markup, and nothing that a terminal obeys."""
    return Text.assemble(mark or " ", " ", (f"{label:<9}", "dim"), plain(text))
