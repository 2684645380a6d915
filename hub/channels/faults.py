"""What an error of the HTTP client says of an attempt."""

import ssl

import aiohttp
import httpx

from hub.channels.guard import BlockedAddress
from subscriptions.retry import Blocked, Fault, Unreachable

#: All that the transport raises, httpx' own errors or not. A TimeoutError is an OSError.
FAILURES = (httpx.HTTPError, aiohttp.ClientError, OSError, UnicodeError)


def outcome_of(error: BaseException) -> Blocked | Unreachable:
    """The transport hides most causes behind ConnectTimeout; the chain tells."""
    causes = _chain(error)
    for cause in causes:
        if isinstance(cause, BlockedAddress):
            return Blocked(str(cause))
        # OpenSSL's words, and the name that was asked for. aiohttp's own kind of this error has none.
        if isinstance(cause, ssl.SSLCertVerificationError) and not isinstance(cause, aiohttp.ClientError):
            return Unreachable(Fault.CERTIFICATE, cause.verify_message.rstrip("."))
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


#: The first kind that is found in the chain of causes says what happened.
_FAULTS: tuple[tuple[type[BaseException], Fault], ...] = (
    (aiohttp.ClientConnectorDNSError, Fault.DNS),
    (aiohttp.ClientConnectorCertificateError, Fault.CERTIFICATE),
    (aiohttp.ClientSSLError, Fault.TLS),
    (ssl.SSLError, Fault.CLIENT_CERTIFICATE),  # behind the handshake, as TLS 1.3 has it
    (aiohttp.ConnectionTimeoutError, Fault.CONNECT_TIMEOUT),
    (ConnectionRefusedError, Fault.REFUSED),
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
