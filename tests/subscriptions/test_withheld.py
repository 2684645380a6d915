"""Who may be told of what, and why not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.clearance import ACT_CODE, RANKS, Clearance
from subscriptions.codes import Content
from subscriptions.filters import parse
from subscriptions.labels import CONFIDENTIALITY, Labels
from subscriptions.rights import EVERYTHING, Rights
from subscriptions.scopes import EVERY, Scopes
from subscriptions.subscription import types_told
from subscriptions.topic import ResourceTrigger, built_in
from subscriptions.withheld import Reason, Standing, Withheld, of_subscription, of_type, of_versions

NORMAL: Labels = frozenset()
RESTRICTED: Labels = frozenset({(CONFIDENTIALITY, "R")})
HIV: Labels = frozenset({(ACT_CODE, "HIV")})
OFF = Withheld(Reason.OFF)


def rights(scopes: str = "system/Immunization.rs", clearance: str = "N", content: Content = Content.ID_ONLY) -> Rights:
    return Rights(Scopes.parse(scopes), content, Clearance.parse(clearance))


@pytest.mark.parametrize(
    ("standing", "versions", "reason"),
    [
        pytest.param(rights(), [NORMAL], None, id="normal"),
        pytest.param(rights(), [NORMAL, RESTRICTED], Reason.CLEARANCE, id="raised"),
        pytest.param(rights(), [RESTRICTED, NORMAL], Reason.CLEARANCE, id="lowered"),
        pytest.param(rights(clearance="R"), [NORMAL, RESTRICTED], None, id="raised-for-the-cleared"),
        pytest.param(rights(clearance="R"), [NORMAL, RESTRICTED | HIV], Reason.CLEARANCE, id="sensitive"),
        pytest.param(rights(clearance="N HIV"), [HIV], None, id="sensitive-for-the-cleared"),
        pytest.param(rights("system/*.rs"), [NORMAL], None, id="every-type"),
        pytest.param(rights("system/Immunization.cuds"), [NORMAL], Reason.SCOPE, id="to-publish-is-not-to-be-told"),
        pytest.param(rights("system/Patient.r"), [NORMAL], Reason.SCOPE, id="another-type"),
        pytest.param(OFF, [NORMAL], Reason.OFF, id="off"),
        pytest.param(EVERYTHING, [frozenset({("", "")})], None, id="everything"),
    ],
)
def test_versions(standing: Standing, versions: list[Labels], reason: Reason | None) -> None:
    """Each version is judged by itself."""
    found = of_versions(standing, "Immunization", versions)
    assert (found.reason if found else None) is reason


@pytest.mark.parametrize(
    ("standing", "types", "content", "text"),
    [
        pytest.param(rights(), {"Immunization"}, Content.ID_ONLY, "", id="all-there"),
        pytest.param(rights(), {"Immunization"}, Content.EMPTY, "", id="less-than-allowed"),
        pytest.param(
            rights(), {"Immunization"}, Content.FULL_RESOURCE, "its client may be told id-only at most now", id="more"
        ),
        pytest.param(
            rights(),
            {"Immunization", "Patient"},
            Content.EMPTY,
            "its client does not have the scope system/Patient.r any more",
            id="one-type-of-two",
        ),
        pytest.param(
            rights(), {EVERY}, Content.EMPTY, "its client does not have the scope system/*.r any more", id="every-type"
        ),
        pytest.param(OFF, {"Immunization"}, Content.EMPTY, "its client is turned off", id="off"),
    ],
)
def test_subscription(standing: Standing, types: set[str], content: Content, text: str) -> None:
    found = of_subscription(standing, types, content)
    assert (str(found) if found else "") == text


def test_every_reason_has_words() -> None:
    assert all(str(Withheld(reason, "so")) for reason in Reason)
    assert not any(reason.of_change for reason in (Reason.OFF, Reason.SCOPE, Reason.CONTENT))


@pytest.mark.parametrize(
    ("types", "criteria", "told"),
    [
        pytest.param(["Patient", "Encounter"], "", {"Patient", "Encounter"}, id="the-topic's"),
        pytest.param(["Patient", "Encounter"], "Encounter?status=planned", {"Encounter"}, id="the-filters'"),
        pytest.param(["Patient"], "active=true", {"Patient"}, id="filters-without-a-type"),
        pytest.param(["Resource"], "", {EVERY}, id="all"),
        pytest.param(["Resource"], "Patient?active=true", {"Patient"}, id="one-of-all"),
    ],
)
def test_types(types: list[str], criteria: str, told: set[str]) -> None:
    topic = replace(built_in("http://x", "Patient"), triggers=tuple(map(ResourceTrigger, types)))
    assert types_told(topic, parse(criteria) if criteria else ()) == told


TYPES = ("Immunization", "Patient")
SCOPES = st.lists(
    st.sampled_from([f"system/{type_}.{letters}" for type_ in (*TYPES, "*") for letters in ("r", "c", "rs")]),
    max_size=3,
).map(" ".join)
RIGHTS = st.builds(
    Rights,
    SCOPES.map(Scopes.parse),
    st.sampled_from(list(Content)),
    st.builds(Clearance, st.sampled_from(RANKS), st.frozensets(st.sampled_from(["HIV", "PSY"]))),
)
LABELS = st.frozensets(st.sampled_from([*((CONFIDENTIALITY, rank) for rank in RANKS), (ACT_CODE, "HIV")]), max_size=3)


@given(RIGHTS, SCOPES, st.sampled_from(TYPES), st.lists(LABELS, max_size=3), LABELS, st.sampled_from(list(Content)))
def test_less_rights_and_more_versions_never_tell_more(
    held: Rights, narrower: str, type_: str, versions: list[Labels], more: Labels, content: Content
) -> None:
    """Whoever is told after a right was taken, or of a version more, was told before."""
    less = held.within(Scopes.parse(narrower))
    if of_versions(less, type_, versions) is None:
        assert of_versions(held, type_, versions) is None
    if of_versions(held, type_, [*versions, more]) is None:
        assert of_versions(held, type_, versions) is None
    if of_subscription(less, TYPES, content) is None:
        assert of_subscription(held, TYPES, content) is None
        assert of_type(held, type_) is None
    assert of_versions(OFF, type_, versions) == of_subscription(OFF, TYPES, content) == OFF
