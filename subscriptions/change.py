"""A change: a resource was created, updated or deleted. What triggers and filters look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from subscriptions.codes import FhirVersion, Interaction
from subscriptions.errors import EvaluationError

#: A FHIR resource as its own JSON, parsed once. Decimals are `decimal.Decimal`.
Resource: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """
    One change of one resource.

    resource: The version that the change made; None for a delete.
    previous: The version before it; None for a create.
    version_id: The number of the version that the change made, from 1.
    at: When the hub stored it, aware.
    events: The codings of the events that the publisher named, such as HL7 v2's A01: system and code.
    """

    version: FhirVersion
    interaction: Interaction
    type: str
    id: str
    version_id: int
    at: datetime
    resource: Resource | None
    previous: Resource | None = None
    events: frozenset[tuple[str, str]] = frozenset()

    @property
    def subject(self) -> Resource:
        """
        What filters are evaluated on: the new version, and for a delete the one before it (R6 framework).

        Raises:
            EvaluationError: There is neither.
        """
        found = self.resource if self.resource is not None else self.previous
        if found is None:
            raise EvaluationError(f"no version of {self.type}/{self.id} is known")
        return found
