"""Every error as an OperationOutcome: https://hl7.org/fhir/R4/operationoutcome.html."""

from collections.abc import Iterable
from logging import getLogger
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.errors import Declined, Refused, Unavailable
from hub.secrets import Unopened
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected

MEDIA_TYPE = "application/fhir+json; charset=utf-8"

UNAVAILABLE = (
    "The hub can't answer at the moment: try again. A write may have been stored all the same, as a whole: repeated as"
    " PUT, or with its Idempotency-Key or If-None-Exist, it makes no second resource."
)

UNOPENED = (
    "The hub can't open what it keeps sealed of this, since it lacks the key. Its operator can add it to"
    " HUB_SECRETS_KEY."
)

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

log = getLogger("hub.api")


def outcome(*issues: Issue, severity: str = "error") -> bytes:
    """The JSON of an OperationOutcome."""
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [_issue(i, severity) for i in issues]})


def _issue(issue: Issue, severity: str) -> dict[str, Any]:
    written = {
        "severity": severity,
        "code": issue.code.value,
        "details": {"text": issue.text},
        "diagnostics": issue.text,
    }
    return written | ({"expression": [issue.expression]} if issue.expression else {})


def failure(error: Exception) -> tuple[int, tuple[Issue, ...], dict[str, str]]:
    """Status, issues and headers that tell a client of an error."""
    match error:
        case Refused():
            return error.status, error.issues, error.headers
        case Rejected():
            return 400, error.issues, {}
        case Declined():
            return 503, (Issue(error.code, str(error)),), {"Retry-After": str(error.retry_after)}
        case Unavailable():
            return 503, (Issue(IssueCode.TRANSIENT, UNAVAILABLE),), {"Retry-After": str(error.retry_after)}
        case Unopened():
            return 500, (Issue(IssueCode.EXCEPTION, UNOPENED),), {}
        case _:
            return 500, (Issue(IssueCode.EXCEPTION, "The hub failed on this request. Its log says where."),), {}


def install(app: FastAPI) -> None:
    """Have every error of an app answered with an OperationOutcome."""
    for type_ in (Refused, Rejected, Unavailable, Unopened):
        app.add_exception_handler(type_, answer)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_parameters)
    app.add_middleware(Unexpected)


async def answer(request: Request, error: Exception) -> Response:
    """What a client is told of an error that was foreseen."""
    status, issues, headers = failure(error)
    if isinstance(error, Unavailable) and not isinstance(error, Declined):  # that is logged once, when it begins
        log.warning("request.unavailable", extra={"reason": str(error)})
    if isinstance(error, Unopened):
        log.error("request.unopened", extra={"reason": str(error)})
    return Response(_written(request, *issues), status, headers, MEDIA_TYPE)


async def _answer_http(request: Request, error: Exception) -> Response:
    """Starlette's own: 404 and 405 of the router, above all."""
    assert isinstance(error, HTTPException)  # noqa: S101 (what it is registered for)
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            issue = Issue(IssueCode.NOT_FOUND, f"There is nothing at {request.url.path}.")
        case 405:
            allowed = ", ".join(_allowed(request))
            headers["Allow"] = allowed
            text = f"{request.method} is not supported at {request.url.path}, which takes {allowed}."
            issue = Issue(IssueCode.NOT_SUPPORTED, text)
        case _:
            issue = Issue(IssueCode.INVALID, str(error.detail))
    return Response(_written(request, issue), error.status_code, headers, MEDIA_TYPE)


async def _answer_parameters(_: Request, error: Exception) -> Response:
    """A parameter of a route that is not what the route declares."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 (what it is registered for)
    issues = (
        Issue(IssueCode.VALUE, f"{detail['loc'][-1]}: {detail['msg']}.", ".".join(map(str, detail["loc"])))
        for detail in error.errors()
    )
    return Response(outcome(*issues), 400, media_type=MEDIA_TYPE)


def _written(request: Request, *issues: Issue) -> bytes:
    """An OperationOutcome, indented if the client wants that."""
    body = outcome(*issues)
    return msgspec.json.format(body, indent=2) if b"_pretty=true" in request.scope["query_string"] else body


def _allowed(request: Request) -> Iterable[str]:
    """The methods that some route takes at this path."""
    for method in _METHODS:
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            yield method


class Unexpected:
    """Answers what nobody foresaw with a 500, and logs where it happened."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            return
        except Exception as error:
            log.exception("request.failed")
            if started:
                raise
            _, issues, _ = failure(error)
            await Response(outcome(*issues), 500, media_type=MEDIA_TYPE)(scope, receive, send)
