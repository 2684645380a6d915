"""From a client's bytes to what is stored: what stays, what the hub adds, and what it refuses and why."""

import json
from typing import Any

import pytest

from hub.ingest import Draft, draft
from hub.ingest.references import Holder, links, replaced
from hub.ingest.validation import MOST_ISSUES
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected

AT = 1_700_000_000_123
IMMUNIZATION: dict[str, Any] = {
    "resourceType": "Immunization",
    "status": "completed",
    "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "207"}]},
    "patient": {"reference": "Patient/example"},
    "occurrenceDateTime": "2026-11-21",
}


def read(body: bytes) -> Draft:
    return draft(body, FhirVersion.R4, max_nesting=64)


def of(resource: dict[str, Any]) -> Draft:
    return read(json.dumps(resource).encode())


def stored(body: bytes, id_: str = "x") -> bytes:
    head, tail = read(body).numbered(id_, AT)
    return head + b"7" + tail


def refused(resource: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Code, element and text of each issue."""
    with pytest.raises(Rejected) as caught:
        of(resource)
    return [(issue.code.value, issue.expression, issue.text) for issue in caught.value.issues]


META = b'"meta":{"versionId":"7","lastUpdated":"2023-11-14T22:13:20.123Z"}'


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(
            b'{"resourceType":"Patient","active":true}',
            b'{"resourceType":"Patient","id":"x",' + META + b',"active":true}',
            id="id-and-meta-follow-the-type",
        ),
        pytest.param(
            b'{"active":true,"resourceType":"Patient"}',
            b'{"active":true,"resourceType":"Patient","id":"x",' + META + b"}",
            id="members-keep-their-order",
        ),
        pytest.param(
            b'{"meta":{"source":"http://a"},"id":"x","resourceType":"Patient"}',
            b'{"meta":{"versionId":"7","lastUpdated":"2023-11-14T22:13:20.123Z","source":"http://a"}'
            b',"id":"x","resourceType":"Patient"}',
            id="meta-may-come-first",
        ),
        pytest.param(
            b'{"resourceType":"Patient","id":"x","meta":{"versionId":"99","tag":[ {"code" : "a"} ],'
            b'"lastUpdated":"2015-02-07T13:28:17.239+02:00"}}',
            b'{"resourceType":"Patient","id":"x","meta":{"versionId":"7","lastUpdated":"2023-11-14T22:13:20.123Z",'
            b'"tag":[ {"code" : "a"} ]}}',
            id="the-hub-alone-says-version-and-time",
        ),
        pytest.param(
            b'{"resourceType":"Patient","extension":[{"url":"http://a","valueDecimal":1.10}]}',
            b'{"resourceType":"Patient","id":"x",' + META + b',"extension":[{"url":"http://a","valueDecimal":1.10}]}',
            id="a-decimal-keeps-its-zeros",
        ),
        pytest.param(
            b'{"resourceType":"Patient","extension":[{"url":"http://a","valueInstant":"2015-02-07T13:28:17.23912345678Z"}]}',
            b'{"resourceType":"Patient","id":"x",'
            + META
            + b',"extension":[{"url":"http://a","valueInstant":"2015-02-07T13:28:17.23912345678Z"}]}',
            id="an-instant-keeps-its-digits",
        ),
        pytest.param(
            b'{"resourceType":"Patient","_birthDate":{"extension":[{"url":"http://a","valueCode":"unknown"}]},'
            b'"name":[{"family":"\\u00c4\\/\\ud83d\\ude00"}]}',
            b'{"resourceType":"Patient","id":"x",'
            + META
            + b',"_birthDate":{"extension":[{"url":"http://a","valueCode":"unknown"}]},'
            b'"name":[{"family":"\\u00c4\\/\\ud83d\\ude00"}]}',
            id="extensions-and-escapes-stay",
        ),
    ],
)
def test_what_is_stored_is_what_was_sent_with_id_version_and_time(sent: bytes, expected: bytes) -> None:
    """Byte for byte."""
    assert stored(sent) == expected


def test_every_identifier_is_found_once() -> None:
    found = of(
        {
            "resourceType": "DocumentManifest",
            "status": "current",
            "content": [{"reference": "Binary/1"}],
            "masterIdentifier": {"system": "urn:a", "value": "1"},
            "identifier": [{"system": "urn:b", "value": "2"}, {"value": "3"}, {"system": "urn:b", "value": "2"}],
        }
    )
    assert set(found.identifiers) == {"urn:a|1", "urn:b|2", "|3"}
    assert len(found.identifiers) == 3


@pytest.mark.parametrize(
    ("change", "code", "expression"),
    [
        pytest.param({"patient": None}, "structure", "Immunization.patient", id="null"),
        pytest.param({"status": ""}, "structure", "Immunization.status", id="empty-string"),
        pytest.param({"identifier": []}, "structure", "Immunization.identifier", id="empty-array"),
        pytest.param({"vaccineCode": {}}, "structure", "Immunization.vaccineCode", id="empty-object"),
        pytest.param({"colour": "red"}, "structure", "Immunization.colour", id="unknown-element"),
        pytest.param({"fhir_comments": ["x"]}, "structure", "Immunization", id="comments-are-of-another-version"),
        pytest.param({"lotNumber": 5}, "structure", "Immunization.lotNumber", id="number-for-a-string"),
        pytest.param({"primarySource": "true"}, "structure", "Immunization.primarySource", id="string-for-a-boolean"),
        pytest.param({"doseQuantity": {"value": "5"}}, "structure", "Immunization.doseQuantity.value", id="string-5"),
        pytest.param({"identifier": {"value": "1"}}, "structure", "Immunization.identifier", id="object-for-an-array"),
        pytest.param(
            {"patient": [{"reference": "Patient/1"}]}, "structure", "Immunization.patient", id="array-for-one"
        ),
        pytest.param({"note": [None]}, "structure", "Immunization.note[0]", id="null-in-an-array"),
        pytest.param({"id": "a_b"}, "value", "Immunization.id", id="invalid-id"),
        pytest.param({"id": "a" * 65}, "value", "Immunization.id", id="id-too-long"),
        pytest.param({"id": "a\n"}, "value", "Immunization.id", id="id-with-line-end"),
        pytest.param({"occurrenceDateTime": "2026-02-30"}, "value", "Immunization.occurrence", id="no-such-day"),
        pytest.param(
            {"occurrenceDateTime": "2026-01-01T10:00"}, "value", "Immunization.occurrence", id="time-only-half"
        ),
        pytest.param({"occurrenceString": "once"}, "structure", "Immunization.occurrence", id="two-choices"),
        pytest.param({"status": "two  blanks"}, "value", "Immunization.status", id="no-code"),
        pytest.param({"implicitRules": "http://a b"}, "value", "Immunization.implicitRules", id="uri-with-blanks"),
        pytest.param(
            {"vaccineCode": {"coding": [{"code": "a"}, {"code": " b"}]}},
            "value",
            "Immunization.vaccineCode.coding[1].code",
            id="deep-within",
        ),
        pytest.param(
            {"contained": [{"resourceType": "Starship"}]},
            "value",
            "Immunization.contained[0].resourceType",
            id="contained-of-no-type",
        ),
        pytest.param(
            {"contained": [{"resourceType": "Patient", "birthDate": "soon"}]},
            "value",
            "Immunization.contained[0].birthDate",
            id="contained-is-checked-too",
        ),
        pytest.param(
            {"contained": [{"resourceType": "MedicinalProduct", "name": [{}]}]},
            "structure",
            "Immunization.contained[0].name[0]",
            id="contained-of-a-type-without-a-model",
        ),
    ],
)
def test_a_refusal_names_the_element(change: dict[str, Any], code: str, expression: str) -> None:
    """One thing is wrong with an Immunization: one issue says what and where."""
    found = refused(IMMUNIZATION | change)
    assert [(issue[0], issue[1]) for issue in found] == [(code, expression)]
    assert len(found[0][2]) > 10


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("status", "status"),
        ("patient", "patient"),
        ("vaccineCode", "vaccineCode"),
        ("occurrenceDateTime", "occurrence"),
    ],
)
def test_what_r4_requires_is_required(name: str, expression: str) -> None:
    resource = {key: value for key, value in IMMUNIZATION.items() if key != name}
    assert [(code, path) for code, path, _ in refused(resource)] == [("required", f"Immunization.{expression}")]


def test_an_extension_can_stand_for_a_value_that_is_missing() -> None:
    """http://hl7.org/fhir/StructureDefinition/data-absent-reason, on a choice that is required."""
    reason = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
    }
    resource = {name: value for name, value in IMMUNIZATION.items() if name != "occurrenceDateTime"}
    assert of(resource | {"_occurrenceDateTime": reason}).type == "Immunization"


@pytest.mark.parametrize("version", FhirVersion)
def test_the_value_of_an_extension_can_be_extended_too(version: FhirVersion) -> None:
    """It may have a translation, or a reason instead of it: https://hl7.org/fhir/R4/json.html#primitive."""
    unknown = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
    }
    url = "https://example.org/nickname"
    told = {"url": url, "valueString": "Bo", "_valueString": {"id": "nickname", **unknown}}
    patient = {"resourceType": "Patient", "extension": [told, {"url": url, "_valueString": unknown}]}
    assert json.dumps(patient["extension"], separators=(",", ":")).encode() in b"".join(
        draft(json.dumps(patient, separators=(",", ":")).encode(), version, max_nesting=64).numbered("x", AT)
    )
    with pytest.raises(Rejected, match=r"colour.*not an element"):
        draft(
            json.dumps({**patient, "extension": [{"url": url, "_valueString": {"colour": "red"}}]}).encode(),
            version,
            max_nesting=64,
        )


@pytest.mark.parametrize(
    ("version", "resource", "missing"),
    [
        pytest.param(
            FhirVersion.R5, {"provision": [{"resourceType": [{"code": "Observation"}]}]}, "status", id="coding"
        ),
        pytest.param(
            FhirVersion.R4,
            {"status": "active", "instance": [{"resourceType": "MedicinalProduct"}]},
            "instance[0].resourceId",
            id="code",
        ),
    ],
)
def test_an_element_that_is_called_resource_type_makes_no_resource(
    version: FhirVersion, resource: dict[str, Any], missing: str
) -> None:
    type_ = "Consent" if version is FhirVersion.R5 else "ExampleScenario"
    with pytest.raises(Rejected) as caught:
        draft(json.dumps({"resourceType": type_, **resource}).encode(), version, max_nesting=64)
    assert [issue.expression for issue in caught.value.issues] == [f"{type_}.{missing}"]


def test_a_quantity_that_could_not_be_compared_is_refused() -> None:
    """Else it would be stored, and nobody whose filter is on it would be told of it."""
    quantity = {"value": 5, "comparator": "about"}
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "a"}, "valueQuantity": quantity}
    (found,) = refused(observation)
    assert found[:2] == ("value", "Observation.value.comparator")
    assert of({**observation, "valueQuantity": {**quantity, "comparator": "<="}}).type == "Observation"
    (found,) = refused({"resourceType": "Condition", "subject": {"reference": "Patient/1"}, "onsetAge": quantity})
    assert found[:2] == ("value", "Condition.onset.comparator")


def test_a_null_stands_for_a_value_only_where_an_extension_stands_beside_it() -> None:
    reason = {"extension": [{"url": "http://a", "valueCode": "unknown"}]}
    name = {"given": ["Ann", None], "_given": [None, reason]}
    assert of({"resourceType": "Patient", "name": [name]}).type == "Patient"
    found = refused({"resourceType": "Patient", "name": [name | {"_given": [reason]}]})
    assert found[0][1] == "Patient.name[0].given[1]"


def test_any_version_of_uuid_is_a_uuid() -> None:
    """The models know random ones only; FHIR asks for the form."""
    for uuid, fine in (("53fefa32-fcbb-1ff8-8a92-55ee120877b7", True), ("53fefa32-fcbb-1ff8", False)):
        resource = {"resourceType": "Patient", "extension": [{"url": "http://a", "valueUuid": f"urn:uuid:{uuid}"}]}
        if fine:
            assert of(resource).type == "Patient"
        else:
            assert refused(resource)[0][1] == "Patient.extension[0].value"


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "MedicinalProduct", "name": [{"productName": "x"}]},
        {"resourceType": "Evidence", "status": "active", "exposureBackground": {"reference": "EvidenceVariable/1"}},
    ],
    ids=["not-in-r4b", "another-shape-in-r4b"],
)
def test_types_that_the_models_do_not_know_are_checked_as_json(resource: dict[str, Any]) -> None:
    assert of(resource).type == resource["resourceType"]
    assert refused(resource | {"thing": [[1]], "other": None}) == [
        (
            "structure",
            f"{resource['resourceType']}.thing[0]",
            "thing is an array within an array, which FHIR does not have.",
        ),
        ("structure", f"{resource['resourceType']}.other", "other is null: leave it out."),
    ]


def test_a_resource_of_another_type_than_the_url_says_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        draft(b'{"resourceType":"Patient"}', FhirVersion.R4, max_nesting=64, type_="Observation")
    assert caught.value.issues[0].expression == "Observation.resourceType"


def test_a_refusal_stops_counting_somewhere() -> None:
    many = {f"unknown{n}": 1 for n in range(100)}
    assert len(refused({"resourceType": "Patient"} | many)) == MOST_ISSUES


def test_references_are_found_by_their_type_and_nowhere_else() -> None:
    """An identifier's value, a text, a code or a canonical may look like a reference: it isn't one."""
    urn = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{urn}">x</a></div>',
        },
        "code": {"text": urn},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": urn}],
        "subject": {"reference": urn},
        "hasMember": [{"reference": "Observation/1"}, {"reference": urn}],
        "extension": [{"url": "http://a", "valueUri": urn}, {"url": "http://a", "valueCanonical": urn}],
        "meta": {"profile": [urn]},
        "contained": [
            {
                "resourceType": "Encounter",
                "id": "e",
                "status": "finished",
                "class": {"code": "x"},
                "subject": {"reference": urn},
            }
        ],
        "valueString": urn,
    }
    pointing = {link.expression("Observation"): link.holder for link in links(of(observation)) if link.target == urn}
    assert pointing == {
        "Observation.text.div": Holder.NARRATIVE,
        "Observation.subject.reference": Holder.REFERENCE,
        "Observation.hasMember[1].reference": Holder.REFERENCE,
        "Observation.extension[0].valueUri": Holder.URI,
        "Observation.contained[0].subject.reference": Holder.REFERENCE,
    }


def test_a_canonical_in_an_extension_of_a_type_without_a_model_is_no_link() -> None:
    product = {
        "resourceType": "MedicinalProduct",
        "name": [
            {"productName": "x", "extension": [{"url": "http://a", "valueCanonical": "u"}]},
            {"productName": "x", "extension": [{"url": "http://a", "valueUri": "u"}]},
        ],
    }
    assert [link.expression("") for link in links(of(product)) if link.target == "u"] == [
        ".name[1].extension[0].valueUri"
    ]


@pytest.mark.parametrize(
    ("div", "found"),
    [
        pytest.param('<a href="u">x</a>', ["u"], id="a"),
        pytest.param("<img src='u'/>", ["u"], id="img-with-single-quotes"),
        pytest.param('<p><a\n class="c"\thref = "u" >x</a><img alt="y" src="v" /></p>', ["u", "v"], id="among-others"),
        pytest.param('<a href="u">x</a><a href="u">y</a>', ["u"], id="once-for-several"),
        pytest.param("<a title=\" href='u' \">x</a>", [], id="within-another-attribute"),
        pytest.param('<a title="1 > 0" href="u">x</a>', ["u"], id="behind-a-bracket"),
        pytest.param('a href="u" <i>src="u"</i>', [], id="text"),
        pytest.param('<!-- <a href="u"> --><a href="v">x</a>', ["v"], id="comment"),
        pytest.param('<!-- <a href="u">', [], id="comment-without-end"),
        pytest.param('<![CDATA[<a href="u">]]>', [], id="cdata"),
        pytest.param(
            '<a src="u" /><img href="u"/><area href="u"/><abbr href="u"/>', [], id="other-tags-and-attributes"
        ),
        pytest.param('<a data-href="u" xml:href="u">x</a>', [], id="other-names"),
        pytest.param('<a href="u', [], id="cut-off"),
    ],
)
def test_links_of_a_narrative_are_the_targets_of_a_and_img(div: str, found: list[str]) -> None:
    patient = {"resourceType": "Patient", "text": {"status": "generated", "div": f"<div>{div}</div>"}}
    assert [link.target for link in links(of(patient)) if link.holder is Holder.NARRATIVE] == found


def test_the_entries_of_a_bundle_that_is_stored_as_one_resource_are_left_alone() -> None:
    inner = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "urn:uuid:1"},
    }
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:uuid:1", "resource": inner}]}
    assert [link.target for link in links(of(bundle)) if link.target.startswith("urn:")] == []


def test_replacing_a_reference_leaves_every_other_byte() -> None:
    body = (
        b'{"resourceType":"Observation","status":"final","code":{"text":"\\u0041  b"},'
        b'"valueQuantity":{"value":1.10},"subject":{"reference":"urn:uuid:1","display":"\\u00e9"}}'
    )
    found = read(body)
    target = {link: "Patient/1" for link in links(found) if link.target == "urn:uuid:1"}
    head, tail = replaced(found, target).numbered("x", AT)
    expected = body.replace(b'"urn:uuid:1"', b'"Patient/1"').replace(
        b'"Observation",', b'"Observation","id":"x","meta":{"versionId":"1","lastUpdated":"2023-11-14T22:13:20.123Z"},'
    )
    assert head + b"1" + tail == expected


def test_replacing_links_of_a_narrative_leaves_every_other_byte() -> None:
    """However the JSON is escaped, and wherever else the same URL stands."""
    body = (
        b'{"resourceType":"Composition","status":"final","type":{"text":"x"},"date":"2026","title":"x",'
        b'"author":[{"reference":"urn:uuid:1"}],"section":[{"text":{"status":"generated","div":'
        b'"<div title=\\"urn:uuid:1\\">\\u00e9\\ud83d\\ude00\\/ \xf0\x9f\x98\x80 urn:uuid:1 '
        b"<!-- <a href='urn:uuid:1'/> --><a href=\\u0022urn:\\u0075uid:1\\\" title='urn:uuid:1'>"
        b"urn:uuid:1<\\/a><img src='urn:uuid:2'/><a href='urn:uuid:1'>x</a></div>\"}}]}"
    )
    found = read(body)
    targets = {"urn:uuid:1": "http://hub/Patient/1", "urn:uuid:2": "http://hub/Binary/2"}
    changed = replaced(found, {link: targets[link.target] for link in links(found) if link.holder is Holder.NARRATIVE})
    expected = (
        body.replace(b'href=\\u0022urn:\\u0075uid:1\\"', b'href=\\u0022http://hub/Patient/1\\"')
        .replace(b"src='urn:uuid:2'", b"src='http://hub/Binary/2'")
        .replace(b"<a href='urn:uuid:1'>x", b"<a href='http://hub/Patient/1'>x")
        .replace(
            b'"Composition",',
            b'"Composition","id":"x","meta":{"versionId":"1","lastUpdated":"2023-11-14T22:13:20.123Z"},',
        )
    )
    head, tail = changed.numbered("x", AT)
    assert head + b"1" + tail == expected


def test_a_narrative_that_goes_wrong_on_purpose_is_searched_in_no_time() -> None:
    """A megabyte of beginnings: what looks for links goes over it once or twice, not once from each."""
    for beginning in ("<!--", "<![CDATA[", "<a ", "<a href='", "<a href=", "<a x='1' ", "<a" + " " * 1000):
        div = beginning * (1_000_000 // len(beginning))
        patient = {"resourceType": "Patient", "text": {"status": "generated", "div": f"<div>{div}</div>"}}
        assert not [link for link in links(of(patient)) if link.holder is Holder.NARRATIVE]
