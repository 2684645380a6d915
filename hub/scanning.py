"""
How many Subscriptions there are that cost something: all that a client has, and those that every change is held
against, since nothing that they ask for can be looked up.
"""

from dataclasses import dataclass

import msgspec

from hub.access import ANYBODY
from hub.registered import Registered
from hub.tenancy import Tenancy
from subscriptions.bucket import is_scanned
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.filters import criteria
from subscriptions.versions.forms import FORMS


@dataclass(frozen=True, slots=True)
class Scanning:
    """
    Where subscriptions are counted: at places. They are scanned at tenant, version and type of the changes, and the
    topic; and beside that at the same with their client behind it, so that none takes all of it from the others. Each
    stands at its client's own place, too. Where clients are not told apart there is none.

    scanned, of_client, scanned_of_client: How many may be at a place of these kinds; 0 for no limit.
    """

    tenancy: Tenancy
    scanned: int
    of_client: int = 0
    scanned_of_client: int = 0

    async def places(self, registered: Registered) -> list[str]:
        """Nowhere if it is off; scanned nowhere if it can't be understood: then matchers set it aside."""
        if not registered.on:
            return []
        places = await self._scanned(registered)
        if (owner := registered.owner) == ANYBODY.name:
            return places
        return [f"@{owner}", *places, *(f"{place} {owner}" for place in places)]

    def most(self, place: str) -> int:
        """How many may be at a place; 0 for no limit."""
        if place.startswith("@"):
            return self.of_client
        return self.scanned if place.count(" ") == 1 else self.scanned_of_client

    async def _scanned(self, registered: Registered) -> list[str]:
        key = registered.key
        await self.tenancy.met([key.tenant])
        try:
            resource = msgspec.json.decode(registered.resource)
            interest = FORMS[key.version].read_interest(resource, legacy=registered.style)
            topic = interest.own_topic or self.tenancy.topics(key.tenant).find(key.version, interest.topic)
            if topic is None or not interest.filters:
                return []
            wanted = criteria(interest.filters, topic, self.tenancy.context(key.tenant, key.version))
        except (Rejected, ValueError, AttributeError, TypeError):
            return []
        return [f"{key.tenant}/{key.version}/{type_} {topic.url}" for type_, met in wanted.items() if is_scanned(met)]

    def full(self, places: list[str], counts: list[int], held: bytes | None, version: FhirVersion) -> Rejected | None:
        """
        Why one that would stand at these places is not accepted; None when it is.

        Args:
            counts: How many are there already.
            held: What `hub:{registry}:places` has of it: where it stands already it may stay.
        """
        by: dict[str, dict[str, list[str]]] = msgspec.json.decode(held) if held else {}
        its = {place for each in by.values() for place in each["places"]}
        full = (
            place
            for place, count in zip(places, counts, strict=True)
            if place not in its and 0 < self.most(place) <= count
        )
        return next((self.refusal(place, version) for place in full), None)

    def refusal(self, full: str, version: FhirVersion) -> Rejected:
        """Why one more is not accepted at a place. `version`: That of the Subscription."""
        most = self.most(full)
        if full.startswith("@"):
            text = f"{full[1:]} has {most} Subscriptions that are not off, as many as a client may have."
            return Rejected(Issue(IssueCode.TOO_COSTLY, text, "Subscription"))
        place, topic, *client = full.split(" ")
        type_ = place.rpartition("/")[2]
        others = f"{most} others of the same client" if client else f"{most} others"
        text = (
            f"None of the filters can be looked up, so that every change of {type_} would be held against them, as it"
            f" is against those of {others} on {topic}: more are not accepted. Add a filter by equality, such"
            " as one on a patient."
        )
        return Rejected(Issue(IssueCode.TOO_COSTLY, text, FORMS[version].topic_element))
