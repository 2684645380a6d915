"""From a filter's path to the extraction of its values. What may look at other resources is decided here."""

from collections.abc import Callable
from typing import TypeAlias

from subscriptions.codes import IssueCode, SearchType
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Context
from subscriptions.search.chains import Chain, Reverse, Rosters
from subscriptions.search.extraction import Extraction
from subscriptions.search.parameters import resource_types
from subscriptions.search.paths import Backward, Forward, Link, Path

#: Gives the extraction of a type's own parameter; raises Rejected if there is none that can be evaluated.
Plain: TypeAlias = Callable[[str, str], Extraction]


def extracted(path: Path, resource_type: str, context: Context, plain: Plain) -> Extraction:
    """
    What a path leads to from a resource of this type.

    Rosters are indexed: they may always be asked for, of a resource and of what it refers to.

    Raises:
        Rejected: It leads nowhere, to values of different types, or to other resources though these are not looked at.
    """
    if path.links and not context.chained and not _is_roster_of_reference(path):
        text = (
            "it looks at other resources, which filters may do only where HUB_ALLOW_CHAINED_FILTERS is true;"
            " `_in` is always allowed, as in `_in=Group/1` or `patient._in=Group/1`"
        )
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, f"`{_written(path.links, path.code)}`: {text}"))
    return _extracted(path.links, path.code, resource_type, context, plain)


def _is_roster_of_reference(path: Path) -> bool:
    return path.code == "_in" and len(path.links) == 1 and isinstance(path.links[0], Forward)


def _extracted(links: tuple[Link, ...], code: str, resource_type: str, context: Context, plain: Plain) -> Extraction:
    match links:
        case (Backward(type_, back), *rest):
            return _reverse(Backward(type_, back), tuple(rest), code, resource_type, context, plain)
        case (Forward() as link, *rest):
            reference = plain(resource_type, link.code)
            types = _types(link, reference)
            if code == "_in" and not rest:
                return Rosters(context.version, min(types), reference, types, context.bases)
            return _chain(link, reference, types, tuple(rest), code, context, plain)
        case _ if code == "_in":
            return Rosters(context.version, resource_type, None, frozenset({resource_type}), context.bases)
        case _:
            return plain(resource_type, code)


def _reverse(
    link: Backward, rest: tuple[Link, ...], code: str, resource_type: str, context: Context, plain: Plain
) -> Extraction:
    if link.type not in resource_types(context.version):
        reason = f"`{link.type}` is not a resource type of FHIR {context.version.upper()}"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    reference = plain(link.type, link.code)
    if resource_type not in _types(Forward(link.code, None), reference):
        reason = f"`{link.code}` of {link.type} can't point to {resource_type}"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    end = _extracted(rest, code, link.type, context, plain)
    return Reverse(resource_type, reference, end, context.bases)


def _chain(
    link: Forward,
    reference: Extraction,
    types: frozenset[str],
    rest: tuple[Link, ...],
    code: str,
    context: Context,
    plain: Plain,
) -> Extraction:
    """One chain over all types that have what is asked for, if it is the same for all of them."""
    ends: list[tuple[str, Extraction]] = []
    issues: list[Issue] = []
    for type_ in sorted(types):
        try:
            ends.append((type_, _extracted(rest, code, type_, context, plain)))
        except Rejected as rejected:
            issues += rejected.issues
    if not ends:
        raise Rejected(*issues) if len(types) == 1 else _unknown(link, types, rest, code)
    kinds = {_kind(end) for _, end in ends}
    if len(kinds) > 1:
        forms = ", ".join(f"`{link.code}:{type_}.{_written(rest, code)}`" for type_, _ in ends)
        text = f"`{_written((link, *rest), code)}` has values of different types: write one of {forms}"
        raise Rejected(Issue(IssueCode.VALUE, text))
    return Chain(reference, tuple(ends), context.bases)


def _types(link: Forward, reference: Extraction) -> frozenset[str]:
    """The types that a link leads to."""
    parameter = reference.parameter
    held = parameter.held(reference.resource_type)
    if parameter.type is not SearchType.REFERENCE or (held and "Reference" not in held):
        reason = f"`{link.code}` of {reference.resource_type} holds no references that could be followed"
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, reason))
    targets = led_to(reference)
    if link.type is None:
        return targets
    if link.type not in targets:
        some = ", ".join(sorted(targets)) if len(targets) < 20 else "any resource type"
        reason = f"`{link.code}` of {reference.resource_type} can point to {some}, not to {link.type}"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    return frozenset({link.type})


def led_to(reference: Extraction) -> frozenset[str]:
    """
    The types that a reference can lead to. By HL7's definition `patient` may point to a Group too, but there is no
    element behind it that may: who follows it needs to be trusted with patients alone.
    """
    targets = reference.targets or resource_types(reference.version)
    return targets - {"Group"} if reference.parameter.code == "patient" and "Patient" in targets else targets


def _kind(end: Extraction) -> tuple[object, ...]:
    """Extractions whose filters mean the same."""
    parameter = end.parameter
    held = frozenset(parameter.held(end.resource_type).items())
    return parameter.type, held, parameter.components


def _unknown(link: Forward, types: frozenset[str], rest: tuple[Link, ...], code: str) -> Rejected:
    some = ", ".join(sorted(types)) if len(types) < 20 else "the types that it can point to"
    reason = f"`{_written((link, *rest), code)}`: none of {some} has `{_written(rest, code)}`, or it can't be evaluated"
    return Rejected(Issue(IssueCode.NOT_SUPPORTED, reason))


def _written(links: tuple[Link, ...], code: str) -> str:
    return "".join(map(_link, links)) + code


def _link(link: Link) -> str:
    match link:
        case Backward(type_, code):
            return f"_has:{type_}:{code}:"
        case Forward(code, None):
            return f"{code}."
        case Forward(code, type_):
            return f"{code}:{type_}."
