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

from lading.core.accounting import Tally
from lading.core.batch import Batch, BatchFile, BatchId, Books, Phase, RunId, Slot, Verb, Verdict
from lading.core.events import Event
from lading.core.run import Run, RunState
from lading.errors import StateError

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
    shown = plain(text)
    if "://" in shown:
        shown = _QUERY.sub(r"\1?[hidden]", shown)
    return shown if len(shown) <= TEXT_MAX else shown[: TEXT_MAX - 1] + "…"


def plain(text: str) -> str:
    """Return a key as it may be kept: whole, with lone surrogates spelled out (SQLite takes valid Unicode only)."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def iso(at: datetime) -> str:
    """Return an aware moment as UTC text that sorts in the order of time.

    Raises:
        ValueError: when the moment has no time zone.
    """
    if at.tzinfo is None:
        message = f"{at!r} has no time zone"
        raise ValueError(message)
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
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


def seal(row: Row) -> str:
    """Return the check sum of a row, over every column but the seal itself, and those that it was written without."""
    bare = {name: value for name, value in row.items() if name not in ("seal", "no")}
    if bare.get("removal_hash") == "":
        del bare["removal_hash"]
    return hashlib.blake2b(canonical(bare).encode(), digest_size=16).hexdigest()


def link(before: str, row: Row) -> str:
    """Return the chain value of an event: a SHA-256 over the link before it and everything the event says."""
    text = canonical([before, row["batch"], row["at"], row["kind"], row["payload"], row["epoch"]])
    return hashlib.sha256(text.encode()).hexdigest()


def without_url(batch: Batch) -> Batch:
    """Return the batch as it is remembered: the upload URL is a secret and is never kept."""
    if batch.slot is None or batch.slot.url is None:
        return batch
    return replace(batch, slot=replace(batch.slot, url=None))


def cleaned(event: Event) -> Event:
    """Return the event with its free text as it may be kept."""
    free = {name: clean(getattr(event, name)) for name in ("reason", "word") if hasattr(event, name)}
    return cast("Event", replace(cast("Any", event), **free)) if free else event


def batch_row(batch: Batch) -> Row:
    """Return the row of a batch, sealed."""
    file, slot, books = batch.file, batch.slot, batch.books
    row: Row = {
        "id": batch.id,
        "run": batch.run,
        "job": batch.job,
        "seq": batch.seq,
        "path": file.path,
        "evidence": file.evidence,
        "digest": file.digest,
        "md5": file.md5,
        "size": file.size,
        "rows": file.rows,
        "phase": str(batch.phase),
        "prepared_at": iso(batch.prepared_at),
        "identity": batch.identity,
        "target": canonical(dict(batch.target)),
        "attempt": batch.attempt,
        "lost": batch.lost,
        "doubt": _text(batch.doubt),
        "doubt_since": _when(batch.doubt_since),
        "slot_id": slot.id if slot else None,
        "slot_until": _when(slot.until) if slot else None,
        "submitted_at": _when(batch.submitted_at),
        "polls": batch.polls,
        "word": batch.word,
        "verdict": _text(batch.verdict),
        "accepted": books.accepted if books else None,
        "rejected": books.rejected if books else None,
        "unknown": books.unknown if books else None,
        "failures": batch.failures,
        "not_before": _when(batch.not_before),
        "reason": batch.reason,
        "stuck_from": _text(batch.stuck_from),
    }
    return row | {"seal": seal(row)}


def read_batch(row: Row) -> Batch:
    """Return the batch of a row.

    Raises:
        StateError: when the row is not what was written.
    """
    _check_seal("batch", row)
    slot = None if row["slot_id"] is None else Slot(id=row["slot_id"], until=_maybe(moment, row["slot_until"]))
    books = None
    if row["accepted"] is not None:
        books = Books(accepted=row["accepted"], rejected=row["rejected"], unknown=row["unknown"])
    return Batch(
        id=BatchId(row["id"]),
        run=RunId(row["run"]),
        job=row["job"],
        seq=row["seq"],
        file=BatchFile(**{name: row[name] for name in ("path", "evidence", "digest", "md5", "size", "rows")}),
        phase=Phase(row["phase"]),
        prepared_at=moment(row["prepared_at"]),
        identity=row["identity"],
        target=json.loads(row["target"]),
        attempt=row["attempt"],
        lost=row["lost"],
        doubt=_maybe(Verb, row["doubt"]),
        doubt_since=_maybe(moment, row["doubt_since"]),
        slot=slot,
        submitted_at=_maybe(moment, row["submitted_at"]),
        polls=row["polls"],
        word=row["word"],
        verdict=_maybe(Verdict, row["verdict"]),
        books=books,
        failures=row["failures"],
        not_before=_maybe(moment, row["not_before"]),
        reason=row["reason"],
        stuck_from=_maybe(Phase, row["stuck_from"]),
    )


def run_row(run: Run) -> Row:
    """Return the row of a run, sealed."""
    row: Row = {
        "id": run.id,
        "job": run.job,
        "serial": run.serial,
        "spec_hash": run.spec_hash,
        "identity": run.identity,
        "state": str(run.state),
        "created_at": iso(run.created_at),
        "settled_at": _when(run.settled_at),
        "tally": canonical(asdict(run.tally)),
        "plan": run.plan,
        "high_water": run.high_water,
        "warnings": canonical(dict(run.warnings)),
        "reason": clean(run.reason),
        "removal_hash": run.removal_hash,
    }
    return row | {"seal": seal(row)}


def read_run(row: Row) -> Run:
    """Return the run of a row.

    Raises:
        StateError: when the row is not what was written.
    """
    _check_seal("run", row)
    return Run(
        id=RunId(row["id"]),
        job=row["job"],
        serial=row["serial"],
        spec_hash=row["spec_hash"],
        identity=row["identity"],
        state=RunState(row["state"]),
        created_at=moment(row["created_at"]),
        settled_at=_maybe(moment, row["settled_at"]),
        tally=Tally(**json.loads(row["tally"])),
        plan=row["plan"],
        high_water=row["high_water"],
        warnings=json.loads(row["warnings"]),
        reason=row["reason"],
        removal_hash=row.get("removal_hash", ""),
    )


def event_payload(event: Event) -> str:
    """Return everything of an event but its kind and moment, as JSON without URL."""
    values = {one.name: getattr(event, one.name) for one in fields(event) if one.name != "at"}
    return canonical({name: _bare(value) for name, value in values.items()})


def read_linked_event(before: str, row: Row) -> Event:
    """Return the event of a row whose chain value follows from the one before it.

    Raises:
        StateError: when the row is not what was written, or this lading knows no such event.
    """
    if row["chain"] != link(before, row):
        message = f"event {row['no']} of batch {row['batch']!r} in the journal is not what lading wrote"
        raise StateError(message, hint=_RESTORE)
    return read_event(row["kind"], row["at"], row["payload"])


def read_event(kind: str, at: str, payload: str) -> Event:
    """Return the event that `event_payload` wrote.

    Raises:
        StateError: when this lading knows no such event.
    """
    if kind not in _EVENTS:
        message = f"the journal tells of an event {kind!r} that this lading does not know"
        raise StateError(message, hint="It was written by a newer lading: upgrade this one.")
    values = {name: _maybe(_READERS[name], value) for name, value in json.loads(payload).items()}
    return _EVENTS[kind](at=moment(at), **values)


def _slot(value: Mapping[str, str | None]) -> Slot:
    return Slot(id=str(value["id"]), until=_maybe(moment, value["until"]))


def _books(value: Mapping[str, int]) -> Books:
    return Books(**value)


#: How each member of an event is read; a new member without a reader fails the round-trip tests.
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "verb": Verb,
    "verdict": Verdict,
    "slot": _slot,
    "books": _books,
    "word": str,
    "reason": str,
    "look_again_at": moment,
    "delivered": bool,
    "expired": bool,
}


def _bare(value: object) -> object:
    """Return a member of an event as JSON knows it."""
    match value:
        case datetime():
            return iso(value)
        case Slot():
            return {"id": value.id, "until": _when(value.until)}
        case Books():
            return asdict(value)
        case _:
            return value


def _check_seal(what: str, row: Row) -> None:
    if row["seal"] != seal(row):
        message = f"the row of {what} {row['id']!r} in the journal is not what lading wrote"
        raise StateError(message, hint=_RESTORE)


def _maybe(read: Callable[[Any], _T], value: object) -> _T | None:
    return None if value is None else read(value)


def _when(at: datetime | None) -> str | None:
    return None if at is None else iso(at)


def _text(value: Phase | Verb | Verdict | None) -> str | None:
    return None if value is None else str(value)
