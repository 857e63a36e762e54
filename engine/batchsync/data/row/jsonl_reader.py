"""JSON Lines files: reader, and validation: invalid lines and values that polars would change are reported by number.

polars replaces unpaired surrogates, keeps the first of two members of the same name and rounds large integers in
columns of floats, all without an error; its own errors do not name the line.
"""

from __future__ import annotations

import glob
import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import polars as pl

from batchsync.data.frame.columns import PREFIX, ROW
from batchsync.data.row.json_kinds import MemberKinds, MemberProblem, misread
from batchsync.data.row.row_reader import LEVELS_MAX, engine_errors, inner_types, is_too_deep, name_in_errors
from batchsync.data.row.text_reader import TextFile, TextReader, iter_text, readable_copy, require_text
from batchsync.errors import SourceError
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from batchsync.core.job import Source
    from batchsync.data.row.row_reader import SourceFile

_SURROGATE_PAIR = re.compile(rb"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
#: Maximum number of characters of a member's name in a message.
_SHOWN_MAX = 80
#: Member that is read if none is used; no source may have it.
_NO_MEMBER = f"{PREFIX}none"
#: Files whose members are remembered.
_OPENED_MAX = 1024
#: Whole numbers of this size do not fit into 128 bits.
_WHOLE_END, _WHOLE_DIGITS_MAX = 1 << 127, 40


class _InvalidNumberError(ValueError):
    """A number that JSON or a float does not allow."""


class _DuplicateMemberError(ValueError):
    """An object with two members of the same name."""


class JsonlReader(TextReader):
    """Reader of JSON Lines files, whose columns are the members of all lines with their common types."""

    declares_columns: ClassVar[bool] = False
    reads_used_columns: ClassVar[bool] = True

    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:
        """Return the members of all lines of a file with their common types; empty for an empty file.

        Raises:
            SourceError: If a line is invalid or nested too deeply, or if an inferred type has duplicate members;
                `check` finds the other duplicates.
        """
        return _opened(path, source).schema

    def unreadable(self, path: Path, source: Source) -> dict[str, str]:
        """Return the members of a file with several kinds of values, each with the reason."""
        return _opened(path, source).unreadable

    def check(self, file: SourceFile) -> None:
        """Check a file for what polars would change without an error; see `check_lines`."""
        check_lines(file.path, file.source.schema)

    def scan(self, file: SourceFile) -> pl.LazyFrame:
        """Return a scan of a plain UTF-8 file: `ROW` from 0, and the columns in the order of the source."""
        if not file.path.stat().st_size:
            return pl.LazyFrame(schema={ROW: pl.UInt32, **file.source.schema})
        # Without any member polars reads no row.
        schema = file.source.schema or {_NO_MEMBER: pl.Null()}
        rows = pl.scan_ndjson(glob.escape(str(file.path)), schema=schema, row_index_name=ROW)
        return rows.select(ROW, *file.source.values())

    def raise_first_error(self, file: SourceFile) -> None:
        """Parse a file line by line and raise an error for its first invalid line; return if there is none."""
        _raise_first_error(file.path, file.source.schema)


@dataclass(frozen=True, slots=True)
class _Members:
    """Members of all lines of a file with their types, and those that cannot be read with the reason."""

    schema: dict[str, pl.DataType]
    unreadable: dict[str, str]


def _opened(path: Path, source: Source) -> _Members:
    """Return the members of a file in the encoding of the source, remembered until the file changes."""
    status = path.stat()
    return _members(path, source.encoding, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@lru_cache(maxsize=_OPENED_MAX)
def _members(path: Path, encoding: str, _state: tuple[int, ...]) -> _Members:
    """Return the members of a file; the state only identifies its content."""
    file = TextFile(path=path, encoding=encoding, reader_skips_bom=False)
    require_text(file)
    with scratch_folder() as folder:
        plain = readable_copy(file, folder, fresh=True)
        with name_in_errors(plain, str(path)):
            found = _members_of(plain)
    reasons = {name: reason.replace(str(plain), str(path)) for name, reason in found.unreadable.items()}
    return _Members(found.schema, reasons)


def _members_of(path: Path) -> _Members:
    """Return the members of all lines of a UTF-8 file; none for an empty file."""
    if not any(chunk.strip() for chunk in iter_text(TextFile(path=path, encoding="utf-8"))):
        return _Members({}, {})
    try:
        found = dict(pl.scan_ndjson(glob.escape(str(path)), infer_schema_length=None).collect_schema())
    except engine_errors():
        kinds = _kinds_of(path)
        conflicts = {name: f"{path}:{problem.line}: {problem.message}" for name, problem in _conflicts(kinds).items()}
        if not conflicts:
            raise
        schema = {name: pl.Null() if name in conflicts else members.dtype() for name, members in kinds.items()}
        return _Members(schema, conflicts)
    if any(is_too_deep(dtype) or _has_duplicate_fields(dtype) for dtype in found.values()):
        _raise_first_error(path)
    return _Members(found, {})


def _has_duplicate_fields(kind: pl.DataType) -> bool:
    """Return whether a struct in a type has two fields of the same name, which no frame allows. Recurses."""
    names = [field.name for field in kind.fields] if isinstance(kind, pl.Struct) else []
    return len(set(names)) < len(names) or any(map(_has_duplicate_fields, inner_types(kind)))


def check_lines(path: Path, schema: Mapping[str, pl.DataType] | None = None) -> None:
    """Check a UTF-8 file for unpaired surrogates, for objects with duplicate members and for values that change.

    polars replaces the surrogates, takes the first of two members of the same name, and changes values that the type of
    a member does not hold (`json_kinds.misread`).

    Args:
        path: A UTF-8 file.
        schema: Types of the members that are used.

    Raises:
        SourceError: If a line is invalid; the message names the first.
    """
    from batchsync.data.row.json_screen import screen_of  # noqa: PLC0415 - imports numpy, which is slow
    from batchsync.data.row.repeated_members import hash_of_name, suspicious_lines  # noqa: PLC0415 - as above

    types = dict(schema or {})
    screen = screen_of(types, hash_of_name)
    lines = 0
    for chunk in _iter_chunks(path):
        suspects = set(suspicious_lines(chunk, screen))
        has_surrogates = b"\\ud" in chunk or b"\\uD" in chunk
        has_unpaired = has_surrogates and _SURROGATE.search(_SURROGATE_PAIR.sub(b"", chunk))
        if suspects or has_unpaired:
            for number, line in enumerate(chunk.split(b"\n")):
                if line.strip() and (number in suspects or (has_unpaired and _SURROGATE.search(line))):
                    _check_line(path, lines + number + 1, line, types)
        lines += chunk.count(b"\n")


def _check_line(path: Path, number: int, line: bytes, schema: Mapping[str, pl.DataType]) -> None:
    """Raise an error if a line is invalid or polars would change a value of it."""
    found = _parse_line(path, number, line)
    for name, dtype in schema.items():
        if problem := misread(found.get(name), dtype, name):
            raise SourceError(f"{path}:{number}: {problem.message}", hint=problem.hint, name="source.jsonl")


def _raise_first_error(path: Path, schema: Mapping[str, pl.DataType] | None = None) -> None:
    """Parse a UTF-8 file line by line and raise an error for the first invalid line; return if there is none.

    A line is invalid if it is not a JSON object, or if the type of a member conflicts with other lines or `schema`.

    Args:
        path: A UTF-8 file.
        schema: Types of members that other files have, if known.

    Raises:
        SourceError: If a line is invalid; the message names it.
    """
    kinds = _kinds_of(path)
    if schema is not None:
        kinds = {name: found for name, found in kinds.items() if name in schema}
    found = _conflicts(kinds)
    if not found:  # the conflict is with another file
        for name, dtype in (schema or {}).items():
            kinds.setdefault(name, MemberKinds()).add_type(dtype)
        found = _conflicts(kinds)
    if found:
        first = min(found.values(), key=lambda problem: problem.line)
        raise SourceError(f"{path}:{first.line}: {first.message}", hint=first.hint, name="source.jsonl")


def _kinds_of(path: Path) -> dict[str, MemberKinds]:
    """Return the kinds of the values of all members of a UTF-8 file, parsed line by line.

    Raises:
        SourceError: If a line is not a JSON object; the message names it.
    """
    found: dict[str, MemberKinds] = {}
    for number, line in _iter_lines(path):
        if line.strip():
            for name, value in _parse_line(path, number, line).items():
                found.setdefault(name, MemberKinds()).add(value, number)
    return found


def _conflicts(kinds: dict[str, MemberKinds]) -> dict[str, MemberProblem]:
    """Return the problem of each member with kinds of values that no type holds."""
    return {name: problem for name, found in kinds.items() if (problem := found.conflict(name))}


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
            raise SourceError(
                f"{location}: the line is nested more than {LEVELS_MAX} levels deep", hint=hint, name="source.jsonl"
            )
        found = json.loads(
            line,
            parse_constant=_refuse_constant,
            parse_float=_parse_finite,
            parse_int=_parse_whole,
            object_pairs_hook=_unique_members,
        )
        if _SURROGATE.search(line):
            json.dumps(found, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        hint = "Export the text without escapes; a text truncated in the middle of an emoji is the usual cause."
        problem = "the line contains an unpaired surrogate (\\ud800 to \\udfff)"
        raise SourceError(f"{location}: {problem}", hint=hint, name="source.jsonl") from None
    except _DuplicateMemberError as error:
        hint = "Export each member once: readers differ in which of the two values they take."
        raise SourceError(f"{location}: {error}", hint=hint, name="source.jsonl") from None
    except _InvalidNumberError as error:
        raise SourceError(
            f"{location}: {error}",
            hint="Write null, a valid JSON number, or the number as text, in quotes.",
            name="source.jsonl",
        ) from None
    except (ValueError, RecursionError) as error:
        expected = "UTF-8" if isinstance(error, UnicodeDecodeError) else "JSON"
        raise SourceError(f"{location}: the line is not {expected}", hint=hint, name="source.jsonl") from None
    if not isinstance(found, dict):
        hint = "Each line must be one JSON object; an array or a pretty-printed document is not JSON lines."
        raise SourceError(f"{location}: the line is not a JSON object", hint=hint, name="source.jsonl") from None
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


def _parse_finite(text: str) -> Decimal:
    """Return a number with its digits; raise an error if it is too large for a float."""
    if math.isinf(float(text)):
        message = "the line contains a number that is too large"
        raise _InvalidNumberError(message)
    try:
        return Decimal(text)
    except ArithmeticError:
        message = "the line contains a number that is too small"
        raise _InvalidNumberError(message) from None


def _parse_whole(text: str) -> int:
    """Return a whole number; raise an error if it does not fit into 128 bits."""
    value = int(text) if len(text) <= _WHOLE_DIGITS_MAX else _WHOLE_END
    if not -_WHOLE_END <= value < _WHOLE_END:
        message = f"the line contains a whole number of {len(text.lstrip('-'))} digits; at most 38 can be read"
        raise _InvalidNumberError(message)
    return value
