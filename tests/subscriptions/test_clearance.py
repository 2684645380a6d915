"""Which security labels keep a resource from whom."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.clearance import ACT_CODE, BINDING, FULL, NAMED, NORMAL, RANKS, SENSITIVE, Clearance
from subscriptions.labels import CONFIDENTIALITY, UNREADABLE, labels, labels_in

OWN = "http://hospital.example/labels"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def labelled(*found: tuple[str, str], type_: str = "Observation", **more: Any) -> dict[str, Any]:
    security = [{"system": system, "code": code} for system, code in found]
    return {"resourceType": type_, **({"meta": {"security": security}} if security else {}), **more}


@pytest.mark.parametrize(
    ("clearance", "found", "covered"),
    [
        pytest.param("N", [], True, id="no-label-is-normal"),
        pytest.param("L", [], False, id="normal-is-more-than-low"),
        pytest.param("L", [(CONFIDENTIALITY, "L")], True, id="low-for-low"),
        pytest.param("N", [(CONFIDENTIALITY, "U")], True, id="less-than-normal"),
        pytest.param("N", [(CONFIDENTIALITY, "R")], False, id="restricted"),
        pytest.param("R", [(CONFIDENTIALITY, "R")], True, id="restricted-for-restricted"),
        pytest.param("R", [(CONFIDENTIALITY, "V")], False, id="very-restricted"),
        pytest.param("V", [(CONFIDENTIALITY, "X")], False, id="unknown-rank"),
        pytest.param("V", [(CONFIDENTIALITY, "HIV")], False, id="retired-code-of-confidentiality"),
        pytest.param("N HIV", [(CONFIDENTIALITY, "HIV")], False, id="retired-code-is-more-than-normal"),
        pytest.param("R HIV", [(CONFIDENTIALITY, "HIV")], True, id="retired-code-that-is-named"),
        pytest.param("V", [(CONFIDENTIALITY, "T")], False, id="retired-code-of-no-sensitivity"),
        pytest.param("V", [(ACT_CODE, "PSY")], False, id="sensitive"),
        pytest.param("N PSY", [(ACT_CODE, "PSY")], True, id="sensitive-that-is-named"),
        pytest.param("N SPI", [(ACT_CODE, "PSY")], False, id="the-more-general-one-is-not-it"),
        pytest.param("N PSY", [(ACT_CODE, "PSY"), (ACT_CODE, "HIV")], False, id="each-must-be-named"),
        pytest.param("V", [(ACT_CODE, "SICKLE")], False, id="retired-sensitivity"),
        pytest.param("V", [(ACT_CODE, "NODSCLCD")], False, id="not-to-be-disclosed"),
        pytest.param("V", [(ACT_CODE, "PROCESSINLINELABEL")], False, id="labels-of-elements"),
        pytest.param("N", [(ACT_CODE, "ENCRYPT")], True, id="how-to-handle-it"),
        pytest.param("N", [(REASON, "HTEST")], True, id="test-data"),
        pytest.param("V", [(OWN, "staff")], False, id="unknown-system"),
        pytest.param(f"N {OWN}|staff", [(OWN, "staff")], True, id="unknown-system-that-is-named"),
        pytest.param(f"N {OWN}|staff", [(OWN, "R")], False, id="another-code-of-it"),
        pytest.param("N", [("", "R")], False, id="rank-without-system"),
        pytest.param("R", [("", "R")], True, id="rank-without-system-for-restricted"),
        pytest.param("V", [("", "HIV")], False, id="sensitive-without-system"),
        pytest.param("N HIV", [("", "HIV")], True, id="sensitive-without-system-that-is-named"),
        pytest.param("V", [UNREADABLE], False, id="label-of-nothing"),
        pytest.param("N *", [(CONFIDENTIALITY, "HIV")], False, id="all-labels-but-not-what-is-more-than-normal"),
        pytest.param("R *", [(CONFIDENTIALITY, "HIV")], True, id="all-labels-and-what-is-more-than-normal"),
        pytest.param("V *", [UNREADABLE, (OWN, "staff"), (ACT_CODE, "HIV")], True, id="all-labels"),
        pytest.param("N *", [(CONFIDENTIALITY, "R")], False, id="all-labels-but-no-rank"),
    ],
)
def test_labels(clearance: str, found: list[tuple[str, str]], covered: bool) -> None:
    assert Clearance.parse(clearance).covers(labelled(*found)) is covered
    assert Clearance.parse(str(Clearance.parse(clearance))) == Clearance.parse(clearance)


@pytest.mark.parametrize("rank", "ULMNRV")
def test_a_rank_covers_those_below_it(rank: str) -> None:
    """Unrestricted, low, moderate, normal, restricted, very restricted."""
    covered = [code for code in "ULMNRV" if Clearance(rank).cover(frozenset({(CONFIDENTIALITY, code)}))]
    assert "".join(covered) == "ULMNRV".partition(rank)[0] + rank


PSY = labelled((ACT_CODE, "PSY"))


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(labelled(contained=[PSY]), id="contained"),
        pytest.param(labelled(type_="Bundle", entry=[{"resource": labelled()}, {"resource": PSY}]), id="entry"),
        pytest.param(
            labelled(type_="Bundle", entry=[{"resource": labelled(contained=[PSY])}]), id="contained-in-an-entry"
        ),
        pytest.param(
            labelled(type_="Parameters", parameter=[{"name": "a", "part": [{"name": "b", "resource": PSY}]}]),
            id="parameter",
        ),
        pytest.param(labelled(type_="Composition", confidentiality="R"), id="composition"),
        pytest.param(
            labelled(type_="DocumentReference", securityLabel=[{"coding": [{"system": ACT_CODE, "code": "PSY"}]}]),
            id="document",
        ),
        pytest.param(labelled(type_="DocumentReference", securityLabel=[{"text": "secret"}]), id="in-words"),
        pytest.param({"resourceType": "Basic", "meta": {"security": [None, 3]}}, id="malformed"),
        pytest.param({"resourceType": "Basic", "meta": {"security": {"code": "PSY"}}}, id="no-list"),
        pytest.param({"resourceType": "Basic", "meta": {"security": [{"system": 1, "code": "N"}]}}, id="no-text"),
    ],
)
def test_what_a_resource_holds(resource: dict[str, Any]) -> None:
    """Labels of what it holds are its own, and what can't be read is nobody's."""
    assert not Clearance.parse("N").covers(resource)
    assert FULL.covers(resource)
    assert labels_in(json.dumps(resource).encode()) == labels(resource)


def test_nothing() -> None:
    """What isn't there keeps nothing from anybody."""
    assert Clearance("U").covers(None)
    assert labels_in(None) == frozenset()


def test_json_written_otherwise() -> None:
    """Escapes hide no label, and JSON that can't be read is taken for the worst."""
    assert labels_in(rb'{"meta":{"\u0073ecurity":[{"system":"a","code":"b"}]}}') == {("a", "b")}
    assert labels_in(b'{"security":') == {UNREADABLE}


def test_json_without_labels_is_not_read() -> None:
    assert labels_in(b"no JSON at all") == frozenset()


@pytest.mark.parametrize(("code", "is_known"), [("HIV", True), ("PATLOC", True), ("VIP", True), ("HIVX", False)])
def test_sensitive(code: str, is_known: bool) -> None:
    """The codes are those of HL7's terminology, 48 of them with the three that hold others together."""
    assert (code in SENSITIVE) is is_known
    assert len(SENSITIVE) == 48
    assert not SENSITIVE & BINDING


@pytest.mark.parametrize("text", ["", "X", "HIV", "N HIVX", "N |a", "N a|", "R R"])
def test_no_clearance(text: str) -> None:
    with pytest.raises(ValueError, match=r"clearance begins|is no sensitivity"):
        Clearance.parse(text)


def test_anybody() -> None:
    """Whoever is told everything is told of what nobody understands, and whoever is granted nothing more is not."""
    assert FULL.cover(frozenset({UNREADABLE}))
    assert Clearance.parse("N") == NORMAL


LABELS = st.frozensets(
    st.tuples(
        st.sampled_from([CONFIDENTIALITY, ACT_CODE, REASON, OWN, ""]), st.sampled_from(["", "x", *RANKS, *NAMED])
    ),
    max_size=4,
)
CLEARANCES = st.builds(
    Clearance, st.sampled_from(RANKS), st.frozensets(st.sampled_from(["*", f"{OWN}|x", *NAMED]), max_size=4)
)


@given(CLEARANCES, LABELS, LABELS)
def test_more_labels_never_tell_more(clearance: Clearance, some: Any, more: Any) -> None:
    """But a lower confidentiality than normal, which is what a resource has that says nothing of it."""
    ranked = frozenset(label for label in more if label[0] != CONFIDENTIALITY and (label[0] or label[1] not in RANKS))
    if clearance.cover(some | ranked):
        assert clearance.cover(some)


@given(CLEARANCES, CLEARANCES, LABELS)
def test_a_lower_clearance_never_tells_more(one: Clearance, other: Clearance, found: Any) -> None:
    """What a clearance covers, one of a higher rank and with more codes covers too."""
    lower = Clearance(min(one.rank, other.rank, key=RANKS.index), one.codes & other.codes)
    if lower.cover(found):
        assert one.cover(found)
        assert other.cover(found)
