"""`/admin/erase`: what operators want erased, and how that stands, in JSON of our own."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.api.documentation import administration as documentation
from hub.api.exchange import Exchange
from hub.api.members import members
from hub.api.routes import Route
from hub.erasing import Erasing
from hub.erasures import Erasure, Found, Order, Stage
from hub.errors import Refused
from hub.ingest import is_id, stored_types
from subscriptions.codes import FhirVersion, IssueCode

#: Seconds that a request waits for all of it; the clock goes on.
PATIENCE = 20.0

_TAKEN = frozenset({"resource", "version", "compartment", "dryRun"})


@dataclass(frozen=True)
class Erasures:
    """
    What operators of one tenant want erased.

    url: What its administration is below.
    max_body, max_nesting: Bytes and levels of JSON.
    """

    tenant: str
    url: str
    erasing: Erasing
    max_body: int
    max_nesting: int

    def routes(self) -> Iterator[Route]:
        yield Route("POST", "/admin/erase", self.erase, documentation.ERASE)
        yield Route("GET", "/admin/erasures/{erasure}", self.read, documentation.ERASURE)

    async def erase(self, request: Request) -> Response:
        """Erase a resource, or a patient's compartment: 200 when all of it is done, 202 when it goes on."""
        exchange = Exchange(request)
        body = await members(exchange, _TAKEN, max_body=self.max_body, max_nesting=self.max_nesting)
        order = _ordered(body, self.tenant, exchange.client)
        if not order.compartment and await self.erasing.census.one(order.resource) is None:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"{order.name} is not known at /fhir/{order.version}.")
        if body.get("dryRun"):
            _, found = await self.erasing.find(order)
            return JSONResponse(shown(Erasure("", order, Stage.FINDING, found)))
        id_ = await self.erasing.order(order)
        try:
            async with asyncio.timeout(PATIENCE):
                erasure = await self.erasing.go_on(id_)
        except TimeoutError:
            erasure = await self.erasing.erasures.read(id_)
        return self._answer(erasure)

    async def read(self, request: Request) -> Response:
        """How an erasure stands."""
        erasure = await self.erasing.erasures.read(request.path_params["erasure"])
        if erasure is None or erasure.order.tenant != self.tenant:
            raise Refused.because(404, IssueCode.NOT_FOUND, "There is no such erasure, or it is long done.")
        return JSONResponse(shown(erasure))

    def _answer(self, erasure: Erasure | None) -> Response:
        assert erasure  # noqa: S101 (it was noted just now, and is for a month)
        done = erasure.stage is Stage.DONE
        headers = {} if done else {"Location": f"{self.url}/admin/erasures/{erasure.id}"}
        return JSONResponse(shown(erasure), 200 if done else 202, headers)


def _ordered(body: dict[str, Any], tenant: str, by: str) -> Order:
    """The order to erase that operators write. Raises Refused: 400."""
    for name in ("compartment", "dryRun"):
        if not isinstance(body.get(name, False), bool):
            raise Refused.because(400, IssueCode.VALUE, f"`{name}` must be true or false.", name)
    if (version := body.get("version", FhirVersion.R4.value)) not in list(FhirVersion):
        raise Refused.because(400, IssueCode.VALUE, f"`version` is one of {', '.join(FhirVersion)}.", "version")
    return order_of(str(body.get("resource", "")), FhirVersion(version), tenant, by, body.get("compartment", False))


def order_of(name: str, version: FhirVersion, tenant: str, by: str, compartment: bool) -> Order:
    """The order to erase `Type/id`. Raises Refused: 400."""
    type_, _, id_ = name.partition("/")
    if type_ not in stored_types(version) or not is_id(id_):
        text = f"`resource` must be `Type/id`, such as Patient/123, of a type that is kept for FHIR {version.upper()}."
        raise Refused.because(400, IssueCode.VALUE, text, "resource")
    if compartment and type_ != "Patient":
        raise Refused.because(400, IssueCode.VALUE, f"A {type_} has no compartment; a Patient has.", "compartment")
    return Order(tenant, version, type_, id_, compartment, by)


def shown(erasure: Erasure) -> dict[str, Any]:
    """How an erasure stands, as operators read it; of a dry run it has no id."""
    order, found = erasure.order, erasure.found or Found()
    told: dict[str, Any] = {"id": erasure.id} if erasure.id else {"dryRun": True}
    told |= {
        "resource": order.name,
        "version": order.version.value,
        "compartment": order.compartment,
        "state": erasure.stage.value,
        "erased": found.resources,
        "versions": found.versions,
        "stillMentionedIn": found.mentioned,
        "linkedPatients": found.linked,
        "notUnderstood": found.unread,
    }
    return told | ({"files": erasure.files or "written anew"} if erasure.stage is Stage.DONE else {})
