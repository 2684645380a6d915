"""
Composite search: https://hl7.org/fhir/R4/search.html#composite. `code-value-quantity=http://loinc.org|8480-6$gt140`

All components have to be met by what stands together in one element: of a blood pressure's two numbers only the one
that belongs to the code.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from subscriptions.change import Resource
from subscriptions.codes import FhirVersion, IssueCode, SearchType
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Access, Criterion, Equal, Reading, Test, source
from subscriptions.search.escapes import split
from subscriptions.search.extraction import Expression, Value, extraction, value_of, without_casts
from subscriptions.search.fhirpath import Compiled, operands
from subscriptions.search.held import Held
from subscriptions.search.members import finding
from subscriptions.search.parameters import SearchParameter, parameters

#: What R5's composites name as the definitions of their components, and nobody defines: what they would have to be.
_UNDEFINED = {
    "DeviceDefinition-version": (SearchType.STRING, "string"),
    "Encounter-period": (SearchType.DATE, "Period"),
    "Ingredient-denominator": (SearchType.QUANTITY, "Quantity"),
    "Ingredient-numerator": (SearchType.QUANTITY, "Quantity"),
    "Observation-value-string": (SearchType.STRING, "string"),
    "TestScript-artifact": (SearchType.REFERENCE, "canonical"),
    "TestScript-conformance": (SearchType.TOKEN, "CodeableConcept"),
    "TestScript-phase": (SearchType.TOKEN, "CodeableConcept"),
}
#: The one definition of a component that exists and is not evaluated, since its type is `special`.
_SPECIAL = "http://hl7.org/fhir/SearchParameter/Composition-section-text"


def is_evaluated(parameter: SearchParameter) -> bool:
    """Whether all components of a composite can be compared."""
    return bool(parameter.components) and all(definition != _SPECIAL for definition, _ in parameter.components)


@dataclass(frozen=True, slots=True)
class Composed(Value):
    """An element with a composite's values. `data` shows these by component; `parts` holds them in its order."""

    parts: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """
    One component of a composite: the extraction of its values, in whichever element.

    elements: The composite's, in which it is found by `branches`.
    name: `Observation.code-value-quantity.value-quantity`.
    """

    elements: Expression
    parameter: SearchParameter
    name: str
    branches: tuple[Compiled, ...]

    @property
    def version(self) -> FhirVersion:
        return self.elements.version

    @property
    def resource_type(self) -> str:
        return self.elements.resource_type

    @property
    def targets(self) -> frozenset[str]:
        return self.parameter.targets

    def values(self, resource: Resource, held: Held) -> Iterator[Value]:
        for _, node in self.elements.nodes(resource, held):
            yield from self.inside(node, resource)

    def inside(self, node: Any, resource: Resource) -> Iterator[Value]:
        for find in self.branches:
            for found in find(node, {"resource": resource}):
                if value := value_of(found, self.parameter.type):
                    yield value


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """The extraction of a composite. Get it from `composition`: there is one object of each."""

    elements: Expression
    components: tuple[Component, ...]

    @property
    def version(self) -> FhirVersion:
        return self.elements.version

    @property
    def resource_type(self) -> str:
        return self.elements.resource_type

    @property
    def parameter(self) -> SearchParameter:
        return self.elements.parameter

    @property
    def name(self) -> str:
        return self.elements.name

    @property
    def targets(self) -> frozenset[str]:
        return self.elements.targets

    def values(self, resource: Resource, held: Held) -> Iterator[Composed]:
        """The elements in which every component has a value."""
        for element, node in self.elements.nodes(resource, held):
            parts = tuple(tuple(component.inside(node, resource)) for component in self.components)
            if all(parts):
                data = [[value.data for value in part] for part in parts]
                yield Composed(element.type, data, element.path, parts)


@cache
def composition(version: FhirVersion, resource_type: str, code: str) -> Composition:
    """The extraction of a composite that exists, else KeyError."""
    elements = extraction(version, resource_type, code)
    by_url = {each.url: each for each in parameters(version).values()}
    definitions = [by_url.get(url) or _undefined(url) for url, _ in elements.parameter.components]
    paths = [path for _, path in elements.parameter.components]
    if all(each.expression.endswith(f".{path}") for each, path in zip(reversed(definitions), paths, strict=True)):
        definitions.reverse()  # HL7 has those of DocumentReference's `relationship` in another order than the paths

    def component(parameter: SearchParameter, path: str) -> Component:
        if parameter.type is SearchType.REFERENCE:
            path = path.removesuffix(".reference")  # of Encounter's `location-period`: the whole is what compares
        branches = (without_casts(branch, version) for branch in operands(path))
        name = f"{elements.name}.{parameter.code}"
        return Component(elements, parameter, name, tuple(finding(branch, version) for branch in branches))

    return Composition(elements, tuple(map(component, definitions, paths)))


def _undefined(url: str) -> SearchParameter:
    name = url.rpartition("/")[2]
    base, _, code = name.partition("-")
    type_, held = _UNDEFINED[name]
    return SearchParameter(url, code, (base,), type_, "", (), frozenset(), {base: {held: None}})


class Key(NamedTuple):
    """Something that was read for the component of this number, from 0, in whichever element."""

    component: int
    read: Hashable


class Element(NamedTuple):
    """Everything that was read in one element, for each component."""

    read: tuple[frozenset[Hashable], ...]


@dataclass(frozen=True, slots=True)
class Together:
    """The elements, and the single things that were read in them, which an index can find by."""

    components: tuple[Reading, ...]

    def __call__(self, value: Value) -> Iterator[Key | Element]:
        if isinstance(value, Composed):
            pairs = zip(self.components, value.parts, strict=True)
            element = Element(
                tuple(frozenset(read for each in part for read in reading(each)) for reading, part in pairs)
            )
            yield element
            yield from (Key(number, each) for number, read in enumerate(element.read) for each in read)


@dataclass(frozen=True, slots=True)
class AllMet:
    """In one element all tests of one of the values pass, one for each component."""

    values: frozenset[tuple[Test, ...]]

    @property
    def access(self) -> Access:
        """The keys of the first component that is compared by keys in all values."""
        for number, tests in enumerate(zip(*self.values, strict=True)):
            found = [test.access for test in tests]
            keys = [access.keys for access in found if isinstance(access, Equal)]
            if len(keys) == len(found):
                return Equal(frozenset(Key(number, key) for key in frozenset[Hashable]().union(*keys)))
        return None

    def passes(self, read: frozenset[Any]) -> bool:
        return any(
            all(test.passes(part) for test, part in zip(tests, element.read, strict=True))
            for element in read
            if isinstance(element, Element)
            for tests in self.values
        )


def criterion(asked: Asked, compile_component: Callable[[Asked], Criterion]) -> Criterion:
    """
    Args:
        compile_component: Makes what is asked of one component into a criterion, by its type.

    Raises:
        Rejected: One of the values has not one part for each component, or one of these is malformed.
    """
    asked.plain()
    found = composition(asked.found.version, asked.found.resource_type, asked.found.parameter.code)
    values = [tuple(_components(asked, value, found, compile_component)) for value in asked.values]
    reading = Together(tuple(part.source.reading for part in values[0]))
    return Criterion(
        source(asked.found, reading), AllMet(frozenset(tuple(part.test for part in each) for each in values))
    )


def _components(
    asked: Asked, value: str, found: Composition, compile_component: Callable[[Asked], Criterion]
) -> Iterator[Criterion]:
    parts = split(value, "$")
    if len(parts) != len(found.components) or not all(parts):
        form = "$".join(f"<{component.parameter.code}>" for component in found.components)
        raise Rejected(Issue(IssueCode.VALUE, f"a value is written `{form}`"))
    for component, part in zip(found.components, parts, strict=True):
        try:
            yield compile_component(Asked(component, None, None, (part,), asked.context))
        except Rejected as rejected:
            code = component.parameter.code
            raise Rejected(*(Issue(each.code, f"`{code}`: {each.text}") for each in rejected.issues)) from None
