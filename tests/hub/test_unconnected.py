"""What is made of a connection that the system could not make, and what that says of the endpoint."""

import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from hub.channels.clients import Clients
from hub.channels.guard import Guard
from hub.channels.rest_hook import RestHook
from subscriptions.breaker import connected
from subscriptions.codes import FhirVersion
from subscriptions.message import Message
from subscriptions.retry import Fault, Outcome, Unreachable
from subscriptions.versions.forms import FORMS
from tests.processes import subscription

V4, V6 = "127.0.0.1", "::1"


class Failing(socket.socket):
    """One that can't connect."""

    error: int

    def connect(self, address: Any) -> None:
        raise OSError(self.error, os.strerror(self.error), str(address))


class Names(AbstractResolver):
    """A name server that has two addresses of each name."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:  # noqa: ARG002
        families = {V6: socket.AF_INET6, V4: socket.AF_INET}
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
            for address, family in families.items()
        ]

    async def close(self) -> None:
        pass


@dataclass(frozen=True)
class Unconnected(Guard):
    """One whose sockets fail with these errors, by address."""

    errors: tuple[tuple[str, int], ...] = ()

    def resolver(self) -> AbstractResolver:
        return Names()

    def open_socket(self, address: Any) -> socket.socket:
        found = Failing(*address[:3])
        found.error = dict(self.errors)[address[4][0]]
        return found


@asynccontextmanager
async def failing(v4: int, v6: int) -> AsyncIterator[RestHook]:
    errors = ((V4, v4), (V6, v6))
    hook = RestHook(Clients(Unconnected(allow_private=True, networks=(), ports=frozenset({443}), errors=errors)))
    yield hook
    await hook.close()


async def call(hook: RestHook, host: str) -> Outcome:
    wanted = FORMS[FhirVersion.R4].parse_subscription(
        subscription("http://127.0.0.1/"), now=datetime.now(UTC), allow_http=True
    )
    return await hook.send(replace(wanted, endpoint=f"http://{host}:9/"), Message(b"{}"), seconds=10)


@pytest.mark.parametrize("host", [V4, "two-addresses.example"])
@pytest.mark.parametrize(
    ("error", "fault", "made"),
    [
        pytest.param(errno.ENETUNREACH, Fault.NO_ROUTE, False, id="network-unreachable"),
        pytest.param(errno.EHOSTUNREACH, Fault.NO_ROUTE, False, id="no-route-to-host"),
        pytest.param(errno.ENETDOWN, Fault.NO_ROUTE, False, id="network-down"),
        pytest.param(errno.EHOSTDOWN, Fault.NO_ROUTE, False, id="host-down"),
        pytest.param(errno.ETIMEDOUT, Fault.CONNECT_TIMEOUT, False, id="nobody-answered"),
        pytest.param(errno.ECONNREFUSED, Fault.REFUSED, False, id="refused"),
        pytest.param(errno.EADDRNOTAVAIL, Fault.OTHER, None, id="no-port-of-ours-is-no-word-of-the-endpoint"),
        pytest.param(errno.EACCES, Fault.OTHER, None, id="nor-is-what-we-may-not-do"),
    ],
)
async def test_no_connection_counts_for_the_breaker_as_far_as_it_is_the_endpoints(
    host: str, error: int, fault: Fault, made: bool | None
) -> None:
    """Of one address, and of several that fail alike."""
    async with failing(error, error) as hook:
        said = await call(hook, host)
    assert said == Unreachable(fault)
    assert connected(said) is made


@pytest.mark.parametrize(
    ("v4", "v6", "fault"),
    [
        pytest.param(errno.ECONNREFUSED, errno.ENETUNREACH, Fault.REFUSED, id="down-and-the-hub-has-no-IPv6"),
        pytest.param(errno.ETIMEDOUT, errno.ENETUNREACH, Fault.CONNECT_TIMEOUT, id="silent-and-the-hub-has-no-IPv6"),
        pytest.param(errno.EHOSTUNREACH, errno.ENETUNREACH, Fault.NO_ROUTE, id="no-way-to-either"),
        pytest.param(errno.ECONNREFUSED, errno.EMFILE, Fault.OTHER, id="one-of-them-was-not-tried"),
    ],
)
async def test_addresses_that_fail_in_different_ways(v4: int, v6: int, fault: Fault) -> None:
    async with failing(v4, v6) as hook:
        assert await call(hook, "two-addresses.example") == Unreachable(fault)
