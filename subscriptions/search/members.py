"""
Paths that only name members, such as `Observation.component.code`, walked directly. Nearly all search parameters are of
this kind. What is found are the engine's nodes, the same ones in the same order, in a fraction of its time; but the
engine takes whatever has a `resourceType` for a resource, and here it is one only where the model has one. That is an
element too: of Consent.provision and Subscription.filterBy in R5, of ExampleScenario.instance in R4.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from fhirpathpy.engine.nodes import ResourceNode

from subscriptions.codes import FhirVersion
from subscriptions.search.fhirpath import Compiled, compiled, is_bare, model

#: Without `length`, which for the engine is a member of strings too.
_PLAIN = re.compile(r"\(?([A-Za-z][A-Za-z0-9]*(?:\.(?!length\b)[a-z][A-Za-z0-9]*)*)\)?")

#: The type of what is contained in a resource or an entry.
_RESOURCE = "Resource"

#: Data, its data type or path in the model, and where it stands.
_Place: TypeAlias = tuple[Any, str, str | None]


def finding(path: str, version: FhirVersion, compiled: Callable[[str, FhirVersion], Compiled] = compiled) -> Compiled:
    """What finds the nodes of a path: a walk if it only names members, else the engine, as `compiled` has it."""
    plain = _PLAIN.fullmatch(path)
    if not plain:
        return compiled(path, version)
    names = plain[1].split(".")
    type_ = names.pop(0) if names[0][0].isupper() else None

    def find(start: Any, _: dict[str, Any] | None) -> list[Any]:
        if isinstance(start, ResourceNode):
            places = [(start.data, start.path, start.propName)]
        elif type_ is None or start["resourceType"] == type_:
            places = [(start, start["resourceType"], None)]
        else:
            return []
        for name in names:
            found: list[_Place] = []
            for data, path_, place in places:
                if isinstance(data, dict):
                    _add_members(found, data, path_, place, name, version)
            places = found
        return [_node(place) for place in places if not is_bare(place[0])]

    return find


def _node(place: _Place) -> Any:
    data, path, name = place
    node = ResourceNode(data, path, None, name)  # type: ignore[no-untyped-call]  # the engine has no types
    if path != _RESOURCE:
        node.path = path
    return node


def _add_members(
    found: list[_Place], data: dict[str, Any], path: str, place: str | None, name: str, version: FhirVersion
) -> None:
    """The members of a node by this name, and after them what stands beside those that are primitive."""
    if path == _RESOURCE:
        path = data.get("resourceType", path)
    for property_, beside, type_ in _properties(path, name, version):
        values = data.get(property_), data.get(beside)
        if values != (None, None):
            place = f"{place or path}.{name}"
            for value in values:
                if isinstance(value, list):
                    found += [(each, type_, f"{place}[{i}]") for i, each in enumerate(value)]
                elif value is not None:
                    found.append((value, type_, place))
            return


@lru_cache(maxsize=8192)  # the model has less, but a resource can name any type as its own
def _properties(path: str, name: str, version: FhirVersion) -> tuple[tuple[str, str, str], ...]:
    """
    The properties that a member can be in JSON: of a choice one for each type. Each with the one beside it, and with
    the data type.
    """
    tables = model(version)
    member = f"{path}.{name}"
    member = tables["pathsDefinedElsewhere"].get(member, member)
    types = tables["choiceTypePaths"].get(member, [""])
    end = "Extension" if name == "extension" and types == [""] else member
    return tuple(
        (f"{name}{type_}", f"_{name}{type_}", tables["path2Type"].get(f"{end}{type_}", f"{end}{type_}"))
        for type_ in types
    )
