"""The suite: its requirements give each test its FHIR versions, and its results make the table."""

import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.conformance.bases import Base, base_of
from tests.conformance.requirements import VERSIONS, named, register
from tests.conformance.stories import Lives, Shaped, Told, lives, shaped, told
from tests.conformance.table import lines, summary
from tests.conformance.topics import TOPICS
from tests.facts import eventually
from tests.processes import HubProcess
from tests.receiver import Receiver


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", action="store_true", help="print what came of each requirement, for each FHIR version")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Table(config), "conformance-table")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test runs once for each FHIR version that binds in what it is of."""
    if "version" in metafunc.fixturenames:
        ids = {*named(metafunc.function.__name__)}
        bound = {version for each in register() if ids & {*each.ids} for version in each.versions}
        metafunc.parametrize("version", [version for version in VERSIONS if version in bound], scope="session")


class Table:
    """Keeps what became of each test, and prints the table."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._outcomes: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            callspec = getattr(item, "callspec", None)
            version = callspec.params.get("version") if callspec else None
            if version and (ids := named(getattr(item, "originalname", ""))):
                item.user_properties += [("requirement", f"{id_} {version}") for id_ in ids]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            for name, value in report.user_properties:
                if name == "requirement":
                    id_, _, version = str(value).partition(" ")
                    self._outcomes[id_, version].append(report.passed)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._config.getoption("table", default=False):
            terminalreporter.section("conformance")
            for line in lines(register(), self._outcomes):
                terminalreporter.write_line(line)
            terminalreporter.write_line(summary(register(), self._outcomes))


@pytest.fixture(scope="session")
async def subscriber() -> AsyncIterator[Receiver]:
    """The one endpoint of the suite; paths keep its Subscriptions apart."""
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
async def bases(hub: HubProcess, subscriber: Receiver) -> AsyncIterator[dict[str, Base]]:
    async with AsyncExitStack() as stack:
        found = {v: await stack.enter_async_context(base_of(hub, subscriber, v)) for v in VERSIONS}
        for topic in TOPICS:
            await found["r5"].fhir.put(topic)
        yield found


@pytest.fixture
def base(bases: dict[str, Base], version: str) -> Base:
    return bases[version]


@pytest.fixture(scope="session")
async def all_told(bases: dict[str, Base]) -> dict[str, dict[str, Told]]:
    return await told(bases)


@pytest.fixture
def contents(all_told: dict[str, dict[str, Told]], version: str) -> dict[str, Told]:
    """By content, a Subscription and what it was told of a create, an update and a delete."""
    return all_told[version]


@pytest.fixture(scope="session")
async def all_shaped(bases: dict[str, Base]) -> dict[str, Shaped]:
    return await shaped(bases)


@pytest.fixture
def shapes(all_shaped: dict[str, Shaped], version: str) -> Shaped:
    return all_shaped[version]


@pytest.fixture(scope="session")
async def all_lives(bases: dict[str, Base]) -> dict[str, Lives]:
    return await lives(bases)


@pytest.fixture
def life(all_lives: dict[str, Lives], version: str) -> Lives:
    return all_lives[version]


@pytest.fixture(scope="session")
async def strict_url(hub: HubProcess) -> str:
    """The same hub's api once more, with the endpoints that are allowed in production: https, and nothing private."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    await hub.another("api", "--port", port, HUB_ALLOW_HTTP_ENDPOINTS="false", HUB_ALLOW_PRIVATE_ENDPOINTS="false")
    url = f"http://127.0.0.1:{port}"

    async def healthy() -> bool:
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{url}/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    await eventually(healthy)
    return url
