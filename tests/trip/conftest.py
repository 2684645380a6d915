"""One hub in processes of its own, shared by tests that keep apart by their resources and paths."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.facts import eventually
from tests.fhir import Fhir, talking_to
from tests.processes import HubProcess
from tests.receiver import Receiver

#: Three attempts in a second; a request may be held for as long as a test needs.
SETTINGS = {"HUB_RETRY_WAITS": "0.1,0.2", "HUB_REQUEST_TIMEOUT": "15", "HUB_HANDSHAKE_DELAY": "0.2"}


@pytest.fixture(scope="session")
async def hub() -> AsyncIterator[HubProcess]:
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        async with HubProcess(Path(folder), SETTINGS) as hub:
            await eventually(lambda: hub.have(1))
            yield hub


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        yield Path(folder)


@pytest.fixture
async def fhir(hub: HubProcess) -> AsyncIterator[Fhir]:
    async with talking_to(hub) as fhir:
        yield fhir


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver
