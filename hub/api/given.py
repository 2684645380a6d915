"""
What an operation is given: in a Parameters resource, or as its one resource with all else in the URL.

https://hl7.org/fhir/R4/operations.html#request
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hub.api.exchange import Exchange
from hub.errors import Refused
from hub.ingest.strict import parse
from subscriptions.codes import IssueCode

#: Values that are whole numbers.
_WHOLE = frozenset({"valueInteger64", "valueInteger", "valuePositiveInt", "valueUnsignedInt"})


@dataclass(frozen=True, slots=True)
class Given:
    """The parameters of a request, by name."""

    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def resource(self, name: str) -> dict[str, Any]:
        """A resource; Refused when it is missing."""
        if name not in self.resources:
            text = f"The parameter `{name}` is missing."
            raise Refused.because(400, IssueCode.REQUIRED, text, "Parameters")
        return self.resources[name]


@dataclass(frozen=True, slots=True)
class Takes:
    """
    What an operation takes, each parameter once at most.

    texts: Those that are no resources: a code, a URI, a Reference; in the URL or in Parameters.
    alone: The resource that may be the body by itself; empty when there is none.
    """

    operation: str
    resources: tuple[str, ...]
    texts: tuple[str, ...]
    alone: str = ""

    async def read(self, exchange: Exchange, *, max_body: int, max_nesting: int) -> Given:
        """
        What a request gives; nothing of it is passed over.

        Raises:
            Refused, Rejected: There is something that the operation doesn't take, or something twice.
        """
        given = Given()
        for name, value in exchange.query:
            if name not in self.texts:
                raise self._unknown(f"`{name}`", "")
            self._add(given.texts, name, value, "")
        body = await exchange.body(max_body) if exchange.has_body else b""
        resource = parse(body, max_nesting=max_nesting) if body else {"resourceType": "Parameters"}
        if resource.get("resourceType") == "Parameters":
            self._unpack(resource.get("parameter", []), given)
        elif self.alone:
            given.resources[self.alone] = resource
        else:
            raise Refused.because(400, IssueCode.STRUCTURE, "A Parameters resource is expected.", "Parameters")
        return given

    def _unpack(self, parameters: Any, given: Given) -> None:
        for where, name, parameter in named(parameters):
            match parameter:
                case {"resource": dict(resource)} if name in self.resources and len(parameter) == 2:
                    self._add(given.resources, name, resource, where)
                case _ if name in self.texts and (text := _text(parameter)):
                    self._add(given.texts, name, text, where)
                case _:
                    raise self._unknown(f"`{name}` as it is given here", where)

    def _add(self, held: dict[str, Any], name: str, value: Any, where: str) -> None:
        if name in held:
            raise Refused.because(400, IssueCode.INVALID, f"`{name}` is given twice.", where)
        held[name] = value

    def _unknown(self, what: str, where: str) -> Refused:
        taken = [f"the resource `{name}`" for name in self.resources] + [f"`{name}`" for name in self.texts]
        text = f"{what} is not what {self.operation} takes, which is {', '.join(taken)}."
        return Refused.because(400, IssueCode.NOT_SUPPORTED, text, where)


def named(parameters: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The elements of `Parameters.parameter`, each with its place and name. Refused when it is not one of these."""
    if not isinstance(parameters, list):
        raise Refused.because(400, IssueCode.STRUCTURE, "A list of parameters is expected.", "Parameters.parameter")
    for i, parameter in enumerate(parameters):
        where = f"Parameters.parameter[{i}]"
        if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
            raise Refused.because(400, IssueCode.STRUCTURE, "A parameter has a name.", where)
        yield where, parameter["name"], parameter


def _text(parameter: dict[str, Any]) -> str:
    """
    The one value of a parameter, a Reference's reference, the digits of a whole number; empty for anything else.

    An integer64 is a string in FHIR's JSON, but many write it as a number.
    """
    values = [value for name, value in parameter.items() if name != "name"]
    match values:
        case [str(text)] if any(name.startswith("value") for name in parameter):
            return text
        case [{"reference": str(text)}] if "valueReference" in parameter:
            return text
        case [int(number)] if not isinstance(number, bool) and not _WHOLE.isdisjoint(parameter):
            return str(number)
    return ""
