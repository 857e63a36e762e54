"""Metrics: each counter is the settlement of real runs, names and labels keep to their definitions, files survive."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from batchsync.errors import ExitCode
from batchsync.observers.durations import Durations, StageTimer
from batchsync.observers.metric_definitions import BUCKETS, METRICS
from batchsync.observers.metrics import MetricsObserver
from batchsync.observers.metrics_memory import NAME, Remembered, updating
from batchsync.ports import JobFinished, JobsReloadFailed, OriginChecked, Progress, RunFinished, VendorCalled
from batchsync_mocks.faults import Fault
from kit.deployment import CDP

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client import Metric

    from kit.deployment import Deployment

NOW = datetime(2026, 11, 30, 7, 30, 14, tzinfo=UTC)
Labels = frozenset[tuple[str, str]]


def samples(text: str) -> dict[str, dict[Labels, float]]:
    """Return the values of an exposition by name and labels, read by the parser of Prometheus' client."""
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def value(found: dict[str, dict[Labels, float]], name: str, **labels: str) -> float:
    return found[name][frozenset(labels.items())]


def written(deployment: Deployment, *arguments: str, expect: int = 0) -> dict[str, dict[Labels, float]]:
    """Return the metrics that a command writes to a file."""
    path = deployment.folder / "batchsync.prom"
    deployment.run(*arguments, "--metrics-file", str(path), expect=expect)
    assert [item.name for item in deployment.folder.glob("batchsync.prom*")] == [path.name]
    return samples(path.read_text(encoding="utf-8"))


def settlements(deployment: Deployment) -> dict[str, Counter[str]]:
    """Return the sums of the settlements that `history` lists, by job."""
    sums: dict[str, Counter[str]] = {}
    for run in deployment.json("history")["runs"]:
        if run["state"] == "settled":
            sums.setdefault(run["job"], Counter(runs=0)).update(run["settlement"] | {"runs": 1})
    return sums


def test_counters_are_the_settlements_of_all_runs(deployment: Deployment) -> None:
    written(deployment, "sync")
    deployment.edit("guest 3,", "Guest Three,", "guests.csv")
    found = written(deployment, "sync")

    sums = settlements(deployment)
    assert set(sums) == {"guests", "vehicles"}
    outcomes = {"unchanged", "accepted", "invalid", "rejected", "unknown", "deferred"}
    for job, sum_of in sums.items():
        for outcome in outcomes:
            assert value(found, "batchsync_rows_total", job=job, outcome=outcome) == sum_of[outcome], (job, outcome)
        assert value(found, "batchsync_runs_total", job=job) == sum_of["runs"] == 2
        assert value(found, "batchsync_batch_file_bytes_total", job=job) == sum_of["bytes"]
        batches = [number for labels, number in found["batchsync_batches_total"].items() if ("job", job) in labels]
        assert sum(batches) == sum_of["batches"]
        assert value(found, "batchsync_job_exit_code", job=job) == 0
        at = value(found, "batchsync_last_settlement_timestamp_seconds", job=job)
        assert at == value(found, "batchsync_last_success_timestamp_seconds", job=job)
    # Calls of both commands: the second continued the histogram of the first.
    uploads = {"connection": "sitecore", "call": "upload", "answer": "ok"}
    assert value(found, "batchsync_vendor_call_duration_seconds_count", **uploads) == 2
    assert value(found, "batchsync_stage_duration_seconds_count", job="guests", stage="compare") == 2


def test_open_batches_and_held_runs_are_gauges(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="PUT", path=r"^/v2/batches/", status=400, times=0))
    found = written(deployment, "sync", "guests", expect=8)
    assert value(found, "batchsync_needs_attention", job="guests") == 1
    assert value(found, "batchsync_open_batches", job="guests", phase="needs_attention") == 1
    assert value(found, "batchsync_job_exit_code", job="guests") == 8
    assert "batchsync_last_success_timestamp_seconds" not in found
    (called,) = [
        labels for labels in found["batchsync_vendor_call_duration_seconds_count"] if ("call", "allocate") in labels
    ]
    assert ("answer", "outcome_unknown") in called

    deployment.mocks.disarm()
    deployment.edit("    budget: {invalid: 5, rejected: 5}\n  guests", "    suspend: true\n  guests")
    deployment.edit("    on_removed: delete\n", "    on_removed: delete\n    guards: {min_rows: 1000}\n")
    deployment.run("cancel", "guests")
    found = written(deployment, "sync", "guests", expect=6)
    assert value(found, "batchsync_awaiting_approval", job="guests") == 1
    assert value(found, "batchsync_job_suspended", job="vehicles") == 1

    deployment.edit("min_rows: 1000", "min_rows: 1")
    found = written(deployment, "sync", "guests", "--no-wait", expect=5)
    assert value(found, "batchsync_awaiting_approval", job="guests") == 0
    assert value(found, "batchsync_open_batches", job="guests", phase="submitted") == 1
    oldest = value(found, "batchsync_oldest_open_batch_timestamp_seconds", job="guests")
    assert oldest <= deployment.mocks.clock.now()


def test_unresolved_rows_end_as_unknown_and_count_again_when_they_are_resolved(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="GET", path="/inspect/", status=404, times=0))
    found = written(deployment, "sync", "guests", expect=8)
    deployment.mocks.disarm()
    assert value(found, "batchsync_unresolved_rows", job="guests") == 29
    assert value(found, "batchsync_rows_total", job="guests", outcome="unknown") == 29

    (batch,) = deployment.json("show", "guests")["runs"][0]["batches"]
    deployment.run("resolve", batch["batch"], "--delivered", "--reason", "seen at the vendor")
    found = written(deployment, "resume", "guests")
    assert value(found, "batchsync_unresolved_rows", job="guests") == 0
    assert value(found, "batchsync_rows_total", job="guests", outcome="unknown") == 29
    assert value(found, "batchsync_rows_total", job="guests", outcome="accepted") == 29


def test_counters_do_not_decrease_when_old_runs_are_deleted(deployment: Deployment) -> None:
    deployment.edit("version: 1\n", "version: 1\nretention: {runs: 1d}\n")
    before = written(deployment, "sync", "guests")
    deployment.mocks.advance(3 * 86400)
    deployment.edit("guest 3,", "Guest Three,", "guests.csv")
    written(deployment, "sync", "guests")
    deployment.mocks.advance(3 * 86400)
    found = written(deployment, "sync", "guests")

    assert len(deployment.json("history", "guests")["runs"]) < 3
    assert value(before, "batchsync_runs_total", job="guests") == 1
    assert value(found, "batchsync_runs_total", job="guests") == 3
    assert value(found, "batchsync_rows_total", job="guests", outcome="accepted") == 30


@pytest.fixture
def observer(tmp_path: Path) -> MetricsObserver:
    return MetricsObserver(tmp_path, jobs=tuple, now=lambda: NOW)


def exposed(observer: MetricsObserver) -> str:
    body, content_type = observer.exposition()
    assert content_type.startswith("text/plain; version=")
    return body.decode()


def test_every_metric_is_defined_and_every_definition_is_exposed(observer: MetricsObserver) -> None:
    observer.observe(JobFinished(job="a", exit_code=ExitCode.DONE, message=""), NOW)
    families: dict[str, Metric] = {item.name: item for item in text_string_to_metric_families(exposed(observer))}

    defined = {item.name.removesuffix("_total") if item.kind == "counter" else item.name: item for item in METRICS}
    assert set(families) == set(defined)
    for name, item in defined.items():
        assert families[name].type == ("gauge" if item.kind == "info" else item.kind), name
        assert families[name].documentation == item.meaning
        for sample in families[name].samples:
            assert set(sample.labels) == set(item.labels)


def test_names_keep_to_the_conventions_of_prometheus() -> None:
    for item in METRICS:
        assert item.name.startswith("batchsync_")
        assert item.name.endswith("_total") == (item.kind == "counter"), item.name
        assert item.name.endswith("_info") == (item.kind == "info")
        assert not set(item.labels) & {"run", "batch", "url", "key", "le", "instance"}
        if item.kind == "histogram" or "timestamp" in item.name:
            assert item.name.endswith("_seconds")


def test_labels_of_any_text_are_read_back(observer: MetricsObserver) -> None:
    name = 'a "b" \\ \n ü'
    called = VendorCalled(
        job=name, connection=name, call="poll", answer="ok", duration=timedelta(seconds=3), run="r", batch="b"
    )
    observer.observe(called, NOW)
    observer.observe(JobsReloadFailed(file="jobs.yaml", secrets=False, error={}), NOW)
    observer.observe(OriginChecked(origin="/srv/jobs", error={}), NOW)

    found = samples(exposed(observer))
    labels = {"connection": name, "call": "poll", "answer": "ok"}
    assert value(found, "batchsync_vendor_call_duration_seconds_sum", **labels) == 3
    assert value(found, "batchsync_vendor_call_duration_seconds_bucket", **labels, le="2.5") == 0
    assert value(found, "batchsync_vendor_call_duration_seconds_bucket", **labels, le="5.0") == 1
    assert value(found, "batchsync_jobs_file_valid") == 0
    assert value(found, "batchsync_origin_reachable") == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2}', '{"version": 1, "totals": 3}', "\x00\xff"])
def test_damaged_memory_counts_as_missing(observer: MetricsObserver, tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content, encoding="utf-8")
    assert value(samples(exposed(observer)), "batchsync_journal_readable") == 1
    assert json.loads((tmp_path / NAME).read_text(encoding="utf-8")) == Remembered().data()


def test_damaged_journal_leaves_other_metrics(observer: MetricsObserver, tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"no database")
    found = samples(exposed(observer))
    assert value(found, "batchsync_journal_readable") == 0
    assert "batchsync_build_info" in found
    assert observer.unready_reason() == "no jobs are loaded"


def test_memory_is_kept_as_it_was(tmp_path: Path) -> None:
    with updating(tmp_path) as remembered:
        remembered.ends["a"] = 4, 1.5
        remembered.calls.add(("sitecore", "poll", "ok"), 0.2)
    with updating(tmp_path) as again:
        assert again.data() == remembered.data()
    with updating(tmp_path / "missing") as none:
        assert none.data() == Remembered().data()


def test_durations_add_up() -> None:
    one, other = Durations(), Durations()
    one.add(("a",), 0.05)
    other.add(("a",), 10**9)
    other.add(("b",), 0.0)
    both = Durations.from_data(json.loads(json.dumps(one.merged(other).data())))
    assert both.cumulative(("a",))[0] == (str(BUCKETS[0]), 1.0)
    assert both.cumulative(("a",))[-1] == ("+Inf", 2.0)
    assert both.cumulative(("b",))[-1] == ("+Inf", 1.0)
    assert one.cumulative(("a",))[-1] == ("+Inf", 1.0)


def test_stages_last_from_the_event_before_them_to_their_last_progress() -> None:
    timer, found = StageTimer(), list[Any]()
    events = (
        (0, VendorCalled(job="a", connection="c", call="describe", answer="ok", duration=timedelta(seconds=1))),
        (2, Progress(job="a", stage="land join 1", done=1, unit="rows")),
        (3, Progress(job="a", stage="compare", done=1, unit="rows")),
        (5, Progress(job="a", stage="compare", done=2, unit="rows")),
        (8, Progress(job="a", stage="stage", done=1, unit="records")),
        (9, Progress(job="a", stage="stage", done=2, unit="records")),
        (99, JobFinished(job="a", exit_code=ExitCode.DONE, message="")),
    )
    for second, event in events:
        assert not isinstance(event, RunFinished)
        if (ended := timer.ended(event, NOW + timedelta(seconds=second))) is not None:
            found.append(ended)
    assert found == [("a", "land join", 2.0), ("a", "compare", 3.0), ("a", "stage", 4.0)]
