"""Scopes, clearances and content levels as arguments."""

import argparse

from subscriptions.clearance import Clearance
from subscriptions.codes import FhirVersion
from subscriptions.scopes import EVERY, Scopes
from subscriptions.search.parameters import resource_types


def scopes(text: str) -> Scopes:
    """Joined by blanks, in one argument. What no FHIR version has would grant nothing, and nobody would be told."""
    try:
        found = Scopes.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    types = frozenset().union(*map(resource_types, FhirVersion))
    if wrong := next((type_ for type_ in found.by_type if type_ != EVERY and type_ not in types), None):
        raise argparse.ArgumentTypeError(f"{wrong} is not a resource type of FHIR R4, R4B or R5")
    return found


def clearance(text: str) -> Clearance:
    """`R HIV`, in one argument."""
    try:
        return Clearance.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
