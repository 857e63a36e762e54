"""The rows of a plan file: pinned from a comparison, verified when they are read, and compared with the present state.

`PolarsEngine` inherits these operations of the port `DataEngine`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from batchsync.core.row_outcome import RowOutcome
from batchsync.data.baseline.versions import VERSIONS, count_moved, write_versions
from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.batchfile.encode_sample import encode_sample
from batchsync.data.batchfile.pin import pin_rows
from batchsync.data.batchfile.pinned_pass import PINNED
from batchsync.data.compare.classified_files import INVALID
from batchsync.data.frame import columns
from batchsync.data.frame.integrity import translate_disk_errors, verify_digest
from batchsync.data.frame.known import opened_baseline
from batchsync.data.frame.suppressed import LISTED, digest_of_value, listed_digests
from batchsync.data.record.keyed_rows import canonical_key
from batchsync.data.row.parquet_layout import layout_of
from batchsync.errors import SourceError, UsageError
from batchsync.ports import PinnedRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from batchsync.core.forecast import EncodedSample
    from batchsync.core.job import Job
    from batchsync.core.plan import Plan
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.batchfile.stage_context import StageContext
    from batchsync.ports import BaselineEntry, Comparison, MovedKeys, ObjectStore, Suppression
    from batchsync.util.parquet_writer import Schema

_CHANGES, _VERSIONS, _INVALID, _ANSWERS = "changes.parquet", "versions.parquet", "invalid.parquet", "answers.parquet"
#: Parts that a plan file may have of a job, with their columns; None: they depend on the job.
PARTS: dict[str, Schema | None] = {
    _CHANGES: CHANGES,
    PINNED: None,
    _VERSIONS: VERSIONS,
    _INVALID: INVALID,
    _ANSWERS: None,
}
#: Parts without which there is no plan.
_REQUIRED = (PINNED, _VERSIONS)
#: Compressions of the parts, and the greatest ratio of decompressed to compressed bytes that LZ4 can have.
_COMPRESSIONS, _RATIO_MAX = {"LZ4", "UNCOMPRESSED", "ZSTD"}, 255
#: Size up to which a part may decompress to any size, in bytes.
_SMALL = 64 << 20
_CHUNK_ROWS = 100_000
_HINT = "make the plan again: `batchsync plan --out FILE`"


class PlanRows:
    """Operations on the rows of plan files; a base of `PolarsEngine`."""

    _objects: ObjectStore
    _stage_context: StageContext

    def pin(
        self, job: Job, rules: VendorRules, comparison: Comparison, baseline: BaselineEntry, answers: Path | None = None
    ) -> PinnedRows:
        """Write the rows that a comparison sends, and the known states of its keys, to its folder.

        Args:
            job: The job of the comparison, with its source as compared.
            rules: Rules of the job's vendor.
            comparison: The comparison.
            baseline: The baseline that it was compared with.
            answers: Parquet file of the keys whose answers the plan removes, by key column, as strings; None if none.

        Returns:
            The files of the plan, and those that the source was read from.
        """
        folder = comparison.folder
        with translate_disk_errors(f"pinning the plan of {job.name}"):
            files = pin_rows(job, rules, folder, self._stage_context.workers)
            if answers is not None:
                answers.replace(folder / _ANSWERS)
            with opened_baseline(self._objects, baseline) as known:
                verify_digest(known.paths)
                write_versions(folder, _planned_keys(folder), known)
        parts = tuple(path for name in PARTS if (path := folder / name).exists())
        return PinnedRows(parts=parts, source_files=files)

    def encode_sample(self, job: Job, rules: VendorRules, comparison: Comparison) -> EncodedSample:
        """Return the size of the first records that a comparison sends, encoded and compressed; none is written.

        Args:
            job: The job of the comparison, with its source as compared.
            rules: Rules of the job's vendor.
            comparison: The comparison.

        Returns:
            Their size.
        """
        with translate_disk_errors("reading the plan"):
            return encode_sample(job, rules, comparison, self._stage_context.workers)

    def verify_pinned(self, plan: Plan, folder: Path) -> None:
        """Check the parts of a plan that were read from a plan file.

        Args:
            plan: The plan.
            folder: Folder of its parts.

        Raises:
            UsageError: If a part is missing, no Parquet file, has other columns, would take much more memory than disk,
                or contradicts the counts of the plan.
        """
        if missing := [name for name in _REQUIRED if not (folder / name).exists()]:
            raise UsageError(f"the plan of {plan.job} has no {missing[0]}", hint=_HINT)
        for name, schema in PARTS.items():
            if (folder / name).exists():
                _verify_part(plan.job, folder / name, schema)
        counts, found = plan.counts, {"add": 0, "change": 0, "remove": 0}
        if (folder / _CHANGES).exists():
            changes = pl.scan_parquet(folder / _CHANGES, glob=False).group_by("op").len().collect()
            found |= dict(changes.iter_rows())
        expected = {"add": counts.added, "change": counts.changed, "remove": counts.removed}
        listed = counts.outcomes.sum_of((RowOutcome.INVALID, RowOutcome.SUPERSEDED))
        invalid = pq.read_metadata(folder / _INVALID).num_rows if (folder / _INVALID).exists() else 0
        if found != expected or invalid > listed or (listed and not invalid) or counts.unstaged:
            message = f"the plan of {plan.job} contradicts itself: its rows are not those that it counts"
            raise UsageError(message, hint=_HINT)

    def moved_keys(
        self,
        folder: Path,
        baseline: BaselineEntry,
        in_flight: Sequence[str],
        suppression: Suppression | None,
        listed: tuple[str, Path] | None,
    ) -> MovedKeys:
        """Return how many keys of a pinned plan are in another state than when it was made.

        Args:
            folder: Folder of the parts of the plan.
            baseline: The present baseline of the job.
            in_flight: Keys of the row manifests of open batches.
            suppression: Keys that were forgotten; None if there are none.
            listed: Column that is looked up in the suppression list, and digests of the list; None without a list.
        """
        with (
            translate_disk_errors("comparing a plan with the baseline"),
            opened_baseline(self._objects, baseline, in_flight) as known,
        ):
            verify_digest([*known.paths, *known.in_flight])
            return count_moved(folder, known, suppression, _listed_keys(folder, listed))

    def use_template(self, folder: Path, template: tuple[str, ...] | None) -> None:
        """Set the columns of the vendor's input template, if it has one, for the staging of a pinned plan."""
        options = {"template": template, "streamed": False}
        (folder / "compare.json").write_text(json.dumps(options), encoding="utf-8")

    def answers_of(self, folder: Path) -> Path | None:
        """Return the file of the keys whose answers a pinned plan removes; None if it removes none."""
        return path if (path := folder / _ANSWERS).exists() else None


def _listed_keys(folder: Path, listed: tuple[str, Path] | None) -> pl.DataFrame:
    """Return the keys of pinned rows that are on the suppression list of the job (column `key`)."""
    rows = pl.scan_parquet(folder / PINNED, glob=False)
    if listed is None or listed[0] not in rows.collect_schema():
        return pl.DataFrame(schema={"key": pl.String})
    values = rows.select(pl.col(columns.SENT_KEY).alias("key"), digest_of_value(listed[0]).alias(LISTED))
    found = values.join(listed_digests(listed[1]).lazy(), on=LISTED, how="semi").select("key").unique()
    return found.collect(engine="streaming")


def _planned_keys(folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the keys of the changes of a plan, and those whose answers it removes."""
    if (folder / _CHANGES).exists():
        rows = pl.scan_parquet(folder / _CHANGES, glob=False).select("key")
        yield from rows.collect_batches(chunk_size=_CHUNK_ROWS)
    if (folder / _ANSWERS).exists():
        rows = pl.scan_parquet(folder / _ANSWERS, glob=False)
        key = canonical_key([pl.col(name) for name in rows.collect_schema().names()])
        yield from rows.select(key.alias("key")).collect_batches(chunk_size=_CHUNK_ROWS)


def _verify_part(job: str, path: Path, schema: Schema | None) -> None:
    """Check that a part is a Parquet file of its kind that does not decompress to an excessive size."""
    try:
        layout = layout_of(path)
        footer = pq.read_metadata(path)
        kept = dict(pl.scan_parquet(path, glob=False).collect_schema())
        groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
        chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
    except (SourceError, OSError, pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise UsageError(f"the plan of {job}: {path.name} cannot be read as Parquet", hint=_HINT) from None
    size = path.stat().st_size
    expanded = sum(chunk.total_uncompressed_size for chunk in chunks)
    compressions = {chunk.compression for chunk in chunks}
    if not compressions <= _COMPRESSIONS or (expanded > _SMALL and expanded > size * _RATIO_MAX):
        raise UsageError(f"the plan of {job}: {path.name} would take {expanded:,} bytes of memory", hint=_HINT)
    if layout.unreadable or (schema is not None and list(kept.items()) != list(dict(schema).items())):
        raise UsageError(f"the plan of {job}: {path.name} has other columns than those of a plan", hint=_HINT)
