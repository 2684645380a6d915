"""Headers of Subscriptions, and what binds credentials to an origin, as a client of the api sees them."""

from typing import Any

import pytest
from cryptography.fernet import Fernet

from hub.keyring import Entrusted
from hub.secrets import Secrets
from subscriptions.codes import FhirVersion
from tests.dump import everything
from tests.hub.api.patches import fhirpath, operation, patch
from tests.hub.api.server import Hub, issue
from tests.hub.api.subscriptions import ENDPOINT, put
from tests.hub.api.test_entrusting import OAUTH, entrust
from tests.hub.certificates import Authority
from tests.hub.conftest import BASE
from tests.hub.engines import member, sender
from tests.processes import subscription, subscription_r5

HEADERS = ["Authorization: Bearer hush-hush-hush", "X-Ward: 7"]
REDACTED = ["Authorization: ********", "X-Ward: ********"]


@pytest.fixture
def hub(sealing: Hub) -> Hub:
    return sealing


def wanted(endpoint: str = ENDPOINT, **options: Any) -> dict[str, Any]:
    return {**subscription(endpoint, **options), "id": "s"}


async def test_a_client_sees_what_it_gave_once_and_redis_has_none_of_it(hub: Hub) -> None:
    """In the answer to a create or a change; a read, a read of the version and a search show names alone."""
    sent = wanted(headers=HEADERS)
    for answer in (await hub.put("/Subscription/s", sent), await hub.put("/Subscription/s", sent)):
        assert answer.json()["channel"] == sent["channel"]
    for url in ("/Subscription/s", "/Subscription/s/_history/2", "/Subscription/s?_elements=channel"):
        assert (await hub.get(url)).json()["channel"] == sent["channel"] | {"header": REDACTED}
    (entry,) = (await hub.get("/Subscription?url=" + ENDPOINT)).json()["entry"]
    assert entry["resource"]["channel"] == sent["channel"] | {"header": REDACTED}
    created = await hub.post("/Subscription", sent)
    assert (created.status_code, created.json()["channel"]) == (201, sent["channel"])
    held = await everything(hub.parts.pipeline.command)
    assert ENDPOINT.encode() in held
    assert b"hush" not in held


async def test_nothing_that_is_asked_for_later_tells_them(hub: Hub) -> None:
    await hub.put("/Subscription/s", wanted(headers=HEADERS))
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Subscription/s"}}],
    }
    asked = [
        await hub.get("/Subscription/s"),
        await hub.get("/Subscription/$status"),
        await hub.get("/Subscription/s/$status"),
        await hub.get("/Subscription/s/$events"),
        await hub.client.post("/Subscription/$status", json={"resourceType": "Parameters"}),
        await hub.post("/Subscription/_search", None, content_type="application/x-www-form-urlencoded"),
        await hub.post("/Subscription/s/$test", {"resourceType": "Parameters"}),
        await hub.post("/Subscription/s/$explain", {"resourceType": "Patient", "id": "1"}),
        await hub.post("/Subscription/s/$validate", wanted()),
        await hub.get("/_history"),
        await hub.client.post("", json=batch),
        await hub.get(f"{BASE}/admin/subscriptions/r4/s/attempts"),
        await patch(hub, "/Subscription/s", [{"op": "test", "path": "/channel/header/0", "value": HEADERS[0]}]),
    ]
    assert [b"hush" in answer.content for answer in asked] == [False] * len(asked)
    assert asked[-1].status_code in (400, 409, 412, 422)


@pytest.mark.parametrize("version", ["r4", "r4b", "r5"])
async def test_what_is_sent_back_as_it_was_read_stays(hub: Hub, version: str) -> None:
    """Read, modify, write: the endpoint gets the headers that were given."""
    url, made = f"{BASE}/fhir/{version}/Subscription/s", {"r5": subscription_r5}.get(version, subscription)
    sent = made(ENDPOINT, headers=HEADERS) | {"id": "s"}
    assert (await hub.put(url, sent)).status_code == 201
    read = (await hub.get(url)).json()
    assert "hush" not in str(read)
    answer = await hub.put(url, read | {"reason": "another"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["reason"] == "another"
    assert "hush" not in answer.text
    assert await at_endpoint(hub, FhirVersion(version)) == [tuple(line.split(": ")) for line in HEADERS]
    assert b"hush" not in await everything(hub.parts.pipeline.command)


@pytest.mark.parametrize(
    "elsewhere", ["http://127.0.0.1:8/hook", "https://127.0.0.1:9/hook", "http://127.0.0.2:9/hook"]
)
async def test_they_are_not_shown_to_another_origin(hub: Hub, elsewhere: str) -> None:
    """Sent back redacted, they are refused there, by PUT, PATCH and $validate; given anew, they are taken."""
    await hub.put("/Subscription/s", wanted(headers=HEADERS))
    moved = wanted(elsewhere, headers=REDACTED)
    for answer in (
        await hub.put("/Subscription/s", moved),
        await patch(hub, "/Subscription/s", [{"op": "replace", "path": "/channel/endpoint", "value": elsewhere}]),
        await hub.post("/Subscription/s/$validate", moved),
    ):
        assert answer.status_code == (200 if "validate" in str(answer.url) else 400)
        (told,) = answer.json()["issue"]
        assert (told["code"], told["expression"]) == ("business-rule", ["Subscription.channel.header"])
    assert (await hub.get("/Subscription/s")).json()["channel"]["endpoint"] == ENDPOINT
    assert (await hub.put("/Subscription/s", wanted(elsewhere, headers=HEADERS))).status_code == 200


async def test_what_stands_for_no_header_is_refused(hub: Hub) -> None:
    """In a create there is nothing that it could stand for; nor in a change, of a header that is not there."""
    new, unknown = wanted(headers=REDACTED[:1]), wanted(headers=["X-Bed: ********"])
    for url, sent in (("/Subscription/s", new), ("/Subscription/s", unknown)):
        answer = await hub.put(url, sent)
        assert (answer.status_code, issue(answer)["code"]) == (400, "value")
        assert issue(answer)["expression"] == ["Subscription.channel.header[0]"]
        await put(hub, "s")
    assert (await hub.post("/Subscription", new)).status_code == 400


async def test_too_many_headers(hub: Hub) -> None:
    """Or too long an endpoint: each notification would carry them."""
    for version, made in (("r4", subscription), ("r5", subscription_r5)):
        url = f"{BASE}/fhir/{version}/Subscription/s"
        for sent in (made(ENDPOINT, headers=["X-N: 1"] * 51), made(f"{ENDPOINT}/{'x' * 4_000}")):
            assert (await hub.put(url, sent | {"id": "s"})).status_code == 400
        assert (await hub.put(url, made(ENDPOINT, headers=["X-N: 1"] * 50) | {"id": "s"})).status_code == 201


async def test_a_patch_of_too_much_is_refused_before_it_is_read(hub: Hub) -> None:
    """Validating so many operations would take minutes."""
    await put(hub, "s")
    many = fhirpath(*[operation("delete", "Subscription.reason")] * 20_000)
    answer = await patch(hub, "/Subscription/s", many)
    assert (answer.status_code, issue(answer)["code"]) == (400, "too-costly")


async def test_a_patch_keeps_the_headers_and_may_change_them(hub: Hub) -> None:
    """It patches what is read, and its answer shows what it brought."""
    sent = wanted(headers=HEADERS)
    await hub.put("/Subscription/s", sent)
    kept = await patch(hub, "/Subscription/s", [{"op": "replace", "path": "/reason", "value": "another"}])
    assert (kept.status_code, kept.json()["channel"]["header"]) == (200, REDACTED)
    assert await at_endpoint(hub) == [tuple(line.split(": ")) for line in HEADERS]
    changed = await patch(hub, "/Subscription/s", fhirpath(operation("delete", "Subscription.channel.header[1]")))
    assert changed.json()["channel"]["header"] == REDACTED[:1]
    added = await patch(hub, "/Subscription/s", [{"op": "add", "path": "/channel/header/-", "value": "X-Bed: 3"}])
    assert added.json()["channel"]["header"] == [REDACTED[0], "X-Bed: 3"]
    assert await at_endpoint(hub) == [("Authorization", "Bearer hush-hush-hush"), ("X-Bed", "3")]
    assert b"hush" not in await everything(hub.parts.pipeline.command)


async def test_without_a_key_there_are_no_headers(plain: Hub) -> None:
    """As for all other secrets: it is refused, $validate says so too, and nothing is stored."""
    answer = await plain.put("/Subscription/s", wanted(headers=HEADERS))
    assert (answer.status_code, issue(answer)["code"]) == (400, "not-supported")
    assert issue(answer)["expression"] == ["Subscription.channel.header"]
    assert "HUB_SECRETS_KEY is not set" in issue(answer)["details"]["text"]
    tried = await plain.post("/Subscription/$validate", wanted(headers=HEADERS))
    assert tried.json()["issue"][0]["expression"] == ["Subscription.channel.header"]
    assert (await plain.get("/Subscription/s")).status_code == 404
    await put(plain, "s")


async def test_what_does_not_open_is_the_hubs_own_fault(hub: Hub) -> None:
    """It says so, a search shows the others, and the client may still change it, or end it."""
    for id_ in ("a", "b"):
        sent = wanted(headers=HEADERS) | {"id": id_}
        assert (await hub.put(f"/Subscription/{id_}", sent)).status_code == 201
    strange = Secrets.of(Fernet.generate_key().decode(), None).seal(b"[]")
    key = (await member(hub.parts, "a")).key
    await hub.parts.pipeline.command("HSET", key.subscription, "headers", strange)
    answer = await hub.get("/Subscription/a")
    assert (answer.status_code, issue(answer)["code"]) == (500, "exception")
    assert "HUB_SECRETS_KEY" in issue(answer)["details"]["text"]
    found = (await hub.get("/Subscription")).json()["entry"]
    assert [entry["resource"].get("id") for entry in found if entry["search"]["mode"] == "match"] == ["b"]
    (remark,) = [entry["resource"] for entry in found if entry["search"]["mode"] == "outcome"]
    assert "1 Subscription could not be evaluated" in remark["issue"][0]["details"]["text"]
    assert (await hub.get("/Subscription/a/$status")).status_code == 200
    assert (await hub.put("/Subscription/a", sent | {"id": "a"})).status_code == 200
    assert (await hub.delete("/Subscription/a")).status_code == 204


@pytest.mark.parametrize(
    "elsewhere",
    ["http://127.0.0.1:8/hook", "https://127.0.0.1:9/hook", "http://127.0.0.2:9/hook"],
    ids=["port", "scheme", "host"],
)
async def test_credentials_do_not_move_to_another_origin(hub: Hub, elsewhere: str) -> None:
    """The change is refused and says why; once they are taken back it is not."""
    await put(hub, "s")
    assert (await entrust(hub, **OAUTH)).status_code == 200
    for url in ("/Subscription/s", "/Subscription/s/$validate"):
        ask = hub.post if "$" in url else hub.put
        answer = await ask(url, wanted(elsewhere))
        (told,) = answer.json()["issue"]
        assert (told["code"], told["expression"]) == ("business-rule", ["Subscription.channel.endpoint"])
        assert "$credentials" in told["details"]["text"]
        assert answer.status_code == (200 if "$" in url else 400)
    held = (await hub.get("/Subscription/s")).json()
    assert held["channel"]["endpoint"] == ENDPOINT
    assert (await entrust(hub)).status_code == 200
    assert (await hub.put("/Subscription/s", wanted(elsewhere))).status_code == 200
    assert (await entrust(hub, **OAUTH)).status_code == 200
    assert (await hub.put("/Subscription/s", wanted(elsewhere))).status_code == 200


async def test_a_certificate_does_not_either(hub: Hub) -> None:
    await put(hub, "s")
    issued = Authority().issue()
    assert (await entrust(hub, certificate=issued.certificate, privateKey=issued.key)).status_code == 200
    assert (await hub.put("/Subscription/s", wanted("http://127.0.0.1:8/hook"))).status_code == 400


@pytest.mark.parametrize("same", ["http://127.0.0.1:9/another?x=1", "http://127.0.0.1:9"])
async def test_they_stay_within_an_origin(hub: Hub, same: str) -> None:
    await put(hub, "s")
    assert (await entrust(hub, **OAUTH)).status_code == 200
    assert (await hub.put("/Subscription/s", wanted(same))).status_code == 200
    assert (await shown(hub)).oauth is not None


async def test_a_secret_to_sign_with_moves_along(hub: Hub) -> None:
    """It is shown to nobody: whoever gets what it signs can't sign."""
    await put(hub, "s")
    assert (await hub.client.post("/Subscription/s/$rotate-secret")).status_code == 200
    assert (await hub.put("/Subscription/s", wanted("http://127.0.0.1:8/hook"))).status_code == 200
    assert (await shown(hub)).signing


async def test_credentials_given_while_the_endpoint_moves_are_not_shown_to_the_new_one(hub: Hub) -> None:
    """Both requests were accepted, and the later one knew nothing of the other."""
    await put(hub, "s")
    key = (await member(hub.parts)).key
    assert (await hub.put("/Subscription/s", wanted("http://127.0.0.1:8/hook"))).status_code == 200
    assert (await entrust(hub, **OAUTH)).status_code == 200
    assert (await shown(hub)).oauth is not None
    given = Entrusted((await shown(hub)).oauth, None, origin="http://127.0.0.1:9")
    assert await hub.parts.keyring.entrust(key, given)
    assert (await shown(hub)).oauth is None


async def at_endpoint(hub: Hub, version: FhirVersion = FhirVersion.R4) -> list[tuple[str, str]]:
    """The headers that a deliver worker sends along."""
    held = await member(hub.parts, version=version)
    recipient = await sender(hub.parts).recipient(held.key, held.state.revision)
    assert recipient is not None
    return list(recipient.subscription.headers)


async def shown(hub: Hub) -> Any:
    """What a deliver worker shows to the endpoint."""
    held = await member(hub.parts)
    recipient = await sender(hub.parts).recipient(held.key, held.state.revision)
    assert recipient is not None
    return recipient.credentials
