"""What is fuzzed: each target runs one input through a parser, and lets only undeclared errors out."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import polars as pl
from data_kit import INPUT_LOG, REF_LOG, Bench, csv_rules, job, rules
from delivery import Delivery
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse
from vendor_kit import MOTORWEB, SITECORE, MockedClock

import batchsync_mocks
from batchsync.core.batch import Verdict
from batchsync.core.mapping import Expression
from batchsync.data.mapping.evaluate import EXPRESSION_ERRORS
from batchsync.data.mapping.expressions import parse
from batchsync.errors import BatchsyncError, Problem, VendorError
from batchsync.ports import Finished
from batchsync.spec import load
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors import http as client_http
from batchsync.vendors.connect import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

DECLARED = (BatchsyncError, VendorError)
JOBS = (Path(__file__).parents[1] / "journeys" / "real_jobs.yaml").read_bytes()


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        examples: Inputs to start from.
        tokens: Parts that mean something in the format.
        run: Parses an input; raises only what is a defect.
    """

    examples: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    run: Callable[[bytes], None]


def jobs_yaml(folder: Path) -> Target:
    """Load a jobs file."""

    def run(data: bytes) -> None:
        path = folder / "jobs.yaml"
        path.write_bytes(data)
        try:
            load(path, environ={"A": "b"})
        except DECLARED as error:
            _check_text(str(error))

    keys = (
        b"jobs",
        b"source",
        b"record",
        b"guards",
        b"schedule: {cron: '* * * * *'}",
        b"send: {since: id}",
        b"where: =a",
    )
    more = (
        b"${A}",
        b"${file:/etc/passwd}",
        b"&a [*a]",
        b"<<: *a",
        b"!!python/object:os.system",
        b"each:",
        b"on_removed: delete",
    )
    return Target((JOBS, JOBS.split(b"jobs:")[0] + b"jobs: {}\n"), (*keys, *more), run)


def expressions(_: Path) -> Target:
    """Compile and evaluate an expression."""
    frame = pl.DataFrame(
        {"a": ["1", "x", None], "b": [1, -(2**63), None], "c": [1.5, float("nan"), None]},
        schema={"a": pl.String, "b": pl.Int64, "c": pl.Float64},
    ).with_columns(d=pl.lit(date(2026, 1, 31)), e=pl.lit(["x"]))

    def run(data: bytes) -> None:
        sql = data.decode("utf-8", "replace")
        for aggregates in (False, True):
            found = parse(Expression(sql), dict(frame.schema), aggregates=aggregates)
            if isinstance(found, Problem):
                _check_text(found.message)
            elif not found.aggregates:
                with contextlib.suppress(EXPRESSION_ERRORS):
                    frame.with_columns(found.expr.alias("result"))

    examples = (
        *(
            b"lower(a) || '-' || b",
            b"CASE WHEN a ~ '^[0-9]+$' THEN CAST(a AS INT) ELSE b % 7 END",
            b"d + INTERVAL '1 day'",
        ),
        *(b"coalesce(nullif(a, ''), CAST(c AS TEXT))", b"regexp_replace(a, '(x)', '\\1', 'g')", b"a::json ->> 'x'"),
        *(b"extract(year from d) BETWEEN 1 AND 2", b"to_char(d, 'YYYY')", b"e[1] IN ('a', NULL)", b"b ^ 2 / 0.5"),
        *(b"sum(b) FILTER (WHERE c > 1)", b"string_agg(DISTINCT a, ',' ORDER BY a DESC)", b"first(a ORDER BY b, c)"),
    )
    tokens = (
        *(
            b"NOT ",
            b" AND ",
            b" OR ",
            b"CASE ",
            b" END",
            b"CAST(",
            b" AS ",
            b"::numeric(10,2)",
            b"INTERVAL ",
            b"NULL",
            b"TRUE",
        ),
        *(
            b"(SELECT 1)",
            b"FROM ",
            b"read_csv('x')",
            b"lpad(a, 2000000000)",
            b"repeat(a, 9999999)",
            b"::date",
            b" AT TIME ZONE 'UTC'",
        ),
        *(
            b"substring(a from 1 for 2)",
            b"E'\\x'",
            b"$$",
            b"--",
            b"/*",
            b"||",
            b"->>",
            b"a.b",
            b'"a"',
            b"max(",
            b"left(a, -1)",
        ),
    )
    return Target(examples, tokens, run)


def csv(folder: Path) -> Target:
    """Compare a CSV source."""
    return _source(folder, "source.csv", (b'id,name,mail\n1,"A ""x"", b",m\n2,,\n', b"id;name;mail\r\n1;a;b\r\n"), ())


def jsonl(folder: Path) -> Target:
    """Compare a source of JSON lines."""
    lines = (b'{"id": 1, "name": "a", "mail": null}\n{"id": 2, "name": {"x": [1.5, true]}, "mail": "\\u00e9"}\n',)
    return _source(
        folder, "source.jsonl", lines, (b'"id":', b'{"id": 1}', b"[[[[", b"1e400", b"\\ud800", b"123456789012345678901")
    )


def parquet(folder: Path) -> Target:
    """Compare a Parquet source, which is read by a helper process first."""
    frame = pl.DataFrame({"id": ["1", "2"], "name": ["a", None], "mail": ["x", "y"]})
    examples = []
    for options in (
        {"compression": "uncompressed"},
        {"compression": "snappy"},
        {"compression": "zstd", "use_pyarrow": True},
    ):
        stream = io.BytesIO()
        frame.write_parquet(stream, **options)  # type: ignore[arg-type]  # options differ in their types
        examples.append(stream.getvalue())
    return _source(folder, "source.parquet", tuple(examples), (b"PAR1", b"\x15\x00", b"\x19\x1c"))


def _source(folder: Path, name: str, examples: tuple[bytes, ...], tokens: tuple[bytes, ...]) -> Target:
    bench = Bench(folder, job(folder, {"id": "=id", "name": "=name", "mail": "=mail"}, source={"path": name}), rules())

    def run(data: bytes) -> None:
        bench.runs = 0
        bench.source(data)
        try:
            bench.compare()
        except DECLARED as error:
            _check_text(str(error))

    return Target(examples, tokens, run)


def row_logs(folder: Path) -> Target:
    """Join the row logs of vendors with the rows of a batch."""
    by_ref, by_inputs = folder / "ref", folder / "inputs"
    refs = Bench(by_ref, job(by_ref, {"id": "=id"}), rules(log=REF_LOG))
    inputs = Bench(by_inputs, job(by_inputs, {"vin": "=name", "state": "=mail"}, target={}), csv_rules(log=INPUT_LOG))
    files = []
    for bench in (refs, inputs):
        bench.folder.mkdir()
        bench.source("id,name,mail\n1,A,VIC\n2,B,NSW\n")
        files += bench.stage(bench.compare())
    manifest = pl.read_parquet(files[0].row_manifest)
    ref = str(manifest["ref"][0]) if "ref" in manifest.columns else "1"

    def run(data: bytes) -> None:
        path = folder / "log"
        path.write_bytes(data)
        for bench, file, name in (
            (refs, files[0], "errors"),
            (inputs, files[1], "errors"),
            (inputs, files[1], "results"),
        ):
            for verdict in (Verdict.PROCESSED, Verdict.MIXED):
                try:
                    found = bench.join_outcomes(file, verdict, **{name: path})
                except DECLARED as error:
                    _check_text(str(error))
                else:
                    assert found.counts.total == file.rows, "the counts do not add up to the rows"

    examples = (
        f'{{"ref":"{ref}","code":"400","message":"no"}}\n'.encode(),
        b"vin,state,r\nA,VIC,x\nB,NSW,y\n",
        json.dumps(
            {"batchItemsErrors": [{"inputs": {"vin": "A", "state": "VIC"}, "errors": [{"errorType": "V"}]}]}
        ).encode(),
    )
    return Target(
        examples, (ref.encode(), b'"ref":', b"[", b"PK\x03\x04", b"\x1f\x8b", b"batchItemsErrors", b"\xff\xfe"), run
    )


class _MutatingAdapter(HTTPAdapter):
    """Sends requests to the mocks, and changes the response to one of them."""

    changes: Callable[[int, bytes], bytes]
    seen: list[int]
    lasting = HTTPAdapter()

    def __init__(self, *_: Any, **__: Any) -> None:
        """Use one adapter for all requests."""
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, and return its changed response."""
        response = self.lasting.send(request, *args, **kwargs)
        raw = response.raw
        head = json.dumps([raw.status, list(raw.headers.items())]).encode()
        body = raw.read(decode_content=False)
        raw.close()
        self.seen[0] += 1
        head, body = self.changes(2 * self.seen[0], head), self.changes(2 * self.seen[0] + 1, body)
        status, headers = _head_of(head)
        changed = HTTPResponse(
            body=io.BytesIO(body), headers=headers, status=status, preload_content=False, request_method=request.method
        )
        return self.lasting.build_response(request, changed)


def _head_of(data: bytes) -> tuple[int, HTTPHeaderDict]:
    """Return status and headers from their changed JSON; those that HTTP cannot carry are left out."""
    try:
        status, pairs = json.loads(data)
        headers = HTTPHeaderDict([(str(name), str(value)) for name, value in pairs])
        return int(status) if 200 <= int(status) <= 599 else 200, headers
    except (ValueError, TypeError, OverflowError):
        return 200, HTTPHeaderDict()


def vendor_answers(folder: Path) -> Target:
    """Deliver a batch to the mocks, with one changed answer: head or body of any call of both vendors.

    An input is the number of the change, and what is put there.
    """
    running = batchsync_mocks.serve(seed=1, state_dir=folder / "mocks")

    def run(data: bytes) -> None:
        place, _, content = data.partition(b"|")
        number = int.from_bytes(place[:2], "big") % 40
        name = (SITECORE, MOTORWEB)[number % 2]
        running.reset()
        seen = [0]

        def change(at: int, given: bytes) -> bytes:
            return content if at == number // 2 + 2 else given

        adapter = type("Adapter", (_MutatingAdapter,), {"changes": staticmethod(change), "seen": seen})
        with mock.patch.object(client_http, "DeadlineAdapter", adapter):
            _deliver(running, name, folder)

    bodies = (
        b'{"ref":"x","status":{"code":"success"},"location":{"href":"http://127.0.0.1/x","expires":"2026-01-01T00:00Z"}}',
        b'{"batchId":"b","status":"COMPLETE","url":"http://127.0.0.1/x","expiry":"2026-01-01T00:00:00Z","rowsInBatch":1}',
        b'[200, [["Content-Type", "application/json"], ["Date", "x"], ["Retry-After", "-1"]]]',
        b'{"access_token":"t","expires_in":3600,"token_type":"Bearer"}',
        b"<Error><Code>SlowDown</Code></Error>",
    )
    examples = tuple(bytes([0, number]) + b"|" + body for number in range(40) for body in bodies)
    tokens = (
        b'"status":',
        b"[302, ",
        b'["Location", "http://x/"]',
        b'["Content-Encoding", "gzip"]',
        b"-1",
        b"1e9",
        b"Date",
    )
    return Target(examples, tokens, run)


def _deliver(running: batchsync_mocks.Running, name: str, folder: Path) -> None:
    """Deliver a batch and collect its results; declared errors end it."""
    vendor_rules = load_vendor(name)
    assert vendor_rules.dialect is not None
    limits = replace(vendor_rules.dialect.limits, read=timedelta(seconds=2))
    client = connect(
        replace(vendor_rules, dialect=replace(vendor_rules.dialect, limits=limits)),
        base_url=running.urls[name],
        credentials=running.credentials(name),
        ca_bundle=None,
        clock=MockedClock(running.clock),
        user_agent="fuzz",
    )
    try:
        delivery = Delivery(client, name, folder)
        allocation = delivery.upload()
        for _ in range(6):
            status = client.poll(allocation)
            if isinstance(status, Finished):
                client.collect(allocation, status.verdict, folder / "collected")
                break
            running.advance(900)
    except DECLARED as error:
        _check_text(str(error))


def _check_text(text: str) -> None:
    """Check that an error is a sentence for people, not the text of an exception."""
    assert "Traceback" not in text, text
    assert "panicked" not in text, text


TARGETS_BY_NAME: Mapping[str, Callable[[Path], Target]] = {
    "jobs_yaml": jobs_yaml,
    "expressions": expressions,
    "csv": csv,
    "jsonl": jsonl,
    "parquet": parquet,
    "row_logs": row_logs,
    "vendor_answers": vendor_answers,
}
