"""`hub worker match`, `hub worker deliver`: one worker process."""

import argparse

from hub.jobs import work
from hub.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("match", "deliver"), help="what it does: find events, or deliver them")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    work(arguments.kind, settings)
    return 0
