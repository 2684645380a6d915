"""Topics to test with: the fixtures, and what is made in a line."""

import json
from pathlib import Path
from typing import Any

from subscriptions.codes import FhirVersion
from subscriptions.topic import Topic
from subscriptions.versions.topics import read_topic

TOPICS = Path(__file__).parent.parent.parent / "fixtures" / "topics"

#: In the form of which FHIR version each fixture is.
WRITTEN_IN = {
    "hl7-r4b-admission": FhirVersion.R4B,
    "hl7-r5-admission": FhirVersion.R5,
    "hl7-r5-encounter-complete": FhirVersion.R5,
    "immunisation-administered": FhirVersion.R4B,
    "us-core-patient-data-feed": FhirVersion.R4,
    "vaccination-record-change": FhirVersion.R5,
}


def sent(name: str) -> bytes:
    return (TOPICS / f"{name}.json").read_bytes()


def resource(name: str) -> dict[str, Any]:
    return dict(json.loads(sent(name)))


def topic(name: str) -> Topic:
    return read_topic(resource(name), WRITTEN_IN[name])
