"""Every route of the application, and everybody who may call it or not: the exact status."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from time import time
from typing import Any, NamedTuple

import httpx
import pytest
from cryptography.fernet import Fernet
from starlette.routing import BaseRoute

from hub.access import Client
from hub.api.routes import Application
from hub.instants import now_ms
from hub.settings import Settings
from subscriptions.clearance import FULL
from subscriptions.codes import Content, FhirVersion
from subscriptions.rights import Rights
from subscriptions.scopes import ALL, Scopes
from tests.hub.api.callers import grant, key
from tests.hub.api.rules import CONSOLE, OPEN, REACHED, Rule, elsewhere, rules, subscribed, topic
from tests.hub.api.server import Hub, patient, serving
from tests.hub.conftest import BASE, settings
from tests.issuer import TokenIssuer, ec_key, signed

RULES = tuple(rules())
EVERYTHING = str(ALL)

Auth = dict[str, str]


class Case(NamedTuple):
    """Credentials for a rule, and the status that they get."""

    headers: Auth
    status: int
    tenant: str = "default"


def plain(path: str) -> str:
    """A path without the names of converters."""
    return path.replace(":kept}", "}").replace(":basic}", "}").replace(":path}", "}")


def served(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of everything that an application serves. Of what isn't known here, nobody knows what it asks."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from served(inner.routes)
        else:
            for method in getattr(route, "methods", None) or {"?"}:
                yield method, plain(getattr(route, "path", repr(route)))


def written(app: Any) -> Counter[tuple[str, str, str]]:
    """What the application says that each of its routes asks for."""
    assert isinstance(app, Application)
    return Counter(
        (each.method, plain(each.base + each.path), str(each.documented.needs))
        for each in app.described
        if not each.documented.needs.anybody
    )


def expected() -> Counter[tuple[str, str, str]]:
    found = []
    for rule in RULES:
        path, scope = rule.path, rule.granted
        if path.endswith(("/$process-message", "/")) or path.removeprefix("/fhir/") in list(FhirVersion):
            scope = ""  # it depends on what is in it
        if "{type}" in path:
            scope = "" if "Basic" in rule.scope else scope.replace("Patient", "{type}")
        found.append((rule.method, path, scope))
    return Counter(found)


@pytest.fixture
async def issuer() -> AsyncIterator[TokenIssuer]:
    async with TokenIssuer() as issuer:
        yield issuer


def wanted(redis_url: str, data: Path, **more: Any) -> Settings:
    return settings(redis_url, data).model_copy(update={"secrets_key": Fernet.generate_key().decode(), **more})


@pytest.fixture
async def smart(redis_url: str, tmp_path: Path, issuer: TokenIssuer) -> AsyncIterator[Hub]:
    async with serving(wanted(redis_url, tmp_path, auth="smart", smart_issuer=issuer.url)) as hub:
        await known(hub)
        await stock(hub, {"Authorization": f"Bearer {issuer.token(scope=EVERYTHING)}"})
        yield hub


@pytest.fixture
async def keys(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    async with serving(wanted(redis_url, tmp_path, auth="keys")) as hub:
        await known(hub)
        await stock(hub, bearer((await key(hub))[1]))
        yield hub


async def client(hub: Hub, name: str, scopes: str, **more: Any) -> None:
    rights = Rights(Scopes.parse(scopes), Content.FULL_RESOURCE, FULL)
    await hub.parts.access.set(Client(name, more.pop("tenant", "default"), rights, **more))


async def known(hub: Hub) -> None:
    """Who there is: `lab` may everything, `north` as well, elsewhere."""
    await client(hub, "lab", EVERYTHING)
    await client(hub, "poor", f"{REACHED} system/Organization.cruds")
    await client(hub, "gone", EVERYTHING, off=True)
    await grant(hub, "north", "nobody", REACHED)
    await client(hub, "north", EVERYTHING, tenant="north")


async def stock(hub: Hub, headers: Auth) -> None:
    """What the requests are about."""
    for version in FhirVersion:
        things: list[dict[str, Any]] = [patient("1"), subscribed(version)]
        if version is FhirVersion.R4:
            things.append({"resourceType": "Basic", "id": "1", "code": {"text": "x"}})
        else:
            things.append(topic(version, f"t-{version}"))
        for each in things:
            url = f"{BASE}/fhir/{version}/{each['resourceType']}/{each['id']}"
            answer = await hub.client.put(url, json=each, headers=headers)
            assert answer.status_code == 201, answer.text


async def ask(hub: Hub, rule: Rule, case: Case, method: str = "") -> httpx.Response:
    headers = {"Content-Type": rule.media_type, **case.headers}
    url = BASE + elsewhere(rule, case.tenant)
    return await hub.client.request(method or rule.method, url, content=rule.content, headers=headers)


async def check(hub: Hub, cases: Callable[[Rule], Iterable[Case]]) -> None:
    """Ask by each route for each case. GET is also HEAD."""
    wrong = []
    for rule in RULES:
        for case in cases(rule):
            for method in {rule.method, "HEAD"} if rule.method == "GET" else {rule.method}:
                answer = await ask(hub, rule, case, method)
                if answer.status_code != case.status:
                    wrong.append((method, elsewhere(rule, case.tenant), case, answer.status_code, answer.text))
    assert wrong == []


async def test_no_route_is_without_a_rule(smart: Hub) -> None:
    """Whoever adds one says here too what it asks, or that it asks nothing; and both say the same."""
    assert written(smart.app) == expected()
    protected = {(rule.method, rule.path) for rule in RULES}
    for method, path in served(smart.app.routes):
        if method != "HEAD":
            assert (path in OPEN | CONSOLE) is not ((method, path) in protected), (method, path)


async def test_what_is_open_is_open_to_all(smart: Hub) -> None:
    for path in OPEN:
        for headers in ({}, {"Authorization": "Bearer x"}):
            assert (await smart.client.get(BASE + path, headers=headers)).status_code == 200, path


def bearer(token: str) -> Auth:
    return {"Authorization": f"Bearer {token}"}


UNPROVEN = [
    pytest.param(lambda _: {}, id="no-token"),
    pytest.param(lambda _: bearer("x"), id="no-token-at-all"),
    pytest.param(lambda i: bearer(i.token(scope=EVERYTHING, exp=int(time()) - 60)), id="expired"),
    pytest.param(lambda i: bearer(i.token(scope=EVERYTHING, iss="https://other.example")), id="wrong-issuer"),
    pytest.param(lambda i: bearer(i.token(scope=EVERYTHING, aud="https://other.example")), id="wrong-audience"),
    pytest.param(lambda i: bearer(i.token(scope=EVERYTHING, algorithm="RS256")), id="wrong-algorithm"),
    pytest.param(
        lambda i: bearer(signed(None, "none", {"kid": "first"}, iss=i.url, scope=EVERYTHING)), id="none-algorithm"
    ),
    pytest.param(
        lambda i: bearer(signed(ec_key(), "ES384", {"kid": "first"}, iss=i.url, scope=EVERYTHING)), id="another-key"
    ),
    pytest.param(lambda i: bearer(i.token(scope=EVERYTHING, client_id="stranger")), id="unknown-client"),
    pytest.param(lambda i: bearer(i.token(scope=EVERYTHING, client_id="gone")), id="client-that-is-off"),
]


@pytest.mark.parametrize("of", UNPROVEN)
async def test_smart_without_proof(smart: Hub, issuer: TokenIssuer, of: Callable[[TokenIssuer], Auth]) -> None:
    headers = of(issuer)
    await check(smart, lambda _: [Case(headers, 401)])


async def test_smart_another_tenant(smart: Hub, issuer: TokenIssuer) -> None:
    """A tenant that grants nothing is not there, whoever asks, whatever its token says."""
    north = bearer(issuer.token(scope=EVERYTHING, client_id="north"))
    lab = bearer(issuer.token(scope=EVERYTHING))
    await check(smart, lambda _: [Case(north, 404), Case(lab, 404, "north")])


async def test_smart_missing_scope(smart: Hub, issuer: TokenIssuer) -> None:
    """The token lacks it, or the client does."""
    poor = bearer(issuer.token(scope=EVERYTHING, client_id="poor"))

    def cases(rule: Rule) -> Iterator[Case]:
        yield Case(poor, 403)
        yield Case(bearer(issuer.token(scope="")), 403)
        yield Case(bearer(issuer.token(scope=None)), 403)
        for scopes in rule.close:
            yield Case(bearer(issuer.token(scope=scopes)), 403)

    await check(smart, cases)


async def test_smart_right_scope(smart: Hub, issuer: TokenIssuer) -> None:
    """It alone is enough."""

    def cases(rule: Rule) -> Iterator[Case]:
        yield Case(bearer(issuer.token(scope=f"{rule.granted} {REACHED}")), rule.right)

    await check(smart, cases)


async def test_keys_without_proof(keys: Hub) -> None:
    """No key, one that nobody made, another's secret, expired, revoked, a client that is off or gone."""
    good, text = await key(keys)
    expired = (await key(keys, now=now_ms() - 10_000, lasts=1_000))[1]
    revoked, of_revoked = await key(keys)
    await keys.parts.access.revoke(revoked)
    off, of_nobody = (await key(keys, "gone"))[1], (await key(keys, "stranger"))[1]
    unknown = [f"hubkey_none_{text.rpartition('_')[2]}", f"hubkey_{good.id}_{of_revoked.rpartition('_')[2]}", "hubkey"]
    bad = [bearer(each) for each in (*unknown, expired, of_revoked, off, of_nobody)]
    await check(keys, lambda _: [Case(headers, 401) for headers in ({}, *bad, {"X-API-Key": expired})])


async def test_keys_another_tenant(keys: Hub) -> None:
    north, lab = bearer((await key(keys, "north"))[1]), bearer((await key(keys))[1])
    await check(keys, lambda _: [Case(north, 404), Case(lab, 404, "north")])


async def test_keys_missing_scope(keys: Hub) -> None:
    """The key lacks it, or the client does."""
    needed = sorted({scopes for rule in RULES for scopes in ("", *rule.close)})
    made = {scopes: bearer((await key(keys, scopes=Scopes.parse(scopes)))[1]) for scopes in needed}
    poor = bearer((await key(keys, "poor"))[1])
    await check(
        keys, lambda rule: [Case(headers, 403) for headers in (poor, made[""], *map(made.get, rule.close)) if headers]
    )


async def test_keys_right_scope(keys: Hub) -> None:
    """It alone is enough."""
    needed = sorted({rule.granted for rule in RULES})
    made = {each: bearer((await key(keys, scopes=Scopes.parse(f"{each} {REACHED}")))[1]) for each in needed}
    await check(keys, lambda rule: [Case(made[rule.granted], rule.right)])


async def test_where_nobody_is_told_apart_nothing_is_asked(redis_url: str, tmp_path: Path) -> None:
    """Whatever a request carries: `HUB_AUTH=none`."""
    async with serving(wanted(redis_url, tmp_path)) as hub:
        await stock(hub, {})
        await check(hub, lambda rule: [Case({}, rule.right)])
        read = next(rule for rule in RULES if rule.method == "GET" and rule.scope == "Patient.r")
        assert (await ask(hub, read, Case(bearer("x"), 200))).status_code == 200


async def test_the_documentation_says_what_is_asked(smart: Hub) -> None:
    """Each operation has its refusals and its scope; one that asks nothing has neither."""
    paths = (await smart.client.get(f"{BASE}/openapi.json")).json()["paths"]
    asked = {(method, path): scope for method, path, scope in expected() if not path.endswith("/")}
    for (method, path), scope in asked.items():
        operation = paths[path][method.lower()]
        assert {"401", "403", "404"} <= operation["responses"].keys(), (method, path)
        if scope:  # a Basic's is described with those of all types
            assert [[*each.values()] for each in operation["security"]] == [[[scope]]], (method, path)
    for path in OPEN & paths.keys():
        assert "security" not in paths[path]["get"]
        assert not {"401", "403"} & paths[path]["get"]["responses"].keys()
