"""
What is kept from whom: by operators' rules, and by the Consents that the hub was given.

`hub:{registry}:suppressions` is a hash: `tenant/rule/<id>` -> JSON of a rule, and `tenant/version/Consent/<id>` ->
`number elements`, where elements are the JSON of what of it counts, or nothing if it denies nothing. Its field with an
empty name counts the changes, and `hub:{registry}:suppressing` has by which change each of them came. `honoured` says
that all Consents are there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

import msgspec

from hub.belief import Copy
from hub.keys import REGISTRY_LOG, SUPPRESSING, SUPPRESSIONS, ResourceId
from hub.pipeline import Pipeline, script
from subscriptions.codes import FhirVersion
from subscriptions.consent import Unattributed, consent
from subscriptions.suppression import Rule, Suppression

SUPPRESS, UNREMEMBER = script("suppress"), script("unremember")

log = getLogger("hub.suppressions")

#: The type that is remembered.
CONSENT = "Consent"

#: The field that is there from when all Consents are.
HONOURED = "honoured"

#: Elements of a Consent that count.
_ELEMENTS = ("id", "status", "patient", "subject", "scope", "policyRule", "decision", "period", "provision")

#: Records that are read at once.
_CHUNK = 100

_KEYS = [SUPPRESSIONS, SUPPRESSING, REGISTRY_LOG]


async def honour(pipeline: Pipeline, resource: ResourceId, number: int, body: bytes | None) -> None:
    """Have a version of a Consent count from now on, unless a later one does. None for a delete. May be repeated."""
    await _suppress(pipeline, str(resource), _counting(resource.version, body), number)


async def are_all_honoured(pipeline: Pipeline) -> bool:
    """Whether all Consents count that were ever stored."""
    return bool(await pipeline.command("HEXISTS", SUPPRESSIONS, HONOURED))


async def note_all_honoured(pipeline: Pipeline) -> None:
    """Say so from now on."""
    await _suppress(pipeline, HONOURED, b"1")


async def dishonour(pipeline: Pipeline, resource: ResourceId, number: int) -> None:
    """Have no version of a Consent up to this one count any more, nor ever again, and keep nothing of them."""
    await pipeline.run(UNREMEMBER, _KEYS, str(resource), number, "", f"suppression:{resource}")


@dataclass
class Suppressions(Copy):
    """
    A process' copy of them.

    base: The FHIR base of a tenant and FHIR version.
    consents: Whether Consents are honoured.
    """

    pipeline: Pipeline
    base: Callable[[str, FhirVersion], str]
    consents: bool
    now: Callable[[], int]
    rules: dict[str, dict[str, Rule]] = field(default_factory=dict)
    _of: dict[tuple[str, FhirVersion], Suppression] = field(default_factory=dict)
    _seen: int = 0

    def of(self, tenant: str, version: FhirVersion) -> Suppression:
        """Those of a tenant and FHIR version."""
        found = self._of.get((tenant, version))
        if found is None:
            found = self._of[tenant, version] = Suppression(version)
            found.rule(self.rules.get(tenant, {}).values())
        return found

    async def _read(self) -> None:
        count = int(await self.pipeline.command("HGET", SUPPRESSIONS, "") or 0)
        if count != self._seen:
            names = await self.pipeline.command("ZRANGEBYSCORE", SUPPRESSING, f"({self._seen}", "+inf")
            for chunk in (names[i : i + _CHUNK] for i in range(0, len(names), _CHUNK)):
                records = await self.pipeline.command("HMGET", SUPPRESSIONS, *chunk)
                for name, record in zip(chunk, records, strict=True):
                    self._set(name.decode(), record)
            self._seen = count

    async def add(self, tenant: str, rule: Rule) -> None:
        """Have a rule count, in the place of the one with its id."""
        record = msgspec.json.encode({"criteria": rule.criteria, "client": rule.client})
        await _suppress(self.pipeline, f"{tenant}/rule/{rule.id}", record)
        await self.refresh()

    async def remove(self, tenant: str, id_: str) -> None:
        """Have a rule count no more, if there is one."""
        await _suppress(self.pipeline, f"{tenant}/rule/{id_}", b"")
        await self.refresh()

    def _set(self, name: str, record: bytes | None) -> None:
        if name == HONOURED:
            return
        tenant, kind, rest = name.split("/", 2)
        if kind == "rule":
            of_tenant = self.rules.setdefault(tenant, {})
            of_tenant.pop(rest, None)
            if record:
                held = msgspec.json.decode(record)
                of_tenant[rest] = Rule(rest, held["criteria"], held["client"])
            for (of, _), suppression in self._of.items():
                if of == tenant:
                    suppression.rule(of_tenant.values())
        elif self.consents:
            self._set_consent(tenant, FhirVersion(kind), rest.partition("/")[2], record or b"")

    def _set_consent(self, tenant: str, version: FhirVersion, id_: str, record: bytes) -> None:
        place, found = f"{tenant}/{version}/{CONSENT}/{id_}", None
        if elements := record.partition(b" ")[2]:
            resource: Mapping[str, Any] = msgspec.json.decode(elements)
            try:
                found = consent(resource, version, frozenset({self.base(tenant, version)}))
            except Unattributed:
                log.error("consent.unattributed", extra={"resource": place})
        if found is not None and (vague := found.provision.all_vague):
            log.warning("consent.vague", extra={"resource": place, "reason": ", ".join(sorted(vague))})
        self.of(tenant, version).consent(id_, found)


def _counting(version: FhirVersion, body: bytes | None) -> bytes:
    """What of a Consent counts, as JSON; empty if it denies nothing."""
    resource = msgspec.json.decode(body) if body is not None else {}
    try:
        found = consent(resource, version, frozenset())
    except Unattributed:  # not by a relative reference, at least
        return _elements(resource)
    return _elements(resource) if found else b""


def _elements(resource: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({name: resource[name] for name in _ELEMENTS if name in resource})


async def _suppress(pipeline: Pipeline, name: str, record: bytes, number: int | None = None) -> None:
    await pipeline.run(SUPPRESS, _KEYS, name, record, "" if number is None else number)
