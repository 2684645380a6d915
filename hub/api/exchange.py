"""One request and its answer, as FHIR's REST API has them: https://hl7.org/fhir/R4/http.html."""

import re
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from enum import StrEnum

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.known import Known, expected, http_date
from hub.api.negotiation import FHIR_JSON, JSON, accepted, format_of, speaks
from hub.api.outcome import outcome
from hub.api.packing import too_large, unpacked
from hub.api.pages import CURSOR, Parameters, bad_cursor
from hub.api.parameters import parameters, without
from hub.api.subset import Subset, subset, whole
from hub.errors import Refused
from hub.veil import MARK, Veiled
from hub.write import NO_EVENTS, Events
from subscriptions.allowance import Allowance
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue

#: The base of a FHIR version, in a path.
_BASE = re.compile(r"/fhir/(r4b?|r5)(?=/|$)")
#: `system|code` in the header `Event`.
_EVENT = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*:[!-+\--{}~]+)\|([!-+\--{}~]+(?: [!-+\--{}~]+)*)")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

#: Bytes of a body that cost about as much as a request.
ONE_REQUEST = 50_000


class Prefer(StrEnum):
    """What the client wants to get back: https://hl7.org/fhir/R4/http.html#ops."""

    MINIMAL = "minimal"
    REPRESENTATION = "representation"
    OUTCOME = "OperationOutcome"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What an interaction comes to.

    body: JSON of a resource or Bundle; empty for none.
    location: Where the version is, below the base: `Patient/1/_history/2`; empty for what is no version.
    version: Its number; 0 for none.
    at: When it was stored, in ms since 1970.
    """

    status: int
    body: bytes = b""
    location: str = ""
    version: int = 0
    at: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        return f'W/"{self.version}"'


class Exchange:
    """
    What a request says beside its resource.

    Raises:
        Refused: 406, when the client takes no JSON.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        base = _BASE.search(request.scope["path"])
        #: The FHIR version of the base that is asked; at no base R4.
        self.version = FhirVersion(base[1]) if base else FhirVersion.R4
        #: Whether JSON is to be indented.
        self.pretty = False
        self._headers: dict[bytes, bytes] = {}
        for name, value in request.scope["headers"]:
            held = self._headers.get(name)
            self._headers[name] = value if held is None else held + b", " + value
        self.media_type = ""
        self.heed(request.scope["query_string"].decode("latin-1"))
        self.media_type = self.media_type or accepted(self.header(b"accept"), self.version)

    def header(self, name: bytes) -> str:
        """A header by its name in lower case; empty when it is missing, joined by commas when it is repeated."""
        return self._headers.get(name, b"").decode("latin-1")

    @property
    def has_body(self) -> bool:
        """Whether a body is announced; only then it needs a Content-Type."""
        return bool(self.header(b"transfer-encoding")) or self.header(b"content-length") not in ("", "0")

    @property
    def caller(self) -> Caller:
        """Who asks."""
        caller: Caller = self.request.scope["caller"]
        return caller

    @property
    def client(self) -> str:
        """The name of whoever asks."""
        return self.caller.name

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's parameters without `_format` and `_pretty`, which were heeded."""
        raw = self.request.scope["query_string"]
        return parameters(raw.decode("latin-1")) if raw else []

    @property
    def asked(self) -> Parameters:
        """The same of a search, with those that a link of ours has hidden."""
        return self.lifted(self.query)

    def lifted(self, asked: Parameters, type_: str = "", *, veiled: bool = False) -> Parameters:
        """
        The parameters of a search, with those that a link of ours has hidden.

        Args:
            type_: That they are about; empty for the one in the path.
            veiled: Links are not to show these, either.

        Raises:
            Refused: 400, for a link that is none of ours.
        """
        hidden = [value for name, value in asked if name == CURSOR and value.startswith(MARK)]
        if not (hidden or veiled):
            return asked
        found = self.veiled([(name, value) for name, value in asked if value not in hidden], type_)
        try:
            lifted = [pair for value in hidden for pair in found.veil.lift(found.place, value)]
        except ValueError:
            raise bad_cursor() from None
        return replace(found, pairs=(*lifted, *found.pairs))

    def veiled(self, asked: Parameters, type_: str = "") -> Veiled:
        """Parameters that links don't show. `type_`: That they are about; empty for the one in the path."""
        type_ = type_ or self.request.scope["path"].removesuffix("/_search").rpartition("/")[2]
        place = f"{self.request.scope.get('root_path', '')}/{self.version}/{type_}"  # the first is the tenant's
        return Veiled(tuple(asked), self.request.scope["veil"], place)

    def without_parameters(self) -> None:
        """Raise Refused when there are parameters: none of them would be heeded."""
        without(self.query, "no parameters")

    def subset(self, type_: str) -> Subset:
        """What of a resource is wanted. Raise Refused when there are other parameters."""
        query = self.query
        if not query:
            return whole(self.version)
        wanted, rest = subset(query, type_, self.version)
        without(rest, "`_summary` or `_elements`")
        return wanted

    def heed(self, query: str) -> None:
        """Take `_format` and `_pretty` from a query or form: see `format_of`."""
        media_type, indented = format_of(query, self.version)
        self.media_type = media_type or self.media_type
        self.pretty = self.pretty if indented is None else indented

    @property
    def if_none_exist(self) -> str:
        """The condition of a conditional create; empty for none."""
        condition = self.header(b"if-none-exist")
        if not condition and b"if-none-exist" in self._headers:
            raise Refused.because(400, IssueCode.VALUE, "If-None-Exist must be a search; it is empty.")
        return condition

    def refuse(self, *headers: bytes, of: str) -> None:
        """Raise Refused, 400, for a header that means nothing for resources of this type."""
        for header in headers:
            if self.header(header):
                text = f"{header.decode()} is not supported for {of}: PUT it under an id of your own instead."
                raise Refused.because(400, IssueCode.NOT_SUPPORTED, text)

    @property
    def prefer(self) -> Prefer:
        """What to send back of a resource; all of it, unless the client asks for less."""
        return self.preferred(Prefer.REPRESENTATION)

    def preferred(self, default: Prefer) -> Prefer:
        """`return=` of the Prefer header."""
        for preference in re.split(r"[,;]", self.header(b"prefer")):
            name, _, value = preference.partition("=")
            if name.strip().lower() == "return" and value.strip(' "') in set(Prefer):
                return Prefer(value.strip(' "'))
        return default

    @property
    def if_match(self) -> str:
        """The version that must be in force; empty for any. NOTHING for `If-None-Match: *`: there must be none."""
        return expected(self.header(b"if-match"), self.header(b"if-none-match"))

    @property
    def idempotency_key(self) -> str:
        """Empty for none."""
        key = self.header(b"idempotency-key")
        if not _KEY.fullmatch(key) and b"idempotency-key" in self._headers:
            raise Refused.because(
                400, IssueCode.VALUE, "Idempotency-Key must be 1 to 255 visible ASCII characters, without blanks."
            )
        return key

    @property
    def events(self) -> Events:
        """The events that the publisher names along with what it writes, in the header `Event`."""
        if b"event" not in self._headers:
            return NO_EVENTS
        found = set()
        for item in self.header(b"event").split(","):
            named = _EVENT.fullmatch(item.strip(" \t"))
            if not named:
                text = "Event names codings as `system|code`, such as http://terminology.hl7.org/CodeSystem/v2-0003|A01"
                raise Refused.because(400, IssueCode.VALUE, f"{text}, joined by commas; not `{item[:100]}`.")
            found.add((named[1], named[2]))
        return frozenset(found)

    async def body(self, most: int, media_types: frozenset[str] = frozenset({FHIR_JSON, JSON})) -> bytes:
        """
        The body, unpacked.

        Args:
            most: Bytes, unpacked.

        Raises:
            Refused: 413 when it is larger, 415 for another content type or encoding, 400 for broken gzip.
        """
        self._check_content_type(media_types)
        encoding = self.header(b"content-encoding").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            text = f"Content-Encoding {encoding[:60]} is not supported: send gzip, or the plain body."
            raise Refused.because(415, IssueCode.NOT_SUPPORTED, text)
        length = self.header(b"content-length")
        if length.isdecimal() and int(length) > most:
            raise too_large(most)
        chunks, size = [], 0
        async for chunk in self.request.stream():
            size += len(chunk)
            if size > most:
                raise too_large(most)
            chunks.append(chunk)
        packed = b"".join(chunks)
        body = unpacked(packed, most) if "gzip" in encoding else packed
        self.charge(len(body) // ONE_REQUEST)
        return body

    def respond_to_read(self, answer: Answer, subset: Subset) -> Response:
        """The response to a read: what is wanted of the version, or 304 when the client has it."""
        known = Known(self.header(b"if-none-match"), http_date(self.header(b"if-modified-since")))
        if known.covers(answer.version, answer.at):
            return self.respond(Answer(304, version=answer.version, at=answer.at))
        return self.respond(replace(answer, body=subset.of(answer.body)))

    def respond(self, answer: Answer, base: str = "", prefer: Prefer | None = None) -> Response:
        """
        The response to an interaction.

        Args:
            base: The FHIR base, without a slash at its end; given, a version's place is told in Location.
            prefer: What to send back of a resource that the client has just sent; None: the body as it is.
        """
        headers = dict(answer.headers)
        if answer.version:
            headers["ETag"] = answer.etag
        if answer.at:
            headers["Last-Modified"] = formatdate(answer.at / 1000, usegmt=True)
        if base and answer.location:
            headers["Location"] = f"{base}/{answer.location}"
        body = answer.body
        if prefer is Prefer.MINIMAL:
            body = b""
        elif prefer is Prefer.OUTCOME:
            text = f"{answer.location} is stored."
            body = outcome(Issue(IssueCode.INFORMATIONAL, text), severity="information")
        if self.pretty and body:
            body = msgspec.json.format(body, indent=2)  # no number is read: each keeps its digits
        return Response(body, answer.status, headers, f"{self.media_type}; charset=utf-8" if body else None)

    def charge(self, count: int) -> None:
        """Count the request as so many more, where requests are counted."""
        allowance: Allowance | None = self.request.scope.get("allowance")
        if allowance:
            allowance.charge(count)

    def _check_content_type(self, media_types: frozenset[str]) -> None:
        given = self.header(b"content-type")
        if given in media_types:
            return
        media_type, *rest = (part.strip().lower() for part in given.split(";"))
        options = dict(part.partition("=")[::2] for part in rest)
        charset = options.get("charset", "utf-8").strip('"')
        if media_type in media_types and charset in ("utf-8", "utf8") and speaks(rest, self.version):
            return
        known = " or ".join(sorted(media_types))
        text = f"Content-Type is {given[:100] or 'missing'}; send {known}, in UTF-8 and FHIR {self.version.mime}."
        raise Refused.because(415, IssueCode.NOT_SUPPORTED, text)
