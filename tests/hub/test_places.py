"""Whatever is wrong with JSON is told with its place: the element where the text says what it is, line and column."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ingest.places import Place, Sought, place
from hub.ingest.strict import parse
from subscriptions.errors import Issue, Rejected


def refused(body: bytes) -> Issue:
    with pytest.raises(Rejected) as caught:
        parse(body, max_nesting=20)
    (issue,) = caught.value.issues
    return issue


def in_bundle(resource: bytes) -> bytes:
    """As the second of three entries, on a line of its own."""
    head = b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Person","name":[{"text":"{[\\"a\\",]}"}]}},'
    return head + b'\n{"resource":' + resource + b'},\n{"resource":{"resourceType":"Group"}}]}'


@pytest.mark.parametrize(
    ("resource", "expression", "column"),
    [
        pytest.param(b'{"resourceType":"Patient","name":[{},{"family":"a\\u0000"}]}', "name[1].family", 62, id="nul"),
        pytest.param(
            b'{"resourceType":"Patient","name":[{"given":["a","\\ud800"]}]}', "name[0].given[1]", 62, id="half"
        ),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":"a\x00"}]}', "name[0].family", 59, id="nul-raw"),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":"a\xff"}]}', "name[0].family", 59, id="not-utf-8"),
        pytest.param(b'{"resourceType":"Patient","active":true,"\\u0061ctive":1}', "active", 53, id="twice-escaped"),
        pytest.param(
            b'{"name":[{"text":"a","text":"b"}],"resourceType":"Patient"}', "name[0].text", 34, id="type-last"
        ),
        pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":1e400}', "multipleBirth", 62, id="exponent"),
        pytest.param(b'{"resourceType":"Patient","a":["-NaN",1,[2], 3,NaN]}', "a[4]", 60, id="nan-behind-others"),
        pytest.param(
            b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 50 + b"}", "multipleBirth", 62, id="digits"
        ),
        pytest.param(b'{"resourceType":"Patient","_birthDate":{"id":"\\u0000"}}', "birthDate.id", 59, id="extension"),
        pytest.param(
            b'{"resourceType":"Patient","contained":[{"resourceType":"Observation","valueString":"\\u0000"}]}',
            "contained[0].value",
            97,
            id="contained",
        ),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":"a",}]}', "name[0]", 61, id="trailing-comma"),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":"a"} {}]}', "name[0]", 62, id="no-comma"),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":tru}]}', "name[0].family", 57, id="no-value"),
        pytest.param(b'{"resourceType":"Patient","name":[{"fam\\u0000ily":"a"}]}', "name[0]", 52, id="nul-in-a-name"),
        pytest.param(b'{"resourceType":"Patient","a b":{"c":1,"c":2}}', "", 52, id="below-what-is-no-element"),
    ],
)
def test_a_fault_within_a_bundle_names_entry_and_element(resource: bytes, expression: str, column: int) -> None:
    found = refused(in_bundle(resource))
    assert found.expression == ".".join(filter(None, ("Bundle.entry[1].resource", expression)))
    assert f" at {found.expression} (line 2, column {column})." in found.text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"a":\n{"b":"\\u0000"}}', "line 2, column 7"),
        (b'{"a":\n{"b":1,"b":2}}', "line 2, column 8"),
        (b'{"resourceType":"Starship","a":1e400}', "line 1, column 32"),
        (b"[" * 100_000, "line 1, column 21"),
        (b'{"resourceType":"Patient"}{', "line 1, column 27"),
    ],
)
def test_where_no_resource_is_named_there_are_line_and_column(body: bytes, text: str) -> None:
    found = refused(body)
    assert found.expression == ""
    assert found.text.endswith(f" at {text}.")


def test_what_is_nested_too_deeply_is_named_where_it_begins_to_be() -> None:
    """Level 20 is fine; the object in it is not."""
    body = b'{"resourceType":"Patient","extension":' + b'[{"url":"a","extension":' * 20 + b"[]" + b"}]" * 20 + b"}"
    assert refused(body).expression == "Patient" + ".extension[0]" * 10


def test_what_ends_too_early_is_named_where_it_ends() -> None:
    whole = b'{"resourceType":"Patient","name":[{"family":"Doe","given":["Ann"]}]}'
    ends = {cut: refused(whole[:cut]).expression for cut in (42, 52, 63, 65)}
    assert ends == {
        42: "Patient.name[0]",
        52: "Patient.name[0]",
        63: "Patient.name[0].given[0]",
        65: "Patient.name[0].given",
    }


def test_a_byte_order_mark_is_called_one() -> None:
    assert "byte order mark" in refused(b'\xef\xbb\xbf{"resourceType":"Patient"}').text


def test_nobody_looks_for_a_place_for_ever() -> None:
    """Of what is far behind only line and column are told, where the first reading knows them."""
    text = '{"resourceType":"Patient","a":[[],[],[],[],\n1e400]}'
    for sought in (Sought(number="1e400"), Sought(offset=text.index("1e400"))):
        assert place(text, sought) == Place("Patient.a[4]", 2, 1)
    assert place(text, Sought(number="1e400"), most=10) is None
    assert place(text, Sought(offset=text.index("1e400")), most=10) == Place("", 2, 1)


@pytest.mark.parametrize(("between", "expression"), [(100, "Patient.a[0]"), (100_000, "")])
def test_a_type_that_is_told_late_is_not_looked_for_for_ever(between: int, expression: str) -> None:
    """Behind the place; before it the text was JSON, as far as a quicker reader had come."""
    body = b'{"a":[NaN],"b":[' + b"[]," * between + b'1],"resourceType":"Patient"}'
    assert refused(body).expression == expression


def test_what_is_large_is_refused_with_its_place_all_the_same() -> None:
    """A name that follows 300000 others, and a number of two million digits: neither is compared with everything."""
    names = b",".join(b'"a%d":1' % number for number in range(300_000))
    assert refused(b'{"resourceType":"Patient",' + names + b',"a299999":2}').expression == "Patient.a299999"
    assert refused(b'{"resourceType":"Patient","a":[1,' + b"9" * 2_000_000 + b"]}").expression == "Patient.a[1]"


WHOLE: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"given": ["a", "b"], "family": "c"}, {"text": '{[\\"d,', "period": {"start": "2026", "end": "2027"}}],
    "contained": [{"resourceType": "Organization", "name": "e", "alias": ["f", "g"]}, {"resourceType": "Person"}],
    "active": True,
    "extension": [{"url": "h", "extension": [{"url": "i"}, {"url": "j"}]}],
    "gender": "k",
}


def _strings(value: Any, path: str) -> list[tuple[Any, str | int, str]]:
    """Holder, name or index, and FHIRPath of every string."""
    found: list[tuple[Any, str | int, str]] = []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, member in inner:
        where = f"{path}[{part}]" if isinstance(part, int) else f"{path}.{part}"
        found += (
            [(value, part, where)] if isinstance(member, str) and part != "resourceType" else _strings(member, where)
        )
    return found


@pytest.mark.parametrize("indent", [None, 2], ids=["in-one-line", "indented"])
@pytest.mark.parametrize("sort", [False, True], ids=["type-first", "sorted"])
def test_every_place_is_found(indent: int | None, sort: bool) -> None:
    """NUL instead of each string in turn, with the names in any order."""
    for number in range(len(_strings(WHOLE, ""))):
        spoiled = json.loads(json.dumps(WHOLE))
        holder, part, where = _strings(spoiled, "Patient")[number]
        holder[part] = "\0"
        body = json.dumps(spoiled, indent=indent, sort_keys=sort)
        found, at = refused(body.encode()), body.index("\\u0000")
        line, column = body.count("\n", 0, at) + 1, at - body.rfind("\n", 0, at)
        assert found.text.endswith(f" at {where} (line {line}, column {column}).")


@given(
    st.lists(st.sampled_from(["\\u0000", "\\ud83d", "\\uDE00", "\\\\", "\\n", '\\"', "\\u0041", "u0000", "ud83d", "é"]))
)
def test_escapes_are_refused_just_when_they_make_what_no_string_may_hold(pieces: list[str]) -> None:
    """Pairs of surrogates are fine, and so is what only looks like an escape."""
    text = "".join(pieces)
    meant = json.loads(f'"{text}"')
    body = f'{{"a":"{text}"}}'.encode()
    if "\0" in meant or any("\ud800" <= character <= "\udfff" for character in meant):
        refused(body)
    else:
        assert parse(body, max_nesting=20) == {"a": meant}
