"""
Whatever is asked of a hub, it answers as `/openapi.json` says: Schemathesis makes requests of that document.

FUZZ_CASES: Requests for each interaction, and if they are many a quarter of it for a hub with keys, and for one with
tokens whose client may little. FUZZ_SEED: Another one makes others.
"""

import os
import re
from pathlib import Path
from time import time
from typing import Any

import pytest
import requests
import schemathesis
from anyio import to_thread
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from hub.api.documented import FORM
from hub.api.negotiation import FHIR_JSON
from hub.patch import JSON_PATCH
from subscriptions.codes import FhirVersion
from tests.fuzz.bodies import JSON_PATCHES, broken, resources
from tests.issuer import TokenIssuer
from tests.operator import done
from tests.processes import HubProcess

CASES = int(os.environ.get("FUZZ_CASES", "2"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))

#: Beside "no 5xx": https://schemathesis.readthedocs.io/en/stable/reference/checks/
CHECKED = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)

TYPES = ("Patient", "Immunization", "Observation", "Basic", "ValueSet", "Group", "Bundle", "Spaceship")

IDS = ("a", "example", "immunization-change", "b.1-2", "a" * 64, "-", "%00", "\U0001f600")

#: What stands in URLs and forms; of a Subscription's operations too.
QUERIES: tuple[dict[str, Any], ...] = (
    {"identifier": "http://example.org/|1"},
    {"_id": "a,example", "_count": "2", "_summary": "text"},
    {"_lastUpdated": "ge2026-11-21", "_elements": "status,id", "_total": "accurate"},
    {"code": "http://loinc.org|1-8", "date": ["gt2020", "lt2030-02-31"], "patient": "Patient/example"},
    {"name:exact": "\u0000", "birthdate": "2026-02-30T25", "value-quantity": "1e400||kg", "_text": "a"},
    {"_has:Observation:patient:code": "a", "_sort": "-date", "_include": "*", "_format": "xml", "_pretty": "maybe"},
    {"_since": "2026-11-21T09:59:59.123Z", "_count": "0", "_cursor": "\U0001f600"},
    {"_count": "999999999999999999999999", "_cursor": "0"},
    {"eventsSinceNumber": "1", "eventsUntilNumber": "0", "content": "id-only"},
    {"eventsSinceNumber": "99999999999999999999", "content": "all"},
    {"id": ["a", "b", "a"], "status": "active", "url": "http://127.0.0.1:9/", "criteria": "https://"},
    {"eventsSinceInstant": "2026-11-21T09:59:59+99:00", "eventsUntilInstant": "now"},
    {"reference": "Patient/a/_history/1", "mode": "delete", "profile": "http://example.org/none"},
    {"async": "false", "parameters": "", "": "a", "%": "%zz"},
)

#: The same of headers.
HEADERS: tuple[dict[str, str], ...] = (
    {"Prefer": "return=minimal", "If-Match": 'W/"1"'},
    {"Prefer": "return=OperationOutcome, handling=strict", "Idempotency-Key": "a"},
    {"Prefer": "return=", "If-Match": "*", "If-None-Match": 'W/"1", W/"2"'},
    {"If-None-Match": "*", "Event": "http://terminology.hl7.org/CodeSystem/v2-0003|A01"},
    {"If-None-Exist": "identifier=a|b&_count=1", "If-Modified-Since": "Sat, 21 Nov 2026 09:59:59 GMT"},
    {"If-None-Exist": "Patient?name=%ff", "If-Modified-Since": "Sat, 99 Nov 0000 09:59:59 GMT", "Event": "|,|"},
    {"Accept": "application/fhir+xml", "Idempotency-Key": "a b"},
    {"Accept": "application/json;q=0, */*;fhirVersion=9.9", "Accept-Encoding": "gzip"},
    {"Content-Encoding": "gzip", "Range": "bytes=0-1,5-", "Prefer": "respond-async"},
)


#: Of whoever may do everything.
SCOPES = "system/*.cruds system/AuditEvent.rs hub/admin"
#: Of whoever may do some of it, is told ids alone, and is cleared for what has no label.
LITTLE = (
    "system/Immunization.cruds system/Patient.rs system/Group.r system/Subscription.cruds system/SubscriptionTopic.r"
)
#: Beyond that clearance.
LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}


@pytest.mark.timeout(120 + 60 * CASES)
@pytest.mark.parametrize("auth", ["none", *(["keys"] if CASES > 3 else [])])
async def test_no_answer_is_a_failure_or_unlike_what_the_document_says(data: Path, auth: str) -> None:
    """No 5xx but a 503 that declines; status, media type, headers and body as documented, also of refusals."""
    cases, key = CASES, ""
    if auth == "keys":
        cases = CASES // 4
        await done(data, "clients", "set", "fuzz", "--scopes", SCOPES, "--content", "full-resource")
        key = (await done(data, "keys", "create", "fuzz")).strip()
    async with HubProcess(data, {"HUB_AUTH": auth}) as hub:
        await _asked(hub, cases, key, key)


@pytest.mark.timeout(120 + 60 * CASES)
async def test_nor_is_one_to_a_token_of_whoever_may_little(data: Path) -> None:
    """What it asks for is there, written by another client, and some of it beyond its scopes or its clearance."""
    await done(data, "clients", "set", "filler", "--scopes", SCOPES, "--clearance", "V *")
    await done(data, "clients", "set", "fuzz", "--scopes", LITTLE)
    async with TokenIssuer() as issuer:
        settings = {"HUB_AUTH": "smart", "HUB_SMART_ISSUER": issuer.url}
        async with HubProcess(data, settings) as hub:
            carried, filling = (
                issuer.token(client_id=name, aud=hub.base, scope=SCOPES, exp=int(time()) + 86_400)
                for name in ("fuzz", "filler")
            )
            asked = await _asked(hub, max(CASES // 4, 1), carried, filling)
            assert {200, 403, 404} <= asked.keys()
            assert 401 not in asked


async def _asked(hub: HubProcess, cases: int, carried: str, filling: str) -> dict[int, int]:
    """As `_ask` does, of a hub in which nothing has failed."""
    print(f"FUZZ_CASES={CASES} FUZZ_SEED={SEED}")
    asked = await to_thread.run_sync(_ask, hub.url, cases, carried, filling)
    auth = hub.settings["HUB_AUTH"]
    print(f"{auth}: {sum(asked.values())} requests: {dict(sorted(asked.items()))}")
    assert not [line for line in hub.output if "request.failed" in line]
    return asked


def _ask(url: str, most: int, carried: str, filling: str) -> dict[int, int]:
    """
    Make requests for each interaction; how many got which status.

    carried, filling: The keys or tokens that they carry, and that those do which write what is there; empty for none.
    """
    load_all_checks()
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    # Who says nothing of himself gets 401 everywhere: it would be most of what is asked.
    schema.config.generation.update(with_security_parameters=False)
    checks = [CHECKS.get_one(name) for name in CHECKED]
    asked: dict[int, int] = {}
    failures: list[Exception] = []
    with requests.Session() as session:
        session.headers.update(_bearing(filling))
        _fill(url, session)
        session.headers.clear()
        # What deletes comes last: there is more to be asked of what is there.
        for operation in sorted(map(_sound, schema.get_all_operations()), key=lambda each: each.method == "delete"):

            @seed(SEED)
            @settings(
                max_examples=most,
                database=None,
                deadline=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )
            @given(cases(operation))
            def ask(case: Any) -> None:
                if case.path == "/admin/live":  # it goes on for as long as that
                    case.query = {**(case.query or {}), "seconds": "1"}
                answer = case.call(session=session, headers=_bearing(carried), timeout=30)
                asked[answer.status_code] = asked.get(answer.status_code, 0) + 1
                assert answer.status_code < 500 or "Retry-After" in answer.headers, case.as_curl_command()
                minimal = "return=minimal" in str(case.headers) and answer.status_code in (200, 201)
                case.validate_response(answer, checks=[checks[0]] if minimal and not answer.content else checks)

            try:
                ask()
            except* Exception as group:
                failures += group.exceptions
    for failure in failures:
        print(failure)
    assert not failures, f"{len(failures)} of what was asked: see above"
    return asked


def _sound(found: Any) -> Any:
    assert isinstance(found, Ok), found
    return found.ok()


def _bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _fill(url: str, session: requests.Session) -> None:
    """Have something there to be read and changed, some of it confidential."""
    for version in FhirVersion:
        for one in resources(version):
            if (type_ := one["resourceType"]) in (*TYPES, "Subscription"):
                hidden = [("example", {"meta": {"security": [LABEL]}})] if type_ != "Subscription" else []
                for id_, more in (("a", {}), *hidden):
                    answer = session.put(
                        f"{url}/fhir/{version}/{type_}/{id_}", json=one | more | {"id": id_}, timeout=30
                    )
                    assert answer.status_code in (200, 201), (type_, answer.text[:300])


@st.composite
def cases(draw: st.DrawFn, operation: Any) -> Any:
    """A request: as the document alone suggests one, or with ids, types, queries and bodies that come further."""
    case = draw(st.one_of([operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode]))
    version = next((each for each in FhirVersion if f"/fhir/{each}/" in f"{operation.path}/"), None)
    if version is None or not draw(st.integers(0, 3)):
        return case
    plain = draw(st.booleans())
    named = re.search(r"/(Subscription(?:Topic)?)\b", operation.path)
    type_ = named[1] if named else draw(st.sampled_from(TYPES[:-1] if plain else TYPES))
    ids = st.just("a") if plain else st.sampled_from(IDS)
    placed = {"type": st.just(type_), "id": ids, "number": st.sampled_from("10234")}
    case.path_parameters = {name: draw(placed.get(name, st.just(was))) for name, was in case.path_parameters.items()}
    case.query = {} if plain else draw(st.sampled_from(QUERIES))
    case.headers = {} if plain else draw(st.sampled_from(HEADERS))
    if operation.body:
        case.media_type, case.body = draw(bodies(case, version, type_, plain=plain))
        case.headers = {**case.headers, "Content-Type": case.media_type}
    return case


@st.composite
def bodies(draw: st.DrawFn, case: Any, version: FhirVersion, type_: str, *, plain: bool) -> tuple[str, Any]:
    """Media type and body: what the interaction is for, or something else."""
    path = case.operation.path
    if path.endswith("_search"):
        return FORM, draw(st.sampled_from(QUERIES))
    if case.method == "PATCH" and draw(st.booleans()):
        return JSON_PATCH, draw(st.sampled_from(JSON_PATCHES))
    meant = "Parameters" if case.method == "PATCH" or "/$" in path else type_
    if path in (f"/fhir/{version}", f"/fhir/{version}/$process-message"):
        meant = "Bundle"
    body = draw(broken(version, meant if plain else draw(st.sampled_from((meant, type_, ""))), most=1 if plain else 3))
    if plain and "id" in case.path_parameters and body.get("resourceType") == type_:
        body["id"] = case.path_parameters["id"]
    return FHIR_JSON, body
