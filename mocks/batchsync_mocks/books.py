"""Compare what a client says it has settled with what the vendor's ledger holds, batch by batch.

It does not know batchsync: it reads a settlement given as plain values (`batchsync -o json show` or `history`), or the
journal in a state folder, read-only.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

JOURNAL = "journal.db"
_FATES = ("accepted", "rejected")
_RIGHT_SIDE = ("unchanged", "accepted", "invalid", "rejected", "unknown", "deferred")
Settled = str | Path | Mapping[str, Any] | Iterable[Any]


class Oracle(Protocol):
    """Whatever can tell a vendor's ledger: a fixture of the plugin, or `Running.of(vendor)`."""

    @property
    def name(self) -> str:
        """The vendor's name."""
        ...

    def ledger(self) -> list[dict[str, Any]]:
        """Every row delivered, with its batch and fate."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """One run in a client's books: its job, its equation, and by slot how many rows ended how (None: not told)."""

    job: str
    equation: Mapping[str, int]
    batches: Mapping[str, Mapping[str, int]] | None


def assert_books_balance(
    settled: Settled, mock: Oracle, *, jobs: Collection[str] | None = None, unknown: int = 0
) -> None:
    """Hold a client's books against the vendor's: every equation balances, and every batch ended as the ledger says.

    `settled` is what `batchsync -o json show` or `history` printed, read as JSON, or the path of the state folder or of
    its journal. `jobs` names the jobs that go to this vendor, when there are others; `unknown` is how many rows may
    have ended unknown.

    Raises:
        AssertionError: the books differ; the text says where and by how much, without any row.
        ValueError: there is no settlement in what was given.
    """
    runs = [run for run in _runs(settled) if jobs is None or run.job in jobs]
    if not runs:
        msg = "No settled run was found in what was given."
        raise ValueError(msg)
    entries = mock.ledger()
    complaints = [*_unbalanced(runs, unknown), *_repeated(entries)]
    complaints += _by_batch(runs, entries) if all(run.batches is not None for run in runs) else _by_sum(runs, entries)
    if complaints:
        raise AssertionError(f"The books and the ledger of {mock.name} differ:\n  " + "\n  ".join(complaints))


def _unbalanced(runs: Iterable[Booked], most: int) -> Iterator[str]:
    for run in runs:
        selected, right = run.equation["selected"], sum(run.equation.get(term, 0) for term in _RIGHT_SIDE)
        if selected != right:
            yield f"{run.job}: the equation has selected {selected}, and {right} on its other side"
    lost = sum(run.equation.get("unknown", 0) for run in runs)
    if lost > most:
        yield f"{lost} row(s) ended unknown"


def _repeated(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    fates = Counter(str(entry["outcome"]) for entry in entries)
    if fates["pending"]:
        yield f"the vendor still works on {fates['pending']} row(s)"


def _by_batch(runs: Iterable[Booked], entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    ledger: dict[str, Counter[str]] = {}
    for entry in entries:
        ledger.setdefault(str(entry["batch"]).lower(), Counter())[str(entry["outcome"])] += 1
    books: dict[str, Mapping[str, int]] = {}
    for slot, counts in (pair for run in runs for pair in (run.batches or {}).items()):
        if slot.lower() in books:
            yield f"batch {slot}: it stands in the books twice"
        books[slot.lower()] = counts
    for slot in sorted({*books, *ledger}):
        ours, theirs = books.get(slot), ledger.get(slot, Counter())
        if ours is None:
            # A file that the vendor refused as a whole did no harm, whoever remembers it.
            if theirs["accepted"] or theirs["rejected"]:
                yield f"batch {slot}: {theirs.total()} row(s) delivered, and the books do not know it"
            continue
        if not theirs["accepted"] and not theirs["rejected"] and not ours.get("accepted"):
            # The vendor refused or forgot the file as a whole, and the books count none of its rows as accepted.
            continue
        for fate in _FATES:
            spare = ours.get("unknown", 0)
            if not ours.get(fate, 0) <= theirs[fate] <= ours.get(fate, 0) + spare:
                yield f"batch {slot}: {ours.get(fate, 0)} {fate} in the books, {theirs[fate]} in the ledger"


def _by_sum(runs: Iterable[Booked], entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    fates = Counter(str(entry["outcome"]) for entry in entries)
    for fate in _FATES:
        ours = sum(run.equation.get(fate, 0) for run in runs)
        # Rows of a file that the vendor refused as a whole are rejected in some books and missing in others.
        most = fates[fate] + (fates["unprocessed"] if fate == "rejected" else 0)
        if not fates[fate] <= ours <= most:
            yield f"{ours} {fate} in the books, {fates[fate]} in the ledger"


def _runs(settled: Settled) -> Iterator[Booked]:
    if isinstance(settled, str | Path):
        yield from _in_state(Path(settled))
    elif isinstance(settled, Mapping):
        if "equation" in settled or "selected" in settled:
            yield _reported(settled)
        else:
            for inner in settled.values():
                if isinstance(inner, Mapping | list | tuple):
                    yield from _runs(inner)
    else:
        for item in settled:
            if isinstance(item, Mapping):
                yield from _runs(item)


def _reported(run: Mapping[str, Any]) -> Booked:
    batches = run.get("batches")
    found = None
    if isinstance(batches, list) and all(isinstance(batch, Mapping) and "allocation" in batch for batch in batches):
        found = {str(batch["allocation"]): batch["counts"] or {} for batch in batches if batch["allocation"]}
    return Booked(job=str(run.get("job", "")), equation=run.get("equation", run), batches=found)


def _in_state(place: Path) -> Iterator[Booked]:
    files = [place] if place.is_file() else sorted(place.rglob(JOURNAL))
    for file in files:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as base:
            runs = base.execute("SELECT id, job, tally FROM runs WHERE state = 'settled' ORDER BY no").fetchall()
            for run, job, plan_counts in runs:
                yield _journaled(base, run, job, json.loads(plan_counts))


def _journaled(base: sqlite3.Connection, run: str, job: str, plan_counts: Mapping[str, int]) -> Booked:
    rows = base.execute("SELECT slot_id, accepted, rejected, unknown FROM batches WHERE run = ?", (run,)).fetchall()
    terms = ("accepted", "rejected", "unknown")
    batches = {
        str(slot): dict(zip(terms, counts, strict=True)) for slot, *counts in rows if slot and None not in counts
    }
    sums = {term: sum(batch[term] for batch in batches.values()) for term in terms}
    # What was rejected or unknown before and has not changed since stands in the equation and is not sent again.
    equation = {**plan_counts, **sums}
    equation["rejected"] += plan_counts.get("still_rejected", 0)
    equation["unknown"] += plan_counts.get("still_unknown", 0)
    return Booked(job=job, equation=equation, batches=batches)
