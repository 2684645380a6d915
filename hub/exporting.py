"""
Spans as OpenTelemetry has them, sent to a collector by OTLP over HTTP: the one home of its SDK, whose OTEL_* variables
say where to, how many, and how large batches are.

Names and attributes are those of its semantic conventions for HTTP and messaging, and ids of the trip as `hub.…`; never
content, nor a path or query that a client wrote. A thread of the process' own sends them, in the background: spans that
a collector does not take are lost, which is said once when it begins and once when it has ended.
"""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from threading import Thread
from urllib.parse import urlsplit
from uuid import uuid4

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.environment_variables import OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes, url_attributes
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as Recorded

from hub.tracing import Span, Traces

log = logging.getLogger("hub.traces")

#: Seconds that a process which ends waits for its last spans to be sent.
LAST_SECONDS = 2.0

#: What the conventions have no constant of that is stable.
SYSTEM, OPERATION, TYPE = "messaging.system", "messaging.operation.name", "messaging.operation.type"
DESTINATION, PARTITION = "messaging.destination.name", "messaging.destination.partition.id"
MESSAGE, COUNT, RESENT = "messaging.message.id", "messaging.batch.message_count", "http.request.resend_count"

Attributes = Mapping[str, str | int]


class _Kept(Span):
    """A span that is kept."""

    def __init__(self, span: Recorded, name: str) -> None:
        self._span, self._name = span, name
        context = span.get_span_context()
        if context.is_valid:  # else the SDK itself is switched off
            self.trace = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def stored(self, change: str) -> None:
        self._span.add_event("change.stored", {"hub.change": change})

    def answered(self, status: int, route: str) -> None:
        self._span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
        if route:
            self._span.set_attribute(http_attributes.HTTP_ROUTE, route)
            self._span.update_name(f"{self._name} {route}")
        self._end(str(status) if status >= 500 else "")

    def matched(self, subscriptions: int) -> None:
        self._span.set_attribute("hub.subscriptions", subscriptions)
        self._end()

    def settled(self, outcome: str, status: int, error: str) -> None:
        self._span.set_attribute("hub.outcome", outcome)
        if status:
            self._span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
        self._end(error)

    def _end(self, error: str = "") -> None:
        if error:
            self._span.set_attribute(error_attributes.ERROR_TYPE, error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Exported(Traces):
    """Those of one process."""

    on = True

    def __init__(self) -> None:
        own = {SERVICE_INSTANCE_ID: str(uuid4())}
        if not (
            os.environ.get(OTEL_SERVICE_NAME) or f"{SERVICE_NAME}=" in os.environ.get(OTEL_RESOURCE_ATTRIBUTES, "")
        ):
            own[SERVICE_NAME] = "fhir-event-hub"
        self._provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_Collector()))
        self._tracer = self._provider.get_tracer("hub")

    def request(self, method: str, scheme: str, parent: str) -> Span:
        attributes = {http_attributes.HTTP_REQUEST_METHOD: method, url_attributes.URL_SCHEME: scheme}
        return self._begun(method, SpanKind.SERVER, attributes, [parent])

    def match(self, parent: str, *, change: str, id_: str, partition: int) -> Span:
        attributes = {
            SYSTEM: "fhir_event_hub",
            OPERATION: "match",
            TYPE: "process",
            DESTINATION: "changes",
            PARTITION: str(partition),
            MESSAGE: id_,
            "hub.change": change,
        }
        return self._begun("match changes", SpanKind.CONSUMER, attributes, [parent])

    def attempt(
        self,
        parents: Sequence[str],
        *,
        method: str,
        endpoint: str,
        subscription: str,
        kind: str,
        events: tuple[int, int],
        attempt: int,
    ) -> Span:
        to = urlsplit(endpoint)
        first, last = events
        attributes: dict[str, str | int] = {
            http_attributes.HTTP_REQUEST_METHOD: method,
            url_attributes.URL_SCHEME: to.scheme,
            server_attributes.SERVER_ADDRESS: to.hostname or "",
            server_attributes.SERVER_PORT: to.port or (443 if to.scheme == "https" else 80),
            SYSTEM: "fhir_event_hub",
            OPERATION: "deliver",
            TYPE: "send",
            "hub.subscription": subscription,
            "hub.kind": kind,
            "hub.attempt": attempt,
        }
        if last:
            attributes |= {"hub.first_event": first, "hub.last_event": last, COUNT: last - first + 1}
        if attempt > 1:
            attributes[RESENT] = attempt - 1
        return self._begun(method, SpanKind.CLIENT, attributes, parents)

    async def close(self) -> None:
        # The SDK waits for longer, and for as long as it does a thread that is no daemon would keep the process.
        thread = Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, LAST_SECONDS)

    def _begun(self, name: str, kind: SpanKind, attributes: Attributes, parents: Sequence[str]) -> Span:
        contexts = [_context(each) for each in dict.fromkeys(parents) if each]
        context, links = Context(), [Link(each) for each in contexts[1:]]
        if contexts:
            context = set_span_in_context(NonRecordingSpan(contexts[0]), context)
        return _Kept(self._tracer.start_span(name, context, kind, attributes, links), name)


def _context(trace: str) -> SpanContext:
    _, trace_id, span_id, flags = trace.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


class _Collector(SpanExporter):
    """A collector, of which it is said when it is away and when it is back; the SDK says it of each batch."""

    def __init__(self) -> None:
        self._said = logging.getLogger(trace_exporter.__name__)
        self._said.addFilter(self._hear)
        self._exporter = trace_exporter.OTLPSpanExporter()
        self._reason, self._lost = "", 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._reason = ""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                log.warning("traces.away", extra={"reason": self._reason})
            self._lost += len(spans)
        elif self._lost:
            log.warning("traces.back", extra={"lost": self._lost})
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK gives it no type
        self._said.removeFilter(self._hear)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _hear(self, record: logging.LogRecord) -> bool:
        """Keep what the SDK says first of a batch: the reason, which is ours to say."""
        self._reason = self._reason or record.getMessage()
        return False
