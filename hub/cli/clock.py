"""`hub clock`: what time alone brings about."""

import argparse

from hub.jobs import run_clock
from hub.settings import Settings


def arguments(_parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(_arguments: argparse.Namespace, settings: Settings) -> int:
    run_clock(settings)
    return 0
