"""Casts between types with the results of PostgreSQL. A value without a result makes its row invalid.

Text is read in ISO form only: dates as 2025-01-31, timestamps as 2025-01-31 14:30:00, perhaps with T and a
zone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from batchsync.data.sql.values import (
    BOOLEAN,
    DATE,
    DOUBLE,
    FREE_SCALE,
    INTEGER,
    PRECISION,
    QUOTIENT_SCALE,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    Refusal,
    Scope,
    Typed,
    boolean,
    double,
    name_of,
    text,
)

#: White space that PostgreSQL ignores around a value.
_SPACE = " \t\n\r\v\f"
_DAY = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?"
_ZONE = r"(?:[+-]\d{2}(?::?\d{2})?)"
#: Digits of double precision that a decimal takes.
_DOUBLE_DIGITS = 15
_TRUE = ("true", "tru", "tr", "t", "yes", "ye", "y", "on", "1")
_FALSE = ("false", "fals", "fal", "fa", "f", "no", "n", "off", "of", "0")


@dataclass(frozen=True, slots=True)
class Target:
    """Type to cast to.

    Attributes:
        kind: The type.
        length: Maximum number of characters; longer text is cut.
        is_padded: Whether it is CHAR, whose trailing blanks do not count.
        is_json: Whether it is JSON, which stays text.
        is_free: Whether it is NUMERIC without a scale: integers and decimals keep theirs.
    """

    kind: pl.DataType
    length: int | None = None
    is_padded: bool = False
    is_json: bool = False
    is_free: bool = False


def cast(scope: Scope, value: Typed, target: Target) -> Typed:
    """Cast a part.

    Args:
        scope: Where the cast stands.
        value: What is cast.
        target: The type to cast to.

    Returns:
        The cast part.

    Raises:
        Refusal: If there is no such cast, or if its result depends on a zone that is not named.
    """
    if value.kind == pl.Null:
        return Typed(pl.lit(None, dtype=target.kind), target.kind)
    kind = target.kind
    if target.is_free and (value.is_integer or value.is_decimal):
        kind = pl.Decimal(PRECISION, value.scale)
    if target.is_json and not value.is_text:
        raise Refusal(f"a cast of {name_of(value.kind)} to JSON is not supported", code="expression_cast")
    if kind == TEXT:
        return _shorten(to_text(value), target)
    if value.is_text:
        value = Typed(scope.mask(value.expr.cast(TEXT).str.strip_chars(_SPACE)), TEXT)
        return _from_text(scope, value, kind)
    if kind.is_numeric() and (value.kind.is_numeric() or (value.kind == BOOLEAN and kind.is_integer())):
        return _number(scope, value, kind)
    if kind == BOOLEAN and (value.kind == BOOLEAN or value.is_integer):
        return boolean(value.expr != 0) if value.is_integer else value
    if isinstance(value.kind, pl.Datetime | pl.Date | pl.Time) and not kind.is_numeric() and kind != BOOLEAN:
        return _moment(value, kind)
    raise Refusal(f"a cast of {name_of(value.kind)} to {name_of(kind)} cannot be computed", code="expression_cast")


def coerce(scope: Scope, value: Typed, kind: pl.DataType) -> Typed:
    """Bring an operand to the common type of an operation; a constant without a type takes it.

    Raises:
        Refusal: If a constant is no value of the type, or if there is no such cast.

    Returns:
        Bring an operand to the common type of an operation.
    """
    if value.kind == kind:
        return replace(value, untyped=False)
    if value.untyped and isinstance(value.constant, str):
        constant = cast(Scope(), value, Target(kind))
        try:
            pl.select(constant.expr)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            raise Refusal(f"{value.constant!r} is no {name_of(kind)}", "Write a constant of the type.") from None
        return constant
    if value.kind.is_float() and kind == DOUBLE:
        return double(value.expr.cast(DOUBLE))
    return cast(scope, value, Target(kind))


def common(scope: Scope, parts: list[Typed], use: str, kind: pl.DataType) -> list[Typed]:
    """Bring several parts to one type.

    Raises:
        Refusal: If one of them cannot be brought to it; the message says for what.

    Returns:
        Bring several parts to one type.
    """
    try:
        return [coerce(scope, part, kind) for part in parts]
    except Refusal as refusal:
        raise Refusal(f"{use}: {refusal.message}", refusal.hint, refusal.code) from None


def _shorten(value: Typed, target: Target) -> Typed:
    expr = value.expr if target.length is None else value.expr.str.head(target.length)
    return text(expr.str.strip_chars_end(" ") if target.is_padded else expr)


def to_text(value: Typed) -> Typed:
    """Return values as PostgreSQL writes them in text; timestamps with a zone in UTC.

    Raises:
        Refusal: If the values are lists or objects.
    """
    kind, expr = value.kind, value.expr
    if value.is_text:
        return replace(value, expr=expr if kind == TEXT else expr.cast(TEXT), kind=TEXT)
    if kind == pl.Null:
        return Typed(pl.lit(None, dtype=TEXT), TEXT)
    if kind.is_float():
        return text(_float_text(expr.cast(TEXT)))
    if isinstance(kind, pl.Datetime | pl.Time):
        form = "%H:%M:%S%.6f" if kind == TIME else "%Y-%m-%d %H:%M:%S%.6f"
        zone = "+00" if isinstance(kind, pl.Datetime) and kind.time_zone else ""
        return text(pl.concat_str(_trimmed(utc(value).expr, form), pl.lit(zone)))
    if kind in (BOOLEAN, DATE) or kind.is_integer() or isinstance(kind, pl.Decimal):
        written = expr.cast(TEXT)
        return text(written.str.replace(r"\.?0+$", "") if value.scale >= QUOTIENT_SCALE else written)
    hint = "Write array_to_string(x, ',') for a list, x.member for a member of an object."
    raise Refusal(f"a cast of {name_of(kind)} to text cannot be computed", hint, "expression_cast")


def _float_text(written: pl.Expr) -> pl.Expr:
    """Return floats as PostgreSQL writes them: with an exponent of two digits from 1e+15 and below 0.0001."""
    plain = written.str.strip_suffix(".0").str.replace("inf", "Infinity", literal=True)
    large = plain.str.replace(r"^(-?\d)(\d{15})(?:\.(\d+))?$", "${1}.${2}${3}e+15")
    small = large.str.replace(r"^(-?)0\.0000([1-9])(\d*)$", "${1}${2}.${3}e-05")
    return small.str.replace(r"\.?0*e([+-])", "e${1}").str.replace(r"e([+-])(\d)$", "e${1}0${2}")


def _trimmed(expr: pl.Expr, form: str) -> pl.Expr:
    """Return moments as text without zeros at the end of the fraction."""
    return expr.dt.strftime(form).str.replace(r"(\.\d*?)0+$", "$1").str.strip_suffix(".")


def utc(value: Typed) -> Typed:
    """Return a timestamp as that of UTC without a zone; others unchanged."""
    if isinstance(value.kind, pl.Datetime) and value.kind.time_zone:
        kind = pl.Datetime(value.kind.time_unit)
        return Typed(value.expr.dt.convert_time_zone("UTC").dt.replace_time_zone(None), kind)
    return value


def require_zone(value: Typed, use: str) -> Typed:
    """Return a timestamp without a zone; refuse it if its zone is not UTC, because two days or hours could be meant.

    Raises:
        Refusal: If the zone of the column is another.
    """
    if isinstance(value.kind, pl.Datetime) and value.kind.time_zone not in (None, "UTC"):
        zone = value.kind.time_zone
        raise Refusal(
            f"{use} depends on the zone: the column is of {zone}, an expression computes in UTC",
            f"Write x AT TIME ZONE '{zone}' for the time there, or x AT TIME ZONE 'UTC'.",
            "expression_cast",
        )
    return utc(value)


def _moment(value: Typed, kind: pl.DataType) -> Typed:
    """Cast between dates, times and timestamps."""
    source = value.kind
    if source == kind:
        return value
    if isinstance(source, pl.Datetime) and kind in (DATE, TIME):
        moment = require_zone(value, f"a cast to {name_of(kind)}").expr.dt
        return Typed(moment.date() if kind == DATE else moment.time(), kind)
    if isinstance(kind, pl.Datetime) and isinstance(source, pl.Datetime | pl.Date):
        plain = utc(value).expr.cast(TIMESTAMP)
        return Typed(plain.dt.replace_time_zone("UTC") if kind.time_zone else plain, kind)
    raise Refusal(f"a cast of {name_of(source)} to {name_of(kind)} cannot be computed", code="expression_cast")


def _number(scope: Scope, value: Typed, kind: pl.DataType) -> Typed:
    """Cast between numbers: fractions are rounded as in PostgreSQL, and what does not fit fails."""
    if value.kind == kind:
        return value
    expr = scope.mask(value.expr)
    if kind.is_integer():
        if value.is_decimal:
            expr = expr.round(0, mode="half_away_from_zero")
        elif value.kind.is_float():
            expr = expr.round(0, mode="half_to_even")
        return Typed(expr.cast(kind, strict=scope.strict), kind)
    if not isinstance(kind, pl.Decimal):
        return Typed(expr.cast(kind, strict=scope.strict), kind)
    if value.kind.is_float():
        if value.kind == DOUBLE:
            expr = expr.round_sig_figs(_DOUBLE_DIGITS)
        return _decimal_from_text(scope, text(expr.cast(TEXT)), kind)
    scale = kind.scale or 0
    rounded = expr.round(scale, mode="half_away_from_zero") if value.scale > scale else expr
    return Typed(rounded.cast(kind, strict=scope.strict), kind)


def _from_text(scope: Scope, value: Typed, kind: pl.DataType) -> Typed:
    """Cast text without white space around it."""
    expr = value.expr
    if isinstance(kind, pl.Decimal):
        return _decimal_from_text(scope, value, kind)
    if kind.is_numeric():
        return Typed(expr.cast(kind, strict=scope.strict), kind)
    if kind == BOOLEAN:
        lower = expr.str.to_lowercase()
        truth = pl.when(lower.is_in(_TRUE)).then(pl.lit("1")).when(lower.is_in(_FALSE)).then(pl.lit("0"))
        return boolean(
            truth.when(expr.is_not_null()).then(pl.lit("no boolean")).cast(pl.Int8, strict=scope.strict) == 1
        )
    if kind == DATE:
        pattern = rf"^{_DAY}(?:[ T]{_CLOCK}(?:Z|{_ZONE})?)?$"
        checked = scope.fail(~expr.str.contains(pattern), "text that is no ISO date", value)
        return Typed(checked.expr.str.head(10).str.to_date("%Y-%m-%d", strict=scope.strict), DATE)
    if kind == TIME:
        checked = scope.fail(~expr.str.contains(rf"^{_CLOCK}$"), "text that is no ISO time", value)
        return Typed(_with_seconds(checked.expr).str.to_time("%H:%M:%S%.f", strict=scope.strict), TIME)
    if isinstance(kind, pl.Datetime):
        return _timestamp_from_text(scope, value, zoned=kind.time_zone is not None)
    raise Refusal(f"a cast of text to {name_of(kind)} cannot be computed", code="expression_cast")


def _with_seconds(expr: pl.Expr) -> pl.Expr:
    return expr.str.replace(rf"(^|[ T])(\d{{2}}:\d{{2}})(Z|{_ZONE})?$", "${1}${2}:00${3}")


def _timestamp_from_text(scope: Scope, value: Typed, *, zoned: bool) -> Typed:
    """Read a timestamp of UTC, or with a zone."""
    zone = f"(?:Z|{_ZONE})?" if zoned else "Z?"
    pattern = rf"^{_DAY}(?:[ T]{_CLOCK}{zone})?$"
    reason = "text that is no ISO timestamp" if zoned else "text that is no ISO timestamp without a zone"
    expr = scope.fail(~value.expr.str.contains(pattern), reason, value).expr
    # Replacements instead of branches, each of which would repeat the expression of the text.
    expr = _with_seconds(expr.str.replace(rf"^({_DAY})$", "${1} 00:00")).str.replace("T", " ", literal=True)
    if not zoned:
        plain = expr.str.strip_suffix("Z").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=scope.strict)
        return Typed(plain, TIMESTAMP)
    # Zones as +0530; a text without one is of UTC.
    expr = expr.str.replace(r"([+-]\d{2}):(\d{2})$", "${1}${2}").str.replace(r"([+-]\d{2})$", "${1}00")
    expr = expr.str.replace(r"Z$|(:\d{2}(?:\.\d+)?)$", "${1}+0000")
    return Typed(
        expr.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=scope.strict),
        TIMESTAMPTZ,
    )


def _decimal_from_text(scope: Scope, value: Typed, kind: pl.Decimal) -> Typed:
    """Read a decimal, rounded half away from zero; digits beyond those that are kept make the row invalid."""
    scale = kind.scale or 0
    wide = max(scale, FREE_SCALE)
    too_long = value.expr.str.contains(rf"\.\d{{{wide + 1},}}") | value.expr.str.contains(r"(?i)^[^e]*\.[^e]+e-?\d{2,}")
    checked = scope.fail(too_long, "more digits than a decimal keeps", value)
    exact = checked.expr.cast(pl.Decimal(PRECISION, wide), strict=scope.strict)
    rounded = exact.round(scale, mode="half_away_from_zero") if wide > scale else exact
    return Typed(rounded.cast(kind, strict=scope.strict), kind)


#: Types by their names in sqlglot.
TYPES: dict[str, pl.DataType] = {
    "TEXT": TEXT,
    "VARCHAR": TEXT,
    "CHAR": TEXT,
    "BPCHAR": TEXT,
    "NCHAR": TEXT,
    "NVARCHAR": TEXT,
    "JSON": TEXT,
    "JSONB": TEXT,
    "VARBINARY": TEXT,
    "TINYINT": pl.Int8(),
    "SMALLINT": pl.Int16(),
    "INT": pl.Int32(),
    "BIGINT": INTEGER,
    "FLOAT": pl.Float32(),
    "DOUBLE": DOUBLE,
    "DECIMAL": pl.Decimal(PRECISION, FREE_SCALE),
    "BOOLEAN": BOOLEAN,
    "DATE": DATE,
    "TIME": TIME,
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMPTZ": TIMESTAMPTZ,
}
