"""Numbers as text: floats as Python's json writes them, and decimal numbers with all of their digits.

A float holds at most 15 significant digits of any number. A longer number is written with the digits of the source
unless the nearest float is written as the same number.
"""

from __future__ import annotations

import re
from decimal import Decimal

import polars as pl

#: Python formats numbers below and from these bounds with an exponent, polars not always.
_SMALL, _LARGE = 1e-4, 1e16
#: Numbers of at most this many characters are exact as floats, unless they are smaller than `_DENORMAL`.
_EXACT_LENGTH = 15
_DENORMAL = 1e-290
#: Powers of ten between which a number is written without exponent if it does not equal a float.
_PLAIN_MIN, _PLAIN_MAX = -40, 60


def float_text(values: pl.Series) -> pl.Series:
    """Return floats as Python's json writes them, integral ones without `.0`; null for NaN and infinity.

    Whether a column is of integers or floats may depend on other rows or nulls, so that 5 is written as 5 in both.
    """
    frame = values.to_frame("x")
    size = pl.col("x").abs()
    plain = pl.when(pl.col("x").is_finite()).then(pl.col("x").cast(pl.String).str.strip_suffix(".0"))
    text = pl.when(size == 0).then(pl.lit("0")).otherwise(plain).alias("text")  # -0.0 equals 0
    has_exponent = pl.col("x").is_finite() & (((size < _SMALL) & (size > 0)) | (size >= _LARGE))
    frame = frame.with_columns(text, has_exponent.fill_null(value=False).alias("odd"))
    if frame["odd"].any():
        exact = frame.filter("odd")["x"].to_numpy().astype("U32")
        positions = frame["odd"].arg_true()
        return frame["text"].scatter(positions, pl.Series(exact.tolist()))
    return frame["text"]


def widened(values: pl.Series) -> pl.Series:
    """Return floats of fewer than 64 bits as the 64-bit floats of their shortest texts: 19.99, not 19.98999977."""
    if values.dtype == pl.Float64:
        return values
    if values.dtype == pl.Float16:  # polars writes it with the digits of 32 bits
        texts = values.cast(pl.Float32).to_numpy().astype("float16").astype("U32")
        return pl.Series(values.name, texts.tolist()).cast(pl.Float64).set(values.is_null(), None)
    return values.cast(pl.String).cast(pl.Float64)


def decimal_text(texts: pl.Series) -> pl.Series:
    """Return decimal numbers as JSON: as `float_text` writes them where that is exact, else with all their digits.

    Args:
        texts: Numbers as text (String), with or without fraction and exponent, without blanks.

    Returns:
        The texts (String); null for what is not a number or is larger than any float.
    """
    floats = texts.cast(pl.Float64, strict=False)
    frame = pl.DataFrame({"x": texts, "float": floats, "text": float_text(floats)})
    long = pl.col("x").str.len_bytes() > _EXACT_LENGTH
    # The usual case of a long number is a float written by another program.
    odd = (pl.col("x") != pl.col("text")) & (long | (pl.col("float").abs() < _DENORMAL))
    positions = frame.select(odd.arg_true()).to_series()
    if not positions.len():
        return frame["text"]
    rows = frame[positions].with_columns(positions.alias("at"))
    rows = rows.filter(_without_redundant_zeros(pl.col("x")) != pl.col("text"))
    exact = [_exact(*pair) for pair in rows.select("x", "text").iter_rows()]
    return frame["text"].scatter(rows["at"], pl.Series(exact, dtype=pl.String)) if exact else frame["text"]


def inexact_numbers(texts: pl.Series) -> pl.Series:
    """Return which numbers in JSON are not equal to the nearest float as it is written (Boolean)."""
    floats = texts.cast(pl.Float64, strict=False)
    return (decimal_text(texts) != float_text(floats)).fill_null(value=True)


def equals_float(number: Decimal | int) -> bool:
    """Return whether the nearest float of a number is written as the same number."""
    try:
        return Decimal(repr(float(number))) == number
    except OverflowError:
        return False


def _without_redundant_zeros(number: pl.Expr) -> pl.Expr:
    """Return numbers without exponent in the form of `float_text`."""
    unsigned = number.str.strip_prefix("+").str.replace(r"^(-?)0*([0-9])", "$1$2").str.replace(r"^(-?)\.", "${1}0.")
    is_fraction = unsigned.str.contains(".", literal=True) & ~unsigned.str.contains("[eE]")
    return pl.when(is_fraction).then(unsigned.str.replace(r"\.?0*$", "")).otherwise(unsigned)


def _exact(text: str, written: str) -> str | None:
    """Return a number with all its digits, or as it is written as a float if that is equal; null if it is no number."""
    try:
        number = Decimal(text)
    except ArithmeticError:
        return None
    if not number and re.search("[1-9]", text.lower().partition("e")[0]):  # smaller than any Decimal
        return None
    return written if Decimal(written) == number else _digits(number)


def _digits(number: Decimal) -> str:
    """Return a number that is not 0 with all its digits and no redundant zero."""
    sign, numerals, exponent = number.as_tuple()
    digits = "".join(map(str, numerals)).lstrip("0")
    power = int(exponent) + len(digits) - len(digits := digits.rstrip("0"))
    minus = "-" if sign else ""
    first = power + len(digits) - 1
    if not _PLAIN_MIN <= first <= _PLAIN_MAX or power > _PLAIN_MAX:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{minus}{digits[0]}{fraction}e{first}"
    if power >= 0:
        return minus + digits + "0" * power
    digits = digits.rjust(1 - power, "0")
    return f"{minus}{digits[:power]}.{digits[power:]}"
