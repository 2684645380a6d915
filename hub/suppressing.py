"""What operators do to the rules by which something is told to nobody; each of it is audited before it is done."""

from dataclasses import dataclass
from secrets import token_hex

from hub.access import DEFAULT, Access
from hub.audit import Audit
from hub.errors import Mistaken
from hub.suppressions import Suppressions
from hub.tenancy import Tenancy
from subscriptions.audit import OPERATOR, Act, Kind
from subscriptions.errors import Rejected
from subscriptions.suppression import Rule


@dataclass(frozen=True, slots=True)
class Suppressing:
    """On `access` and `suppressions` that are up to date. Each method raises Mistaken when that can't be done."""

    suppressions: Suppressions
    tenancy: Tenancy
    access: Access
    audit: Audit

    def of(self, tenant: str) -> dict[str, Rule]:
        """The rules of a tenant by their ids."""
        if tenant != DEFAULT and tenant not in self.access.tenants:
            raise Mistaken(f"there is no tenant {tenant[:40]}: see `hub tenants list`")
        return dict(self.suppressions.rules.get(tenant, {}))

    async def add(self, tenant: str, criteria: str, client: str) -> Rule:
        """A new rule. `client`: Whom it keeps something from; empty for everybody."""
        self.of(tenant)
        if client and client not in self.access.clients:
            raise Mistaken(f"there is no client {client[:80]}: see `hub clients list`")
        await self.tenancy.refresh([tenant])
        try:
            rule = Rule.checked(token_hex(4), criteria, client, self.tenancy.topics(tenant).contexts.values())
        except Rejected as rejected:
            raise Mistaken(str(rejected)) from None
        await self._record(tenant, Kind.RULE_ADDED, rule)
        await self.suppressions.add(tenant, rule)
        return rule

    async def remove(self, tenant: str, id_: str) -> Rule:
        """Have a rule hold no more; what it suppressed meanwhile stays untold."""
        rule = self.of(tenant).get(id_)
        if rule is None:
            raise Mistaken(f"there is no rule {id_[:40]}: see `hub suppress list`")
        await self._record(tenant, Kind.RULE_REMOVED, rule)
        await self.suppressions.remove(tenant, id_)
        return rule

    async def _record(self, tenant: str, kind: Kind, rule: Rule) -> None:
        whom = f"client {rule.client}" if rule.client else "everybody"
        # Criteria may say whose data it is.
        said = f"{rule.criteria.partition('?')[0]}, from {whom}"
        await self.audit.record(tenant, Act(kind, OPERATOR, f"rule/{rule.id}", text=said))
