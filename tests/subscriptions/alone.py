"""For tests in which a resource is all that there is."""

from datetime import UTC, datetime

from subscriptions.search.held import Held


def nothing_else() -> Held:
    """A hub that holds nothing besides."""
    return Held(datetime(2026, 11, 21, tzinfo=UTC))
