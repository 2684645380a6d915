"""`hub audit export`: the audit of a tenant as AuditEvents, one a line, oldest first."""

import argparse
import sys
from datetime import UTC, datetime
from functools import partial

import msgspec

from hub.access import DEFAULT
from hub.cli.reaching import NOWHERE, data_argument, on_store
from hub.instants import instant, ms, now_ms
from hub.operating import Operating
from hub.settings import Settings
from hub.tenancy import bases
from hub.wiring.commands import operating
from subscriptions.audit import OPERATOR, Act, Kind
from subscriptions.codes import FhirVersion
from subscriptions.versions.audit_event import audit_event
from subscriptions.versions.instant import read


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["export"], help="write it to stdout, as NDJSON; that is audited too")
    when = "a day such as 2026-11-21, in UTC, or an instant such as 2026-11-21T09:59:59Z"
    parser.add_argument("--since", type=moment, metavar="TIME", help=f"nothing from before: {when}")
    parser.add_argument("--until", type=moment, metavar="TIME", help="nothing from then on; until now without it")
    parser.add_argument("--tenant", default=DEFAULT, metavar="NAME", help=f"whose ({DEFAULT})")
    parser.add_argument("--version", choices=list(FhirVersion), default=FhirVersion.R4, help="of FHIR (r4)")
    data_argument(parser)


def moment(text: str) -> int:
    """A day or an instant in ms since 1970. ArgumentTypeError for anything else."""
    try:
        at = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if "T" not in text else read(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]} is neither a day nor an instant with its offset") from None
    return ms(at)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    on_store(settings, arguments.data, operating, partial(_export, arguments, settings.base_url or NOWHERE))
    if not settings.base_url:
        print(f"HUB_BASE_URL is not set: the hub's own URL is written as {NOWHERE}", file=sys.stderr)
    return 0


async def _export(arguments: argparse.Namespace, url: str, found: Operating) -> None:
    tenant, version = found.tenant(arguments.tenant).name, FhirVersion(arguments.version)
    until = now_ms() if arguments.until is None else arguments.until - 1
    span = f"{_told(arguments.since)} to {_told(until)}"
    await found.audit.record(tenant, Act(Kind.EXPORTED, OPERATOR, "audit", text=span))
    places = bases(url, tenant)
    async for entries in found.audit.oldest(tenant, since=arguments.since or 0, until=until):
        for entry in entries:
            sys.stdout.buffer.write(msgspec.json.encode(audit_event(entry, version, places)) + b"\n")
    sys.stdout.buffer.flush()


def _told(at: int | None) -> str:
    return "the first" if at is None else instant(at).isoformat()
