"""What a Consent keeps from whom."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.clearance import ACT_CODE
from subscriptions.codes import FhirVersion
from subscriptions.consent import Unattributed, consent
from subscriptions.labels import CONFIDENTIALITY, labels
from subscriptions.told import Recipient, Told

BASE = "https://hub.example/fhir/r4"
BASES = frozenset({BASE})
R4, R5 = FhirVersion.R4, FhirVersion.R5
LAB = Recipient("lab", frozenset({"lab"}), frozenset({"ward", "ward-oauth"}))
WARD = Recipient("ward", frozenset({"ward", "ward-oauth"}), frozenset({"lab"}))
TYPES = "http://hl7.org/fhir/resource-types"
TYPES_OF_R5 = "http://hl7.org/fhir/fhir-types"
FIXTURES = Path(__file__).parents[2] / "fixtures"


def told(
    *versions: dict[str, Any], patient: str = "Patient/1", type_: str = "Observation", at: str = "2026-06-01"
) -> Told:
    found = versions or ({"resourceType": type_, "id": "o", "subject": {"reference": patient}},)
    time = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return Told(found[0]["resourceType"], "o", found, tuple(map(labels, found)), BASES, time)


def labelled(*found: tuple[str, str]) -> dict[str, Any]:
    security = [{"system": system, "code": code} for system, code in found]
    subject = {"reference": "Patient/1"}
    return {"resourceType": "Observation", "id": "o", "meta": {"security": security}, "subject": subject}


def r4(status: Any = "active", patient: Any = "Patient/1", policy: Any = "", **root: Any) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "id": "c",
        "status": status,
        "patient": {"reference": patient},
        **({"policyRule": {"coding": [{"code": policy}]}} if policy else {}),
        "provision": root,
    }


def r5(decision: str, *provisions: dict[str, Any], **more: Any) -> dict[str, Any]:
    about = {"subject": {"reference": "Patient/1"}, "status": "active", "decision": decision}
    return {"resourceType": "Consent", "id": "c", **about, "provision": list(provisions), **more}


def actor(**reference: Any) -> dict[str, Any]:
    return {"role": {"text": "recipient"}, "reference": reference}


def data(*references: str) -> list[dict[str, Any]]:
    return [{"meaning": "instance", "reference": {"reference": each}} for each in references]


def denies(resource: dict[str, Any], about: Told | None = None, to: Recipient = LAB, version: FhirVersion = R4) -> bool:
    found = consent(resource, version, BASES)
    return found is not None and found.denies(about or told(), to)


DENY = r4(type="deny")
GONE = Told("Patient", "o", (), (), BASES, datetime(2026, 6, 1, tzinfo=UTC))
WITH_CONDITION = labelled() | {"contained": [{"resourceType": "Condition", "id": "c"}]}


@pytest.mark.parametrize(
    ("resource", "about", "denied"),
    [
        pytest.param(DENY, told(), True, id="deny"),
        pytest.param(r4(type="permit"), told(), False, id="permit"),
        pytest.param(r4(), told(), False, id="says-nothing"),
        pytest.param(r4(policy="OPTOUT"), told(), True, id="opted-out"),
        pytest.param(r4(policy="OPTIN"), told(), False, id="opted-in"),
        pytest.param(r4(policy="OPTOUTE"), told(), True, id="opted-out-with-exceptions"),
        *(
            pytest.param(r4(status, type="deny"), told(), False, id=status)
            for status in ("draft", "proposed", "rejected", "inactive", "entered-in-error")
        ),
        pytest.param(DENY, told(patient="Patient/2"), False, id="another-patient"),
        pytest.param(DENY, told(patient=f"{BASE}/Patient/1/_history/3"), True, id="absolute-and-of-a-version"),
        pytest.param(DENY, told(patient="https://elsewhere.example/Patient/1"), False, id="elsewhere"),
        pytest.param(DENY, told({"resourceType": "Patient", "id": "o"}), False, id="a-patient-of-another-id"),
        pytest.param(
            r4(type="deny", patient="Patient/o"), told({"resourceType": "Patient", "id": "o"}), True, id="the-patient"
        ),
        pytest.param(
            DENY,
            told({"resourceType": "Bundle", "entry": [{"resource": {"subject": {"reference": "Patient/1"}}}]}),
            True,
            id="within-a-bundle",
        ),
        pytest.param(
            DENY,
            told({"resourceType": "Observation"}, {"resourceType": "Observation", "x": {"reference": "Patient/1"}}),
            True,
            id="the-version-before",
        ),
        pytest.param(
            r4(type="deny", period={"start": "2026-01", "end": "2026-06-01"}), told(), True, id="the-last-day"
        ),
        pytest.param(r4(type="deny", period={"end": "2026-05"}), told(), False, id="not-any-more"),
        pytest.param(r4(type="deny", period={"start": "2026-07"}), told(), False, id="not-yet"),
        pytest.param(r4(type="deny", period={"start": "soon"}), told(), True, id="period-that-cannot-be-read"),
        pytest.param(
            r4(type="deny", **{"class": [{"system": TYPES, "code": "Observation"}]}), told(), True, id="class"
        ),
        pytest.param(
            r4(type="deny", **{"class": [{"system": TYPES, "code": "Condition"}]}), told(), False, id="another-class"
        ),
        pytest.param(
            r4(type="deny", **{"class": [{"system": "urn:x", "code": "Condition"}]}), told(), True, id="unknown-class"
        ),
        pytest.param(
            r4(type="deny", **{"class": [{"system": TYPES, "code": "Resource"}]}), told(), True, id="an-abstract-class"
        ),
        pytest.param(r4(type="deny", purpose=[{"code": "HMARKT"}]), told(), True, id="a-purpose-narrows-nothing"),
        pytest.param(
            r4(type="deny", data=data("Observation/o")),
            told(),
            True,
            id="data",
        ),
        pytest.param(
            r4(type="deny", data=data("Observation/p")),
            told(),
            False,
            id="other-data",
        ),
        pytest.param(
            r4(type="deny", data=[{"meaning": "related", "reference": {"reference": "Observation/p"}}]),
            told(),
            True,
            id="related-data-is-not-known",
        ),
        pytest.param(
            r4(type="deny", securityLabel=[{"system": ACT_CODE, "code": "PSY"}]),
            told(labelled((ACT_CODE, "PSY"))),
            True,
            id="label",
        ),
        pytest.param(
            r4(type="deny", securityLabel=[{"system": ACT_CODE, "code": "PSY"}]), told(), False, id="no-label"
        ),
        pytest.param(
            r4(type="deny", securityLabel=[{"system": CONFIDENTIALITY, "code": "R"}]), told(), True, id="high-water"
        ),
        pytest.param(
            r4(type="deny", securityLabel=[{"system": CONFIDENTIALITY, "code": "R"}]),
            told(labelled((CONFIDENTIALITY, "V"))),
            False,
            id="above-high-water",
        ),
        pytest.param(
            {**DENY, "scope": {"coding": [{"code": "treatment"}]}}, told(), False, id="about-what-is-done-to-him"
        ),
        pytest.param({**DENY, "scope": {"coding": [{"code": "adr"}]}}, told(), False, id="about-what-is-to-be-done"),
        pytest.param(
            {**DENY, "scope": {"coding": [{"code": "patient-privacy"}]}}, told(), True, id="about-what-is-told-of-him"
        ),
        pytest.param(
            r4(type="deny", **{"class": [{"system": TYPES, "code": "Condition"}]}),
            told(WITH_CONDITION),
            True,
            id="within",
        ),
        pytest.param(
            r4(type="deny", data=[*data("Observation/p"), {**data("Task/1")[0], "meaning": "related"}]),
            told(),
            True,
            id="other-data-and-what-is-related",
        ),
        pytest.param(
            r4(type="deny", securityLabel=[{"system": ACT_CODE, "code": "SPI"}]),
            told(labelled((ACT_CODE, "PSY"))),
            True,
            id="a-label-that-may-be-below-it",
        ),
        pytest.param(r4(type="permit", provision=[{"type": "deny"}]), told(), True, id="deny-within-a-permit"),
        pytest.param(
            r4(type="permit", period={"end": "2025"}, provision=[{"type": "deny"}]), told(), False, id="which-is-over"
        ),
        pytest.param(r4(type="deny", provision=[{"type": "permit"}]), told(), False, id="permit-within-a-deny"),
        pytest.param(
            r4(type="deny", provision=[{"type": "permit", "action": [{"text": "x"}]}]), told(), True, id="vague-permit"
        ),
        pytest.param(
            r4(
                type="deny",
                provision=[{"type": "permit", "provision": [{"type": "deny", "purpose": [{"code": "x"}]}]}],
            ),
            told(),
            True,
            id="deny-within-a-permit-within-a-deny",
        ),
        pytest.param(r4(policy="OPTOUT", type="permit"), told(), False, id="opted-out-but-for-this"),
        pytest.param(
            r4(policy="OPTOUT", type="permit", **{"class": [{"system": TYPES, "code": "Condition"}]}),
            told(),
            True,
            id="opted-out-but-for-something-else",
        ),
    ],
)
def test_r4(resource: dict[str, Any], about: Told, denied: bool) -> None:
    assert denies(resource, about) is denied


@pytest.mark.parametrize(
    ("resource", "denied"),
    [
        pytest.param(r5("deny"), True, id="deny"),
        pytest.param(r5("permit"), False, id="permit"),
        pytest.param(r5("permit", {}), True, id="an-exception-to-a-permit"),
        pytest.param(r5("deny", {}), False, id="an-exception-to-a-deny"),
        pytest.param(r5("deny", {"purpose": [{"code": "x"}]}), True, id="a-vague-exception"),
        pytest.param(r5("permit", {"resourceType": [{"system": TYPES, "code": "Patient"}]}), False, id="another-type"),
        pytest.param(r5("deny", {"provision": [{}]}), True, id="an-exception-to-an-exception"),
        pytest.param(
            r5("permit", {"resourceType": [{"system": TYPES_OF_R5, "code": "Patient"}]}), False, id="by-r5s-code"
        ),
        pytest.param(
            r5("deny", {"resourceType": [{"system": TYPES_OF_R5, "code": "Observation"}]}), False, id="its-type"
        ),
        pytest.param(r5("deny", period={"end": "2020"}), False, id="over"),
        pytest.param(r5("permit", {}, period={"end": "2020"}), False, id="over-with-its-exceptions"),
        pytest.param(
            r5("permit", {"period": {"end": "2030"}}, period={"end": "2020"}), True, id="over-but-for-an-exception"
        ),
    ],
)
def test_r5(resource: dict[str, Any], denied: bool) -> None:
    """A provision is the opposite of the one that it is in."""
    assert denies(resource, version=R5) is denied


@pytest.mark.parametrize(
    ("who", "lab", "ward"),
    [
        pytest.param(actor(reference="Organization/lab"), True, False, id="id"),
        pytest.param(actor(identifier={"value": "ward-oauth"}), False, True, id="identifier"),
        pytest.param(actor(display="lab"), True, False, id="display"),
        pytest.param(actor(reference="Organization/f001"), True, True, id="somebody-unknown-may-be-either"),
        pytest.param({"role": {"text": "nobody"}}, True, True, id="no-reference"),
    ],
)
def test_actors(who: dict[str, Any], lab: bool, ward: bool) -> None:
    """A deny is for whoever may be meant, a permit for whoever surely is."""
    resource = r4(type="deny", actor=[who])
    assert (denies(resource), denies(resource, to=WARD)) == (lab, ward)
    known = lab is not ward
    permitted = r4(type="deny", provision=[{"type": "permit", "actor": [who]}])
    assert denies(permitted) is not (lab and known)
    assert denies(permitted, to=WARD) is not (ward and known)


@pytest.mark.parametrize(
    ("permit", "found", "denied"),
    [
        pytest.param((CONFIDENTIALITY, "R"), [], False, id="normal-is-less-than-restricted"),
        pytest.param((CONFIDENTIALITY, "R"), [(CONFIDENTIALITY, "R")], False, id="as-high"),
        pytest.param((CONFIDENTIALITY, "R"), [(CONFIDENTIALITY, "V")], True, id="higher"),
        pytest.param((CONFIDENTIALITY, "R"), [(CONFIDENTIALITY, "X")], True, id="of-no-known-rank"),
        pytest.param((CONFIDENTIALITY, "R"), [(CONFIDENTIALITY, "R"), (CONFIDENTIALITY, "V")], True, id="both"),
        pytest.param((CONFIDENTIALITY, "R"), [("", "V")], True, id="without-a-system"),
        pytest.param((CONFIDENTIALITY, "R"), [("", "L")], True, id="which-may-be-another-one"),
        pytest.param((CONFIDENTIALITY, "R"), [("", "")], True, id="that-nobody-can-read"),
        pytest.param((ACT_CODE, "PSY"), [(ACT_CODE, "PSY")], False, id="sensitive"),
        pytest.param((ACT_CODE, "PSY"), [(ACT_CODE, "HIV")], True, id="otherwise-sensitive"),
    ],
)
def test_a_permit_by_label(permit: tuple[str, str], found: list[tuple[str, str]], denied: bool) -> None:
    """It is for what surely has that label, or is surely no more confidential, in each version that is told of."""
    system, code = permit
    resource = r4(type="deny", provision=[{"type": "permit", "securityLabel": [{"system": system, "code": code}]}])
    about = labelled(*found)
    assert denies(resource, told(about)) is denied
    assert denies(resource, told(about, labelled((CONFIDENTIALITY, "V")))) is True


@pytest.mark.parametrize(
    ("permit", "denied"),
    [
        pytest.param({"class": [{"system": TYPES, "code": "Observation"}]}, True, id="not-what-is-within"),
        pytest.param(
            {"class": [{"system": TYPES, "code": code} for code in ("Observation", "Condition")]}, False, id="all-of-it"
        ),
        pytest.param({"data": data("Observation/o")}, False, id="itself"),
        pytest.param({"class": [{"system": "urn:x", "code": "Observation"}]}, True, id="unknown-class"),
        pytest.param(
            {"class": [{"system": TYPES, "code": code} for code in ("Observation", "Condition", "Resource")]},
            True,
            id="and-an-abstract-class",
        ),
        pytest.param({"data": [{**data("Observation/o")[0], "meaning": "related"}]}, True, id="related-data"),
        pytest.param({"data": data("Patient/1")}, True, id="what-it-refers-to"),
        pytest.param({"data": data("Observation/p", "Observation/o", "Observation/o")}, False, id="one-of-several"),
        pytest.param({"period": {"start": "2026"}}, False, id="begun"),
        pytest.param({"period": {"end": "2025"}}, True, id="over"),
        pytest.param({"period": {"start": "soon"}}, True, id="period-that-cannot-be-read"),
        pytest.param({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, True, id="modified"),
    ],
)
def test_a_permit(permit: dict[str, Any], denied: bool) -> None:
    """It takes out of a deny only what it surely is about, with all that is in it."""
    assert denies(r4(type="deny", provision=[{"type": "permit", **permit}]), told(WITH_CONDITION)) is denied


@pytest.mark.parametrize(
    "narrowed",
    [{"class": [{"system": TYPES, "code": "Patient"}]}, {"securityLabel": [{"system": ACT_CODE, "code": "PSY"}]}],
)
def test_a_patient_of_whom_no_version_is_kept(narrowed: dict[str, Any]) -> None:
    """Its type is known, and its labels may be any."""
    assert denies(r4(type="deny", patient="Patient/o", **narrowed), GONE)
    permit = {"type": "permit", "securityLabel": [{"system": CONFIDENTIALITY, "code": "V"}]}
    assert denies(r4(type="deny", patient="Patient/o", provision=[permit]), GONE)


@pytest.mark.parametrize("about", [None, {"display": "somebody"}, {"identifier": {"value": "1"}}])
def test_no_patient(about: Any) -> None:
    """A deny about nobody that can be found is an error, and not everybody's."""
    with pytest.raises(Unattributed, match="Consent/c denies something"):
        consent({**DENY, "patient": about}, R4, BASES)
    assert consent({**r4(type="permit"), "patient": about}, R4, BASES) is None


@pytest.mark.parametrize(
    ("path", "denied"),
    [
        ("r4b/Consent-consent-example-Out", True),
        ("r4b/Consent-consent-example-notOrg", True),
        ("r4b/Consent-consent-example-Emergency", True),
        ("r4b/Consent-consent-example-smartonfhir", False),
        ("r5/Consent-consent-example-notOrg", True),
        ("r5/Consent-consent-example-notTime", False),
    ],
)
def test_examples(path: str, denied: bool) -> None:
    """HL7's own: the names say what they are about."""
    resource = json.loads((FIXTURES / f"{path}.json").read_text())
    version = FhirVersion(path.partition("/")[0])
    about = resource.get("patient") or resource["subject"]
    assert denies(resource, told(patient=about["reference"]), version=version) is denied


CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "period": st.sampled_from([{"start": "2026"}, {"end": "2025"}, {"start": "?"}]),
        "class": st.sampled_from([[{"system": TYPES, "code": code}] for code in ("Observation", "Patient")]),
        "actor": st.sampled_from([[actor(display=name)] for name in ("lab", "ward", "nobody")]),
        "action": st.just([{"text": "x"}]),
        "securityLabel": st.sampled_from([[{"system": CONFIDENTIALITY, "code": code}] for code in "LNR"]),
    },
)


@given(CONDITIONS, CONDITIONS)
def test_more_denials_never_tell_more(root: dict[str, Any], nested: dict[str, Any]) -> None:
    """A deny that is added, or a condition that is taken from one, tells nobody what was kept from him."""
    deny, permit = {"type": "deny", **root}, {"type": "permit", **nested}
    if denies(r4(**deny, provision=[permit])):
        assert denies(r4(**deny))
        assert denies(r4(type="deny", provision=[permit]))
        assert denies(r4(**deny, provision=[{**permit, "provision": [{"type": "deny"}]}]))
