"""FHIR's instants, written and read."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.versions import instant

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("at", "text"),
    [
        pytest.param(datetime(2026, 11, 21, 10, tzinfo=UTC), "2026-11-21T10:00:00.000Z", id="whole-second"),
        pytest.param(datetime(2026, 1, 1, 0, 0, 0, 999999, UTC), "2026-01-01T00:00:00.999Z", id="cut-not-rounded"),
        pytest.param(
            datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=13))), "2025-12-31T11:30:00.000Z", id="zone"
        ),
        pytest.param(datetime(33, 4, 3, tzinfo=UTC), "0033-04-03T00:00:00.000Z", id="early-year"),
    ],
)
def test_written_with_milliseconds_in_utc(at: datetime, text: str) -> None:
    """Three decimals and Z, always."""
    assert instant.write(at) == text


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES))  # noqa: DTZ001 - as Hypothesis asks
def test_what_is_written_is_read_back(at: datetime) -> None:
    """Nothing but the part below a millisecond is lost."""
    assert timedelta(0) <= at - instant.read(instant.write(at)) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-12-31T12:00:00Z", datetime(2027, 12, 31, 12, tzinfo=UTC)),
        ("2020-05-29T11:44:13.1882432-05:00", datetime(2020, 5, 29, 16, 44, 13, 188243, UTC)),
        ("2026-06-30T23:59:60Z", datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC)),
        ("2026-06-30T23:59:59+14:00", datetime(2026, 6, 30, 9, 59, 59, tzinfo=UTC)),
    ],
)
def test_read(text: str, at: datetime) -> None:
    """Any number of decimals, any offset, and a leap second."""
    assert instant.read(text) == at


@pytest.mark.parametrize(
    "text",
    [
        "2027",
        "2027-12-31",
        "2027-12-31T12:00Z",
        "2027-12-31T12:00:00",
        "2027-12-31 12:00:00Z",
        "2027-12-31T12:00:00z",
        "2027-02-30T12:00:00Z",
        "2027-12-31T24:00:00Z",
        "0000-12-31T12:00:00Z",
        "2027-12-31T12:00:00+15:00",
        "2027-12-31T12:00:00.Z",
        "٢٠٢٧-12-31T12:00:00Z",
        "",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    """Dates, local times and days that do not exist."""
    with pytest.raises(ValueError, match=r".+"):
        instant.read(text)
