"""Who is a member of what, and when; and which Patients are one."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from subscriptions.roster import memberships, merged
from subscriptions.search.held import Membership

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "r4"
BASE = "http://hub.example/fhir/r4"

Json = dict[str, Any]


def group(*members: Json, **more: Any) -> Json:
    return {"resourceType": "Group", "id": "g", "member": list(members), **more}


def listed(*entries: Json, status: str = "current") -> Json:
    return {"resourceType": "List", "id": "l", "status": status, "entry": list(entries)}


def team(*participants: Json, **more: Any) -> Json:
    return {"resourceType": "CareTeam", "id": "c", "participant": list(participants), **more}


def ref(text: str) -> Json:
    return {"reference": text}


ONE = ref("Patient/1")


@pytest.mark.parametrize(
    ("roster", "members"),
    [
        pytest.param(group({"entity": ONE}), ["Patient/1"], id="a member of a Group"),
        pytest.param(group({"entity": ONE, "inactive": True}), [], id="who is inactive is none"),
        pytest.param(group({"entity": ONE, "inactive": False}), ["Patient/1"], id="who is not inactive is one"),
        pytest.param(group({"entity": ONE}, active=False), [], id="a Group that is not in use has none"),
        pytest.param(group({"entity": ONE}, active=True), ["Patient/1"], id="a Group in use"),
        pytest.param(group({"entity": ref(f"{BASE}/Patient/1")}), ["Patient/1"], id="by absolute URL"),
        pytest.param(group({"entity": ref("Patient/1/_history/7")}), ["Patient/1"], id="by version"),
        pytest.param(group({"entity": ref("http://other.example/Patient/1")}), [], id="who is elsewhere is none"),
        pytest.param(
            group({"entity": {"identifier": {"value": "1"}}}), [], id="who is only named by identifier is none"
        ),
        pytest.param(group({"entity": ref("#p")}), [], id="what is contained is none"),
        pytest.param(listed({"item": ONE}), ["Patient/1"], id="what is in a List"),
        pytest.param(listed({"item": ONE, "deleted": True}), [], id="what is deleted is not in it"),
        pytest.param(listed({"item": ONE}, status="retired"), [], id="a List that is not current has nothing in it"),
        pytest.param(team({"member": ONE}), ["Patient/1"], id="a participant of a CareTeam"),
        pytest.param(team({"member": ONE}, status="active"), ["Patient/1"], id="an active CareTeam"),
        pytest.param(team({"member": ONE}, status="inactive"), [], id="an inactive CareTeam has none"),
        pytest.param(team({"role": []}), [], id="a participant who is not named"),
        pytest.param({"resourceType": "Patient", "id": "1"}, [], id="what is no roster has none"),
    ],
)
def test_members(roster: Json, members: list[str]) -> None:
    assert [member for member, _ in memberships(roster, {BASE})] == members


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        pytest.param({}, None, None, id="open"),
        pytest.param({"start": "2020"}, datetime(2020, 1, 1, tzinfo=UTC), None, id="from the first day of a year"),
        pytest.param({"end": "2020-02"}, None, datetime(2020, 3, 1, tzinfo=UTC), id="to the end of a month"),
        pytest.param({"end": "2020-02-29"}, None, datetime(2020, 3, 1, tzinfo=UTC), id="to the end of a day"),
        pytest.param(
            {"start": "2020-01-01T00:00:00+13:00"}, datetime(2019, 12, 31, 11, tzinfo=UTC), None, id="in a time zone"
        ),
        pytest.param({"end": "9999-12-31"}, None, None, id="to the end of time"),
    ],
)
@pytest.mark.parametrize("form", ["Group", "CareTeam"])
def test_periods(form: str, period: Json, start: datetime | None, end: datetime | None) -> None:
    roster = group({"entity": ONE, "period": period}) if form == "Group" else team({"member": ONE, "period": period})
    ((_, membership),) = memberships(roster, set())
    assert membership == Membership(f"{form}/{roster['id']}", start, end)


def test_the_members_of_an_example_of_hl7() -> None:
    roster = json.loads((EXAMPLES / "Group-102.json").read_text())
    found = dict(memberships(roster, set()))
    assert list(found) == ["Patient/pat1", "Patient/pat3", "Patient/pat4"]
    assert found["Patient/pat1"] == Membership("Group/102", datetime(2014, 10, 8, tzinfo=UTC))


@pytest.mark.parametrize(
    ("type_", "other", "found"),
    [
        ("replaced-by", "Patient/2", ["Patient/2"]),
        ("replaces", f"{BASE}/Patient/2", ["Patient/2"]),
        ("refer", "Patient/2", []),
        ("seealso", "Patient/2", []),
        ("replaces", "RelatedPerson/2", []),
    ],
)
def test_patients_are_one_if_one_replaces_the_other(type_: str, other: str, found: list[str]) -> None:
    patient = {"resourceType": "Patient", "id": "1", "link": [{"other": ref(other), "type": type_}]}
    assert list(merged(patient, {BASE})) == found
