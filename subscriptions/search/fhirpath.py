"""FHIRPath as the engine has it, and what of it is accepted from somebody else: https://hl7.org/fhirpath/N1/."""

import json
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, TypeAlias

import fhirpathpy
from antlr4 import CommonTokenStream, InputStream
from antlr4.error.ErrorListener import ErrorListener
from fhirpathpy.engine.invocations import invocation_registry
from fhirpathpy.models import models
from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected

#: From a resource and the values of environment variables to what is found, with the engine's nodes around it.
Compiled: TypeAlias = Callable[[Any, dict[str, Any] | None], list[Any]]

#: Of somebody else's expression: characters, of which so many take up to 0.4 s to parse and 1 MB to keep; and levels of
#: the syntax tree, each of which takes frames of the stack when it is evaluated, more in one process than in another.
LONGEST, DEEPEST = 1_000, 150

#: What reads the clock: the same change would fire today and not tomorrow, and a repeat might not be one.
_CLOCK = frozenset({"now", "today", "timeOfDay"})
#: The functions that the engine has, but the one that would backtrack; and `resolve`, without which extraction goes on.
_FUNCTIONS = frozenset(invocation_registry) - {"replaceMatches"} | {"resolve"}


def compiled(expression: str, version: FhirVersion) -> Compiled:
    """An expression, compiled. The engine raises anything for one that `accept` refuses, or fails when it is used."""
    # The engine writes what is traced to the standard output, unless it is told where to.
    options = {"returnRawData": True, "traceFn": untraced}
    found: Compiled = fhirpathpy.compile(expression, model(version), options)
    return found


# Asked for each FHIR version.
@lru_cache(maxsize=256)
def accept(expression: str) -> None:
    """
    Judge an expression of a topic's author. The engine's own parser passes over whatever it doesn't understand.

    Raises:
        Rejected: It is not FHIRPath, larger than LONGEST and DEEPEST, calls a function that there is none of, or
            depends on the time at which it is evaluated.
    """
    if len(expression) > LONGEST:
        text = f"an expression of {len(expression)} characters: at most {LONGEST} are read."
        raise Rejected(Issue(IssueCode.TOO_COSTLY, text))
    for name in _called(_parsed(expression)):
        if name in _CLOCK:
            text = f"`{name}()` is not supported: what is found in a change must not depend on when it is looked for."
            raise Rejected(Issue(IssueCode.NOT_SUPPORTED, text))
        if name not in _FUNCTIONS:
            raise Rejected(Issue(IssueCode.NOT_SUPPORTED, f"The function `{name}()` is not supported."))


@lru_cache(maxsize=4096)
def operands(expression: str) -> tuple[str, ...]:
    """
    What a union is of, in its order, also one in parentheses; of any other expression, whatever unions are inside it,
    this one alone.

    Raises:
        Rejected: It is not FHIRPath.
    """
    found, left = list[str](), [_parsed(expression).expression()]
    while left:
        tree = left.pop()
        text = expression[tree.start.start : tree.stop.stop + 1]
        if isinstance(tree, FHIRPathParser.UnionExpressionContext):
            left += reversed(tree.expression())
        elif text.startswith("(") and isinstance(inside := _inside(tree), FHIRPathParser.UnionExpressionContext):
            left.append(inside)
        else:
            found.append(text)
    return tuple(found)


def _inside(tree: Any) -> Any:
    """What stands in the parentheses that an expression consists of; the expression itself if it doesn't."""
    while isinstance(tree, FHIRPathParser.TermExpressionContext | FHIRPathParser.ParenthesizedTermContext):
        tree = tree.children[isinstance(tree, FHIRPathParser.ParenthesizedTermContext)]
    return tree


@cache
def choices(version: FhirVersion) -> frozenset[str]:
    """The names of the elements that have a choice of data types: `value`, which is `valueQuantity` in JSON."""
    return frozenset(path.rpartition(".")[2] for path in model(version)["choiceTypePaths"])


def _parsed(expression: str) -> Any:
    """The tree of an expression. Raises Rejected if it is not FHIRPath, or deeper than DEEPEST."""
    lexer = FHIRPathLexer(InputStream(expression))
    parser = FHIRPathParser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(_Strict(expression))
    try:
        tree = parser.entireExpression()  # type: ignore[no-untyped-call]  # generated code has no types
    except RecursionError:
        tree = None
    if tree is None or _depth(tree) > DEEPEST:
        text = f"`{expression[:80]}…` is nested too deeply: more than {DEEPEST} levels of its syntax."
        raise Rejected(Issue(IssueCode.TOO_COSTLY, text))
    return tree


def _called(tree: Any) -> Iterator[str]:
    """The names of the functions that are called anywhere in a syntax tree."""
    if isinstance(tree, FHIRPathParser.FunctnContext):
        yield tree.identifier().getText()  # type: ignore[no-untyped-call]  # generated code has no types
    for inner in getattr(tree, "children", None) or ():
        yield from _called(inner)


def _depth(tree: Any) -> int:
    """Levels of a syntax tree. Counting ends behind DEEPEST."""
    depth, level = 0, [tree]
    while level and depth <= DEEPEST:
        depth += 1
        level = [inner for outer in level for inner in getattr(outer, "children", None) or ()]
    return depth


@cache
def model(version: FhirVersion) -> dict[str, Any]:
    """The data types of a version's elements, and which have a choice of them. R4B's is a file of `refresh.py`'s."""
    if version is not FhirVersion.R4B:
        known: dict[str, Any] = models[version.value]
        return known
    tables: dict[str, dict[str, Any]] = {}
    for table, name, entry in json.loads((files(__package__) / "data" / "r4b-model.json").read_text("utf-8")):
        tables.setdefault(table, {})[name] = entry
    return tables


class _Strict(ErrorListener):  # type: ignore[misc]  # antlr4 has no types
    def __init__(self, expression: str) -> None:
        self._expression = expression

    def syntaxError(self, _recognizer: Any, _symbol: Any, _line: int, column: int, msg: str, _error: Any) -> None:
        reason = f"{' '.join(msg.split())} (at {column})"
        raise Rejected(Issue(IssueCode.INVALID, f"`{self._expression}` is not FHIRPath: {reason}"))


def is_bare(data: Any) -> bool:
    """Whether it is a primitive without a value, of which there are extensions alone: that is not found."""
    return isinstance(data, dict) and len(data) == 1 and "extension" in data


def untraced(*_: object) -> None:
    pass
