"""How batches, runs and events stand in the journal, and back again without loss: times as UTC text, the rest as JSON.

It does not know SQL. What must not be kept (a slot's URL, the query string of any URL) is taken out here.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from batchsync.core.accounting import PlanCounts
from batchsync.core.batch import Allocation, Batch, BatchFile, BatchId, Phase, RowCounts, RunId, Verb, Verdict
from batchsync.core.events import Event
from batchsync.core.run import Run, RunState
from batchsync.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Row = dict[str, Any]
_T = TypeVar("_T")

#: No text of a vendor or an error is kept longer than this, in characters.
TEXT_MAX = 2_000
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?#\"'<>]+)[?#][^\s\"'<>]*")
_RESTORE = "The file is damaged or was edited: restore journal.db from a backup."
_EVENTS: dict[str, Callable[..., Event]] = {kind.__name__: kind for kind in get_args(Event)}


def clean(text: str) -> str:
    """Return the text as it may be kept: no query strings, no lone surrogates, no more than TEXT_MAX characters."""
    shown = lossless_text(text)
    if "://" in shown:
        shown = _QUERY.sub(r"\1?[hidden]", shown)
    return shown if len(shown) <= TEXT_MAX else shown[: TEXT_MAX - 1] + "…"


def lossless_text(text: str) -> str:
    """Return a key as it may be kept: whole, with lone surrogates spelled out (SQLite takes valid Unicode only)."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def to_iso(at: datetime) -> str:
    """Return an aware moment as UTC text that sorts in the order of time.

    Raises:
        ValueError: when the moment has no time zone.
    """
    if at.tzinfo is None:
        message = f"{at!r} has no time zone"
        raise ValueError(message)
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def from_iso(text: str) -> datetime:
    """Return the aware UTC moment that `iso` wrote.

    Raises:
        StateError: when it is none.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        message = f"the journal holds a moment that is none: {text[:40]!r}"
        raise StateError(message, hint=_RESTORE) from None


def canonical(value: object) -> str:
    """Return the one JSON text of a value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def row_checksum(row: Row) -> str:
    """Return the check sum of a row, over every column but the seal itself."""
    bare = {name: value for name, value in row.items() if name not in ("checksum", "no")}
    return hashlib.blake2b(canonical(bare).encode(), digest_size=16).hexdigest()


def chain_hash(before: str, row: Row) -> str:
    """Return the chain value of an event: a SHA-256 over the link before it and everything the event says."""
    text = canonical([before, row["batch"], row["at"], row["kind"], row["payload"], row["epoch"]])
    return hashlib.sha256(text.encode()).hexdigest()


def without_url(batch: Batch) -> Batch:
    """Return the batch as it is remembered: the upload URL is a secret and is never kept."""
    if batch.allocation is None or batch.allocation.url is None:
        return batch
    return replace(batch, allocation=replace(batch.allocation, url=None))


def cleaned(event: Event) -> Event:
    """Return the event with its free text as it may be kept."""
    free = {name: clean(getattr(event, name)) for name in ("reason", "vendor_status") if hasattr(event, name)}
    return cast("Event", replace(cast("Any", event), **free)) if free else event


def batch_row(batch: Batch) -> Row:
    """Return the row of a batch, sealed."""
    file, slot, books = batch.file, batch.allocation, batch.counts
    row: Row = {
        "id": batch.id,
        "run": batch.run,
        "job": batch.job,
        "seq": batch.seq,
        "path": file.path,
        "row_manifest": file.row_manifest,
        "digest": file.digest,
        "md5": file.md5,
        "size": file.size,
        "rows": file.rows,
        "phase": str(batch.phase),
        "prepared_at": to_iso(batch.prepared_at),
        "account_id": batch.account_id,
        "target": canonical(dict(batch.target)),
        "attempt": batch.attempt,
        "lost_allocations": batch.lost_allocations,
        "pending_intent": _text(batch.pending_intent),
        "intent_at": _when(batch.intent_at),
        "allocation_id": slot.id if slot else None,
        "allocation_expires_at": _when(slot.expires_at) if slot else None,
        "submitted_at": _when(batch.submitted_at),
        "polls": batch.polls,
        "vendor_status": batch.vendor_status,
        "verdict": _text(batch.verdict),
        "accepted": books.accepted if books else None,
        "rejected": books.rejected if books else None,
        "unknown": books.unknown if books else None,
        "failures": batch.failures,
        "not_before": _when(batch.not_before),
        "reason": batch.reason,
        "parked_from": _text(batch.parked_from),
    }
    return row | {"checksum": row_checksum(row)}


def read_batch(row: Row) -> Batch:
    """Return the batch of a row.

    Raises:
        StateError: when the row is not what was written.
    """
    _verify_checksum("batch", row)
    slot = (
        None
        if row["allocation_id"] is None
        else Allocation(id=row["allocation_id"], expires_at=_maybe(from_iso, row["allocation_expires_at"]))
    )
    books = None
    if row["accepted"] is not None:
        books = RowCounts(accepted=row["accepted"], rejected=row["rejected"], unknown=row["unknown"])
    return Batch(
        id=BatchId(row["id"]),
        run=RunId(row["run"]),
        job=row["job"],
        seq=row["seq"],
        file=BatchFile(
            path=row["path"],
            row_manifest=row["row_manifest"],
            digest=row["digest"],
            md5=row["md5"],
            size=row["size"],
            rows=row["rows"],
        ),
        phase=Phase(row["phase"]),
        prepared_at=from_iso(row["prepared_at"]),
        account_id=row["account_id"],
        target=json.loads(row["target"]),
        attempt=row["attempt"],
        lost_allocations=row["lost_allocations"],
        pending_intent=_maybe(Verb, row["pending_intent"]),
        intent_at=_maybe(from_iso, row["intent_at"]),
        allocation=slot,
        submitted_at=_maybe(from_iso, row["submitted_at"]),
        polls=row["polls"],
        vendor_status=row["vendor_status"],
        verdict=_maybe(Verdict, row["verdict"]),
        counts=books,
        failures=row["failures"],
        not_before=_maybe(from_iso, row["not_before"]),
        reason=row["reason"],
        parked_from=_maybe(Phase, row["parked_from"]),
    )


def run_row(run: Run) -> Row:
    """Return the row of a run, sealed."""
    row: Row = {
        "id": run.id,
        "job": run.job,
        "serial": run.serial,
        "spec_hash": run.spec_hash,
        "account_id": run.account_id,
        "state": str(run.state),
        "created_at": to_iso(run.created_at),
        "settled_at": _when(run.settled_at),
        "counts": canonical(asdict(run.counts)),
        "plan": run.plan,
        "watermark": run.watermark,
        "warnings": canonical(dict(run.warnings)),
        "reason": clean(run.reason),
        "removal_hash": run.removal_hash,
    }
    return row | {"checksum": row_checksum(row)}


def read_run(row: Row) -> Run:
    """Return the run of a row.

    Raises:
        StateError: when the row is not what was written.
    """
    _verify_checksum("run", row)
    return Run(
        id=RunId(row["id"]),
        job=row["job"],
        serial=row["serial"],
        spec_hash=row["spec_hash"],
        account_id=row["account_id"],
        state=RunState(row["state"]),
        created_at=from_iso(row["created_at"]),
        settled_at=_maybe(from_iso, row["settled_at"]),
        counts=PlanCounts(**json.loads(row["counts"])),
        plan=row["plan"],
        watermark=row["watermark"],
        warnings=json.loads(row["warnings"]),
        reason=row["reason"],
        removal_hash=row["removal_hash"],
    )


def event_payload(event: Event) -> str:
    """Return everything of an event but its kind and moment, as JSON without URL."""
    values = {field.name: getattr(event, field.name) for field in fields(event) if field.name != "at"}
    return canonical({name: _bare(value) for name, value in values.items()})


def read_linked_event(before: str, row: Row) -> Event:
    """Return the event of a row whose chain value follows from the one before it.

    Raises:
        StateError: when the row is not what was written, or this batchsync knows no such event.
    """
    if row["chain"] != chain_hash(before, row):
        message = f"event {row['no']} of batch {row['batch']!r} in the journal is not what batchsync wrote"
        raise StateError(message, hint=_RESTORE)
    return read_event(row["kind"], row["at"], row["payload"])


def read_event(kind: str, at: str, payload: str) -> Event:
    """Return the event that `event_payload` wrote.

    Raises:
        StateError: when this batchsync knows no such event.
    """
    if kind not in _EVENTS:
        message = f"the journal tells of an event {kind!r} that this batchsync does not know"
        raise StateError(message, hint="It was written by a newer batchsync: upgrade this one.")
    values = {name: _maybe(_READERS[name], value) for name, value in json.loads(payload).items()}
    return _EVENTS[kind](at=from_iso(at), **values)


def _allocation(value: Mapping[str, str | None]) -> Allocation:
    return Allocation(id=str(value["id"]), expires_at=_maybe(from_iso, value["expires_at"]))


def _counts(value: Mapping[str, int]) -> RowCounts:
    return RowCounts(**value)


#: How each member of an event is read; a new member without a reader fails the round-trip tests.
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "verb": Verb,
    "verdict": Verdict,
    "allocation": _allocation,
    "counts": _counts,
    "vendor_status": str,
    "reason": str,
    "retry_at": from_iso,
    "delivered": bool,
    "expired": bool,
}


def _bare(value: object) -> object:
    """Return a member of an event as JSON knows it."""
    match value:
        case datetime():
            return to_iso(value)
        case Allocation():
            return {"id": value.id, "expires_at": _when(value.expires_at)}
        case RowCounts():
            return asdict(value)
        case _:
            return value


def _verify_checksum(what: str, row: Row) -> None:
    if row["checksum"] != row_checksum(row):
        message = f"the row of {what} {row['id']!r} in the journal is not what batchsync wrote"
        raise StateError(message, hint=_RESTORE)


def _maybe(read: Callable[[Any], _T], value: object) -> _T | None:
    return None if value is None else read(value)


def _when(at: datetime | None) -> str | None:
    return None if at is None else to_iso(at)


def _text(value: Phase | Verb | Verdict | None) -> str | None:
    return None if value is None else str(value)
