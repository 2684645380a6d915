"""Batches and transactions at the base: what a Bundle asks for, what it is answered, and that it is all or nothing."""

from typing import Any

import pytest

from tests.hub.api.bundles import NHI, ask, bundle, done, located, observation, post, put, status, transaction
from tests.hub.api.server import FHIR, Hub, issue, patient

ONE = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
TWO = "urn:uuid:c757873d-ec9a-4326-a141-556f43239521"


async def test_a_transaction_does_every_verb_and_answers_in_the_clients_order(hub: Hub) -> None:
    await hub.put("/Patient/gone", patient("gone"))
    await hub.put("/Patient/old", patient("old"))
    entries = await done(
        hub,
        transaction(
            ask("GET", "Patient/new"),
            put(patient("new")),
            put(patient("old"), ifMatch='W/"1"'),
            post(observation()),
            ask("DELETE", "Patient/gone"),
            ask("DELETE", "Patient/never"),
            ask("GET", "Patient?_id=old,gone"),
        ),
    )
    assert status(entries) == [200, 201, 200, 201, 204, 204, 200]
    assert entries[0]["resource"]["id"] == "new"
    assert entries[2]["response"]["etag"] == 'W/"2"'
    assert entries[3]["response"]["location"].startswith(f"{FHIR}/Observation/")
    assert "resource" not in entries[3]
    assert entries[4]["response"]["etag"] == 'W/"2"'
    assert [found["resource"]["id"] for found in entries[6]["resource"]["entry"]] == ["old"]
    assert (await hub.get("/Patient/gone")).status_code == 410
    assert len(await hub.changes()) == 6


async def test_references_to_other_entries_become_references_to_what_they_become(hub: Hub) -> None:
    """`urn:uuid:` in references and URIs, back and forth and to itself; not in strings that only look alike."""
    told = observation(
        subject={"reference": ONE},
        hasMember=[{"reference": TWO}],
        identifier=[{"system": "urn:ietf:rfc:3986", "value": ONE}],
        extension=[{"url": "http://a", "valueUri": ONE}],
        valueString=ONE,
    )
    entries = await done(hub, transaction(post(told, TWO), post(patient(), ONE)))
    who, what = located(entries[1]), located(entries[0])
    stored = (await hub.get(f"/{what}")).json()
    assert stored["subject"] == {"reference": who}
    assert stored["hasMember"] == [{"reference": what}]
    assert stored["extension"][0]["valueUri"] == who
    assert stored["identifier"][0]["value"] == ONE
    assert stored["valueString"] == ONE


async def test_links_of_a_narrative_are_replaced_and_canonicals_are_not(hub: Hub) -> None:
    """In a narrative by absolute URLs, since it is shown where nothing says what they are relative to."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml" title="{ONE}"><a href="{ONE}">{ONE}</a><img src="{TWO}"/></div>'
    told = observation(
        text={"status": "generated", "div": div},
        meta={"profile": [ONE]},
        extension=[{"url": "http://a", "valueCanonical": ONE}, {"url": "http://a", "valueUrl": ONE}],
    )
    picture = {"resourceType": "Binary", "contentType": "image/png"}
    entries = await done(hub, transaction(post(told), post(patient(), ONE), post(picture, TWO)))
    stored = (await hub.get(f"/{located(entries[0])}")).json()
    who, what = located(entries[1]), located(entries[2])
    assert stored["text"]["div"] == div.replace(f'href="{ONE}"', f'href="{FHIR}/{who}"').replace(TWO, f"{FHIR}/{what}")
    assert stored["meta"]["profile"] == [ONE]
    assert [extension.get("valueUrl") or extension["valueCanonical"] for extension in stored["extension"]] == [ONE, who]


async def test_relative_links_within_a_foreign_bundle_stay_within_it(hub: Hub) -> None:
    told = observation(
        text={
            "status": "generated",
            "div": '<div xmlns="http://www.w3.org/1999/xhtml"><a href="Patient/1">x</a></div>',
        },
        extension=[{"url": "http://a", "valueUri": "Patient/1"}, {"url": "http://a", "valueUri": "Patient/2"}],
    )
    entries = await done(
        hub,
        transaction(
            post(patient(), "http://elsewhere/fhir/Patient/1"), post(told, "http://elsewhere/fhir/Observation/1")
        ),
    )
    stored = (await hub.get(f"/{located(entries[1])}")).json()
    assert f'href="{FHIR}/{located(entries[0])}"' in stored["text"]["div"]
    assert [extension["valueUri"] for extension in stored["extension"]] == [located(entries[0]), "Patient/2"]


async def test_a_reference_to_a_version_of_another_entry_becomes_one_to_the_version_that_it_makes(hub: Hub) -> None:
    """Whatever the number was: the client can't know it. What no entry is stays as it is."""
    await hub.put("/Patient/p", patient("p"))
    await hub.put("/Patient/gone", patient("gone"))
    await hub.delete("/Patient/gone")
    await hub.put("/Patient/found", patient("found", identifier=[NHI]))
    urls = [f"http://elsewhere/fhir/Patient/{n}" for n in range(4)]
    members = [{"reference": f"{url}/_history/7"} for url in (*urls, "http://elsewhere/fhir/Patient/none")]
    group = {"resourceType": "List", "status": "current", "mode": "working", "entry": [{"item": m} for m in members]}
    more = {
        "source": {"reference": "Patient/0/_history/9"},
        "extension": [{"url": "http://a", "valueUri": f"{urls[1]}/_history/9"}],
    }
    entries = await done(
        hub,
        transaction(
            post(group | more, "http://elsewhere/fhir/List/1"),
            post(patient(), urls[0]),
            put(patient("p")) | {"fullUrl": urls[1]},
            put(patient("gone")) | {"fullUrl": urls[2]},
            post(patient(identifier=[NHI]), urls[3], ifNoneExist="identifier=urn:nhi|1"),
        ),
    )
    stored = (await hub.get(f"/{located(entries[0])}")).json()
    versions = [entry["response"]["location"].removeprefix(f"{FHIR}/") for entry in entries[1:]]
    assert [version.rpartition("/")[2] for version in versions] == ["1", "2", "3", "1"]
    assert [entry["item"]["reference"] for entry in stored["entry"]] == [*versions, members[4]["reference"]]
    assert stored["source"]["reference"] == versions[0]
    assert stored["extension"][0]["valueUri"] == versions[1]


async def test_a_version_of_no_entry_is_refused_like_any_of_its_references(hub: Hub) -> None:
    answer = await hub.post("", transaction(post(observation(subject={"reference": f"{TWO}/_history/1"}))))
    assert (answer.status_code, issue(answer)["expression"]) == (400, ["Bundle.entry[0].resource.subject.reference"])


async def test_a_reference_to_a_put_entry_is_one_to_its_id(hub: Hub) -> None:
    entries = await done(
        hub, transaction(put(patient("p")) | {"fullUrl": ONE}, post(observation(subject={"reference": ONE})))
    )
    assert (await hub.get(f"/{located(entries[1])}")).json()["subject"] == {"reference": "Patient/p"}


async def test_relative_references_within_a_foreign_bundle_stay_within_it(hub: Hub) -> None:
    """Else the hub's own Patient/1, another person, would become the subject."""
    await hub.put("/Patient/1", patient("1"))
    entries = await done(
        hub,
        transaction(
            post(patient(), "http://elsewhere/fhir/Patient/1"),
            post(observation(subject={"reference": "Patient/1"}), "http://elsewhere/fhir/Observation/1"),
            post(observation(subject={"reference": "http://elsewhere/fhir/Patient/1"})),
            post(observation(subject={"reference": "Patient/1"})),
        ),
    )
    subjects = [(await hub.get(f"/{located(entry)}")).json()["subject"]["reference"] for entry in entries[1:]]
    assert subjects == [located(entries[0]), located(entries[0]), "Patient/1"]


async def test_a_reference_to_no_entry_is_refused(hub: Hub) -> None:
    answer = await hub.post("", transaction(post(patient(), ONE), post(observation(subject={"reference": TWO}))))
    assert (answer.status_code, issue(answer)["expression"]) == (400, ["Bundle.entry[1].resource.subject.reference"])
    assert await hub.keys() == set()


async def test_conditional_references_are_resolved(hub: Hub) -> None:
    await hub.put("/Patient/p", patient("p", identifier=[NHI]))
    sent = transaction(post(observation(subject={"reference": "Patient?identifier=urn:nhi|1"})))
    entries = await done(hub, sent)
    assert (await hub.get(f"/{located(entries[0])}")).json()["subject"] == {"reference": "Patient/p"}


@pytest.mark.parametrize("bearers", [0, 2])
async def test_a_conditional_reference_must_find_exactly_one(hub: Hub, bearers: int) -> None:
    for number in range(bearers):
        await hub.put(f"/Patient/p{number}", patient(f"p{number}", identifier=[NHI]))
    before = await hub.changes()
    answer = await hub.post(
        "", transaction(post(patient()), post(observation(subject={"reference": "Patient?identifier=urn:nhi|1"})))
    )
    assert (answer.status_code, issue(answer)["expression"]) == (412, ["Bundle.entry[1].resource.subject.reference"])
    assert await hub.changes() == before


BY_NHI = post(observation(subject={"reference": "Patient?identifier=urn:nhi|1"}))
NOBODY = (412, ["Bundle.entry[0].resource.subject.reference"])


async def test_a_conditional_reference_finds_what_a_conditional_create_of_the_bundle_makes_or_finds(hub: Hub) -> None:
    sent = transaction(BY_NHI, post(patient(identifier=[NHI]), ifNoneExist="identifier=urn:nhi|1"))
    first, second = await done(hub, sent), await done(hub, sent)
    assert (status(first), status(second)) == ([201, 201], [201, 200])
    for entries in (first, second):
        stored = (await hub.get(f"/{located(entries[0])}")).json()
        assert stored["subject"] == {"reference": located(first[1])}


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        pytest.param(put(patient("new", identifier=[NHI])), "Patient/new", id="put-of-a-bearer"),
        pytest.param(put(patient("old", identifier=[NHI])), "Patient/old", id="put-that-adds-the-identifier"),
        pytest.param(put(patient("other", active=True)), None, id="put-of-somebody-else"),
        pytest.param(put({"resourceType": "Person", "id": "p", "identifier": [NHI]}), None, id="another-type"),
    ],
)
async def test_a_conditional_reference_sees_what_the_bundle_puts(
    hub: Hub, entry: dict[str, Any], found: str | None
) -> None:
    await hub.put("/Patient/old", patient("old"))
    answer = await hub.post("", transaction(BY_NHI, entry))
    if found is None:
        assert (answer.status_code, issue(answer)["expression"]) == NOBODY
        return
    assert answer.status_code == 200
    stored = (await hub.get(f"/{located(answer.json()['entry'][0])}")).json()
    assert stored["subject"] == {"reference": found}


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(ask("DELETE", "Patient/p"), id="deleted"),
        pytest.param(put(patient("p")), id="identifier-dropped"),
        pytest.param(put(patient("p", identifier=[NHI | {"value": "2"}])), id="identifier-changed"),
        pytest.param(put(patient("q", identifier=[NHI])), id="another-bearer-put"),
        pytest.param(post(patient(identifier=[NHI])), id="another-bearer-posted"),
    ],
)
async def test_a_conditional_reference_must_find_exactly_one_after_the_bundles_writes(
    hub: Hub, entry: dict[str, Any]
) -> None:
    await hub.put("/Patient/p", patient("p", identifier=[NHI]))
    before = await hub.changes()
    answer = await hub.post("", transaction(BY_NHI, entry))
    assert (answer.status_code, issue(answer)["expression"]) == NOBODY
    assert await hub.changes() == before


async def test_a_put_that_keeps_the_identifier_is_counted_once(hub: Hub) -> None:
    await hub.put("/Patient/p", patient("p", identifier=[NHI]))
    entries = await done(hub, transaction(BY_NHI, put(patient("p", identifier=[NHI], active=True))))
    assert (await hub.get(f"/{located(entries[0])}")).json()["subject"] == {"reference": "Patient/p"}


@pytest.mark.parametrize(
    "condition", ["family=doe", "_id=p", "_id=p&family=doe", "_lastUpdated=gt2020", "organization=Organization/o"]
)
async def test_any_search_parameter_sees_what_the_bundle_writes(hub: Hub, condition: str) -> None:
    """References of what is written included: they are those that will be stored."""
    doe = patient("p", name=[{"family": "Doe"}], managingOrganization={"reference": ONE})
    entries = await done(
        hub,
        transaction(
            post(observation(subject={"reference": f"Patient?{condition}"})),
            put(doe),
            put({"resourceType": "Organization", "id": "o", "name": "x"}) | {"fullUrl": ONE},
        ),
    )
    assert (await hub.get(f"/{located(entries[0])}")).json()["subject"] == {"reference": "Patient/p"}


async def test_an_id_that_the_bundle_does_not_write_is_not_found_in_it(hub: Hub) -> None:
    answer = await hub.post(
        "", transaction(post(observation(subject={"reference": "Patient?_id=q"})), put(patient("p")))
    )
    assert (answer.status_code, issue(answer)["expression"]) == NOBODY


async def test_a_conditional_create_is_found_or_created_and_referred_to(hub: Hub) -> None:
    sent = transaction(
        post(patient(identifier=[NHI]), ONE, ifNoneExist="identifier=urn:nhi|1"),
        post(observation(subject={"reference": ONE})),
    )
    first, second = await done(hub, sent), await done(hub, sent)
    assert (status(first), status(second)) == ([201, 201], [200, 201])
    assert located(first[0]) == located(second[0])
    for entries in (first, second):
        stored = (await hub.get(f"/{located(entries[1])}")).json()
        assert stored["subject"] == {"reference": located(first[0])}
    assert (
        await hub.post("/Patient", patient(identifier=[NHI]), if_none_exist="identifier=urn:nhi|1")
    ).status_code == 200


async def test_a_conditional_create_that_finds_several_undoes_everything(hub: Hub) -> None:
    for number in range(2):
        await hub.put(f"/Patient/p{number}", patient(f"p{number}", identifier=[NHI]))
    before = await hub.keys()
    sent = transaction(put(patient("new")), post(patient(identifier=[NHI]), ifNoneExist="identifier=urn:nhi|1"))
    answer = await hub.post("", sent)
    assert (answer.status_code, issue(answer)["expression"]) == (412, ["Bundle.entry[1].request.ifNoneExist"])
    assert await hub.keys() == before


async def test_a_conditional_create_does_not_find_what_the_same_bundle_deletes(hub: Hub) -> None:
    """Deletes come first, wherever they stand: the create happens, and the bearer that is left is found next time."""
    await hub.put("/Patient/x", patient("x", identifier=[NHI]))
    create = post(patient(identifier=[NHI]), ONE, ifNoneExist="identifier=urn:nhi|1")
    entries = await done(
        hub, transaction(create, post(observation(subject={"reference": ONE})), ask("DELETE", "Patient/x"))
    )
    assert status(entries) == [201, 201, 204]
    assert (await hub.get("/Patient/x")).status_code == 410
    assert (await hub.get(f"/{located(entries[1])}")).json()["subject"] == {"reference": located(entries[0])}
    again = await done(hub, transaction(create))
    assert (status(again), located(again[0])) == ([200], located(entries[0]))


async def test_of_several_that_a_conditional_create_matches_those_count_that_stay(hub: Hub) -> None:
    """Of three, two are deleted: the third is found. Of three, one is deleted: there are several."""
    for name in ("x", "y", "z"):
        await hub.put(f"/Patient/{name}", patient(name, identifier=[NHI]))
    create = post(patient(identifier=[NHI]), ifNoneExist="identifier=urn:nhi|1")
    answer = await hub.post("", transaction(create, ask("DELETE", "Patient/z")))
    assert (answer.status_code, issue(answer)["code"]) == (412, "multiple-matches")
    entries = await done(hub, transaction(create, ask("DELETE", "Patient/z"), ask("DELETE", "Patient/x")))
    assert (status(entries), located(entries[0])) == ([200, 204, 204], "Patient/y")


async def test_a_delete_of_the_same_id_in_another_type_hides_nothing(hub: Hub) -> None:
    await hub.put("/Patient/x", patient("x", identifier=[NHI]))
    create = post(patient(identifier=[NHI]), ifNoneExist="identifier=urn:nhi|1")
    entries = await done(hub, transaction(create, ask("DELETE", "Person/x")))
    assert (status(entries), located(entries[0])) == ([200, 204], "Patient/x")


@pytest.mark.parametrize(
    ("entry", "status_", "expression"),
    [
        pytest.param(put(patient("a"), ifMatch='W/"7"'), 412, "Bundle.entry[1]", id="other-version"),
        pytest.param(put(patient("b"), ifMatch='W/"1"'), 412, "Bundle.entry[1]", id="not-there"),
        pytest.param(put(patient("a"), ifNoneMatch="*"), 412, "Bundle.entry[1]", id="there-already"),
        pytest.param(ask("DELETE", "Patient/a", ifMatch='W/"7"'), 412, "Bundle.entry[1]", id="delete-other-version"),
        pytest.param(put(patient("a"), ifMatch="7"), 400, "Bundle.entry[1].request", id="no-etag"),
        pytest.param(post(patient(birthDate="soon")), 400, "Bundle.entry[1].resource.birthDate", id="invalid"),
        pytest.param(put(patient("first")), 400, "Bundle.entry[1]", id="same-resource-twice"),
        pytest.param(ask("DELETE", "Patient/first"), 400, "Bundle.entry[1]", id="put-and-delete"),
        pytest.param(ask("GET", "Patient/none"), 404, "Bundle.entry[1].request.url", id="read-of-nothing"),
        pytest.param(ask("GET", "Patient?colour=red"), 400, "Bundle.entry[1].request.url", id="unknown-parameter"),
        pytest.param(ask("DELETE", "Starship/1"), 404, "Bundle.entry[1].request.url", id="unknown-type"),
        pytest.param(ask("HEAD", "Patient/a"), 400, "Bundle.entry[1].request.method", id="head"),
        pytest.param(ask("PATCH", "Patient/a"), 400, "Bundle.entry[1].resource", id="patch-of-nothing"),
        pytest.param(
            {"resource": patient("a"), "request": {"method": "PATCH", "url": "Patient/a"}},
            400,
            "Bundle.entry[1].resource",
            id="no-patch",
        ),
        pytest.param(ask("DELETE", "Patient?name=x"), 400, "Bundle.entry[1].request.url", id="conditional-delete"),
        pytest.param(
            {"resource": patient("a"), "request": {"method": "PUT", "url": "Patient?name=x"}},
            400,
            "Bundle.entry[1].request.url",
            id="conditional-update",
        ),
        pytest.param({"resource": patient()}, 400, "Bundle.entry[1].request", id="no-request"),
        pytest.param(ask("POST", "Patient"), 400, "Bundle.entry[1].resource", id="no-resource"),
        pytest.param(
            ask("GET", "Patient") | {"resource": patient()}, 400, "Bundle.entry[1].resource", id="resource-of-get"
        ),
        pytest.param(
            {"resource": patient("a"), "request": {"method": "PUT", "url": "Patient/b"}},
            400,
            "Bundle.entry[1].resource.id",
            id="other-id",
        ),
        pytest.param(
            {"resource": {"resourceType": "Subscription"}, "request": {"method": "POST", "url": "Subscription"}},
            400,
            "Bundle.entry[1].request.url",
            id="subscription",
        ),
    ],
)
async def test_one_bad_entry_undoes_a_transaction_and_is_named(
    hub: Hub, entry: dict[str, Any], status_: int, expression: str
) -> None:
    """Nothing is stored, nothing stays reserved; in a batch the other entry is done."""
    await hub.put("/Patient/a", patient("a"))
    before = await hub.changes()
    answer = await hub.post("", transaction(put(patient("first")), entry))
    assert (answer.status_code, issue(answer)["expression"]) == (status_, [expression])
    assert await hub.changes() == before
    assert (await hub.put("/Patient/a", patient("a"))).status_code == 200
    assert (await hub.put("/Patient/first", patient("first"))).status_code == 201


OLD, NEW, GONE = patient("old"), patient("new"), patient("gone")


@pytest.mark.parametrize(
    ("write", "url", "status_"),
    [
        pytest.param(ask("DELETE", "Patient/old"), "Patient/old", 410, id="deleted"),
        pytest.param(ask("DELETE", "Patient/old"), "Patient/old/_history/2", 410, id="the-delete-itself"),
        pytest.param(ask("DELETE", "Patient/old"), "Patient/old/_history/3", 404, id="beyond-the-delete"),
        pytest.param(ask("DELETE", "Patient/old"), "Patient/old?x=y", 400, id="deleted-with-a-parameter"),
        pytest.param(ask("DELETE", "Patient/gone"), "Patient/gone", 410, id="deleted-before"),
        pytest.param(ask("DELETE", "Patient/gone"), "Patient/gone/_history/3", 404, id="no-second-delete"),
        pytest.param(ask("DELETE", "Patient/never"), "Patient/never", 404, id="never-there"),
        pytest.param(put(OLD), "Patient/old?x=y", 400, id="put-with-a-parameter"),
        pytest.param(put(OLD), "Patient/old/_history/3", 404, id="beyond-the-put"),
        pytest.param(put(OLD), "Patient/old/_history/x", 404, id="no-number"),
        pytest.param(put(OLD), "Patient/old/_history?x=y", 400, id="history-with-an-unknown-parameter"),
        pytest.param(put(NEW), "Patient/new/_history?_count=x", 400, id="history-with-a-malformed-parameter"),
        pytest.param(put(GONE), "Patient/gone/_history/2", 410, id="an-earlier-delete"),
        pytest.param(ask("DELETE", "Patient/old"), "Patient/old/_history/1", 200, id="a-version-before-the-delete"),
        pytest.param(ask("DELETE", "Patient/old"), "Patient/old/_history", 200, id="history-with-the-delete"),
        pytest.param(ask("DELETE", "Patient/old"), "Patient?_id=old", 200, id="search-for-what-is-deleted"),
        pytest.param(put(OLD), "Patient/old/_history/1", 200, id="a-version-before-the-put"),
        pytest.param(put(OLD), "Patient/old/_history/2", 200, id="the-version-that-is-put"),
        pytest.param(put(NEW), "Patient/new", 200, id="new"),
        pytest.param(put(NEW), "Patient/new/_history/1", 200, id="version-of-the-new"),
        pytest.param(put(NEW), "Patient/new/_history", 200, id="history-of-the-new"),
        pytest.param(put(GONE), "Patient/gone", 200, id="restored"),
        pytest.param(put(GONE), "Patient/gone/_history/3", 200, id="version-that-is-restored"),
    ],
)
async def test_a_get_that_would_fail_afterwards_undoes_a_transaction(
    hub: Hub, write: dict[str, Any], url: str, status_: int
) -> None:
    """It is told what it would be told if the transaction were done and it came alone."""
    await hub.put("/Patient/old", OLD)
    await hub.put("/Patient/gone", GONE)
    await hub.delete("/Patient/gone")
    before = await hub.changes()
    answer = await hub.post("", transaction(ask("GET", url), write))
    if status_ == 200:
        assert answer.status_code == 200, answer.text
        assert status(answer.json()["entry"])[0] == 200
        return
    told = issue(answer)
    assert (answer.status_code, told["expression"]) == (status_, ["Bundle.entry[0].request.url"])
    assert await hub.changes() == before
    await done(hub, transaction(write))
    alone = (await done(hub, bundle("batch", ask("GET", url))))[0]["response"]
    assert alone["status"].startswith(str(status_))
    assert alone["outcome"]["issue"][0]["details"] == told["details"]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((post(patient(), ONE), post(patient(), ONE)), id="full-url"),
        pytest.param(
            (post(patient(), ifNoneExist="name=x&gender=male"), post(patient(), ifNoneExist="gender=male&name=x")),
            id="condition",
        ),
    ],
)
async def test_two_entries_about_the_same_are_refused(hub: Hub, entries: tuple[dict[str, Any], ...]) -> None:
    answer = await hub.post("", transaction(*entries))
    assert (answer.status_code, issue(answer)["code"]) == (400, "duplicate")
    assert await hub.keys() == set()


async def test_all_that_is_wrong_is_told_at_once(hub: Hub) -> None:
    answer = await hub.post(
        "", transaction(post(patient(birthDate="x")), post(patient()), post(observation(status="")))
    )
    assert [found["expression"] for found in answer.json()["issue"]] == [
        ["Bundle.entry[0].resource.birthDate"],
        ["Bundle.entry[2].resource.status"],
    ]


async def test_json_that_is_refused_in_a_bundle_is_told_with_its_entry(hub: Hub) -> None:
    sent = transaction(post(patient()), post(patient(name=[{"family": "a\0b"}])))
    told = issue(await hub.post("", sent))
    assert told["expression"] == ["Bundle.entry[1].resource.name[0].family"]
    assert "Bundle.entry[1].resource.name[0].family (line 1, column " in told["details"]["text"]


async def test_an_empty_transaction_is_done(hub: Hub) -> None:
    answer = await hub.post("", {"resourceType": "Bundle", "type": "transaction"})
    assert (answer.status_code, answer.json()) == (200, {"resourceType": "Bundle", "type": "transaction-response"})


@pytest.mark.parametrize("prefer", ["return=representation", "return=OperationOutcome", "return=minimal"])
@pytest.mark.parametrize("type_", ["batch", "transaction"])
async def test_prefer_decides_what_the_entries_carry(hub: Hub, type_: str, prefer: str) -> None:
    entry = (await done(hub, bundle(type_, post(patient(active=True))), prefer=prefer))[0]
    assert ("resource" in entry) is (prefer == "return=representation")
    assert ("outcome" in entry["response"]) is (prefer == "return=OperationOutcome")
    assert entry["response"]["etag"] == 'W/"1"'


async def test_a_repeated_transaction_with_a_key_gets_the_first_answer(hub: Hub, other: Hub) -> None:
    """Also when its conditions would come out differently now, and what it made was deleted."""
    sent = transaction(
        post(patient(identifier=[NHI]), ONE, ifNoneExist="identifier=urn:nhi|1"),
        post(observation(subject={"reference": ONE})),
        put(patient("a"), ifNoneMatch="*"),
        ask("DELETE", "Patient/never"),
    )
    first = await done(hub, sent, idempotency_key="k")
    await hub.delete("/Patient/a")
    changes = await hub.changes()
    for process in (hub, other):
        assert await done(process, sent, idempotency_key="k") == first
    assert status(first) == [201, 201, 201, 204]
    assert await hub.changes() == changes
    differs = await hub.post("", transaction(post(patient())), idempotency_key="k")
    assert (differs.status_code, issue(differs)["code"]) == (422, "business-rule")


async def test_a_transaction_that_was_refused_does_not_use_its_key_up(hub: Hub) -> None:
    """Not even its body is remembered: nothing came of it."""
    refused = await hub.post("", transaction(put(patient("a"), ifMatch='W/"1"')), idempotency_key="k")
    assert refused.status_code == 412
    await hub.put("/Patient/a", patient("a"))
    assert status(await done(hub, transaction(put(patient("a"), ifMatch='W/"1"')), idempotency_key="k")) == [200]


async def test_a_batch_does_each_entry_on_its_own(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    entries = await done(
        hub,
        bundle(
            "batch",
            ask("GET", "Patient/b"),
            post(patient(birthDate="soon")),
            put(patient("b")),
            put(patient("a"), ifMatch='W/"9"'),
            ask("GET", "Patient/none"),
            ask("DELETE", "Patient/a"),
            ask("GET", "Patient/a"),
            ask("GET", "Patient/a/_history"),
            ask("GET", "Patient/a/_history/1"),
            ask("GET", f"{FHIR}/Patient?_id=b"),
            post(patient(identifier=[NHI]), ifNoneExist="identifier=urn:nhi|1"),
            {"resource": {"resourceType": "Subscription"}, "request": {"method": "POST", "url": "Subscription"}},
            ask("GET", "Patient/b", ifNoneMatch='W/"1"'),
        ),
    )
    assert status(entries) == [200, 400, 201, 412, 404, 204, 410, 200, 200, 200, 201, 400, 304]
    for index in (1, 3, 4, 6, 11):
        assert entries[index]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert entries[1]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1].resource.birthDate"]
    assert entries[7]["resource"]["type"] == "history"


async def test_a_batch_does_what_concerns_one_resource_one_after_the_other(hub: Hub) -> None:
    entries = await done(hub, bundle("batch", *(put(patient("a", multipleBirthInteger=n)) for n in range(1, 9))))
    assert [entry["response"]["etag"] for entry in entries] == [f'W/"{n}"' for n in range(1, 9)]
    assert (await hub.get("/Patient/a")).json()["multipleBirthInteger"] == 8


async def test_a_batch_takes_no_key(hub: Hub) -> None:
    answer = await hub.post("", bundle("batch", post(patient())), idempotency_key="k")
    assert answer.status_code == 400
    assert await hub.keys() == set()


async def test_a_thousand_entries_are_one_transaction(hub: Hub) -> None:
    """HUB_MAX_BUNDLE_ENTRIES of them, each referring to the first."""
    first = post(patient(), ONE)
    rest = [post(observation(subject={"reference": ONE})) for _ in range(999)]
    entries = await done(hub, transaction(first, *rest))
    assert status(entries) == [201] * 1000
    assert len(await hub.changes()) == 1000
    assert (await hub.get(f"/{located(entries[-1])}")).json()["subject"] == {"reference": located(entries[0])}
