"""Topics of the suite's own: one for each column of the trigger table, and others with filters, shapes and faults."""

from typing import Any

HOME = "https://topics.example/conformance"


def _topic(name: str, *triggers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "SubscriptionTopic",
        "id": f"conformance-{name}",
        "url": f"{HOME}/{name}",
        "status": "active",
        "resourceTrigger": list(triggers),
        **more,
    }


def _became(*, both: bool, absent: str) -> dict[str, Any]:
    """From `preliminary` to `cancelled`; what is missing on create and delete counts as `absent`."""
    criteria = {
        "previous": "status=preliminary",
        "resultForCreate": absent,
        "current": "status=cancelled",
        "resultForDelete": absent,
        "requireBoth": both,
    }
    return {"resource": "Observation", "queryCriteria": criteria}


BOTH_PASSES, BOTH_FAILS, EITHER_PASSES, EITHER_FAILS = (
    f"{HOME}/{name}" for name in ("both-passes", "both-fails", "either-passes", "either-fails")
)
UPDATES, FAULTY, SCOPED, SHAPED = (f"{HOME}/{name}" for name in ("updates", "faulty", "scoped", "shaped"))

TOPICS = (
    _topic("both-passes", _became(both=True, absent="test-passes")),
    _topic("both-fails", _became(both=True, absent="test-fails")),
    _topic("either-passes", _became(both=False, absent="test-passes")),
    _topic("either-fails", _became(both=False, absent="test-fails")),
    _topic("updates", {"resource": "Observation", "supportedInteraction": ["update"]}),
    # With more than one identifier it can't be evaluated.
    _topic("faulty", {"resource": "Observation", "fhirPathCriteria": "%current.identifier.single().value = 'one'"}),
    _topic(
        "scoped",
        {"resource": "Immunization"},
        {"resource": "Observation"},
        canFilterBy=[
            {"resource": "Immunization", "filterParameter": "patient"},
            {"resource": "Immunization", "filterParameter": "lot-number"},
            {"resource": "Immunization", "filterParameter": "date", "comparator": ["ge"]},
            {"resource": "Observation", "filterParameter": "status"},
        ],
    ),
    _topic(
        "shaped",
        {"resource": "Immunization"},
        canFilterBy=[{"resource": "Immunization", "filterParameter": "patient"}],
        notificationShape=[{"resource": "Immunization", "include": ["Immunization:patient"]}],
    ),
)
