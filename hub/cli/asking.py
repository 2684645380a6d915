"""`hub explain`, answered by a hub: it knows its topics and Subscriptions, other resources, and what happened."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from hub.cli.clauses import FAILED, NEITHER, NO, YES, clause
from hub.cli.listing import Stdout
from hub.cli.plain import plain
from hub.cli.remote import remote
from hub.cli.showing import as_json
from hub.errors import Mistaken
from subscriptions.codes import FhirVersion

_NAMED = re.compile(rf"(?:({'|'.join(FhirVersion)})/)?(?:Subscription/)?([A-Za-z0-9.-]{{1,64}})")
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64}(/_history/[1-9][0-9]{0,17})?")


async def ask_hub(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a hub says of a Subscription, a file or an id, and a change: a file, or a reference to a version of it."""
    if arguments.topics:
        raise Mistaken("--topic is for files alone: a hub has its own topics")
    wanted: dict[str, Any] = {"version": arguments.version}
    found = _NAMED.fullmatch(str(arguments.subscription))
    if arguments.subscription.is_file():
        wanted["subscription"] = _resource(arguments.subscription)
    elif found:
        wanted |= {"version": found[1] or arguments.version, "subscription": found[2]}
    else:
        raise Mistaken(f"{arguments.subscription} is neither a file nor the id of a Subscription")
    if arguments.resource.is_file():
        wanted["resource"] = _resource(arguments.resource)
    elif _REFERENCE.fullmatch(str(arguments.resource)):
        wanted["reference"] = str(arguments.resource)
    else:
        raise Mistaken(
            f"{arguments.resource} is neither a file nor a reference such as Patient/1 or Patient/1/_history/2"
        )
    if arguments.previous:
        wanted["previous"] = _resource(arguments.previous)
    if arguments.interaction:
        wanted["interaction"] = arguments.interaction
    async with remote(arguments.hub) as hub:
        if "/_history/" not in wanted.get("reference", "/_history/"):
            current = await hub.read(f"/fhir/{wanted['version']}/{wanted['reference']}")
            wanted["reference"] += f"/_history/{current['meta']['versionId']}"
        body, headers = msgspec.json.encode(wanted), {"Content-Type": "application/json"}
        return dict((await hub.ask("POST", "/admin/explain", content=body, headers=headers)).json())


def say(answer: dict[str, Any], *, in_json: bool) -> None:
    if in_json:
        as_json(answer)
        return
    console = Stdout(highlight=False)
    for each in _report(answer):
        console.print(each, soft_wrap=True)


def _report(answer: dict[str, Any]) -> Iterator[Text]:
    """The verdict, then everything that decides."""
    verdicts = {True: ("told", "bold green"), False: ("not told", "bold red"), None: ("can't be said", "bold yellow")}
    yield Text.assemble(verdicts[answer["matched"]], ": ", plain(answer["text"]))
    yield from (Text(plain(remark)) for remark in answer["remarks"])
    if answer["trigger"] or answer["filters"]:
        yield Text()
    for tried in answer["trigger"]:
        yield clause(FAILED if tried["error"] else YES if tried["fired"] else NO, "trigger", tried["reason"])
        if tried["error"]:
            yield clause(None, "error", tried["error"])
    for each in answer["filters"]:
        failed, matched = each["error"], each["matched"]
        yield clause(
            FAILED if failed else NEITHER if matched is None else YES if matched else NO, "wanted", each["filter"]
        )
        if failed:
            yield clause(None, "error", failed)
        elif matched is not None:
            yield from (clause(None, "found", found) for found in each["found"] or ("nothing",))


def _resource(path: Path) -> Any:
    """As it stands there: a decimal keeps its digits."""
    try:
        body = path.read_bytes()
        msgspec.json.decode(body)
    except OSError as error:
        raise Mistaken(f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Mistaken(f"{path}: Not JSON") from None
    return msgspec.Raw(body)
