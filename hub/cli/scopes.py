"""Scopes, clearances and content levels as arguments."""

import argparse

from subscriptions.clearance import Clearance
from subscriptions.scopes import Scopes


def scopes(text: str) -> Scopes:
    """Joined by blanks, in one argument."""
    try:
        return Scopes.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def clearance(text: str) -> Clearance:
    """`R HIV`, in one argument."""
    try:
        return Clearance.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
