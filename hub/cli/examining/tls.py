"""Whether an address can be reached, and what its certificate says."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from hub.channels.guard import BlockedAddress, Guard

#: Seconds for a connection, and days that a certificate should be good for.
PATIENCE, DAYS = 5.0, 14.0

#: What says where the hub may call.
RULE = "See HUB_PRIVATE_ENDPOINTS and HUB_ENDPOINT_PORTS, and whether this command has the hub's settings."


@dataclass(frozen=True, slots=True)
class Reached:
    """
    What came of a connection.

    fault: Why there is none, or none to be trusted; empty when there is one.
    todo: What to do about that.
    days: For which its certificate is still good; None without TLS.
    """

    fault: str = ""
    todo: str = ""
    days: float | None = None


async def reach(guard: Guard, tls: ssl.SSLContext | None, host: str, port: int, name: str = "") -> Reached:
    """
    Connect as the hub would, and say nothing.

    Args:
        tls: How it is spoken; None: it isn't.
        name: Whose certificate it should be, where that is not the host.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            sock = await _connected(guard, host, port)
            if tls is None:
                sock.close()
                return Reached()
            days = await _spoken(sock, tls, name or host)
    except BlockedAddress as blocked:
        return Reached(
            f"the hub may not call it: {blocked.reason}",
            RULE,
        )
    except TimeoutError:
        return Reached(f"no answer within {PATIENCE:g} s", "See whether a firewall is between.")
    except ssl.SSLCertVerificationError as error:
        return Reached(f"its certificate is refused: {error.verify_message}", _advice(error))
    except ssl.SSLError as error:
        return Reached(
            f"it speaks no TLS that the hub speaks: {error.reason or error}", "It has to speak TLS 1.2 or 1.3."
        )
    except socket.gaierror:
        return Reached("its name is not known", "See whether it is written right, and the name server of this machine.")
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number) if number else str(error) or "it broke the connection off"
        return Reached(why, "See whether it runs.")
    return Reached(days=days)


async def _connected(guard: Guard, host: str, port: int) -> socket.socket:
    """The first of its addresses that answers. As aiohttp does, names are asked for by the guard's resolver."""
    with suppress(ValueError):
        return await _dialled(guard, str(ip_address(host)), port)
    resolver = guard.resolver()
    try:
        addresses = await resolver.resolve(host, port, family=socket.AF_UNSPEC)
    finally:
        await resolver.close()
    for address in addresses[:-1]:
        with suppress(OSError):
            return await _dialled(guard, address["host"], port)
    return await _dialled(guard, addresses[-1]["host"], port)


async def _dialled(guard: Guard, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = guard.open_socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)))
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _spoken(sock: socket.socket, tls: ssl.SSLContext, name: str) -> float:
    """The days for which the certificate of the other side is good."""
    try:
        _, writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name)
    except BaseException:
        sock.close()
        raise
    try:
        found: Any = writer.get_extra_info("peercert") or {}
        ends = [ssl.cert_time_to_seconds(found["notAfter"])] if "notAfter" in found else []
        return (min(ends) - time.time()) / 86_400 if ends else 0.0
    finally:
        writer.transport.abort()


def _advice(error: ssl.SSLCertVerificationError) -> str:
    return "; ".join(_advised(error.verify_message.lower())) or "See who issued it, and for whom."


def _advised(said: str) -> Iterator[str]:
    if "expired" in said:
        yield "it has to be renewed"
    if "mismatch" in said or "not valid for" in said:
        yield "it has to name the host that the URL has"
    if "self" in said or "issuer" in said:
        yield "its authority has to be known: HUB_ENDPOINT_CA_FILE"
