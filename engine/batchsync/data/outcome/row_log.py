"""Read a vendor's row log as a frame of failed rows.

A damaged log raises `AmbiguousOutcomeError` (it is fetched again); one that exceeds the limits, or differs from the
vendor spec, raises `PermanentError`.
"""

from __future__ import annotations

import codecs
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from batchsync.core.vendor_rules import REST, LogFormat
from batchsync.data.outcome.tables import parse_table
from batchsync.errors import AmbiguousOutcomeError, PermanentError
from batchsync.util.gzip_reader import DAMAGED, iter_decompressed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from batchsync.core.vendor_rules import ErrorLayout, TableForm

#: A log may expand to this many bytes for each row sent, and to at least the floor.
PER_ROW, FLOOR = 64 << 10, 64 << 20
_LINE_MAX = 1 << 20
_CHUNK = 8 << 20
_DAMAGED = "the row log arrived damaged"
#: The longest reason that is kept.
_REASON_MAX = 500


def max_log_bytes(rows: int) -> int:
    """Return how many bytes the log of a batch with so many rows may expand to."""
    return max(FLOOR, rows * PER_ROW)


def read_chunks(path: Path, bytes_max: int) -> Iterator[bytes]:
    """Yield the bytes of a log, decompressed if it is gzip.

    Args:
        path: The log.
        bytes_max: Maximum number of decompressed bytes.

    Yields:
        Chunks of bytes.

    Raises:
        AmbiguousOutcomeError: If the gzip stream is truncated or damaged, or the file cannot be read.
        PermanentError: If the log expands beyond `bytes_max`.
    """
    total = 0
    try:
        for chunk in iter_decompressed(path, _CHUNK):
            total += len(chunk)
            if total > bytes_max:
                raise PermanentError(f"the row log expands to more than {bytes_max} bytes")
            yield chunk
    except (*DAMAGED, OSError) as error:
        raise AmbiguousOutcomeError(f"{_DAMAGED} ({type(error).__name__})") from None


def _lines(path: Path, bytes_max: int) -> Iterator[pl.Series]:
    """Yield the lines of a log that are not blank, some thousands at a time; longer lines are truncated.

    A log that is one JSON array instead of lines yields its items. A byte-order mark is left out.
    """
    if (items := _array_items(path, bytes_max)) is not None:
        yield pl.Series("line", items, dtype=pl.String)
        return
    rest, is_first = b"", True
    for read in read_chunks(path, bytes_max):
        chunk = read.removeprefix(codecs.BOM_UTF8) if is_first else read
        is_first = False
        lines_text, newline, rest_of = (rest + chunk).rpartition(b"\n")
        rest = rest_of[: _LINE_MAX + 1]
        if newline:
            yield _series(lines_text)
    if rest:
        yield _series(rest)


def _array_items(path: Path, bytes_max: int) -> list[str] | None:
    """Return the items of a log that is one JSON array, as texts; None if it is not."""
    head = next(read_chunks(path, bytes_max), b"").removeprefix(codecs.BOM_UTF8).lstrip()[:_LINE_MAX]
    if not head.startswith(b"["):
        return None
    try:
        document: Any = json.loads(b"".join(read_chunks(path, bytes_max)))
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        return None
    return [_replace_lone_surrogates(json.dumps(item)) or "" for item in document]


def _series(text: bytes) -> pl.Series:
    """Return the lines of a text as a column."""
    lines = pl.Series("line", text.decode("utf-8", errors="replace").split("\n"), dtype=pl.String)
    return lines.filter(lines.str.strip_chars() != "")


def by_name(path: Path, layout: ErrorLayout, bytes_max: int, form: TableForm) -> pl.DataFrame:
    """Read a log that names each row: by its reference, number or key.

    Args:
        path: The log.
        layout: Its format, and the names of its members or columns.
        bytes_max: Maximum number of decompressed bytes.
        form: Form of a log in CSV.

    Returns:
        The columns `ref: str` (what names the row, or null), `code: str`, `message: str`, `error: bool` (not an ignored
        code, nor a note).

    Raises:
        AmbiguousOutcomeError: If the log arrived damaged.
        PermanentError: If it differs from the vendor spec.
    """
    tables = [pl.DataFrame(schema={"ref": pl.String, "code": pl.String, "message": pl.String, "error": pl.Boolean})]
    if layout.format is LogFormat.CSV:
        table = read_table(path, bytes_max, form)
        member: Callable[[str], pl.Expr] = partial(_column, table)
        frames = iter([table])
    else:
        lines = _document_items(path, layout, bytes_max) if layout.format is LogFormat.JSON else _lines(path, bytes_max)
        member, frames = _member, (found.to_frame() for found in lines)
    for frame in frames:
        ref = member(layout.ref).str.strip_chars()
        named = frame.select(
            (ref.str.extract(layout.ref_pattern, 1) if layout.ref_pattern else ref).alias("ref"),
            _code(member(layout.code), layout),
            member(layout.message).str.head(_REASON_MAX).alias("message"),
            pl.all_horizontal(
                pl.lit(value=True), *(member(name).is_in(list(values)) for name, values in layout.only.items())
            )
            .fill_null(value=False)
            .alias("only"),
        )
        tables.append(named.with_columns(_is_error(layout) & pl.col("only")).drop("only"))
    return pl.concat(tables)


def _code(found: pl.Expr, layout: ErrorLayout) -> pl.Expr:
    """Return the code of each row: the beginning of a text that contains more, if the layout says so."""
    return (found.str.split(layout.code_until).list.first() if layout.code_until else found).alias("code")


def _document_items(path: Path, layout: ErrorLayout, bytes_max: int) -> Iterator[pl.Series]:
    """Yield the items of each document of a log as JSON texts. A log that was fetched by pages has several."""
    for document in _documents(path, bytes_max):
        texts = [_replace_lone_surrogates(json.dumps(item)) for item in _items(document, layout)]
        yield pl.Series("line", texts, dtype=pl.String)


def _documents(path: Path, bytes_max: int) -> list[Any]:
    """Return the JSON documents of a log: one, or one per line."""
    text = b"".join(read_chunks(path, bytes_max))
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    try:
        pages = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        pages = []
    if not pages:
        raise AmbiguousOutcomeError(f"{_DAMAGED} (not JSON)")
    return pages


def _items(document: Any, layout: ErrorLayout) -> list[Any]:
    """Return the failed rows in a document.

    Raises:
        PermanentError: If it has no such list.
    """
    found = document
    for name in layout.items.lstrip("/").split("/") if layout.items else ():
        found = found.get(name) if isinstance(found, dict) else None
    if found is not None and not isinstance(found, list):
        raise PermanentError(f"the row log has no list {layout.items!r}")
    return found or []


def _member(name: str) -> pl.Expr:
    """Return a member of each line's object as a string; from a truncated line, what can still be parsed.

    A name that begins with `/` is a JSON pointer.
    """
    line = pl.col("line")
    if name.startswith("/"):
        steps = (f"[{step}]" if step.isdigit() else f"['{step}']" for step in name[1:].split("/"))
        return line.str.json_path_match(f"${''.join(steps)}")
    quoted = json.dumps(name)[1:-1]
    salvaged = line.str.extract(rf'"{quoted}"\s*:\s*"?([^",}}\]]+)"?\s*[,}}]', 1)
    return pl.coalesce(line.str.json_path_match(f"$['{name}']"), pl.when(line.str.starts_with("{")).then(salvaged))


def _is_error(layout: ErrorLayout) -> pl.Expr:
    """Return whether a line is an error: its code begins with none of the ignored prefixes."""
    code = pl.col("code").fill_null("")
    ignored = [code.str.starts_with(item) for item in layout.ignored_codes]
    return (~pl.any_horizontal(ignored) if ignored else pl.lit(value=True)).alias("error")


def by_inputs(
    path: Path, layout: ErrorLayout, columns: tuple[str, ...], bytes_max: int, form: TableForm
) -> pl.DataFrame:
    """Read a log of failed rows in JSON or CSV; a file named `.csv` is read as CSV whatever the vendor spec prefers.

    Args:
        path: The log.
        layout: Names of its members.
        columns: Input columns that may be repeated in the log.
        bytes_max: Maximum number of decompressed bytes.
        form: Form of a log in CSV.

    Returns:
        `input:NAME: str` per input column found, `code: str`, `message: str`.
    """
    if layout.format is LogFormat.CSV or path.suffix == ".csv":
        table = read_table(path, bytes_max, form)
        named = match_columns(tuple(table.columns), columns)
        inputs = [pl.col(old).alias(f"input:{new}") for new, old in named.items()]
        code = _column(table, layout.code)
        message = _rest(table, named.values()) if layout.message == REST else _column(table, layout.message)
        table = table.select(*inputs, _code(code, layout), message.alias("message"))
    else:
        table = _json_rows(path, layout, columns, bytes_max)
    return table.filter(table.select(_is_error(layout))["error"]) if table.height else table


def _column(table: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column of a table, by name or similar name; null if absent."""
    matched = match_columns(tuple(table.columns), (name,))
    return pl.col(matched[name]) if name in matched else pl.lit(None, dtype=pl.String)


def _rest(table: pl.DataFrame, inputs: Iterable[str]) -> pl.Expr:
    """Return the columns that are no input columns as one text: `name: value`, separated by semicolons.

    Input columns are left out: their values are those of the source, which a reason must not repeat.
    """
    sent = set(inputs)
    parts = [pl.format("{}: {}", pl.lit(name), pl.col(name)) for name in table.columns if name not in sent]
    return pl.concat_str(parts, separator="; ", ignore_nulls=True).str.head(_REASON_MAX) if parts else pl.lit("")


def _json_rows(path: Path, layout: ErrorLayout, columns: tuple[str, ...], bytes_max: int) -> pl.DataFrame:
    """Return the failed rows of a JSON document. Parsed in Python, as it contains failed rows only."""
    items = [item for document in _documents(path, bytes_max) for item in _items(document, layout)]
    rows = [_json_row(item, layout, columns) for item in items]
    schema = {f"input:{column}": pl.String for column in columns} | {"code": pl.String, "message": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _json_row(item: Any, layout: ErrorLayout, columns: tuple[str, ...]) -> list[str | None]:
    """Return one failed row."""
    entry_object = item if isinstance(item, dict) else {}
    inputs = entry_object.get(layout.inputs)
    inputs = inputs if isinstance(inputs, dict) else {}
    folded = {str(name).strip().casefold(): value for name, value in inputs.items()}
    errors = entry_object.get(layout.errors)
    errors = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    messages = [str(error.get(layout.message) or error.get(layout.code) or "") for error in errors]
    code = str(errors[0].get(layout.code) or "") if errors else ""
    values = [folded.get(column.strip().casefold()) for column in columns]
    texts = [None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
    return [
        _replace_lone_surrogates(value) for value in (*texts, code, "; ".join(dict.fromkeys(messages))[:_REASON_MAX])
    ]


def _replace_lone_surrogates(text: str | None) -> str | None:
    """Replace unpaired surrogates, which JSON can escape but UTF-8 cannot encode, with question marks."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def read_table(path: Path, bytes_max: int, form: TableForm) -> pl.DataFrame:
    """Read a CSV file of the vendor as strings.

    Args:
        path: The file.
        bytes_max: Maximum number of decompressed bytes.
        form: Form that the vendor spec names.

    Returns:
        The table; without columns if the file is blank.

    Raises:
        AmbiguousOutcomeError: If the file is damaged or not CSV.
        PermanentError: If the file has another form.
    """
    return parse_table(b"".join(read_chunks(path, bytes_max)), path.name, form, bytes_max)


def match_columns(found: tuple[str, ...], wanted: tuple[str, ...]) -> dict[str, str]:
    """Return the found column for each wanted one: of the same name, else equal but for case and surrounding blanks."""
    folded = {item.strip().casefold(): item for item in reversed(found)}
    pairs = {item: item if item in found else folded.get(item.strip().casefold()) for item in wanted}
    return {new: old for new, old in pairs.items() if old is not None}
