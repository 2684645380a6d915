"""
Where in a JSON text something stands, as a FHIRPath and as line and column.

The text is read token by token, and what is wrong with it is forgiven. That is slow: it is done for a refusal only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import TypeAlias

from hub.ingest.shapes import UNKNOWN, Kind, is_resource_type, shape
from subscriptions.codes import FhirVersion

#: Where the names of elements are looked up, since what is no JSON is of no version; another name is shown as it is.
_NAMES_OF = FhirVersion.R4

#: A string, perhaps with the colon that makes it a name; a bracket; or all up to the next of these.
_TOKEN = re.compile(
    r'\s*+(?:("[^"\\]*+(?:\\.[^"\\]*+)*+")(\s*+:)?|([{\[])|([}\]])|([^"{}\[\]\s][^"{}\[\]]*+))', re.DOTALL
)
#: As far as a text is read: about a second's work. 5 MB of FHIR have fewer.
MOST_TOKENS = 1_000_000
#: As far as it is read on from there, for the types that are told later: whoever wants a hub to work sends brackets.
MOST_BEHIND = 50_000

_NAME = re.compile(r"_?[a-z][A-Za-z0-9]{0,63}", re.ASCII)
_STRINGS = JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Sought:
    """
    What is looked for in a text: one of these.

    offset: Whatever stands there, or would be expected there.
    depth: A level of objects and arrays below so many.
    name: A name that its object had before.
    number: How a number begins, or a word without quotes.
    """

    offset: int | None = None
    depth: int | None = None
    name: str | None = None
    number: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """`line` and `column` count from 1. `expression` is empty where the text doesn't say what resource it is."""

    expression: str
    line: int
    column: int

    def __str__(self) -> str:
        at = f"line {self.line}, column {self.column}"
        return f"{self.expression} ({at})" if self.expression else at


def place(text: str, sought: Sought, *, most: int = MOST_TOKENS) -> Place | None:
    """The place of the first that is sought; None if it isn't there, or so far behind that it isn't looked for."""
    reading = _Reading(text, most)
    found = reading.until(sought)
    offset = sought.offset if found is None else found
    if offset is None:
        return None
    steps = [] if found is None else reading.steps
    if not _Way.along(steps).sure:
        reading.read_on(MOST_BEHIND)  # types may be told there
    return Place(_Way.along(steps).path, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


@dataclass(slots=True)
class _Level:
    """
    An object or array that is open.

    index: Of the item that is read, in an array; -1 in an object.
    name: Of the member that is read, in an object; empty between two.
    seen: It has had the name that is sought.
    type: Its `resourceType`, once that is read.
    """

    index: int
    name: str = ""
    seen: bool = False
    type: str = ""

    def go_on(self, text: str) -> None:
        """Past what is neither string nor bracket."""
        if self.index >= 0:
            self.index += text.count(",")
        elif "," in text:
            self.name = ""


#: An open object or array, and what of it is read: an item, a member, or an empty name for neither.
_Step: TypeAlias = tuple[_Level, int | str]


class _Reading:
    """How far a text has been read."""

    def __init__(self, text: str, most: int) -> None:
        self._text = text
        self._at = 0
        self._left = most
        self._levels: list[_Level] = []

    @property
    def steps(self) -> list[_Step]:
        """The way to where it has been read to."""
        return [(level, level.name if level.index < 0 else level.index) for level in self._levels]

    def until(self, sought: Sought) -> int | None:
        """Read on to what is sought, and return its offset; None if it does not come."""
        offset = len(self._text) if sought.offset is None else sought.offset
        number = re.compile(rf"(?<![\w.+-]){re.escape(sought.number)}") if sought.number else None
        levels, level = self._levels, self._levels[-1] if self._levels else _Level(0)
        while (found := _TOKEN.match(self._text, self._at)) and found.end() <= offset:
            match found.lastindex:
                case 1:
                    level.type = level.type or (_string(found[1]) if level.name == "resourceType" else "")
                case 2:
                    level.name = _string(found[1])
                    if level.name == sought.name:
                        if level.seen:
                            return found.start(1)
                        level.seen = True
                case 3:
                    if len(levels) == sought.depth:
                        return found.start(3)
                    level = _Level(-1 if found[3] == "{" else 0)
                    levels.append(level)
                case 4:
                    del levels[-1:]
                    level = levels[-1] if levels else _Level(0)
                case _:
                    if number and (hit := number.search(found[5])):
                        level.go_on(found[5][: hit.start()])
                        return found.start(5) + hit.start()
                    level.go_on(found[5])
            self._at = found.end()
            self._left -= 1
            if not self._left:
                return None
        if found and found[5]:
            level.go_on(self._text[found.start(5) : offset])
        return sought.offset

    def read_on(self, most: int) -> None:
        """To the end, but so many tokens at most."""
        self._left = min(self._left, most)
        self.until(Sought())


@dataclass(frozen=True, slots=True)
class _Way:
    """
    The way to a place.

    path: As a FHIRPath, as far as the names can be those of elements; empty if it does not begin at a resource.
    sure: No type on the way is missing.
    """

    path: str
    sure: bool

    @classmethod
    def along(cls, steps: Sequence[_Step]) -> "_Way":
        if not steps or steps[0][0].index >= 0:
            return cls("", sure=True)
        path, type_, sure = steps[0][0].type, UNKNOWN, True
        if not is_resource_type(path, _NAMES_OF):
            return cls("", sure=path != "")
        for level, part in steps:
            if isinstance(part, int):
                path += f"[{part}]"
                continue
            if type_ == UNKNOWN:
                type_ = level.type if is_resource_type(level.type, _NAMES_OF) else UNKNOWN
                sure &= level.type != ""
            if not _NAME.fullmatch(part):
                break
            element = shape(type_, _NAMES_OF).elements.get(part)
            path += f".{element.path}" if element else f".{part.removeprefix('_')}"
            type_ = element.type if element and element.kind is Kind.OBJECT else UNKNOWN
        return cls(path, sure)


def _string(text: str) -> str:
    """What a JSON string says; the text itself, if it is none."""
    try:
        return str(_STRINGS.decode(text)) if "\\" in text else text[1:-1]
    except JSONDecodeError:
        return text
