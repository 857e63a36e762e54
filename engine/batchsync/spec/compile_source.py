"""Compile `source:`, `results:` and `schedule:` blocks into `Source`, `Results` and `Schedule` values."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from batchsync.core.expression_text import objection_to
from batchsync.core.job import Join, OnRemovedAnswer, Results, Schedule, Source
from batchsync.core.mapping import Expression
from batchsync.core.source_path import format_by_ending, scheme_of
from batchsync.spec.compile_record import EXPRESSION
from batchsync.spec.field_types import is_source_format
from batchsync.spec.interpolate import TypedMap, TypedSeq, Value
from batchsync.util.plugins import ROW_READERS, SOURCE_FETCHERS, plugin_names
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.spec.interpolate import Typed
    from batchsync.spec.models import ResultsModel, ScheduleModel
    from batchsync.spec.models_source import SourceModel
    from batchsync.spec.problems import Problems

#: Minute, hour, day, month, weekday.
_CRON_FIELDS = 5
_ENDINGS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".db": "sqlite", ".sqlite": "sqlite"}


def compile_source(model: SourceModel, node: TypedMap, start: int, folder: Path, problems: Problems) -> Source:
    """Compile a source block.

    Args:
        model: The validated block.
        node: The same block with places.
        start: Index of the key `source`.
        folder: Absolute folder of jobs.yaml.
        problems: Receives the problems.

    Returns:
        The source; its path is empty if it is another job (see `job_order`).
    """
    _check_origin(model, node, start, problems)
    places = problems.source.place
    duplicates = model.duplicates if isinstance(model.duplicates, str) else f"by:{model.duplicates.by}"
    return Source(
        path=model.path or "",
        folder=str(folder),
        key=_key(model, node.get("key"), problems),
        format=model.format,
        delimiter=model.delimiter or ("\t" if ".tsv" in (model.path or "").casefold()[-7:] else ","),
        encoding=model.encoding or "utf-8",
        nulls=tuple(model.nulls),
        joins=tuple(
            Join(path=join.path, on=join.on, place=places(item.start))
            for join, item in zip(model.join, _items(node.get("join")), strict=False)
        ),
        duplicates=duplicates,
        job=model.job,
        place=places(start),
    )


def written_paths(node: TypedMap) -> tuple[str, ...]:
    """Return the paths of a source and its joins as written, with unresolved variables."""
    blocks = (node, *_items(node.get("join")))
    found = [block.get("path") for block in blocks if isinstance(block, TypedMap)]
    return tuple(item.raw for item in found if isinstance(item, Value))


def compile_results(model: ResultsModel, node: Typed, folder: Path, problems: Problems) -> Results | None:
    """Compile a results block.

    Args:
        model: The validated block.
        node: The same block with places.
        folder: Absolute folder of jobs.yaml.
        problems: Receives the problems.

    Returns:
        The results with an absolute path; None after reporting a problem.
    """
    by_suffix = _ENDINGS.get(PurePath(model.path).suffix.casefold())
    at = _at(node, "path")
    kind = model.format or by_suffix
    if kind is None:
        problems.add(
            "results_format",
            at,
            "unknown file format",
            "a path ending in .csv, .parquet, .jsonl, .db or .sqlite",
            "or format: csv",
        )
        return None
    if kind == "sqlite" and model.table is None:
        problems.add("missing_key", at, "SQLite results without a table", "table: name")
        return None
    if kind != "sqlite" and model.table is not None:
        problems.add("value", _at(node, "table"), f"table for a {kind} file", "table only with a SQLite file")
    path = os.path.normpath(folder / model.path)
    return Results(
        path=path,
        format=kind,
        table=model.table,
        on_removed=OnRemovedAnswer(model.on_removed),
        place=problems.source.place(at),
    )


def compile_schedule(model: ScheduleModel, node: Typed, start: int, problems: Problems) -> Schedule | None:
    """Compile a schedule block.

    Args:
        model: The validated block.
        node: The same block with places.
        start: Index of the key `schedule`.
        problems: Receives the problems.

    Returns:
        The schedule; None after reporting a problem with cron and every.
    """
    if (model.cron is None) == (model.every is None):
        has = "both cron and every" if model.cron else "neither cron nor every"
        problems.add("schedule", start, f'"schedule" has {has}', "either {cron: ..., timezone: ...} or {every: 15m}")
        return None
    if model.every is not None:
        if model.timezone is not None:
            problems.add("schedule", _at(node, "timezone"), "time zone of an interval", "timezone only with cron")
        return Schedule(every=model.every)
    cron, zone = str(model.cron), model.timezone or "UTC"
    if reason := _cron_objection(cron):
        problems.add("schedule", _at(node, "cron"), f'"cron": {reason}', 'five fields, as in "0 2 * * *"')
    if not _is_zone(zone):
        advice = problems.suggest(zone, _zones(zone))
        problems.add(
            "timezone",
            _at(node, "timezone"),
            f"unknown time zone {quoted(zone)}",
            "an IANA name such as Pacific/Auckland",
            advice,
        )
    return Schedule(cron=cron, timezone=zone)


def _check_origin(model: SourceModel, node: TypedMap, start: int, problems: Problems) -> None:
    if model.path is None and model.job is None:
        if node.get("path") is None and node.get("job") is None:
            problems.add(
                "missing_key", start, '"source" has no "path"', "path: data/file.csv, or job: <name of a lookup job>"
            )
    elif model.path is not None and model.job is not None:
        problems.add("source", _at(node, "job"), '"source" has both path and job', "either path or job")
    if model.job is not None:
        for name in ("format", "delimiter", "encoding"):
            if getattr(model, name) is not None:
                problems.add(
                    "source",
                    _at(node, name),
                    f"{quoted(name)} with a job",
                    "no format options: they are those of the job's results",
                )
        return
    _check_path(model, node, problems)


def _check_path(model: SourceModel, node: TypedMap, problems: Problems) -> None:
    """Report files of an unknown format, and sources elsewhere that no installed package fetches."""
    for join, item in zip(model.join, _items(node.get("join")), strict=False):
        if scheme_of(join.path):
            problems.add("source_scheme", _at(item, "path"), "a join elsewhere", "a local file")
    path, at = model.path or "", _at(node, "path")
    if scheme := scheme_of(path):
        _check_scheme(scheme, at, problems)
    elif path and model.format is None and not is_source_format(format_by_ending(path)):
        installed = "".join(f".{name}, " for name in plugin_names(ROW_READERS))
        expected = f"a path ending in {installed}.csv, .parquet, .jsonl, .csv.gz or .jsonl.gz"
        problems.add("source_format", at, "unknown file format", expected, "or format: csv")


def _check_scheme(scheme: str, at: int, problems: Problems) -> None:
    """Report a source elsewhere that no installed package fetches."""
    installed = plugin_names(SOURCE_FETCHERS)
    if scheme not in installed:
        known = "".join(f", or a path that begins with {name}://" for name in installed)
        problems.add(
            "source_scheme",
            at,
            f"no installed package fetches {quoted(scheme + '://')}",
            f"a local file{known}",
            problems.suggest(scheme, installed) or "download the file first, or install a package that fetches it",
        )


def _key(model: SourceModel, node: Typed | None, problems: Problems) -> tuple[str, ...] | Expression:
    if not isinstance(node, Value) or not node.raw.startswith("="):
        return model.key
    if node.raw.startswith("=="):
        return (model.key[0][1:],)
    sql = model.key[0][1:].strip()
    if (objection := objection_to(sql)) is not None:
        problems.add("expression", node.start, f'"key": {objection.message}', EXPRESSION, objection.suggestion)
    return Expression(sql, problems.source.place(node.start))


def _cron_objection(cron: str) -> str:
    if len(cron.split()) != _CRON_FIELDS:
        return f"{len(cron.split())} fields"
    try:
        next(CronSim(cron, datetime(2025, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return str(error).lower()
    except StopIteration:
        return "no such date"
    return ""


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _zones(name: str) -> list[str]:
    """Return candidates for a suggestion: the time zones with the same first letter, best matches first."""
    first = name.casefold()[:1]
    found = [timezone for timezone in sorted(available_timezones()) if timezone.casefold().startswith(first)]
    return sorted(found, key=lambda timezone: timezone.casefold()[:3] != name.casefold()[:3])


def _items(node: Typed | None) -> tuple[Typed, ...]:
    return node.items if isinstance(node, TypedSeq) else ()


def _at(node: Typed, key: str) -> int:
    """Return the index of a key's value, or of the block if the key is absent."""
    value = node.get(key) if isinstance(node, TypedMap) else None
    return value.start if value is not None else node.start
