"""What the values of settings are: each kind is read from its text, or refused by what it should be."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode
from redis.connection import ConnectionPool

from hub.secrets import read_keys
from subscriptions.signing import Secret
from subscriptions.versions.values import wrong_url

Network = IPv4Network | IPv6Network

#: Seconds. What is longer makes no sense, and in the end no date or alarm could hold it.
DAY, YEAR = 86_400, 31_536_000

Wait: TypeAlias = Annotated[float, Field(ge=0, le=YEAR)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]

#: Those with a public key: who can verify can't sign.
Algorithm: TypeAlias = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

#: Hosts that are this machine, whatever a resolver says.
_HERE = frozenset(("localhost", "127.0.0.1", "::1"))


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _url(text: str) -> str:
    """A URL that others are told, without a slash at its end."""
    try:
        parts = urlsplit(text)
        right = re.fullmatch(r"https?://[^\s/@?#|]+(/[^\s?#|]*)?", text) and parts.hostname and parts.port != 0
    except ValueError:  # such as a port that is none
        right = False
    if not right:
        raise ValueError("should be a URL with a host and no query, such as https://hub.example")
    return text.rstrip("/")


def _url_or_nothing(text: str) -> str:
    return text and _url(text)


def of_issuer(text: str) -> bool:
    """Whether a token's issuer may be called there: readable by nobody on the way."""
    try:
        parts = urlsplit(text)
        right = re.fullmatch(r"https?://[^\s/@?#|\\]+([/?][!-\[\]-~]*)?", text) and parts.hostname and parts.port != 0
    except ValueError:  # such as a port that is none
        return False
    return bool(right) and "#" not in text and (parts.scheme == "https" or parts.hostname in _HERE)


def _of_issuer(text: str) -> str:
    """As it is written: an issuer with a slash at its end is another one than without."""
    if text and not of_issuer(text):
        raise ValueError("should be an https URL with a host and no fragment; http on loopback only")
    return text


def _redis_url(text: str) -> str:
    if text and not _is_redis_url(text):
        raise ValueError(
            "should be redis://[[user]:password@]host[:port][/database], rediss://… for TLS, or unix:///path, with"
            " options that redis-py knows"
        )
    return text


def _is_redis_url(text: str) -> bool:
    """Whether redis-py reads it, and as it is meant: a database that is no number it would take for 0."""
    try:
        parts = urlsplit(text)
        path = r"/.+" if parts.scheme == "unix" else r"(/\d*)?"
        return bool(re.fullmatch(path, parts.path) and ConnectionPool.from_url(text).make_connection())
    except (ValueError, TypeError):  # TypeError: an option that it doesn't know
        return False


def _host_and_port(value: Any) -> Any:
    """`redis.internal:6379` or `[::1]:8000` as a pair."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})", value)
    if not found or not 0 < int(found[2]) < 65536:
        raise ValueError("should be a host and a port, such as redis.internal:6379 or [::1]:8000")
    return found[1].strip("[]"), int(found[2])


def _private_endpoint(text: str) -> str:
    """What has the form of a CIDR is one, or is refused: as a host's name it would match nothing."""
    if re.fullmatch(r"[\w.-]+", text) and not text.rpartition(".")[2].isdigit():
        return text
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("should be a CIDR, an address or a host name, such as 10.0.0.0/8 or relay.internal") from None
    if not is_network(text):
        raise ValueError(f"should be {network}: it has bits beyond its prefix")
    return text


def _secrets_key(text: str) -> str:
    read_keys(text)
    return text


def _webhook_url(text: str) -> str:
    if text and wrong_url(text, allow_http=True):
        raise ValueError("should be an http or https URL without user information and fragment")
    return text


def _webhook_secret(text: str) -> str:
    try:
        _ = text and Secret.parse(text)
    except ValueError as error:
        raise ValueError(f"should be {error}") from None
    return text


def is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _token(text: str) -> str:
    if text and not re.fullmatch(r"[!-~]{16,}", text):
        raise ValueError("should be 16 or more letters, digits and signs, without blanks")
    return text


#: Words that may be written in capitals too.
InAnyCase = BeforeValidator(_lower)

Url: TypeAlias = Annotated[str, AfterValidator(_url)]
UrlOrNothing: TypeAlias = Annotated[str, AfterValidator(_url_or_nothing)]
IssuerUrl: TypeAlias = Annotated[str, AfterValidator(_of_issuer)]
RedisUrl: TypeAlias = Annotated[str, AfterValidator(_redis_url)]
WebhookUrl: TypeAlias = Annotated[str, AfterValidator(_webhook_url)]
WebhookSecret: TypeAlias = Annotated[str, AfterValidator(_webhook_secret)]
Token: TypeAlias = Annotated[str, AfterValidator(_token)]
SecretsKey: TypeAlias = Annotated[str, AfterValidator(_secrets_key)]

#: Lists are written with commas, since JSON in an environment variable is a trap.
_COMMAS = (NoDecode, BeforeValidator(_split))

Texts: TypeAlias = Annotated[tuple[str, ...], *_COMMAS]
Waits: TypeAlias = Annotated[tuple[Wait, ...], *_COMMAS]
Ports: TypeAlias = Annotated[tuple[Port, ...], *_COMMAS]
Algorithms: TypeAlias = Annotated[tuple[Algorithm, ...], *_COMMAS]
Addresses: TypeAlias = Annotated[tuple[Annotated[tuple[str, int], BeforeValidator(_host_and_port)], ...], *_COMMAS]
PrivateEndpoints: TypeAlias = Annotated[tuple[Annotated[str, AfterValidator(_private_endpoint)], ...], *_COMMAS]
