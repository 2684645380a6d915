"""In which form the client wants its answer: https://hl7.org/fhir/R4/http.html#mime-type. There is JSON, and no XML."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from hub.api.subset import one
from hub.errors import Refused
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue

FHIR_JSON = "application/fhir+json"
JSON = "application/json"

_JSON_FORMATS = frozenset({"json", FHIR_JSON, JSON, "text/json"})
#: A parameter of a media type in Accept that says no to it.
_REFUSED = re.compile(r"q=0(\.0*)?")


def format_of(query: str, version: FhirVersion) -> tuple[str | None, bool | None]:
    """
    What `_format` and `_pretty` in a query or form say: the media type of the answer, and whether it is indented.

    Raises:
        Refused: 406 for what is no JSON of this FHIR version, 400 for a `_pretty` that is neither true nor false.
    """
    if "_format" not in query and "_pretty" not in query:
        return None, None
    named = parse_qsl(query, keep_blank_values=True)
    format_, pretty = one(named, "_format", str), one(named, "_pretty", str)
    if pretty not in (None, "true", "false"):
        text = f"`_pretty` is true or false, not {pretty[:60]}."
        raise Refused.because(400, IssueCode.VALUE, text, "_pretty")
    indented = None if pretty is None else pretty == "true"
    if format_ is None:
        return None, indented
    media_type, *options = (part.strip().lower() for part in format_.split(";"))
    # A query's decoder leaves a blank where the client did not encode the plus.
    if media_type.replace(" ", "+") not in _JSON_FORMATS or not speaks(options, version):
        raise _not_acceptable(format_, version)
    return FHIR_JSON, indented


def accepted(accept: str, version: FhirVersion) -> str:
    """The media type of an answer by the header Accept. Raises Refused, 406, when it takes no JSON of this version."""
    if accept in ("", "*/*", FHIR_JSON):
        return FHIR_JSON
    wanted = set()
    for part in accept.split(","):
        media_type, *rest = (piece.strip().lower() for piece in part.split(";"))
        if not any(_REFUSED.fullmatch(piece) for piece in rest) and speaks(rest, version):
            wanted.add(media_type)
    if wanted & {FHIR_JSON, "*/*", "application/*"}:
        return FHIR_JSON
    if JSON in wanted:
        return JSON
    raise _not_acceptable(accept, version)


def speaks(options: Iterable[str], version: FhirVersion) -> bool:
    """Whether the parameters of a media type, in lower case, ask for no other FHIR version than this one."""
    versions = (
        value.strip('"') for name, _, value in (each.partition("=") for each in options) if name == "fhirversion"
    )
    return all(value in (version.mime, version.number) for value in versions)


def _not_acceptable(asked: str, version: FhirVersion) -> Refused:
    text = f"The hub answers in JSON of FHIR {version.mime} only ({FHIR_JSON}), not {asked[:100]}."
    return Refused(406, Issue(IssueCode.NOT_SUPPORTED, text))
