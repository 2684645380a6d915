"""Resources to try expressions on: HL7's examples, one of each type."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from subscriptions.change import Resource
from subscriptions.codes import FhirVersion


def dummy(version: FhirVersion, resource_type: str) -> Resource:
    """One that is filled in; of a few types, of which HL7 has no example that would be of use, almost empty."""
    return _dummies(version).get(resource_type) or bare(resource_type)


def bare(resource_type: str) -> Resource:
    """One that has nothing that an expression could look at."""
    return {"resourceType": resource_type, "id": "1"}


@cache
def _dummies(version: FhirVersion) -> Mapping[str, Resource]:
    """A file that `fixtures/refresh.py` wrote."""
    loaded = json.loads((files(__package__) / "data" / f"{version.value}-dummies.json").read_text("utf-8"))
    return {resource["resourceType"]: resource for resource in loaded}
