"""What `/metrics` must have, by what publishers and subscribers have in their logs: each sample, and no other."""

from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from math import inf
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from hub.families import BUCKETS, REASONS
from subscriptions.codes import FhirVersion, SubscriptionStatus
from tests.faults.agreement import Between, Expected, differences
from tests.faults.ledger import LATE, Moment, Trip

#: A sample's name and labels.
Sample: TypeAlias = str

#: When each request was answered, in ms, its method and the status, as its client saw it.
Requests: TypeAlias = list[tuple[int, str, int]]

TENANT = {"tenant": "default"}


def samples(text: str) -> dict[Sample, float]:
    """What was scraped."""
    return {
        _name(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _name(name: str, labels: Mapping[str, str]) -> Sample:
    return name + "".join(f",{label}={labels[label]}" for label in sorted(labels))


def disagree(text: str, at: Moment, requests: Requests) -> Iterator[str]:
    """What differs from the logs. `text`: As it was scraped."""
    shown = samples(text)
    expected = dict(_counted(at)) | dict(_timed(at)) | dict(_standing(at)) | dict(_asked(shown, at, requests))
    yield from differences(shown, expected, "metrics")


def _counted(at: Moment) -> Iterator[tuple[Sample, Expected]]:
    for interaction in ("create", "update", "delete"):
        yield _name("hub_changes_stored_total", TENANT | {"interaction": interaction}), at.stored(interaction)
    yield _name("hub_changes_matched_total", TENANT), at.stored()
    yield _name("hub_events_owed_total", TENANT), at.total(map(at.events, at.seen))
    yield _name("hub_events_dropped_total", TENANT), at.total(map(at.dropped, at.seen))
    yield _name("hub_events_delivered_total", TENANT), at.total(map(at.accepted, at.seen))
    for (kind, outcome), times in at.tried().items():
        yield _name("hub_attempts_total", TENANT | {"kind": kind, "outcome": outcome}), times
        if outcome == "accepted":
            yield _name("hub_notifications_delivered_total", TENANT | {"kind": kind}), times


def _timed(at: Moment) -> Iterator[tuple[Sample, Expected]]:
    """How long things took: between how long they can have taken, bucket by bucket."""
    trips = at.trips()
    every = Between(len(trips), len(trips))
    for bound in BUCKETS:
        yield _name("hub_trip_seconds_bucket", TENANT | {"le": str(bound)}), within(trips, bound)
    yield _name("hub_trip_seconds_bucket", TENANT | {"le": "+Inf"}), every
    yield _name("hub_trip_seconds_count", TENANT), every
    seconds = Between(sum(each.least for each in trips), sum(each.most for each in trips))
    yield _name("hub_trip_seconds_sum", TENANT), seconds
    lasted = at.lasted()
    tried = at.total(at.tried().values())
    for bound in BUCKETS:
        yield (
            _name("hub_attempt_seconds_bucket", {"le": str(bound)}),
            Between(within(lasted, bound).low, within(lasted, bound).high + tried.high - len(lasted)),
        )
    yield _name("hub_attempt_seconds_bucket", {"le": "+Inf"}), tried
    yield _name("hub_attempt_seconds_count", {}), tried
    yield (
        _name("hub_attempt_seconds_sum", {}),
        Between(sum(each.least for each in lasted), sum(each.most for each in lasted) + 1),
    )
    matched = at.stored()
    for text in [*map(str, BUCKETS), "+Inf"]:
        yield _name("hub_match_seconds_bucket", {"le": text}), Between(text == "+Inf", matched.high)
    yield _name("hub_match_seconds_count", {}), Between(1, matched.high)
    yield _name("hub_match_seconds_sum", {}), Between(0, 60)


def within(trips: list[Trip], bound: float) -> Between:
    """How many took no longer."""
    return Between(sum(each.most <= bound for each in trips), sum(each.least <= bound for each in trips))


def _standing(at: Moment) -> Iterator[tuple[Sample, Expected]]:
    yield _name("hub_info", {"release": version("fhir-event-hub")}), 1
    for fhir in FhirVersion:
        place = TENANT | {"version": fhir.value}
        own = [each for each in at.seen if each.subscriber.version == fhir]
        late = [each for each in own if at.undelivered(each).high and at.status(each) != "off"]
        for status in SubscriptionStatus:
            name = _name("hub_subscriptions", place | {"status": status.value})
            yield name, sum(at.status(each) == status for each in own)
        yield _name("hub_lagging_subscriptions", place), len(late)
        yield _name("hub_undelivered_events", place), at.total(map(at.undelivered, late))
        since = min((at.oldest(each) for each in late), default=at.until)
        waited = (at.until - since) / 1000
        yield _name("hub_oldest_undelivered_event_seconds", place), Between(max(0, waited - 4), waited + 1)
    for reason in REASONS:
        yield _name("hub_evaluations_failed_total", {"reason": reason}), 0
    for number in range(4):
        yield _name("hub_unmatched_changes", {"partition": str(number)}), 0
        yield _name("hub_matching_behind_seconds", {"partition": str(number)}), 0
    for kind in ("match", "deliver", "clock"):
        yield _name("hub_pumps", {"kind": kind}), 1
    for state in ("failing", "open", "drained"):
        yield _name("hub_origins", {"state": state}), int(state == "drained")
    for name in ("leases", "open_transactions", "open_erasures", "audit_lost_entries", "declining", "redis_max_bytes"):
        yield f"hub_{name}", 0
    yield "hub_redis_used_bytes", Between(100_000, inf)


def _asked(shown: Mapping[Sample, float], at: Moment, requests: Requests) -> Iterator[tuple[Sample, Expected]]:
    """Its clients' requests, without the last reads; and reads of the hub's own parts, which ask how others are."""
    told = [(method, status) for when, method, status in requests if method != "GET" or when < at.until - LATE]
    for (method, status), times in Counter(told).items():
        most = times if method != "GET" else inf
        yield _name("hub_http_requests_total", {"method": method, "status": str(status)}), Between(times, most)
    for name in shown:
        if name.startswith("hub_request_seconds_bucket"):
            yield name, Between(0, inf)
    yield "hub_request_seconds_count", Between(len(told), inf)
    yield "hub_request_seconds_sum", Between(0, inf)
