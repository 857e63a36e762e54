"""Makes the Source, Results and Schedule of a job from their blocks. It does not know vendors, nor what files hold."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from lading.core.expression_text import objection_to
from lading.core.job import Join, Results, Schedule, Source
from lading.core.mapping import Expression
from lading.spec.compile_record import EXPRESSION
from lading.spec.interpolate import TypedMap, TypedSeq, Value
from lading.spec.suggest import quoted

if TYPE_CHECKING:
    from pathlib import Path

    from lading.spec.interpolate import Typed
    from lading.spec.models import ResultsModel, ScheduleModel
    from lading.spec.models_source import SourceModel
    from lading.spec.problems import Problems

#: Minute, hour, day, month, weekday.
_CRON_FIELDS = 5
_ENDINGS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".db": "sqlite", ".sqlite": "sqlite"}
#: What `data` reads by its ending, `.gz` after it allowed for text.
_SOURCE_ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".jsonl", ".ndjson", ".json")


def compile_source(model: SourceModel, node: TypedMap, start: int, folder: Path, problems: Problems) -> Source:
    """Return the source. `folder` is absolute; a source that is a job has no path yet."""
    _one_origin(model, node, start, problems)
    places = problems.source.place
    joins = node.get("join")
    items = joins.items if isinstance(joins, TypedSeq) else ()
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
            for join, item in zip(model.join, items, strict=False)
        ),
        duplicates=duplicates,
        job=model.job,
        place=places(start),
    )


def written_paths(node: TypedMap) -> tuple[str, ...]:
    """Return the paths of a source and of its joins as they are written, variables included."""
    joins = node.get("join")
    blocks = (node, *(joins.items if isinstance(joins, TypedSeq) else ()))
    found = [one.get("path") for one in blocks if isinstance(one, TypedMap)]
    return tuple(one.raw for one in found if isinstance(one, Value))


def compile_results(model: ResultsModel, node: Typed, folder: Path, problems: Problems) -> Results | None:
    """Return the results with an absolute path, or None after a complaint."""
    named = _ENDINGS.get(PurePath(model.path).suffix.casefold())
    at = _at(node, "path")
    kind = model.format or named
    if kind is None:
        problems.add(
            "results_format",
            at,
            "the ending does not say which format",
            "a path in .csv, .parquet, .jsonl, .db or .sqlite",
            "or format: csv",
        )
        return None
    if kind == "sqlite" and model.table is None:
        problems.add("missing_key", at, "a SQLite file without a table", "table: name")
        return None
    if kind != "sqlite" and model.table is not None:
        problems.add("value", _at(node, "table"), f"a table in a {kind} file", "table with a SQLite file only")
    path = os.path.normpath(folder / model.path)
    return Results(path=path, format=kind, table=model.table, place=problems.source.place(at))


def compile_schedule(model: ScheduleModel, node: Typed, start: int, problems: Problems) -> Schedule | None:
    """Return the schedule, or None after a complaint."""
    if (model.cron is None) == (model.every is None):
        has = "both cron and every" if model.cron else "neither cron nor every"
        problems.add(
            "schedule", start, f'"schedule" has {has}', "one of them: {cron: ..., timezone: ...} or {every: 15m}"
        )
        return None
    if model.every is not None:
        if model.timezone is not None:
            problems.add("schedule", _at(node, "timezone"), "a time zone beside every", "timezone with cron only")
        return Schedule(every=model.every)
    cron, zone = str(model.cron), model.timezone or "UTC"
    if wrong := _cron_objection(cron):
        problems.add("schedule", _at(node, "cron"), f'"cron": {wrong}', 'five fields, as in "0 2 * * *"')
    if not _is_zone(zone):
        advice = problems.suggest(zone, _zones(zone))
        problems.add(
            "timezone",
            _at(node, "timezone"),
            f"there is no time zone {quoted(zone)}",
            "one as in Pacific/Auckland",
            advice,
        )
    return Schedule(cron=cron, timezone=zone)


def _one_origin(model: SourceModel, node: TypedMap, start: int, problems: Problems) -> None:
    if model.path is None and model.job is None:
        if node.get("path") is None and node.get("job") is None:
            problems.add("missing_key", start, '"source" has no "path"', "path: data/file.csv, or job: a lookup job")
    elif model.path is not None and model.job is not None:
        problems.add("source", _at(node, "job"), '"source" has both a path and a job', "one of them")
    if model.job is not None:
        for name in ("format", "delimiter", "encoding"):
            if getattr(model, name) is not None:
                problems.add(
                    "source", _at(node, name), f"{quoted(name)} beside a job", "nothing: the job's results say it"
                )
        return
    if model.path and model.format is None and not model.path.casefold().removesuffix(".gz").endswith(_SOURCE_ENDINGS):
        problems.add(
            "source_format",
            _at(node, "path"),
            "the ending does not say which format",
            "a path in .csv, .parquet, .jsonl, .csv.gz or .jsonl.gz",
            "or format: csv",
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
        return "a day that never comes"
    return ""


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _zones(name: str) -> list[str]:
    """Return the time zones worth a comparison: those that begin with the same letter, or whose city does."""
    first = name.casefold()[:1]
    found = [one for one in sorted(available_timezones()) if one.casefold().startswith(first)]
    return sorted(found, key=lambda one: one.casefold()[:3] != name.casefold()[:3])


def _at(node: Typed, key: str) -> int:
    """Return where a key's value stands, or the block if it is not there."""
    value = node.get(key) if isinstance(node, TypedMap) else None
    return value.start if value is not None else node.start
