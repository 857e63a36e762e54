"""What must be true of every life, by the vendors' own books. Our journal is only what is being judged.

Each function yields complaints in words; no complaint is a promise kept.
"""

from __future__ import annotations

import csv
import json
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from batchsync.core.accounting import UnbalancedError
from batchsync.core.batch import Batch, Phase, Verdict
from batchsync.core.run import settlement_of
from batchsync.errors import ExitCode
from simulation.deployment import VENDOR_OF

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from batchsync.journal import Journal
    from batchsync.reconcile.sync import JobOutcome
    from batchsync_mocks.vendor import Vendor
    from simulation.deployment import Seen, Sources


@dataclass(frozen=True)
class Slot:
    """One batch as its vendor knows it: what was put into it, how often, and how its rows ended."""

    vendor: str
    id: str
    md5: str | None
    uploads: int
    rows: tuple[tuple[Seen, str], ...]


def slots_of(vendors: Mapping[str, Vendor]) -> dict[str, Slot]:
    """Return every slot of every vendor, by its id."""
    found: dict[str, Slot] = {}
    for name, vendor in vendors.items():
        rows: dict[str, list[tuple[Seen, str]]] = defaultdict(list)
        for entry in vendor.entries(values=True):
            rows[str(entry["batch"]).lower()].append((_seen(entry), entry["outcome"]))
        for batch in sorted(vendor.state.batches.all(), key=lambda one: one.upload.sequence if one.upload else 0):
            md5 = batch.upload.md5 if batch.upload else None
            found[batch.id] = Slot(name, batch.id, md5, batch.uploads, tuple(rows[batch.id.lower()]))
    return found


def _seen(entry: dict[str, Any]) -> Seen:
    """Return what tells one version of a row from every other, as `Sources.seen` does."""
    if "columns" in entry:
        columns = entry["columns"]
        return (columns["vin"].strip().upper(), columns.get("plate") or "", columns.get("state") or "")
    value = entry.get("value") or {}
    key = value["identifiers"][0]["id"]
    if entry["mode"] == "delete":
        return ("delete", key)
    return (value["firstName"], value["lastName"], value["email"], key)


def job_of(slot: Slot, entry: Seen, names: tuple[str, ...]) -> str:
    """Return which job a row came from, by what the vendor sees of it."""
    if slot.vendor == "motorweb-bdp":
        return "vehicles"
    if entry[0] == "delete":
        return "guests"
    return "members" if entry[2].endswith("members@example.com") and "members" in names else "guests"


def never_twice(slots: Mapping[str, Slot], sources: Sources, *, again: int = 0) -> Iterator[str]:
    """No slot was filled twice, and no version of a row came more often than somebody wrote it.

    A row whose refusal says "again" may also come once with each of the `again` syncs.
    """
    for slot in slots.values():
        if slot.uploads > 1:
            yield f"slot {slot.id} of {slot.vendor} was uploaded to {slot.uploads} times"
    for (job, seen), count in came(slots, sources).items():
        more = again if is_sent_again(job, seen, sources) else 0
        if count > sources.allowed[job, seen] + more:
            yield f"{job}: a version of a row came {count} times and was written {sources.allowed[job, seen]} times"


def came(slots: Mapping[str, Slot], sources: Sources) -> Counter[tuple[str, Seen]]:
    """Return how often each version of each row came to its vendor and was looked at."""
    return Counter(
        (job_of(slot, seen, sources.names), seen)
        for slot in slots.values()
        for seen, fate in slot.rows
        if fate != "unprocessed"
    )


def is_sent_again(job: str, seen: Seen, sources: Sources) -> bool:
    """Whether a row is refused with a word that says "again", so that each sync sends it."""
    named = any(job == name and key in (*seen, _vin(sources, name, key)) for name, key in sources.again)
    return named or seen[0].startswith("MCK500")


def _vin(sources: Sources, name: str, key: str) -> str:
    row = sources.rows[name].get(key, {})
    return row.get("vin", key)


def one_slot_each(slots: Mapping[str, Slot], batches: list[Batch]) -> Iterator[str]:
    """The content of each batch stands in exactly one slot, in its own."""
    held = Counter(slot.md5 for slot in slots.values() if slot.md5)
    sent: Counter[str] = Counter()
    for batch in batches:
        if batch.allocation is None or batch.allocation.id.lower() not in slots:
            if batch.phase is Phase.DELIVERED and batch.verdict not in (Verdict.CANCELLED, Verdict.RESENT):
                yield f"batch {batch.id} is delivered and has no slot that its vendor knows"
            continue
        slot = slots[batch.allocation.id.lower()]
        if batch.submitted_at is None or (batch.verdict is Verdict.LOST and slot.md5 is None):
            continue
        sent[batch.file.md5] += 1
        if slot.md5 != batch.file.md5:
            yield f"batch {batch.id} counts as uploaded, and slot {slot.id} holds {slot.md5 or 'nothing'}"
    for md5, count in held.items():
        if count != sent[str(md5)]:
            yield f"one content stands in {count} slots and {sent[str(md5)]} batches were uploaded with it"


def tickets_follow(vendors: Mapping[str, Vendor], batches: list[Batch]) -> Iterator[str]:
    """Every slot goes by a name that follows from job, content and attempt: nothing was ever drawn."""
    space = uuid.UUID("6f2f3c1e-6f0a-5f5b-9a50-1b8e5f1f2a77")
    right = {
        str(uuid.uuid5(space, f"batch\0{batch.job}\0{batch.file.digest}\0{attempt}"))
        for batch in batches
        for attempt in range(1, batch.attempt + 1)
    }
    for name, vendor in vendors.items():
        for held in vendor.state.batches.all():
            if str(held.reference).removeprefix("batchsync-") not in right:
                yield f"slot {held.id} of {name} goes by {held.reference}, which follows from no batch"


def books_are_true(slots: Mapping[str, Slot], batches: list[Batch], *, doubtful: Collection[str]) -> Iterator[str]:
    """The books of each batch are the fates that its vendor tells.

    Where a log was `doubtful`, rows may be unknown, but none is accepted or refused that was not: names of batches.
    """
    for batch in batches:
        if batch.counts is None or batch.allocation is None or batch.submitted_at is None:
            continue
        slot = slots.get(batch.allocation.id.lower())
        fates = Counter(fate for _, fate in slot.rows) if slot else Counter()
        books = batch.counts
        if batch.verdict is Verdict.LOST:
            if books.unknown != batch.file.rows:
                yield f"batch {batch.id} was lost, and its books say {books}"
            continue
        if batch.verdict in (Verdict.CANCELLED, Verdict.REFUSED, Verdict.EXPIRED):
            if books.accepted or books.unknown:
                yield f"batch {batch.id} ended {batch.verdict}, and its books say {books}"
            continue
        if batch.id in doubtful and books.accepted <= fates["accepted"] and books.rejected <= fates["rejected"]:
            continue
        if books.accepted != fates["accepted"] or books.rejected != fates["rejected"] or books.unknown:
            yield f"batch {batch.id}: {books}, but its vendor tells {dict(fates)}"


def lost_for_a_reason(batches: list[Batch], forgetful: Collection[str]) -> Iterator[str]:
    """No batch counts as lost whose vendor never denied that it knows one."""
    for batch in batches:
        if batch.verdict is Verdict.LOST and VENDOR_OF[batch.job] not in forgetful:
            yield f"batch {batch.id} counts as lost, and its vendor never denied any"


def nothing_more(
    outcomes: Iterable[JobOutcome], sent: Collection[str], vendors: Mapping[str, Vendor], sources: Sources
) -> Iterator[str]:
    """A further sync ends well, counts the rows as they stand, and sends none but those refused with "again"."""
    slots = slots_of(vendors)
    for name in sent:
        for seen, _ in slots[name].rows:
            if not is_sent_again(job_of(slots[name], seen, sources.names), seen, sources):
                yield f"a further sync sent {seen}"
    for outcome in outcomes:
        if outcome.exit_code not in (ExitCode.DONE, ExitCode.REJECTS):
            yield f"{outcome.job}: a further sync ended with {int(outcome.exit_code)}"
        tally, rows = outcome.runs[-1].run.counts, sources.rows[outcome.job]
        if tally.source_rows != len(rows):
            yield f"{outcome.job}: {tally.source_rows} rows were counted of {len(rows)}"
        if tally.invalid != (wrong := sum(sources.invalid(outcome.job, key) for key in rows)):
            yield f"{outcome.job}: {tally.invalid} rows count as invalid, and {wrong} are"


def equations_hold(journal: Journal, names: tuple[str, ...]) -> Iterator[str]:
    """The journal agrees with itself, and every run's equation holds."""
    yield from (f"audit: {item}" for item in journal.audit())
    for name in names:
        yield from (f"run {run.id} is still being prepared" for run in journal.preparing_runs(name))
        for run in journal.history(name, limit=1000):
            try:
                settlement_of(run, journal.batches(run.id))
            except UnbalancedError as error:
                yield f"run {run.id}: {error}"


def target_is_source(
    slots: Mapping[str, Slot],
    vendors: Mapping[str, Vendor],
    sources: Sources,
    folder: Path,
    journal: Journal,
    *,
    resolved: bool = False,
) -> Iterator[str]:
    """The vendor holds what the source says, but for rows that were refused or are unknown; so does our baseline.

    When it is all `resolved`, that a row once was unknown is no excuse any more.
    """
    for name in sources.names:
        accepted, loose = _accepted(slots, sources, name), _refused(slots, sources, name)
        loose |= set() if resolved else _unknown(journal, name)
        baseline = _baseline(journal, name, folder)
        for key in sources.rows[name]:
            if sources.invalid(name, key) or key in loose:
                continue
            if accepted.get(key) != sources.seen(name, key):
                yield f"{name}: row {key} stands in the source as the vendor does not hold it: {accepted.get(key)}"
            if key not in baseline:
                yield f"{name}: row {key} was accepted, and the baseline does not say so"
        claimed = baseline - set(accepted) - loose
        yield from (f"{name}: the baseline says that {key} was accepted, and the vendor does not" for key in claimed)
        left = set(accepted) - set(sources.rows[name]) - loose if name == "guests" else set()
        yield from (f"{name}: {key} left the source, and the vendor still holds it" for key in left)
        if VENDOR_OF[name] == "sitecore-cdp":
            yield from _store_agrees(vendors["sitecore-cdp"], name, accepted)


def _accepted(slots: Mapping[str, Slot], sources: Sources, name: str) -> dict[str, Seen]:
    """Return the version of each key that the vendor accepted last, removals applied."""
    key_of = keys_of(sources, name)
    held: dict[str, Seen] = {}
    for slot in slots.values():
        for seen, fate in slot.rows:
            if fate != "accepted" or slot.vendor != VENDOR_OF[name]:
                continue
            if name != "vehicles" and job_of(slot, seen, sources.names) != name:
                continue
            if seen[0] == "delete":
                held.pop(seen[1], None)
            else:
                held[key_of(seen)] = seen
    return held


def keys_of(sources: Sources, name: str) -> Callable[[Seen], str]:
    """Return how the key of a row is found that the vendor saw in this version."""
    vins: dict[Seen, str] = {}
    for (job, key), rows in sources.history.items():
        if job == name == "vehicles":
            vins |= {(row["vin"].strip().upper(), row["plate"], row["state"]): key for row in rows}
    return lambda seen: vins.get(seen, seen[-1])


def none_unknown(journal: Journal, names: tuple[str, ...]) -> Iterator[str]:
    """No run counts an unknown row any more."""
    for name in names:
        for run in journal.history(name, limit=1000):
            if unknown := sum(batch.counts.unknown for batch in journal.batches(run.id) if batch.counts):
                yield f"run {run.id} still counts {unknown} unknown rows"
        last = journal.history(name, limit=1)
        yield from (f"run {run.id} left unknown rows alone" for run in last if run.counts.still_unknown)


def _refused(slots: Mapping[str, Slot], sources: Sources, name: str) -> set[str]:
    """Return the keys of which nothing more is owed, for their version of now was refused."""
    refused = {seen for slot in slots.values() for seen, fate in slot.rows if fate == "rejected"}
    gone = {seen[1] for seen in refused if seen[0] == "delete"}
    now = {key for key in sources.rows[name] if sources.seen(name, key) in refused}
    return gone | now


def _unknown(journal: Journal, name: str) -> set[str]:
    """Return the keys whose outcome once was unknown."""
    return {row.reject.key for row in journal.rejects(job=name, kind="unknown", limit=-1)}


def _baseline(journal: Journal, name: str, folder: Path) -> set[str]:
    entry = journal.baseline(name, "simulated")
    if entry is None:
        return set()
    held: set[str] = set()
    for segment in entry.segments:
        rows = pl.read_parquet(folder / "baselines" / name / segment.file, glob=False).filter(~pl.col("as_before"))
        held -= set(rows["key"])
        held |= set(rows.filter(pl.col("accepted").is_not_null())["key"])
    return held


def _store_agrees(vendor: Vendor, name: str, accepted: Mapping[str, Seen]) -> Iterator[str]:
    """The oracle agrees with itself: what the ledger says was accepted is what the store holds."""
    held = {}
    for guest in vendor.stored_objects():
        value = guest.get("value", guest)
        for item in value.get("identifiers", []):
            if item["provider"] == name:
                held[item["id"]] = (value["firstName"], value["lastName"], value["email"], item["id"])
    if held != dict(accepted):
        yield f"{name}: the store holds {sorted(held)}, the ledger accepted {sorted(accepted)}"


def results_are_whole(slots: Mapping[str, Slot], sources: Sources, journal: Journal, folder: Path) -> Iterator[str]:
    """The file of answers has one row for each accepted key, with the answer to the version accepted last."""
    file = folder / "out" / "vehicles.csv"
    rows = list(csv.DictReader(file.read_text("utf-8").splitlines())) if file.exists() else []
    keys = [row["id"] for row in rows]
    if len(keys) != len(set(keys)):
        yield "a key stands twice in the file of answers"
    accepted = _accepted(slots, sources, "vehicles")
    loose = _refused(slots, sources, "vehicles") | _unknown(journal, "vehicles")
    for key in set(accepted) - set(keys) - loose:
        yield f"the answer about {key} is not in the file of answers"
    for key in set(keys) - set(accepted):
        yield f"the file of answers speaks of {key}, which was never accepted"
    for row in rows:
        vin = row.get("vin")
        if (
            vin is not None
            and row["id"] not in loose
            and row["id"] in accepted
            and vin.strip().upper() != accepted[row["id"]][0]
        ):
            yield f"the answer about {row['id']} is about an older version"


def all_batches(journal: Journal, names: tuple[str, ...]) -> list[Batch]:
    """Return every batch of every run."""
    return [batch for name in names for run in journal.history(name, limit=1000) for batch in journal.batches(run.id)]


def shown(slots: Mapping[str, Slot]) -> str:
    """Return the vendors' side as text, for the transcript."""
    return json.dumps([[slot.id, slot.md5, slot.uploads, slot.rows] for slot in slots.values()])
