"""Subscriptions that every change is held against, since nothing that they ask for can be looked up, and how many."""

from dataclasses import dataclass

import msgspec

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
    Where subscriptions are scanned: at places, which are tenant, version and type of the changes, and the topic.

    most: How many may be at one place.
    """

    tenancy: Tenancy
    most: int

    async def places(self, registered: Registered) -> list[str]:
        """Nowhere if it is off or can't be understood: then matchers set it aside."""
        key = registered.key
        if not registered.on:
            return []
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

    def full(self, places: list[str], counts: list[int], held: bytes | None) -> Rejected | None:
        """
        Why one that would be scanned at these places is not accepted; None when it is.

        Args:
            counts: How many are there already.
            held: What `hub:{registry}:places` has of it: where it stands already it may stay.
        """
        by: dict[str, dict[str, list[str]]] = msgspec.json.decode(held) if held else {}
        its = {place for each in by.values() for place in each["places"]}
        full = (place for place, count in zip(places, counts, strict=True) if count >= self.most and place not in its)
        return next(map(self.refusal, full), None)

    def refusal(self, full: str) -> Rejected:
        """Why one more is not accepted at a place."""
        place, _, topic = full.partition(" ")
        _, version, type_ = place.rsplit("/", 2)
        text = (
            f"None of the filters can be looked up, so that every change of {type_} would be held against them, as it"
            f" is against those of {self.most} others on {topic}: more are not accepted. Add a filter by equality, such"
            " as one on a patient."
        )
        return Rejected(Issue(IssueCode.TOO_COSTLY, text, FORMS[FhirVersion(version)].topic_element))
