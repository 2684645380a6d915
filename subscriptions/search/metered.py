"""
FHIRPath of somebody else, with a limit to what an evaluation may cost.

It is counted in steps, not in time: an expression that fails on a change fails on it everywhere, and whenever it is
matched again. A step is something like a microsecond. The engine's functions and operators pay for what they are given,
for what they make, and for each time that they evaluate what is in their brackets; a path pays for each element that it
looks at.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import Any, TypeAlias

from fhirpathpy.engine import do_eval
from fhirpathpy.engine.invocations import invocation_registry
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.parser import parse

from subscriptions.codes import FhirVersion
from subscriptions.search import operators
from subscriptions.search.fhirpath import Compiled, is_bare, model, untraced
from subscriptions.search.patterns import pattern

#: Steps that one evaluation may take.
LIMIT = 100_000

#: Look at all that is within what they compare.
_WHOLE = frozenset({"|", "union", "distinct", "isDistinct", "=", "!=", "~", "!~"})
#: Compare each with each.
_PAIRS = frozenset({"intersect", "exclude", "subsetOf", "supersetOf", "containsOp", "inOp"})
#: Write one of their strings as often as the other is long.
_WRITING = frozenset({"replace", "join"})
#: Characters that are copied in one step.
_CHARACTERS = 256

_Function: TypeAlias = Callable[..., Any]

# The engine has no types.
_parsed: Callable[[str], Mapping[str, Any]] = parse
_evaluated: Callable[[dict[str, Any], list[Any], Any], list[Any]] = do_eval


class TooCostly(Exception):
    """An evaluation took more steps than it may."""


class _Meter:
    def __init__(self, steps: int) -> None:
        self._steps = self._left = steps

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooCostly(f"it takes more than {self._steps} steps")

    def watched(self, within: _Function, more: int) -> _Function:
        """What is in a function's brackets, paid for each time, with so much on top."""

        def run(data: Any) -> Any:
            found = within(data)
            self.spend(1 + more + _size(found))
            return found

        return run


class _Model(dict[str, Any]):
    """What the engine knows of a FHIR version, which it looks up for each element on a path."""

    def __init__(self, known: Mapping[str, Any], meter: _Meter) -> None:
        super().__init__(known)
        self._meter = meter

    def __getitem__(self, table: str) -> Any:
        self._meter.spend(1)
        return super().__getitem__(table)


def metered(expression: str, version: FhirVersion, *, steps: int = LIMIT) -> Compiled:
    """An accepted expression, compiled, whose evaluation raises TooCostly when it takes more steps."""
    syntax = _syntax(expression)

    def evaluate(resource: Any, variables: dict[str, Any] | None) -> list[Any]:
        root, meter = [resource], _Meter(steps)
        context = {
            "dataRoot": root,
            "vars": {"context": resource, "ucum": "http://unitsofmeasure.org", **(variables or {})},
            "model": _Model(model(version), meter),
            "userInvocationTable": _METERED,
            "traceFn": untraced,
            "meter": meter,
        }
        found = _evaluated(context, root, syntax)
        return [each for each in found if not (isinstance(each, ResourceNode) and is_bare(each.data))]

    return evaluate


# The same for each FHIR version.
@lru_cache(maxsize=256)
def _syntax(expression: str) -> Any:
    return _parsed(expression)["children"][0]


def _pays(name: str, function: _Function) -> _Function:
    @wraps(function)
    def run(context: dict[str, Any], *given: Any) -> Any:
        meter: _Meter = context["meter"]
        meter.spend(1 + _price(name, given))
        # `repeat` copies all that it has yet to go through each time.
        more = _size(given[0]) // _CHARACTERS if name == "repeat" else 0
        found = function(context, *(meter.watched(each, more) if callable(each) else each for each in given))
        meter.spend(_size(found))
        return found

    return run


def _price(name: str, given: tuple[Any, ...]) -> int:
    """What a function costs before it has made anything."""
    if name in _WHOLE:
        return sum(map(_weight, given))
    if name in _PAIRS:
        first, second = given
        return (1 + len(first)) * _weight(second) + (1 + len(second)) * _weight(first)
    if name in _WRITING:
        price = 1
        for each in given:
            price *= 1 + _length(each)
        return price // _CHARACTERS
    return sum(map(_size, given))


def _size(value: Any) -> int:
    """What it costs to hand something on: a step for each item, and for so many characters or digits."""
    if isinstance(value, list):
        return len(value) + (_size(value[0]) if len(value) == 1 else 0)
    data = value.data if isinstance(value, ResourceNode) else value
    if isinstance(data, str):
        return len(data) // _CHARACTERS
    return data.bit_length() // _CHARACTERS if isinstance(data, int) else 0


def _weight(value: Any) -> int:
    """All values in something. Counting ends behind the limit."""
    count, waiting = 0, [value]
    while waiting and count <= LIMIT:
        each = waiting.pop()
        count += 1
        data = each.data if isinstance(each, ResourceNode) else each
        if isinstance(data, Mapping):
            waiting += data.values()
        elif isinstance(data, list):
            waiting += data
        else:
            count += _size(data)
    return count


def _length(value: Any) -> int:
    """Characters of a string, or of all in a list, and how many these are."""
    if isinstance(value, list):
        return len(value) + sum(map(_length, value))
    data = value.data if isinstance(value, ResourceNode) else value
    return len(data) if isinstance(data, str) else 0


def _matches(context: dict[str, Any], given: Any, wanted: Any) -> Any:
    if not wanted or not given:
        return []
    texts = [
        each.data if isinstance(each, ResourceNode) else each
        for each in (given if isinstance(given, list) else [given])
    ]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise ValueError("`matches` is for one string")
    compiled = pattern(wanted)
    context["meter"].spend(len(texts[0]) * compiled.size // 4)
    return compiled.found_in(texts[0])


_ENGINES: Mapping[str, Any] = invocation_registry
_OWN: Mapping[str, _Function] = {
    "matches": _matches,
    "=": operators.equal,
    "!=": operators.unequal,
    "|": operators.union,
    "union": operators.union,
    "distinct": operators.distinct,
}
_METERED = {name: {**entry, "fn": _pays(name, _OWN.get(name, entry["fn"]))} for name, entry in _ENGINES.items()}
