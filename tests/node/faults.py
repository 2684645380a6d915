"""What can be wrong with a notification, done to one that was right."""

from collections.abc import Callable, Mapping
from typing import Any

from subscriptions.codes import FhirVersion

Json = dict[str, Any]


def _count_by_number(bundle: Json) -> None:
    status = bundle["entry"][0]["resource"]
    if status["resourceType"] == "SubscriptionStatus":
        status["eventsSinceSubscriptionStart"] = 1
    else:
        [since] = [each for each in status["parameter"] if each["name"] == "events-since-subscription-start"]
        since["valueString"] = 1


def _have_no_type(bundle: Json) -> None:
    del bundle["type"]


def _have_another_member(bundle: Json) -> None:
    bundle["entry"][0]["resource"]["colour"] = "red"


def _have_no_request(bundle: Json) -> None:
    del bundle["entry"][1]["request"]


def _have_no_response(bundle: Json) -> None:
    del bundle["entry"][0]["response"]


def _have_no_status(bundle: Json) -> None:
    del bundle["entry"][0]


def _have_an_entry_twice(bundle: Json) -> None:
    bundle["entry"].append(bundle["entry"][1])


def _have_no_url(bundle: Json) -> None:
    del bundle["entry"][0]["fullUrl"]


def _have_no_events(bundle: Json) -> None:
    del bundle["entry"][0]["resource"]["notificationEvent"]


_Faults = Mapping[str, Callable[[Json], None]]
_EVERY: _Faults = {
    "expected string, but got number": _count_by_number,
    "Bundle.type: Missing required property": _have_no_type,
    'Invalid additional property "colour"': _have_another_member,
}
_HISTORY: _Faults = {**_EVERY, "bdl-3": _have_no_request, "bdl-4": _have_no_response}
#: By the words of the error that follows.
FAULTS: Mapping[FhirVersion, _Faults] = {
    FhirVersion.R4: _HISTORY,
    FhirVersion.R4B: {**_HISTORY, "sst-1": _have_no_events},
    FhirVersion.R5: {
        **_EVERY,
        "bdl-7": _have_an_entry_twice,
        "bdl-13": _have_no_status,
        "bdl-15": _have_no_url,
        "sst-1": _have_no_events,
    },
}
