"""The index, held against what it stands for: every criterion of every subscription, evaluated one after the other."""

from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from subscriptions.bucket import is_scanned
from subscriptions.change import Change
from subscriptions.codes import Interaction
from subscriptions.errors import EvaluationError
from subscriptions.explanation import explain
from subscriptions.filters import criteria
from subscriptions.findings import Findings, every
from subscriptions.matching import Failure, Index, Matches
from subscriptions.postings import Limits, reaches
from subscriptions.search.comparison import Criterion, Reaching
from subscriptions.search.held import Held, Membership
from subscriptions.search.ranges import Range
from subscriptions.topic import QueryCriteria, ResourceTrigger, Topic, built_in
from subscriptions.triggers import Triggers
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.test_matching import CARE, CONTEXT, EVERYTHING, HUB, IMMUNIZATIONS, Json, asking, change_of

OBSERVATIONS = built_in("https://hub.example", "Observation")
#: Fires by what the resource says; the second of its triggers can fail.
TRIGGERED = Topic(
    url="https://topics.example/triggered",
    version="1",
    title="",
    description="",
    triggers=(
        ResourceTrigger("Observation", query=QueryCriteria(current="status=final")),
        ResourceTrigger("Immunization", fhirpath="%current.lotNumber.toInteger() > 7 or %current.status = 'completed'"),
    ),
)

CODES = st.sampled_from(["207", "208", "FLUVAX"])
IDS = st.sampled_from(["a", "b", "example"])
SYSTEMS = st.sampled_from(["http://hl7.org/fhir/sid/cvx", "urn:oid:1.2"])
DATES = st.sampled_from(["2013", "2013-01", "2013-01-10", "2013-01-10T10:00:00Z", "2014-01-01", "1999"])
TEXTS = st.sampled_from(["AAJN11K", "aaj", "Ä1", "b", "aa"])
PREFIXES = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
NUMBERS = st.sampled_from(["5", "5.0", "5.4", "100", "-3", "1e2"])
UNITS = st.sampled_from(["", "||mg", "||kg", "|http://unitsofmeasure.org|mg"])

#: For both types.
ONE = st.one_of(
    st.builds("patient={}".format, st.lists(IDS, min_size=1, max_size=3).map(",".join)),
    st.builds("patient=Patient/{}".format, IDS),
    st.builds("patient={}/Patient/{}".format, st.sampled_from([HUB, "https://elsewhere.example"]), IDS),
    st.builds("patient._in=Group/{}".format, IDS),
    st.builds("status={}".format, st.sampled_from(["completed", "not-done", "completed,not-done", "final"])),
    st.builds("status:not={}".format, st.sampled_from(["completed", "final"])),
    st.builds("date={}{}".format, PREFIXES, DATES),
    st.builds("date=lt{},ge{}".format, DATES, DATES),
    st.builds("_tag={}".format, CODES),
    st.builds("_id={}".format, IDS),
    st.builds("_profile=http://profile/{}".format, IDS),
    st.builds("_profile:{}=http://profile/{}".format, st.sampled_from(["above", "below"]), IDS | st.just("a/b")),
    st.builds("patient:Patient={}".format, IDS),
    st.builds("patient:missing={}".format, st.sampled_from(["true", "false", "true,false"])),
)
OF_IMMUNIZATION = ONE | st.one_of(
    st.builds("vaccine-code={}".format, CODES),
    st.builds("vaccine-code={}|{}".format, SYSTEMS, CODES),
    st.builds("vaccine-code={}|".format, SYSTEMS),
    st.builds("vaccine-code=|{}".format, CODES),
    st.builds("vaccine-code:{}=http://example.org/vaccines".format, st.sampled_from(["in", "not-in"])),
    st.builds("vaccine-code:{}=urn:oid:1.2|{}".format, st.sampled_from(["above", "below"]), CODES),
    st.builds("lot-number={}".format, st.lists(TEXTS, min_size=1, max_size=2).map(",".join)),
    st.builds("lot-number:{}={}".format, st.sampled_from(["exact", "contains"]), TEXTS),
)
OF_OBSERVATION = ONE | st.one_of(
    st.builds("code={}".format, CODES),
    st.builds("value-quantity={}{}{}".format, PREFIXES, NUMBERS, UNITS),
    st.builds("code-value-quantity={}${}{}".format, CODES, PREFIXES, NUMBERS),
)
EVERYWHERE = st.builds("_id={}".format, IDS) | st.builds("_tag={}".format, CODES)
TYPED = OF_IMMUNIZATION.map("Immunization?{}".format) | OF_OBSERVATION.map("Observation?{}".format)

#: The URL of a topic, and filters.
Asked: TypeAlias = tuple[str, tuple[str, ...]]

TOPICS = {topic.url: topic for topic in (IMMUNIZATIONS, OBSERVATIONS, CARE, TRIGGERED, EVERYTHING)}


def on(topic: Topic, filters: st.SearchStrategy[str], most: int = 3) -> st.SearchStrategy[Asked]:
    return st.tuples(st.just(topic.url), st.lists(filters, max_size=most, unique=True).map(tuple))


ASKED = st.one_of(
    on(IMMUNIZATIONS, OF_IMMUNIZATION),
    on(IMMUNIZATIONS, st.sampled_from(["status:not=completed", "status:not=final", "date=ne2013"])),
    on(OBSERVATIONS, OF_OBSERVATION),
    on(CARE, ONE | TYPED),
    on(TRIGGERED, ONE | TYPED),
    on(EVERYTHING, TYPED),
    on(EVERYTHING, EVERYWHERE, most=2),
)

CODING = st.fixed_dictionaries({}, optional={"system": SYSTEMS, "code": CODES})
REFERENCES = st.builds(
    "{}Patient/{}{}".format,
    st.sampled_from(["", f"{HUB}/", "https://elsewhere.example/"]),
    IDS,
    st.sampled_from(["", "/_history/1"]),
) | st.just("#p")
#: What can't be read is rare, as it is in life: else there is little to find.
ANYTHING = {
    "id": IDS,
    "meta": st.fixed_dictionaries(
        {"tag": st.lists(CODING, max_size=2)}, optional={"profile": IDS.map(lambda id_: [f"http://profile/{id_}"])}
    ),
}
RESOURCES = st.one_of(
    st.fixed_dictionaries(
        {"resourceType": st.just("Immunization")},
        optional={
            **ANYTHING,
            "status": st.sampled_from(["completed", "not-done"]),
            "vaccineCode": st.fixed_dictionaries({"coding": st.lists(CODING, max_size=3)}),
            "patient": st.fixed_dictionaries({"reference": REFERENCES}),
            "occurrenceDateTime": st.one_of(DATES, DATES, DATES, st.just("soon")),
            "lotNumber": TEXTS,
        },
    ),
    st.fixed_dictionaries(
        {"resourceType": st.just("Observation")},
        optional={
            **ANYTHING,
            "status": st.sampled_from(["final", "amended"]),
            "code": st.fixed_dictionaries({"coding": st.lists(CODING, max_size=2)}),
            "subject": st.fixed_dictionaries({"reference": REFERENCES}),
            "effectivePeriod": st.fixed_dictionaries({}, optional={"start": DATES, "end": DATES}),
            "valueQuantity": st.fixed_dictionaries(
                {"value": st.sampled_from([5, 5.4, 100, -3, "many"])}, optional={"unit": st.just("mg")}
            ),
        },
    ),
    st.fixed_dictionaries({"resourceType": st.just("Basic")}, optional=ANYTHING),
)
CHANGES = st.tuples(RESOURCES, st.sampled_from(Interaction))


def holding() -> Held:
    """A hub that holds rosters."""
    groups = {f"Patient/{id_}": (Membership(f"Group/{group}"),) for id_, group in (("a", "a"), ("b", "b"))}
    return Held(datetime(2026, 11, 21, tzinfo=UTC), rosters=groups | {"Patient/example": ()})


def one_by_one(subscriptions: dict[str, Asked], change: Change) -> Matches[str]:
    """All that an index finds, found without one."""
    matches = Matches[str]([], [], [])
    findings = Findings(change, holding())
    fired = {url: Triggers(topic, CONTEXT).fires(findings) for url, topic in TOPICS.items()}
    for key in sorted(subscriptions):
        topic, _ = subscriptions[key]
        wanted = compiled(subscriptions[key])
        if change.type in wanted:
            verdict = every((fired[topic], findings.subject.all(wanted[change.type])))
            if verdict is True:
                matches.keys.append(key)
            elif verdict is not False:
                matches.failures.append(Failure(key, verdict))
    return matches


_compiled: dict[Asked, dict[str, tuple[Criterion, ...]]] = {}


def compiled(asked: Asked) -> dict[str, tuple[Criterion, ...]]:
    if asked not in _compiled:
        topic, filters = asked
        _compiled[asked] = criteria(asking(*filters).filters, TOPICS[topic], CONTEXT)
    return _compiled[asked]


def put(index: Index[str], key: str, asked: Asked) -> None:
    topic, filters = asked
    index.put(key, TOPICS[topic], asking(*filters).filters)


def said(matches: Matches[str]) -> tuple[list[str], list[tuple[str, str]]]:
    return matches.keys, [(failure.key, str(failure.error)) for failure in matches.failures]


_STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 59), ASKED),
    st.tuples(st.just("remove"), st.integers(0, 59), st.none()),
    st.tuples(st.just("change"), st.just(1), CHANGES),
    st.tuples(st.just("change"), st.just(1), CHANGES),
    st.tuples(st.just("change"), st.integers(2, 30), CHANGES),
)


@pytest.mark.timeout(300)
def test_the_index_and_one_by_one_agree_on_100_000_pairs() -> None:
    """In whatever order subscriptions come, change and go, and whichever of their criteria they are moved to."""
    pairs = matched = failed = moved = scanned = 0

    # To shrink what is so large would take hours.
    @settings(max_examples=140, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(
        first=st.lists(ASKED, min_size=40, max_size=60),
        steps=st.lists(_STEP, min_size=30, max_size=60),
    )
    def agree(first: list[Asked], steps: list[tuple[str, int, Any]]) -> None:
        nonlocal pairs, matched, failed, moved, scanned
        index, subscriptions = Index[str](CONTEXT), {f"s{n}": asked for n, asked in enumerate(first)}
        for key, asked in subscriptions.items():
            put(index, key, asked)
        for verb, number, what in steps:
            match verb:
                case "put":
                    subscriptions[f"s{number}"] = what
                    put(index, f"s{number}", what)
                case "remove":
                    subscriptions.pop(f"s{number}", None)
                    index.remove(f"s{number}")
                case _:
                    change = change_of(*what)
                    expected = one_by_one(subscriptions, change)
                    pairs += len(subscriptions)
                    matched += len(expected.keys)
                    failed += len(expected.failures)
                    for _ in range(number):  # so often that something turns out to be frequent
                        assert said(index.match(change, holding())) == said(expected)
            assert len(index) == len(subscriptions)
        assert index.scanned == {
            place: count
            for place, count in _scanned(subscriptions).items()
            if place[1] in ("Immunization", "Observation")
        }
        moved += index.moved
        scanned += sum(index.scanned.values())
        for key in subscriptions:
            index.remove(key)
        assert said(index.match(change_of({"resourceType": "Immunization"}), holding())) == ([], [])
        assert index.scanned == {}

    agree()
    assert pairs >= 100_000
    assert min(matched, failed, moved, scanned) >= 100


def _scanned(subscriptions: dict[str, Asked]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for asked in subscriptions.values():
        for type_, met in compiled(asked).items():
            if is_scanned(met):
                counts[asked[0], type_] = counts.get((asked[0], type_), 0) + 1
    return counts


@settings(max_examples=150, deadline=None)
@given(asked=st.lists(ASKED, max_size=8), change=CHANGES)
def test_an_explanation_and_each_criterion_alone_say_the_same(
    asked: list[Asked], change: tuple[Json, Interaction]
) -> None:
    """Without anything that findings and index share."""
    index, happened = Index[str](CONTEXT), change_of(*change)
    for number, each in enumerate(asked):
        put(index, f"s{number}", each)
    found = index.match(happened, holding())
    failed = [failure.key for failure in found.failures]
    for number, (topic, filters) in enumerate(asked):
        verdict = alone((topic, filters), happened)
        assert (f"s{number}" in found.keys) is (verdict is True)
        assert (f"s{number}" in failed) is (verdict is None)
        subscription = asking(*filters, topic=TOPICS[topic])
        explanation = explain(subscription, TOPICS[topic], happened, CONTEXT, holding())
        assert explanation.matched is (verdict is True)


def alone(asked: Asked, change: Change) -> bool | None:
    """None if it can't be decided."""
    wanted = compiled(asked)
    if change.type not in wanted:
        return False
    fired = Triggers(TOPICS[asked[0]], CONTEXT).fires(Findings(change, nothing_else()))
    verdicts = [None if isinstance(fired, EvaluationError) else fired]
    for criterion in wanted[change.type]:
        try:
            verdicts.append(criterion.matches(change.subject, holding()))
        except EvaluationError:
            verdicts.append(None)
    return False if False in verdicts else None if None in verdicts else True


LIMITS = st.builds(Reaching, st.sampled_from(["kg", None]), st.integers(0, 9), st.booleans())
READ = st.builds(
    lambda start, width, group: Range(start, start + width, group),
    st.integers(0, 9),
    st.integers(0, 3),
    st.sampled_from(["kg", None]),
)


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.sets(LIMITS, max_size=2)), max_size=60),
    read=st.frozensets(READ, max_size=3),
)
def test_whoever_stands_under_a_limit_is_found_just_when_it_is_reached(
    steps: list[tuple[bool, int, set[Reaching]]], read: frozenset[Range]
) -> None:
    """Whether a limit came alone or with many, and whoever else has it."""
    limits, standing = Limits[int](), dict[int, tuple[Reaching, ...]]()
    for looked_at, number, wanted in steps:
        for place in standing.pop(number, ()):
            limits.discard(place, number)
        standing[number] = tuple(wanted)
        for place in wanted:
            limits.put(place, number)
        if looked_at:
            assert limits.reached(read) == {n for n, access in standing.items() if reaches(read, access)}
    assert limits.reached(read) == {n for n, access in standing.items() if reaches(read, access)}
    assert limits.all() == {n for n, access in standing.items() if access}
    for number, access in standing.items():
        for place in access:
            limits.discard(place, number)
    assert len(limits) == 0
