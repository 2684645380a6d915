"""What a publisher might send: HL7's examples, and the same with something in them broken."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

from hypothesis import strategies as st

from subscriptions.codes import FhirVersion
from tests.processes import subscription, subscription_r5
from tests.subscriptions.examples import FIXTURES, examples

Json = dict[str, Any]

#: Larger ones say nothing more, and take longer.
LARGEST = 6_000

#: Where no one listens.
ENDPOINT = "http://127.0.0.1:9/"

#: What stands where something else should.
STRAY: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, "", " ", "a", "\u0000", "\U0001f600", "2026-02-30", "Patient/a", "#a", "urn:uuid:a",
    [], {}, [[]], [None], {"": ""}, {"resourceType": "Patient"}, {"reference": "Patient/a"}, "a" * 3000,
)  # fmt: skip


@cache
def resources(version: FhirVersion) -> tuple[Json, ...]:
    """Small ones of many types, Subscriptions and topics among them."""
    made = subscription_r5 if version is FhirVersion.R5 else subscription
    known = ((type_, one) for type_, found in examples(version).items() for one in found[:2])
    # HL7's Subscriptions ended in the past.
    small = [one for type_, one in known if type_ != "Subscription" and len(json.dumps(one)) < LARGEST]
    topics = [json.loads(path.read_bytes()) for path in sorted((FIXTURES / "topics").glob("*.json"))]
    return (
        *small,
        *(one for one in topics if len(json.dumps(one)) < LARGEST),
        made(ENDPOINT),
        made(ENDPOINT, "Observation", "code=a,b"),
    )


def parameters(**given: Any) -> Json:
    """Parameters of values, written `valueString_path=…`, and of resources, written `resource_subscription=…`."""
    found = []
    for written, value in given.items():
        kind, _, name = written.partition("_")
        found.append({"name": name, kind: value})
    return {"resourceType": "Parameters", "parameter": found}


def bundle(type_: str, *entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


def entry(method: str, url: str, resource: Json | None = None, **request: str) -> Json:
    found: Json = {"request": {"method": method, "url": url, **request}}
    return found if resource is None else {**found, "resource": resource}


#: Operations that a FHIRPath Patch has, by the names of their parts.
_PATCHES = (
    {"valueCode_type": "replace", "valueString_path": "Patient.gender", "valueCode_value": "other"},
    {"valueCode_type": "add", "valueString_path": "Patient", "valueString_name": "active", "valueBoolean_value": True},
    {"valueCode_type": "delete", "valueString_path": "Subscription.end"},
    {
        "valueCode_type": "move",
        "valueString_path": "Patient.name",
        "valueInteger_source": 0,
        "valueInteger_destination": 1,
    },
    {"valueCode_type": "replace", "valueString_path": "Subscription.reason", "valueString_value": "b"},
)
JSON_PATCHES: tuple[list[Json], ...] = (
    [{"op": "add", "path": "/language", "value": "en"}, {"op": "test", "path": "/id", "value": "a"}],
    [{"op": "replace", "path": "/status", "value": "off"}],
    [{"op": "move", "from": "/text", "path": "/meta"}, {"op": "remove", "path": "/nothing"}],
    [{"op": "copy", "from": "", "path": "/contained"}],
)


@cache
def given(version: FhirVersion) -> tuple[Json, ...]:
    """What operations take, patches and Bundles: what is no resource for itself."""
    patient = next(one for one in resources(version) if one["resourceType"] == "Patient")
    wanted = resources(version)[-2]
    patches = [{"name": "operation", "part": parameters(**each)["parameter"]} for each in _PATCHES]
    message = {"resourceType": "MessageHeader", "eventUri": "http://a/b", "source": {"endpoint": "http://a"}}
    return (
        parameters(valueString_eventsSinceNumber="1", valueCode_content="id-only"),
        parameters(valueInstant_eventsSinceInstant="2026-11-21T09:59:59Z"),
        parameters(valueId_id="a", valueCode_status="active"),
        parameters(resource_resource=wanted, valueCode_mode="create"),
        parameters(resource_subscription=wanted, resource_resource=patient, valueCode_interaction="create"),
        parameters(valueReference_reference={"reference": "Patient/a/_history/1"}),
        parameters(valueString_clientId="a", valueString_clientSecret="b", valueUrl_tokenUrl="http://127.0.0.1:9/t"),
        *({"resourceType": "Parameters", "parameter": [each]} for each in patches),
        {"resourceType": "Parameters", "parameter": patches},
        bundle(
            "batch", entry("GET", "Patient/a"), entry("DELETE", "Patient?identifier=a|b"), entry("POST", "Group", {})
        ),
        bundle(
            "transaction", entry("PUT", "Patient/a", patient | {"id": "a"}, ifMatch='W/"1"'), entry("GET", "Patient")
        ),
        bundle(
            "transaction", entry("POST", "Patient", patient, ifNoneExist="identifier=a|b"), entry("PATCH", "Group/a")
        ),
        bundle("message", {"fullUrl": "urn:uuid:a", "resource": message}, {"resource": patient}),
        bundle("collection", {"resource": patient}),
    )


@st.composite
def broken(draw: st.DrawFn, version: FhirVersion, type_: str = "", *, most: int = 3) -> Json:
    """An example, of a type if there is one of it, in which so many things are missing, strange or in excess."""
    every = given(version) if type_ in ("Bundle", "Parameters") else resources(version)
    resource = deepcopy(draw(st.sampled_from([one for one in every if one["resourceType"] == type_] or every)))
    for _ in range(draw(st.integers(0, most))):
        places = list(_places(resource))
        holder, key = draw(st.sampled_from(places))
        match draw(st.integers(0, 3)):
            case 0:
                del holder[key]
            case 1:
                holder[key] = deepcopy(draw(st.sampled_from(STRAY)))
            case 2:
                other, name = draw(st.sampled_from(places))
                if _is_there(other, name):
                    holder[key] = deepcopy(other[name])
            case _ if isinstance(holder, dict):
                name = draw(st.sampled_from(("id", "extension", f"_{key}", "resourceType", "x")))
                holder[name] = deepcopy(draw(st.sampled_from(STRAY)))
        if not resource:
            break
    return resource


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each member of each object and array, by what holds it and its name or number there."""
    for key, member in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(member, (dict, list)):
            yield from _places(member)


def _is_there(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)
