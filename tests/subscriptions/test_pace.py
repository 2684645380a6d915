"""How often a subscriber is told: what its wishes come to."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.pace import Pace, pace
from subscriptions.versions.forms import FORMS
from tests.processes import subscription

_plain = FORMS[FhirVersion.R4].parse_subscription(
    subscription("https://client.example.org/notify"), now=datetime.now(UTC)
)


@pytest.mark.parametrize(
    ("heartbeat_period", "window", "max_count", "expected"),
    [
        pytest.param(None, None, None, Pace(1, 0, 0), id="one-by-one-at-once"),
        pytest.param(None, None, 20, Pace(20, 0, 0), id="as-many-as-asked-for"),
        pytest.param(None, None, 2**31 - 1, Pace(1_000, 0, 0), id="not-more-than-fit-into-memory"),
        pytest.param(1, None, None, Pace(1, 900, 0), id="a-tenth-early"),
        pytest.param(60, None, None, Pace(1, 55_000, 0), id="five-seconds-early-at-most"),
        pytest.param(2**31 - 1, None, None, Pace(1, (2**31 - 6) * 1000, 0), id="the-longest-period"),
        pytest.param(None, 60, None, Pace(100, 0, 60_000), id="gathered"),
        pytest.param(None, 60, 7, Pace(7, 0, 60_000), id="gathered-as-many-as-asked-for"),
        pytest.param(60, 20, 1, Pace(1, 55_000, 20_000), id="a-window-within-the-period"),
        pytest.param(60, 60, 1, Pace(1, 55_000, 55_000), id="the-window-ends-when-a-heartbeat-is-due"),
    ],
)
def test_what_is_asked_for(
    heartbeat_period: int | None, window: int | None, max_count: int | None, expected: Pace
) -> None:
    asked = replace(_plain, heartbeat_period=heartbeat_period, window=window, max_count=max_count)
    assert pace(asked) == expected
