"""Settings that contradict each other, do nothing, or are meant for development."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from urllib.parse import urlsplit

from hub.cli.address import Address
from hub.cli.examining.findings import Finding, fail, ok, warn
from hub.cli.remote import KEY, URL
from hub.secrets import FILE
from hub.settings import Settings

AREA = "settings"

#: What begins like a setting and is none: of commands, and of tests.
OTHERS = {URL, KEY}


def contradictions(settings: Settings, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    found = [*_unknown(environment), *_strangers(settings), *_idle(settings), *_lossy(settings), *_missing(settings)]
    yield from found or [ok(AREA, "none contradicts another")]


def _unknown(environment: Mapping[str, str]) -> Iterator[Finding]:
    known = {f"HUB_{name.upper()}" for name in Settings.model_fields}
    for name in sorted(environment):
        if name.upper().startswith("HUB_") and name.upper() not in known | OTHERS:
            meant = get_close_matches(name.upper(), known, 1)
            todo = f"Is {meant[0]} meant?" if meant else "Remove it, or see the settings in the guide."
            yield warn(AREA, f"{name} is no setting: it does nothing", todo)


def _strangers(s: Settings) -> Iterator[Finding]:
    """Who gets in, and where the hub is led to."""
    base = urlsplit(s.base_url)
    near = not s.base_url or Address(base.hostname or "", 0).loopback
    if s.auth == "none" and not near:
        text = f"HUB_AUTH is none, and HUB_BASE_URL is {s.base_url}: everybody who reaches it may do everything"
        yield warn(AREA, text, "Set HUB_AUTH=keys, or have a proxy let in nobody else.")
    if s.auth != "none" and s.allow_open:
        yield warn(AREA, f"HUB_ALLOW_OPEN does nothing with HUB_AUTH={s.auth}", "Remove it.")
    if s.tls_certificate and base.scheme == "http":
        text = f"the hub speaks TLS (HUB_TLS_CERTIFICATE), and calls itself {s.base_url}"
        yield fail(AREA, text, "Have HUB_BASE_URL begin with https://, or leave TLS to a proxy.")
    if s.allow_private_endpoints and not near:
        text = "HUB_ALLOW_PRIVATE_ENDPOINTS is for development: who registers reaches all that this machine does"
        yield warn(AREA, text, "Name the networks or hosts by HUB_PRIVATE_ENDPOINTS.")
    if s.allow_private_endpoints and s.private_endpoints:
        text = "HUB_PRIVATE_ENDPOINTS says nothing while HUB_ALLOW_PRIVATE_ENDPOINTS allows them all"
        yield warn(AREA, text, "Remove HUB_ALLOW_PRIVATE_ENDPOINTS.")
    if s.allow_http_endpoints and not near:
        text = "HUB_ALLOW_HTTP_ENDPOINTS: notifications may travel readable by anybody on the way"
        yield warn(AREA, text, "Remove it when all endpoints have https.")


def _idle(s: Settings) -> Iterator[Finding]:
    """What is set and does nothing without something else."""
    given = s.model_fields_set
    smart = sorted(f"HUB_{name.upper()}" for name in given if name.startswith("smart_"))
    if smart and s.auth != "smart":
        yield warn(AREA, f"{', '.join(smart)} without HUB_AUTH=smart", "Set that, or remove them.")
    if s.tls_key and not s.tls_certificate:
        yield fail(AREA, "HUB_TLS_KEY without HUB_TLS_CERTIFICATE: no TLS is spoken", "Name the certificate too.")
    if s.alert_secret and not s.alert_url:
        yield warn(AREA, "HUB_ALERT_SECRET without HUB_ALERT_URL: nobody is alerted", "Say where alerts go.")
    if s.alert_url and not s.alert_secret:
        text = "alerts are not signed: whoever knows HUB_ALERT_URL can make some up"
        yield warn(AREA, text, "Set HUB_ALERT_SECRET, and have the receiver verify.")
    if "rate_burst" in given and not s.rate:
        yield warn(AREA, "HUB_RATE_BURST without HUB_RATE: nothing is limited", "Set HUB_RATE, or remove it.")
    if s.audit == "off" and given & {"audit_days", "audit_entries"}:
        yield warn(AREA, "HUB_AUDIT is off, and something says how long it is kept", "Set HUB_AUDIT, or remove it.")


def _lossy(s: Settings) -> Iterator[Finding]:
    """What has something be lost sooner than it seems."""
    if s.allow_volatile_redis:
        text = "HUB_ALLOW_VOLATILE_REDIS: what was confirmed may be gone when Redis ends"
        yield warn(AREA, text, "Have Redis write with appendfsync always, and remove it.")
    if s.allow_volatile_redis and s.durability_attested:
        text = "HUB_DURABILITY_ATTESTED vouches for what HUB_ALLOW_VOLATILE_REDIS gives up"
        yield warn(AREA, text, "Keep one of them.")
    waits, kept = sum(s.retry_waits), s.retention_days * 86_400
    if waits > kept:
        text = f"an endpoint is tried for {waits / 86_400:.3g} days, but events are kept for {s.retention_days:.3g}"
        yield warn(AREA, text, "Raise HUB_RETENTION_DAYS, or shorten HUB_RETRY_WAITS.")
    if s.redis_url and not (s.secrets_key or s.secrets_key_file or (s.data_dir / FILE).exists()):
        if s.encrypt_bodies:
            text = "HUB_ENCRYPT_BODIES needs a key, and there is none"
            yield fail(AREA, text, "Set HUB_SECRETS_KEY or HUB_SECRETS_KEY_FILE, the same for all parts.")
        else:
            text = "there is no HUB_SECRETS_KEY: Subscriptions with headers are refused, and nothing is signed"
            yield warn(AREA, text, "Set HUB_SECRETS_KEY or HUB_SECRETS_KEY_FILE, the same for all parts.")


def _missing(s: Settings) -> Iterator[Finding]:
    """Files that are named and aren't there."""
    for name in ("tls_certificate", "tls_key", "secrets_key_file", "endpoint_ca_file", "topics_dir"):
        path = getattr(s, name)
        if path and not path.exists():
            yield fail(AREA, f"HUB_{name.upper()} {path} does not exist, or is not to be read", "Correct it.")
