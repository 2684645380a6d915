"""What each tenant has of its own: topics, terminology and base URLs. Nothing of one shows in another."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from hub.access import DEFAULT
from hub.pipeline import Pipeline
from hub.terminology import Contexts
from hub.topics import Topics
from subscriptions.codes import FhirVersion
from subscriptions.search.asking import Context

_BELOW = re.compile(r"(?:/t/([^/]+))?/fhir/([^/]+)/(.+)")


def url(base_url: str, tenant: str) -> str:
    """What a tenant's FHIR bases and its administration are below. `base_url`: The hub's own, HUB_BASE_URL."""
    return base_url if tenant == DEFAULT else f"{base_url}/t/{tenant}"


def bases(base_url: str, tenant: str) -> dict[FhirVersion, str]:
    """A tenant's FHIR base of each version, without a slash at its end."""
    return {version: f"{url(base_url, tenant)}/fhir/{version}" for version in FhirVersion}


@dataclass
class Tenancy:
    """
    A process' copy of what each tenant has: made when it is first asked for, and kept.

    base_url: The hub's own.
    chained: Whether filters may look at other resources of their tenant.
    """

    pipeline: Pipeline
    base_url: str
    canonical_base: str
    chained: bool
    _topics: dict[str, Topics] = field(default_factory=dict)
    _met: set[str] = field(default_factory=set)

    def topics(self, tenant: str) -> Topics:
        """A tenant's topics. Before they were refreshed the first time only the built-in ones are known."""
        if tenant not in self._topics:
            contexts = {
                version: Context(version, frozenset({base}), self.chained)
                for version, base in self.bases(tenant).items()
            }
            held = Contexts(self.pipeline, tenant, contexts)
            self._topics[tenant] = Topics(self.pipeline, tenant, self.canonical_base, held)
        return self._topics[tenant]

    def context(self, tenant: str, version: FhirVersion) -> Context:
        """What a tenant's filters are understood in."""
        return self.topics(tenant).contexts[version]

    def bases(self, tenant: str) -> dict[FhirVersion, str]:
        """A tenant's FHIR base of each version, without a slash at its end."""
        return bases(self.base_url, tenant)

    def base(self, tenant: str, version: FhirVersion) -> str:
        """One of them."""
        return self.bases(tenant)[version]

    def placed(self, literal: str, version: FhirVersion) -> tuple[str, str] | None:
        """Below which tenant's base of a FHIR version a URL is, and what follows that; None if it is below none."""
        found = _BELOW.fullmatch(literal.removeprefix(self.base_url)) if literal.startswith(self.base_url) else None
        return (found[1] or DEFAULT, found[3]) if found and found[2] == version else None

    async def refresh(self, tenants: Iterable[str]) -> None:
        """See every topic, and all terminology, that was stored of these before this was called."""
        for tenant in tenants:
            await self.topics(tenant).refresh()
            self._met.add(tenant)

    async def met(self, tenants: Iterable[str]) -> None:
        """See what was stored of those that are new here."""
        await self.refresh(set(tenants) - self._met)
