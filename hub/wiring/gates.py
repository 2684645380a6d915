"""The gates of all tenants: what `HUB_AUTH` says."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hub.access import Access
from hub.api.gate import KeysGate, OpenGate, SmartGate
from hub.api.routes import Gate, Route
from hub.api.wellknown import SmartConfiguration
from hub.channels.fetching import Fetching
from hub.channels.guard import Guard
from hub.instants import now_ms
from hub.settings import Settings
from hub.smart.issuer import Issuer, Named
from hub.smart.verifier import Verifier


@dataclass(frozen=True, slots=True)
class Gates:
    """
    Made once for a process: its tenants share what is known of the issuer.

    issuer: Of tokens; None where there are none.
    """

    settings: Settings
    access: Access
    issuer: Issuer | None

    @classmethod
    def of(cls, settings: Settings, access: Access, guard: Guard) -> "Gates":
        """Raises NotTheHub when HUB_ENDPOINT_CA_FILE can't be read."""
        if settings.auth != "smart":
            return cls(settings, access, None)
        named = Named(
            settings.smart_issuer, settings.smart_jwks_url, settings.smart_token_url, settings.smart_algorithms
        )
        return cls(settings, access, Issuer(Fetching.of(guard, settings.endpoint_ca_file), named))

    def gate(self, tenant: str, bases: Iterable[str]) -> Gate:
        """A tenant's gate, before its FHIR bases."""
        if self.issuer:
            audience = self.settings.smart_audience or (self.settings.base_url, *bases)
            verifier = Verifier(self.issuer, frozenset(audience), now=now_ms)
            return SmartGate(self.access, tenant, verifier)
        return OpenGate() if self.settings.auth == "none" else KeysGate(self.access, tenant)

    def routes(self) -> Iterator[Route]:
        """What is below each FHIR base."""
        if self.issuer:
            yield from SmartConfiguration(self.issuer).routes()
