"""What each route asks of whoever calls, written down once more; and a request of each that it answers if it may."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.access import DEFAULT
from subscriptions.codes import FhirVersion
from tests.hub.api.bundles import post, transaction
from tests.hub.api.server import patient
from tests.hub.api.subscriptions import ENDPOINT
from tests.processes import subscription, subscription_r5

JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"
PATCH = "application/json-patch+json"

#: What Subscriptions in these requests reach, beside what the routes ask for.
REACHED = "system/Immunization.r"

#: Served to whoever asks, whatever it carries: they hold nothing of anybody's.
OPEN = frozenset(
    {
        "/healthz",
        "/readyz",
        "/signing-keys",
        "/docs",
        "/guide",
        *(f"/guide/{page}" for page in ("subscriber", "publisher", "operator", "commands", "measured", "conformance")),
        "/openapi.json",
        *(f"/fhir/{version}/metadata" for version in FhirVersion),
        *(f"/fhir/{version}/.well-known/smart-configuration" for version in FhirVersion),
    }
)

#: Files for whoever asks, too.
CONSOLE = frozenset({"/", "/console", "/console/", "/console/{digest}/{file}"})


@dataclass(frozen=True)
class Rule:
    """
    path: As the application has it, without the names of converters.
    scope: What is asked: `Patient.c`, or `admin`.
    right: The status for whoever has it.
    url: Where `path` alone doesn't say it.
    """

    method: str
    path: str
    scope: str
    right: int
    url: str = ""
    body: Any = None
    media_type: str = JSON

    @property
    def content(self) -> bytes | None:
        if self.media_type == FORM:
            return b"_id=1"
        return None if self.body is None else json.dumps(self.body).encode()

    @property
    def granted(self) -> str:
        """The scope that allows it."""
        return "hub/admin" if self.scope == "admin" else f"system/{self.scope}"

    @property
    def close(self) -> Iterator[str]:
        """What comes close, and doesn't allow it: all but one of the letters, everywhere."""
        everything, known = "system/{0}.{1} system/AuditEvent.{1}", f"{REACHED} "
        if self.scope == "admin":
            yield known + everything.format("*", "cruds")
            return
        type_, letters = self.scope.split(".")
        for letter in letters:
            yield known + everything.format("*", "cruds".replace(letter, "")) + " hub/admin"
        yield known + "system/Organization.cruds hub/admin"
        if type_ != "*":
            others = "".join(each for each in "cruds" if each not in letters)
            yield known + f"system/Organization.cruds system/{type_}.{others}"


#: What Basics have routes of their own for at the base of R4, where topics are Basics to read.
OF_BASICS = frozenset(
    {
        ("GET", "/{type}"),
        ("POST", "/{type}/_search"),
        *((method, "/{type}/{id}") for method in ("GET", "PUT", "PATCH", "DELETE")),
        ("GET", "/{type}/{id}/_history/{number}"),
    }
)

IMMUNIZATION = {
    "resourceType": "Immunization",
    "id": "i",
    "status": "completed",
    "vaccineCode": {"text": "x"},
    "patient": {"reference": "Patient/1"},
    "occurrenceDateTime": "2026-01-01",
}
NAMED = [{"op": "add", "path": "/language", "value": "en"}]
NONE = "?identifier=urn:none|1"


def rules() -> Iterator[Rule]:
    """All of them."""
    for version in FhirVersion:
        yield from _below(f"/fhir/{version}", version)
    yield from _administration()
    yield Rule("POST", "/admin/erase", "admin", 400, body={})
    yield Rule("GET", "/metrics", "admin", 200)
    yield Rule("GET", "/admin/erasures/{erasure}", "admin", 404, "/admin/erasures/none")


def _administration() -> Iterator[Rule]:
    """What is done to `s` leaves it as it was found, so that it can be done again."""
    path, one = "/admin/subscriptions/{version}/{id}", "/admin/subscriptions/r4/s"
    yield Rule("GET", "/admin/subscriptions", "admin", 200)
    yield Rule("GET", path, "admin", 200, one)
    yield Rule("GET", f"{path}/attempts", "admin", 200, f"{one}/attempts")
    yield Rule("GET", f"{path}/events", "admin", 200, f"{one}/events")
    yield Rule("GET", f"{path}/events/{{event}}", "admin", 404, f"{one}/events/1")
    for action, status in (("redeliver", 404), ("test", 409), ("resume", 409), ("rotate-secret", 200)):
        yield Rule("POST", f"{path}/{action}", "admin", status, f"{one}/{action}", {})
    yield Rule("GET", "/admin/live", "admin", 200, "/admin/live?seconds=1")
    for path_ in ("overview", "history", "topics", "withheld", "index"):
        yield Rule("GET", f"/admin/{path_}", "admin", 200)
    yield Rule("GET", "/admin/origins", "admin", 200)
    yield Rule("POST", "/admin/origins/drain", "admin", 400, body={})
    yield Rule("POST", "/admin/origins/resume", "admin", 404, body={"origin": "http://none.example"})
    yield Rule("POST", "/admin/explain", "admin", 400, body={})
    yield Rule("POST", f"{path}/off", "admin", 404, "/admin/subscriptions/r4/none/off", {})


def _below(base: str, version: FhirVersion) -> Iterator[Rule]:
    for rule in (*_resources("/{type}", "Patient"), *_others(version), *_subscriptions(version), *_audit()):
        yield _at(base, rule)
    if version is FhirVersion.R4:
        for rule in _resources("/{type}", "Basic"):
            if (rule.method, rule.path) in OF_BASICS:
                yield _at(base, rule)
    else:
        for rule in _topics(version):
            yield _at(base, rule)


def _at(base: str, rule: Rule) -> Rule:
    url = rule.url or rule.path
    return Rule(rule.method, base + rule.path, rule.scope, rule.right, base + url, rule.body, rule.media_type)


def _resources(path: str, type_: str) -> Iterator[Rule]:
    body = patient() if type_ == "Patient" else {"resourceType": "Basic", "code": {"text": "x"}}
    own, one = f"/{type_}", f"/{type_}/1"
    yield Rule("POST", path, f"{type_}.c", 201, own, body)
    yield Rule("GET", path, f"{type_}.s", 200, own)
    yield Rule("POST", f"{path}/_search", f"{type_}.s", 200, f"{own}/_search", media_type=FORM)
    yield Rule("PUT", path, f"{type_}.us", 201, f"{own}{NONE}", body)
    yield Rule("PATCH", path, f"{type_}.rus", 404, f"{own}{NONE}", NAMED, PATCH)
    yield Rule("DELETE", path, f"{type_}.ds", 204, f"{own}{NONE}")
    yield Rule("GET", f"{path}/_history", f"{type_}.s", 200, f"{own}/_history")
    yield Rule("GET", f"{path}/{{id}}", f"{type_}.r", 200, one)
    yield Rule("PUT", f"{path}/{{id}}", f"{type_}.u", 200, one, body | {"id": "1"})
    yield Rule("PATCH", f"{path}/{{id}}", f"{type_}.ru", 200, one, NAMED, PATCH)
    yield Rule("DELETE", f"{path}/{{id}}", f"{type_}.d", 204, f"{own}/none")
    yield Rule("GET", f"{path}/{{id}}/_history", f"{type_}.r", 200, f"{one}/_history")
    yield Rule("GET", f"{path}/{{id}}/_history/{{number}}", f"{type_}.r", 200, f"{one}/_history/1")


def _others(version: FhirVersion) -> Iterator[Rule]:
    """What a Bundle asks for depends on what is in it."""
    header = {
        "resourceType": "MessageHeader",
        "id": "m",
        "eventCoding": {"system": "urn:events", "code": "a"},
        "source": {"endpointUrl" if version is FhirVersion.R5 else "endpoint": "urn:oid:1.2.3"},
    }
    entries = [{"resource": each} for each in (header, patient("1"))]
    yield Rule("POST", "", "Patient.c", 200, body=transaction(post(patient())))
    yield Rule("POST", "/", "Patient.c", 200, body=transaction(post(patient())))
    message = {"resourceType": "Bundle", "type": "message", "entry": entries}
    yield Rule("POST", "/$process-message", "Patient.u", 200, body=message)
    yield Rule("GET", "/_history", "*.s", 200)


def _audit() -> Iterator[Rule]:
    yield Rule("GET", "/AuditEvent", "AuditEvent.s", 200)
    yield Rule("POST", "/AuditEvent/_search", "AuditEvent.s", 200, media_type=FORM)
    yield Rule("GET", "/AuditEvent/{id}", "AuditEvent.r", 404, "/AuditEvent/none")


def subscribed(version: FhirVersion) -> dict[str, Any]:
    made = subscription_r5(ENDPOINT) if version is FhirVersion.R5 else subscription(ENDPOINT)
    return made | {"id": "s"}


def _subscriptions(version: FhirVersion) -> Iterator[Rule]:
    wanted = subscribed(version)
    nothing = {"resourceType": "Parameters"}
    given = [{"name": "subscription", "resource": wanted}, {"name": "resource", "resource": IMMUNIZATION}]
    one = "/Subscription/{id}"

    def at_s(method: str, path: str, letter: str, right: int, body: Any = None, media_type: str = JSON) -> Rule:
        url = (one + path).replace("{id}", "s").replace("{number}", "1")
        return Rule(method, one + path, f"Subscription.{letter}", right, url, body, media_type)

    yield Rule("POST", "/Subscription", "Subscription.c", 201, body=wanted)
    yield Rule("GET", "/Subscription", "Subscription.s", 200)
    yield Rule("POST", "/Subscription/_search", "Subscription.s", 200, media_type=FORM)
    yield Rule("POST", "/Subscription/$validate", "Subscription.c", 200, body=wanted)
    yield Rule("POST", "/Subscription/$explain", "Subscription.r", 200, body=nothing | {"parameter": given})
    yield at_s("GET", "/_history/{number}", "r", 200)
    for method, body in (("GET", None), ("POST", nothing)):
        yield Rule(method, "/Subscription/$status", "Subscription.r", 200, body=body)
        yield Rule(method, "/Subscription/$get-ws-binding-token", "Subscription.r", 400, body=body)
        yield at_s(method, "/$status", "r", 200, body)
        yield at_s(method, "/$get-ws-binding-token", "r", 400, body)
        yield at_s(method, "/$events", "r", 404, body)  # there has been none
    yield at_s("GET", "", "r", 200)
    yield at_s("POST", "/$validate", "u", 200, wanted)
    yield at_s("POST", "/$explain", "r", 200, IMMUNIZATION)
    yield at_s("POST", "/$resend", "u", 404, nothing)
    yield at_s("POST", "/$test", "u", 409, nothing)  # it isn't active
    yield at_s("GET", "/$credentials", "r", 200)
    yield at_s("POST", "/$credentials", "u", 200, nothing)
    yield at_s("POST", "/$rotate-secret", "u", 200, nothing)
    yield at_s("PUT", "", "u", 200, wanted)
    yield at_s("PATCH", "", "u", 200, NAMED, PATCH)
    yield Rule("DELETE", one, "Subscription.d", 204, "/Subscription/none")


def topic(version: FhirVersion, id_: str = "") -> dict[str, Any]:
    return {
        "resourceType": "SubscriptionTopic",
        **({"id": id_} if id_ else {}),
        "url": f"http://topics.example/{version}/{id_ or 'new'}",
        "status": "active",
        "resourceTrigger": [{"resource": "Immunization"}],
    }


def _topics(version: FhirVersion) -> Iterator[Rule]:
    path, scope, id_ = "/SubscriptionTopic", "SubscriptionTopic", f"t-{version}"
    own, one = f"{path}/{id_}", f"{path}/{{id}}"
    yield Rule("POST", path, f"{scope}.c", 201, body=topic(version))
    yield Rule("GET", path, f"{scope}.s", 200)
    yield Rule("POST", f"{path}/_search", f"{scope}.s", 200, media_type=FORM)
    yield Rule("GET", f"{one}/_history/{{number}}", f"{scope}.r", 200, f"{own}/_history/1")
    yield Rule("GET", one, f"{scope}.r", 200, own)
    yield Rule("PUT", one, f"{scope}.u", 200, own, topic(version, id_))
    yield Rule("PATCH", one, f"{scope}.u", 200, own, NAMED, PATCH)
    yield Rule("DELETE", one, f"{scope}.d", 204, f"{path}/none")


def elsewhere(rule: Rule, tenant: str) -> str:
    """The URL of the same at another tenant."""
    return (rule.url or rule.path) if tenant == DEFAULT else f"/t/{tenant}{rule.url or rule.path}"
