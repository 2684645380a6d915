"""HUB_TOPICS_DIR: JSON files of topics, ValueSets and CodeSystems, or Bundles of them, that are stored at the start."""

from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from hub.errors import NotTheHub, Refused
from hub.ingest.validation import issues
from hub.publication import Publication
from hub.terminology import TYPES, remember_for_all
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from subscriptions.versions.topics import is_topic, read_topic

#: Numbers keep their digits.
_FROM_JSON = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_TO_JSON = msgspec.json.Encoder(decimal_format="number")


async def load(directory: Path, publication: Publication, *, now: int) -> None:
    """
    Store what the files of a directory have, as far as it is not stored as it is.

    Raises:
        NotTheHub: Something in them can't be used.
    """
    found = [(path, resource) for path in _files(directory) for resource in _read(path)]
    topics = []
    for path, resource in found:
        try:
            if resource.get("resourceType") in TYPES:
                await _remember(resource, publication)
            else:
                topics.append((path, resource, form_of(resource)))
        except (Rejected, ValueError) as error:
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


def _read(path: Path) -> list[dict[str, Any]]:
    """The resources in a file. Raises NotTheHub when it has none."""
    try:
        return list(resources(path.read_bytes()))
    except (ValueError, OSError) as error:
        raise _unfit(path, error) from error


def resources(content: bytes) -> Iterator[dict[str, Any]]:
    """The resources in the content of a file. Raises ValueError when it has none."""
    resource = _FROM_JSON.decode(content)
    if resource.get("resourceType") != "Bundle":
        yield resource
        return
    for entry in resource.get("entry", []):
        if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
            raise ValueError("an entry of the Bundle has no resource")
        yield entry["resource"]


async def _remember(resource: dict[str, Any], publication: Publication) -> None:
    """
    Have a ValueSet or CodeSystem count.

    Raises:
        Rejected: It has no URL, or is one of none of the FHIR versions.
    """
    type_, url = resource["resourceType"], resource.get("url")
    if not isinstance(url, str):
        raise ValueError(f"the {type_} has no url, by which filters could name it")
    if (found := issues(resource, FhirVersion.R5)) and issues(resource, FhirVersion.R4):
        raise Rejected(*found)
    topics = publication.topics
    body = _TO_JSON.encode(resource)
    await remember_for_all(topics.pipeline, topics.tenant, type_, _id(resource), body)


async def _publish(resource: dict[str, Any], form: FhirVersion, publication: Publication, *, now: int) -> None:
    id_, sent, topics = _id(resource), _TO_JSON.encode(resource), publication.topics
    await topics.refresh()
    held = topics.named(id_)
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
        except Rejected:
            raise in_r5 from None
        return FhirVersion.R4B
    return FhirVersion.R5


def _unfit(path: Path, error: Exception) -> NotTheHub:
    return NotTheHub(f"HUB_TOPICS_DIR: {path}: {' '.join(str(error).split())}")
