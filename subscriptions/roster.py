"""
Who is a member of a Group, List or CareTeam, and which Patients are one: what `_in` goes by, read from the resources.

https://hl7.org/fhir/R4/group.html, https://hl7.org/fhir/R4/list.html, https://hl7.org/fhir/R4/careteam.html,
https://hl7.org/fhir/R4/patient.html#links. Members of a Group that is itself a member are no members.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from subscriptions.change import Resource
from subscriptions.search import date
from subscriptions.search.held import Membership
from subscriptions.search.target import local

#: The types that have members.
ROSTERS = frozenset({"CareTeam", "Group", "List"})

#: What says that two Patients are one.
_MERGED = frozenset({"replaced-by", "replaces"})

#: The first day of the year 1 is day 1 of the dates' count.
_DAY_1 = datetime(1, 1, 1, tzinfo=UTC)

#: The JSON of a member's reference and of the period in which it is one.
_Entry: TypeAlias = tuple[Any, Any]


def memberships(resource: Resource, bases: Collection[str]) -> Iterator[tuple[str, Membership]]:
    """
    The members of a resource, as relative references; none if it is no roster, or is not in use.

    Args:
        bases: The hub's own base URLs.

    Raises:
        Rejected: A period is malformed.
    """
    for reference, period in _entries(resource):
        member = local(reference.get("reference"), bases) if isinstance(reference, Mapping) else None
        if member:
            yield member, Membership(f"{resource['resourceType']}/{resource['id']}", *_limits(period or {}))


def merged(resource: Resource, bases: Collection[str]) -> Iterator[str]:
    """The relative references of the other Patients that a Patient replaces, or that replace it."""
    if resource["resourceType"] == "Patient":
        for link in resource.get("link", ()):
            other = local(link.get("other", {}).get("reference"), bases)
            if other and other.startswith("Patient/") and link.get("type") in _MERGED:
                yield other


def _entries(resource: Resource) -> Iterator[_Entry]:
    match resource["resourceType"]:
        case "Group" if resource.get("active") is not False:
            members = resource.get("member", ())
            return ((each.get("entity"), each.get("period")) for each in members if each.get("inactive") is not True)
        case "List" if resource.get("status") == "current":
            return ((each.get("item"), None) for each in resource.get("entry", ()) if each.get("deleted") is not True)
        case "CareTeam" if resource.get("status") in (None, "active"):
            return ((each.get("member"), each.get("period")) for each in resource.get("participant", ()))
    return iter(())


def _limits(period: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    start, end = period.get("start"), period.get("end")
    return _instant(date.parse(start).start) if start else None, _instant(date.parse(end).end) if end else None


def _instant(nanoseconds: float) -> datetime | None:
    """A time as dates count it; None for what is behind the last year that there is."""
    try:
        return _DAY_1 + timedelta(days=-1, microseconds=nanoseconds // 1000)
    except OverflowError:
        return None
