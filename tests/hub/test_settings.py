"""The settings: what makes no sense is refused in one line that names the variable, the fault, and what is right."""

import sys

import pytest

from hub.cli import REFUSED, main
from hub.settings import Settings


def refusal(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `hub check match` says to these variables, without its own name."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["hub", "check", "match"])
    assert main() == REFUSED
    said = capsys.readouterr().err
    assert said.startswith("hub check: ")
    assert said.count("\n") == 1
    return said.removeprefix("hub check: ").rstrip()


URL = "should be a URL with a host and no query, such as https://hub.example"
REDIS = (
    "its value should be redis://[[user]:password@]host[:port][/database], rediss://… for TLS, or unix:///path, with"
    " options that redis-py knows"
)
WEBHOOK = "its value should be an http or https URL without user information and fragment"
WHSEC = "its value should be `whsec_` and 24 to 64 bytes in base64"
LEVELS = "should be 'debug', 'info', 'warning' or 'error'"
ISSUER = "should be an https URL with a host and no fragment; http on loopback only"
ALGORITHMS = "should be 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512' or 'EdDSA'"
NETWORK = "should be a CIDR, an address or a host name, such as 10.0.0.0/8 or relay.internal"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HUB_LOG_LEVEL", "verbose", f"'verbose' {LEVELS}"),
        ("HUB_AUTH", "basic", "'basic' should be 'none', 'keys' or 'smart'"),
        ("HUB_SMART_ISSUER", "http://issuer.example", f"'http://issuer.example' {ISSUER}"),
        ("HUB_SMART_JWKS_URL", "https://issuer.example/#keys", f"'https://issuer.example/#keys' {ISSUER}"),
        ("HUB_SMART_TOKEN_URL", "token", f"'token' {ISSUER}"),
        ("HUB_SMART_ALGORITHMS", "RS384,none", f"'none' {ALGORITHMS}"),
        ("HUB_SMART_ALGORITHMS", "HS256", f"'HS256' {ALGORITHMS}"),
        ("HUB_PARTITIONS", "many", "'many' should be a whole number"),
        ("HUB_PARTITIONS", "65", "'65' should be less than or equal to 64"),
        ("HUB_ALLOW_OPEN", "perhaps", "'perhaps' should be true or false"),
        ("HUB_PUMP_SECONDS", "inf", "'inf' should be a finite number"),
        ("HUB_PUMP_SECONDS", "1e12", "'1e12' should be less than or equal to 86400"),
        ("HUB_REQUEST_TIMEOUT", "nan", "'nan' should be a finite number"),
        ("HUB_REQUEST_TIMEOUT", "1 min", "'1 min' should be a number"),
        ("HUB_HANDSHAKE_DELAY", "-1", "'-1' should be greater than or equal to 0"),
        ("HUB_RETRY_WAITS", "1,nan", "'nan' should be a finite number"),
        ("HUB_RETRY_WAITS", "1,-5", "'-5' should be greater than or equal to 0"),
        ("HUB_RETRY_WAITS", "1e300", "'1e300' should be less than or equal to 31536000"),
        ("HUB_ENDPOINT_PORTS", "443,99999", "'99999' should be less than or equal to 65535"),
        ("HUB_ENDPOINT_PORTS", "0", "'0' should be greater than or equal to 1"),
        ("HUB_BASE_URL", "foo", f"'foo' {URL}"),
        ("HUB_BASE_URL", "https://", f"'https://' {URL}"),
        ("HUB_BASE_URL", "https://hub.example:99999", f"'https://hub.example:99999' {URL}"),
        ("HUB_BASE_URL", "https://hub.example/?a=b", f"'https://hub.example/?a=b' {URL}"),
        ("HUB_CANONICAL_BASE", "bar", f"'bar' {URL}"),
        ("HUB_CANONICAL_BASE", "https://hub.example|1", f"'https://hub.example|1' {URL}"),
        ("HUB_CANONICAL_BASE", "", f"'' {URL}"),
        (
            "HUB_PRIVATE_ENDPOINTS",
            "relay,10.0.0.1/8",
            "'10.0.0.1/8' should be 10.0.0.0/8: it has bits beyond its prefix",
        ),
        ("HUB_PRIVATE_ENDPOINTS", "10.0.0.0/99", f"'10.0.0.0/99' {NETWORK}"),
        ("HUB_PRIVATE_ENDPOINTS", "10.0.0.256", f"'10.0.0.256' {NETWORK}"),
        ("HUB_PRIVATE_ENDPOINTS", "relay.internal:8080", f"'relay.internal:8080' {NETWORK}"),
        ("HUB_PRIVATE_ENDPOINTS", "http://relay.internal", f"'http://relay.internal' {NETWORK}"),
        ("HUB_PRIVATE_ENDPOINTS", "*.internal", f"'*.internal' {NETWORK}"),
        ("HUB_ALERT_URL", "ftp://hush", WEBHOOK),
        ("HUB_ALERT_URL", "https://user:hush@hub.example", WEBHOOK),
        ("HUB_ALERT_SECRET", "hush", WHSEC),
        ("HUB_ALERT_SECRET", "whsec_aHVzaA==", WHSEC),
        ("HUB_REDIS_URL", "foo", REDIS),
        ("HUB_RQ_REDIS_URL", "foo", REDIS),
        ("HUB_REDIS_URL", "unix://", REDIS),
        ("HUB_REDIS_URL", "redis://[::1", REDIS),
        ("HUB_REDIS_URL", "redis://:secret", REDIS),
        ("HUB_REDIS_URL", "redis://:secret@redis:99999", REDIS),
        ("HUB_REDIS_URL", "redis://:secret@redis/first", REDIS),
        ("HUB_REDIS_URL", "redis://:secret@redis?socket_timeout=long", REDIS),
        ("HUB_REDIS_URL", "redis://:secret@redis?sockettimeout=1", REDIS),
    ],
)
def test_nonsense(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is named by its variable, an item of a list too; and a URL that holds a password is not shown."""
    assert refusal({name: value}, monkeypatch, capsys) == f"{name}: {said}"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "HUB_AUTH=smart needs HUB_SMART_ISSUER: the URL of whoever issues tokens"),
        (
            {"HUB_SMART_ISSUER": "https://issuer.example/", "HUB_SMART_ALGORITHMS": ","},
            "HUB_AUTH=smart needs HUB_SMART_ALGORITHMS: at least one algorithm",
        ),
        (
            {"HUB_SMART_ISSUER": "https://issuer.example/", "HUB_SMART_JWKS_URL": "https://issuer.example/keys"},
            "HUB_SMART_JWKS_URL needs HUB_SMART_TOKEN_URL: no discovery document is asked for then",
        ),
    ],
    ids=["no-issuer", "no-algorithm", "no-token-url"],
)
def test_half_an_issuer(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tokens that nobody could check are not asked for."""
    assert refusal({"HUB_AUTH": "smart", **variables}, monkeypatch, capsys) == said


@pytest.mark.parametrize(
    "url", ["https://issuer.example/", "http://127.0.0.1:9000/realms/x", "https://a.example/k?p=b"]
)
def test_issuers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An issuer is kept as it is written."""
    monkeypatch.setenv("HUB_SMART_ISSUER", url)
    assert Settings().smart_issuer == url


def test_every_fault_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    variables = {"HUB_AUTH": "basic", "HUB_RETRY_WAITS": "-5,nan"}
    assert refusal(variables, monkeypatch, capsys) == (
        "HUB_RETRY_WAITS: '-5' should be greater than or equal to 0;"
        " HUB_RETRY_WAITS: 'nan' should be a finite number; HUB_AUTH: 'basic' should be 'none', 'keys' or 'smart'"
    )


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "HUB_REDIS_CLUSTER=true needs HUB_REDIS_URL: the Redis that `hub serve` runs itself is no Cluster"),
        (
            {"HUB_REDIS_URL": "unix:///run/redis.sock"},
            "HUB_REDIS_CLUSTER=true needs a host in HUB_REDIS_URL: a Cluster can't be reached by a Unix socket",
        ),
        (
            {"HUB_REDIS_URL": "redis://redis/1"},
            "HUB_REDIS_CLUSTER=true needs database 0 in HUB_REDIS_URL: a Cluster has no other",
        ),
        (
            {"HUB_REDIS_URL": "redis://redis"},
            "HUB_REDIS_CLUSTER=true needs HUB_RQ_REDIS_URL: RQ can't use a Cluster, give it a Redis of its own",
        ),
    ],
    ids=["no-url", "socket", "database", "rq"],
)
def test_half_a_cluster(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal({"HUB_REDIS_CLUSTER": "true", **variables}, monkeypatch, capsys) == said


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://redis",
        "redis://:secret@redis:6380/2",
        "rediss://user:secret@redis:6380?ssl_cert_reqs=none",
        "redis://redis?db=3&protocol=2&socket_timeout=1.5",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock?db=1",
        "unix://user:secret@/run/redis.sock",
    ],
)
def test_urls_of_redis(url: str) -> None:
    assert Settings(redis_url=url, rq_redis_url=url).redis_url == url


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("log_level", "INFO", "info"),
        ("base_url", "http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("base_url", "http://[::1]:8000", "http://[::1]:8000"),
        ("base_url", "https://example.org/hub/", "https://example.org/hub"),
        ("base_url", "", ""),
        ("retry_waits", "0, 1.5,", (0.0, 1.5)),
        ("retry_waits", "", ()),
        ("endpoint_ports", "1,65535", (1, 65535)),
    ],
)
def test_sense(name: str, value: str, taken: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"HUB_{name.upper()}", value)
    assert getattr(Settings(), name) == taken


def test_private_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses are networks of one; the rest are names."""
    monkeypatch.setenv("HUB_PRIVATE_ENDPOINTS", "10.0.0.0/8, 192.0.2.7, fd00::/8, Relay.internal, relay_2")
    settings = Settings()
    assert [str(network) for network in settings.private_networks] == ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]
    assert settings.private_hosts == {"relay.internal", "relay_2"}
