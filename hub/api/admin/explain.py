"""`/admin/explain`: why a change concerns a Subscription, or not: what `$explain` says, in JSON of our own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hub.api.admin.named import Named
from hub.api.admin.shown import json, reasons
from hub.api.documentation import catalogued as documentation
from hub.api.exchange import Exchange
from hub.api.explaining import Explaining, Found
from hub.api.given import Given
from hub.api.members import members
from hub.api.routes import Route
from hub.errors import Refused
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.explanation import OTHER_TYPE, Explanation

_RESOURCES, _TEXTS = ("resource", "previous"), ("reference", "interaction")
_TAKEN = frozenset({"version", "subscription", *_RESOURCES, *_TEXTS})


@dataclass(frozen=True, slots=True)
class AdminExplain:
    """
    For one tenant.

    max_body, max_nesting: Bytes and levels of JSON.
    """

    named: Named
    max_body: int
    max_nesting: int

    def routes(self) -> Iterator[Route]:
        yield Route("POST", "/admin/explain", self.explain, documentation.EXPLAIN)

    async def explain(self, request: Request) -> Response:
        """Of a Subscription that is here or given, and a change that happened or is given."""
        exchange = Exchange(request)
        body = await members(exchange, _TAKEN, max_body=self.max_body, max_nesting=self.max_nesting)
        version, subscription = body.get("version", FhirVersion.R4.value), body.get("subscription")
        if version not in list(FhirVersion):
            text = f"`version` must be one of {', '.join(FhirVersion)}."
            raise Refused.because(400, IssueCode.VALUE, text, "version")
        explaining, given = self.named.bases[FhirVersion(version)].explaining, _given(body)
        if isinstance(subscription, str):
            return json(await self._of_one(exchange, explaining, subscription, given))
        if not isinstance(subscription, dict):
            text = "`subscription` must be the id of one, or the resource."
            raise Refused.because(400, IssueCode.REQUIRED, text, "subscription")
        if "reference" in given.texts:
            text = "What became of a change that happened is known of Subscriptions that are here: name one by its id."
            raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, "reference")
        return json(_supposed(await explaining.of_sent(exchange, subscription, given)))

    async def _of_one(self, exchange: Exchange, explaining: Explaining, id_: str, given: Given) -> dict[str, Any]:
        if "reference" in given.texts:
            return _happened(await explaining.of_named(exchange.caller, id_, given))
        return _supposed(await explaining.of_supposed(exchange, id_, given))


def _given(body: dict[str, Any]) -> Given:
    given = Given()
    for name in body.keys() & {*_RESOURCES, *_TEXTS}:
        match body[name]:
            case dict(resource) if name in _RESOURCES:
                given.resources[name] = resource
            case str(text) if name in _TEXTS:
                given.texts[name] = text
            case _:
                what = "a resource" if name in _RESOURCES else "a text"
                raise Refused.because(400, IssueCode.VALUE, f"`{name}` must be {what}.", name)
    return given


def _supposed(why: Explanation) -> dict[str, Any]:
    text = "The change concerns the Subscription." if why.matched else _why_not(why)
    return {**reasons(why, found=True), "text": text, "remarks": []}


def _happened(found: Found) -> dict[str, Any]:
    told = reasons(found.why, found=True) if found.why else {"matched": None, "trigger": [], "filters": []}
    remarks = [*found.fact.remarks(expected=found.expected).values(), *filter(None, (found.error,))]
    return {**told, "text": found.fact.text, "remarks": remarks}


def _why_not(why: Explanation) -> str:
    """The first of what stands against it."""
    if not why.trigger.fired:
        return f"The topic does not fire: {why.trigger.reason}."
    if not why.type_allowed:
        return OTHER_TYPE
    failed = [each for each in why.filters if each.error]
    if failed:
        return f"A filter can't be evaluated, which is no match: {failed[0].filter.text}: {failed[0].error}"
    unmet = [each.filter.text for each in why.filters if each.matched is False]
    return f"A filter does not match: {unmet[0]}" if unmet else "It does not concern the Subscription."
