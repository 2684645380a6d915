"""The examples in the library's docstrings are true."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("module", ["reading", "receiving", "store", "verifying"])
def test_docstrings(module: str) -> None:
    found = doctest.testmod(import_module(f"hub.receiver.{module}"))
    assert found.attempted > 0
    assert found.failed == 0
