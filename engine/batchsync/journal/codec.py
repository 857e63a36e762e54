"""Lossless conversion of batches, runs and events to journal rows and back: times as UTC text, nested values as JSON.

Upload URLs and the query strings of all URLs are secrets; they are removed here.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from batchsync.core.accounting import PlanCounts
from batchsync.core.batch import Allocation, Batch, BatchFile, BatchId, Phase, RunId, Verb, Verdict
from batchsync.core.events import Event
from batchsync.core.row_outcome import BATCH_OUTCOMES, OutcomeCounts, RowOutcome
from batchsync.core.run import Run, RunState
from batchsync.errors import StateError
from batchsync.journal.schema_fourth import REDACTED
from batchsync.util.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Row = dict[str, Any]
_T = TypeVar("_T")

#: Maximum length of stored vendor and error texts, in characters.
TEXT_MAX = 2_000
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?#\"'<>]+)[?#][^\s\"'<>]*")
_UPGRADE_HINT = "A newer batchsync wrote it: upgrade this installation."
_RESTORE_HINT = "The file is damaged or was edited: restore journal.db from a backup."
_EVENTS: dict[str, Callable[..., Event]] = {kind.__name__: kind for kind in get_args(Event)}


def clean(text: str) -> str:
    """Return the text fit for storage: no query strings, no lone surrogates, at most `TEXT_MAX` characters."""
    cleaned = lossless_text(text)
    if "://" in cleaned:
        cleaned = _QUERY.sub(r"\1?[hidden]", cleaned)
    return cleaned if len(cleaned) <= TEXT_MAX else cleaned[: TEXT_MAX - 1] + "…"


def lossless_text(text: str) -> str:
    """Return a key unabridged, with lone surrogates escaped: SQLite stores valid Unicode only."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def to_iso(at: datetime) -> str:
    """Return an aware timestamp as UTC text that sorts chronologically.

    Raises:
        ValueError: If the timestamp has no time zone.
    """
    if at.tzinfo is None:
        message = f"{at!r} has no time zone"
        raise ValueError(message)
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def from_iso(text: str) -> datetime:
    """Return the aware UTC timestamp that `to_iso` wrote.

    Raises:
        StateError: If the text is not a timestamp.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        message = f"invalid timestamp in the journal: {text[:40]!r}"
        raise StateError(message, hint=_RESTORE_HINT) from None


def canonical(value: object) -> str:
    """Return the canonical JSON text of a value: sorted keys, no whitespace."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def row_checksum(row: Row) -> str:
    """Return the checksum of a row over all columns but `checksum` and `no`."""
    covered = {name: value for name, value in row.items() if name not in ("checksum", "no")}
    return hashlib.blake2b(canonical(covered).encode(), digest_size=16).hexdigest()


def chain_hash(before: str, row: Row) -> str:
    """Return the chain value of an event: SHA-256 over the previous chain value and the columns of the event."""
    text = canonical([before, row["batch"], row["at"], row["kind"], row["payload"], row["epoch"]])
    return sha256_of(text.encode())


def without_url(batch: Batch) -> Batch:
    """Return the batch as it is stored: the upload URL is a secret and is never stored."""
    if batch.allocation is None or batch.allocation.url is None:
        return batch
    return replace(batch, allocation=batch.allocation.without_url)


def clean_event(event: Event) -> Event:
    """Return the event with its free text fit for storage (see `clean`)."""
    free = {name: clean(getattr(event, name)) for name in ("reason", "vendor_status") if hasattr(event, name)}
    return cast("Event", replace(cast("Any", event), **free)) if free else event


def batch_row(batch: Batch) -> Row:
    """Return the row of a batch, checksum included."""
    file, allocation, counts = batch.file, batch.allocation, batch.counts
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
        "pending_intent": _optional_str(batch.pending_intent),
        "intent_at": _optional_iso(batch.intent_at),
        "allocation_id": allocation.id if allocation else None,
        "allocation_expires_at": _optional_iso(allocation.expires_at) if allocation else None,
        "submitted_at": _optional_iso(batch.submitted_at),
        "polls": batch.polls,
        "vendor_status": batch.vendor_status,
        "verdict": _optional_str(batch.verdict),
        "counts": canonical(counts.by_name(BATCH_OUTCOMES)) if counts else None,
        "failures": batch.failures,
        "foreign_answers": batch.foreign_answers,
        "not_before": _optional_iso(batch.not_before),
        "reason": batch.reason,
        "parked_from": _optional_str(batch.parked_from),
    }
    return row | {"checksum": row_checksum(row)}


def read_batch(row: Row) -> Batch:
    """Return the batch of a row.

    Raises:
        StateError: If the row does not match its checksum.
    """
    _verify_checksum("batch", row)
    allocation = (
        None
        if row["allocation_id"] is None
        else Allocation(id=row["allocation_id"], expires_at=_optional(from_iso, row["allocation_expires_at"]))
    )
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
        pending_intent=_optional(Verb, row["pending_intent"]),
        intent_at=_optional(from_iso, row["intent_at"]),
        allocation=allocation,
        submitted_at=_optional(from_iso, row["submitted_at"]),
        polls=row["polls"],
        vendor_status=row["vendor_status"],
        verdict=_optional(Verdict, row["verdict"]),
        # The first event of a batch, written with schema 1, has a column for each outcome, all of them null.
        counts=_optional(lambda text: _counts(json.loads(text)), row.get("counts")),
        failures=row["failures"],
        # Missing in the first event of a batch that was written with schema 1.
        foreign_answers=row.get("foreign_answers", 0),
        not_before=_optional(from_iso, row["not_before"]),
        reason=row["reason"],
        parked_from=_optional(Phase, row["parked_from"]),
    )


def run_row(run: Run) -> Row:
    """Return the row of a run, checksum included."""
    row: Row = {
        "id": run.id,
        "job": run.job,
        "serial": run.serial,
        "spec_hash": run.spec_hash,
        "account_id": run.account_id,
        "state": str(run.state),
        "created_at": to_iso(run.created_at),
        "settled_at": _optional_iso(run.settled_at),
        "counts": canonical(run.counts.to_dict()),
        "plan": run.plan,
        "watermark": run.watermark,
        "warnings": canonical(dict(run.warnings)),
        "reason": clean(run.reason),
        "removal_hash": run.removal_hash,
        "source_files": run.source_files,
    }
    return row | {"checksum": row_checksum(row)}


def read_run(row: Row) -> Run:
    """Return the run of a row.

    Raises:
        StateError: If the row does not match its checksum.
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
        settled_at=_optional(from_iso, row["settled_at"]),
        counts=_plan_counts(json.loads(row["counts"])),
        plan=row["plan"],
        watermark=row["watermark"],
        warnings=json.loads(row["warnings"]),
        reason=row["reason"],
        removal_hash=row["removal_hash"],
        source_files=row["source_files"],
    )


def event_payload(event: Event) -> str:
    """Return all fields of an event but `at` as canonical JSON, without upload URLs."""
    values = {field.name: getattr(event, field.name) for field in fields(event) if field.name != "at"}
    return canonical({name: _to_json(value) for name, value in values.items()})


def redactions(events: Iterable[Row]) -> dict[int, str]:
    """Return the digest of the present content of each redacted event, by its number, from all events of a batch."""
    payloads = (json.loads(row["payload"]) for row in events if row["kind"] == REDACTED)
    return {item["event"]: item["content"] for item in payloads}


def is_linked(before: str, row: Row, redacted: Mapping[int, str]) -> bool:
    """Return whether the chain value of an event follows from the previous one, or its redaction is documented."""
    if row["no"] in redacted:
        return redacted[row["no"]] == chain_hash("", row)
    return bool(row["chain"] == chain_hash(before, row))


def read_linked_event(before: str, row: Row, redacted: Mapping[int, str]) -> Event:
    """Return the event of a row whose chain value follows from `before`, the chain value of the previous event.

    Args:
        before: Chain value of the previous event.
        row: The event.
        redacted: Redacted events of its batch, of `redactions`.

    Raises:
        StateError: If the chain value does not match, or the kind of event is unknown.
    """
    if not is_linked(before, row, redacted):
        message = f"event {row['no']} of batch {row['batch']!r} in the journal was changed after batchsync wrote it"
        raise StateError(message, hint=_RESTORE_HINT)
    return read_event(row["kind"], row["at"], row["payload"])


def read_event(kind: str, at: str, payload: str) -> Event:
    """Return the event whose payload `event_payload` wrote.

    Args:
        kind: Class name of the event.
        at: Timestamp as written by `to_iso`.
        payload: JSON object of the other fields.

    Raises:
        StateError: If the kind of event is unknown.
    """
    if kind not in _EVENTS:
        message = f"unknown event {kind!r} in the journal"
        raise StateError(message, hint=_UPGRADE_HINT)
    values = {name: _optional(_READERS[name], value) for name, value in json.loads(payload).items()}
    return _EVENTS[kind](at=from_iso(at), **values)


def _allocation(value: Mapping[str, str | None]) -> Allocation:
    return Allocation(id=str(value["id"]), expires_at=_optional(from_iso, value["expires_at"]))


def read_outcome(name: str) -> RowOutcome:
    """Return the row outcome of this name.

    Raises:
        StateError: If there is none.
    """
    try:
        return RowOutcome(name)
    except ValueError:
        message = f"unknown row outcome {name!r} in the journal"
        raise StateError(message, hint=_UPGRADE_HINT) from None


def _counts(value: Mapping[str, int]) -> OutcomeCounts:
    return OutcomeCounts({read_outcome(name): count for name, count in value.items()})


def _plan_counts(value: Mapping[str, int]) -> PlanCounts:
    try:
        return PlanCounts.from_dict(value)
    except ValueError as error:
        message = f"{error} in the journal"
        raise StateError(message, hint=_UPGRADE_HINT) from None


#: Reader of each event field; a new field without a reader fails the round-trip tests.
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
    "foreign": bool,
}


def _to_json(value: object) -> object:
    """Return an event field as a JSON value."""
    match value:
        case datetime():
            return to_iso(value)
        case Allocation():
            return {"id": value.id, "expires_at": _optional_iso(value.expires_at)}
        case OutcomeCounts():
            return value.by_name(BATCH_OUTCOMES)
        case _:
            return value


def _verify_checksum(table: str, row: Row) -> None:
    if row["checksum"] != row_checksum(row):
        message = f"the row of {table} {row['id']!r} in the journal was changed after batchsync wrote it"
        raise StateError(message, hint=_RESTORE_HINT)


def _optional(read: Callable[[Any], _T], value: object) -> _T | None:
    return None if value is None else read(value)


def _optional_iso(at: datetime | None) -> str | None:
    return None if at is None else to_iso(at)


def _optional_str(value: Phase | Verb | Verdict | None) -> str | None:
    return None if value is None else str(value)
