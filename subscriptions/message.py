"""
What goes over the wire for an event: method, URL, headers and body of one HTTP request, for each style.

A Bundle is POSTed to the endpoint. Where the criteria are a search, https://hl7.org/fhir/R4/subscription.html#channels
has it that the endpoint is POSTed to without a body or, if it wants a payload, is the base that the resource is PUT to.
"""

from dataclasses import dataclass

from subscriptions.codes import Content, Interaction
from subscriptions.notification import Event
from subscriptions.subscription import Style, Subscription

DELETED = "X-Medplum-Deleted-Resource"


@dataclass(frozen=True, slots=True)
class Message:
    """
    One request to an endpoint, repeats of it included.

    content_type: Empty for none.
    suffix: What follows the endpoint's path: `/Immunization/1`.
    headers: Beside those that the subscriber asks for.
    id: A UUID, the same in all attempts; it is what a signature calls the message by.
    """

    body: bytes
    content_type: str = ""
    method: str = "POST"
    suffix: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    id: str = ""


def of_bundle(subscription: Subscription, bundle: bytes, id_: str) -> Message:
    """The message of a notification Bundle with this id."""
    return Message(bundle, subscription.content_type, id=id_)


def of_event(subscription: Subscription, event: Event) -> Message | None:
    """
    The message of one event, where the criteria are a search.

    None if there can't be one: the version is not kept any more or may not be told of, or the resource's id can't stand
    in a URL.
    """
    name = f"{event.type}/{event.id}"
    if subscription.content is Content.EMPTY:
        return Message(b"")
    if event.withheld:
        return None
    if event.interaction is Interaction.DELETE:
        return Message(b"{}", subscription.content_type, headers=((DELETED, name),))
    if event.body is None:
        return None
    if subscription.style is Style.MEDPLUM:
        return Message(event.body, subscription.content_type)
    if event.id in (".", ".."):  # FHIR allows them, and in a URL they mean another place
        return None
    return Message(event.body, subscription.content_type, "PUT", f"/{name}")
