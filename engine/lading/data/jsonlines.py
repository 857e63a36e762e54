"""JSON lines that pass here keep every character and every digit; for those that do not, the line is named.

It does not know keys or mappings. The columnar reader finds the columns and reads them; what it would change in
silence, or refuse without saying where, is looked for here.
"""

from __future__ import annotations

import glob
import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

import polars as pl

from lading.data.files import TextFile, pieces
from lading.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

#: Floats are exact for whole numbers up to here.
EXACT = 1 << 53
_PAIR = re.compile(rb"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_LONG = re.compile(rb"[0-9]{16}")
_HALVED = "half of a character (\\ud800 to \\udfff without its other half)"
_KINDS: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
_KINDS |= {list: "a list", dict: "an object"}
_Seen = dict[str, dict[str, int]]


class _OddError(ValueError):
    """What JSON does not allow, in words."""


def schema_of(path: Path) -> dict[str, pl.DataType]:
    """Return the members that any line of a UTF-8 file has, with the type that fits all lines; none for no lines."""
    if not any(one.strip() for one in pieces(TextFile(path=path, encoding="utf-8"))):
        return {}
    return dict(pl.scan_ndjson(glob.escape(str(path)), infer_schema_length=None).collect_schema())


def merged(one: Mapping[str, pl.DataType], other: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Return the members of two files, each with the type that fits both."""
    empty = [pl.DataFrame(schema=dict(schema)) for schema in (one, other)]
    return dict(pl.concat(empty, how="diagonal_relaxed").schema)


def check(path: Path) -> None:
    """Refuse a UTF-8 file with half a character, which the reader takes for another one.

    Raises:
        SourceError: with the first such line.
    """
    lines = 0
    for chunk in _chunks(path):
        if (b"\\ud" in chunk or b"\\uD" in chunk) and _HALF.search(_PAIR.sub(b"", chunk)):
            for number, line in enumerate(chunk.split(b"\n"), start=lines + 1):
                if _HALF.search(line):
                    _parsed(path, number, line)
        lines += chunk.count(b"\n")


def check_whole(path: Path, columns: Sequence[str]) -> None:
    """Refuse a whole number that a column of floats cannot hold exactly; line by line, so only when one may be there.

    Raises:
        SourceError: with the first such line.
    """
    for number, line in _lines(path):
        if not _LONG.search(line):
            continue
        found = _parsed(path, number, line)
        for name in columns:
            value = found.get(name)
            if isinstance(value, int) and abs(value) > EXACT:
                hint = "Write it as text, in quotes, or leave the fractions out of this member of the other lines."
                what = f"{name!r} is a whole number that would lose digits beside the fractions of other lines"
                raise SourceError(f"{path}:{number}: {what}", hint=hint)


def explain(path: Path, schema: Mapping[str, pl.DataType] | None = None) -> None:
    """Name the first line that is not one JSON object, or that does not go with the others; return when there is none.

    `schema` is what is known of the types of the members.
    """
    seen: _Seen = {}
    for number, line in _lines(path):
        if line.strip():
            for name, value in _parsed(path, number, line).items():
                _note(seen, name, value, number)
    mixed = _mixed(seen)
    if not mixed:  # then a line does not go with another file
        for name, kind in (schema or {}).items():
            _note_type(seen, name, kind)
        mixed = _mixed(seen)
    if not mixed:
        return
    name, kinds = min(mixed.items(), key=lambda one: max(one[1].values()))
    number = max(kinds.values())
    here = next(kind for kind, line in kinds.items() if line == number)
    there = next(kind for kind in kinds if kind != here)
    hint = "Export the member with one type."
    raise SourceError(f"{path}:{number}: {name!r} is {here} here and {there} in another line", hint=hint)


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield whole lines, many at a time."""
    kept: list[bytes] = []
    for piece in pieces(TextFile(path=path, encoding="utf-8")):
        head, end, tail = piece.rpartition(b"\n")
        if end:
            yield b"".join([*kept, head, end])
            kept = [tail]
        else:
            kept.append(tail)
    if last := b"".join(kept):
        yield last


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number."""
    number = 0
    for chunk in _chunks(path):
        for line in chunk.removesuffix(b"\n").split(b"\n"):
            number += 1
            yield number, line


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Return the object on a line.

    Raises:
        SourceError: when there is none, or it holds what no reader takes for the same.
    """
    hint = "Each line must be one JSON object."
    try:
        found = json.loads(line, parse_constant=_no_constant, parse_float=_finite)
        if _HALF.search(line):
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        hint = "Export the text without escapes; one that was cut in the middle of an emoji is the usual cause."
        raise SourceError(f"{path}:{number}: the line holds {_HALVED}", hint=hint) from None
    except _OddError as error:
        raise SourceError(f"{path}:{number}: {error}", hint="Write null, or a number that JSON has.") from None
    except (ValueError, RecursionError) as error:
        what = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON"
        raise SourceError(f"{path}:{number}: the line is {what}", hint=hint) from None
    if not isinstance(found, dict):
        hint = "Each line must be one JSON object; an array or a pretty-printed document is not JSON lines."
        raise SourceError(f"{path}:{number}: the line is not a JSON object", hint=hint) from None
    return found


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities."""
    message = f"the line holds {name}, which is no JSON"
    raise _OddError(message)


def _finite(text: str) -> float:
    """Return a number that is not too large for a float."""
    value = float(text)
    if math.isinf(value):
        message = "the line holds a number that is too large"
        raise _OddError(message)
    return value


def _note(seen: _Seen, name: str, value: object, number: int) -> None:
    """Note the kind of a value, and of those within it, with the line where it stands first."""
    if value is None:
        return
    seen.setdefault(name, {}).setdefault(_KINDS[type(value)], number)
    if isinstance(value, dict):
        for inner, one in value.items():
            _note(seen, f"{name}.{inner}", one, number)
    elif isinstance(value, list):
        for one in value:
            _note(seen, f"{name}[]", one, number)


def _note_type(seen: _Seen, name: str, kind: object) -> None:
    """Note the kind that a type says, as if it stood before the first line."""
    if isinstance(kind, pl.Struct):
        seen.setdefault(name, {}).setdefault(_KINDS[dict], 0)
        for one in kind.fields:
            _note_type(seen, f"{name}.{one.name}", one.dtype)
    elif isinstance(kind, pl.List):
        seen.setdefault(name, {}).setdefault(_KINDS[list], 0)
        _note_type(seen, f"{name}[]", kind.inner)
    elif isinstance(kind, pl.DataType) and kind != pl.Null:
        known = _KINDS[int] if kind.is_numeric() else _KINDS[bool] if kind == pl.Boolean else _KINDS[str]
        seen.setdefault(name, {}).setdefault(known, 0)


def _mixed(seen: _Seen) -> _Seen:
    """Return the members of several kinds that are not read as text."""
    return {name: kinds for name, kinds in seen.items() if len(kinds) > 1 and not _is_text(seen, name)}


def _is_text(seen: _Seen, name: str) -> bool:
    """Whether a member, or what it stands in, is read as text, which anything can be."""
    while name:
        if _KINDS[str] in seen.get(name, {}):
            return True
        name = name.removesuffix("[]") if name.endswith("[]") else name.rpartition(".")[0]
    return False
