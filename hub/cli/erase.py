"""`hub erase`: remove all versions of a resource, or of all that is in a patient's compartment, for good."""

import argparse
from functools import partial

from hub.access import DEFAULT
from hub.api.erasing import order_of
from hub.cli import FAILED
from hub.cli.reaching import NOWHERE, data_argument, on_store
from hub.erasures import Erasure, Found, Order, Stage
from hub.errors import Mistaken, Refused
from hub.operating import Operating
from hub.settings import Settings
from hub.wiring.erasing import erasing
from hub.wiring.parts import Parts, existing
from subscriptions.audit import OPERATOR
from subscriptions.codes import FhirVersion

#: Names of what is told of each kind that are shown.
SHOWN = 100


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("resource", metavar="TYPE/ID", help="such as Patient/123")
    parser.add_argument("--compartment", action="store_true", help="of a Patient: all that is in the compartment, too")
    versions = list(FhirVersion)
    parser.add_argument("--version", choices=versions, default=FhirVersion.R4, help="of FHIR (default: r4)")
    parser.add_argument("--tenant", default=DEFAULT, help="whose it is (default: default)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be erased, and erase nothing")
    data_argument(parser)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    version = FhirVersion(arguments.version)
    try:
        order = order_of(arguments.resource, version, arguments.tenant, OPERATOR, arguments.compartment)
    except Refused as refused:
        raise Mistaken(str(refused)) from None
    based = settings.model_copy(update={"base_url": settings.base_url or NOWHERE})
    erasure = on_store(based, arguments.data, existing, partial(_erase, order, arguments.dry_run))
    _say(erasure, settings)
    return FAILED if erasure.files else 0


async def _erase(order: Order, dry: bool, built: Parts) -> Erasure:
    await built.access.refresh()
    Operating(built.access, built.audit).tenant(order.tenant)
    at_work = erasing(built)
    if not order.compartment and await at_work.census.one(order.resource) is None:
        raise Mistaken(f"{order.name} is not known in FHIR {order.version.upper()} of tenant {order.tenant}")
    if dry:
        return Erasure("", order, Stage.FINDING, (await at_work.find(order))[1])
    return await at_work.run(order)


def _say(erasure: Erasure, settings: Settings) -> None:
    found = erasure.found or Found()
    did = "erased" if erasure.id else "would be erased"
    types = ", ".join(f"{number} {type_}" for type_, number in found.resources.items())
    print(f"{did}: {types or 'nothing'}; {found.versions} versions in all")
    told = {
        "still mentioned in": found.mentioned,
        "linked with, and these have compartments of their own": found.linked,
        "not understood, and left as they are": found.unread,
    }
    for what, names in told.items():
        if names:
            print(f"{what}: {len(names)}")
            for name in names[:SHOWN]:
                print(f"  {name}")
    if not settings.base_url:
        print("HUB_BASE_URL is not set: references by the hub's own URL could not be told from those to others")
    if erasure.files:
        print(erasure.files)
    elif erasure.id:
        print("Redis' files are written anew; copies and backups of before are left to whoever keeps them")
