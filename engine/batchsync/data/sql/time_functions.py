"""Functions of dates and times. Timestamps with a zone are computed in UTC, unless a zone is named."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import polars as pl

from batchsync.data.sql.casts import Target, cast, require_zone
from batchsync.data.sql.catalog import constant, function
from batchsync.data.sql.text_functions import number, string
from batchsync.data.sql.values import (
    DATE,
    DOUBLE,
    INTEGER,
    PRECISION,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    Refusal,
    Scope,
    Typed,
    in_years,
    name_of,
    text,
    utc_kind,
)

_GROUP = "Dates and times"
_PARSED = {"date": DATE, "time": TIME, "timestamp": TIMESTAMP}
#: Templates of to_char, to_date and to_timestamp, longest first, and what they are in strftime.
_TEMPLATES = {
    "YYYY": "%Y",
    "YY": "%y",
    "MM": "%m",
    "DDD": "%j",
    "DD": "%d",
    "HH24": "%H",
    "HH12": "%I",
    "HH": "%I",
    "MI": "%M",
    "SS": "%S",
    "MS": "%3f",
    "US": "%6f",
    "AM": "%p",
    "PM": "%p",
    "am": "%P",
    "pm": "%P",
    "Mon": "%b",
    "FMMonth": "%B",
    "Dy": "%a",
    "FMDay": "%A",
    "FMDD": "%-d",
    "FMMM": "%-m",
    "FMHH24": "%-H",
    "IYYY": "%G",
    "IW": "%V",
    "ID": "%u",
}
_TEMPLATE = re.compile(
    "|".join(sorted(map(re.escape, _TEMPLATES), key=len, reverse=True)) + r'|"([^"]*)"|(.)', re.DOTALL
)
_PARTS_TEXT = "century decade year isoyear quarter month week day doy dow isodow hour minute second epoch"
_PARTS = _PARTS_TEXT.split()
_TRUNCATIONS = {"year": "1y", "quarter": "1q", "month": "1mo", "week": "1w", "day": "1d", "hour": "1h"} | {
    "minute": "1m",
    "second": "1s",
}
_UNITS = {"year": "y", "month": "mo", "week": "w", "day": "d", "hour": "h", "minute": "m", "min": "m"} | {
    "second": "s",
    "sec": "s",
    "millisecond": "ms",
    "microsecond": "us",
}
_INTERVAL = re.compile(r"\s*([+-]?\d+)\s*([a-zA-Z]+)")
#: A millennium in any unit; larger intervals leave the years that can be sent.
_INTERVAL_DIGITS = 15
_YEAR_MAX = 9999
_SECONDS_TO_2000 = 946_684_800


def strftime_format(template: str) -> str:
    """Return the strftime format of a template of to_char and to_date.

    Raises:
        Refusal: If the template has a pattern that is not supported.
    """
    parts = []
    for match in _TEMPLATE.finditer(template):
        quoted, single = match[1], match[2]
        if quoted is not None or (single is not None and not single.isalpha()):
            parts.append((quoted if quoted is not None else single).replace("%", "%%"))
        elif single is None:
            parts.append(_TEMPLATES[match[0]])
        else:
            known = ", ".join(_TEMPLATES)
            raise Refusal(
                f"the template {template!r} has {template[match.start() :]!r}, which is not supported",
                f"The patterns are {known}; other text stands in double quotes.",
            )
    return "".join(parts)


def _format(part: Typed, kind: pl.DataType) -> str:
    """Return a strftime format that polars can write.

    Raises:
        Refusal: If it is no constant, or not supported.
    """
    form = constant(part, "a format")
    try:
        pl.select(pl.lit(0, dtype=pl.Int64).cast(kind).dt.strftime(form))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise Refusal(f"the format {form!r} is not supported", "Write a format such as '%d/%m/%Y %H:%M'.") from None
    return form


def _parse(scope: Scope, value: Typed, form: str, kind: pl.DataType, use: str) -> Typed:
    """Parse text with a strftime format; text of another format fails, or gives null where another is tried."""
    expr, strict = scope.mask(string(value, use)), scope.strict
    zoned = re.search(r"(?<!%)(?:%%)*%:*#?z", form) is not None
    if kind == DATE:
        return Typed(expr.str.strptime(DATE, form, strict=strict), DATE)
    if kind == TIME:
        return Typed(expr.str.strptime(TIME, form, strict=strict), TIME)
    kind = TIMESTAMPTZ if zoned else TIMESTAMP
    return Typed(expr.str.strptime(kind, form, strict=strict), kind)


def _check_parse_format(form: str, kind: pl.DataType) -> None:
    sample = pl.lit(0, dtype=pl.Int64).cast(TIMESTAMPTZ if kind == TIMESTAMP else kind)
    try:
        pl.select(sample.dt.strftime(form))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise Refusal(f"the format {form!r} is not supported", "Write a format such as '%d/%m/%Y %H:%M'.") from None


def _parser(name: str, kind: pl.DataType, summary: str, example: tuple[str, str], also: str = "") -> None:
    """Register a function that parses text with a strftime format, or casts without one."""
    usage = f"{name}(text, format)" if name == "strptime" else f"{name}(value[, format])"

    def build(scope: Scope, args: list[Typed]) -> Typed:
        if len(args) == 1:
            return cast(scope, args[0], Target(kind))
        if isinstance(args[0].kind, pl.Datetime | pl.Date | pl.Time):
            raise Refusal(
                f"{name} with a format takes text, not {name_of(args[0].kind)}",
                "Write STRFTIME(x, '%d/%m/%Y') for text from a date, CAST(x AS DATE) for the date of a timestamp.",
            )
        form = constant(args[1], "a format")
        _check_parse_format(form, kind)
        return _parse(scope, args[0], form, kind, name)

    function(_GROUP, usage, summary, example, ours=True, also=also)(build)


_parser(
    "date",
    DATE,
    "Text parsed as a date with a strftime format; without one, the same as `CAST(value AS DATE)`.",
    ("date('31/01/2025', '%d/%m/%Y')", "2025-01-31"),
)
_parser(
    "strptime",
    TIMESTAMP,
    "Text parsed as a timestamp with a strftime format, with a zone if the format has `%z`.",
    ("strptime('31/01/2025 14:30', '%d/%m/%Y %H:%M')", "2025-01-31 14:30:00"),
)
_parser(
    "timestamp",
    TIMESTAMP,
    "The same as `strptime`; without a format, the same as `CAST(value AS TIMESTAMP)`.",
    ("timestamp('2025-01-31 14:30')", "2025-01-31 14:30:00"),
    also="datetime",
)
_parser(
    "time",
    TIME,
    "Text parsed as a time with a strftime format; without one, the same as `CAST(value AS TIME)`.",
    ("time('14.30', '%H.%M')", "14:30:00"),
)


@function(
    _GROUP,
    "strftime(moment, format)",
    "A date, time or timestamp as text with a strftime format, in the zone of its column.",
    ("strftime(DATE '2025-01-31', '%d/%m/%Y')", "31/01/2025"),
    ours=True,
)
def _strftime(_: Scope, args: list[Typed]) -> Typed:
    kind = args[0].kind
    if kind == pl.Null:
        constant(args[1], "a format")
        return text(pl.lit(None, dtype=pl.String))
    if not isinstance(kind, pl.Datetime | pl.Date | pl.Time):
        raise Refusal(
            f"strftime takes a date, time or timestamp, not {name_of(kind)}",
            "Parse text first, as in STRFTIME(DATE(x, '%d/%m/%Y'), '%Y').",
        )
    return text(args[0].expr.dt.strftime(_format(args[1], kind)))


@function(
    _GROUP,
    "to_char(moment, template)",
    "A date or timestamp as text with a template such as `DD/MM/YYYY HH24:MI`.",
    ("to_char(DATE '2025-01-31', 'DD Mon YYYY')", "31 Jan 2025"),
)
def _to_char(_: Scope, args: list[Typed]) -> Typed:
    if not isinstance(args[0].kind, pl.Datetime | pl.Date):
        raise Refusal(
            f"to_char takes a date or timestamp, not {name_of(args[0].kind)}",
            "Write CAST(x AS TEXT) for a number, round(x, 2) for its digits.",
        )
    value = require_zone(args[0], "to_char")
    return text(value.expr.dt.strftime(strftime_format(constant(args[1], "the template"))))


@function(
    _GROUP,
    "to_date(text, template)",
    "Text parsed as a date with a template such as `DD/MM/YYYY`; text of another form makes the row invalid.",
    ("to_date('31/01/2025', 'DD/MM/YYYY')", "2025-01-31"),
)
def _to_date(scope: Scope, args: list[Typed]) -> Typed:
    return _parse(scope, args[0], strftime_format(constant(args[1], "the template")), DATE, "to_date")


@function(
    _GROUP,
    "to_timestamp(value[, template])",
    "Seconds since 1970, or text with a template, as a timestamp of UTC.",
    ("to_timestamp(1738333800)", "2025-01-31 14:30:00+00"),
)
def _to_timestamp(scope: Scope, args: list[Typed]) -> Typed:
    value = args[0]
    if len(args) > 1:
        form = strftime_format(constant(args[1], "the template"))
        parsed = _parse(scope, value, form, TIMESTAMP, "to_timestamp")
        return Typed(parsed.expr.dt.replace_time_zone("UTC"), TIMESTAMPTZ)
    if not value.kind.is_numeric():
        raise Refusal(
            f"to_timestamp without a template takes seconds, not {name_of(value.kind)}",
            "Write to_timestamp(x, 'YYYY-MM-DD HH24:MI:SS'), or CAST(x AS TIMESTAMPTZ).",
        )
    expr = scope.mask(value.expr)
    if value.kind.is_float():
        # PostgreSQL counts from 2000, which decides the last digit.
        since = ((expr.cast(DOUBLE) - _SECONDS_TO_2000) * 1_000_000).round(0, mode="half_to_even")
        micros = since.cast(INTEGER, strict=scope.strict) + _SECONDS_TO_2000 * 1_000_000
    elif value.is_decimal:
        micros = (expr.round(6, mode="half_away_from_zero").cast(pl.Decimal(PRECISION, 6)) * 1_000_000).cast(INTEGER)
    else:
        micros = (expr.cast(pl.Int128) * 1_000_000).cast(INTEGER, strict=scope.strict)
    moment = in_years(scope, Typed(micros, INTEGER), TIMESTAMP)
    return Typed(moment.expr.dt.replace_time_zone("UTC"), TIMESTAMPTZ)


@function(
    _GROUP,
    "date_part(part, moment)",
    "A part of a date or timestamp (year, quarter, month, week, day, doy, dow, isodow, hour, minute, second, epoch); "
    "also `EXTRACT(part FROM moment)`.",
    ("date_part('year', DATE '2025-01-31')", "2025"),
)
def _date_part(_: Scope, args: list[Typed]) -> Typed:
    return extract(constant(args[0], "the part"), args[1])


def extract(part: str, value: Typed) -> Typed:
    """Return a part of a date, time or timestamp.

    Raises:
        Refusal: If there is no such part of the value.
    """
    name = part.lower().removesuffix("s") if part.lower() != "s" else part
    if name not in _PARTS:
        raise Refusal(f"unknown part {part!r}", f"The parts are {', '.join(_PARTS)}.")
    if value.kind == pl.Null:
        return Typed(pl.lit(None, dtype=INTEGER), INTEGER)
    if not isinstance(value.kind, pl.Datetime | pl.Date | pl.Time):
        raise Refusal(
            f"EXTRACT takes a date or timestamp, not {name_of(value.kind)}", "Cast text first: CAST(x AS DATE)."
        )
    if name == "epoch" and value.kind == DATE:
        return Typed(value.expr.to_physical().cast(INTEGER) * 86_400, INTEGER)
    if name == "epoch" and not isinstance(value.kind, pl.Time):
        micros = value.expr.cast(utc_kind(value.kind)).to_physical().cast(pl.Decimal(PRECISION, 6))
        kind = pl.Decimal(PRECISION, 6)
        return Typed((micros / pl.lit(1_000_000).cast(kind)).cast(kind), kind)
    plain = require_zone(value, f"EXTRACT({part} ...)")
    if name == "second" and value.kind != DATE:
        kind = pl.Decimal(PRECISION, 6)
        micros = plain.expr.dt.microsecond().cast(kind) / pl.lit(1_000_000).cast(kind)
        return Typed((plain.expr.dt.second().cast(kind) + micros).cast(kind), kind)
    if isinstance(value.kind, pl.Time) and name not in ("hour", "minute"):
        raise Refusal(f"a time has no {name}")
    if value.kind == DATE and name in ("hour", "minute", "second"):
        raise Refusal(f"a date has no {name}")
    return Typed(_part(name, plain.expr).cast(INTEGER), INTEGER)


def _part(name: str, expr: pl.Expr) -> pl.Expr:
    """Return a whole-numbered part."""
    date = expr.dt
    year = date.year().cast(pl.Int64) if name in ("year", "century", "decade") else None
    if year is not None:
        return {"year": year, "century": (year + 99) // 100, "decade": year // 10}[name]
    methods = {"isoyear": "iso_year", "doy": "ordinal_day", "isodow": "weekday", "dow": "weekday"}
    value: pl.Expr = getattr(date, methods.get(name, name))()
    return value % 7 if name == "dow" else value


@function(
    _GROUP,
    "date_trunc(unit, moment)",
    "The start of the year, quarter, month, week, day, hour, minute or second, as a timestamp.",
    ("date_trunc('month', TIMESTAMP '2025-01-31 14:30')", "2025-01-01 00:00:00"),
)
def _date_trunc(_: Scope, args: list[Typed]) -> Typed:
    unit, value = constant(args[0], "the unit").lower(), args[1]
    if unit not in _TRUNCATIONS:
        raise Refusal(f"unknown unit {unit!r}", f"The units are {', '.join(_TRUNCATIONS)}.")
    if not isinstance(value.kind, pl.Datetime | pl.Date):
        raise Refusal(
            f"date_trunc takes a date or timestamp, not {name_of(value.kind)}", "Cast text first: CAST(x AS DATE)."
        )
    kind = utc_kind(value.kind)
    plain = require_zone(value, "date_trunc").expr.cast(TIMESTAMP).dt.truncate(_TRUNCATIONS[unit])
    return Typed(plain.dt.replace_time_zone("UTC") if kind == TIMESTAMPTZ else plain, kind)


@function(_GROUP, "make_date(year, month, day)", "A date from its parts.", ("make_date(2025, 1, 31)", "2025-01-31"))
def _make_date(scope: Scope, args: list[Typed]) -> Typed:
    year, month, day = (scope.mask(number(item, "make_date")) for item in args)
    outside = (year < 1) | (year > _YEAR_MAX)
    written = pl.when(~outside).then(year).cast(pl.String).str.zfill(4)
    joined = pl.concat_str([written, month.cast(pl.String), day.cast(pl.String)], separator="-")
    found = Typed(joined.str.to_date("%Y-%m-%d", strict=scope.strict), DATE)
    # Without all parts the result is null.
    return scope.fail(outside & month.is_not_null() & day.is_not_null(), "a date outside of the years 1 to 9999", found)


def at_time_zone(scope: Scope, value: Typed, zone: str) -> Typed:
    """Return the time of a timestamp in a zone, or the instant of a time in a zone (`AT TIME ZONE`).

    Raises:
        Refusal: If there is no such zone, or the value is no timestamp.
    """
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise Refusal(f"there is no time zone {zone!r}", "Write a name such as 'Pacific/Auckland' or 'UTC'.") from None
    if value.kind == DATE:
        value = Typed(value.expr.cast(TIMESTAMP), TIMESTAMP)
    if not isinstance(value.kind, pl.Datetime):
        raise Refusal(
            f"AT TIME ZONE takes a timestamp, not {name_of(value.kind)}", "Cast text first: CAST(x AS TIMESTAMP)."
        )
    if value.kind.time_zone:
        return Typed(value.expr.dt.convert_time_zone(zone).dt.replace_time_zone(None).cast(TIMESTAMP), TIMESTAMP)
    # A clock that is set back shows an hour twice: PostgreSQL takes the later, in standard time.
    moment = scope.mask(value.expr).dt.replace_time_zone(zone, ambiguous="latest").dt.convert_time_zone("UTC")
    return Typed(moment.cast(TIMESTAMPTZ), TIMESTAMPTZ)


def interval_offset(written: str, *, negative: bool) -> str:
    """Return an interval such as `1 month 2 days` in the notation of polars.

    Raises:
        Refusal: If it cannot be read.
    """
    hint = "Write an interval such as INTERVAL '7 days' or INTERVAL '1 year 6 months'."
    parts, position, signs = [], 0, set()
    text_ = written.strip()
    while position < len(text_):
        match = _INTERVAL.match(text_, position)
        unit = _UNITS.get(match[2].lower().removesuffix("s")) if match else None
        if match is None or unit is None or len(match[1]) > _INTERVAL_DIGITS:
            raise Refusal(f"the interval {written!r} cannot be read", hint)
        count = int(match[1])
        signs.add(count < 0)
        parts.append(f"{abs(count)}{unit}")
        position = match.end()
    if not parts or len(signs) > 1:
        raise Refusal(f"the interval {written!r} cannot be read", hint)
    order = list(dict.fromkeys(_UNITS.values()))
    parts.sort(key=lambda part: order.index(part.lstrip("0123456789")))
    return ("-" if negative != signs.pop() else "") + "".join(parts)
