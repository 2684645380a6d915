"""
Where a FHIRPath leads in a resource's tree: https://hl7.org/fhir/R4/fhirpatch.html.

A patch must know the place of what it changes, which an engine does not tell. So a path is walked here, name by name;
what stands in the brackets of a `where` is left to the engine.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from fhirpathpy.engine.nodes import ResourceNode

from hub.patch.element import Found, Impossible, children
from hub.patch.tree import plain
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.fhirpath import accept
from subscriptions.search.metered import metered

#: Steps of the engine for one element that a criterion is asked about, and such elements of one patch.
STEPS, LOOKS = 2000, 1000
#: Elements that one patch may look at.
ELEMENTS = 100_000

_STEP = re.compile(r"\[\s*(?P<index>[0-9]{1,6})\s*\]|\.?(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|`(?P<quoted>[^`]+)`)")
#: Up to the bracket that closes: what is quoted may hold brackets of its own.
_PART = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[^'\"`()]+", re.DOTALL)
_URL = re.compile(r"\s*'([^'\\]+)'\s*")
_TYPE = re.compile(r"\s*(?:FHIR\.|System\.)?`?([A-Za-z][A-Za-z0-9]*)`?\s*")


class StepKind(Enum):
    """A step of a path."""

    NAME = auto()
    INDEX = auto()
    FIRST = auto()
    LAST = auto()
    SINGLE = auto()
    TYPE = auto()
    WHERE = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """`text`: The name, index, type or criterion."""

    kind: StepKind
    text: str = ""


Steps: TypeAlias = tuple[Step, ...]

_BARE = {"first": StepKind.FIRST, "last": StepKind.LAST, "single": StepKind.SINGLE}
_SUPPORTED = "names, indexes, where(), extension(), ofType(), as(), first(), last() and single()"


def steps(path: str, expression: str) -> Steps:
    """
    The steps of a path.

    Args:
        expression: Where the path stands, for errors.

    Raises:
        Rejected: It is not FHIRPath, or more of it than a patch takes.
    """
    return tuple(_steps(path.strip(), expression))


@dataclass(slots=True)
class Walk:
    """
    The paths of one patch, walked.

    looks, elements: That are left of LOOKS and ELEMENTS.
    """

    resource: Found
    looks: int = LOOKS
    elements: int = ELEMENTS

    def spend(self, elements: int) -> None:
        """Have looked at so many elements. Raises Impossible when these are too many."""
        self.elements -= elements
        if self.elements < 0:
            raise Impossible(f"the patch looks at more than {ELEMENTS} elements in all")

    def found(self, path: Steps) -> list[Found]:
        """
        What a path leads to.

        Raises:
            Impossible: A type has no such element, or a criterion can't be evaluated.
        """
        found = [self.resource]
        # A path may begin with the type of the resource.
        begins = bool(path) and path[0] == Step(StepKind.NAME, self.resource.type)
        for step in path[begins:]:
            found = self._stepped(found, step)
            self.spend(len(found))
        return found

    def _stepped(self, found: list[Found], step: Step) -> list[Found]:
        match step.kind:
            case StepKind.NAME:
                return [child for each in found for child in children(each, step.text)]
            case StepKind.INDEX:
                return found[int(step.text) :][:1]
            case StepKind.FIRST:
                return found[:1]
            case StepKind.LAST:
                return found[-1:]
            case StepKind.SINGLE:
                if len(found) > 1:
                    raise Impossible(f"single() finds {len(found)} elements")
                return found
            case StepKind.TYPE:
                return [each for each in found if each.type == step.text]
            case StepKind.WHERE:
                return self._where(found, step.text)
            case other:
                assert_never(other)

    def _where(self, found: list[Found], criterion: str) -> list[Found]:
        self.looks -= len(found)
        if self.looks < 0:
            raise Impossible(f"the criteria look at more than {LOOKS} elements in all")
        version = self.resource.version
        evaluate = metered(criterion, version, steps=STEPS)
        met = []
        for each in found:
            # fhirpathpy has no types.
            node = ResourceNode.create_node(plain(each.value), each.path)  # type: ignore[no-untyped-call]
            try:
                met += [each] if evaluate(node, None) else []
            except Exception as error:  # whatever the engine's operators meet
                raise Impossible(f"`{criterion[:100]}` failed: {str(error)[:100]}") from None
        return met


def _steps(path: str, expression: str) -> Iterator[Step]:
    position = 0
    while position < len(path) or not position:
        found = _STEP.match(path, position)
        if not found or (found["index"] is None and found[0].startswith(".") is not bool(position)):
            raise _refused(f"`{path[:100]}` can't be read from `{path[position : position + 20]}` on", expression)
        position = found.end()
        if found["index"] is not None:
            yield Step(StepKind.INDEX, found["index"])
        elif path[position : position + 1] == "(" and found["name"]:
            end = _closing(path, position + 1, expression)
            yield from _function(found["name"], path[position + 1 : end], expression)
            position = end + 1
        else:
            yield Step(StepKind.NAME, found["name"] or found["quoted"])


def _closing(path: str, position: int, expression: str) -> int:
    """Where the bracket closes that was opened before a position."""
    open_ = 1
    while position < len(path):
        if path[position] in "()":
            open_ += 1 if path[position] == "(" else -1
            if not open_:
                return position
            position += 1
        elif part := _PART.match(path, position):
            position = part.end()
        else:
            break
    raise _refused(f"a bracket or a quotation of `{path[:100]}` is not closed", expression)


def _function(name: str, argument: str, expression: str) -> Steps:
    if name in _BARE and not argument.strip():
        return (Step(_BARE[name]),)
    if name in ("ofType", "as") and (type_ := _TYPE.fullmatch(argument)):
        return (Step(StepKind.TYPE, type_[1]),)
    if name == "extension" and (url := _URL.fullmatch(argument)):
        return Step(StepKind.NAME, name), Step(StepKind.WHERE, f"where(url = '{url[1]}')")
    if name == "where":
        criterion = f"where({argument})"
        try:
            accept(criterion)
        except Rejected as rejected:
            raise Rejected(*(Issue(each.code, each.text, expression) for each in rejected.issues)) from None
        return (Step(StepKind.WHERE, criterion),)
    raise _refused(f"`{name}({argument[:60]})` can't be part of a path, which is made of {_SUPPORTED}", expression)


def _refused(text: str, expression: str) -> Rejected:
    return Rejected(Issue(IssueCode.NOT_SUPPORTED, f"{text[0].upper()}{text[1:]}.", expression))
