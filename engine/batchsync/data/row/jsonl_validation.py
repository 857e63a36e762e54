"""Checks of JSON lines: every character, every digit and every member is kept, or the line is refused by its number.

The columnar reader finds the columns and reads them; what it would change without an error, or refuse without saying
where, is looked for here.
"""

from __future__ import annotations

import glob
import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

import polars as pl

from lading.data.files import TextFile, pieces
from lading.data.nested_types import LEVELS_MAX, is_too_deep, repeats_a_name
from lading.data.repeated_members import suspicious_lines
from lading.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

#: Floats are exact for whole numbers up to here.
EXACT = 1 << 53
_PAIR = re.compile(rb"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_LONG = re.compile(rb"[0-9]{16}")
_HALVED = "half of a character (\\ud800 to \\udfff without its other half)"
_KINDS: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
_KINDS |= {list: "a list", dict: "an object"}
#: Characters of a member's name that an error shows.
_SHOWN = 80
_Seen = dict[str, dict[str, int]]


class _OddError(ValueError):
    """What JSON does not allow, in words."""


class _RepeatedError(ValueError):
    """A member that an object holds twice."""


def schema_of(path: Path) -> dict[str, pl.DataType]:
    """Return the members that any line of a UTF-8 file has, with the type that fits all lines; none for no lines.

    Raises:
        SourceError: when a line is nested too deeply to be worked with, or an object holds a member twice in a way
            that shows in its type; `check` finds the others.
    """
    if not any(one.strip() for one in pieces(TextFile(path=path, encoding="utf-8"))):
        return {}
    found = dict(pl.scan_ndjson(glob.escape(str(path)), infer_schema_length=None).collect_schema())
    if any(is_too_deep(one) or repeats_a_name(one) for one in found.values()):
        explain(path)
    return found


def merged(one: Mapping[str, pl.DataType], other: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Return the members of two files, each with the type that fits both."""
    empty = [pl.DataFrame(schema=dict(schema)) for schema in (one, other)]
    return dict(pl.concat(empty, how="diagonal_relaxed").schema)


def check(path: Path) -> None:
    """Refuse a UTF-8 file with half a character or with an object that holds a member twice.

    The columnar reader takes another character for the half, and the first member for both.

    Raises:
        SourceError: with the first such line.
    """
    lines = 0
    for chunk in _chunks(path):
        suspects = set(suspicious_lines(chunk))
        halved = (b"\\ud" in chunk or b"\\uD" in chunk) and _HALF.search(_PAIR.sub(b"", chunk))
        if suspects or halved:
            for number, line in enumerate(chunk.split(b"\n")):
                if line.strip() and (number in suspects or (halved and _HALF.search(line))):
                    _parsed(path, lines + number + 1, line)
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
    where = f"{path}:{number}"
    try:
        if _levels(line) > LEVELS_MAX + 1:  # the line itself is an object
            hint = "Export it flatter, or leave the member out."
            raise SourceError(f"{where}: the line is nested more than {LEVELS_MAX} levels deep", hint=hint)
        found = json.loads(
            line, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_object_of_distinct
        )
        if _HALF.search(line):
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        hint = "Export the text without escapes; one that was cut in the middle of an emoji is the usual cause."
        raise SourceError(f"{where}: the line holds {_HALVED}", hint=hint) from None
    except _RepeatedError as error:
        hint = "Export each member once: readers differ in which of the two values they take."
        raise SourceError(f"{where}: {error}", hint=hint) from None
    except _OddError as error:
        raise SourceError(f"{where}: {error}", hint="Write null, or a number that JSON has.") from None
    except (ValueError, RecursionError) as error:
        what = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON"
        raise SourceError(f"{where}: the line is {what}", hint=hint) from None
    if not isinstance(found, dict):
        hint = "Each line must be one JSON object; an array or a pretty-printed document is not JSON lines."
        raise SourceError(f"{where}: the line is not a JSON object", hint=hint) from None
    return found


def _object_of_distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these members, each of which must have a name of its own."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            shown = json.dumps(name[:_SHOWN], ensure_ascii=not name.isprintable())
            message = f"an object holds the member {shown} twice"
            raise _RepeatedError(message)
        seen.add(name)
    return found


def _levels(line: bytes) -> int:
    """Return how many objects and lists of a line stand within each other at most."""
    if line.count(b"{") + line.count(b"[") <= LEVELS_MAX + 1:
        return 1  # or more, but not too many
    level = most = 0
    for one in re.findall(rb"[\[\]{}]", _TEXT.sub(b"", line)):
        level += 1 if one in b"[{" else -1
        most = max(most, level)
    return most


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
