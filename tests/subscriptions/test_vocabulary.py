"""Which codes ValueSets have, by https://hl7.org/fhir/R4/valueset.html#compositions; how CodeSystems are ordered."""

from typing import Any

import pytest

from subscriptions.errors import Rejected
from subscriptions.search.vocabulary import EMPTY, Vocabulary

Json = dict[str, Any]

ANIMALS = "http://example.org/animals"
#: animal > (mammal > (dog, cat), bird > penguin), stone
TREE = [
    {
        "code": "animal",
        "concept": [
            {"code": "mammal", "concept": [{"code": "dog"}, {"code": "cat"}]},
            {"code": "bird", "concept": [{"code": "penguin"}]},
        ],
    },
    {"code": "stone"},
]


def code_system(url: str = ANIMALS, **elements: Any) -> Json:
    whole: Json = {"resourceType": "CodeSystem", "url": url, "content": "complete", "concept": TREE}
    return {name: value for name, value in {**whole, **elements}.items() if value is not None}


def value_set(*include: Json, url: str = "http://example.org/set", **elements: Any) -> Json:
    composed = {"compose": {"include": list(include)}} if include else {}
    return {"resourceType": "ValueSet", "id": "set", "url": url, **composed, **elements}


def codes(*resources: Json, name: str = "http://example.org/set") -> set[str]:
    return {code for _, code in Vocabulary(resources).codes(name)}


def refusal(*resources: Json, name: str = "http://example.org/set") -> str:
    with pytest.raises(Rejected) as caught:
        Vocabulary(resources).codes(name)
    (issue,) = caught.value.issues
    return issue.text


def filtered(op: str, value: str, property_: str = "concept") -> Json:
    return {"system": ANIMALS, "filter": [{"property": property_, "op": op, "value": value}]}


def concepts(*listed: str, system: str = ANIMALS) -> Json:
    return {"system": system, "concept": [{"code": code} for code in listed]}


def test_listed_concepts_need_no_code_system() -> None:
    listed = Vocabulary([value_set(concepts("a", "b", system="urn:x"))]).codes("http://example.org/set")
    assert listed == {("urn:x", "a"), ("urn:x", "b")}


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        pytest.param({"system": ANIMALS}, "animal mammal dog cat bird penguin stone", id="all-of-a-system"),
        pytest.param(filtered("is-a", "mammal"), "mammal dog cat", id="is-a-has-the-concept-itself"),
        pytest.param(filtered("descendent-of", "mammal"), "dog cat", id="descendants-have-not"),
        pytest.param(filtered("is-a", "animal"), "animal mammal dog cat bird penguin", id="at-any-depth"),
        pytest.param(filtered("descendent-of", "stone"), "", id="a-leaf-has-no-descendants"),
        pytest.param(filtered("is-not-a", "animal"), "stone", id="is-not-a"),
        pytest.param(filtered("generalizes", "dog"), "dog mammal animal", id="generalizes"),
        pytest.param(
            {
                "system": ANIMALS,
                "filter": [*filtered("is-a", "animal")["filter"], *filtered("is-not-a", "bird")["filter"]],
            },
            "animal mammal dog cat",
            id="filters-are-joined-by-and",
        ),
    ],
)
def test_a_system_given_whole_is_selected_from(include: Json, expected: str) -> None:
    assert codes(value_set(include), code_system()) == set(expected.split())


def test_parts_are_joined_and_what_is_excluded_is_left_out() -> None:
    compose = {"include": [filtered("is-a", "mammal"), concepts("stone")], "exclude": [concepts("cat")]}
    assert codes(value_set(compose=compose), code_system()) == {"mammal", "dog", "stone"}


def test_value_sets_of_one_part_are_intersected_with_its_system() -> None:
    other = value_set(concepts("cat", "dog"), url="urn:other")
    third = value_set(concepts("dog", "stone"), url="urn:third")
    both = value_set({"valueSet": ["urn:other", "urn:third"]})
    assert codes(both, other, third) == {"dog"}
    assert codes(value_set({"system": ANIMALS, "valueSet": ["urn:other"]}), other, code_system()) == {"cat", "dog"}
    assert codes(value_set({"valueSet": ["urn:other"]}, {"valueSet": ["urn:third"]}), other, third) == {
        "cat",
        "dog",
        "stone",
    }


def test_an_expansion_is_taken_as_it_is_with_what_is_nested_and_without_what_is_abstract() -> None:
    contains = [
        {"system": ANIMALS, "code": "animal", "abstract": True, "contains": [{"system": ANIMALS, "code": "dog"}]},
        {"display": "others", "contains": [{"system": ANIMALS, "code": "stone"}]},
    ]
    assert codes(value_set({"system": "urn:unknown"}, expansion={"contains": contains})) == {"dog", "stone"}


@pytest.mark.parametrize(
    "expansion",
    [
        pytest.param({"total": 9}, id="fewer-than-its-total"),
        pytest.param({"offset": 1}, id="a-later-page"),
        pytest.param({"parameter": [{"name": "filter", "valueString": "d"}]}, id="filtered"),
        pytest.param(
            {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/valueset-unclosed", "valueBoolean": True}]},
            id="unclosed",
        ),
    ],
)
def test_an_expansion_that_is_a_part_is_not_used(expansion: Json) -> None:
    partial = {"contains": [{"system": ANIMALS, "code": "dog"}], **expansion}
    assert codes(value_set(concepts("cat"), expansion=partial)) == {"cat"}
    assert "its expansion is only a part of it" in refusal(value_set(expansion=partial))


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        pytest.param([], "not given the ValueSet `http://example.org/set`", id="unknown"),
        pytest.param([value_set()], "it has no content", id="empty"),
        pytest.param([value_set({"system": ANIMALS})], f"not given the CodeSystem `{ANIMALS}`", id="no-system"),
        pytest.param(
            [value_set({"system": ANIMALS}), code_system(content="fragment")],
            "its content is `fragment`",
            id="fragment",
        ),
        pytest.param(
            [value_set({"system": ANIMALS}), code_system(content="not-present", concept=None)],
            "its content is `not-present`",
            id="not-present",
        ),
        pytest.param(
            [value_set({"system": ANIMALS}), code_system(content="supplement")],
            "not given the CodeSystem",
            id="supplement",
        ),
        pytest.param(
            [value_set({"system": ANIMALS, "version": "2"}), code_system(version="1")],
            f"not given the CodeSystem `{ANIMALS}|2`",
            id="another-version",
        ),
        pytest.param([value_set({"valueSet": ["urn:x"]})], "not given the ValueSet `urn:x`", id="nested-unknown"),
        pytest.param([value_set({"valueSet": ["http://example.org/set"]})], "includes itself", id="a-circle"),
        pytest.param([value_set(filtered("regex", "d.*", "code")), code_system()], "`code` `regex`", id="regex"),
        pytest.param([value_set(filtered("=", "x", "kind")), code_system()], "filters by `kind` `=`", id="a-property"),
        pytest.param([value_set(filtered("is-a", "fish")), code_system()], "no code `fish`", id="unknown-concept"),
        pytest.param(
            [value_set(filtered("is-a", "bird")), code_system(hierarchyMeaning="part-of")], "`part-of`", id="part-of"
        ),
        pytest.param(
            [value_set(compose={"include": [concepts("dog")], "exclude": [{"system": "urn:x"}]})],
            "not given the CodeSystem `urn:x`",
            id="an-exclusion-that-is-unknown",
        ),
    ],
)
def test_what_cannot_be_enumerated_is_refused_with_the_reason(resources: list[Json], reason: str) -> None:
    text = refusal(*resources)
    assert "`http://example.org/set`" in text
    assert reason in text


def test_a_value_set_goes_by_its_url_its_version_and_its_id() -> None:
    first, second = value_set(concepts("a"), version="1"), value_set(concepts("b"), version="2", id="second")
    known = Vocabulary([first, second])
    names = ("http://example.org/set", "http://example.org/set|1", "http://example.org/set|2", "ValueSet/set")
    assert [{code for _, code in known.codes(name)} for name in names] == [{"b"}, {"a"}, {"b"}, {"a"}]


def test_a_system_of_a_version_is_that_one() -> None:
    old, new = code_system(version="1"), code_system(version="2", concept=[{"code": "robot"}])
    assert "dog" in codes(value_set({"system": ANIMALS, "version": "1"}), old, new)
    assert codes(value_set({"system": ANIMALS}), old, new) == {"robot"}


def test_inactive_codes_are_left_out_only_where_the_value_set_says_so() -> None:
    retired = [{"code": "status", "valueCode": "retired"}], [{"code": "inactive", "valueBoolean": True}]
    listed = [{"code": "dodo", "property": retired[0]}, {"code": "moa", "property": retired[1]}, {"code": "kiwi"}]
    system = code_system(concept=listed)
    assert codes(value_set({"system": ANIMALS}), system) == {"dodo", "moa", "kiwi"}
    assert codes(value_set(compose={"inactive": False, "include": [{"system": ANIMALS}]}), system) == {"kiwi"}


@pytest.mark.parametrize(
    ("code", "below", "above"),
    [
        ("animal", "animal mammal dog cat bird penguin", "animal"),
        ("mammal", "mammal dog cat", "mammal animal"),
        ("dog", "dog", "dog mammal animal"),
        ("stone", "stone", "stone"),
    ],
)
def test_a_code_is_among_those_above_and_below_itself(code: str, below: str, above: str) -> None:
    known = Vocabulary([code_system()])
    assert {each for _, each in known.below(ANIMALS, code)} == set(below.split())
    assert {each for _, each in known.above(ANIMALS, code)} == set(above.split())


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(
            [
                {"code": "pet"},
                {"code": "mammal"},
                {"code": "dog", "property": [{"code": name, "valueCode": of} for of in ("pet", "mammal")]},
            ],
            id=name,
        )
        for name in ("parent", "subsumedBy", "isA")
    ]
    + [
        pytest.param(
            [{"code": of, "property": [{"code": "child", "valueCode": "dog"}]} for of in ("pet", "mammal")]
            + [{"code": "dog"}],
            id="child",
        )
    ],
)
def test_a_hierarchy_in_properties_counts_and_can_have_several_parents(listed: list[Json]) -> None:
    declared = [{"code": "isA", "uri": "http://hl7.org/fhir/concept-properties#parent", "type": "code"}]
    known = Vocabulary([code_system(concept=listed, property=declared)])
    assert {code for _, code in known.above(ANIMALS, "dog")} == {"dog", "pet", "mammal"}
    assert {code for _, code in known.below(ANIMALS, "pet")} == {"pet", "dog"}


def test_a_circle_in_a_hierarchy_ends() -> None:
    listed = [{"code": a, "property": [{"code": "parent", "valueCode": b}]} for a, b in ("ab", "ba")]
    assert Vocabulary([code_system(concept=listed)]).below(ANIMALS, "a") == {(ANIMALS, "a"), (ANIMALS, "b")}


def test_thousands_of_levels_are_no_matter() -> None:
    concept: Json = {"code": "0"}
    for depth in range(1, 5000):
        concept = {"code": str(depth), "concept": [concept]}
    assert len(Vocabulary([code_system(concept=[concept])]).below(ANIMALS, "4999")) == 5000


def test_without_resources_nothing_is_known() -> None:
    with pytest.raises(Rejected, match="not given the ValueSet `x`"):
        EMPTY.codes("x")
    with pytest.raises(Rejected, match="not given the CodeSystem `x`"):
        EMPTY.below("x", "y")


def test_vocabularies_are_compared_by_identity() -> None:
    assert Vocabulary() != Vocabulary()
    assert hash(EMPTY) == hash(EMPTY)
