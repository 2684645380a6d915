"""Dates by https://hl7.org/fhir/R4/search.html#date, whose examples come first; its words are quoted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.errors import EvaluationError
from subscriptions.search import date
from tests.subscriptions.searching import Json, Row, matches, rejection, table


def observed(value: Any) -> Json:
    """A date as a string, a Period or Timing as JSON; None for nothing."""
    match value:
        case str():
            return {"resourceType": "Observation", "effectiveDateTime": value}
        case {"event": _} | {"repeat": _}:
            return {"resourceType": "Observation", "effectiveTiming": value}
        case dict():
            return {"resourceType": "Observation", "effectivePeriod": value}
    return {"resourceType": "Observation"}


def period(start: str = "", end: str = "") -> Json:
    return {name: limit for name, limit in (("start", start), ("end", end)) if limit}


#: "The use of the prefixes", row by row.
STANDARD = [
    ("2013-01-14T00:00", "eq2013-01-14 2013-01-14", "ne2013-01-14"),
    ("2013-01-14T10:00", "eq2013-01-14 2013-01-14", "ne2013-01-14"),
    ("2013-01-15T00:00", "ne2013-01-14", "eq2013-01-14 2013-01-14"),
    # "because it includes the part of 14-Jan 2013 before 10am" and after it
    ("2013-01-14", "lt2013-01-14T10:00 gt2013-01-14T10:00", ""),
    # "because that period may include times after 14-Mar 2013" and before it; it starts before and does not end before
    (period("2013-01-21"), "ge2013-03-14 le2013-03-14", "sa2013-03-14 eb2013-03-14"),
    (period("2013-03-15"), "sa2013-03-14", "eb2013-03-14"),
    (period(end="2013-01-21"), "eb2013-03-14", "sa2013-03-14"),
    # "exactly matches"; "not near"; "Note that the exact value here is at the discretion of the system"
    ("2013-03-14", "ap2013-03-14", ""),
    ("2013-01-21", "", "ap2013-03-14"),
    ("2015-06-15", "", "ap2013-03-14"),
    # "all the procedures … over a 2-year period": both limits are included
    ("2010-01-01", "ge2010-01-01 le2011-12-31", ""),
    ("2011-12-31T23:59:59Z", "ge2010-01-01 le2011-12-31", ""),
    ("2012-01-01", "ge2010-01-01", "le2011-12-31"),
    ("2009-12-31", "le2011-12-31", "ge2010-01-01"),
    # "2000 is equivalent to an interval of [2000-01-01T00:00, 2000-12-31T23:59]", "2000-04" to "2000-04-30T23:59"
    ("2000-12-31T23:59:59.999Z", "2000 le2000", "gt2000 2001"),
    ("2000-04-30T23:59:59Z", "2000-04 2000 le2000-04", "gt2000-04 2000-05"),
]


@table(STANDARD)
def test_the_examples_of_the_standard(value: Any, query: str, expected: bool) -> None:
    assert matches(observed(value), "date", query) is expected


ALL = "eq ne gt lt ge le sa eb ap"

#: How a period lies to February 2013, and which comparators hold then.
AGAINST_FEBRUARY = [
    pytest.param(period("2012-12-01", "2012-12-15"), "ne lt le eb", id="before"),
    pytest.param(period("2013-01-01", "2013-01-31"), "ne lt le eb ap", id="up-to-its-start"),
    pytest.param(period("2013-01-15", "2013-02-10"), "ne lt le ge ap", id="into-it"),
    pytest.param(period("2013-02-01", "2013-02-10"), "eq ge le ap", id="its-start"),
    pytest.param(period("2013-02-05", "2013-02-10"), "eq ge le ap", id="within"),
    pytest.param(period("2013-02-20", "2013-02-28"), "eq ge le ap", id="its-end"),
    pytest.param(period("2013-02-01", "2013-02-28"), "eq ge le ap", id="all-of-it"),
    pytest.param(period("2013-02", "2013-02"), "eq ge le ap", id="the-month"),
    pytest.param(period("2013-01-15", "2013-03-15"), "ne gt lt ge le ap", id="around-it"),
    # "Up to the specified value", "the specified value and up": of what is partly in February, `le` and `ge` hold.
    pytest.param(period("2013-02-01", "2013-03-15"), "ne gt ge le ap", id="longer"),
    pytest.param(period("2013-01-15", "2013-02-28"), "ne lt le ge ap", id="begun-earlier"),
    pytest.param(period("2013-02-20", "2013-03-10"), "ne gt ge le ap", id="out-of-it"),
    pytest.param(period("2013-03-01", "2013-03-10"), "ne gt ge sa ap", id="from-its-end"),
    pytest.param(period("2013-04-20", "2013-04-25"), "ne gt ge sa", id="after"),
    # "a missing lower boundary is 'less than' any actual date. A missing upper boundary is 'greater than' any"
    pytest.param(period("2013-01-15"), "ne gt lt ge le ap", id="open-from-before"),
    pytest.param(period("2013-02-01"), "ne gt ge le ap", id="open-from-its-start"),
    pytest.param(period("2013-02-10"), "ne gt ge le ap", id="open-from-within"),
    pytest.param(period("2013-03-01"), "ne gt ge sa ap", id="open-from-its-end"),
    pytest.param(period("2013-06"), "ne gt ge sa", id="open-from-after"),
    pytest.param(period(end="2012-12"), "ne lt le eb", id="open-to-before"),
    pytest.param(period(end="2013-01-31"), "ne lt le eb ap", id="open-to-its-start"),
    pytest.param(period(end="2013-02-10"), "ne lt le ge ap", id="open-to-within"),
    pytest.param(period(end="2013-02-28"), "ne lt le ge ap", id="open-to-its-end"),
    pytest.param(period(end="2013-03-15"), "ne gt lt ge le ap", id="open-to-after"),
    pytest.param("2013-02", "eq ge le ap", id="a-month"),
    pytest.param("2013", "ne gt lt ge le ap", id="a-year"),
    pytest.param("2013-02-28T23:59:59.999Z", "eq ge le ap", id="the-last-moment"),
    pytest.param("2013-03-01T00:00:00Z", "ne gt ge sa ap", id="the-moment-after"),
    pytest.param("2013-02-01T00:00:00Z", "eq ge le ap", id="the-first-moment"),
    pytest.param("2013-01-31T23:59:59.999Z", "ne lt le eb ap", id="the-moment-before"),
    # Nothing stands to nothing: not even `ne`.
    pytest.param(None, "", id="no-element"),
    pytest.param({"id": "x"}, "", id="no-limits"),
    pytest.param({"repeat": {"frequency": 3}}, "", id="timing-without-limits"),
    # "the specified scheduling details are ignored and only the outer limits matter"
    pytest.param({"event": ["2013-01-15", "2013-03-15"]}, "ne gt lt ge le ap", id="events-around-it"),
    pytest.param({"event": ["2013-02-15", "2013-02-03"]}, "eq ge le ap", id="events-in-no-order"),
    pytest.param({"event": [None, "2013-02-15"]}, "eq ge le ap", id="an-event-that-is-not-said"),
    pytest.param({"event": ["2013-04-15"]}, "ne gt ge sa", id="an-event-after"),
    pytest.param({"repeat": {"boundsPeriod": period("2013-02-05", "2013-02-10")}}, "eq ge le ap", id="bounds"),
    pytest.param({"repeat": {"boundsPeriod": period("2013-04-01")}}, "ne gt ge sa", id="open-bounds"),
    pytest.param({"repeat": {"boundsPeriod": {"id": "x"}}}, "", id="bounds-without-limits"),
    pytest.param(
        {"event": ["2013-02-15"], "repeat": {"boundsPeriod": period("2013-02", "2013-05")}},
        "ne gt ge le ap",
        id="events-and-bounds",
    ),
]


@pytest.mark.parametrize(("value", "holding"), AGAINST_FEBRUARY)
@pytest.mark.parametrize("comparator", ALL.split())
def test_every_comparator_against_every_way_to_lie(value: Any, holding: str, comparator: str) -> None:
    """See the table of prefixes: `gt` asks for something after February, `lt` for something before it."""
    assert matches(observed(value), "date", f"{comparator}2013-02") is (comparator in holding.split())


PRECISION = [
    ("2013-01-14", "2013-01-14 2013-01 2013 eq2013", "2013-01-14T00:00Z 2013-01-13 2013-02 2014"),
    ("2013-01", "2013-01 2013 ne2013-01-01 gt2013-01-01 lt2013-01-31 ge2013-01-31 le2013-01-31", "2013-01-01 2013-02"),
    # The year begins with January: nothing of it is before January, but something is in it.
    ("2013", "2013 gt2013-01 lt2013-02 ge2013-01 le2013-01 ne2013-01 ap2013-01 ap2013-12", "2013-01 lt2013-01 2012"),
    ("2013-12", "2013-12 2013 lt2014 eb2014 gt2013-11 sa2013-11", "2014 2013-11 gt2013 sa2013"),
    ("2012-02-29", "2012-02-29 2012-02 gt2012-02-28 lt2012-03-01 sa2012-02-28 eb2012-03", "2012-02-28 2012-03"),
    ("9999-12-31", "9999-12-31 9999-12 9999 gt9998 ap9999 ap9998 le9999", "9998 gt9999 sa9999 lt9999"),
    ("0001-01-01", "0001-01-01 0001 lt0002 eb0002 ap0001 ap0002 ge0001", "0002 lt0001 eb0001 gt0001"),
    ("2013-01-14T10:00:00Z", "2013-01-14T10:00Z 2013-01-14T10:00:00Z 2013-01-14", "2013-01-14T10:00:00.0Z"),
    ("2013-01-14T10:00:30Z", "2013-01-14T10:00Z gt2013-01-14T10:00:29Z lt2013-01-14T10:00:31Z", "gt2013-01-14T10:00Z"),
    (
        "2013-01-14T10:00:00.1234567Z",
        "2013-01-14T10:00:00Z 2013-01-14T10:00:00.123Z 2013-01-14T10:00:00.1234567Z gt2013-01-14T10:00:00.122Z",
        "2013-01-14T10:00:00.124Z 2013-01-14T10:00:00.1234568Z gt2013-01-14T10:00:00.123Z",
    ),
    # More digits than a nanosecond has are of no account.
    ("2013-01-14T10:00:00.1234567891Z", "2013-01-14T10:00:00.1234567892Z", "2013-01-14T10:00:00.1234567881Z"),
    ("2012", "ap2012 ap2013 ap2011", "ap2014 ap2010"),
    ("2013-03", "ap2013-03 ap2013-02 ap2013-04", "ap2012-12 ap2013-06"),
    ("2013-03-15", "ap2013-03-15 ap2013-03-14 ap2013-03-16 ap2013-04", "ap2013-03-13 ap2013-03-17"),
    ("2013-03-15T10:00:00Z", "ap2013-03-15T10:01Z ap2013-03-15T09:59Z ap2013-03-14", "ap2013-03-15T10:02Z"),
]

ZONES = [
    # "Where possible, the system should correct for time zones": this is 15 January, 04:30, in UTC.
    (
        "2013-01-14T23:30:00-05:00",
        "2013-01-15 2013-01-15T04:30Z 2013-01-14T23:30-05:00 ge2013-01-15 le2013-01-15 gt2013-01-14 sa2013-01-14 "
        "lt2013-01-16 eb2013-01-16 ne2013-01-14",
        "2013-01-14 2013-01-14T23:30:00Z lt2013-01-15 gt2013-01-15 le2013-01-14 eb2013-01-15 sa2013-01-15",
    ),
    # New Year in Auckland is still the year before in UTC.
    (
        "2013-01-01T00:30:00+13:00",
        "2012 2012-12-31 2012-12-31T11:30Z 2013-01-01T00:30+13:00 lt2013 eb2013 ne2013 ge2012",
        "2013 2013-01-01 ge2013 gt2012 sa2012",
    ),
    ("2013-01-01T00:00:00Z", "2013 2013-01-01 gt2012 sa2012 2013-01-01T13:00+13:00", "2012 le2012 eb2013"),
    ("2012-12-31T23:59:59Z", "2012 2012-12-31 eb2013 lt2013 2013-01-01T12:59:59+13:00", "2013 ge2013 sa2012"),
    ("2013-01-01T00:00:00+14:00", "2012-12-31T10:00Z 2012-12-31", "2013-01-01"),
    ("2012-12-31T23:00:00-12:00", "2013-01-01T11:00Z 2013-01-01", "2012-12-31"),
    ("2013-06-01T12:00:00+05:45", "2013-06-01T06:15Z", "2013-06-01T06:00Z"),
    ("2013-06-01T12:00:00-00:00", "2013-06-01T12:00Z 2013-06-01T12:00+00:00", ""),
    # Without a time zone it is UTC.
    ("2013-01-14T10:00:00", "2013-01-14T10:00:00Z 2013-01-14T10:00:00", "2013-01-14T10:00:00+01:00"),
    ("2013-01-14T10:00:00+01:00", "2013-01-14T09:00 2013-01-14T10:00+01:00", "2013-01-14T10:00"),
    # "Dates do not have time zones": a day is the one of UTC, wherever the client is.
    (
        "2013-01-01",
        "ge2013-01-01T00:00:00+13:00 sa2013-01-01T00:00:00+13:00 gt2013-01-01T00:00:00-11:00",
        "le2013-01-01T00:00:00+13:00 sa2013-01-01T00:00:00-11:00 eb2013-01-01T00:00:00-11:00",
    ),
    # A leap second is the first of the next day.
    ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60Z 2017 gt2016 le2016-12-31T23:59:60Z", "2016-12-31 2016 le2016"),
    ("2017-01-01T00:00:00Z", "2016-12-31T23:59:60Z ge2016-12-31T23:59:60Z", "gt2016-12-31T23:59:60Z"),
    ("2017-01-01T10:59:60+11:00", "2017-01-01T00:00:00Z", "2016-12-31"),
]


MIXED = [
    # "Dates do not have time zones": where both limits in UTC would be the wrong way round, though each is right where
    # the period was, the one without a time zone is in the other one's.
    (
        period("2024-05-02", "2024-05-02T06:00:00+12:00"),
        "2024-05-01 ge2024-05-01T12:00Z le2024-05-01T12:00Z eb2024-05-01T18:01Z sa2024-05-01T11:59Z",
        "2024-05-02 sa2024-05-01T12:00Z",
    ),
    (
        period("2024-05-01T20:00:00-05:00", "2024-05-01"),
        "2024-05-02 sa2024-05-01 eb2024-05-02T05:00Z",
        "2024-05-01 eb2024-05-02T04:59Z",
    ),
    # Elsewhere it is UTC.
    (period("2024-05-01", "2024-05-02T06:00:00+12:00"), "2024-05-01 sa2024-04-30", "lt2024-05-01"),
    (period("2024-05-01T20:00:00+12:00", "2024-05-01"), "2024-05-01", "gt2024-05-01"),
]


@table([*PRECISION, *ZONES, *MIXED])
def test_dates_by_precision_and_time_zone(value: Any, query: str, expected: bool) -> None:
    assert matches(observed(value), "date", query) is expected


LISTS = [
    ("2013-05", "2012,2013 lt2012,ge2013 gt2014,2013-05 ne2013-05,2013 sa2013-04,eb2000", "2012,2014 gt2013,lt2013"),
    (period("2013-05"), "2012,gt2013 eb2013,sa2013-04", "2013-05,2013 eb2013,sa2013-05"),
]


@table(LISTS)
def test_commas_join_by_or_whatever_the_comparators(value: Any, query: str, expected: bool) -> None:
    assert matches(observed(value), "date", query) is expected


REPEATED = [
    (["2013-01", "2015-01"], "2013 2015 lt2014 gt2014 ne2013 ne2014 sa2014 eb2014 le2013 ge2015", "2014 lt2013 gt2015"),
    (["2013-01", "2013-02"], "2013 ne2013-01 ne2012", "ne2013 gt2013 lt2013"),
    ([], "", "2013 ne2013 lt2013 ge2013"),
]


@table(REPEATED)
def test_of_several_values_one_has_to_compare(value: list[str], query: str, expected: bool) -> None:
    """For `ne` too: it holds of a value, `:not` would hold of all."""
    targets: list[Json] = [{"dueDate": due} for due in value] or [{"measure": {"text": "x"}}]
    goal = {"resourceType": "Goal", "target": targets}
    assert matches(goal, "target-date", query) is expected


#: "an interval with an effective width of 0"; a dateTime with the same digits lasts a second.
INSTANT = "2013-01-02T10:00:00Z 2013-01-02T10:00:00.000Z ge2013-01-02T10:00:00.000Z le2013-01-02T10:00:00.000Z"
INSTANTS: list[Row] = [
    ({"effectiveInstant": "2013-01-02T10:00:00Z"}, INSTANT, "gt2013-01-02T10:00:00.000Z ne2013-01-02T10:00:00.000Z"),
    ({"effectiveInstant": "2013-01-02T10:00:00Z"}, "gt2013-01-02T09:59:59.999Z", "sa2013-01-02T10:00:00Z"),
    ({"effectiveDateTime": "2013-01-02T10:00:00Z"}, "gt2013-01-02T10:00:00.000Z", "2013-01-02T10:00:00.000Z"),
]


@table(INSTANTS)
def test_an_instant_has_no_width(value: Json, query: str, expected: bool) -> None:
    assert matches({"resourceType": "Observation", **value}, "date", query) is expected


def test_text_in_place_of_a_date_is_no_date() -> None:
    immunization = {"resourceType": "Immunization", "occurrenceString": "2013-01-10"}
    assert not any(matches(immunization, "date", f"{comparator}2013") for comparator in ALL.split())


def test_a_plus_that_was_decoded_to_a_blank_is_a_plus() -> None:
    assert matches(observed("2013-01-14T10:00:00+02:00"), "date", "ge2013-01-14T10:00:00 02:00")
    assert not matches(observed("2013-01-14T10:00:00+02:00"), "date", "gt2013-01-14T10:00:00 02:00")


@pytest.mark.parametrize(
    "value",
    [
        *("yesterday", "2013-13", "2013-00", "2013-02-30", "2013-02-29", "13-01-01", "2013-1-1", "20130101", "0000"),
        *("2013-01-01T10", "2013-01-01T25:00", "2013-01-01T24:00", "2013-01-01T10:61", "2013-01-01T10:00:61Z"),
        *("2013-01-01T10:00+15:00", "2013-01-01T10:00+1:00", "2013-01-01T10:00z", "2013-01-01Z", "２０１３", "-2013"),
        *("eq", "gt", "gtgt2013", "xx2013", "GT2013", "gt 2013", ">2013", "2013..2014", "ge2013-02-30", "10000"),
    ],
)
def test_what_is_no_date_is_rejected(value: str) -> None:
    assert "a date is written" in rejection("Observation", "date", value)


@pytest.mark.parametrize("modifier", ["exact", "above", "x"])
def test_a_modifier_is_rejected(modifier: str) -> None:
    assert f"`:{modifier}` of `date` is not supported" in rejection("Observation", f"date:{modifier}", "2013")


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "2013-02-30",
        period("2013-02", "2013-01"),
        period("2013-02-02", "2013-02-01T23:59:00+12:00"),
        period("2013-02-02T00:00:00+12:00", "2013-02-01T23:59:00+12:00"),
        period("2013-02", "soon"),
        {"event": ["2013", "soon"]},
    ],
)
@pytest.mark.parametrize("comparator", ["eq", "ne", "ge"])
def test_a_malformed_date_in_a_resource_is_an_error_and_no_match(value: Any, comparator: str) -> None:
    with pytest.raises(EvaluationError, match=r"Observation\.date could not be read"):
        matches(observed(value), "date", f"{comparator}2013")


@given(st.datetimes(), st.sampled_from(["%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]))
def test_less_precision_contains_more(moment: Any, form: str) -> None:
    """Whatever is cut off a date, its range contains the date."""
    coarse = form.replace("%Y", f"{moment.year:04}")
    assert date.parse(moment.strftime(coarse)).contains(date.parse(moment.isoformat()))
