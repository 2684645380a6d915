"""Figures as commands show them."""

import pytest

from hub.cli.showing import figure


@pytest.mark.parametrize(
    ("number", "shown"), [(0.0, "0"), (0.0123, "0.0123"), (9.876, "9.88"), (1234.5, "1,234"), (123456.0, "123,456")]
)
def test_a_figure_is_read_at_once(number: float, shown: str) -> None:
    """No power of ten, however large it is."""
    assert figure(number) == shown
