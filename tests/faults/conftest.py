"""Hubs in processes of their own, to be broken."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.facts import eventually
from tests.processes import HubProcess

#: A hand-over of the pumps every two seconds; three attempts in a second; requests that may hang for long.
SETTINGS = {"HUB_PUMP_SECONDS": "2", "HUB_RETRY_WAITS": "0.1,0.2", "HUB_REQUEST_TIMEOUT": "10"}


@contextmanager
def directory() -> Iterator[Path]:
    """A directory with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
async def hub() -> AsyncIterator[HubProcess]:
    """One hub for the tests that leave it whole; they keep apart by their resources and paths."""
    with directory() as folder:
        async with HubProcess(folder, SETTINGS) as hub:
            await eventually(lambda: hub.have(1))
            yield hub
