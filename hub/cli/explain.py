"""
`hub explain`: why a change would concern a Subscription, or not; from files, with no hub and no Redis, or of a hub.

Exit codes: 0 the subscriber would be told, 1 it would not, 2 it can't be said; what is wrong with a file is a line on
stderr for each reason.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from hub.cli.asking import ask_hub, say
from hub.cli.clauses import FAILED, NEITHER, NO, clause, mark
from hub.cli.listing import Stdout, json_argument
from hub.cli.remote import hub_argument
from hub.errors import Mistaken, Unavailable
from hub.ingest.strict import parse
from hub.ingest.validation import issues
from hub.settings import Settings
from hub.topics import built_in_topics
from hub.topics_dir import form_of, is_terminology, resources
from subscriptions.change import Change
from subscriptions.checking import check
from subscriptions.codes import FhirVersion, Interaction, IssueCode
from subscriptions.errors import EvaluationError, Issue, Rejected
from subscriptions.explanation import (
    OTHER_TYPE,
    OTHER_TYPES,
    Explanation,
    FilterExplanation,
    as_sent,
    explain,
    supposed,
)
from subscriptions.filters import refusals
from subscriptions.search.asking import Context
from subscriptions.search.held import Held
from subscriptions.search.vocabulary import Vocabulary
from subscriptions.subscription import Style, Subscription
from subscriptions.topic import Topic
from subscriptions.versions.forms import FORMS
from subscriptions.versions.topics import read_topic

TOLD, NOT_TOLD, NOT_SAID = 0, 1, 2


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subscription", type=Path, metavar="SUBSCRIPTION", help="a file; of a hub, also an id or r5/ID")
    parser.add_argument(
        "resource",
        type=Path,
        metavar="RESOURCE",
        help="a file, as it is written, of a delete as it was; of a hub, also Patient/1 or Patient/1/_history/2",
    )
    parser.add_argument("--previous", type=Path, metavar="FILE", help="the version before: it is an update then")
    parser.add_argument(
        "--interaction", choices=[each.value for each in Interaction], help="without it a create, or an update"
    )
    parser.add_argument(
        "--topic",
        dest="topics",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="a topic, ValueSet or CodeSystem that it takes, or a Bundle of them; may be repeated",
    )
    parser.add_argument("--version", choices=[each.value for each in FORMS], default="r4", help="of FHIR: %(default)s")
    parser.add_argument("--ask", action="store_true", help="ask a hub, which knows its topics and all resources")
    hub_argument(parser)
    json_argument(parser, "print the Parameters that $explain answers with; of a hub, what /admin/explain does")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.ask:
        try:
            answer = asyncio.run(ask_hub(arguments))
        except Unavailable as error:
            raise Mistaken(str(error)) from error  # it can't be said
        say(answer, in_json=arguments.json)
        return NOT_SAID if answer["matched"] is None else TOLD if answer["matched"] else NOT_TOLD
    version = FhirVersion(arguments.version)
    bases = frozenset({f"{settings.base_url}/fhir/{version}"} if settings.base_url else ())
    files = Files(Context(version, bases, settings.allow_chained_filters), settings)
    files.topics(arguments.topics)
    asked = files.subscription(arguments.subscription)
    change = files.change(arguments.resource, arguments.previous, arguments.interaction)
    if files.faults or asked is None or change is None:
        for fault in files.faults:
            print(f"hub explain: {fault}", file=sys.stderr)
        return NOT_SAID
    explanation, more = explained(*asked, change, files.context)
    if arguments.json:
        parameters = {"resourceType": "Parameters", "parameter": [*explanation.parameters]}
        print(msgspec.json.format(msgspec.json.encode(parameters)).decode())
    else:
        console = Stdout(highlight=False)
        for line in report(explanation, change, more):
            console.print(line, soft_wrap=True)
    return NOT_SAID if more else TOLD if explanation.matched else NOT_TOLD


class Files:
    """What is read from files. `faults` says what is wrong with them, a line for each reason."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self.context = context
        self.faults: list[str] = []
        self._settings = settings
        self._topics = {topic.url: topic for topic in built_in_topics(settings.canonical_base)}

    def topics(self, paths: Iterable[Path]) -> None:
        """Know what these files have, as a hub would when it is published: first what filters may name, then topics."""
        topics: list[tuple[Path, dict[str, Any]]] = []
        terminology: list[dict[str, Any]] = []
        for path in paths:
            with self._noting(path):
                for resource in resources(path.read_bytes(), max_nesting=self._settings.max_nesting):
                    if is_terminology(resource):
                        terminology.append(resource)
                    else:
                        topics.append((path, resource))
        self.context = replace(self.context, vocabulary=Vocabulary(terminology))
        for path, topic in topics:
            with self._noting(path):
                self._add(topic)

    def _add(self, resource: dict[str, Any]) -> None:
        form = form_of(resource)
        topic = read_topic(resource, form)
        if found := issues(resource, form):
            raise Rejected(*found)
        if topic.url in self._topics:
            text = f"{topic.url} is another topic's: a canonical names one topic."
            raise Rejected(Issue(IssueCode.DUPLICATE, text, "SubscriptionTopic.url"))
        check(topic, self.context)
        self._topics[topic.url] = topic

    def subscription(self, path: Path) -> tuple[Subscription, Topic] | None:
        """The Subscription of a file, and what it is on; None if that can't be said."""
        with self._noting(path):
            resource = as_sent(self._read(path, "Subscription"))
            # It may have been read from a hub, where its `end` has passed meanwhile.
            then = datetime.fromtimestamp(0, UTC)
            legacy = Style(self._settings.legacy_style)
            form = FORMS[self.context.version]
            reading = form.read_subscription(resource, now=then, allow_http=True, legacy=legacy)
            wanted, found = reading.subscription, [*reading.issues]
            topic = wanted.own_topic or self._topics.get(wanted.topic.partition("|")[0])
            if topic is None:
                text = f"The topic {wanted.topic} is not built in: give its file with --topic."
                raise Rejected(*(found or [Issue(IssueCode.NOT_FOUND, text, form.topic_element)]))
            found += refusals(reading.filters, topic, self.context)
            if found:
                raise Rejected(*found)
            return wanted, topic
        return None

    def change(self, after: Path, before: Path | None, interaction: str | None) -> Change | None:
        """The change that two versions make; None if they don't make any, or not this one."""
        resource, previous = self._version(after), self._version(before) if before else None
        if resource is None or (before and previous is None):
            return None
        with self._noting():
            wanted = Interaction(interaction) if interaction else None
            return supposed(resource, previous, wanted, version=self.context.version, at=datetime.now(UTC))
        return None

    def _version(self, path: Path) -> dict[str, Any] | None:
        with self._noting(path):
            resource = self._read(path)
            if found := issues(resource, self.context.version):
                raise Rejected(*found)
            return resource
        return None

    def _read(self, path: Path, type_: str = "") -> dict[str, Any]:
        resource = parse(path.read_bytes(), max_nesting=self._settings.max_nesting)
        if type_ and resource.get("resourceType") != type_:
            raise Rejected(Issue(IssueCode.INVALID, f"A {type_} is expected.", f"{type_}.resourceType"))
        return resource

    @contextmanager
    def _noting(self, path: Path | None = None) -> Iterator[None]:
        """Go on when something is wrong with a file, and note it."""
        where = f"{path}: " if path else ""
        try:
            yield
        except Rejected as rejected:
            for issue in rejected.issues:
                self.faults.append(where + ": ".join(filter(None, (issue.expression, issue.text))))
        except OSError as error:
            self.faults.append(f"{where}{error.strerror}")


def explained(wanted: Subscription, topic: Topic, change: Change, context: Context) -> tuple[Explanation, str]:
    """The explanation; and how to know more where the verdict hangs on what these files don't say, else nothing."""
    held = Held(change.at)
    while True:
        held.wanted.clear()
        explanation = explain(wanted, topic, change, context, held)
        if not held.wanted:
            break
        held.failed |= dict.fromkeys(held.wanted, "it depends on other resources, which only a hub holds")
    if isinstance(explanation.verdict, EvaluationError):
        if change.interaction is Interaction.UPDATE and change.previous is None:
            return explanation, "Give the version before with --previous."
        if held.failed:
            return explanation, "Ask the hub that holds them: POST Subscription/$explain."
    return explanation, ""


def report(explanation: Explanation, change: Change, more: str) -> Iterator[Text]:
    """The verdict, then everything that decides, as lines; `more`: how to know more where it can't be said."""
    id_ = change.subject.get("id")
    what = f"{change.interaction} of {change.type}" + (f"/{id_}" if id_ else "")
    if explanation.matched:
        yield Text.assemble(("told", "bold green"), f": {what}")
    else:
        verdict = ("can't be said", "bold yellow") if more else ("not told", "bold red")
        yield Text.assemble(verdict, f": {what}, since {_why(explanation)}")
    yield Text()
    for tried in explanation.trigger.tried:
        first, *others = tried.reasons
        yield clause(mark(tried.verdict), "trigger", first)
        for reason in others:
            yield clause(None, "", reason)
    if not explanation.type_allowed:
        yield clause(NO, "type", OTHER_TYPE)
    for each in explanation.filters:
        yield from _filter(each)
    if more:
        yield from (Text(), Text(more))


def _why(explanation: Explanation) -> str:
    if isinstance(explanation.verdict, EvaluationError):
        return str(explanation.verdict)
    if explanation.trigger.verdict is False:
        return "no trigger fires"
    if not explanation.type_allowed:
        return "changes of other types are wanted"
    failed = sum(each.matched is False for each in explanation.filters)
    return f"{failed} of {len(explanation.filters)} filters {'does' if failed == 1 else 'do'} not match"


def _filter(explained: FilterExplanation) -> Iterator[Text]:
    if explained.error:
        yield clause(FAILED, "wanted", explained.filter.text)
        yield clause(None, "error", explained.error)
    elif explained.matched is None:
        yield clause(NEITHER, "wanted", explained.filter.text)
        yield clause(None, "", OTHER_TYPES)
    else:
        yield clause(mark(explained.matched), "wanted", explained.filter.text)
        for found in explained.found or ("nothing",):
            yield clause(None, "found", found)
