"""
A change that is asked for as such: what it makes of a resource's JSON. https://hl7.org/fhir/R4/http.html#patch.

All that it does not touch keeps its bytes: an instant its digits, a decimal its zeros.
"""

from typing import TypeAlias

from hub.errors import Refused
from hub.patch.fhirpath_patch import FhirPathPatch
from hub.patch.json_patch import JsonPatch
from subscriptions.codes import IssueCode

Patch: TypeAlias = JsonPatch | FhirPathPatch

JSON_PATCH = "application/json-patch+json"


def applied(patch: Patch, body: bytes, *, most: int) -> bytes:
    """
    What becomes of a resource's JSON.

    Args:
        most: Bytes that it may become, and that a patch may copy and compare.

    Raises:
        Refused: 422 when an operation can't be done; 413 when they take or make too much.
    """
    try:
        made = patch.applied(body, most=most) if isinstance(patch, JsonPatch) else patch.applied(body)
    except RecursionError:
        raise Refused.because(422, IssueCode.TOO_COSTLY, "The patch nests the resource absurdly deep.") from None
    if len(made) > most:
        text = f"The patch makes a resource of {len(made)} bytes: {most} are stored at most."
        raise Refused.because(413, IssueCode.TOO_LONG, text)
    return made
