"""
`hub publish`: send resources to a hub, several at once, those of one resource in the order in which they are read.

Exit codes: 0 when all are published; 1 when no hub answers, or it can't take them for too long; 2 when it does not
know who calls, or there is nothing to read; 3 when some were rejected; 130 and 143 after Ctrl-C and SIGTERM.
"""

import argparse
import asyncio
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hub.cli import INTERRUPTED, REJECTED, TERMINATED
from hub.cli.listing import json_argument
from hub.cli.publishing.journal import Journal
from hub.cli.publishing.pieces import Piece
from hub.cli.publishing.sender import Sender
from hub.cli.publishing.sources import Source, sources
from hub.cli.publishing.tally import Tally
from hub.cli.remote import hub_argument, remote
from hub.errors import HubError, Mistaken
from hub.settings import Settings
from subscriptions.codes import FhirVersion

#: Requests at once: the least that keeps a hub busy, and the most that anybody may ask for.
AT_ONCE, MOST_AT_ONCE = 16, 64

#: Pieces that are read ahead.
AHEAD = 256

#: What a reader hands over: a piece, why it can't go on, or that it is at the end.
_Read: TypeAlias = "Piece | Exception | None"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a file with a resource or a Bundle, or with one on each line; a directory of them; - for stdin",
    )
    hub_argument(parser)
    parser.add_argument("--version", choices=list(FhirVersion), default=FhirVersion.R4, help="of FHIR (r4)")
    parser.add_argument(
        "--as",
        dest="how",
        choices=("put", "post"),
        help="put: under their own ids; post: the hub gives them new ones. Without it, put what has an id",
    )
    parser.add_argument(
        "--parallel", type=_parallel, default=AT_ONCE, metavar="N", help=f"requests at once ({AT_ONCE})"
    )
    parser.add_argument(
        "--journal",
        type=Path,
        metavar="FILE",
        help="note what is published; by it the same command goes on where it was",
    )
    parser.add_argument("--rejects", type=Path, metavar="FILE", help="write what was refused, and why, as NDJSON")
    parser.add_argument(
        "--patience", type=_patience, default=60.0, metavar="SECONDS", help="for a hub that takes nothing (60)"
    )
    json_argument(parser, "the summary as JSON")


def _parallel(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number from 1 to {MOST_AT_ONCE}")
    return int(text)


def _patience(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found < threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number of seconds")
    return found


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    found = sources(arguments.sources)
    for ours in filter(None, (arguments.journal, arguments.rejects)):
        if str(ours.absolute()) in [source.name for source in found]:
            raise Mistaken(f"{ours} is to be read and written: name another file")
    tally = Tally(arguments.rejects)
    base = f"/fhir/{arguments.version}"
    with Journal(arguments.journal, arguments.hub + base) as journal:
        tally.open()
        try:
            asyncio.run(_publish(arguments, found, base, journal, tally))
        except (HubError, KeyboardInterrupt, asyncio.CancelledError) as ended:
            if tally.published or tally.rejected:
                tally.say(as_json=arguments.json)
            if arguments.journal and not isinstance(ended, Mistaken):
                print("The same command goes on from here.", file=sys.stderr)
            if isinstance(ended, KeyboardInterrupt):
                return INTERRUPTED
            if isinstance(ended, asyncio.CancelledError):
                return TERMINATED
            raise
        finally:
            tally.close()
    tally.say(as_json=arguments.json)
    return REJECTED if tally.rejected else 0


async def _publish(
    arguments: argparse.Namespace, found: list[Source], base: str, journal: Journal, tally: Tally
) -> None:
    loop, ours = asyncio.get_running_loop(), asyncio.current_task()
    if ours:
        loop.add_signal_handler(signal.SIGTERM, ours.cancel)
    by_id = None if arguments.how is None else arguments.how == "put"
    sizes = [source.size for source in found]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    async with remote(arguments.hub) as hub:
        sender = Sender(hub, base, journal, arguments.patience)
        await sender.check()
        with _progress() as progress:
            task = progress.add_task("", total=total, published=0, rejected="")
            try:
                await _all(_reading(found, by_id), sender, tally, arguments.parallel, progress, task)
            except* HubError as failed:
                raise _first(failed) from None


async def _all(
    pieces: AsyncIterator[Piece], sender: Sender, tally: Tally, at_once: int, progress: Progress, task: TaskID
) -> None:
    """Send so many at once; what writes a resource begins when all that was read before and writes it has ended."""
    slots, last = asyncio.Semaphore(at_once), dict[str, asyncio.Task[None]]()

    async def one(piece: Piece, before: set[asyncio.Task[None]]) -> None:
        try:
            if before:
                await asyncio.wait(before)
            tally.count(piece, await sender.publish(piece))
            rejected = f", [red]{tally.rejected} rejected[/]" if tally.rejected else ""
            progress.update(task, advance=piece.weight, published=tally.published + tally.already, rejected=rejected)
        finally:
            slots.release()
            for key in piece.keys:
                if last.get(key) is asyncio.current_task():
                    del last[key]

    async with asyncio.TaskGroup() as group:
        async for piece in pieces:
            await slots.acquire()
            begun = group.create_task(one(piece, {last[key] for key in piece.keys if key in last}))
            last.update(dict.fromkeys(piece.keys, begun))


async def _reading(found: list[Source], by_id: bool | None) -> AsyncIterator[Piece]:
    """
    What there is to publish, as it is read in a thread of its own: stdin may have nothing for hours, while what came
    before is sent. The thread is left to itself when the run ends.
    """
    loop, queue, room = asyncio.get_running_loop(), asyncio.Queue[_Read](), threading.Semaphore(AHEAD)

    def hand_over(read: _Read) -> None:
        room.acquire()
        loop.call_soon_threadsafe(queue.put_nowait, read)

    def read() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            try:
                for piece in _pieces(found, by_id):
                    hand_over(piece)
                hand_over(None)
            except Mistaken as error:
                hand_over(error)

    threading.Thread(target=read, name="reading", daemon=True).start()
    while (piece := await queue.get()) is not None:
        room.release()
        if isinstance(piece, Exception):
            raise piece
        yield piece


def _pieces(found: list[Source], by_id: bool | None) -> Iterator[Piece]:
    for source in found:
        yield from source.pieces(by_id)


def _progress() -> Progress:
    """On stderr, and only where somebody looks."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("publishing"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[published]} published{task.fields[rejected]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal, expand=True)


def _first(failed: BaseExceptionGroup[HubError]) -> HubError:
    """Of several that fail at the same time."""
    first: BaseException = failed
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, HubError)  # noqa: S101
    return first
