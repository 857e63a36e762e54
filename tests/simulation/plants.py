"""Bugs that somebody could write tomorrow, each breaking one law of DESIGN.md section 4, to prove that they are found.

A plant patches one function for the length of a `with`. Nothing of lading knows of them.
"""

from __future__ import annotations

import contextlib
import itertools
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import polars as pl

from lading.core import accounting, decide, events, lifecycle, steps, tickets
from lading.core import run as run_states
from lading.core.batch import Batch, Books, Phase, Ticket, Verb, Verdict
from lading.core.events import Announced, DidNotHappen, Unanswered
from lading.core.run import RunState
from lading.data import Columnar
from lading.errors import DidNotHappen as NotDone
from lading.errors import EnvironmentProblem
from lading.journal.journal import Journal
from lading.journal.store import Store
from lading.reconcile import collected, loop, perform, prepare, sync
from lading.reconcile import deliver as reconcile_deliver
from lading.vendors import client as vendors_client
from lading.vendors import dialect as vendors_dialect
from lading.vendors import http as vendors_http
from simulation import life

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@dataclass(frozen=True)
class Plant:
    """One planted bug: the law it breaks, what it does, and how."""

    law: int
    does: str
    planted: Callable[[], AbstractContextManager[object]]


def _replaced(owner: object, name: str, made: Callable[[Any], Any]) -> Callable[[], AbstractContextManager[object]]:
    """Return a patch that puts `made(original)` in the place of an attribute."""

    def planted() -> AbstractContextManager[object]:
        return mock.patch.object(owner, name, made(getattr(owner, name)))

    return planted


# Law 1: three kinds of failure


def _unanswered_ends_doubt(original: Any) -> Any:
    def change(batch: Batch, event: events.Event) -> Batch:
        after = original(batch, event)
        return replace(after, doubt=None, doubt_since=None) if isinstance(event, Unanswered) else after

    return change


def _refused_question_ends_doubt(original: Any) -> Any:
    def change(batch: Batch, event: events.Event) -> Batch:
        after = original(batch, event)
        return replace(after, doubt=None, doubt_since=None) if isinstance(event, DidNotHappen) else after

    return change


def _any_break_is_a_refusal(_original: Any) -> Any:
    return lambda _error, where: NotDone(f"{where}: no answer")


def _server_error_is_a_refusal(original: Any) -> Any:
    return lambda status: vendors_dialect.Means.DID_NOT_HAPPEN if status >= 500 else original(status)


# Law 2: announce, then act


def _announced_after(original: Any) -> Any:
    del original

    def tick(step: steps.Step, batch: Batch, context: Any, world: Any) -> Batch:
        outcome = perform.perform(step, batch, context, world)
        if verb := loop.announces(step, context.policy):
            batch = world.memory.record(batch, Announced(at=world.clock.now(), verb=verb))
        if isinstance(outcome, reconcile_deliver.Delivery):
            return world.memory.deliver(batch, outcome.event, baseline=outcome.baseline, rejects=outcome.rejects)
        after = world.memory.record(batch, outcome)
        world.watcher.moved(after)
        return after

    return tick


def _upload_not_announced(original: Any) -> Any:
    return lambda step, policy: None if isinstance(step, steps.Upload) else original(step, policy)


def _two_transactions(_original: Any) -> Any:
    def record(self: Journal, batch: Batch, event: Any, *, epoch: int | None = None) -> Batch:
        from lading.journal import codec, journal  # noqa: PLC0415 - the plant's own

        event = codec.cleaned(event)
        after = lifecycle.evolve(batch, event)
        if not isinstance(event, events.StillRunning):
            with self._write("record", batch.job, epoch):
                kind = type(event).__name__
                payload = codec.event_payload(event)
                self._append(after.id, codec.iso(event.at), kind, payload, self._fence(after.job, epoch))
        with self._write("record", batch.job, epoch) as db:
            journal._update(db, "batches", codec.batch_row(after))
        return after

    return record


# Law 3: tickets are derived


def _fresh_ticket(_original: Any) -> Any:
    count = itertools.count()
    return lambda job, digest, _attempt: Ticket(str(uuid.uuid5(tickets.NAMESPACE, f"{job}{digest}{next(count)}")))


def _ticket_without_attempt(original: Any) -> Any:
    return lambda job, digest, _attempt: original(job, digest, 1)


def _attempts_forgotten(_original: Any) -> Any:
    return lambda *_given: 0


# Law 4: the upload is the point of commitment


def _repeated_without_asking(_original: Any) -> Any:
    return lambda _batch, _context, world: perform._not_there(Verb.UPLOAD, "surely lost", world.clock.now())


def _slot_left_in_doubt(original: Any) -> Any:
    def settle(batch: Batch, policy: Any, now: datetime) -> steps.Step:
        if batch.doubt is Verb.UPLOAD:
            return steps.DropSlot("nobody knows", Verb.UPLOAD)
        return original(batch, policy, now)

    return settle


def _asks_at_once(original: Any) -> Any:
    return lambda batch, policy, now: original(batch, replace(policy, ask_after=timedelta(0)), now)


# Law 5: the verdict is in the row log


def _said(original: Any, taken: Callable[[Any, Any, Any], pl.Expr | None]) -> Any:
    """Return a `settle` in which rows that `taken` names count as accepted, too."""

    def settle(self: Columnar, batch: Batch, rules: Any, downloads: Any, into: Any) -> Any:
        found = original(self, batch, rules, downloads, into)
        which = taken(batch, downloads, found)
        if which is None:
            return found
        rows = pl.read_parquet(found.path)
        rows = rows.with_columns(pl.when(which).then(pl.lit("accepted")).otherwise(pl.col("state")).alias("state"))
        rows.write_parquet(found.path)
        counts = dict(rows["state"].value_counts().iter_rows())
        return replace(
            found, books=Books(**{name: counts.get(name, 0) for name in ("accepted", "rejected", "unknown")})
        )

    return settle


def _word_is_the_verdict(original: Any) -> Any:
    applied = (Verdict.PROCESSED, Verdict.MIXED)
    return _said(original, lambda batch, _given, _found: pl.lit(value=True) if batch.verdict in applied else None)


def _silence_is_consent(original: Any) -> Any:
    return _said(original, lambda _batch, _given, found: pl.col("state") == "unknown" if found.unattributed else None)


def _empty_log_is_good(original: Any) -> Any:
    def taken(batch: Batch, downloads: Any, found: Any) -> pl.Expr | None:
        empty = batch.verdict is Verdict.MIXED and downloads.errors is not None and not found.unattributed
        return pl.col("state") == "unknown" if empty else None

    return _said(original, taken)


def _unknown_word_is_done(original: Any) -> Any:
    def read_status(asked: Any, words: Any) -> Any:
        status = original(asked, words)
        if isinstance(status, vendors_dialect.Running) and status.word.casefold() == "processing":
            return vendors_dialect.Finished(Verdict.PROCESSED, status.word)
        return status

    return read_status


# Law 6: the baseline moves per row, only for accepted rows, in the same transaction


def _moved(original: Any, change: pl.Expr) -> Any:
    """Return an `advance` that reads verdicts in which one column is another."""

    def advance(self: Columnar, baseline: Any, verdicts: Any, into: Path) -> Any:
        others = []
        for path in verdicts:
            others.append(path.with_name("planted.parquet"))
            pl.read_parquet(path).with_columns(change).write_parquet(others[-1])
        return original(self, baseline, others, into)

    return advance


def _moved_for_rejected(original: Any) -> Any:
    refused = pl.col("state") == "rejected"
    return _moved(original, pl.when(refused).then(pl.lit("accepted")).otherwise(pl.col("state")).alias("state"))


def _refused_rows_forgotten(original: Any) -> Any:
    return _moved(original, pl.lit(value=True).alias("retry"))


def _removal_not_remembered(original: Any) -> Any:
    """The key of an accepted removal stays in the baseline."""
    return _moved(original, pl.lit("change").alias("op"))


def _baseline_afterwards(original: Any) -> Any:
    def deliver(
        self: Journal, batch: Batch, event: Any, *, baseline: Any, rejects: Any, epoch: int | None = None
    ) -> Batch:
        after = original(self, batch, event, baseline=None, rejects=rejects, epoch=epoch)
        if baseline is not None:
            with self._write("deliver", batch.job, epoch) as db:
                db.execute("DELETE FROM segments WHERE job = ? AND identity = ?", [baseline.job, baseline.identity])
                for place, one in enumerate(baseline.segments):
                    values = [baseline.job, baseline.identity, place, one.file, one.digest, one.rows]
                    db.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)", values)
        return after

    return deliver


def _in_flight_forgotten(_original: Any) -> Any:
    return lambda _context, _world: []


def _in_flight_but(phase: Phase) -> Any:
    """Rows of batches in one phase do not count as in flight."""

    def made(_original: Any) -> Any:
        def in_flight(context: Any, world: Any) -> list[Path]:
            found = world.memory.open_batches(context.job.name)
            return [Path(one.file.evidence) for one in found if one.phase is not phase]

        return in_flight

    return made


# Law 7: absence is evidence only from a whole source


def _removed_from_a_part(original: Any) -> Any:
    """A source that ends too early counts as read to its end."""

    def compare(self: Columnar, job: Any, rules: Any, baseline: Any, context: Any) -> Any:
        whole = Path(job.source.folder) / job.source.path
        rows = whole.read_text("utf-8").splitlines()
        part = context.folder.parent / f"part-of-{job.source.path}"
        part.write_text("\n".join(rows[: max(2, len(rows) - 1)]) + "\n", encoding="utf-8")
        cut = replace(job, source=replace(job.source, path=str(part)))
        return original(self, cut, rules, baseline, context)

    return compare


def _removed_in_flight(original: Any) -> Any:
    """Keys that left the source do not count as in flight."""

    def compare(self: Columnar, job: Any, rules: Any, baseline: Any, context: Any) -> Any:
        there = pl.read_csv(Path(job.source.folder) / job.source.path, infer_schema=False)["id"]
        others = []
        for number, path in enumerate(context.in_flight):
            others.append(context.folder.parent / f"in-flight-{number}.parquet")
            pl.read_parquet(path).filter(pl.col("key").is_in(there.implode())).write_parquet(others[-1])
        return original(self, job, rules, baseline, replace(context, in_flight=others))

    return compare


# Law 8: wall time is only for schedules and expiry


def _wall_clock_backoff(original: Any) -> Any:
    def look_again(batch: Batch, policy: Any, _now: datetime, asked_for: datetime | None = None) -> datetime:
        return original(batch, policy, datetime.now(UTC).replace(year=2030), asked_for)

    return look_again


def _retry_after_never(_original: Any) -> Any:
    return lambda _batch, _policy, now, asked_for=None: asked_for or now + timedelta(days=3)


# Law 9: kill -9 at any instruction


def _evidence_swept(_original: Any) -> Any:
    def sweep(job: str, world: Any) -> None:
        kept = {one.file.path.rsplit("/", 1)[-1] for one in world.memory.open_batches(job)}
        from lading.reconcile import sweep as module  # noqa: PLC0415 - the plant's own

        module._remove_others(world.folders.staging(job), kept)

    return sweep


def _answers_swept(original: Any) -> Any:
    def sweep(job: str, world: Any) -> None:
        original(job, world)
        if world.folders.collected_of(job).is_dir():
            for one in world.folders.collected_of(job).iterdir():
                collected.remove(one)

    return sweep


@contextlib.contextmanager
def _answers_gone_for_good() -> Iterator[None]:
    """Answers that were not delivered are swept, and that they are gone is a fault of the disk: nobody asks again."""

    def read(folder: Path, batch: Batch) -> Any:
        try:
            return whole(folder, batch)
        except collected.AnswersGoneError as gone:
            raise EnvironmentProblem(str(gone)) from None

    whole = collected.read
    with mock.patch.object(sync, "sweep", _answers_swept(sync.sweep)), mock.patch.object(collected, "read", read):
        yield


def _file_not_verified(_original: Any) -> Any:
    return lambda _file: None


def _run_before_batches(original: Any) -> Any:
    """The run is committed first, and its batches in a second transaction."""

    def start_run(self: Journal, run: Any, batches: Any, invalid: Any, *more: Any, **named: Any) -> None:
        if batches:
            with self._write("start_run", run.job):
                from lading.journal import codec, journal  # noqa: PLC0415 - the plant's own

                journal._insert(self._db, "runs", codec.run_row(replace(run, state=RunState.PREPARED)))
            with mock.patch.object(Journal, "next_serial", return_value=run.serial), _without_runs():
                original(self, run, batches, invalid, *more, **named)
            return
        original(self, run, batches, invalid, *more, **named)

    return start_run


@contextlib.contextmanager
def _without_runs() -> Any:
    from lading.journal import journal  # noqa: PLC0415 - the plant's own

    real = journal._insert
    with mock.patch.object(
        journal, "_insert", lambda db, table, row: None if table == "runs" else real(db, table, row)
    ):
        yield


def _batch_before_its_story(_original: Any) -> Any:
    """A batch is committed first, and the event that opens its story in a second transaction."""

    def add_batch(self: Journal, batch: Batch, *, epoch: int | None = None, **_slot: Any) -> Any:
        from lading.journal import codec, journal  # noqa: PLC0415 - the plant's own

        row = codec.batch_row(batch)
        with self._write("add_batch", batch.job, epoch) as db:
            after = run_states.with_sealed(
                self.run(batch.run), sum(one.file.rows for one in [*self.batches(batch.run), batch])
            )
            journal._insert(db, "batches", row)
            self._put_run(after)
        with self._write("add_batch", batch.job, epoch):
            at, fence = codec.iso(batch.prepared_at), self._fence(batch.job, epoch)
            self._append(batch.id, at, journal.PREPARED, codec.canonical(row), fence)
        return after

    return add_batch


def _never_cut_short(_original: Any) -> Any:
    return lambda _job, _world: []


def _cut_rows_forgotten(_original: Any) -> Any:
    """What a run that is cut short did not seal is in no place."""
    return lambda self, sealed: replace(self, unsealed=self.unsealed + self.to_send - sealed)


# Law 10: one runner per job


def _no_lease(_original: Any) -> Any:
    return lambda *_given: lambda _job: contextlib.nullcontext()


def _no_fence(_original: Any) -> Any:
    return lambda *_given: None


PLANTS: dict[str, Plant] = {
    "unanswered-ends-doubt": Plant(
        1, "an unanswered call ends the doubt", _replaced(lifecycle, "_change", _unanswered_ends_doubt)
    ),
    "refused-question-ends-doubt": Plant(
        1,
        "a refused question ends the doubt about the act",
        _replaced(lifecycle, "_change", _refused_question_ends_doubt),
    ),
    "break-is-refusal": Plant(
        1, "a broken connection counts as refused", _replaced(vendors_http, "_translated", _any_break_is_a_refusal)
    ),
    "5xx-is-refusal": Plant(
        1, "a 5xx counts as refused", _replaced(vendors_dialect, "_habit", _server_error_is_a_refusal)
    ),
    "announce-after": Plant(2, "the act is announced after it", _replaced(loop, "tick", _announced_after)),
    "upload-not-announced": Plant(2, "an upload is not announced", _replaced(loop, "announces", _upload_not_announced)),
    "two-transactions": Plant(2, "event and row are two transactions", _replaced(Journal, "record", _two_transactions)),
    "fresh-ticket": Plant(3, "each try draws a fresh ticket", _replaced(tickets, "ticket", _fresh_ticket)),
    "ticket-without-attempt": Plant(
        3, "a lost slot keeps its ticket", _replaced(tickets, "ticket", _ticket_without_attempt)
    ),
    "attempts-forgotten": Plant(
        3, "content sent before begins at attempt one", _replaced(Journal, "attempts_used", _attempts_forgotten)
    ),
    "repeated-without-asking": Plant(
        4, "an upload in doubt is repeated", _replaced(perform, "_find_file", _repeated_without_asking)
    ),
    "slot-left-in-doubt": Plant(
        4, "a slot is left while its upload is in doubt", _replaced(decide, "_settle_doubt", _slot_left_in_doubt)
    ),
    "asks-at-once": Plant(
        4, "the question does not wait for what is under way", _replaced(decide, "_settle_doubt", _asks_at_once)
    ),
    "word-is-verdict": Plant(
        5, "the status word decides about the rows", _replaced(Columnar, "settle", _word_is_the_verdict)
    ),
    "silence-is-consent": Plant(
        5, "silence counts as accepted after lines that name no row", _replaced(Columnar, "settle", _silence_is_consent)
    ),
    "empty-log-is-good": Plant(
        5, "an error status with an empty log counts as accepted", _replaced(Columnar, "settle", _empty_log_is_good)
    ),
    "processing-is-done": Plant(
        5, "a batch that is processing counts as done", _replaced(vendors_client, "read_status", _unknown_word_is_done)
    ),
    "moved-for-rejected": Plant(
        6, "the baseline moves for refused rows", _replaced(Columnar, "advance", _moved_for_rejected)
    ),
    "refused-forgotten": Plant(
        6, "refused rows are sent again unchanged", _replaced(Columnar, "advance", _refused_rows_forgotten)
    ),
    "baseline-afterwards": Plant(
        6, "the baseline is swapped after the transaction", _replaced(Journal, "deliver", _baseline_afterwards)
    ),
    "in-flight-forgotten": Plant(
        6, "rows in flight are not subtracted", _replaced(prepare, "_in_flight", _in_flight_forgotten)
    ),
    "prepared-not-in-flight": Plant(
        6,
        "a newer version does not wait for one that is prepared",
        _replaced(prepare, "_in_flight", _in_flight_but(Phase.PREPARED)),
    ),
    "submitted-not-in-flight": Plant(
        6,
        "a newer version does not wait for one that is submitted",
        _replaced(prepare, "_in_flight", _in_flight_but(Phase.SUBMITTED)),
    ),
    "removed-from-a-part": Plant(
        7, "keys are removed that a cut source lacks", _replaced(Columnar, "compare", _removed_from_a_part)
    ),
    "removed-in-flight": Plant(7, "keys in flight are removed", _replaced(Columnar, "compare", _removed_in_flight)),
    "removal-not-remembered": Plant(
        7, "an accepted removal leaves the baseline as it was", _replaced(Columnar, "advance", _removal_not_remembered)
    ),
    "wall-clock-backoff": Plant(
        8, "back-off reads the wall clock", _replaced(decide, "look_again", _wall_clock_backoff)
    ),
    "backoff-of-days": Plant(8, "back-off has no bound", _replaced(decide, "look_again", _retry_after_never)),
    "evidence-swept": Plant(9, "the evidence of open batches is swept", _replaced(sync, "sweep", _evidence_swept)),
    "answers-swept": Plant(9, "answers not delivered are swept and not asked for again", _answers_gone_for_good),
    "file-not-verified": Plant(
        9, "a sealed file is sent as it is found", _replaced(perform, "check_sealed", _file_not_verified)
    ),
    "run-before-batches": Plant(
        9, "a run and its batches are two transactions", _replaced(Journal, "start_run", _run_before_batches)
    ),
    "batch-before-its-story": Plant(
        9,
        "a batch that is added and its first event are two transactions",
        _replaced(Journal, "add_batch", _batch_before_its_story),
    ),
    "never-cut-short": Plant(
        9, "a run whose preparing died goes on preparing for ever", _replaced(sync, "cut_short", _never_cut_short)
    ),
    "cut-rows-forgotten": Plant(
        9,
        "a run that is cut short forgets what it did not seal",
        _replaced(accounting.Tally, "cut_to", _cut_rows_forgotten),
    ),
    "no-lease": Plant(10, "the lease is not taken", _replaced(life, "leases", _no_lease)),
    "no-fence": Plant(10, "the epoch is not checked", _replaced(Store, "_check_fence", _no_fence)),
}
