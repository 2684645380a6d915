"""
What is published with one request: a resource, one entry of a batch, or a Bundle that belongs together.

Resources are sent byte by byte as they were read: a decimal keeps its digits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b

import msgspec

#: Kinds of Bundles that are no more than a way to carry resources.
CARRIERS = ("collection", "searchset", "batch")

#: What a batch may ask for: what can be sent once more, when nobody knows whether it came, and does no more by that.
METHODS = ("POST", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class Piece:
    """
    path: Behind the FHIR base, such as `Patient/1`; empty for the base itself.
    condition: `If-Match` or `If-None-Exist`, and its value.
    keys: The resources that it writes, as `Patient/1`, as far as it names them: they are written in the order of input.
    weight: Bytes of input that are dealt with when it is.
    fault: Why it can't be sent; empty when it can.
    """

    place: str
    body: bytes
    method: str = "POST"
    path: str = ""
    condition: tuple[str, str] | None = None
    keys: frozenset[str] = frozenset()
    weight: float = 0
    fault: str = ""

    @property
    def id(self) -> str:
        """The same whenever it is read from the same place, and of nothing else."""
        return self.idempotency("")

    def idempotency(self, base: str) -> str:
        """What says to a hub that it is the same request; at another base it is another one."""
        head = "\0".join((base, self.place, self.method, self.path, *(self.condition or ())))
        return blake2b(head.encode(errors="surrogateescape") + b"\0" + self.body, digest_size=16).hexdigest()

    @property
    def headers(self) -> dict[str, str]:
        return dict([self.condition] if self.condition else [])


class _Request(msgspec.Struct):
    method: str = ""
    url: str = ""
    ifMatch: str = ""
    ifNoneExist: str = ""


class _Search(msgspec.Struct):
    mode: str = ""


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()
    request: _Request | None = None
    search: _Search | None = None


class _Head(msgspec.Struct):
    """What is looked at of a resource."""

    resourceType: str = ""
    id: str = ""


class _Bundle(_Head):
    type: str = ""
    entry: list[_Entry] = []


_HEADS = msgspec.json.Decoder(_Head)
_BUNDLES = msgspec.json.Decoder(_Bundle)


def pieces(place: str, body: bytes, by_id: bool | None) -> Iterator[Piece]:
    """
    What is published of one JSON document: of most Bundles each resource, of others one piece.

    Args:
        by_id: Resources are PUT under their ids, or POSTed; None: PUT if they have one. What a batch or a transaction
            asks for is done as it says.
    """
    whole = Piece(place, body, weight=len(body))
    if not body.strip():
        yield replace(whole, fault="It is empty.")
        return
    try:
        head = _HEADS.decode(body)
        bundle = _BUNDLES.decode(body) if head.resourceType == "Bundle" else None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        yield replace(whole, fault=_no_json(error))
        return
    if bundle is None:
        yield _resource(whole, by_id)
    elif bundle.type in CARRIERS:
        yield from _carried(whole, bundle, by_id)
    elif bundle.type == "transaction":
        yield replace(whole, keys=frozenset(_named(bundle)))
    elif bundle.type == "message":
        yield replace(whole, path="$process-message")
    elif bundle.type == "document":
        yield _resource(whole, by_id)
    else:
        yield replace(whole, fault=f"A Bundle of the type {bundle.type[:40]!r} is nothing to publish.")


def _no_json(error: Exception) -> str:
    """Without the names of our own types, and of no value: it may be a patient's."""
    if isinstance(error, msgspec.ValidationError):
        return f"It is no FHIR resource: {error}."
    # What the decoder says: what is wrong, and at which byte.
    said = str(error).removeprefix("JSON is malformed: ") if isinstance(error, msgspec.DecodeError) else "no UTF-8"
    return f"It is not JSON: {said[0].lower()}{said[1:]}."


def _resource(of: Piece, by_id: bool | None) -> Piece:
    """One that is sent by itself."""
    try:
        head = _HEADS.decode(of.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return replace(of, fault=_no_json(error))
    if not head.resourceType.isascii() or not head.resourceType.isalpha():
        return replace(of, fault="It has no resourceType that could be one.")
    if by_id is False or (by_id is None and not head.id):
        return replace(of, path=head.resourceType)
    if not _plain(head.id):
        why = f"Its id {head.id[:80]!r} is none of FHIR's." if head.id else "It has no id, and PUT needs one."
        return replace(of, fault=why)
    path = f"{head.resourceType}/{head.id}"
    return replace(of, method="PUT", path=path, keys=frozenset({path}))


def _plain(id_: str) -> bool:
    return 0 < len(id_) <= 64 and id_.isascii() and all(char.isalnum() or char in "-." for char in id_)


def _carried(whole: Piece, bundle: _Bundle, by_id: bool | None) -> Iterator[Piece]:
    """The entries of a Bundle that only carries them."""
    if not bundle.entry:
        yield replace(whole, fault="The Bundle has no entry.")
    for number, entry in enumerate(bundle.entry):
        place, weight = f"{whole.place} entry[{number}]", whole.weight / len(bundle.entry)
        one = Piece(place, bytes(entry.resource), weight=weight)
        if bundle.type == "batch":
            yield _asked(one, entry.request or _Request())
        elif entry.search is None or entry.search.mode != "outcome":
            yield _resource(one, by_id)


def _asked(of: Piece, request: _Request) -> Piece:
    """An entry of a batch, by itself."""
    if request.method not in METHODS:
        return replace(of, fault=f"Of a batch POST, PUT and DELETE are published, not {request.method[:20]!r}.")
    path = request.url.lstrip("/")
    if ":" in path.partition("?")[0] or ".." in path or "#" in path:
        return replace(of, fault="Its request.url leads to elsewhere than below the hub's base.")
    condition = ("If-Match", request.ifMatch) if request.ifMatch else None
    if request.ifNoneExist:
        condition = "If-None-Exist", request.ifNoneExist
    if condition and not (condition[1].isascii() and condition[1].isprintable()):
        return replace(of, fault="Its request has a condition that no header can hold.")
    keys = frozenset({path.partition("?")[0]} if request.method != "POST" else ())
    return replace(of, method=request.method, path=path, condition=condition, keys=keys)


def _named(bundle: _Bundle) -> Iterator[str]:
    """The resources that a transaction writes, as far as it names them; by a search, any of a type."""
    for entry in bundle.entry:
        if entry.request and entry.request.method != "GET":
            yield entry.request.url.partition("?")[0]
