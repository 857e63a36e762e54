"""Compile `source:` and `results:` blocks into `Source` and `Results` values."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from batchsync.core.expression_text import objection_to
from batchsync.core.job import OnRemovedAnswer, Results, Source
from batchsync.core.mapping import Expression
from batchsync.core.source_path import OTHER_WORKBOOKS, STDIN, format_by_ending, scheme_of, text_ending
from batchsync.spec.compile_contract import compile_contract
from batchsync.spec.compile_dialect import compile_dialect, csv_keys
from batchsync.spec.compile_join import JoinCompiler, at, check_scheme, compile_sheet
from batchsync.spec.compile_query import reads_database
from batchsync.spec.compile_record import EXPRESSION
from batchsync.spec.compile_since import compile_since
from batchsync.spec.field_types import is_source_format
from batchsync.spec.interpolate import TypedMap, TypedSeq, Value
from batchsync.util.plugins import ROW_READERS, plugin_names
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.object_storage import StoredFiles
    from batchsync.core.query import Query
    from batchsync.spec.compile_query import QueryCompiler
    from batchsync.spec.compile_storage import StorageCompiler
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.models import ResultsModel
    from batchsync.spec.models_source import SourceModel
    from batchsync.spec.problems import Problems

RESULT_ENDINGS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".db": "sqlite", ".sqlite": "sqlite"}


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Compilers of sources that are no local files: queries of databases, and what is kept in storage."""

    queries: QueryCompiler
    stored: StorageCompiler


def compile_source(
    model: SourceModel, node: TypedMap, start: int, folder: Path, problems: Problems, elsewhere: Elsewhere
) -> Source:
    """Compile a source block.

    Args:
        model: The validated block.
        node: The same block with places.
        start: Index of the key `source`.
        folder: Absolute folder of jobs.yaml.
        problems: Receives the problems.
        elsewhere: Compiles what is read of a source that is no local file.

    Returns:
        The source; its path is empty if it is another job (see `job_order`).
    """
    query = stored = None
    if elsewhere.stored.is_stored(model):
        stored = elsewhere.stored.compile(model, node, start)
        compile_since(model, node, None, problems)
    elif reads_database(model):
        query = elsewhere.queries.compile(model, node, start)
    else:
        _check_origin(model, node, start, problems)
        compile_since(model, node, None, problems)
    places = problems.source.place
    duplicates = model.duplicates if isinstance(model.duplicates, str) else f"by:{model.duplicates.by}"
    delimiter = model.delimiter or ("\t" if text_ending(model.path or "") == ".tsv" else ",")
    dialect = compile_dialect(model, node, start, delimiter, problems)
    joins = JoinCompiler(
        folder=str(folder),
        delimiter=delimiter,
        dialect=dialect,
        queries=elsewhere.queries,
        stored=elsewhere.stored,
        problems=problems,
    )
    return Source(
        path=_title(model, query, stored),
        folder=str(folder),
        key=_key(model, node.get("key"), problems),
        format=model.format,
        delimiter=delimiter,
        encoding=model.encoding or "utf-8",
        dialect=dialect,
        sheet=compile_sheet(model, node, problems),
        nulls=tuple(model.nulls),
        joins=joins.compile(model, node),
        where=_where(model, node.get("where"), problems),
        duplicates=duplicates,
        job=model.job,
        query=query,
        stored=stored,
        personal=model.personal,
        contract=compile_contract(model, node, problems),
        place=places(start),
        key_places=tuple(places(item) for item in _key_starts(node.get("key"))),
    )


def _title(model: SourceModel, query: Query | None, stored: StoredFiles | None) -> str:
    """Return the path of a source, or what it is called in messages."""
    if query is not None or stored is not None:
        return query.title if query else stored.title if stored else ""
    return model.path or ""


def written_paths(node: TypedMap) -> tuple[str, ...]:
    """Return the paths of a source and its joins as written, with unresolved variables."""
    blocks = (node, *_items(node.get("join")))
    found = [block.get(name) for block in blocks if isinstance(block, TypedMap) for name in ("path", "delta")]
    return tuple(item.raw for item in found if isinstance(item, Value))


def compile_results(
    model: ResultsModel, node: Typed, folder: Path, problems: Problems, stored: StorageCompiler
) -> Results | None:
    """Compile a results block.

    Args:
        model: The validated block.
        node: The same block with places.
        folder: Absolute folder of jobs.yaml.
        problems: Receives the problems.
        stored: Compiles results that are written to storage.

    Returns:
        The results with an absolute path, or that in their storage; None after reporting a problem.
    """
    by_suffix = RESULT_ENDINGS.get(PurePath(model.path).suffix.casefold())
    start = at(node, "path")
    kind = model.format or by_suffix
    if kind is None:
        problems.add(
            "results_format",
            start,
            "unknown file format",
            "a path ending in .csv, .parquet, .jsonl, .db or .sqlite",
            "or format: csv",
        )
        return None
    if kind == "sqlite" and model.table is None:
        problems.add("missing_key", start, "SQLite results without a table", "table: name")
        return None
    if kind != "sqlite" and model.table is not None:
        problems.add("value", at(node, "table"), f"table for a {kind} file", "table only with a SQLite file")
    storage = None
    if model.connection is not None:
        storage = stored.results(model, node) if isinstance(node, TypedMap) else None
        if kind == "sqlite":
            problems.add("results", start, "a SQLite file in storage", "a path ending in .csv, .parquet or .jsonl")
        if storage is None or kind == "sqlite":
            return None
    return Results(
        path=os.path.normpath(folder / model.path) if storage is None else model.path,
        storage=storage,
        format=kind,
        table=model.table,
        on_removed=OnRemovedAnswer(model.on_removed),
        place=problems.source.place(start),
    )


def _check_origin(model: SourceModel, node: TypedMap, start: int, problems: Problems) -> None:
    if model.path is None and model.job is None:
        if node.get("path") is None and node.get("job") is None:
            problems.add(
                "missing_key",
                start,
                '"source" has no "path"',
                "path: data/file.csv, job: <lookup job>, or connection: <database> with a query",
            )
    elif model.path is not None and model.job is not None:
        problems.add("source", at(node, "job"), '"source" has both path and job', "either path or job")
    if model.job is not None:
        formats = [name for name in ("format", "delimiter", "encoding") if getattr(model, name) is not None]
        for name in (*formats, *csv_keys(model)):
            problems.add(
                "source",
                at(node, name),
                f"{quoted(name)} with a job",
                "no format options: they are those of the job's results",
            )
        return
    _check_path(model, node, problems)


def _check_path(model: SourceModel, node: TypedMap, problems: Problems) -> None:
    """Report files of an unknown format, and sources elsewhere that no installed package fetches."""
    path, start = model.path or "", at(node, "path")
    if scheme := scheme_of(path):
        check_scheme(scheme, start, problems)
    elif path == STDIN and model.format is None:
        problems.add("source_format", start, "standard input has no ending that says its format", "format: csv")
    elif model.format is None and text_ending(path) in OTHER_WORKBOOKS:
        what = f"a {text_ending(path)} workbook, whose cells with errors look like empty ones"
        problems.add("source_format", start, what, "a workbook saved as .xlsx, or a CSV file")
    elif path and model.format is None and not is_source_format(format_by_ending(path)):
        installed = "".join(f".{name}, " for name in plugin_names(ROW_READERS))
        expected = f"a path ending in {installed}.csv, .parquet, .jsonl, .csv.gz or .jsonl.zip"
        problems.add("source_format", start, "unknown file format", expected, "or format: csv")


def _key_starts(node: Typed | None) -> list[int]:
    """Return where the columns of a key are written."""
    items = node.items if isinstance(node, TypedSeq) else (node,)
    return [item.start for item in items if isinstance(item, Value)]


def _key(model: SourceModel, node: Typed | None, problems: Problems) -> tuple[str, ...] | Expression:
    if not isinstance(node, Value) or not node.raw.startswith("="):
        return model.key
    if node.raw.startswith("=="):
        return (model.key[0][1:],)
    sql = model.key[0][1:].strip()
    if (objection := objection_to(sql)) is not None:
        problems.add("expression", node.start, f'"key": {objection.message}', EXPRESSION, objection.suggestion)
    return Expression(sql, problems.source.place(node.start))


def _where(model: SourceModel, node: Typed | None, problems: Problems) -> Expression | None:
    """Compile the condition of a source; a leading `=` may be written, because it is always an expression."""
    if model.where is None or node is None:
        return None
    sql = model.where.removeprefix("=").strip()
    if (objection := objection_to(sql)) is not None:
        problems.add("expression", node.start, f'"where": {objection.message}', EXPRESSION, objection.suggestion)
    return Expression(sql, problems.source.place(node.start))


def _items(node: Typed | None) -> tuple[Typed, ...]:
    return node.items if isinstance(node, TypedSeq) else ()
