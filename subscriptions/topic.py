"""A SubscriptionTopic, whatever FHIR version it was written in: https://hl7.org/fhir/R5/subscriptiontopic.html."""

from dataclasses import dataclass

from subscriptions.codes import Comparator, Interaction, PublicationStatus, SearchType

#: What stands for every resource type in a trigger, a filter or a shape.
ANY = "Resource"

#: http://hl7.org/fhir/ValueSet/search-modifier-code, of which R4B's subscription-search-modifier has a few.
MODIFIERS = (
    *("missing", "exact", "contains", "not", "text", "in", "not-in", "below", "above", "type", "identifier"),
    *("of-type", "code-text", "text-advanced", "iterate"),
)


@dataclass(frozen=True, slots=True)
class QueryCriteria:
    """
    Searches that the version before and the version after a change are held against, as `parameter=value&…`.

    previous, current: Empty when the topic has none.
    result_for_create: What the test of `previous` counts as when there was no version before; None when not said.
    result_for_delete: The same of `current` when there is none after.
    require_both: Both have to pass, and not just one.
    """

    previous: str = ""
    current: str = ""
    result_for_create: bool | None = None
    result_for_delete: bool | None = None
    require_both: bool = False


@dataclass(frozen=True, slots=True)
class ResourceTrigger:
    """
    Which changes of which resource type make an event.

    resource: A resource type's name, or `Resource` for all.
    interactions: The interactions that fire it; all three when the topic names none.
    query: None when the topic has none. It outweighs `fhirpath`: both say the same thing in two languages.
    fhirpath: An expression over `%previous` and `%current`; empty when the topic has none.
    """

    resource: str
    interactions: frozenset[Interaction] = frozenset(Interaction)
    query: QueryCriteria | None = None
    fhirpath: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """
    An event that a publisher names along with a change.

    codings: System and code of each coding that means it.
    resource: As in a resource trigger.
    """

    codings: frozenset[tuple[str, str]]
    resource: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """
    A SearchParameter that the topic contains, for a label of its own.

    id: What `#id` points to.
    base: The resource types that it is for.
    expression: FHIRPath, for all bases at once.
    targets: The types that a reference may point to; empty for any.
    """

    id: str
    code: str
    type: SearchType
    base: frozenset[str]
    expression: str
    targets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CanFilterBy:
    """
    A filter that subscriptions may have.

    resource: A type, `Resource`, or None for every type of the topic.
    parameter: A search parameter's code, chained (`patient.gender`) or not, or a label of the topic's own.
    definition: Canonical of the SearchParameter that the label stands for, or `#id` of one that the topic contains;
        empty when `parameter` says it all.
    comparators, modifiers: Those that are allowed beside plain equality.
    """

    resource: str | None
    parameter: str
    definition: str = ""
    comparators: frozenset[Comparator] = frozenset()
    modifiers: frozenset[str] = frozenset()
    description: str = ""


@dataclass(frozen=True, slots=True)
class NotificationShape:
    """
    Resources that come along with a focus of this type, as search directives: `Encounter:patient`.

    include: What the focus refers to. rev_include: What refers to the focus.
    """

    resource: str
    include: tuple[str, ...] = ()
    rev_include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Topic:
    """
    What can be subscribed to. Its triggers, of either kind, are joined by OR.

    url: The canonical, without version: the topic's identity everywhere.
    can_filter_by: None for every filter that the hub can evaluate, as the built-in topics have it.
    definitions: What `#id` in `can_filter_by` points to.
    derived_from: Canonicals, perhaps with `|version`.
    """

    url: str
    version: str
    title: str
    description: str
    triggers: tuple[ResourceTrigger, ...]
    event_triggers: tuple[EventTrigger, ...] = ()
    can_filter_by: tuple[CanFilterBy, ...] | None = None
    shapes: tuple[NotificationShape, ...] = ()
    definitions: tuple[Definition, ...] = ()
    derived_from: tuple[str, ...] = ()
    status: PublicationStatus = PublicationStatus.ACTIVE

    @property
    def retired(self) -> bool:
        """Whether nobody may subscribe any more; those who have subscribed stay."""
        return self.status is PublicationStatus.RETIRED

    @property
    def resource_types(self) -> frozenset[str]:
        """The types that it is about, perhaps `Resource` for all."""
        by_change = {trigger.resource for trigger in self.triggers}
        return frozenset(by_change | {trigger.resource for trigger in self.event_triggers})


def built_in(base: str, resource_type: str) -> Topic:
    """The topic of any create, update or delete of one type: `{base}/SubscriptionTopic/{type}-change`."""
    return Topic(
        url=f"{base.rstrip('/')}/SubscriptionTopic/{resource_type.lower()}-change",
        version="1.0.0",
        title=f"Any change of {resource_type}",
        description=f"{resource_type} was created, updated or deleted.",
        triggers=(ResourceTrigger(resource_type),),
    )
