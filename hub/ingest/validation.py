"""
Whether a resource is one of its FHIR version: its form first, then fhir.resources' models on a copy.

What they find is told again in words that say what would be right, at the element's FHIRPath.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_core.fhirabstractmodel import FHIRAbstractModel
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hub.ingest.shapes import UNMODELLED, Shape, is_resource_type, modelled, shape
from hub.ingest.structure import problems, shown
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue

#: The most reasons that one refusal gives.
MOST_ISSUES = 20

_INT32 = "-2147483648 to 2147483647"
_RIGHT = {
    "boolean": "true or false",
    "code": "a code: no blanks at its ends, and none but single ones within",
    "date": "a date: YYYY, YYYY-MM or YYYY-MM-DD, and one that exists",
    "dateTime": "a dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone, and one that exists",
    "decimal": "a decimal number",
    "id": "an id: 1 to 64 letters, digits, `-` and `.`",
    "instant": "an instant: YYYY-MM-DDThh:mm:ss with a time zone, and one that exists",
    "integer": f"a whole number from {_INT32}",
    "oid": "an OID: urn:oid:1.2.3",
    "positiveInt": "a whole number from 1 to 2147483647",
    "string": "a string with something in it that is not blank",
    "time": "a time: hh:mm:ss",
    "unsignedInt": "a whole number from 0 to 2147483647",
}
#: The elements that hold resources. Elsewhere `resourceType` is an element as any other: of Consent.provision in R5.
_HOLDERS = frozenset({"contained", "resource", "outcome"})
_NAMES = re.compile(r"'(\w+)'")


def issues(resource: Mapping[str, Any], version: FhirVersion) -> list[Issue]:
    """What is wrong with a resource; empty if it can be stored. At most MOST_ISSUES."""
    type_ = resource.get("resourceType")
    found = problems(resource, type_ if is_resource_type(type_, version) else "Resource", version)
    if not found and (model := modelled(str(type_), version)):
        told = (_told(error, resource, version) for error in _errors(model, resource))
        found = [issue for issue in told if issue]
    return found[:MOST_ISSUES]


def _errors(model: type[FHIRAbstractModel], resource: Mapping[str, Any]) -> list[ErrorDetails]:
    """What a model finds."""
    try:
        model.model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_url=False)
    except KeyError:  # there is no model for the type of a resource within
        found = []
    else:
        return []
    known = _with_stand_ins(resource)
    return found if known == resource else _errors(model, known)


def _with_stand_ins(value: Any, name: str = "") -> Any:
    """
    A copy without what the models don't know: the extensions of an extension's value are left out, and resources of
    some types replaced by one that they know.
    """
    if isinstance(value, list):
        return [_with_stand_ins(item, name) for item in value]
    if isinstance(value, dict):
        if name in _HOLDERS and value.get("resourceType") in UNMODELLED:
            return {"resourceType": "Basic", "code": {"text": "stands for another"}}
        known = {key: _with_stand_ins(member, key) for key, member in value.items()}
        return {key: known[key] for key in known if not (key.startswith("_value") and "url" in known)}
    return value


def _told(error: ErrorDetails, resource: Mapping[str, Any], version: FhirVersion) -> Issue | None:
    """An error of the models in our words; None for what FHIR allows and they don't."""
    at = _place(error["loc"], resource, version)
    type_, message = error["type"], error["msg"]
    if type_.startswith("uuid"):  # any version of UUID is one; its form was looked at before
        return None
    if type_ in ("missing", "model_field_validation.missing"):
        return Issue(IssueCode.REQUIRED, f"{at.name} is missing, which {version.upper()} requires.", at.path)
    if type_ == "value_error" and "field value" in message:
        choices = [name for name in _NAMES.findall(message) if name in at.known.elements]
        path = f"{at.path}.{at.known.elements[choices[0]].path}"
        if "multiple" in message:
            given = ", ".join(name for name in choices if name in at.value)
            return Issue(IssueCode.STRUCTURE, f"only one of {given} may be given.", path)
        if any(f"_{name}" in at.value for name in choices):  # an extension says why there is no value
            return None
        reason = f"one of {', '.join(choices)} is missing, which {version.upper()} requires."
        return Issue(IssueCode.REQUIRED, reason, path)
    right = _RIGHT.get(at.type, f"a valid {at.type}")
    return Issue(IssueCode.VALUE, f"{at.name}: {shown(error['input'])} is not {right}.", at.path)


@dataclass(slots=True)
class _Place:
    """
    Where in a resource something stands.

    path, name: In FHIRPath, and the last name in JSON.
    type: Its FHIR type.
    value: Its JSON; of what is missing, None.
    """

    path: str
    name: str
    type: str
    value: Any
    version: FhirVersion

    @property
    def known(self) -> Shape:
        return shape(self.type, self.version)


def _place(loc: tuple[int | str, ...], resource: Mapping[str, Any], version: FhirVersion) -> _Place:
    type_ = str(resource["resourceType"])
    at = _Place(type_, type_, type_, resource, version)
    for part in loc:
        if isinstance(part, int):
            at.path, at.value = f"{at.path}[{part}]", at.value[part]
        elif isinstance(at.value, dict) and (element := at.known.elements.get(part)):
            at = _Place(f"{at.path}.{element.path}", part, element.type, at.value.get(part), version)
        else:  # the name of one branch of a union
            break
        if at.type == "Resource" and isinstance(at.value, dict):
            at.type = at.value["resourceType"]
    return at
