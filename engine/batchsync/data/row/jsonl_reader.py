"""JSON Lines files: reader, and validation: invalid lines and values that polars would change are reported by number.

polars replaces unpaired surrogates, keeps the first of two members of the same name and rounds large integers in
columns of floats, all without an error; its own errors do not name the line.
"""

from __future__ import annotations

import glob
import json
import math
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import polars as pl

from batchsync.data.frame.columns import ROW
from batchsync.data.row.row_reader import LEVELS_MAX, blame_original_path, engine_errors, inner_types, is_too_deep
from batchsync.data.row.text_reader import TextFile, TextReader, iter_text, readable_copy
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchsync.core.job import Source
    from batchsync.data.row.row_reader import SourceFile

#: Largest integer up to which floats represent every integer exactly.
_FLOAT_EXACT_MAX = 1 << 53
_SURROGATE_PAIR = re.compile(rb"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9]{16}")
_KINDS: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
_KINDS |= {list: "a list", dict: "an object"}
#: Maximum number of characters of a member's name in a message.
_SHOWN_MAX = 80
#: For each member (`a.b` within an object, `a[]` within a list): the kinds of its values, and the first line of each.
_KindsByMember = dict[str, dict[str, int]]


class _InvalidNumberError(ValueError):
    """A number that JSON or a float does not allow."""


class _DuplicateMemberError(ValueError):
    """An object with two members of the same name."""


class JsonlReader(TextReader):
    """Reader of JSON Lines files, whose columns are the members of all lines with their common types."""

    declares_columns: ClassVar[bool] = False

    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:
        """Return the members of all lines of a file with their common types; empty for an empty file.

        Raises:
            SourceError: If a line is invalid or nested too deeply, or if an inferred type has duplicate members;
                `check` finds the other duplicates.
        """
        file = TextFile(path=path, encoding=source.encoding, reader_skips_bom=False)
        with tempfile.TemporaryDirectory() as folder:
            plain = readable_copy(file, Path(folder), fresh=True)
            with blame_original_path(plain, path):
                return _schema_of(plain)

    def check(self, file: SourceFile) -> None:
        """Check a file for unpaired surrogates and duplicate members; see `check_lines`."""
        check_lines(file.path)

    def scan(self, file: SourceFile) -> pl.LazyFrame:
        """Return a scan of a plain UTF-8 file: `ROW` from 0, and the columns in the order of the source."""
        if not file.source.schema:
            return pl.LazyFrame(schema={ROW: pl.UInt32})
        rows = pl.scan_ndjson(glob.escape(str(file.path)), schema=file.source.schema, row_index_name=ROW)
        return rows.select(ROW, *file.source.values())

    def read(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Read a plain UTF-8 file; at the first large float, check that no integer was rounded.

        Yields:
            The frames that `RowReader.read` describes.

        Raises:
            SourceError: If an integer lost digits.
        """
        floats = [name for name, dtype in file.source.schema.items() if dtype.is_float()]
        is_large = [pl.col(name).abs() >= _FLOAT_EXACT_MAX for name in floats]
        is_checked = not file.fresh or not floats
        for frame in super().read(file):
            if not is_checked and frame.select(pl.any_horizontal(is_large).any()).item():
                _check_integers(file.path, floats)
                is_checked = True
            yield frame

    def raise_first_error(self, file: SourceFile) -> None:
        """Parse a file line by line and raise an error for its first invalid line; return if there is none."""
        _raise_first_error(file.path, file.source.schema)


def _schema_of(path: Path) -> dict[str, pl.DataType]:
    """Return the members of all lines of a UTF-8 file with their common types; empty for an empty file."""
    if not any(chunk.strip() for chunk in iter_text(TextFile(path=path, encoding="utf-8"))):
        return {}
    try:
        found = dict(pl.scan_ndjson(glob.escape(str(path)), infer_schema_length=None).collect_schema())
    except engine_errors():
        _raise_first_error(path)
        raise
    if any(is_too_deep(dtype) or _has_duplicate_fields(dtype) for dtype in found.values()):
        _raise_first_error(path)
    return found


def _has_duplicate_fields(kind: pl.DataType) -> bool:
    """Return whether a struct in a type has two fields of the same name, which no frame allows. Recurses."""
    names = [field.name for field in kind.fields] if isinstance(kind, pl.Struct) else []
    return len(set(names)) < len(names) or any(map(_has_duplicate_fields, inner_types(kind)))


def check_lines(path: Path) -> None:
    """Check a UTF-8 file for unpaired surrogates and for objects with duplicate members.

    polars replaces the surrogates and takes the first of two members of the same name.

    Raises:
        SourceError: If a line is invalid; the message names the first.
    """
    from batchsync.data.row.repeated_members import suspicious_lines  # noqa: PLC0415 - imports numpy, which is slow

    lines = 0
    for chunk in _iter_chunks(path):
        suspects = set(suspicious_lines(chunk))
        has_surrogates = b"\\ud" in chunk or b"\\uD" in chunk
        has_unpaired = has_surrogates and _SURROGATE.search(_SURROGATE_PAIR.sub(b"", chunk))
        if suspects or has_unpaired:
            for number, line in enumerate(chunk.split(b"\n")):
                if line.strip() and (number in suspects or (has_unpaired and _SURROGATE.search(line))):
                    _parse_line(path, lines + number + 1, line)
        lines += chunk.count(b"\n")


def _check_integers(path: Path, columns: Sequence[str]) -> None:
    """Check that columns of floats contain no integer that a float cannot represent exactly.

    Slow: parses each line with a long number. Call it only if a column may have such an integer.

    Args:
        path: A UTF-8 file.
        columns: Top-level members that polars reads as floats.

    Raises:
        SourceError: If there is such an integer; the message names the first line.
    """
    for number, line in _iter_lines(path):
        if not _LONG_NUMBER.search(line):
            continue
        found = _parse_line(path, number, line)
        for name in columns:
            value = found.get(name)
            if isinstance(value, int) and abs(value) > _FLOAT_EXACT_MAX:
                hint = "Write it as text, in quotes, or export this member without fractions in all lines."
                problem = f"{name!r} is a whole number that would lose digits because other lines have fractions"
                raise SourceError(f"{path}:{number}: {problem}", hint=hint)


def _raise_first_error(path: Path, schema: Mapping[str, pl.DataType] | None = None) -> None:
    """Parse a UTF-8 file line by line and raise an error for the first invalid line; return if there is none.

    A line is invalid if it is not a JSON object, or if the type of a member conflicts with other lines or `schema`.

    Args:
        path: A UTF-8 file.
        schema: Types of members that other files have, if known.

    Raises:
        SourceError: If a line is invalid; the message names it.
    """
    seen: _KindsByMember = {}
    for number, line in _iter_lines(path):
        if line.strip():
            for name, value in _parse_line(path, number, line).items():
                _add_value_kinds(seen, name, value, number)
    mixed = _conflicting_members(seen)
    if not mixed:  # the conflict is with another file
        for name, dtype in (schema or {}).items():
            _add_dtype_kinds(seen, name, dtype)
        mixed = _conflicting_members(seen)
    if not mixed:
        return
    name, kinds = min(mixed.items(), key=lambda item: max(item[1].values()))
    number = max(kinds.values())
    here = next(kind for kind, line in kinds.items() if line == number)
    there = next(kind for kind in kinds if kind != here)
    hint = "Export the member with one type."
    raise SourceError(f"{path}:{number}: {name!r} is {here} here and {there} in another line", hint=hint)


def _iter_chunks(path: Path) -> Iterator[bytes]:
    """Yield chunks of complete lines."""
    kept: list[bytes] = []
    for chunk in iter_text(TextFile(path=path, encoding="utf-8")):
        head, end, tail = chunk.rpartition(b"\n")
        if end:
            yield b"".join([*kept, head, end])
            kept = [tail]
        else:
            kept.append(tail)
    if last := b"".join(kept):
        yield last


def _iter_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number, from 1."""
    number = 0
    for chunk in _iter_chunks(path):
        for line in chunk.removesuffix(b"\n").split(b"\n"):
            number += 1
            yield number, line


def _parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Return the object on a line; raise a SourceError if it is invalid or readers would differ in its meaning."""
    hint = "Each line must be one JSON object."
    location = f"{path}:{number}"
    try:
        if _depth(line) > LEVELS_MAX + 1:  # the line itself is an object
            hint = "Export it flatter, or leave the member out."
            raise SourceError(f"{location}: the line is nested more than {LEVELS_MAX} levels deep", hint=hint)
        found = json.loads(
            line, parse_constant=_refuse_constant, parse_float=_parse_finite, object_pairs_hook=_unique_members
        )
        if _SURROGATE.search(line):
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        hint = "Export the text without escapes; a text truncated in the middle of an emoji is the usual cause."
        problem = "the line contains an unpaired surrogate (\\ud800 to \\udfff)"
        raise SourceError(f"{location}: {problem}", hint=hint) from None
    except _DuplicateMemberError as error:
        hint = "Export each member once: readers differ in which of the two values they take."
        raise SourceError(f"{location}: {error}", hint=hint) from None
    except _InvalidNumberError as error:
        raise SourceError(f"{location}: {error}", hint="Write null, or a valid JSON number.") from None
    except (ValueError, RecursionError) as error:
        expected = "UTF-8" if isinstance(error, UnicodeDecodeError) else "JSON"
        raise SourceError(f"{location}: the line is not {expected}", hint=hint) from None
    if not isinstance(found, dict):
        hint = "Each line must be one JSON object; an array or a pretty-printed document is not JSON lines."
        raise SourceError(f"{location}: the line is not a JSON object", hint=hint) from None
    return found


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object with these members; raise an error if a name occurs more than once."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            shown = json.dumps(name[:_SHOWN_MAX], ensure_ascii=not name.isprintable())
            message = f"duplicate member {shown} in an object"
            raise _DuplicateMemberError(message)
        seen.add(name)
    return found


def _depth(line: bytes) -> int:
    """Return the maximum nesting depth of objects and lists in a line; 1 for any depth that is allowed."""
    if line.count(b"{") + line.count(b"[") <= LEVELS_MAX + 1:
        return 1
    level = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", line)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


def _refuse_constant(name: str) -> NoReturn:
    """Raise an error for NaN and the infinities."""
    message = f"the line contains {name}, which is not valid JSON"
    raise _InvalidNumberError(message)


def _parse_finite(text: str) -> float:
    """Return a number; raise an error if it is too large for a float."""
    value = float(text)
    if math.isinf(value):
        message = "the line contains a number that is too large"
        raise _InvalidNumberError(message)
    return value


def _add_value_kinds(seen: _KindsByMember, name: str, value: object, number: int) -> None:
    """Add the kinds of a value and of its members, with the line number."""
    if value is None:
        return
    seen.setdefault(name, {}).setdefault(_KINDS[type(value)], number)
    if isinstance(value, dict):
        for inner, item in value.items():
            _add_value_kinds(seen, f"{name}.{inner}", item, number)
    elif isinstance(value, list):
        for item in value:
            _add_value_kinds(seen, f"{name}[]", item, number)


def _add_dtype_kinds(seen: _KindsByMember, name: str, dtype: object) -> None:
    """Add the kinds of a type and of its fields, with line number 0."""
    if isinstance(dtype, pl.Struct):
        seen.setdefault(name, {}).setdefault(_KINDS[dict], 0)
        for field in dtype.fields:
            _add_dtype_kinds(seen, f"{name}.{field.name}", field.dtype)
    elif isinstance(dtype, pl.List):
        seen.setdefault(name, {}).setdefault(_KINDS[list], 0)
        _add_dtype_kinds(seen, f"{name}[]", dtype.inner)
    elif isinstance(dtype, pl.DataType) and dtype != pl.Null:
        kind = _KINDS[int] if dtype.is_numeric() else _KINDS[bool] if dtype == pl.Boolean else _KINDS[str]
        seen.setdefault(name, {}).setdefault(kind, 0)


def _conflicting_members(seen: _KindsByMember) -> _KindsByMember:
    """Return the members with several kinds that polars does not read as text."""
    return {name: kinds for name, kinds in seen.items() if len(kinds) > 1 and not _is_read_as_text(seen, name)}


def _is_read_as_text(seen: _KindsByMember, name: str) -> bool:
    """Return whether polars reads a member, or an object or list that contains it, as text, which fits any value."""
    while name:
        if _KINDS[str] in seen.get(name, {}):
            return True
        name = name.removesuffix("[]") if name.endswith("[]") else name.rpartition(".")[0]
    return False
