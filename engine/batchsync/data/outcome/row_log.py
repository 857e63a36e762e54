"""A vendor's row log becomes a frame of failed rows, however truncated, doubled or odd its lines are.

It does not know which rows were sent. What arrived damaged is `Unclear` (fetch it again); what would not end, or is
not what the vendor spec says, is `Permanent`.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

import polars as pl

from lading.core.vendor_rules import LogFormat
from lading.data.files import DAMAGED, unpacked
from lading.errors import Permanent, Unclear

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.vendor_rules import ErrorLayout

#: A log may expand to this many bytes for each row sent, and to at least the floor.
PER_ROW, FLOOR = 64 << 10, 64 << 20
_LINE_MAX = 1 << 20
_PIECE = 8 << 20
_DAMAGED = "the row log arrived damaged"
#: The longest reason that is kept.
_REASON_MAX = 500


def cap(rows: int) -> int:
    """Return how many bytes the log of a batch with so many rows may expand to."""
    return max(FLOOR, rows * PER_ROW)


def pieces(path: Path, most: int) -> Iterator[bytes]:
    """Yield the bytes of a log, unpacked when it is gzip.

    Raises:
        Unclear: when the gzip is truncated or damaged.
        Permanent: when it expands beyond `most` bytes.
    """
    total = 0
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: IO[bytes] = unpacked(raw) if packed else raw
            while piece := stream.read(_PIECE):
                total += len(piece)
                if total > most:
                    raise Permanent(f"the row log expands to more than {most} bytes")
                yield piece
    except (*DAMAGED, OSError) as error:
        raise Unclear(f"{_DAMAGED} ({type(error).__name__})") from None


def _lines(path: Path, most: int) -> Iterator[pl.Series]:
    """Yield the lines of a log that are not blank, some thousand at a time; a line beyond the cap is cut short."""
    rest = b""
    for piece in pieces(path, most):
        whole, newline, rest_of = (rest + piece).rpartition(b"\n")
        rest = rest_of[: _LINE_MAX + 1]
        if newline:
            yield _series(whole)
    if rest:
        yield _series(rest)


def _series(text: bytes) -> pl.Series:
    """Return the lines of a text as a column."""
    lines = pl.Series("line", text.decode("utf-8", errors="replace").split("\n"), dtype=pl.String)
    return lines.filter(lines.str.strip_chars() != "")


def by_ref(path: Path, layout: ErrorLayout, most: int) -> pl.DataFrame:
    """Return the lines of a JSON-lines log: ref (lower case, or null), code, message, error (not an ignored code)."""
    found = [pl.DataFrame(schema={"ref": pl.String, "code": pl.String, "message": pl.String, "error": pl.Boolean})]
    for lines in _lines(path, most):
        table = lines.to_frame().select(
            _member(layout.ref).str.to_lowercase().alias("ref"),
            _member(layout.code).alias("code"),
            _member(layout.message).str.head(_REASON_MAX).alias("message"),
        )
        found.append(table.with_columns(_is_error(layout)))
    return pl.concat(found)


def _member(name: str) -> pl.Expr:
    """Return a member of each line's object as text; from a line that was cut short, what can still be read."""
    line = pl.col("line")
    quoted = json.dumps(name)[1:-1]
    salvaged = line.str.extract(rf'"{quoted}"\s*:\s*"?([^",}}\]]+)"?\s*[,}}]', 1)
    return pl.coalesce(line.str.json_path_match(f"$['{name}']"), pl.when(line.str.starts_with("{")).then(salvaged))


def _is_error(layout: ErrorLayout) -> pl.Expr:
    """Return whether a line speaks of an error: its code begins with none of the ignored prefixes."""
    code = pl.col("code").fill_null("")
    ignored = [code.str.starts_with(one) for one in layout.ignored_codes]
    return (~pl.any_horizontal(ignored) if ignored else pl.lit(value=True)).alias("error")


def by_inputs(path: Path, layout: ErrorLayout, columns: tuple[str, ...], most: int) -> pl.DataFrame:
    """Return the failed rows of a JSON document or CSV: the input columns that it names, then code and message.

    A vendor may have both; a file that is saved as `.csv` is read as CSV whatever the spec's first choice is.
    """
    if layout.format is LogFormat.CSV or path.suffix == ".csv":
        table = read_table(path, most)
        named = matching(tuple(table.columns), columns)
        inputs = [pl.col(old).alias(f"input:{new}") for new, old in named.items()]
        code, message = (_column(table, one) for one in (layout.code, layout.message))
        table = table.select(*inputs, code.alias("code"), message.alias("message"))
    else:
        table = _json_rows(path, layout, columns, most)
    return table.filter(table.select(_is_error(layout))["error"]) if table.height else table


def _column(table: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column of a CSV log by its name, whatever its case; nulls when it has none."""
    found = matching(tuple(table.columns), (name,))
    return pl.col(found[name]) if name in found else pl.lit(None, dtype=pl.String)


def _json_rows(path: Path, layout: ErrorLayout, columns: tuple[str, ...], most: int) -> pl.DataFrame:
    """Return the failed rows of one JSON document. One pass in Python: it only holds what failed, within the cap."""
    try:
        document: Any = json.loads(b"".join(pieces(path, most)))
    except (ValueError, RecursionError):
        raise Unclear(f"{_DAMAGED} (not JSON)") from None
    items = document.get(layout.items) if isinstance(document, dict) and layout.items else document
    if items is None:
        items = []
    if not isinstance(items, list):
        raise Permanent(f"the row log has no list {layout.items!r}")
    rows = [_json_row(one, layout, columns) for one in items]
    schema = {f"input:{one}": pl.String for one in columns} | {"code": pl.String, "message": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _json_row(item: Any, layout: ErrorLayout, columns: tuple[str, ...]) -> list[str | None]:
    """Return one failed row."""
    own = item if isinstance(item, dict) else {}
    inputs = own.get(layout.inputs)
    inputs = inputs if isinstance(inputs, dict) else {}
    folded = {str(name).strip().casefold(): value for name, value in inputs.items()}
    errors = own.get(layout.errors)
    errors = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    messages = [str(one.get(layout.message) or one.get(layout.code) or "") for one in errors]
    code = str(errors[0].get(layout.code) or "") if errors else ""
    values = [folded.get(one.strip().casefold()) for one in columns]
    texts = [None if one is None else one if isinstance(one, str) else json.dumps(one) for one in values]
    return [_whole(one) for one in (*texts, code, "; ".join(dict.fromkeys(messages))[:_REASON_MAX])]


def _whole(text: str | None) -> str | None:
    """Return a text that can be written down: half of a character, which JSON can name, becomes a question mark."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def read_table(path: Path, most: int) -> pl.DataFrame:
    """Return a CSV file of the vendor's as texts.

    Raises:
        Unclear: when it is damaged or not CSV.
    """
    data = b"".join(pieces(path, most))
    if not data.strip():
        return pl.DataFrame()
    try:
        return pl.read_csv(data, infer_schema=False, null_values=[""])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise Unclear(f"{_DAMAGED} (not CSV)") from None


def matching(found: tuple[str, ...], wanted: tuple[str, ...]) -> dict[str, str]:
    """Return which found column stands for which wanted one: the same name, else the same but for case and blanks."""
    folded = {one.strip().casefold(): one for one in reversed(found)}
    pairs = {one: one if one in found else folded.get(one.strip().casefold()) for one in wanted}
    return {new: old for new, old in pairs.items() if old is not None}
