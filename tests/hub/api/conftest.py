"""One api process on an empty Redis, and another one beside it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from hub import transaction
from hub.api import interactions, patching
from tests.hub.api.clients import Clients, telling_apart
from tests.hub.api.server import Hub, serving
from tests.hub.conftest import settings


@pytest.fixture
async def plain(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """One api process on an empty Redis, without a key for secrets."""
    async with serving(settings(redis_url, tmp_path)) as found:
        yield found


@pytest.fixture
def hub(plain: Hub) -> Hub:
    return plain


@pytest.fixture
async def sealing(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """One that has such a key."""
    wanted = settings(redis_url, tmp_path).model_copy(update={"secrets_key": Fernet.generate_key().decode()})
    async with serving(wanted) as found:
        yield found


@pytest.fixture
async def other(hub: Hub, redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """Another api process on the same Redis."""
    async with serving(settings(redis_url, tmp_path)) as found:
        assert found.parts.client is not hub.parts.client
        yield found


@pytest.fixture
async def clients(redis_url: str, tmp_path: Path) -> AsyncIterator[Clients]:
    """One api process, whose clients are told apart."""
    wanted = settings(redis_url, tmp_path).model_copy(
        update={"auth": "keys", "secrets_key": Fernet.generate_key().decode()}
    )
    async with telling_apart(wanted) as found:
        yield found


@pytest.fixture
async def chained(redis_url: str, tmp_path: Path) -> AsyncIterator[Clients]:
    """The same, where filters may look at other resources."""
    wanted = settings(redis_url, tmp_path).model_copy(update={"auth": "keys", "allow_chained_filters": True})
    async with telling_apart(wanted) as found:
        yield found


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a lock or a transaction does so until the test has ended that, however slow the machine is."""
    for module in (transaction, interactions, patching):
        monkeypatch.setattr(module, "PATIENCE", 60.0)
