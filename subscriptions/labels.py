"""
The security labels of a resource: https://hl7.org/fhir/R5/security-labels.html.

They are those of `meta.security`, of the resource itself and of all that it holds (`contained`, the entries of a
Bundle, the resources in Parameters): whoever is told of it is told of these. `Composition.confidentiality` and
`DocumentReference.securityLabel` say the same of what they describe, and count as well.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, TypeAlias

import msgspec

#: https://terminology.hl7.org/CodeSystem-v3-Confidentiality.html
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"

#: System and code.
Label: TypeAlias = tuple[str, str]
Labels: TypeAlias = frozenset[Label]

NO_LABELS: Labels = frozenset()

#: What a label is taken for that nobody can read, and a resource that nobody can: it may mean anything.
UNREADABLE: Label = ("", "")

#: One of these is in any JSON that has labels; with the last the others may be written otherwise.
_HINTS = (b"security", b"confidentiality", b"\\u")

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def labels(resource: Mapping[str, Any] | None) -> Labels:
    """All labels of a resource. None, one that isn't there, has none."""
    return frozenset(chain.from_iterable(map(_own, objects(resource)))) if resource else NO_LABELS


def labels_in(body: bytes | None) -> Labels:
    """The same of a resource's JSON, which is read only if there may be labels in it."""
    if body is None or not any(hint in body for hint in _HINTS):
        return NO_LABELS
    try:
        return labels(_decode(body))
    except (ValueError, RecursionError):
        return frozenset({UNREADABLE})


def objects(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every object in a resource, itself too, in no order."""
    nodes: list[Any] = [resource]
    while nodes:
        node = nodes.pop()
        if isinstance(node, Mapping):
            yield node
            nodes += (each for each in node.values() if isinstance(each, Mapping | list))
        else:
            nodes += (each for each in node if isinstance(each, Mapping | list))


def _own(node: Mapping[str, Any]) -> Iterator[Label]:
    """The labels that stand in an object itself."""
    meta = node.get("meta")
    if isinstance(meta, Mapping):
        yield from map(_label, _list(meta.get("security")))
    match node.get("resourceType"):
        case "Composition" if confidentiality := node.get("confidentiality"):
            yield _label({"system": CONFIDENTIALITY, "code": confidentiality})
        case "DocumentReference":
            for concept in _list(node.get("securityLabel")):
                codings = _list(concept.get("coding")) if isinstance(concept, Mapping) else []
                # What is said in words alone is a label all the same.
                yield from map(_label, codings or [None])


def _list(found: Any) -> list[Any]:
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _label(coding: Any) -> Label:
    if not isinstance(coding, Mapping):
        return UNREADABLE
    system, code = coding.get("system", ""), coding.get("code", "")
    return (system, code) if isinstance(system, str) and isinstance(code, str) else UNREADABLE
