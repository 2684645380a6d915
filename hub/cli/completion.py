"""`hub completion`: what has a shell complete the words of a command line; to be evaluated, or kept in a file."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from hub.cli import COMMANDS, parser
from hub.settings import Settings

SHELLS = ("bash", "zsh", "fish")

#: Where each of them looks.
KEPT = (
    "Keep it in ~/.local/share/bash-completion/completions/hub, in a file _hub of a directory in zsh's $fpath, or in"
    " ~/.config/fish/completions/hub.fish."
)

#: What stands for directories; all other paths are files'.
DIRECTORY = "DIR"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="which reads it")
    parser.epilog = f"{KEPT} {parser.epilog}"


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    whole = parser(COMMANDS)
    for action in _actions(whole):
        if action.type is Path or action.metavar == "SOURCE":
            # shtab looks for it there, which argparse knows nothing of.
            action.complete = shtab.DIRECTORY if action.metavar == DIRECTORY else shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(whole, arguments.shell))
    return 0


def _actions(of: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of a parser, and of all below it."""
    for action in of._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
