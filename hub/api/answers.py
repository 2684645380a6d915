"""What clients are told of a version of a resource: https://hl7.org/fhir/R4/http.html#general."""

from hub.api.exchange import Answer
from hub.errors import Overtaken, Refused, Unavailable
from hub.keys import ResourceId
from hub.store import Version
from hub.write import Put, PutResult, Write
from subscriptions.codes import Interaction, IssueCode
from subscriptions.errors import Issue


def deleted(name: str, version: int) -> Refused:
    """What a read of a version that is a delete is told. `name` is the one that was asked for."""
    return Refused(410, Issue(IssueCode.DELETED, f"{name} was deleted."), headers={"ETag": f'W/"{version}"'})


def gone(name: str) -> Refused:
    """What whoever asks for something that was erased is told."""
    return Refused.because(410, IssueCode.DELETED, f"{name} was erased.")


def stored(write: Write, result: PutResult) -> Answer:
    """The answer to a write that was done."""
    status = 201 if result.interaction is Interaction.CREATE else 200
    location = f"{write.resource.type}/{write.resource.id}/_history/{result.version}"
    return Answer(status, write.body(result.version), location, result.version, write.at)


def check_done(write: Write, result: PutResult) -> None:
    """Raise what a client is told of a write that was not done; nothing of one that was."""
    name = f"{write.resource.type}/{write.resource.id}"
    match result.outcome:
        case Put.DIFFERS:
            reason = "This Idempotency-Key was used with another body: take a new one."
            raise Refused.because(422, IssueCode.BUSINESS_RULE, reason)
        case Put.ERASED:
            raise gone(name)
        case Put.EXISTS:
            raise Refused.because(409, IssueCode.DUPLICATE, f"{name} exists already.")
        case Put.CONFLICT:
            there = f"at version {result.version}" if result.version else "not there"
            raise Overtaken.because(412, IssueCode.CONFLICT, f"{name} is {there}, not as the request expects.")
        case Put.FENCED:
            raise Unavailable("a conditional create took too long: somebody else may do it now")


def answer_of(resource: ResourceId, version: Version) -> Answer:
    """A version as it is read."""
    location = f"{resource.type}/{resource.id}/_history/{version.number}"
    at = round(version.at.timestamp() * 1000)
    return Answer(200, version.body or b"", location, version.number, at)


def topic_here() -> Refused:
    """What whoever would write a topic as a Basic is told."""
    text = "This is a topic: it is changed and deleted as SubscriptionTopic at /fhir/r4b or /fhir/r5."
    return Refused(405, Issue(IssueCode.NOT_SUPPORTED, text), headers={"Allow": "GET, HEAD"})
