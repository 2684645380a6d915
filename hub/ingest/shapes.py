"""
What each FHIR type looks like in JSON: names, kinds and repetition of its elements, taken from fhir.resources' models.

The models themselves are lenient where FHIR is not: they read `"5"` as a number, `[]` as nothing, `gender__ext` as
`_gender`. https://hl7.org/fhir/R4/json.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeGuard, get_args

from fhir.resources import get_fhir_model_class as of_r5
from fhir.resources.R4B import get_fhir_model_class as of_r4b
from fhir_core.fhirabstractmodel import FHIRAbstractModel
from fhir_core.utils import get_fhir_type_name, is_list_type
from pydantic.fields import FieldInfo

from subscriptions.codes import FhirVersion
from subscriptions.search.parameters import resource_types

#: R4's resource types that the R4B models don't know, or know in another shape. They are checked as JSON only.
UNMODELLED = frozenset(
    {"EffectEvidenceSynthesis", "Evidence", "EvidenceVariable", "RiskEvidenceSynthesis", "SubstanceSpecification"}
    | {"MedicinalProduct", "MedicinalProductAuthorization", "MedicinalProductContraindication"}
    | {"MedicinalProductIndication", "MedicinalProductIngredient", "MedicinalProductInteraction"}
    | {"MedicinalProductManufactured", "MedicinalProductPackaged", "MedicinalProductPharmaceutical"}
    | {"MedicinalProductUndesirableEffect", "SubstanceNucleicAcid", "SubstancePolymer", "SubstanceProtein"}
    | {"SubstanceReferenceInformation", "SubstanceSourceMaterial"}
)

#: R4B's own data types.
_NOT_IN_R4 = frozenset({"CodeableReference", "RatioRange"})

#: The type of an object inside of an `open` shape.
UNKNOWN = "unknown"

#: The type of `Reference.reference`: FHIR's is string, but not every string is one.
REFERENCE = "reference"
#: The type of Quantity.comparator: a code, without which a quantity can't be compared.
COMPARATOR = "comparator"


class Kind(Enum):
    """What an element's value is in JSON: in words, and as Python has it."""

    STRING = "a string", (str,)
    BOOLEAN = "true or false", (bool,)
    INTEGER = "a whole number", (int,)
    DECIMAL = "a number", (int, Decimal)
    OBJECT = "an object", (dict,)
    RESOURCE = "a resource", (dict,)

    def __init__(self, words: str, types: tuple[type, ...]) -> None:
        self.words = words
        self.types = types


_KINDS = {"boolean": Kind.BOOLEAN, "decimal": Kind.DECIMAL}
_KINDS |= dict.fromkeys(("integer", "positiveInt", "unsignedInt"), Kind.INTEGER)
_PRIMITIVES = frozenset(
    {"boolean", "decimal", "integer", "positiveInt", "unsignedInt", "string", "code", "id", "markdown", "xhtml"}
    | {"integer64"}
    | {"base64Binary", "uri", "url", "canonical", "oid", "uuid", "date", "dateTime", "instant", "time"}
)


@dataclass(frozen=True, slots=True)
class Element:
    """
    One element, under one name that it has in JSON.

    type: The FHIR type (`dateTime`, `Coding`); of a backbone element the model's name.
    path: Its name in FHIRPath: `occurrence` for `occurrenceDateTime`, `status` for `_status`.
    many: Whether it is an array.
    sibling: Of a primitive, the name that its extensions stand under (`_status`), and the other way round.
    summary: Whether it belongs to a summary (Σ): https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.isSummary
    required: Whether it is mandatory, or one of those of which one is.
    """

    type: str
    path: str
    kind: Kind
    many: bool
    sibling: str = ""
    summary: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """
    The elements of a type of a FHIR version, by their names in JSON.

    open: It has others too, of which nothing is known.
    """

    version: FhirVersion
    elements: Mapping[str, Element] = field(default_factory=dict)
    open: bool = False


@cache
def shape(type_: str, version: FhirVersion) -> Shape:
    """The shape of a data type, a backbone element or a resource type."""
    if _unmodelled(type_, version):
        known = shape("DomainResource", version).elements
        return Shape(version, {**known, "resourceType": _RESOURCE_TYPE}, open=True)
    if type_ == UNKNOWN:
        return Shape(version, shape("BackboneElement", version).elements, open=True)
    model = _class(type_, version)
    elements = dict(_elements(model, version))
    if model.has_resource_base():
        elements["resourceType"] = _RESOURCE_TYPE
    return Shape(version, elements)


_RESOURCE_TYPE = Element("code", "resourceType", Kind.STRING, many=False)


def modelled(type_: str, version: FhirVersion) -> type[FHIRAbstractModel] | None:
    """The model that resources of a type are validated with; None if they are checked as JSON only."""
    return None if _unmodelled(type_, version) else _class(type_, version)


def is_resource_type(type_: object, version: FhirVersion) -> TypeGuard[str]:
    """Whether a FHIR version has a resource type of this name."""
    return isinstance(type_, str) and type_ in resource_types(version)


def _unmodelled(type_: str, version: FhirVersion) -> bool:
    return version is FhirVersion.R4 and type_ in UNMODELLED


def _class(type_: str, version: FhirVersion) -> type[FHIRAbstractModel]:
    return of_r5(type_) if version is FhirVersion.R5 else of_r4b(type_)


def _elements(model: type[FHIRAbstractModel], version: FhirVersion) -> Iterator[tuple[str, Element]]:
    for key, info in model.model_fields.items():
        type_ = _type(info)
        if key.endswith("__ext") or key == "fhir_comments" or (version is FhirVersion.R4 and type_ in _NOT_IN_R4):
            continue
        name, extra = info.alias or key, info.json_schema_extra
        said = extra if isinstance(extra, dict) else {}
        path = str(said.get("one_of_many", name))
        many = is_list_type(info)
        summary = bool(said.get("summary_element_property"))
        required = info.is_required() or bool(said.get("element_required") or said.get("one_of_many_required"))
        if type_ not in _PRIMITIVES:
            kind = Kind.RESOURCE if type_ == "Resource" else Kind.OBJECT
            yield name, Element(type_, path, kind, many, "", summary, required)
            continue
        if name == "reference" and model.get_resource_type() == "Reference":
            type_ = REFERENCE
        elif name == "comparator" and any(base.__name__ == "Quantity" for base in model.__mro__):
            type_ = COMPARATOR
        sibling = (
            f"_{name}" if f"{key.removesuffix('_fhir')}__ext" in model.model_fields or _has_value(model, key) else ""
        )
        yield name, Element(type_, path, _KINDS.get(type_, Kind.STRING), many, sibling, summary, required)
        if sibling:
            yield sibling, Element("Element", path, Kind.OBJECT, many, name, summary, required)


def _has_value(model: type[FHIRAbstractModel], key: str) -> bool:
    """Whether a primitive is an extension's value: it may be extended too, of which the models know nothing."""
    return model.get_resource_type() == "Extension" and key.startswith("value")


def _type(info: FieldInfo) -> str:
    """The FHIR type of a field."""
    model = _model(info.annotation)
    return model.get_resource_type() if model else str(get_fhir_type_name(info))


def _model(annotation: Any) -> type[FHIRAbstractModel] | None:
    """The model that an annotation such as `List[IdentifierType] | None` is about."""
    if hasattr(annotation, "get_model_klass"):
        found: type[FHIRAbstractModel] = annotation.get_model_klass()
        return found
    return next((model for inner in get_args(annotation) if (model := _model(inner))), None)
