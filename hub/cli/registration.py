"""A Subscription that a command registers at a hub, in the form of each FHIR version, and takes back."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hub.cli.remote import FHIR_JSON, Denied, Remote
from hub.errors import Mistaken, Unavailable
from hub.receiver import Notification, Unreadable, read
from subscriptions import filters
from subscriptions.codes import Content, FhirVersion
from subscriptions.errors import Rejected
from subscriptions.versions.backport.extensions import FILTER_CRITERIA, PAYLOAD_CONTENT
from subscriptions.versions.forms import FORMS

#: What an endpoint here needs of a hub.
ADVICE = (
    "For an endpoint on this machine the hub needs HUB_ALLOW_HTTP_ENDPOINTS=true and HUB_ALLOW_PRIVATE_ENDPOINTS=true,"
    " as `make run` sets them, for development only; or give an https URL that leads here by --endpoint."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What is to be told, and where.

    topic: A canonical.
    filters: Criteria strings: `Immunization?patient=Patient/1`.
    """

    version: FhirVersion
    topic: str
    endpoint: str
    filters: tuple[str, ...] = ()
    content: Content = Content.FULL_RESOURCE
    reason: str = "hub subscribe"

    @property
    def resource(self) -> dict[str, Any]:
        """As a Subscription of its FHIR version, `off`. Raises Mistaken for filters that can't be read."""
        if self.version is FhirVersion.R5:
            return self._r5()
        channel: dict[str, Any] = {
            "type": "rest-hook",
            "endpoint": self.endpoint,
            "payload": FHIR_JSON,
            "_payload": {"extension": [{"url": PAYLOAD_CONTENT, "valueCode": self.content}]},
        }
        found = {
            "resourceType": "Subscription",
            "status": "off",
            "reason": self.reason,
            "criteria": self.topic,
            "channel": channel,
        }
        if self.filters:
            criteria = [{"url": FILTER_CRITERIA, "valueString": text} for text in self.filters]
            found["_criteria"] = {"extension": criteria}
        return found

    def _r5(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "resourceType": "Subscription",
            "status": "off",
            "reason": self.reason,
            "topic": self.topic,
            "channelType": {
                "system": "http://terminology.hl7.org/CodeSystem/subscription-channel-type",
                "code": "rest-hook",
            },
            "endpoint": self.endpoint,
            "contentType": FHIR_JSON,
            "content": self.content,
        }
        if filter_by := list(_filter_by(self.filters)):
            found["filterBy"] = filter_by
        return found


def _filter_by(texts: Iterable[str]) -> Iterable[dict[str, str]]:
    for text in texts:
        try:
            parsed = filters.parse(text)
        except Rejected as rejected:
            raise Mistaken("; ".join(issue.text for issue in rejected.issues)) from None
        for each in parsed:
            named = {"resourceType": each.resource_type, "filterParameter": each.parameter, "modifier": each.modifier}
            yield {name: value for name, value in named.items() if value} | {"value": ",".join(each.values)}


@dataclass(frozen=True, slots=True)
class Registration:
    """A Subscription at a hub."""

    hub: Remote
    version: FhirVersion
    id: str

    @property
    def path(self) -> str:
        return f"/fhir/{self.version}/Subscription/{self.id}"

    async def secret(self) -> str:
        """What its notifications are signed with from now on; empty when this hub signs nothing."""
        try:
            answer = await self.hub.ask("POST", f"{self.path}/$rotate-secret")
        except Denied as denied:
            if denied.status != 400:
                raise
            return ""
        parameters = {each["name"]: each.get("valueString", "") for each in answer.json()["parameter"]}
        return str(parameters["secret"])

    async def activate(self) -> None:
        """Ask for the handshake, and for what comes after it."""
        status = [{"op": "replace", "path": "/status", "value": "requested"}]
        with _advice(self.version):
            await self.hub.ask("PATCH", self.path, json=status, headers={"Content-Type": "application/json-patch+json"})

    async def stands(self) -> Notification:
        """Its status, and what is wrong with it."""
        answer = await self.hub.ask("GET", f"{self.path}/$status")
        try:
            return read(answer.content)
        except Unreadable:
            raise Unavailable(f"{self.hub.url} answers $status with no status: is it a hub?") from None

    async def remove(self) -> None:
        """Delete it, if it is there."""
        try:
            await self.hub.ask("DELETE", self.path)
        except Denied as denied:
            if denied.status not in (404, 410):
                raise
        except Unavailable as error:
            raise Unavailable(f"{error}; {self.path} may still be there: delete it") from error


async def register(hub: Remote, wanted: Wanted) -> Registration:
    """Register it, `off`: who is to verify what comes can ask for its secret before anything does."""
    headers = {"Content-Type": FHIR_JSON, "Prefer": "return=representation"}
    with _advice(wanted.version):
        answer = await hub.ask("POST", f"/fhir/{wanted.version}/Subscription", json=wanted.resource, headers=headers)
    return Registration(hub, wanted.version, str(answer.json()["id"]))


@contextmanager
def _advice(version: FhirVersion) -> Iterator[None]:
    """Have Denied say what to do, too, when the endpoint is the reason."""
    try:
        yield
    except Denied as denied:
        if FORMS[version].endpoint_element not in str(denied):
            raise
        raise Denied(f"{denied} {ADVICE}", denied.status) from None


async def canonical(hub: Remote, version: FhirVersion, topic: str) -> str:
    """The canonical of a topic, which may be given as a resource type: the built-in one's. Mistaken without one."""
    if "/" in topic or ":" in topic:
        return topic
    # R4 has no SubscriptionTopic; the built-in ones of its types are R4B's too, but of a few.
    base = FhirVersion.R4B if version is FhirVersion.R4 else version
    where = f"/fhir/{base}/SubscriptionTopic"
    try:
        found = await hub.read(f"{where}/{topic.lower()}-change")
    except Denied as denied:
        if denied.status == 401:
            raise
        raise Mistaken(
            f"no topic for {topic} is found ({denied}); give a topic's canonical URL by --topic:"
            f" GET {hub.url}{where} lists them"
        ) from None
    return str(found["url"])
