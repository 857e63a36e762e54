"""Comparison of a client's row counts with the vendor's ledger, by batch.

The counts are read from a settlement as JSON (`batchsync -o json show` or `history`), or from the journal in a state
folder, read-only.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

JOURNAL = "journal.db"
_OUTCOMES = ("accepted", "rejected")
#: Counts besides the equation, in a settlement or in the plan counts of a journal. Every other count is an outcome.
_FIGURES = frozenset({"in_flight", "needs_attention", "batches", "bytes", "sent"})
_FIGURES |= {"source_rows", "added", "changed", "removed", "resent", "unstaged"}
#: Prefix of an outcome in the plan counts of a journal if an earlier run sent the row.
_EARLIER = "still_"
#: Keys of a run that contain its settlement.
_SETTLEMENT_KEYS = ("settlement", "equation")
Settled = str | Path | Mapping[str, Any] | Iterable[Any]


class LedgerSource(Protocol):
    """Source of a vendor's ledger: a fixture of the plugin, or `Running.of(vendor)`."""

    @property
    def name(self) -> str:
        """Name of the vendor."""
        ...

    def ledger(self) -> Sequence[Mapping[str, Any]]:
        """Return every delivered row, with its batch and outcome (`LedgerEntry`)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """Row counts of a settled run.

    Attributes:
        job: Name of the job.
        selected: Number of selected rows, the left side of the equation.
        outcomes: Row counts by outcome, the terms of its right side.
        batches: Row counts by allocation id and outcome; None if they are not available by batch.
    """

    job: str
    selected: int
    outcomes: Mapping[str, int]
    batches: Mapping[str, Mapping[str, int]] | None


def assert_matches_ledger(
    settled: Settled, mock: LedgerSource, *, jobs: Collection[str] | None = None, unknown: int = 0
) -> None:
    """Check that every settlement is balanced, and that the counts of every batch equal those of the vendor's ledger.

    Args:
        settled: Output of `batchsync -o json show` or `history`, parsed as JSON, or the path of the state folder or of
            its journal.
        mock: The vendor.
        jobs: Names of the jobs that deliver to this vendor; None for all.
        unknown: Maximum number of rows with unknown outcome.

    Raises:
        AssertionError: If the counts differ; the message states where and by how much, and contains no rows.
        ValueError: If `settled` contains no settlement.
    """
    every = list(_runs(settled))
    runs = [run for run in every if jobs is None or run.job in jobs]
    if not runs:
        msg = "No settled run was found in the settlement or state folder."
        raise ValueError(msg)
    entries = mock.ledger()
    problems = [*_unbalanced(runs, unknown), *_pending(entries)]
    problems += (
        _by_batch(runs, entries, every) if all(run.batches is not None for run in runs) else _by_sum(runs, entries)
    )
    if problems:
        raise AssertionError(f"The counts and the ledger of {mock.name} differ:\n  " + "\n  ".join(problems))


def _unbalanced(runs: Iterable[RunCounts], max_unknown: int) -> Iterator[str]:
    """Yield the runs whose equation is not balanced, and too many unknown rows."""
    for run in runs:
        if run.selected != (right := sum(run.outcomes.values())):
            yield f"{run.job}: the equation has selected {run.selected}, and {right} on its other side"
    unknown = sum(run.outcomes.get("unknown", 0) for run in runs)
    if unknown > max_unknown:
        yield f"{unknown} row(s) ended unknown"


def _pending(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a problem if the vendor is still processing rows."""
    outcomes = Counter(str(entry["outcome"]) for entry in entries)
    if outcomes["pending"]:
        yield f"the vendor is still processing {outcomes['pending']} row(s)"


def _by_batch(
    runs: Iterable[RunCounts], entries: Iterable[Mapping[str, Any]], every: Iterable[RunCounts]
) -> Iterator[str]:
    """Yield the differences between settlement and ledger by batch.

    Args:
        runs: Runs to compare.
        entries: The ledger.
        every: All runs of `settled`, also those of jobs that are not compared.

    Yields:
        The differences; a batch of a job that is not compared names the job.
    """
    ledger: dict[str, Counter[str]] = {}
    references: dict[str, str] = {}
    jobs = {batch.lower(): run.job for run in every for batch in run.batches or {}}
    for entry in entries:
        references[str(entry["batch"]).lower()] = str(entry.get("reference", ""))
        ledger.setdefault(str(entry["batch"]).lower(), Counter())[str(entry["outcome"])] += 1
    settled: dict[str, Mapping[str, int]] = {}
    for batch_id, counts in (pair for run in runs for pair in (run.batches or {}).items()):
        if batch_id.lower() in settled:
            yield f"batch {batch_id}: settled twice"
        settled[batch_id.lower()] = counts
    for batch_id in sorted({*settled, *ledger}):
        client, vendor = settled.get(batch_id), ledger.get(batch_id, Counter())
        if client is None:
            # A file that the vendor refused as a whole had no effect, whether or not the client has counts of it.
            if vendor["accepted"] or vendor["rejected"]:
                advice = _advice(batch_id, jobs, references)
                yield f"batch {batch_id}: {vendor.total()} row(s) delivered, but not settled{advice}"
            continue
        if not vendor["accepted"] and not vendor["rejected"] and not client.get("accepted"):
            # The vendor refused or lost the file as a whole, and the client counts none of its rows as accepted.
            continue
        for outcome in _OUTCOMES:
            count, tolerance = client.get(outcome, 0), client.get("unknown", 0)
            if not count <= vendor[outcome] <= count + tolerance:
                yield f"batch {batch_id}: {count} {outcome} in the settlement, {vendor[outcome]} in the ledger"


def _advice(batch_id: str, jobs: Mapping[str, str], references: Mapping[str, str]) -> str:
    """Return what to compare as well: the job that delivered a batch, as far as it is known."""
    if batch_id in jobs:
        return f": it is of job {jobs[batch_id]}; add it to jobs="
    reference = references.get(batch_id, "")
    owner = f" (its reference is {reference})" if reference else ""
    return f"{owner}: add its job to `settled`, as in `batchsync -o json show` without names"


def _by_sum(runs: Iterable[RunCounts], entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the differences between settlement and ledger in the sums of all runs."""
    ledger = Counter(str(entry["outcome"]) for entry in entries)
    for outcome in _OUTCOMES:
        settled = sum(run.outcomes.get(outcome, 0) for run in runs)
        # Clients count rows of a file that the vendor refused as a whole as rejected, or not at all.
        most = ledger[outcome] + (ledger["unprocessed"] if outcome == "rejected" else 0)
        if not ledger[outcome] <= settled <= most:
            yield f"{settled} {outcome} in the settlement, {ledger[outcome]} in the ledger"


def _runs(settled: Settled) -> Iterator[RunCounts]:
    """Yield the settled runs found in a state folder or in JSON, at any depth."""
    if isinstance(settled, str | Path):
        yield from _in_state(Path(settled))
    elif isinstance(settled, Mapping):
        if "selected" in settled or any(isinstance(settled.get(key), Mapping) for key in _SETTLEMENT_KEYS):
            yield _reported(settled)
        else:
            for inner in settled.values():
                if isinstance(inner, Mapping | list | tuple):
                    yield from _runs(inner)
    else:
        for item in settled:
            if isinstance(item, Mapping):
                yield from _runs(item)


def _reported(run: Mapping[str, Any]) -> RunCounts:
    """Return the row counts of a run as JSON."""
    batches = run.get("batches")
    found = None
    if isinstance(batches, list) and all(isinstance(batch, Mapping) and "allocation" in batch for batch in batches):
        found = {str(batch["allocation"]): batch["counts"] or {} for batch in batches if batch["allocation"]}
    equation = next((run[key] for key in _SETTLEMENT_KEYS if key in run), run)
    outcomes = _outcomes(equation)
    return RunCounts(job=str(run.get("job", "")), selected=equation["selected"], outcomes=outcomes, batches=found)


def _outcomes(counts: Mapping[str, Any]) -> Counter[str]:
    """Return the counts by outcome among those of a settlement or plan."""
    found: Counter[str] = Counter()
    for name, count in counts.items():
        if isinstance(count, int) and name != "selected" and name not in _FIGURES:
            found[name.removeprefix(_EARLIER)] += count
    return found


def _in_state(place: Path) -> Iterator[RunCounts]:
    """Yield the settled runs of all journals in a folder, or of a journal."""
    files = [place] if place.is_file() else sorted(place.rglob(JOURNAL))
    for file in files:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as base:
            runs = base.execute("SELECT id, job, counts FROM runs WHERE state = 'settled' ORDER BY no").fetchall()
            for run, job, plan_counts in runs:
                yield _journaled(base, run, job, json.loads(plan_counts))


def _journaled(base: sqlite3.Connection, run: str, job: str, plan_counts: Mapping[str, int]) -> RunCounts:
    """Return the row counts of a run in the journal."""
    found = base.execute("SELECT allocation_id, counts FROM batches WHERE run = ?", (run,)).fetchall()
    batches = {str(allocation): json.loads(counts) for allocation, counts in found if allocation and counts}
    outcomes = sum(map(Counter, batches.values()), _outcomes(plan_counts))
    return RunCounts(job=job, selected=plan_counts["selected"], outcomes=outcomes, batches=batches)
