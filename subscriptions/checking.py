"""
Can a topic do what it says? Asked when it is loaded, of its definition and of what it makes of examples.

What can never work is refused; what works in part, or otherwise than its author may think, is warned of.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice, product

from subscriptions.can_filter_by import definition, official
from subscriptions.change import Change, Resource
from subscriptions.codes import Interaction, IssueCode
from subscriptions.errors import EvaluationError, Issue, Rejected
from subscriptions.predicate import Costly, NoTruthValue, Predicate, predicate
from subscriptions.search.asking import Context
from subscriptions.search.compiling import criterion, extraction_of
from subscriptions.search.dummies import bare, dummy
from subscriptions.search.held import Held
from subscriptions.search.parameters import resource_types
from subscriptions.shapes import shapes
from subscriptions.subscription import Filter
from subscriptions.topic import ANY, CanFilterBy, QueryCriteria, ResourceTrigger, Topic
from subscriptions.triggers import Triggers, combined

_AT = datetime(2026, 1, 1, tzinfo=UTC)
#: A filter's value that is one of every type.
_ANY_VALUE = "2026"
#: Of the codes that an expression names, those that are tried: each with each, on updates.
MOST_CODES = 10
_LITERAL = re.compile(r"'([a-z][a-z\-]*)'")


def check(topic: Topic, context: Context) -> tuple[Issue, ...]:
    """
    Try a topic in one FHIR version; returns the warnings.

    Raises:
        Rejected: It has triggers or filters that can't be evaluated, or that can never fire.
    """
    Triggers(topic, context)
    refused: list[Issue] = []
    warnings: list[Issue] = []
    for i, trigger in enumerate(topic.triggers):
        path = f"SubscriptionTopic.resourceTrigger[{i}]"
        if trigger.query:
            warnings += _odd(trigger.query, path)
            _judge_query(trigger, trigger.query, path, refused, warnings)
        if trigger.fhirpath:
            _judge_fhirpath(trigger, context, f"{path}.fhirPathCriteria", refused, warnings)
    every_type = resource_types(context.version)
    for i, event in enumerate(topic.event_triggers):
        if event.resource not in (ANY, *every_type):
            text = f"`{event.resource}` is not a resource type of FHIR {context.version.upper()}"
            refused.append(Issue(IssueCode.VALUE, text, f"SubscriptionTopic.eventTrigger[{i}].resource"))
    types = every_type if ANY in topic.resource_types else topic.resource_types & every_type
    for i, allowed in enumerate(topic.can_filter_by or ()):
        _judge_filter(allowed, topic, types, context, f"SubscriptionTopic.canFilterBy[{i}]", refused, warnings)
    if refused:
        raise Rejected(*refused)
    return (*warnings, *shapes(topic, context).issues)


def _odd(query: QueryCriteria, path: str) -> Iterator[Issue]:
    """What a queryCriteria says without effect."""
    for side, result, name in (
        (query.previous, query.result_for_create, "resultForCreate"),
        (query.current, query.result_for_delete, "resultForDelete"),
    ):
        if not side and result is not None:
            test = "previous" if name == "resultForCreate" else "current"
            text = f"`{name}` says what the test `{test}` counts as, but there is none: it has no effect"
            yield Issue(IssueCode.BUSINESS_RULE, text, f"{path}.queryCriteria.{name}")
    if query.require_both and not (query.previous and query.current):
        text = "`requireBoth` has no effect: there is one test only"
        yield Issue(IssueCode.BUSINESS_RULE, text, f"{path}.queryCriteria.requireBoth")


def _judge_query(
    trigger: ResourceTrigger, query: QueryCriteria, path: str, refused: list[Issue], warnings: list[Issue]
) -> None:
    """Which interactions can't fire it, and which fire it whatever the resource is."""
    never, always = list[str](), list[str]()
    for interaction in sorted(trigger.interactions):
        outcomes = _outcomes(query, interaction)
        if outcomes == {False}:
            never.append(f"no {interaction} can fire it ({_why(query, interaction)})")
        elif outcomes == {True}:
            always.append(f"every {interaction} fires it, whatever the resource is ({_why(query, interaction)})")
    path = f"{path}.queryCriteria"
    if len(never) == len(trigger.interactions):
        refused.append(Issue(IssueCode.BUSINESS_RULE, f"the trigger can never fire: {'; '.join(never)}", path))
    else:
        warnings += (Issue(IssueCode.BUSINESS_RULE, text, path) for text in never + always)


def _outcomes(query: QueryCriteria, interaction: Interaction) -> set[bool | EvaluationError]:
    """All that the truth table can come to, whatever a resource says."""
    sides: list[tuple[bool | None, ...]] = []
    for side, absent, without in (
        (query.previous, query.result_for_create, Interaction.CREATE),
        (query.current, query.result_for_delete, Interaction.DELETE),
    ):
        if side:
            sides.append((absent,) if interaction is without else (True, False))
    return {combined((each for each in verdicts if each is not None), query) for verdicts in product(*sides)}


def _why(query: QueryCriteria, interaction: Interaction) -> str:
    create = interaction is Interaction.CREATE
    name = "resultForCreate" if create else "resultForDelete"
    result = query.result_for_create if create else query.result_for_delete
    if result is None:
        return f"there is no `{'current' if create else 'previous'}`, and no `{name}`"
    both = "requireBoth and " if query.require_both and query.previous and query.current else ""
    return f"{both}{name}=test-{'passes' if result else 'fails'}"


def _judge_fhirpath(
    trigger: ResourceTrigger, context: Context, path: str, refused: list[Issue], warnings: list[Issue]
) -> None:
    """Try an expression on examples, create by create, update by update, delete by delete."""
    asked = predicate(trigger.fhirpath, context.version)
    types = sorted(resource_types(context.version)) if trigger.resource == ANY else [trigger.resource]
    dead = list[str]()
    unused = ". It is not used: queryCriteria outweighs it" if trigger.query else ""
    for interaction in sorted(trigger.interactions):
        said: list[bool | EvaluationError | None] = []
        for change in (each for type_ in types for each in _changes(asked, interaction, type_, context)):
            said.append(asked.says(change))
            if isinstance(said[-1], Costly):
                refused.append(Issue(IssueCode.TOO_COSTLY, f"on an example of {change.type}: {said[-1]}", path))
                return
        wrong = next((each for each in said if isinstance(each, NoTruthValue)), None)
        failed = next((each for each in said if isinstance(each, EvaluationError)), None)
        if wrong and not unused:
            refused.append(Issue(IssueCode.INVALID, str(wrong), path))
            return
        if failed and not any(each is True for each in said):
            dead.append(f"no {interaction} can fire it: {failed}")
        elif failed:
            warnings.append(Issue(IssueCode.BUSINESS_RULE, f"on {interaction} it may fail: {failed}{unused}", path))
        elif None in said and True not in said and interaction is not Interaction.UPDATE:
            side = "%previous" if interaction is Interaction.CREATE else "%current"
            text = (
                f"no {interaction} may ever fire it: `{side}` is empty then, and what is compared with nothing is "
                f"neither true nor false; write `{side}.empty() or …`"
            )
            warnings.append(Issue(IssueCode.BUSINESS_RULE, text + unused, path))
    if len(dead) == len(trigger.interactions) and not unused:
        refused.append(Issue(IssueCode.BUSINESS_RULE, f"the trigger can never fire: {'; '.join(dead)}", path))
    else:
        warnings += (Issue(IssueCode.BUSINESS_RULE, text + unused, path) for text in dead)


def _changes(asked: Predicate, interaction: Interaction, type_: str, context: Context) -> Iterator[Change]:
    """Of examples with something in them; also with each code that the expression names as the status, and another."""
    full = dummy(context.version, type_)
    codes = sorted({"unknown", *islice(dict.fromkeys(_LITERAL.findall(asked.expression)), MOST_CODES)})
    examples = [full, *(dict(full) | {"status": code} for code in codes)]
    versions: list[tuple[Resource | None, Resource | None]] = []
    match interaction:
        case Interaction.CREATE:
            versions += ((None, each) for each in (*examples, bare(type_)))
        case Interaction.UPDATE:
            versions += product(examples, examples)
        case Interaction.DELETE:
            versions += ((each, None) for each in (*examples, bare(type_)))
    for previous, current in versions:
        yield Change(context.version, interaction, type_, "1", 2, _AT, current, previous)


def _judge_filter(
    allowed: CanFilterBy,
    topic: Topic,
    types: frozenset[str],
    context: Context,
    path: str,
    refused: list[Issue],
    warnings: list[Issue],
) -> None:
    """Whether filters like this one can be evaluated, and a definition of the topic's own on examples."""
    if allowed.resource not in (None, ANY, *types):
        text = f"the topic is about {', '.join(sorted(types))}, not {allowed.resource}"
        refused.append(Issue(IssueCode.VALUE, text, f"{path}.resource"))
        return
    own = allowed.definition.startswith("#")
    faults, odd = list[Issue](), list[str]()
    concerned = sorted(types) if allowed.resource in (None, ANY) else [str(allowed.resource)]
    for type_ in concerned:
        try:
            odd += _try_filter(allowed, topic, type_, context)
        except Rejected as rejected:
            faults += rejected.issues
        except Exception as error:  # whatever the engine's operators meet
            text = f"`{allowed.definition}` failed on an example of {type_}: {' '.join(str(error).split())}"
            faults.append(Issue(IssueCode.INVALID, text))
    warnings += (Issue(IssueCode.BUSINESS_RULE, text, f"{path}.filterDefinition") for text in odd)
    # Listed for any type, it is for those that have it.
    if not faults or (allowed.resource in (None, ANY) and len(faults) < len(concerned)):
        return
    if own:
        refused.append(replace(faults[0], expression=f"{path}.filterDefinition"))
    else:
        text = f"filters on `{allowed.parameter}` will be rejected: {faults[0].text}"
        warnings.append(Issue(faults[0].code, text, f"{path}.filterParameter"))


def _try_filter(allowed: CanFilterBy, topic: Topic, resource_type: str, context: Context) -> Iterator[str]:
    """
    What is odd about a definition of the topic's own: that nothing it finds in an example can be compared.

    Raises Rejected, or whatever such a definition meets in examples.
    """
    parameter, own = allowed.parameter, definition(topic, allowed.definition)
    if allowed.definition and own is None:
        found = official(allowed.definition, resource_type, context)
        if found is None:
            text = f"{resource_type} has no search parameter {allowed.definition}"
            raise Rejected(Issue(IssueCode.NOT_SUPPORTED, text))
        parameter = found.code
    asked = Filter(resource_type, parameter, None, None, (_ANY_VALUE,), parameter)
    extraction, _ = extraction_of(asked, resource_type, context, own)
    if own:
        source = criterion(asked, resource_type, context, own).source
        for resource in (dummy(context.version, resource_type), bare(resource_type)):
            held = Held(_AT, interaction=Interaction.CREATE)
            types = sorted({value.type for value in extraction.values(resource, held)})
            if not source.read(resource, held) and types:
                yield f"`{own.expression}` finds a {', '.join(types)} in an example, and nothing of type {own.type}"
