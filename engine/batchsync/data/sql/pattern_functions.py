"""Patterns: LIKE, regular expressions, JSON paths, hashes and lists."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.sql.bounds import bounded, scaled_length
from batchsync.data.sql.casts import coerce
from batchsync.data.sql.catalog import argument, constant, function, whole_constant
from batchsync.data.sql.pattern_bounds import STEPS_MAX, Replacing, costly, steps_of
from batchsync.data.sql.text_functions import string
from batchsync.data.sql.values import TEXT, Refusal, Typed, boolean, integer, name_of, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.data.sql.values import Scope

_PATTERNS, _JSON, _HASHES, _LISTS = "Patterns", "JSON", "Hashes", "Lists"
#: Flags of PostgreSQL and what they are in patterns of polars.
_FLAGS = {"i": "i", "c": "", "g": "", "s": "", "n": "m"}
#: Digits that a double keeps, and characters of which every whole number fits 64 bits.
_EXACT_DIGITS, _INTEGER_LENGTH = 15, 18


def like(value: Typed, pattern: str, *, escape: str = "\\", ignore_case: bool = False) -> Typed:
    """Match a whole text against a pattern of LIKE.

    Args:
        value: The text.
        pattern: The pattern: `%` for any characters, `_` for one.
        escape: Character that takes the meaning from the next; empty for none.
        ignore_case: Whether ILIKE is meant.

    Returns:
        Whether it matches.

    Raises:
        Refusal: If the value is no text, or the pattern ends with the escape character.
    """
    found, rest = [], iter(pattern)
    for character in rest:
        if character == escape:
            following = next(rest, None)
            if following is None:
                raise Refusal("the pattern of LIKE ends with the escape character")
            found.append(re.escape(following))
        else:
            found.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    flags = "(?si)" if ignore_case else "(?s)"
    return boolean(string(value, "LIKE").str.contains(f"{flags}^{''.join(found)}$"))


def checked_pattern(part: Typed, flags: str = "") -> str:
    """Return a regular expression with its flags.

    Raises:
        Refusal: If it is no constant, or not supported.
    """
    pattern = constant(part, "a pattern")
    unknown = sorted(set(flags) - set(_FLAGS))
    if unknown:
        raise Refusal(f"unknown flag {unknown[0]!r} of a pattern", "The flags are i (ignore case), g (all matches), n.")
    # In PostgreSQL a dot matches a line break, except with the flag n.
    kept = "".join(sorted({_FLAGS[flag] for flag in flags})) + ("" if "n" in flags else "s")
    full = f"(?{kept}){pattern}" if kept else pattern
    if (steps := steps_of(pattern)) > STEPS_MAX:
        raise Refusal(f"the pattern has {steps:,} steps, more than {STEPS_MAX:,}", "Write x* or x+, not x{1000}.")
    try:
        pl.select(pl.lit("").str.contains(full))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        lines = [line.removeprefix("error: ") for line in str(error).splitlines() if line.startswith("error: ")]
        reason = lines[0] if lines else "it cannot be read"
        hint = "Patterns have no look-around and no references to groups; a word begins or ends at \\b."
        raise Refusal(f"the pattern {pattern!r} is not supported: {reason}", hint) from None
    return full


def matches(scope: Scope, value: Typed, pattern: Typed, *, ignore_case: bool = False) -> Typed:
    """Return whether a text contains a match of a pattern (`~`, `~*`).

    A pattern of a column that repeats much makes the row invalid. `ignore_case`: whether `~*` is meant.

    Raises:
        Refusal: If that is not supported.
    """
    expr = string(value, "a pattern")
    if pattern.untyped:
        return boolean(expr.str.contains(checked_pattern(pattern, "i" if ignore_case else "")))
    if ignore_case:
        raise Refusal("~* takes a pattern in single quotes")
    written = string(pattern, "a pattern")
    too_long = costly(written)
    simple = pl.when(~too_long).then(written)
    found = boolean(expr.str.contains(pl.lit("(?s)") + simple, strict=True))
    return scope.fail(too_long & expr.is_not_null(), "a pattern that repeats more than the limit", found)


def _flags(args: list[Typed], index: int) -> str:
    given = argument(args, index)
    return "" if given is None else constant(given, "the flags")


def _group_of(pattern: str) -> int:
    """Return the group that is taken from a match: the first, or the whole match without one."""
    return 1 if re.search(r"(?<!\\)(?:\\\\)*\((?!\?)|\(\?P?<\w", pattern) else 0


@function(
    _PATTERNS,
    "regexp_like(text, pattern[, flags])",
    "Whether the text contains a match; also `text ~ pattern`.",
    ("regexp_like('AB-12', '[0-9]+')", "true"),
)
def _regexp_like(scope: Scope, args: list[Typed]) -> Typed:
    if not args[1].untyped:
        return matches(scope, args[0], args[1])
    return boolean(string(args[0], "regexp_like").str.contains(checked_pattern(args[1], _flags(args, 2))))


@function(
    _PATTERNS,
    "regexp_replace(text, pattern, replacement[, flags])",
    "The first match replaced, with the flag `g` all; `\\1` in the replacement is the first group.",
    ("regexp_replace('(09) 12 34', '[^0-9]', '', 'g')", "091234"),
)
def _regexp_replace(scope: Scope, args: list[Typed]) -> Typed:
    flags, written = _flags(args, 3), constant(args[2], "the replacement")
    pattern, expr = checked_pattern(args[1], flags), string(args[0], "regexp_replace")
    escaped = written.replace("$", "$$")
    replacement = re.sub(r"\\(\\|&|[0-9])", _replacement, escaped)
    replacing = Replacing(pattern, replacement, every="g" in flags)
    return text(bounded(scope, [expr], replacing.length, replacing.build, growth=replacing.growth))


def _replacement(match: re.Match[str]) -> str:
    mark = match[1]
    return "\\" if mark == "\\" else "${0}" if mark == "&" else f"${{{mark}}}"


@function(
    _PATTERNS,
    "regexp_substr(text, pattern)",
    "The first match; null without one.",
    ("regexp_substr('AB-12', '[0-9]+')", "12"),
)
def _regexp_substr(_: Scope, args: list[Typed]) -> Typed:
    return text(string(args[0], "regexp_substr").str.extract(checked_pattern(args[1]), 0))


@function(
    _PATTERNS,
    "regexp_extract(text, pattern[, group])",
    "A group of the first match (0: the whole match); null without one.",
    ("regexp_extract('AB-12', '([A-Z]+)-([0-9]+)', 2)", "12"),
    ours=True,
)
def _regexp_extract(_: Scope, args: list[Typed]) -> Typed:
    pattern = checked_pattern(args[1])
    given = argument(args, 2)
    group = 0 if given is None else whole_constant(given, "the group")
    if group < 0:
        raise Refusal("groups are counted from 1; 0 is the whole match")
    expr = string(args[0], "regexp_extract")
    try:
        pl.select(pl.lit("").str.extract(pattern, group))
    except pl.exceptions.PolarsError:
        raise Refusal(f"the pattern has no group {group}") from None
    return text(expr.str.extract(pattern, group))


def pattern_part(value: Typed, pattern: Typed) -> Typed:
    """Return the first match of a pattern, or of its first group (`SUBSTRING(text FROM pattern)`)."""
    full = checked_pattern(pattern)
    return text(string(value, "substring").str.extract(full, _group_of(constant(pattern, "a pattern"))))


@function(
    _PATTERNS,
    "regexp_count(text, pattern)",
    "Number of matches.",
    ("regexp_count('a1b22', '[0-9]+')", "2"),
)
def _regexp_count(_: Scope, args: list[Typed]) -> Typed:
    return integer(string(args[0], "regexp_count").str.count_matches(checked_pattern(args[1])))


def json_text(value: Typed, path: str) -> Typed:
    """Return a value of a JSON text as text; null for JSON's null and where there is none.

    Raises:
        Refusal: If that is not supported.
    """
    try:
        pl.select(pl.lit("{}").str.json_path_match(path))
    except pl.exceptions.PolarsError:
        raise Refusal(
            f"the path {path!r} cannot be read", "Write a path such as '$.address.city' or '$.tags[0]'."
        ) from None
    return text(string(value, "JSON").str.json_path_match(path))


def checked_json(scope: Scope, value: Typed, path: str) -> Typed:
    """Return a value of a JSON text; text that is no JSON and numbers of more than 15 digits make the row invalid."""
    found = json_text(value, path)
    long = found.expr.str.contains(r"^-?\d*\.?\d*(?:[eE][+-]?\d+)?$") & (
        found.expr.str.replace(r"[eE].*$", "").str.replace_all(r"\D", "").str.len_bytes() > _EXACT_DIGITS
    )
    exact = found.expr.str.contains(r"^-?\d+$") & (found.expr.str.len_bytes() <= _INTEGER_LENGTH)
    expr = string(value, "JSON")
    broken = expr.str.json_path_match("$").is_null() & (expr.str.strip_chars() != "null")
    return scope.fail(broken, "no JSON", scope.fail(long & ~exact, "a JSON number of more than 15 digits", found))


@function(
    _JSON,
    "json_extract(text, path)",
    "The value at a path of a JSON text, as text; null without one.",
    ("json_extract('{\"a\": {\"b\": [1, 2]}}', '$.a.b[1]')", "2"),
    ours=True,
    also="json_extract_string json_value",
)
def _json_extract(scope: Scope, args: list[Typed]) -> Typed:
    return checked_json(scope, args[0], constant(args[1], "the path"))


def member_path(names: list[str]) -> str:
    """Return the path to a nested member; a number is the index of a list.

    Raises:
        Refusal: If that is not supported.
    """
    for name in names:
        if "'" in name or "\\" in name:
            raise Refusal(f"the member {name!r} cannot be named in a path")
    return "$" + "".join(f"[{name}]" if name.isdecimal() else f"['{name}']" for name in names)


@function(
    _JSON,
    "json_extract_path_text(text, name, ...)",
    "The value of a member, or of a member of a member, as text; also `text::json ->> 'name'`.",
    ("json_extract_path_text('{\"a\": {\"b\": 1}}', 'a', 'b')", "1"),
)
def _json_path(scope: Scope, args: list[Typed]) -> Typed:
    return checked_json(scope, args[0], member_path([constant(item, "a name") for item in args[1:]]))


def _hash(name: str, sample: str, *, ours: bool = True) -> None:
    """Register a hash function; `ours` unless PostgreSQL gives the same text."""

    def build(_: Scope, args: list[Typed]) -> Typed:
        # Needs a library that other expressions do not need.
        import polars_hash  # noqa: PLC0415 - see above

        expr = string(args[0], name)
        if name == "md5":
            return text(polars_hash.NonCryptographicHashingNameSpace(expr).md5())
        methods = polars_hash.CryptographicHashingNameSpace(expr)
        return text(getattr(methods, name.replace("sha", "sha2_"))())

    summary = f"{name.upper()} of the text in UTF-8, in hexadecimal"
    summary += f"; also `encode({name}(text::bytea), 'hex')`." if ours else "."
    function(_HASHES, f"{name}(text)", summary, (f"{name}('a')", sample), ours=ours)(build)


_hash("md5", "0cc175b9c0f1b6a831c399e269772661", ours=False)
_hash("sha224", "abd37534c7d9a2efb9465de931cd7055ffdb8879563ae98078d6d6d5")
_hash("sha256", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb")
_hash(
    "sha384",
    "54a59b9f22b0b80880d8427e548b7c23abd873486e1f035dce9cd697e85175033caa88e6d57bc35efae0b5afd3145f31",
)
_hash(
    "sha512",
    "1f40fc92da241694750979ee6cf582f2d5d7d28e18335de05abc54d0560e0f53"
    "02860c652bf08d560252aa5e74210546f369fbbbce8c12cfc7957b2652fe9a75",
)


@function(
    _HASHES,
    "encode(text, format)",
    "The bytes of the text in `base64` or `hex`.",
    ("encode('Zo\u00eb', 'base64')", "Wm/Dqw=="),
)
def _encode(scope: Scope, args: list[Typed]) -> Typed:
    form = constant(args[1], "the format")
    if form not in ("base64", "hex"):
        raise Refusal(f"unknown format {form!r} of encode", "The formats are base64 and hex.")
    return text(
        bounded(scope, [string(args[0], "encode")], partial(scaled_length, 2, 4), partial(_encoded, form), growth=2)
    )


def _encoded(form: str, expr: pl.Expr) -> pl.Expr:
    return expr.cast(pl.Binary).bin.encode("base64" if form == "base64" else "hex")


def _list(part: Typed, use: str) -> tuple[pl.Expr, pl.DataType]:
    """Return a list and the type of its items."""
    if part.kind == pl.Null:
        return part.expr.cast(pl.List(pl.String)), TEXT
    if not isinstance(part.kind, pl.List):
        raise Refusal(f"{use} takes a list, not {name_of(part.kind)}")
    inner = part.kind.inner
    return part.expr, inner() if isinstance(inner, type) else inner


def item_of(value: Typed, index: int) -> Typed:
    """Return an item of a list by its index from 0; null without one.

    Raises:
        Refusal: If that is not supported.
    """
    expr, inner = _list(value, "an index in square brackets")
    if index < 0:
        raise Refusal("items of a list are counted from 1")
    return Typed(expr.list.get(index, null_on_oob=True), inner)


@function(
    _LISTS,
    "array_to_string(list, separator)",
    "The items as text with a separator between them; nulls are left out.",
    ("array_to_string(string_to_array('a b', ' '), ', ')", "a, b"),
)
def _array_to_string(scope: Scope, args: list[Typed]) -> Typed:
    expr, inner = _list(args[0], "array_to_string")
    if inner.is_nested() or inner.is_float() or inner.is_temporal():
        raise Refusal("array_to_string takes a list of text or whole numbers")
    items = expr if inner == TEXT else expr.list.eval(pl.element().cast(TEXT))
    separator = constant(args[1], "the separator")
    build, length = partial(_list_joined, separator), partial(_list_length, len(separator.encode()))
    return text(bounded(scope, [items.list.drop_nulls()], length, build, growth=1 + len(separator)))


def _list_joined(separator: str, items: pl.Expr) -> pl.Expr:
    return items.list.join(separator)


def _list_length(between: int, parts: Sequence[pl.Series]) -> pl.Series:
    return parts[0].list.join("").str.len_bytes().cast(pl.Int64) + parts[0].list.len().cast(pl.Int64) * between


@function(
    _LISTS,
    "string_to_array(text, separator)",
    "The parts between separators as a list.",
    ("array_length(string_to_array('a,b', ','))", "2"),
)
def _string_to_array(_: Scope, args: list[Typed]) -> Typed:
    separator = constant(args[1], "the separator")
    expr = string(args[0], "string_to_array")
    if not separator:
        raise Refusal("string_to_array needs a separator")
    parts = pl.when(expr == "").then(pl.lit([], dtype=pl.List(pl.String))).otherwise(expr.str.split(separator))
    return Typed(parts, pl.List(pl.String()))


@function(
    _LISTS,
    "array_length(list[, dimension])",
    "Number of items; null for an empty list.",
    ("array_length(string_to_array('a,b', ','), 1)", "2"),
)
def _array_length(_: Scope, args: list[Typed]) -> Typed:
    if len(args) > 1 and whole_constant(args[1], "the dimension") != 1:
        raise Refusal("lists have one dimension")
    count = _list(args[0], "array_length")[0].list.len()
    return integer(pl.when(count > 0).then(count))


@function(_LISTS, "cardinality(list)", "Number of items.", ("cardinality(string_to_array('a,b', ','))", "2"))
def _cardinality(_: Scope, args: list[Typed]) -> Typed:
    return integer(_list(args[0], "cardinality")[0].list.len())


@function(
    _LISTS,
    "array_contains(list, value)",
    "Whether the value is an item; also `value = ANY(list)`.",
    ("array_contains(string_to_array('a,b', ','), 'b')", "true"),
    ours=True,
    also="list_contains",
)
def array_contains(scope: Scope, args: list[Typed]) -> Typed:
    """Return whether a list has an item; null where either is null, or a null could be it. An empty list has none."""
    expr, inner = _list(args[0], "array_contains")
    item = coerce(scope, args[1], inner).expr
    found = expr.list.contains(item)
    unsure = expr.list.eval(pl.element().is_null()).list.any()
    known = pl.when(item.is_not_null()).then(pl.when(~found & unsure).then(None).otherwise(found))
    return boolean(pl.when(expr.list.len() == 0).then(pl.lit(value=False)).otherwise(known))
