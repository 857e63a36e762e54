"""Test oracle: invariants of every seed, checked by the ledgers of the mock vendors.

Each `check_` function yields a description of every violation.
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
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.run import settlement_of
from batchsync.errors import ExitCode
from simulation.data_vendors import BY_VENDOR, identity
from simulation.deployment import VENDOR_OF, logical, vendor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from batchsync.journal import Journal
    from batchsync.reconcile.sync import JobOutcome
    from batchsync_mocks.vendor import Vendor
    from simulation.deployment import RowVersion, Sources


@dataclass(frozen=True)
class VendorBatch:
    """One batch at its vendor: digest of its file, number of uploads, versions and outcomes of its rows."""

    vendor: str
    id: str
    md5: str | None
    uploads: int
    rows: tuple[tuple[RowVersion, str], ...]


def vendor_batches(vendors: Mapping[str, Vendor]) -> dict[str, VendorBatch]:
    """Return all batches of all vendors by id, in the order of their uploads."""
    found: dict[str, VendorBatch] = {}
    for name, vendor in vendors.items():
        rows: dict[str, list[tuple[RowVersion, str]]] = defaultdict(list)
        for entry in vendor.entries(values=True):
            rows[str(entry["batch"]).lower()].append((_version(name, entry), entry["outcome"]))
        for batch in sorted(vendor.state.batches.all(), key=lambda item: item.upload.sequence if item.upload else 0):
            at = identity(vendor, batch)
            md5, arrived = batch.upload.md5 if batch.upload else None, tuple(rows[at.id])
            if not at.is_submitted:
                # Without a commit the vendor never processes the file.
                md5, arrived = None, tuple((version, "unprocessed") for version, _ in arrived)
            found[at.id] = VendorBatch(name, at.id, md5, batch.uploads, arrived)
    return found


def _version(vendor: str, entry: dict[str, Any]) -> RowVersion:
    """Return the version of a row, as `Sources.vendor_view` does."""
    if vendor in BY_VENDOR:
        return BY_VENDOR[vendor].version_of(entry)
    if "columns" in entry:
        columns = entry["columns"]
        return (columns["vin"].strip().upper(), columns.get("plate") or "", columns.get("state") or "")
    value = entry.get("value") or {}
    key = value["identifiers"][0]["id"]
    if entry["mode"] == "delete":
        return ("delete", key)
    return (value["firstName"], value["lastName"], value["email"], key)


def job_of(at_vendor: VendorBatch, version: RowVersion, names: tuple[str, ...]) -> str:
    """Return the job of a row, by its version at the vendor."""
    if at_vendor.vendor == "motorweb-bdp":
        return "vehicles"
    if at_vendor.vendor in BY_VENDOR:
        return BY_VENDOR[at_vendor.vendor].job
    if version[0] == "delete":
        return "guests"
    return "members" if version[2].endswith("members@example.com") and "members" in names else "guests"


def check_no_duplicates(at_vendors: Mapping[str, VendorBatch], sources: Sources, *, retries: int = 0) -> Iterator[str]:
    """No batch was uploaded twice, and no version of a row arrived more often than it was written.

    A row with a retryable rejection may also arrive once with each of the `retries` syncs.
    """
    for at_vendor in at_vendors.values():
        if at_vendor.uploads > 1:
            yield f"batch {at_vendor.id} of {at_vendor.vendor} was uploaded {at_vendor.uploads} times"
    for (job, version), count in count_arrivals(at_vendors, sources).items():
        extra = retries if is_retried(job, version, sources) else 0
        written = sources.allowed[job, version]
        if count > written + extra:
            yield f"{job}: a version of a row arrived {count} times and was written {written} times"


def count_arrivals(at_vendors: Mapping[str, VendorBatch], sources: Sources) -> Counter[tuple[str, RowVersion]]:
    """Return how often each version of each row arrived at its vendor and was processed."""
    return Counter(
        (job_of(at_vendor, version, sources.names), version)
        for at_vendor in at_vendors.values()
        for version, outcome in at_vendor.rows
        if outcome != "unprocessed"
    )


def is_retried(job: str, version: RowVersion, sources: Sources) -> bool:
    """Return whether the rejection of a row is retryable, so that each sync sends it."""
    listed = any(job == name and key in (*version, _vin(sources, name, key)) for name, key in sources.retried)
    return listed or version[0].startswith("MCK500")


def _vin(sources: Sources, name: str, key: str) -> str:
    row = sources.rows[name].get(key, {})
    return row.get("vin", key)


def check_one_allocation_each(at_vendors: Mapping[str, VendorBatch], batches: list[Batch]) -> Iterator[str]:
    """The content of each batch is in exactly one batch at its vendor, its own."""
    received = Counter(at_vendor.md5 for at_vendor in at_vendors.values() if at_vendor.md5)
    sent: Counter[str] = Counter()
    for batch in batches:
        if batch.allocation is None or batch.allocation.id.lower() not in at_vendors:
            if batch.phase is Phase.DELIVERED and batch.verdict not in (Verdict.CANCELLED, Verdict.RESENT):
                yield f"batch {batch.id} is delivered, but unknown to its vendor"
            continue
        at_vendor = at_vendors[batch.allocation.id.lower()]
        # A page may have answered the upload with success, and a person cancelled the batch before that showed.
        without_file = at_vendor.md5 is None and batch.verdict in (Verdict.LOST, Verdict.CANCELLED)
        if batch.submitted_at is None or without_file:
            continue
        sent[batch.file.md5] += 1
        if at_vendor.md5 != batch.file.md5:
            yield f"batch {batch.id} counts as uploaded, but the file at the vendor is {at_vendor.md5 or 'missing'}"
    for md5, count in received.items():
        if count != sent[str(md5)]:
            yield f"the same content was uploaded {count} times for {sent[str(md5)]} batches"


def check_idempotency_keys(vendors: Mapping[str, Vendor], batches: list[Batch]) -> Iterator[str]:
    """Every idempotency key at a vendor derives from job, content and attempt."""
    space = uuid.UUID("6f2f3c1e-6f0a-5f5b-9a50-1b8e5f1f2a77")
    derived = {
        str(uuid.uuid5(space, f"batch\0{batch.job}\0{batch.file.digest}\0{attempt}"))
        for batch in batches
        for attempt in range(1, batch.attempt + 1)
    }
    for name, vendor in vendors.items():
        for item in vendor.state.batches.all():
            if str(item.reference).removeprefix("batchsync-") not in derived:
                yield f"batch {item.id} of {name} has the reference {item.reference}, which derives from no batch"


def check_row_counts(
    at_vendors: Mapping[str, VendorBatch], batches: list[Batch], *, doubtful: Collection[str]
) -> Iterator[str]:
    """The row counts of each batch equal the outcomes in the vendor's ledger.

    Rows of the batches in `doubtful`, whose row log was incomplete, may be unknown instead.
    """
    for batch in batches:
        if batch.counts is None or batch.allocation is None or batch.submitted_at is None:
            continue
        at_vendor = at_vendors.get(batch.allocation.id.lower())
        ledger = Counter(outcome for _, outcome in at_vendor.rows) if at_vendor else Counter()
        counts = batch.counts
        if batch.verdict is Verdict.LOST:
            if counts[RowOutcome.UNKNOWN] != batch.file.rows:
                yield f"batch {batch.id} was lost, and its counts are {counts}"
            continue
        if batch.verdict in (Verdict.CANCELLED, Verdict.REFUSED, Verdict.EXPIRED):
            if counts[RowOutcome.ACCEPTED] or counts[RowOutcome.UNKNOWN]:
                yield f"batch {batch.id} ended {batch.verdict}, and its counts are {counts}"
            continue
        reported = counts.only((RowOutcome.ACCEPTED, RowOutcome.REJECTED))
        if batch.id in doubtful and all(count <= ledger[outcome] for outcome, count in reported.items()):
            continue
        if reported != counts or any(count != ledger[outcome] for outcome, count in reported.items()):
            yield f"batch {batch.id}: {counts}, but the ledger of its vendor is {dict(ledger)}"


def check_lost_batches(batches: list[Batch], denying_vendors: Collection[str]) -> Iterator[str]:
    """No batch counts as lost unless its vendor denied a batch more than once."""
    for batch in batches:
        if batch.verdict is Verdict.LOST and vendor_of(batch.job) not in denying_vendors:
            yield f"batch {batch.id} counts as lost, but its vendor denied no batch more than once"


def check_idle_sync(
    outcomes: Iterable[JobOutcome], sent: Collection[str], vendors: Mapping[str, Vendor], sources: Sources
) -> Iterator[str]:
    """A further sync ends well, counts the current rows, and sends only rows with a retryable rejection."""
    at_vendors = vendor_batches(vendors)
    for name in sent:
        for version, _ in at_vendors[name].rows:
            if not is_retried(job_of(at_vendors[name], version, sources.names), version, sources):
                yield f"a further sync sent {version}"
    for outcome in outcomes:
        unknown = outcome.unresolved or any(run.settlement.outcomes[RowOutcome.UNKNOWN] for run in outcome.runs)
        expected = (ExitCode.NEEDS_ATTENTION,) if unknown else (ExitCode.DONE, ExitCode.REJECTS)
        if outcome.exit_code not in expected:
            yield f"{outcome.job}: a further sync ended with {int(outcome.exit_code)}"
        name = logical(outcome.job)
        plan_counts, rows = outcome.runs[-1].run.counts, sources.rows[name]
        if plan_counts.source_rows != len(rows):
            yield f"{outcome.job}: {plan_counts.source_rows} rows were counted of {len(rows)}"
        invalid = plan_counts.outcomes[RowOutcome.INVALID]
        if invalid != (expected := sum(sources.invalid(name, key) for key in rows)):
            yield f"{outcome.job}: {invalid} rows count as invalid instead of {expected}"


def check_journal(journal: Journal, names: tuple[str, ...]) -> Iterator[str]:
    """The audit of the journal finds nothing, and every run's settlement balances."""
    yield from (f"audit: {item}" for item in journal.audit())
    for name in names:
        yield from (f"run {run.id} is still being prepared" for run in journal.preparing_runs(name))
        for run in journal.history(name, limit=1000):
            try:
                settlement_of(run, journal.batches(run.id))
            except UnbalancedError as error:
                yield f"run {run.id}: {error}"


def check_target(
    at_vendors: Mapping[str, VendorBatch],
    vendors: Mapping[str, Vendor],
    sources: Sources,
    folder: Path,
    journal: Journal,
    *,
    resolved: bool = False,
) -> Iterator[str]:
    """Vendor and baseline hold the rows of the source, except for rejected and unknown rows.

    With `resolved`, rows that once were unknown must agree, too.
    """
    for name in sources.names:
        accepted, exempt = accepted_versions(at_vendors, sources, name), _rejected(at_vendors, sources, name)
        exempt |= set() if resolved else _unknown(journal, sources, name)
        baseline = _baseline(journal, sources.present(name), folder)
        for key in sources.rows[name]:
            if sources.invalid(name, key) or key in exempt:
                continue
            if accepted.get(key) != sources.vendor_view(name, key):
                yield f"{name}: the vendor holds another version of row {key}: {accepted.get(key)}"
            if key not in baseline:
                yield f"{name}: row {key} was accepted, but is not in the baseline"
        claimed = baseline - set(accepted) - exempt
        yield from (f"{name}: {key} is accepted in the baseline, but not at the vendor" for key in claimed)
        left = set(accepted) - set(sources.rows[name]) - exempt if sources.removes(name) else set()
        yield from (f"{name}: {key} left the source, but the vendor still holds it" for key in left)
        if VENDOR_OF[name] == "sitecore-cdp":
            yield from _check_store(vendors["sitecore-cdp"], name, accepted)


def accepted_versions(at_vendors: Mapping[str, VendorBatch], sources: Sources, name: str) -> dict[str, RowVersion]:
    """Return the last accepted version of each key, removals applied."""
    key_of = keys_of(sources, name)
    held: dict[str, RowVersion] = {}
    for at_vendor in at_vendors.values():
        for version, outcome in at_vendor.rows:
            if outcome != "accepted" or at_vendor.vendor != VENDOR_OF[name]:
                continue
            if name != "vehicles" and job_of(at_vendor, version, sources.names) != name:
                continue
            if version[0] == "delete":
                held.pop(version[1], None)
            else:
                held[key_of(version)] = version
    return held


def keys_of(sources: Sources, name: str) -> Callable[[RowVersion], str]:
    """Return a function from the version of a row at the vendor to its key."""
    vins: dict[RowVersion, str] = {}
    for (job, key), rows in sources.history.items():
        if job == name == "vehicles":
            vins |= {(row["vin"].strip().upper(), row["plate"], row["state"]): key for row in rows}
    return lambda version: vins.get(version, version[-1])


def check_nothing_unknown(journal: Journal, sources: Sources) -> Iterator[str]:
    """No run has unknown rows, and the newest run of each job has skipped none."""
    for name in sources.journal_names:
        for run in journal.history(name, limit=1000):
            if unknown := sum(batch.counts[RowOutcome.UNKNOWN] for batch in journal.batches(run.id) if batch.counts):
                yield f"run {run.id} still counts {unknown} unknown rows"
        last = journal.history(name, limit=1) if name == sources.present(logical(name)) else ()
        yield from (f"run {run.id} skipped unknown rows" for run in last if run.counts.outcomes[RowOutcome.UNKNOWN])


def _rejected(at_vendors: Mapping[str, VendorBatch], sources: Sources, name: str) -> set[str]:
    """Return the keys whose current version, or removal, was rejected."""
    rejected = {
        version for at_vendor in at_vendors.values() for version, outcome in at_vendor.rows if outcome == "rejected"
    }
    removals = {version[1] for version in rejected if version[0] == "delete"}
    current = {key for key in sources.rows[name] if sources.vendor_view(name, key) in rejected}
    return removals | current


def _unknown(journal: Journal, sources: Sources, name: str) -> set[str]:
    """Return the keys of a job that have had an unknown outcome."""
    names = (item for item in sources.journal_names if logical(item) == name)
    return {row.reject.key for item in names for row in journal.rejects(job=item, kind="unknown")}


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


def _check_store(vendor: Vendor, name: str, accepted: Mapping[str, RowVersion]) -> Iterator[str]:
    """The ledger of the vendor agrees with its store."""
    held = {}
    for guest in vendor.stored_objects():
        value = guest.get("value", guest)
        for item in value.get("identifiers", []):
            if item["provider"] == name:
                held[item["id"]] = (value["firstName"], value["lastName"], value["email"], item["id"])
    if held != dict(accepted):
        yield f"{name}: the store holds {sorted(held)}, the ledger accepted {sorted(accepted)}"


def check_results(
    at_vendors: Mapping[str, VendorBatch], sources: Sources, journal: Journal, folder: Path
) -> Iterator[str]:
    """The results file has one row for each accepted key of the source, with the result of its last version."""
    file = folder / "out" / "vehicles.csv"
    rows = list(csv.DictReader(file.read_text("utf-8").splitlines())) if file.exists() else []
    keys = [row["id"] for row in rows]
    if len(keys) != len(set(keys)):
        yield "a key occurs twice in the results file"
    accepted = accepted_versions(at_vendors, sources, "vehicles")
    exempt = _rejected(at_vendors, sources, "vehicles") | _unknown(journal, sources, "vehicles")
    for key in (set(accepted) & set(sources.rows["vehicles"])) - set(keys) - exempt:
        yield f"the result of {key} is missing from the results file"
    for key in set(keys) - set(sources.rows["vehicles"]):
        yield f"the results file contains {key}, which left the source"
    for key in set(keys) - set(accepted):
        yield f"the results file contains {key}, which was never accepted"
    for row in rows:
        vin = row.get("vin")
        if (
            vin is not None
            and row["id"] not in exempt
            and row["id"] in accepted
            and vin.strip().upper() != accepted[row["id"]][0]
        ):
            yield f"the result of {row['id']} belongs to an older version"


def all_batches(journal: Journal, names: tuple[str, ...]) -> list[Batch]:
    """Return every batch of every run."""
    return [batch for name in names for run in journal.history(name, limit=1000) for batch in journal.batches(run.id)]


def to_json(at_vendors: Mapping[str, VendorBatch]) -> str:
    """Return the batches at the vendors as JSON, for the transcript."""
    return json.dumps(
        [[at_vendor.id, at_vendor.md5, at_vendor.uploads, at_vendor.rows] for at_vendor in at_vendors.values()]
    )
