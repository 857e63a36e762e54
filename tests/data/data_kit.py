"""Jobs, vendor rules and schemas for tests of the data engine, written by hand."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from inline_executor import Inline

from batchsync.core.batch import Batch, BatchFile, BatchId, Phase, RunId, Verdict
from batchsync.core.job import Job, Source
from batchsync.core.mapping import Array, Each, Expression, Literal, Node, Object
from batchsync.core.naming import row_manifest_key, segment_key
from batchsync.core.policy import Policy
from batchsync.core.record_schema import Kind, RecordSchema, Rule
from batchsync.core.vendor_rules import (
    DefaultOutcome,
    ErrorLayout,
    FileFormat,
    FileRules,
    JoinedBy,
    LogFormat,
    RowLogRules,
    Sends,
    VendorRules,
)
from batchsync.data import PolarsEngine
from batchsync.errors import SourceError
from batchsync.ports import BaselineEntry, CompareContext, Comparison, Downloads, Reject, RowVerdicts
from batchsync.storage.local_folder import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

#: the first line of the small CSV sources
HEAD = "id,name,mail\n"
#: Template of the lines of JSON batch files.
ENVELOPE = {"ref": "{ref}", "schema": "{schema}", "mode": "{mode}", "value": "{record}"}
NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
REF_LOG = RowLogRules(
    joined_by=JoinedBy.REF,
    default_outcome=DefaultOutcome.ACCEPTED,
    errors=ErrorLayout(
        format=LogFormat.JSONL,
        ref="ref",
        code="code",
        message="message",
        ignored_codes=("2",),
        retry_codes=("500",),
    ),
)
INPUT_LOG = RowLogRules(
    joined_by=JoinedBy.INPUTS,
    default_outcome=DefaultOutcome.UNKNOWN,
    results=True,
    errors=ErrorLayout(
        format=LogFormat.JSON,
        items="batchItemsErrors",
        inputs="inputs",
        errors="errors",
        code="errorType",
        message="errorDescription",
        retry_codes=("SERVER_ERROR",),
    ),
)


def node(value: Any) -> Node:
    """Return a mapping node from plain Python: `=sql`, a literal, a dict, a list, or {"each": ...} in a list."""
    if isinstance(value, str) and value.startswith("="):
        return Expression(value[1:])
    if isinstance(value, dict):
        return Object(tuple((name, node(entry)) for name, entry in value.items()))
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], dict) and "each" in value[0]:
            order = tuple(Expression(sql) for sql in value[0].get("order_by", ()))
            return Array((Each(node(value[0]["each"]), order=order),))
        return Array(tuple(node(entry) for entry in value))
    return Literal(value)


def record(value: dict[str, Any]) -> Object:
    """Return a record mapping from plain Python."""
    result = node(value)
    assert isinstance(result, Object)
    return result


def schema(fields: Mapping[str, Rule] | None = None, **more: Any) -> RecordSchema:
    """Return a record schema with these members."""
    root = Rule(kind=Kind.OBJECT, fields=tuple((fields or {}).items()))
    given: dict[str, Any] = {"name": "guest", "modes": ("upsert",), "fields_in": {}, "any_of": {}}
    return RecordSchema(root=root, **(given | more))


def rules(
    *,
    fields: Mapping[str, Rule] | None = None,
    file: FileRules | None = None,
    log: RowLogRules = REF_LOG,
    **more: Any,
) -> VendorRules:
    """Return the rules of a vendor that takes JSON lines in gzip with an envelope by default."""
    gzipped = FileRules(format=FileFormat.JSONL, gzip=True, suffix="json.gz", bytes_max=50_000_000, envelope=ENVELOPE)
    return VendorRules(
        name="vendor",
        title="Vendor",
        default_base_url=None,
        api_hosts=(),
        storage_hosts=(),
        credentials=(),
        account_credential="",
        target_keys={"schema": True},
        modes={"upsert": Sends.RECORDS, "delete": Sends.REMOVALS},
        file=file or gzipped,
        policy=a_policy(),
        row_log=log,
        schemas={"guest": schema(fields, **more)} if log.joined_by == "ref" else {},
    )


def a_policy() -> Policy:
    """Return the default policy; the data engine does not use it."""
    return Policy()


CSV_FILE = FileRules(format=FileFormat.CSV, gzip=False, suffix="csv")


def csv_rules(**more: Any) -> VendorRules:
    """Return the rules of a vendor that takes CSV and returns results and errors by inputs."""
    return rules(file=more.pop("file", CSV_FILE), log=more.pop("log", INPUT_LOG), **more)


#: Baseline without segments.
NOTHING_KNOWN = BaselineEntry(job="job", account_id="")
#: Whether all tests of this folder compare by tasks of an executor, which only a campaign by hand does:
#: `SCATTERED=1 pytest tests/data`.
SCATTERED = bool(os.environ.get("SCATTERED"))
#: Engine for calls that read no object.
ENGINE = PolarsEngine(LocalFolder(Path("no-objects")))


def engine_in(folder: Path, **options: Any) -> PolarsEngine:
    """Return an engine whose objects are in a folder."""
    if SCATTERED:
        options = {"executor": Inline(), "shared": LocalFolder} | options
    return PolarsEngine(LocalFolder(folder), **options)


def segment_paths(folder: Path, baseline: BaselineEntry) -> list[Path]:
    """Return the files of the segments of a baseline, oldest first."""
    return [folder / segment_key(baseline.job, segment.file) for segment in baseline.segments]


def manifest_key(file: BatchFile) -> str:
    """Return the key of the row manifest of a batch file."""
    return row_manifest_key("job", file)


@dataclass
class Bench:
    """One job with its folder, source and baseline. The folder contains its objects."""

    folder: Path
    job: Job
    rules: VendorRules
    baseline: BaselineEntry = NOTHING_KNOWN
    runs: int = 0
    in_flight: tuple[str, ...] = ()
    watermark: str | None = None
    template: tuple[str, ...] | None = None

    @property
    def engine(self) -> PolarsEngine:
        """Return the engine."""
        return engine_in(self.folder)

    def source(self, text: str | bytes, name: str | None = None) -> Path:
        """Write the source."""
        path = self.folder / (name or self.job.source.path)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def change(self, **parts: Any) -> None:
        """Change the job."""
        self.job = replace(self.job, **parts)

    def change_source(self, **parts: Any) -> None:
        """Change the source of the job."""
        self.job = replace(self.job, source=replace(self.job.source, **parts))

    def compare(self) -> Comparison:
        """Compare in a folder of its own."""
        self.runs += 1
        context = CompareContext(
            folder=self.folder / f"work-{self.runs}",
            now=NOW,
            in_flight=self.in_flight,
            watermark=self.watermark,
            template=self.template,
        )
        return self.engine.compare(self.job, self.rules, self.baseline, context)

    def stage(self, comparison: Comparison) -> tuple[BatchFile, ...]:
        """Stage."""
        return self.engine.stage(self.job, self.rules, comparison)

    def records(self) -> list[Any]:
        """Compare, stage, and return the records of all files."""
        return [json.loads(line) for line in self.lines()]

    def lines(self) -> list[str]:
        """Compare, stage, and return the lines of all files."""
        result: list[str] = []
        for entry in self.stage(self.compare()):
            data = Path(entry.path).read_bytes()
            text = (gzip.decompress(data) if self.rules.file.gzip else data).decode()
            result += text.removesuffix("\n").split("\n")
        return result

    def join_outcomes(self, file: BatchFile, verdict: Verdict = Verdict.PROCESSED, **downloads: Any) -> RowVerdicts:
        """Join the outcomes of a file with the vendor's downloads."""
        return self.engine.join_outcomes(
            batch(file, verdict), self.rules, Downloads(**downloads), self.folder / "collected" / file.md5
        )

    def accept_all(self) -> None:
        """Send all changes and have them accepted."""
        for file in self.stage(self.compare()):
            verdicts = self.accepted_verdicts(file)
            self.baseline = self.engine.apply_verdicts(self.baseline, [verdicts], [manifest_key(file)])

    def accepted_verdicts(self, file: BatchFile) -> Path:
        """Return a verdicts file that accepts every row."""
        path = self.folder / f"{file.digest}.verdicts.parquet"
        manifest = pl.read_parquet(file.row_manifest, glob=False)
        ended = (pl.lit("accepted").alias("state"), pl.lit(value=False).alias("retry"), pl.lit("").alias("code"))
        manifest.with_columns(*ended).write_parquet(path)
        return path


def view(folder: Path, baseline: BaselineEntry) -> dict[str, tuple[bytes | None, bytes | None, int | None]]:
    """Return the state of each key in a baseline (accepted, last, last_state), from its files, row by row."""
    known: dict[str, tuple[bytes | None, bytes | None, int | None]] = {}
    for path in segment_paths(folder, baseline):
        columns = ["key", "accepted", "last", "last_state", "as_before"]
        for key, accepted, last, ended, as_before in pl.read_parquet(path, glob=False).select(columns).iter_rows():
            before = known.pop(key, (None, None, None))
            target = before[0] if as_before else accepted
            if target is not None or last is not None:
                known[key] = (target, last, ended)
    return known


def batch(file: BatchFile, verdict: Verdict | None, vendor_status: str = "done") -> Batch:
    """Return a finished batch."""
    return Batch(
        id=BatchId("job-1"),
        run=RunId("run"),
        job="job",
        seq=1,
        file=file,
        phase=Phase.FINISHED,
        prepared_at=NOW - timedelta(hours=1),
        verdict=verdict,
        vendor_status=vendor_status,
    )


def job(folder: Path, mapping: dict[str, Any], **more: Any) -> Job:
    """Return a job over `source.csv` with the key `id`."""
    source: dict[str, Any] = {"path": "source.csv", "folder": str(folder), "key": ("id",)}
    source |= more.pop("source", {})
    given: dict[str, Any] = {"name": "job", "connection": "c", "target": {"schema": "guest"}, "mode": "upsert"}
    given |= {"spec_hash": "ab" * 32, "mapping_hash": "ab" * 32}
    return Job(source=Source(**source), record=record(mapping), **(given | more))


def verdicts(bench: Bench, state: str, *, retry: bool = False, code: str = "") -> None:
    """Send all changes and end them in this state."""
    for file in bench.stage(bench.compare()):
        path = bench.folder / f"{file.digest}.v.parquet"
        ended = [pl.lit(state).alias("state"), pl.lit(retry).alias("retry"), pl.lit(code).alias("code")]
        pl.read_parquet(file.row_manifest).with_columns(ended).write_parquet(path)
        bench.baseline = bench.engine.apply_verdicts(bench.baseline, [path], [manifest_key(file)])


def resolve_first(bench: Bench, *, delivered: bool) -> None:
    """Resolve the unknown outcome of the row with key 1."""
    bench.baseline = bench.engine.resolve(bench.baseline, ["1"], delivered=delivered)


def counts(bench: Bench) -> dict[str, int]:
    """Compare and return the counts that are not 0."""
    found = bench.compare().plan.counts.to_dict()
    return {name: count for name, count in found.items() if count and name not in ("source_rows", "selected", "resent")}


def invalid(comparison: Comparison) -> list[Reject]:
    """Return the invalid rows of a comparison."""
    return [entry for chunk in ENGINE.invalid(comparison) for entry in chunk]


def rejects(verdicts: RowVerdicts) -> list[Reject]:
    """Return the rejected and unknown rows of a batch."""
    return [entry for chunk in ENGINE.rejects(verdicts) for entry in chunk]


def refused(bench: Bench) -> SourceError:
    """Return the error with which a source is refused; it has a hint."""
    with pytest.raises(SourceError) as caught:
        bench.compare()
    assert caught.value.hint
    assert "Traceback" not in caught.value.message
    return caught.value
