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


@st.composite
def broken(draw: st.DrawFn, version: FhirVersion, type_: str = "", *, most: int = 3) -> Json:
    """An example, of a type if there is one of it, in which so many things are missing, strange or in excess."""
    every = resources(version)
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
                holder[draw(st.sampled_from(("id", "extension", "_" + str(key), "resourceType", "x")))] = draw(
                    st.sampled_from(STRAY)
                )
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
