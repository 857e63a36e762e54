"""Traces of a real run, received by a server that decodes OTLP: spans of run, batches and calls, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from kit.command_forks import command_forks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from werkzeug import Request

    from kit.deployment import Deployment

ERROR = 2


class Receiver:
    """A receiver of OTLP over HTTP that keeps what it got."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("")
        self.requests: list[ExportTraceServiceRequest] = []
        server.expect_request("/v1/traces", method="POST").respond_with_handler(self._receive)

    def _receive(self, request: Request) -> Response:
        assert request.content_type == "application/x-protobuf"
        self.requests.append(ExportTraceServiceRequest.FromString(request.get_data()))
        return Response(b"", content_type="application/x-protobuf")

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with HTTPServer() as server:
        yield Receiver(server)


def attributes(span: Span) -> dict[str, object]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value") for item in span.attributes}


def run(deployment: Deployment, *arguments: str, expect: int = 0, **variables: str) -> str:
    environ = deployment.environ() | variables
    done = command_forks().run(arguments, cwd=deployment.folder, environ=environ, timeout=60)
    assert done.returncode == expect, done.stderr
    return done.stderr


def test_run_has_spans_of_its_batches_and_calls(deployment: Deployment, receiver: Receiver) -> None:
    run(deployment, "sync", "guests", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    spans = {span.span_id: span for span in receiver.spans}
    (of_run,) = [span for span in spans.values() if span.name == "run guests"]
    (of_batch,) = [span for span in spans.values() if span.name == "batch guests"]
    calls = [span for span in spans.values() if "batchsync.call" in attributes(span)]
    assert (of_run.parent_span_id, of_batch.parent_span_id) == (b"", of_run.span_id)
    assert {span.trace_id for span in spans.values() if span.parent_span_id} == {of_run.trace_id}
    assert attributes(of_run)["batchsync.rows.accepted"] == 29
    assert attributes(of_run)["batchsync.run.state"] == "settled"
    assert attributes(of_batch)["batchsync.batch.verdict"] == "processed"
    assert [event.name for event in of_batch.events][-1] == "delivered"
    of_calls = {attributes(span)["batchsync.call"]: span for span in calls}
    assert {"describe", "allocate", "upload", "poll", "collect"} <= set(of_calls)
    assert of_calls["upload"].parent_span_id == of_batch.span_id
    assert of_calls["describe"].parent_span_id == b""
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())
    (resource, *_) = receiver.requests[0].resource_spans
    named = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert named["service.name"] == "batchsync"
    content = b"".join(request.SerializeToString() for request in receiver.requests)
    assert not [text for text in (b"http", b"X-Amz", b"@example.com", b"Signature") if text in content]
    assert not [text for text in deployment.mocks.credentials("sitecore-cdp").values() if text.encode() in content]


def test_unfinished_run_is_continued_by_the_next_process(deployment: Deployment, receiver: Receiver) -> None:
    variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}v1/traces", "OTEL_SERVICE_NAME": "nightly"}
    run(deployment, "sync", "guests", "--no-wait", expect=5, **variables)
    run(deployment, "resume", "guests", **variables)

    found = [attributes(span) for span in receiver.spans if span.name == "run guests"]
    assert [item.get("batchsync.run.state") for item in found] == ["prepared", "settled"]
    batches = [attributes(span) for span in receiver.spans if span.name == "batch guests"]
    assert [item.get("batchsync.unfinished", False) for item in batches] == [True, False]
    (resource, *_) = receiver.requests[0].resource_spans
    named = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert named["service.name"] == "nightly"


def test_receiver_that_fails_is_no_failure_of_the_run(deployment: Deployment) -> None:
    with HTTPServer() as server:
        server.expect_request("/v1/traces").respond_with_data("no", status=400)
        shown = run(deployment, "sync", "guests", OTEL_EXPORTER_OTLP_ENDPOINT=server.url_for(""))
        assert server.log
    assert all(line[:4].isdigit() for line in shown.splitlines()), shown


@pytest.mark.parametrize("variable", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_traces_are_switched_off(deployment: Deployment, receiver: Receiver, variable: dict[str, str]) -> None:
    run(deployment, "sync", "guests", "--no-wait", expect=5, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **variable)
    assert receiver.requests == []
