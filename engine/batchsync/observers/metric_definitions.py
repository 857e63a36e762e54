"""All metrics: name, kind, labels and meaning. `docs/metrics.md` is generated from this list.

Labels have few values: jobs, connections and words of ours. No run, batch, key or URL is a label.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. `kind` is counter, gauge, histogram or info, in the words of Prometheus."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


#: Upper bounds of the buckets of histograms, in seconds.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)

ROWS = Metric("batchsync_rows_total", "counter", ("job", "outcome"), "Rows of settled runs by outcome.")
RUNS = Metric("batchsync_runs_total", "counter", ("job",), "Settled runs.")
BATCHES = Metric("batchsync_batches_total", "counter", ("job", "verdict"), "Batches of settled runs by verdict.")
FILE_BYTES = Metric(
    "batchsync_batch_file_bytes_total", "counter", ("job",), "Bytes of the batch files of settled runs."
)
OPEN_BATCHES = Metric(
    "batchsync_open_batches", "gauge", ("job", "phase"), "Batches that are not delivered, by phase; 0 where none is."
)
OLDEST_BATCH = Metric(
    "batchsync_oldest_open_batch_timestamp_seconds",
    "gauge",
    ("job",),
    "When the oldest open batch was prepared. Its age: `time()` minus this. Missing without open batches.",
)
NEEDS_ATTENTION = Metric(
    "batchsync_needs_attention", "gauge", ("job",), "Batches that wait for a person: `batchsync status` says why."
)
UNRESOLVED_ROWS = Metric(
    "batchsync_unresolved_rows",
    "gauge",
    ("job",),
    "Rows of settled runs whose outcome is unknown until it is resolved.",
)
AWAITING_APPROVAL = Metric(
    "batchsync_awaiting_approval", "gauge", ("job",), "1 if the newest run waits for an approval, else 0."
)
LAST_SETTLEMENT = Metric(
    "batchsync_last_settlement_timestamp_seconds", "gauge", ("job",), "When a run was settled last."
)
LAST_SUCCESS = Metric(
    "batchsync_last_success_timestamp_seconds",
    "gauge",
    ("job",),
    "When a run was settled last within its budget, without rows of unknown outcome.",
)
NEXT_TICK = Metric(
    "batchsync_next_tick_timestamp_seconds",
    "gauge",
    ("job",),
    "When the schedule fires next after the last tick that was begun: in the past if a tick is late. Missing for a job "
    "without schedule and for a suspended one.",
)
SUSPENDED = Metric("batchsync_job_suspended", "gauge", ("job",), "1 if jobs.yaml suspends the job, else 0.")
EXIT_CODE = Metric("batchsync_job_exit_code", "gauge", ("job",), "Exit code with which the job ended last.")
FINISHED = Metric("batchsync_job_finished_timestamp_seconds", "gauge", ("job",), "When the job ended last.")
JOBS_FILE_VALID = Metric(
    "batchsync_jobs_file_valid",
    "gauge",
    (),
    "0 if the jobs file, or one job of it, cannot be used as it is now, so that an earlier version is active; else 1.",
)
ORIGIN_REACHABLE = Metric(
    "batchsync_origin_reachable",
    "gauge",
    (),
    "0 if the branch or folder that `serve` follows cannot be asked for changes, so that merged ones do not arrive; "
    "else 1.",
)
LAST_TURN = Metric(
    "batchsync_loop_last_turn_timestamp_seconds", "gauge", (), "When the loop of `serve` gave a sign of life last."
)
JOURNAL_BYTES = Metric("batchsync_journal_bytes", "gauge", (), "Size of the journal, write-ahead log included.")
JOURNAL_READABLE = Metric(
    "batchsync_journal_readable", "gauge", (), "0 if the journal cannot be opened; metrics from it are missing then."
)
BUILD = Metric("batchsync_build_info", "info", ("version",), "1; the version is a label.")
CALL_DURATION = Metric(
    "batchsync_vendor_call_duration_seconds",
    "histogram",
    ("connection", "call", "answer"),
    "Duration of vendor calls by call and by what the answer proves.",
)
STAGE_DURATION = Metric(
    "batchsync_stage_duration_seconds",
    "histogram",
    ("job", "stage"),
    "Duration of the stages of a run: land, compare, stage.",
)

METRICS = (
    ROWS,
    RUNS,
    BATCHES,
    FILE_BYTES,
    OPEN_BATCHES,
    OLDEST_BATCH,
    NEEDS_ATTENTION,
    UNRESOLVED_ROWS,
    AWAITING_APPROVAL,
    LAST_SETTLEMENT,
    LAST_SUCCESS,
    NEXT_TICK,
    SUSPENDED,
    EXIT_CODE,
    FINISHED,
    JOBS_FILE_VALID,
    ORIGIN_REACHABLE,
    LAST_TURN,
    JOURNAL_BYTES,
    JOURNAL_READABLE,
    BUILD,
    CALL_DURATION,
    STAGE_DURATION,
)
