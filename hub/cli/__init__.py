"""
The `hub` command. Each subcommand is a module with two functions, imported only when it is the one that was asked for:

    arguments(parser)            declares its arguments
    run(arguments, settings)     does it; returns the exit code
"""

import argparse
import errno
import gc
import os
import resource
import sys
from collections.abc import Container, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hub import logs
from hub.cli.plain import plain
from hub.errors import Mistaken, NotTheHub, Unavailable
from hub.settings import Settings

#: Exit code of whatever refuses its settings, its Redis or its arguments: to start it again would not help.
REFUSED = 2
#: Exit code when something that is needed doesn't answer: later it may.
FAILED = 1
#: Exit code when a part of what was given is refused, and the rest is done.
REJECTED = 3
#: Exit code after a Ctrl-C, as shells have it.
INTERRUPTED = 130
#: Exit code after SIGTERM, as shells have it, of what says first how far it got.
TERMINATED = 143
#: Exit code when nobody reads on what is printed, as with `| head`, as shells have it.
UNREAD = 141

#: Open files that a process asks for, if the system allows so many.
FILES = 10_240

#: What a value should be, where pydantic says it for programmers.
PLAINLY = {
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_parsing": "should be a number",
    "bool_parsing": "should be true or false",
}


@dataclass(frozen=True, slots=True)
class Command:
    """
    Where a subcommand lives, and its line in `hub --help`.

    exits: What its exit codes say, in its own --help.
    """

    module: str
    help: str
    exits: str = "0 done; 1 what is needed doesn't answer; 2 refused"


COMMANDS = {
    "serve": Command("hub.cli.serve", "run the whole hub on this machine, its Redis included"),
    "api": Command("hub.cli.api", "run the HTTP side alone"),
    "worker": Command("hub.cli.worker", "run one worker alone: match or deliver"),
    "clock": Command("hub.cli.clock", "run the clock alone"),
    "tenants": Command("hub.cli.tenants", "say which tenants there are, and what they grant each other"),
    "clients": Command("hub.cli.clients", "say who may call, and what each may do and be told"),
    "keys": Command("hub.cli.keys", "make, list and revoke the API keys of clients"),
    "suppress": Command("hub.cli.suppress", "say what is notified to nobody, or not to one client"),
    "recover": Command("hub.cli.recover", "go on after Redis was restored to an earlier state, or lost everything"),
    "secrets": Command("hub.cli.secrets", "seal all secrets anew with the first key, so that the others can go"),
    "audit": Command("hub.cli.audit", "write the audit of a tenant to stdout"),
    "erase": Command("hub.cli.erase", "remove all that is kept of a resource, or of a patient"),
    "check": Command(
        "hub.cli.check",
        "say by the exit code whether a worker or the clock is at work",
        "0 it is; 1 it isn't, or Redis doesn't answer; 2 refused",
    ),
    "doctor": Command(
        "hub.cli.doctor",
        "say what is wrong or soon will be, and what to do; to be run where the hub runs, with its settings",
        "0 nothing fails; 2 a setting can't be read; 3 something fails",
    ),
    "publish": Command(
        "hub.cli.publish",
        "send resources to a hub: files, directories, NDJSON, Bundles, stdin",
        "0 all are published; 1 the hub doesn't answer, or takes nothing; 2 it doesn't know who calls, or nothing"
        " can be read; 3 some were rejected; 130 Ctrl-C; 143 SIGTERM",
    ),
    "subscribe": Command(
        "hub.cli.subscribe",
        "register a Subscription, and show what it is told as it comes",
        "0 ended by Ctrl-C or SIGTERM; 1 no hub answers, or the Subscription did not become active; 2 refused",
    ),
    "status": Command(
        "hub.cli.status",
        "say what is wrong with a hub and what to do, and its figures",
        "0 nothing is wrong; 1 no hub answers; 2 refused; 3 something is wrong; 4 something may soon be",
    ),
    "tail": Command(
        "hub.cli.tail",
        "show what a hub does, step by step, as it happens",
        "0 ended by Ctrl-C; 1 no hub answers; 2 refused",
    ),
    "subscriptions": Command(
        "hub.cli.subscriptions",
        "say how a hub's Subscriptions stand; test, resume, stop one",
        "0 done; 1 what is needed doesn't answer; 2 refused; 3 some of --all were, or some of what was missed is not"
        " kept any more",
    ),
    "origins": Command(
        "hub.cli.origins", "say where nothing can be sent; send nothing to one for a while, or end that"
    ),
    "topics": Command("hub.cli.topics", "say what can be subscribed to, and who does"),
    "resend": Command("hub.cli.resend", "have events of a Subscription sent once more"),
    "explain": Command(
        "hub.cli.explain",
        "say from files, or ask a hub, why a change concerns a Subscription, or not",
        "0 told; 1 not told; 2 it can't be said",
    ),
    "completion": Command("hub.cli.completion", "print what has a shell complete the words of these commands"),
    "demo": Command("hub.cli.demo", "show the trip: publish real resources, see the notification arrive"),
}


class Module(Protocol):
    """What the module of a subcommand offers."""

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace, settings: Settings) -> int: ...


def main() -> int:
    """Run the subcommand that the process was started with; returns its exit code."""
    arguments = parse(sys.argv[1:])
    try:
        settings = _settings()
        _allow_files()
        logs.configure(settings.log_level)
        code = _module(arguments.command).run(arguments, settings)
        sys.stdout.flush()
        return code
    except (Mistaken, NotTheHub, Unavailable) as error:
        print(f"hub {arguments.command}: {plain(str(error))}", file=sys.stderr)
        return FAILED if isinstance(error, Unavailable) else REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be written goes there
        if error.errno == errno.EPIPE:
            return UNREAD
        print(f"hub {arguments.command}: {error.strerror}", file=sys.stderr)
        return FAILED
    finally:
        gc.freeze()  # all is given back: looking for garbage once more would take most of the time that the end takes


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line. Exits with code 2 and the usage when it is none of ours."""
    return parser(argv[:1]).parse_args(argv)


def parser(known: Container[str]) -> argparse.ArgumentParser:
    """For command lines. Of the subcommands that are `known` it has the arguments, of the others the names."""
    found = argparse.ArgumentParser(prog="hub", description="A FHIR event notification hub.")
    subparsers = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        epilog = f"Exit codes: {command.exits}."
        subparser = subparsers.add_parser(name, help=command.help, description=command.help, epilog=epilog)
        if name in known:
            _module(name).arguments(subparser)
    return found


def _allow_files() -> None:
    """Allow as many open files as the system does: a slow endpoint holds a socket, and there may be a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _module(command: str) -> Module:
    return cast(Module, import_module(COMMANDS[command].module))


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        raise NotTheHub("; ".join(map(_fault, error.errors()))) from None


def _fault(error: ErrorDetails) -> str:
    """The variable, the part of its value that is at fault, and what is right."""
    said = PLAINLY.get(error["type"]) or error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not error["loc"]:
        return said
    name = str(error["loc"][0])
    value = repr(error["input"]) if Settings.model_fields[name].repr else "its value"
    return f"HUB_{name.upper()}: {value} {said}"
