"""JSON Patch: https://www.rfc-editor.org/rfc/rfc6902, with the JSON Pointers of https://www.rfc-editor.org/rfc/rfc6901."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from hub.errors import Refused
from hub.ingest.strict import parse_array
from hub.patch.tree import Budget, Container, Slot, Value, encoded, plain, root, same
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected

#: Operations of one patch.
MOST = 1000

#: The tokens of a JSON Pointer, unescaped.
Pointer: TypeAlias = tuple[str, ...]

_OPERATIONS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Op(StrEnum):
    """https://www.rfc-editor.org/rfc/rfc6902#section-4."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"
    MOVE = "move"
    COPY = "copy"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One operation.

    pointer, origin: `path` and `from`.
    value: Its JSON; null where it takes none.
    """

    op: Op
    pointer: Pointer
    origin: Pointer = ()
    value: bytes = b"null"


@dataclass(frozen=True, slots=True)
class JsonPatch:
    """A patch, understood."""

    operations: tuple[Operation, ...]

    @classmethod
    def read(cls, body: bytes, *, max_nesting: int) -> "JsonPatch":
        """Raises Rejected when it is no JSON Patch."""
        parsed = parse_array(body, max_nesting=max_nesting)
        if len(parsed) > MOST:
            raise Rejected(Issue(IssueCode.TOO_COSTLY, f"{len(parsed)} operations: a patch has {MOST} at most."))
        for index, given in enumerate(parsed):
            if not isinstance(given, dict):
                raise _malformed(index, "an operation is an object")
        rows = zip(parsed, _OPERATIONS.decode(body), strict=True)
        return cls(tuple(_operation(index, given, kept) for index, (given, kept) in enumerate(rows)))

    def applied(self, body: bytes, *, most: int) -> bytes:
        """
        A resource's JSON with all operations done, in their order.

        Args:
            most: Bytes that may be copied and compared.

        Raises:
            Refused: 422 when a place isn't there, or a test fails; 413 when it takes too much.
        """
        holder: list[Value] = [root(body)]
        budget = Budget(most)
        type_ = str(plain(root(body)["resourceType"]))
        for index, operation in enumerate(self.operations):
            try:
                _do(operation, holder, budget)
            except _Impossible as error:
                told = f"Operation {index} (`{operation.op}` at `{_written(error.pointer)}`): {error}."
                raise Refused.because(422, IssueCode.BUSINESS_RULE, told, _expression(type_, error.pointer)) from None
        return encoded(holder[0])


class _Impossible(Exception):
    """An operation can't be done, because of what is at a place of the resource."""

    def __init__(self, text: str, pointer: Pointer) -> None:
        super().__init__(text)
        self.pointer = pointer


def _operation(index: int, given: Mapping[str, Any], kept: Mapping[str, msgspec.Raw]) -> Operation:
    try:
        op = Op(given.get("op", ""))
    except ValueError:
        raise _malformed(index, f"`op` must be one of {', '.join(Op)}") from None
    pointer = _pointer(index, "path", given)
    if op in (Op.MOVE, Op.COPY):
        origin = _pointer(index, "from", given)
        if op is Op.MOVE and len(origin) < len(pointer) and pointer[: len(origin)] == origin:
            raise _malformed(index, "nothing can be moved into itself")
        return Operation(op, pointer, origin)
    if op is Op.REMOVE:
        return Operation(op, pointer)
    if "value" not in kept:
        raise _malformed(index, f"`{op}` needs a `value`")
    return Operation(op, pointer, value=bytes(kept["value"]))


def _pointer(index: int, name: str, given: Mapping[str, Any]) -> Pointer:
    pointer = given.get(name)
    if not isinstance(pointer, str) or not _POINTER.fullmatch(pointer):
        raise _malformed(index, f"`{name}` must be a JSON Pointer, such as `/name/0/family`")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def _malformed(index: int, text: str) -> Rejected:
    return Rejected(Issue(IssueCode.INVALID, f"Operation {index} of the JSON Patch: {text}."))


def _do(operation: Operation, holder: list[Value], budget: Budget) -> None:
    pointer = operation.pointer
    match operation.op:
        case Op.ADD:
            _add(holder, pointer, msgspec.Raw(operation.value))
        case Op.REMOVE:
            _take(holder, pointer)
        case Op.REPLACE:
            _slot(holder, pointer).put(msgspec.Raw(operation.value))
        case Op.MOVE if operation.origin == pointer:
            _slot(holder, pointer)
        case Op.MOVE:
            _add(holder, pointer, _take(holder, operation.origin))
        case Op.COPY:
            copied = encoded(_slot(holder, operation.origin).value)
            budget.spend(len(copied))
            _add(holder, pointer, msgspec.Raw(copied))
        case Op.TEST:
            found = encoded(_slot(holder, pointer).value)
            budget.spend(len(found))
            if not same(plain(msgspec.Raw(found)), plain(msgspec.Raw(operation.value))):
                raise _Impossible("the value there is another one", pointer)


def _container(holder: list[Value], pointer: Pointer) -> tuple[Container, str]:
    """What holds, or would hold, the value at a pointer; the last token. The whole resource is held by `holder`."""
    container: Container = holder
    tokens = ("0", *pointer)
    for depth, token in enumerate(tokens[:-1]):
        found = _held(container, token, pointer[:depth]).value
        if isinstance(found, msgspec.Raw):
            raise _Impossible("there is no object or array there", pointer[:depth])
        container = found
    return container, tokens[-1]


def _held(container: Container, token: str, pointer: Pointer) -> Slot:
    """What stands at a token."""
    if isinstance(container, dict):
        if token not in container:
            raise _Impossible("there is nothing there", pointer)
        return Slot(container, token)
    if not _INDEX.fullmatch(token):
        raise _Impossible(f"`{token[:60]}` is not the index of an item", pointer)
    if int(token) >= len(container):
        raise _Impossible(f"the array has {len(container)} items", pointer)
    return Slot(container, int(token))


def _slot(holder: list[Value], pointer: Pointer) -> Slot:
    container, token = _container(holder, pointer)
    return _held(container, token, pointer)


def _take(holder: list[Value], pointer: Pointer) -> Value:
    if not pointer:
        raise _Impossible("the resource as a whole can be neither removed nor moved", pointer)
    return _slot(holder, pointer).take()


def _add(holder: list[Value], pointer: Pointer, value: Value) -> None:
    container, token = _container(holder, pointer)
    if isinstance(container, dict):
        container[token] = value
    elif container is holder:
        holder[0] = value
    elif token == "-" or token == str(len(container)):  # noqa: S105 (the place behind an array's last item)
        container.append(value)
    else:
        _held(container, token, pointer).insert(value)


def _written(pointer: Pointer) -> str:
    """As JSON writes it, cut where it gets long."""
    return "".join(f"/{token.replace('~', '~0').replace('/', '~1')}" for token in pointer)[:200]


def _expression(type_: str, pointer: Pointer) -> str:
    """The FHIRPath of a place, as far as its tokens are names and indexes."""
    found = type_
    for token in pointer:
        if _INDEX.fullmatch(token):
            found += f"[{token}]"
        elif _NAME.fullmatch(token):
            found += f".{token}"
        else:
            break
    return found
