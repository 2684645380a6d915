"""
From the bytes that a client sent to what is stored: checked, and with every byte of its own that the hub has no say in.

What is stored is the JSON as received plus `id`, `meta.versionId` and `meta.lastUpdated`. Blanks between the outermost
members are lost, nothing else: each member's own bytes stay, so an instant keeps its digits and a decimal its zeros.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from hub.ingest import found_by, invariants, strict, validation
from hub.ingest.shapes import modelled, shape
from hub.ingest.structure import ID
from hub.instants import instant
from hub.write import Indexed
from subscriptions.change import Resource
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.parameters import resource_types
from subscriptions.versions.instant import write
from subscriptions.versions.topics import is_topic

#: What a process that serves publishers loads when it starts: the first of each type costs up to 0.1 s.
COMMON = ("Subscription", "Patient", "Observation", "Immunization", "Encounter", "Condition", "Bundle")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Draft:
    """
    A resource that may be stored. `id` is empty when the client gave none.

    identifiers: `system|value` of each of its identifiers that has a value.
    members: Its members, with their bytes as they came.
    """

    type: str
    id: str
    version: FhirVersion
    resource: Resource
    identifiers: tuple[str, ...]
    members: Mapping[str, bytes | msgspec.Raw]

    def indexed(self, id_: str, bases: Collection[str]) -> tuple[Indexed, ...]:
        """
        All that it is found by under this id. `bases`: The hub's own base URLs.

        Raises:
            Rejected: The period of a member is malformed.
        """
        return found_by.found_by({**self.resource, "id": id_}, bases)

    def numbered(self, id_: str, at: int) -> tuple[bytes, bytes]:
        """The JSON that is stored, before and after the number of its version. `at` is in ms since 1970."""
        written: list[bytes] = []
        head = b""
        for name in _ordered(self.members):
            if name == "id":
                written.append(b'"id":"%b"' % id_.encode())
            elif name == "meta":
                head = b"{%b" % b",".join([*written, b'"meta":{"versionId":"'])
                rest = b"".join(b",%b" % member for member in _of_meta(self.members))
                written = [b'","lastUpdated":"%b"%b}' % (write(instant(at)).encode(), rest)]
            else:
                written.append(_member(name, self.members[name]))
        return head, b",".join(written) + b"}"


def draft(body: bytes, version: FhirVersion, *, max_nesting: int, type_: str = "") -> Draft:
    """
    Check a resource that a client sent to a base of this FHIR version.

    Args:
        type_: What it must be; empty for any resource type of the version.

    Raises:
        Rejected: For each reason why it can't be stored, MOST_ISSUES of them at most.
    """
    return drafted(strict.parse(body, max_nesting=max_nesting), body, version, type_=type_)


def drafted(resource: dict[str, Any], body: bytes | msgspec.Raw, version: FhirVersion, *, type_: str = "") -> Draft:
    """The same for a resource that `strict.parse` has read from a body, perhaps within another resource."""
    found = resource.get("resourceType")
    if type_ and isinstance(found, str) and found != type_:
        reason = f"a {found[:60]} can't be stored as {type_}: resourceType is the type that the URL names."
        raise Rejected(Issue(IssueCode.INVALID, reason, f"{type_}.resourceType"))
    if version is FhirVersion.R4 and is_topic(resource):
        reason = "R4 reads topics as Basic; they are published as SubscriptionTopic at /fhir/r4b or /fhir/r5."
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, reason, "Basic.code"))
    if issues := validation.issues(resource, version) or list(invariants.broken(resource, version)):
        raise Rejected(*issues[: validation.MOST_ISSUES])
    return Draft(
        type=resource["resourceType"],
        id=resource.get("id", ""),
        version=version,
        resource=resource,
        identifiers=tuple(dict.fromkeys(found_by.identifiers(resource))),
        members=_MEMBERS.decode(body),
    )


def is_id(text: str) -> bool:
    """Whether a text can be the id of a resource."""
    return ID.fullmatch(text) is not None


def stored_types(version: FhirVersion) -> frozenset[str]:
    """
    The types that the store holds. Subscriptions and topics are kept elsewhere: they are no change of anything. So are
    AuditEvents, which are the hub's own. The status of a Subscription is not kept at all.
    """
    return resource_types(version) - {"Subscription", "SubscriptionTopic", "SubscriptionStatus", "AuditEvent"}


def warm(resource_types: tuple[str, ...] = COMMON, versions: Iterable[FhirVersion] = FhirVersion) -> None:
    """Load the models of some types."""
    for version in versions:
        for type_ in resource_types:
            modelled(type_, version)
            shape(type_, version)


def _ordered(members: Mapping[str, object]) -> list[str]:
    """The names in their order, with `id` and `meta` behind the type where the client left them out."""
    names = list(members)
    if "id" not in members:
        names.insert(names.index("resourceType") + 1, "id")
    if "meta" not in members:
        names.insert(names.index("id") + 1, "meta")
    return names


def _of_meta(members: Mapping[str, bytes | msgspec.Raw]) -> Iterator[bytes]:
    """The members of `meta` that are the client's."""
    meta = _MEMBERS.decode(members["meta"]) if "meta" in members else {}
    for name, value in meta.items():
        if name not in ("versionId", "lastUpdated"):
            yield _member(name, value)


def _member(name: str, value: bytes | msgspec.Raw) -> bytes:
    return b'"%b":%b' % (name.encode(), bytes(value))
