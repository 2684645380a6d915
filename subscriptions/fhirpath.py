"""
A trigger's FHIRPath: https://hl7.org/fhir/R5/subscriptiontopic-definitions.html (resourceTrigger.fhirPathCriteria).

`%previous` and `%current` are the versions before and after, empty where there is none. Paths that begin with neither
start at the newer of both.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import fhirpathpy
from antlr4 import CommonTokenStream, InputStream
from antlr4.error.ErrorListener import ErrorListener
from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction, IssueCode
from subscriptions.errors import EvaluationError, Issue, Rejected
from subscriptions.search.extraction import model

#: What reads the clock: the same change would fire today and not tomorrow, and a repeat might not be one.
_CLOCK = re.compile(r"\b(now|today|timeOfDay)\s*\(\s*\)")
_STRING = re.compile(r"'(?:\\.|[^'\\])*'")


class Predicate:
    """An expression that is true or not. Get it from `predicate`: there is one object of each."""

    def __init__(self, expression: str, version: FhirVersion) -> None:
        """
        Raises:
            Rejected: It can't be parsed, or depends on the time at which it is evaluated.
        """
        self.expression = expression
        self.version = version
        clock = _CLOCK.search(_STRING.sub("''", expression))
        if clock:
            text = f"`{clock[0]}` is not supported: whether a change fires must not depend on when it is asked."
            raise Rejected(Issue(IssueCode.NOT_SUPPORTED, text))
        _parse(expression)
        try:
            # The engine writes what it traces to the standard output, unless it is told where to.
            options = {"traceFn": _untraced}
            self._evaluate: Callable[..., list[Any]] = fhirpathpy.compile(expression, model(version), options)
        except Exception as error:  # whatever the engine's parser raises
            raise _unparsable(expression, str(error)) from error

    def __repr__(self) -> str:
        return f"Predicate({self.expression!r}, {self.version})"

    def holds(self, change: Change) -> bool | EvaluationError:
        """Whether it is true of a change. Empty is not; anything but a truth value is an error."""
        previous = None if change.interaction is Interaction.CREATE else change.previous
        current = None if change.interaction is Interaction.DELETE else change.resource
        if previous is None and change.interaction is not Interaction.CREATE:
            return EvaluationError(f"the version of {change.type}/{change.id} before the change is not known")
        # An empty object would count as something: only an empty list is nothing.
        variables: Mapping[str, Any] = {"previous": previous or [], "current": current or []}
        try:
            found = self._evaluate(current or previous or {}, variables)
        except Exception as error:  # whatever the engine's operators meet
            return EvaluationError(f"`{self.expression}` failed: {' '.join(str(error).split())}")
        match found:
            case [] | [False]:
                return False
            case [True]:
                return True
        what = f"{len(found)} values" if len(found) > 1 else "a value that is neither true nor false"
        return EvaluationError(f"`{self.expression}` gives {what}")


@lru_cache(maxsize=4096)
def predicate(expression: str, version: FhirVersion) -> Predicate:
    """
    Raises:
        Rejected: As `Predicate` does.
    """
    return Predicate(expression, version)


def _parse(expression: str) -> None:
    """The engine's own parser passes over whatever it doesn't understand."""
    lexer = FHIRPathLexer(InputStream(expression))
    parser = FHIRPathParser(CommonTokenStream(lexer))
    strict = _Strict(expression)
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(strict)
    parser.entireExpression()  # type: ignore[no-untyped-call]  # generated code has no types


class _Strict(ErrorListener):  # type: ignore[misc]  # antlr4 has no types
    def __init__(self, expression: str) -> None:
        self._expression = expression

    def syntaxError(self, _recognizer: Any, _symbol: Any, _line: int, column: int, msg: str, _error: Any) -> None:
        raise _unparsable(self._expression, f"{msg} (at {column})")


def _unparsable(expression: str, reason: str) -> Rejected:
    return Rejected(Issue(IssueCode.INVALID, f"`{expression}` is not FHIRPath: {' '.join(reason.split())}"))


def _untraced(*_: object) -> None:
    pass
