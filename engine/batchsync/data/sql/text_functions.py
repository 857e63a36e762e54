"""Functions of text. Lengths and positions count characters, from 1."""

from __future__ import annotations

import sys
import unicodedata
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.sql.bounds import bounded, scaled_length
from batchsync.data.sql.casts import to_text
from batchsync.data.sql.catalog import argument, constant, function, require, whole_constant
from batchsync.data.sql.values import INTEGER, TEXT, Refusal, boolean, integer, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.data.sql.values import Scope, Typed

_GROUP = "Text"
#: Letters that Unicode does not decompose, as in PostgreSQL's unaccent.rules.
_LETTERS = {
    "ß": "ss",
    "ẞ": "SS",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "Ð": "D",
    "þ": "th",
    "Þ": "TH",
    "ł": "l",
    "Ł": "L",
    "ħ": "h",
    "Ħ": "H",
    "\u0131": "i",
    "ŋ": "n",
    "Ŋ": "N",
    "ŧ": "t",
    "Ŧ": "T",
}
_BLANK = " "
#: Bounds the memory of a row.
_REPEATS_MAX = 1000


def string(part: Typed, use: str) -> pl.Expr:
    """Return an argument that must be text.

    Raises:
        Refusal: If it is of another type.
    """
    require(part, part.is_text or part.kind == pl.Null, "text", use)
    return part.expr if part.kind == TEXT else part.expr.cast(TEXT)


def number(part: Typed, use: str) -> pl.Expr:
    """Return an argument that must be a whole number.

    Raises:
        Refusal: If it is of another type.
    """
    require(part, part.is_integer or part.kind == pl.Null, "a whole number", use)
    return part.expr.cast(INTEGER)


@function(_GROUP, "lower(text)", "In lower case.", ("lower('ANNA')", "anna"))
def _lower(_: Scope, args: list[Typed]) -> Typed:
    return text(string(args[0], "lower").str.to_lowercase())


@function(_GROUP, "upper(text)", "In upper case.", ("upper('anna')", "ANNA"))
def _upper(_: Scope, args: list[Typed]) -> Typed:
    return text(string(args[0], "upper").str.to_uppercase())


@function(
    _GROUP,
    "initcap(text)",
    "Each word with a capital; a word begins after anything but a letter.",
    ("initcap('anna o''neil-ROTH')", "Anna O'Neil-Roth"),
)
def _initcap(_: Scope, args: list[Typed]) -> Typed:
    return text(string(args[0], "initcap").str.to_titlecase())


@function(
    _GROUP,
    "length(text)",
    "Number of characters.",
    ("length('Zoë')", "3"),
    also="char_length character_length len",
)
def _length(_: Scope, args: list[Typed]) -> Typed:
    return integer(string(args[0], "length").str.len_chars())


@function(_GROUP, "octet_length(text)", "Number of bytes in UTF-8.", ("octet_length('Zoë')", "4"))
def _octet_length(_: Scope, args: list[Typed]) -> Typed:
    return integer(string(args[0], "octet_length").str.len_bytes())


def _output(part: Typed) -> pl.Expr:
    """Return a value as PostgreSQL prints it: like a cast to text, but truth values as t and f."""
    if part.kind == pl.Boolean:
        return pl.when(part.expr).then(pl.lit("t")).when(part.expr.not_()).then(pl.lit("f"))
    return to_text(part).expr


@function(
    _GROUP,
    "concat(value, ...)",
    "The values one after the other; nulls are left out.",
    ("concat('a', NULL, 'b', 1)", "ab1"),
)
def _concat(scope: Scope, args: list[Typed]) -> Typed:
    return text(concatenated(scope, [_output(item).fill_null("") for item in args]))


@function(
    _GROUP,
    "concat_ws(separator, value, ...)",
    "The values with a separator between them; nulls are left out.",
    ("concat_ws(', ', 'a', NULL, 'b')", "a, b"),
)
def _concat_ws(scope: Scope, args: list[Typed]) -> Typed:
    separator = constant(args[0], "the separator")
    return text(concatenated(scope, [_output(item) for item in args[1:]], separator, ignore_nulls=True).fill_null(""))


def concatenated(scope: Scope, parts: Sequence[pl.Expr], separator: str = "", *, ignore_nulls: bool = False) -> pl.Expr:
    """Return texts one after the other; null with a null part, unless nulls are left out."""
    build = partial(_joined, separator, ignore_nulls)
    between = len(separator.encode()) * len(parts)
    return bounded(scope, parts, partial(_sum_of_lengths, between), build, growth=len(parts) + between)


def _joined(separator: str, ignore_nulls: bool, *parts: pl.Expr) -> pl.Expr:  # noqa: FBT001 - bound by `partial`
    return pl.concat_str(parts, separator=separator, ignore_nulls=ignore_nulls)


def _sum_of_lengths(more: int, parts: Sequence[pl.Series]) -> pl.Series:
    frame = pl.DataFrame([part.str.len_bytes().cast(pl.Int64) for part in parts])
    return frame.sum_horizontal() + more


def _trimmer(name: str, side: str) -> None:
    def build(_: Scope, args: list[Typed]) -> Typed:
        return trim(args[0], argument(args, 1), side)

    where = {"strip_chars": "both ends", "strip_chars_start": "the start", "strip_chars_end": "the end"}[side]
    shown = {"strip_chars": "a", "strip_chars_start": "axx", "strip_chars_end": "xxa"}[side]
    summary = f"Without blanks, or without any of the given characters, at {where}."
    function(_GROUP, f"{name}(text[, characters])", summary, (f"{name}('xxaxx', 'x')", shown))(build)


def trim(value: Typed, characters: Typed | None, side: str) -> Typed:
    """Remove characters at the ends of a text.

    Args:
        value: The text.
        characters: The characters as a constant; None for blanks.
        side: Method of polars: `strip_chars`, `strip_chars_start` or `strip_chars_end`.

    Returns:
        The text without them.

    Raises:
        Refusal: If the value is no text, or the characters are no constant.
    """
    removed = _BLANK if characters is None else constant(characters, "the characters")
    expr = string(value, "trim")
    return text(getattr(expr.str, side)(removed) if removed else expr)


for _name, _side in (("trim", "strip_chars"), ("ltrim", "strip_chars_start"), ("rtrim", "strip_chars_end")):
    _trimmer(_name, _side)


@function(_GROUP, "btrim(text[, characters])", "The same as `trim`.", ("btrim(' a ')", "a"))
def _btrim(_: Scope, args: list[Typed]) -> Typed:
    return trim(args[0], argument(args, 1), "strip_chars")


@function(
    _GROUP,
    "left(text, n)",
    "The first n characters; if n is negative, all but the last -n.",
    ("left('Auckland', 4)", "Auck"),
)
def _left(_: Scope, args: list[Typed]) -> Typed:
    return text(string(args[0], "left").str.head(number(args[1], "left")))


@function(
    _GROUP,
    "right(text, n)",
    "The last n characters; if n is negative, all but the first -n.",
    ("right('Auckland', 4)", "land"),
)
def _right(_: Scope, args: list[Typed]) -> Typed:
    return text(string(args[0], "right").str.tail(number(args[1], "right")))


@function(
    _GROUP,
    "substring(text, start[, length])",
    "A part of the text; also `SUBSTRING(text FROM start FOR length)`.",
    ("substring('Auckland', 2, 3)", "uck"),
    also="substr",
)
def substring(scope: Scope, args: list[Typed]) -> Typed:
    """Return a part of a text; a start below 1 counts characters that are not there."""
    expr, start = string(args[0], "substring"), number(args[1], "substring")
    offset = (start - 1).clip(lower_bound=0)
    limit = argument(args, 2)
    if limit is None:
        return text(expr.str.slice(offset))
    length = number(limit, "substring")
    count = length + (start - 1).clip(upper_bound=0)
    part = expr.str.slice(offset, count.clip(lower_bound=0))
    if isinstance(limit.constant, int) and limit.constant >= 0:
        return text(part)
    negative = (length < 0) & expr.is_not_null() & start.is_not_null()
    return scope.fail(negative, "negative length", text(pl.when(length.is_not_null()).then(part)))


@function(
    _GROUP,
    "strpos(text, part)",
    "Position of a part, 0 without one; also `POSITION(part IN text)`.",
    ("strpos('Auckland', 'land')", "5"),
)
def strpos(_: Scope, args: list[Typed]) -> Typed:
    """Return the position of a part in characters."""
    expr, part = string(args[0], "strpos"), string(args[1], "strpos")
    before = expr.str.splitn(part, 2).struct[0].str.len_chars() + 1
    position = pl.when(part == "").then(1).when(expr.str.contains(part, literal=True)).then(before).otherwise(0)
    return integer(pl.when(expr.is_not_null() & part.is_not_null()).then(position))


@function(
    _GROUP,
    "replace(text, part, replacement)",
    "Every occurrence of a part replaced; the part is a constant.",
    ("replace('1,234', ',', '')", "1234"),
)
def _replace(scope: Scope, args: list[Typed]) -> Typed:
    part = constant(args[1], "the part to replace")
    expr, replacement = string(args[0], "replace"), string(args[2], "replace")
    if not part:
        return text(expr)
    written = args[2].constant
    growth = len(written.encode()) / len(part.encode()) if isinstance(written, str) else float("inf")
    inputs = [expr, replacement]
    replaced = bounded(scope, inputs, partial(_replaced_length, part), partial(_replaced, part), growth=growth)
    return text(replaced if args[2].constant is not None else pl.when(replacement.is_not_null()).then(replaced))


def _replaced(part: str, expr: pl.Expr, replacement: pl.Expr) -> pl.Expr:
    # A row that is not computed has no inputs; polars refuses a replacement that is null.
    return expr.str.replace_all(part, replacement.fill_null(""), literal=True)


def _replaced_length(part: str, parts: Sequence[pl.Series]) -> pl.Series:
    more = parts[1].str.len_bytes().cast(pl.Int64) - len(part.encode())
    found = parts[0].str.count_matches(part, literal=True).cast(pl.Int64)
    return parts[0].str.len_bytes().cast(pl.Int64) + found * more


@function(
    _GROUP,
    "translate(text, from, to)",
    "Each character of `from` replaced by the one at its place in `to`, or removed.",
    ("translate('(09) 123', '() ', '-')", "-09123"),
)
def _translate(_: Scope, args: list[Typed]) -> Typed:
    source, target = constant(args[1], "from"), constant(args[2], "to")
    mapping: dict[str, str] = {}
    for index, character in enumerate(source):
        mapping.setdefault(character, target[index] if index < len(target) else "")
    expr = string(args[0], "translate")
    return text(expr.str.replace_many(list(mapping), list(mapping.values())) if mapping else expr)


@function(
    _GROUP,
    "split_part(text, separator, n)",
    "The n-th part between separators, from the end if n is negative; empty text without one.",
    ("split_part('a@b.nz', '@', 2)", "b.nz"),
)
def _split_part(_: Scope, args: list[Typed]) -> Typed:
    expr, separator = string(args[0], "split_part"), constant(args[1], "the separator")
    position = whole_constant(args[2], "n")
    if not position or not separator:
        raise Refusal("split_part counts from 1, or from the end with -1, and needs a separator")
    index = position - 1 if position > 0 else position
    part = expr.str.split(separator).list.get(index, null_on_oob=True).fill_null("")
    return text(pl.when(expr.is_not_null()).then(part))


@function(_GROUP, "reverse(text)", "From the end to the start.", ("reverse('abc')", "cba"))
def _reverse(_: Scope, args: list[Typed]) -> Typed:
    # The method of polars of this name keeps a letter and its combining marks in order.
    return text(string(args[0], "reverse").str.split("").list.reverse().list.join(""))


@function(_GROUP, "repeat(text, n)", "The text n times; n is a constant up to 1000.", ("repeat('ab', 2)", "abab"))
def _repeat(scope: Scope, args: list[Typed]) -> Typed:
    times = whole_constant(args[1], "n")
    if times > _REPEATS_MAX:
        raise Refusal("repeat repeats at most 1000 times")
    expr = string(args[0], "repeat")
    if times <= 0:
        return text(pl.when(expr.is_not_null()).then(pl.lit("")))
    return text(bounded(scope, [expr], partial(scaled_length, times, 0), partial(_repeated, times), growth=times))


def _repeated(times: int, expr: pl.Expr) -> pl.Expr:
    return pl.concat_str([expr] * times)


def _pad(args: list[Typed], name: str) -> Typed:
    length, given = whole_constant(args[1], "the length"), argument(args, 2)
    fill = _BLANK if given is None else constant(given, "the fill")
    if len(fill) != 1 or length > _REPEATS_MAX:
        raise Refusal(f"{name} fills up to 1000 characters with one character", f"Write {name}(x, 8, '0').")
    expr = string(args[0], name)
    padded = expr.str.pad_start(max(length, 0), fill) if name == "lpad" else expr.str.pad_end(max(length, 0), fill)
    return text(padded.str.head(max(length, 0)))


@function(
    _GROUP,
    "lpad(text, length[, fill])",
    "Filled at the start to a length; longer text is cut at the end.",
    ("lpad('7', 3, '0')", "007"),
)
def _lpad(_: Scope, args: list[Typed]) -> Typed:
    return _pad(args, "lpad")


@function(
    _GROUP,
    "rpad(text, length[, fill])",
    "Filled at the end to a length; longer text is cut.",
    ("rpad('7', 3, '.')", "7.."),
)
def _rpad(_: Scope, args: list[Typed]) -> Typed:
    return _pad(args, "rpad")


@function(
    _GROUP,
    "starts_with(text, prefix)",
    "Whether it begins so; also `text ^@ prefix`.",
    ("starts_with('abc', 'ab')", "true"),
)
def starts_with(_: Scope, args: list[Typed]) -> Typed:
    """Return whether a text begins with another."""
    return boolean(string(args[0], "starts_with").str.starts_with(string(args[1], "starts_with")))


@function(_GROUP, "ends_with(text, suffix)", "Whether it ends so.", ("ends_with('abc', 'bc')", "true"), ours=True)
def _ends_with(_: Scope, args: list[Typed]) -> Typed:
    return boolean(string(args[0], "ends_with").str.ends_with(string(args[1], "ends_with")))


@function(_GROUP, "contains(text, part)", "Whether it has such a part.", ("contains('abc', 'b')", "true"), ours=True)
def _contains(_: Scope, args: list[Typed]) -> Typed:
    return boolean(string(args[0], "contains").str.contains(string(args[1], "contains"), literal=True))


@function(_GROUP, "chr(n)", "The character of a code point; n is a constant.", ("chr(65)", "A"))
def _chr(_: Scope, args: list[Typed]) -> Typed:
    code = whole_constant(args[0], "n")
    if not 0 < code <= sys.maxunicode or unicodedata.category(chr(code)) == "Cs":
        raise Refusal(f"{code} is no character")
    return text(pl.lit(chr(code)))


@function(
    _GROUP,
    "unaccent(text)",
    "Letters without accents, as PostgreSQL's extension of that name.",
    ("unaccent('Zoë Łukasz Groß')", "Zoe Lukasz Gross"),
)
def _unaccent(_: Scope, args: list[Typed]) -> Typed:
    plain = string(args[0], "unaccent").str.normalize("NFKD").str.replace_all(r"\p{Mn}", "").str.normalize("NFC")
    return text(plain.str.replace_many(list(_LETTERS), list(_LETTERS.values())))
