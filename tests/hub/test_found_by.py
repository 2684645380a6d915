"""What a resource is found by."""

from typing import Any

import pytest

from hub.ingest.found_by import found_by
from hub.keys import Index

BASE = "http://hub.example/fhir/r4"


def texts(resource: dict[str, Any], index: Index) -> list[str]:
    return [each.text for each in found_by({"id": "x", **resource}, {BASE}) if each.index is index]


@pytest.mark.parametrize(
    ("resource", "index", "expected"),
    [
        pytest.param(
            {"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}, {"value": "2"}, {"system": "s"}]},
            Index.IDENTIFIERS,
            ["s|1", "|2"],
            id="identifiers",
        ),
        pytest.param(
            {
                "resourceType": "Immunization",
                "patient": {"reference": f"{BASE}/Patient/1/_history/2"},
                "performer": [{"actor": {"reference": "Practitioner/2"}}, {"actor": {"reference": "Practitioner/2"}}],
                "location": {"reference": "http://other.example/Location/3"},
                "manufacturer": {"reference": "#m"},
                "contained": [{"resourceType": "Organization", "id": "m", "partOf": {"reference": "Organization/4"}}],
            },
            Index.REFERENCES,
            ["Patient/1", "Practitioner/2", "Organization/4"],
            id="references to what is held here, once, without version",
        ),
        pytest.param(
            {
                "resourceType": "Group",
                "member": [
                    {"entity": {"reference": "Patient/1"}, "period": {"start": "2020-01-01", "end": "2020-01-31"}},
                    {"entity": {"reference": "Patient/2"}},
                ],
            },
            Index.MEMBERS,
            ["Patient/1\0Group\x001577836800000\x001580515200000", "Patient/2\0Group\0\0"],
            id="members with their time",
        ),
        pytest.param(
            {"resourceType": "Patient", "link": [{"other": {"reference": "Patient/y"}, "type": "replaces"}]},
            Index.MERGED,
            ["Patient/x\0Patient/y", "Patient/y\0Patient/x"],
            id="merged patients, from either",
        ),
    ],
)
def test_a_resource_is_found_by(resource: dict[str, Any], index: Index, expected: list[str]) -> None:
    assert sorted(texts(resource, index)) == sorted(expected)


def test_an_index_keeps_the_number_that_is_stored_with_resources() -> None:
    assert {index.name: index.value for index in Index} == {
        "IDENTIFIERS": 1,
        "REFERENCES": 2,
        "MEMBERS": 3,
        "MERGED": 4,
    }
