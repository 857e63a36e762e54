"""Compile the keys of a `source:` block that describe a CSV file into a `CsvDialect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.csv_dialect import CsvDialect
from batchsync.core.source_path import format_by_ending
from batchsync.spec.compile_contract import file_columns
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.spec.interpolate import TypedMap
    from batchsync.spec.models_source import SourceModel
    from batchsync.spec.problems import Problems

#: Keys of a CSV file besides `delimiter` and `encoding`.
CSV_KEYS = ("header", "columns", "skip_rows", "comment", "quote", "escape")


def csv_keys(model: SourceModel) -> list[str]:
    """Return the keys of `CSV_KEYS` that are written. `columns` may also be rules, which any format may have."""
    values = {name: getattr(model, name) for name in CSV_KEYS} | {"columns": file_columns(model)}
    return [name for name, value in values.items() if value is not None]


def compile_dialect(model: SourceModel, node: TypedMap, start: int, delimiter: str, problems: Problems) -> CsvDialect:
    """Compile the CSV keys of a source block.

    Args:
        model: The validated block.
        node: The same block with places.
        start: Index of the key `source`.
        delimiter: Delimiter of the file.
        problems: Receives the problems.

    Returns:
        The dialect; the default where no key is written.
    """
    default = CsvDialect()
    dialect = CsvDialect(
        header=default.header if model.header is None else model.header,
        columns=file_columns(model) or (),
        skip_rows=model.skip_rows or 0,
        comment=model.comment or "",
        quote=default.quote if model.quote is None else model.quote,
        escape=model.escape or "",
    )

    def at(name: str) -> int:
        value = node.get(name)
        return start if value is None else value.start

    if dialect.header and dialect.columns:
        problems.add("source", at("columns"), '"columns" with a header', "header: false, or no columns")
    if not dialect.header and not dialect.columns:
        problems.add("missing_key", at("header"), "a file without header has no column names", "columns: [id, name]")
    kind = model.format or format_by_ending(model.path or "")
    written = csv_keys(model)
    if kind in ("parquet", "jsonl", "excel"):
        for name in written:
            problems.add("source", at(name), f"{quoted(name)} with a {kind} file", f"{name} only with a CSV file")
    marks = {"delimiter": delimiter, "quote": dialect.quote, "escape": dialect.escape, "comment": dialect.comment[:1]}
    for name, other in (
        ("quote", "delimiter"),
        ("escape", "delimiter"),
        ("escape", "quote"),
        ("comment", "quote"),
        ("comment", "delimiter"),
        ("comment", "escape"),
    ):
        if marks[name] and marks[name] == marks[other]:
            problems.add("source", at(name), f"{quoted(name)} begins like {quoted(other)}", "different characters")
    return dialect
