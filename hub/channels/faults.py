"""What an error of the transport says of an attempt."""

import errno
import re
import ssl

import aiohttp

from hub.channels.guard import BlockedAddress
from subscriptions.retry import Blocked, Fault, Unreachable

#: All that the transport raises. A TimeoutError is an OSError.
FAILURES = (aiohttp.ClientError, OSError, UnicodeError)

#: What the system says of a connection that it could not make. Whatever else it says then (no more ports, no more
#: files, not permitted) is no word of the endpoint.
_NUMBERS = {
    errno.ECONNREFUSED: Fault.REFUSED,
    errno.ENETUNREACH: Fault.NO_ROUTE,
    errno.EHOSTUNREACH: Fault.NO_ROUTE,
    errno.ENETDOWN: Fault.NO_ROUTE,
    errno.EHOSTDOWN: Fault.NO_ROUTE,
    errno.ETIMEDOUT: Fault.CONNECT_TIMEOUT,
}

#: Of several addresses that failed in different ways, the one that tells most: a hub without IPv6 has no route to
#: half of an endpoint that is down.
_TELLING = (Fault.REFUSED, Fault.CONNECT_TIMEOUT, Fault.NO_ROUTE)


def outcome_of(error: BaseException) -> Blocked | Unreachable:
    """The first error says less than those that it comes from."""
    causes = _chain(error)
    for cause in causes:
        if isinstance(cause, BlockedAddress):
            return Blocked(str(cause))
        # OpenSSL's words, and the name that was asked for. aiohttp's own kind of this error has none.
        if isinstance(cause, ssl.SSLCertVerificationError) and not isinstance(cause, aiohttp.ClientError):
            return Unreachable(Fault.CERTIFICATE, cause.verify_message.rstrip("."))
        if isinstance(cause, aiohttp.ClientConnectorError) and (fault := _unconnected(cause.os_error)):
            return Unreachable(fault)
    for kind, fault in _FAULTS:
        if any(isinstance(cause, kind) for cause in causes):
            return Unreachable(fault)
    return Unreachable(Fault.OTHER)


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
        if isinstance(inner, BaseException):
            found.append(inner)
        error = error.__cause__ or error.__context__
    return found


def _unconnected(error: OSError) -> Fault | None:
    """What the system says of it. Where addresses failed in different ways, aiohttp tells of them in the text alone."""
    numbers = [error.errno] if error.errno else [int(n) for n in re.findall(r"\[Errno (\d+)\]", str(error))]
    faults = [_NUMBERS.get(number) for number in numbers]
    return next((fault for fault in _TELLING if fault in faults), None) if all(faults) else None


#: The first kind that is found in the chain of causes says what happened.
_FAULTS: tuple[tuple[type[BaseException], Fault], ...] = (
    (aiohttp.ClientConnectorDNSError, Fault.DNS),
    (aiohttp.ClientConnectorCertificateError, Fault.CERTIFICATE),
    (aiohttp.ClientSSLError, Fault.TLS),
    (ssl.SSLError, Fault.CLIENT_CERTIFICATE),  # behind the handshake, as TLS 1.3 has it
    (aiohttp.ConnectionTimeoutError, Fault.CONNECT_TIMEOUT),
    (aiohttp.ClientConnectorError, Fault.OTHER),
    (aiohttp.ServerDisconnectedError, Fault.RESET),
    (ConnectionResetError, Fault.RESET),
    (BrokenPipeError, Fault.RESET),
    (aiohttp.ClientOSError, Fault.RESET),
    (aiohttp.ClientResponseError, Fault.GARBAGE),
    (aiohttp.ClientPayloadError, Fault.GARBAGE),
    (UnicodeError, Fault.GARBAGE),
    (TimeoutError, Fault.TIMEOUT),
)
