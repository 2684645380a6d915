"""A SubscriptionTopic, whatever FHIR version it was written in: a list of triggers, as R6 has it."""

from dataclasses import dataclass

from subscriptions.codes import Interaction


@dataclass(frozen=True, slots=True)
class ResourceTrigger:
    """
    Which changes of which resource type make an event.

    resource: A resource type's name.
    interactions: The interactions that fire it; all three when the topic names none.
    """

    resource: str
    interactions: frozenset[Interaction] = frozenset(Interaction)


@dataclass(frozen=True, slots=True)
class Topic:
    """
    What can be subscribed to. Its triggers are joined by OR.

    url: The canonical, without version: the topic's identity everywhere.
    """

    url: str
    version: str
    title: str
    description: str
    triggers: tuple[ResourceTrigger, ...]

    @property
    def resource_types(self) -> frozenset[str]:
        """The types that a filter of a subscription on this topic may name."""
        return frozenset(trigger.resource for trigger in self.triggers)


def built_in(base: str, resource_type: str) -> Topic:
    """The topic of any create, update or delete of one type: `{base}/SubscriptionTopic/{type}-change`."""
    return Topic(
        url=f"{base.rstrip('/')}/SubscriptionTopic/{resource_type.lower()}-change",
        version="1.0.0",
        title=f"Any change of {resource_type}",
        description=f"{resource_type} was created, updated or deleted.",
        triggers=(ResourceTrigger(resource_type),),
    )
