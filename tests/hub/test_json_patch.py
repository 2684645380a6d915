"""JSON Patch, by the examples of RFC 6902's appendix A: https://www.rfc-editor.org/rfc/rfc6902#appendix-A."""

from typing import Any

import msgspec
import pytest

from hub.errors import Refused
from hub.patch import applied
from hub.patch.json_patch import JsonPatch
from subscriptions.errors import Rejected


def done(before: Any, *operations: dict[str, Any]) -> Any:
    """What a patch makes of the member `x` of a resource, whose pointers begin there."""
    placed = [{**each, **{name: f"/x{each[name]}" for name in ("path", "from") if name in each}} for each in operations]
    patch = JsonPatch.read(msgspec.json.encode(placed), max_nesting=20)
    made = applied(patch, msgspec.json.encode({"resourceType": "Basic", "x": before}), most=10_000)
    return msgspec.json.decode(made)["x"]


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        pytest.param(
            {"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux"}, {"baz": "qux", "foo": "bar"}, id="A1"
        ),
        pytest.param(
            {"foo": ["bar", "baz"]},
            {"op": "add", "path": "/foo/1", "value": "q"},
            {"foo": ["bar", "q", "baz"]},
            id="A2",
        ),
        pytest.param({"baz": "qux", "foo": "bar"}, {"op": "remove", "path": "/baz"}, {"foo": "bar"}, id="A3"),
        pytest.param({"foo": ["a", "q", "b"]}, {"op": "remove", "path": "/foo/1"}, {"foo": ["a", "b"]}, id="A4"),
        pytest.param({"baz": "qux"}, {"op": "replace", "path": "/baz", "value": "boo"}, {"baz": "boo"}, id="A5"),
        pytest.param(
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            {"op": "move", "from": "/foo/waldo", "path": "/qux/thud"},
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
            id="A6",
        ),
        pytest.param(
            {"foo": ["all", "grass", "cows", "eat"]},
            {"op": "move", "from": "/foo/1", "path": "/foo/3"},
            {"foo": ["all", "cows", "eat", "grass"]},
            id="A7",
        ),
        pytest.param({"a": ["b", 2]}, {"op": "test", "path": "/a/1", "value": 2.0}, {"a": ["b", 2]}, id="A8"),
        pytest.param(
            {"foo": "bar"}, {"op": "add", "path": "/c", "value": {"g": {}}}, {"foo": "bar", "c": {"g": {}}}, id="A10"
        ),
        pytest.param(
            {"foo": "bar"}, {"op": "add", "path": "/b", "value": "q", "xyz": 1}, {"foo": "bar", "b": "q"}, id="A11"
        ),
        pytest.param({"/": 9, "~1": 10}, {"op": "test", "path": "/~01", "value": 10}, {"/": 9, "~1": 10}, id="A14"),
        pytest.param(
            {"foo": ["bar"]}, {"op": "add", "path": "/foo/-", "value": ["a"]}, {"foo": ["bar", ["a"]]}, id="A16"
        ),
        pytest.param({"a": [1]}, {"op": "copy", "from": "/a", "path": "/b"}, {"a": [1], "b": [1]}, id="copy"),
        pytest.param(
            {"a": {"b": 1}}, {"op": "copy", "from": "/a", "path": "/a/c"}, {"a": {"b": 1, "c": {"b": 1}}}, id="in"
        ),
        pytest.param({"a": 1}, {"op": "move", "from": "/a", "path": "/a"}, {"a": 1}, id="move-nowhere"),
        pytest.param({"a": 1}, {"op": "replace", "path": "", "value": None}, None, id="replace-all"),
        pytest.param({"a": 1}, {"op": "add", "path": "/a", "value": 2}, {"a": 2}, id="add-is-replace"),
        pytest.param({"": 1}, {"op": "replace", "path": "/", "value": 2}, {"": 2}, id="empty-name"),
    ],
)
def test_an_operation_does_what_the_rfc_says(before: Any, operation: dict[str, Any], after: Any) -> None:
    assert done(before, operation) == after


@pytest.mark.parametrize(
    ("before", "operation"),
    [
        pytest.param({"baz": "qux"}, {"op": "test", "path": "/baz", "value": "bar"}, id="A9"),
        pytest.param({"foo": "bar"}, {"op": "add", "path": "/baz/bat", "value": "qux"}, id="A12"),
        pytest.param({"~1": 10}, {"op": "test", "path": "/~01", "value": "10"}, id="A15"),
        pytest.param({"a": [0]}, {"op": "test", "path": "/a/-", "value": 0}, id="nothing-behind-the-end"),
        pytest.param({"a": {"b": 1}}, {"op": "test", "path": "/a", "value": {"b": 1, "c": 2}}, id="more-members"),
        pytest.param({"a": [1, 2]}, {"op": "test", "path": "/a", "value": [2, 1]}, id="another-order"),
        pytest.param({"a": None}, {"op": "test", "path": "/a", "value": False}, id="null-is-not-false"),
    ],
)
def test_an_operation_that_the_rfc_has_fail_fails(before: Any, operation: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        done(before, operation)
    assert refused.value.status == 422


def test_an_operation_with_two_ops_is_malformed() -> None:
    """Appendix A.13."""
    with pytest.raises(Rejected):
        JsonPatch.read(b'[{"op":"add","path":"/baz","value":"qux","op":"remove"}]', max_nesting=20)
