"""HUB_TOPICS_DIR: JSON files of topics, ValueSets and CodeSystems, or Bundles of them, that are stored at the start."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from hub.errors import NotTheHub, Refused
from hub.ingest.strict import parse
from hub.ingest.validation import issues
from hub.publication import Publication
from hub.terminology import TYPES, remember_for_all
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.versions.topics import is_topic, read_topic

_TO_JSON = msgspec.json.Encoder(decimal_format="number")


async def load(directory: Path, publication: Publication, *, now: int, max_nesting: int) -> None:
    """
    Store what the files of a directory have, as far as it is not stored as it is.

    Args:
        max_nesting: Levels of JSON.

    Raises:
        NotTheHub: Something in them can't be used.
    """
    found = [(path, resource) for path in _files(directory) for resource in _read(path, max_nesting)]
    topics = []
    for path, resource in found:
        try:
            if is_terminology(resource):
                await _remember(resource, publication)
            else:
                topics.append((path, resource, form_of(resource)))
        except Rejected as error:
            raise _unfit(path, error) from error
    for path, topic, form in topics:
        try:
            await _publish(topic, form, publication, now=now)
        except (Rejected, Refused) as error:
            raise _unfit(path, error) from error


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise _unfit(directory, NotADirectoryError("it is not a directory"))
    return sorted(directory.rglob("*.json"))


def _read(path: Path, max_nesting: int) -> list[dict[str, Any]]:
    """The resources in a file. Raises NotTheHub when it has none."""
    try:
        return list(resources(path.read_bytes(), max_nesting=max_nesting))
    except (Rejected, OSError) as error:
        raise _unfit(path, error) from error


def resources(content: bytes, *, max_nesting: int) -> Iterator[dict[str, Any]]:
    """The resources in the content of a file. Raises Rejected when it has none."""
    resource = parse(content, max_nesting=max_nesting)
    if resource.get("resourceType") != "Bundle":
        yield resource
        return
    entries = resource.get("entry", [])
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
            raise Rejected(Issue(IssueCode.REQUIRED, "An entry of the Bundle has no resource.", "Bundle.entry"))
        yield entry["resource"]


def is_terminology(resource: dict[str, Any]) -> bool:
    """
    Whether it is a ValueSet or CodeSystem; what isn't should be a topic.

    Raises:
        Rejected: It is one, but has no URL, or is one of none of the FHIR versions.
    """
    type_, url = str(resource.get("resourceType", "")), resource.get("url")
    if type_ not in TYPES:
        return False
    if not isinstance(url, str):
        text = f"the {type_} has no url, by which filters could name it"
        raise Rejected(Issue(IssueCode.REQUIRED, text, f"{type_}.url"))
    if (found := issues(resource, FhirVersion.R5)) and issues(resource, FhirVersion.R4):
        raise Rejected(*found)
    return True


async def _remember(resource: dict[str, Any], publication: Publication) -> None:
    topics, body = publication.topics, _TO_JSON.encode(resource)
    await remember_for_all(topics.pipeline, topics.tenant, resource["resourceType"], _id(resource), body)


async def _publish(resource: dict[str, Any], form: FhirVersion, publication: Publication, *, now: int) -> None:
    """One that there is already under another id, since a client has published it, keeps that."""
    sent, topics = _TO_JSON.encode(resource), publication.topics
    await topics.refresh()
    held = topics.published(read_topic(resource, form).url) or topics.named(_id(resource))
    id_ = held.id if held else _id(resource)
    if held is None or held.sent != sent or held.form is not form:
        await publication.put(id_, resource, sent, form, now=now)


def _id(resource: dict[str, Any]) -> str:
    """Its own, or one that follows from its URL."""
    url = str(resource.get("url", ""))
    return str(resource.get("id") or f"t-{blake2b(url.encode(), digest_size=12).hexdigest()}")


def form_of(resource: dict[str, Any]) -> FhirVersion:
    """
    The FHIR version that a topic is written in. R4B's form is R5's but for the modifiers, so that R5 is tried first.

    Raises:
        Rejected: It is no topic.
    """
    if resource.get("resourceType") == "Basic" and is_topic(resource):
        return FhirVersion.R4
    try:
        read_topic(resource, FhirVersion.R5)
    except Rejected as in_r5:
        try:
            read_topic(resource, FhirVersion.R4B)
        except Rejected as in_r4b:  # what it lacks in the form that it comes nearer to
            raise min(in_r5, in_r4b, key=lambda rejected: len(rejected.issues)) from None
        return FhirVersion.R4B
    return FhirVersion.R5


def _unfit(path: Path, error: Exception) -> NotTheHub:
    return NotTheHub(f"HUB_TOPICS_DIR: {path}: {' '.join(str(error).split())}")
