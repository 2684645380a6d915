"""What scopes allow, and how they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.scopes import ADMIN, ALL, EVERY, Permission, Scopes, scope

TYPES = ("Patient", "Subscription", "AuditEvent")

NOTHING = Scopes.granted("")

part = st.one_of(
    st.builds(
        lambda type_, permissions: scope(type_, *permissions),
        st.sampled_from((*TYPES, EVERY)),
        st.sets(st.sampled_from(Permission)),
    ),
    st.sampled_from(["system/Patient.read", "system/*.*", "system/*.write", "patient/*.rs", "system/Patient.rs?a=b"]),
    st.just(ADMIN),
    st.text(max_size=20),
)
texts = st.lists(part, max_size=6).map(" ".join)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("system/Patient.cruds", "cruds"),
        ("system/Patient.rs", "rs"),
        ("system/*.rs", "rs"),
        ("system/Patient.c system/Patient.r system/*.d", "crd"),
        ("system/Patient.read", "rs"),
        ("system/Patient.write", "cud"),
        ("system/Patient.*", "cruds"),
        ("system/*.read", "rs"),
        ("system/Observation.cruds hub/admin", ""),
    ],
)
def test_what_a_scope_allows(text: str, letters: str) -> None:
    assert Scopes.parse(text).of("Patient") == set(letters)


@pytest.mark.parametrize(
    "text",
    [
        "system/Patient.", "system/Patient", "system/Patient.sr", "system/Patient.rr", "system/Patient.Read",
        "system/patient.rs", "system/Patient.rs?_id=1", "system/*.read?_id=1", "patient/Patient.rs", "user/*.cruds",
        "Hub/admin",
    ],
)  # fmt: skip
def test_what_is_no_scope_here_grants_nothing(text: str) -> None:
    """Letters in another order, a search that nobody would heed, what a person may."""
    assert Scopes.granted(text) == NOTHING
    with pytest.raises(ValueError, match="no scope that the hub knows"):
        Scopes.parse(f"system/Patient.r {text}")


@given(texts)
def test_what_is_granted_is_read_as_it_is_written(text: str) -> None:
    """Whatever a token says; what means nothing here grants nothing, and is not written."""
    granted = Scopes.granted(text)
    assert Scopes.parse(str(granted)) == granted


@given(texts)
def test_an_operator_is_told_of_what_means_nothing(text: str) -> None:
    granted = Scopes.granted(text)
    if all(Scopes.granted(part) != NOTHING for part in text.split()):
        assert Scopes.parse(text) == granted
    else:
        with pytest.raises(ValueError, match="no scope that the hub knows"):
            Scopes.parse(text)


@given(texts, texts, st.sampled_from((*TYPES, "Spaceship")), st.sets(st.sampled_from(Permission)))
def test_both_allow_what_each_allows(one: str, other: str, type_: str, wanted: set[Permission]) -> None:
    first, second = Scopes.granted(one), Scopes.granted(other)
    both = first & second
    assert both.allow(type_, *wanted) == (first.allow(type_, *wanted) and second.allow(type_, *wanted))
    assert both.admin == (first.admin and second.admin)


def test_what_tells_of_others_has_to_be_named() -> None:
    assert not Scopes.parse("system/*.cruds").of("AuditEvent")
    assert Scopes.parse("system/AuditEvent.rs").allow("AuditEvent", Permission.READ, Permission.SEARCH)
    assert ALL.allow("AuditEvent", Permission.READ)
