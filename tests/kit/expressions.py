"""Generated expressions of jobs.yaml, with rows of the columns that they use.

The grammar is typed by the types of PostgreSQL, so that most expressions are accepted by both sides. A mark such as
`<I>` in a template stands for an expression of that type. Constants between « and » are computed
by PostgreSQL in each row that needs them (see `for_postgresql`), as batchsync does.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Columns of the rows with their types.
SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(("i", "j", "k"), pl.Int64()),
    "s": pl.Int32(),
    "d": pl.Decimal(10, 3),
    "e": pl.Decimal(12, 2),
    **dict.fromkeys(("f", "g"), pl.Float64()),
    **dict.fromkeys(("t", "u", "v"), pl.String()),
    **dict.fromkeys(("number", "moment", "truth", "json"), pl.String()),
    **dict.fromkeys(("b", "c"), pl.Boolean()),
    **dict.fromkeys(("day", "born"), pl.Date()),
    "ts": pl.Datetime("us"),
    "tz": pl.Datetime("us", "UTC"),
    "clock": pl.Time(),
}
#: Types: whole numbers (I), short ones (S), decimals (N), double precision (F), text (T), truth values (B), dates (D),
#: timestamps without (M) and with a zone (Z), times (C), lists of text (L).
LEAVES: Mapping[str, list[str]] = {
    "I": ["i", "j", "k", "s", "«7»", "«-3»", "«0»", "«2147483648»"],
    "S": ["s", "«1»", "«2»", "«-2»", "«0»", "length(t)"],
    "N": ["d", "e", "«1.5»", "«-0.25»", "«100.00»", "«0.001»"],
    "F": ["f", "g", "«CAST(1.5 AS DOUBLE PRECISION)»", "«CAST('1e-7' AS DOUBLE PRECISION)»"],
    "T": ["t", "u", "v", "number", "moment", "'b'", "'It''s'", "''", "'Zoë '"],
    "B": ["b", "c", "i < 2", "t = u", "u IS NULL", "k IN (1, 2, NULL)", "v LIKE '%b_'", "«true»", "«false»"],
    "D": ["day", "born", "«DATE '2024-02-29'»", "CAST(moment AS DATE)"],
    "M": ["ts", "«TIMESTAMP '2024-01-31 10:20:30.5'»", "CAST(moment AS TIMESTAMP)"],
    "Z": ["tz", "«TIMESTAMPTZ '2024-01-31 10:20:30+05:30'»", "CAST(moment AS TIMESTAMPTZ)"],
    "C": ["clock", "«TIME '10:20:30'»", "«CAST('23:59' AS TIME)»"],
    "L": ["string_to_array(t, ' ')", "string_to_array(u, 'b')", "string_to_array('a,,b', ',')"],
}
_CHOICES = (
    "coalesce(<{0}>, <{0}>)",
    "CASE WHEN <B> THEN <{0}> ELSE <{0}> END",
    "CASE WHEN <B> THEN <{0}> WHEN <B> THEN <{0}> END",
)
_CHOICES += (
    "nullif(<{0}>, <{0}>)",
    "greatest(<{0}>, <{0}>, <{0}>)",
    "least(<{0}>, <{0}>)",
    "CASE <{0}> WHEN <{0}> THEN <{0}> ELSE <{0}> END",
)
_ORDERS = ("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
_PATTERNS = ("'^A'", "'b+'", "'[0-9]+$'", "'a|b'", "'[^a-z]'", "'.'", "'(a)(.)'", "'^$'", "'\\s'", "'\\d{2}'")
_LIKES = ("'a%'", "'_b%'", "'%'", "'%é%'", "'a\\%b'", "'__'", "''", "'%.%'")
_PARTS = ("century", "decade", "year", "isoyear", "quarter", "month", "week", "day", "doy", "dow", "isodow")
_UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_INTERVALS = ("1 day", "1 month", "-1 month", "1 year 2 months", "90 minutes", "2 weeks", "13 months", "1 second")
_ZONES = ("Pacific/Auckland", "UTC", "America/New_York", "Asia/Kolkata", "Europe/Berlin")
_FORMS = ("YYYY-MM-DD", "DD/MM/YY", "DD Mon YYYY", "FMDD.FMMM.YYYY", 'YYYY"T"DDD', "IYYY-IW-ID", "Dy FMDay FMMonth")
_CLOCK_FORMS = ("HH24:MI:SS", "HH12:MI AM", "SS.MS", "SS.US", "FMHH24 pm")
TEMPLATES: dict[str, list[str]] = {
    "I": [
        *(f"(<I>) {sign} (<I>)" for sign in "+-*/%"),
        *("(<I>) / 2", "(<I>) % (-3)", "-(<I>)", "abs(<I>)", "mod(<I>, <I>)", "length(<T>)", "octet_length(<T>)"),
        *("strpos(<T>, <T>)", "POSITION(<T> IN <T>)", "char_length(<T>)", "cardinality(<L>)", "array_length(<L>, 1)"),
        *("CAST(<N> AS BIGINT)", "CAST(<F> AS BIGINT)", "CAST(<I> AS INTEGER)", "CAST(<I> AS SMALLINT)"),
        *("CAST(number AS BIGINT)", "CAST(number AS INTEGER)", "CAST(<T> AS SMALLINT)", "CAST(<B> AS INT)"),
        *("(<D>) - (<D>)", "CAST(ceil(<I>) AS BIGINT)", "CAST(<F> AS INT)"),
        *(f"CAST(EXTRACT({part} FROM <{kind}>) AS INT)" for part in _PARTS for kind in "DMZ"),
        *(f"CAST(EXTRACT({part} FROM <{kind}>) AS INT)" for part in ("hour", "minute") for kind in "MZC"),
        *(f"CAST(date_part('{part}', <{kind}>) AS INT)" for part in ("year", "dow", "week") for kind in "DMZ"),
        *(f"regexp_count(<T>, {pattern})" for pattern in _PATTERNS),
    ],
    "S": ["length(<T>)", "CAST(<I> AS INT)", "(<S>) + 1", "(<S>) * (<S>)", "strpos(<T>, 'b')"],
    "N": [
        *(f"(<N>) {sign} (<{other}>)" for sign in "+-*%" for other in "NI"),
        *("(<I>) * (<N>)", "(<I>) - (<N>)", "round((<N>) / (<N>), 6)", "round((<N>) / (<I>), 4)", "mod(<N>, <N>)"),
        *("-(<N>)", "abs(<N>)", "sign(<N>)", "round(<N>)", "round(<N>, 1)", "round(<N>, -2)", "ceil(<N>)"),
        *("floor(<N>)", "trunc(<N>)", "trunc(<N>, 1)", "div(<N>, <N>)", "CAST(<I> AS NUMERIC(12, 2))"),
        *("CAST(number AS NUMERIC)", "CAST(number AS NUMERIC(10, 2))", "CAST(<F> AS NUMERIC(20, 4))"),
        *("CAST(<N> AS NUMERIC(8, 1))", "CAST(<I> AS NUMERIC)", "round(CAST((<N>) ^ 2 AS NUMERIC(30, 6)), 6)"),
        *("EXTRACT(epoch FROM <M>)", "EXTRACT(epoch FROM <Z>)", "EXTRACT(second FROM <M>)", "EXTRACT(second FROM <C>)"),
        *("CAST(EXTRACT(epoch FROM <D>) AS NUMERIC)", "CAST(<T> AS NUMERIC(12, 3))"),
    ],
    "F": [
        *(f"(<F>) {sign} (<{other}>)" for sign in "+-*/" for other in "FIN"),
        *("(<I>) - (<F>)", "(<N>) / (<F>)", "-(<F>)", "abs(<F>)", "sign(<F>)", "round(<F>)", "ceil(<F>)", "floor(<F>)"),
        *("trunc(<F>)", "sqrt(<F>)", "exp(<F>)", "ln(<F>)", "log10(<F>)", "power(<F>, <F>)", "(<F>) ^ 2"),
        *("CAST(<I> AS DOUBLE PRECISION)", "CAST(<N> AS DOUBLE PRECISION)", "CAST(number AS DOUBLE PRECISION)"),
        *("CAST(<T> AS DOUBLE PRECISION)",),
    ],
    "T": [
        *("(<T>) || (<T>)", "(<T>) || (<I>)", "(<B>) || (<T>)", "(<T>) || (<D>)", "upper(<T>)", "lower(<T>)"),
        *(
            "initcap(regexp_replace(<T>, '[0-9]', '', 'g'))",
            "trim(<T>)",
            "ltrim(<T>)",
            "rtrim(<T>)",
            "btrim(<T>, 'ab')",
            "ltrim(<T>, 'ab ')",
        ),
        *("TRIM(LEADING 'A' FROM <T>)", "TRIM(BOTH ' b' FROM <T>)", "rtrim(<T>, '')", "left(<T>, <S>)"),
        *("right(<T>, <S>)", "left(<T>, -1)", "substring(<T>, <S>)", "substring(<T>, <S>, <S>)", "substr(<T>, 2, 3)"),
        *("SUBSTRING(<T> FROM 2 FOR 2)", "SUBSTRING(<T> FROM '[a-z]+')", "SUBSTRING(<T> FROM 'b(.)')"),
        *("replace(<T>, 'b', <T>)", "replace(<T>, 'a', 'xy')", "replace(<T>, '', 'x')", "translate(<T>, 'abé', 'xy')"),
        *(f"split_part(<T>, '{separator}', {n})" for separator in ("b", " ", "ab") for n in (1, 2, -1, -2)),
        *("reverse(<T>)", "repeat(<T>, 2)", "repeat(<T>, 0)", "lpad(<T>, 5)", "lpad(<T>, 3, 'x')", "rpad(<T>, 4, 'é')"),
        *(
            "lpad(<T>, -1)",
            "unaccent(<T>)",
            "md5(<T>)",
            "encode(replace(<T>, '\\', '/')::bytea, 'hex')",
            "encode(replace(<T>, '\\', '/')::bytea, 'base64')",
        ),
        *(
            "encode(sha256(replace(<T>, '\\', '/')::bytea), 'hex')",
            "concat(<T>, <I>, <B>)",
            "concat_ws(', ', <T>, <I>, <D>)",
            "chr(233)",
        ),
        *(f"regexp_replace(<T>, {pattern}, '<\\&>')" for pattern in _PATTERNS),
        *(f"regexp_replace(<T>, {pattern}, '_', 'g')" for pattern in _PATTERNS),
        *(f"regexp_substr(<T>, {pattern})" for pattern in _PATTERNS),
        *("regexp_replace(<T>, '(a)(.)', '\\2\\1')", "regexp_replace(<T>, 'B', '-', 'gi')"),
        *(f"CAST(<{kind}> AS TEXT)" for kind in "ITBDMZCF"),
        *("CAST(d AS TEXT)", "CAST((d) * (e) AS TEXT)", "CAST(round(<N>, 2) AS VARCHAR(9))", "CAST(<T> AS VARCHAR(3))"),
        *("CAST(CAST(<T> AS CHAR(3)) AS TEXT)", "array_to_string(<L>, '-')", "(<L>)[1]", "(<L>)[2]"),
        *(f"to_char(<{kind}>, '{form}')" for form in _FORMS for kind in "DMZ"),
        *(f"to_char(<{kind}>, '{form}')" for form in _CLOCK_FORMS for kind in "MZ"),
        *("json::json ->> 'a'", "json::json -> 'o' ->> 'b'", "json::json #>> '{o,l,0}'"),
        *("json_extract_path_text(json::json, 'o', 'l', '1')", "CAST(json AS JSON) -> 'o' -> 'l' ->> 1"),
    ],
    "B": [
        *(f"(<{kind}>) {sign} (<{kind}>)" for sign in _ORDERS for kind in "INFTDMZ"),
        *(
            f"(<{left}>) {sign} (<{right}>)"
            for sign in ("=", "<", ">=")
            for left, right in ("IN", "NF", "FI", "DM", "MZ", "DZ")
        ),
        *("(<C>) < (<C>)", "(<B>) = (<B>)", "(<B>) <> (<B>)"),
        *(f"(<{kind}>) IS {test}" for kind in "INFTDMZCL" for test in ("NULL", "NOT NULL")),
        *("(<I>) IN (1, <I>, <I>)", "(<T>) NOT IN (<T>, 'b')", "(<N>) IN (1.5, <I>)", "(<T>) IN ('a', NULL, 'b')"),
        *("(<I>) BETWEEN (<I>) AND (<I>)", "(<T>) NOT BETWEEN (<T>) AND (<T>)", "(<D>) BETWEEN '2020-01-01' AND (<D>)"),
        *(f"(<T>) {word} {pattern}" for word in ("LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE") for pattern in _LIKES),
        *(f"(<T>) {sign} {pattern}" for sign in ("~", "~*", "!~", "!~*") for pattern in _PATTERNS),
        *(f"regexp_like(<T>, {pattern}, 'i')" for pattern in _PATTERNS),
        *("(<T>) LIKE 'a!%%' ESCAPE '!'", "(<T>) ^@ (<T>)", "starts_with(<T>, <T>)", "<T> = ANY(<L>)"),
        *("(<B>) AND (<B>)", "(<B>) OR (<B>)", "NOT (<B>)", "(<B>) AND (<B>) AND (<B>)", "(<B>) OR (<B>) OR (<B>)"),
        *(f"(<B>) IS {test}" for test in ("TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN", "NULL")),
        *("CAST(truth AS BOOLEAN)", "CAST(<S> AS BOOLEAN)", "CAST(<T> AS BOOLEAN)", "(<D>) > '2024-01-01'"),
        *("(<I>) = '7'", "(<N>) = '2.5'", "(<M>) < '2024-02-29 13:45'"),
    ],
    "D": [
        *("(<D>) + 7", "(<D>) - 31", "(<D>) + (<S>)", "(<S>) + (<D>)", "(<D>) - (<S>)", "CAST(<M> AS DATE)"),
        *("CAST(<Z> AS DATE)", "CAST(moment AS DATE)", "CAST(<T> AS DATE)", "make_date(2024, <S>, 29)"),
        *("make_date(<S>, <S>, <S>)", "to_date(to_char(<D>, 'DD/MM/YYYY'), 'DD/MM/YYYY')"),
        *("to_date('20240131', 'YYYYMMDD')", "CAST(CAST(<D> AS TEXT) AS DATE)"),
    ],
    "M": [
        *(f"(<{kind}>) {sign} INTERVAL '{interval}'" for kind in "DM" for sign in "+-" for interval in _INTERVALS),
        *("CAST(<D> AS TIMESTAMP)", "CAST(<Z> AS TIMESTAMP)", "CAST(moment AS TIMESTAMP)"),
        *(f"date_trunc('{unit}', <M>)" for unit in _UNITS),
        *(f"CAST(date_trunc('{unit}', <D>) AS TIMESTAMP)" for unit in _UNITS),
        *(f"(<Z>) AT TIME ZONE '{zone}'" for zone in _ZONES),
        *("CAST(CAST(<M> AS TEXT) AS TIMESTAMP)", "CAST(<T> AS TIMESTAMP)"),
    ],
    "Z": [
        *(f"(<Z>) {sign} INTERVAL '{interval}'" for sign in "+-" for interval in _INTERVALS),
        *("CAST(<D> AS TIMESTAMPTZ)", "CAST(<M> AS TIMESTAMPTZ)", "CAST(moment AS TIMESTAMPTZ)"),
        *(f"date_trunc('{unit}', <Z>)" for unit in _UNITS),
        *(f"(<M>) AT TIME ZONE '{zone}'" for zone in _ZONES),
        *(
            "to_timestamp(<I>)",
            "to_timestamp(<F>)",
            "to_timestamp(round(<N>, 3))",
            "CAST(CAST(<Z> AS TEXT) AS TIMESTAMPTZ)",
        ),
        *("to_timestamp(to_char(<M>, 'YYYY-MM-DD HH24:MI:SS'), 'YYYY-MM-DD HH24:MI:SS')",),
    ],
    "C": ["CAST(<M> AS TIME)", "CAST(<Z> AS TIME)", "CAST(CAST(<C> AS TEXT) AS TIME)", "CAST(moment AS TIME)"],
    "L": [*(f"string_to_array(<T>, '{separator}')" for separator in ("a", " ", "ab", ",")), "coalesce(<L>, <L>)"],
}
for _kind in "ISNFTBDMZ":
    TEMPLATES[_kind] += [template.format(_kind) for template in _CHOICES]
_MARK = re.compile(r"<([A-Z])>")
#: Letters of several scripts, blanks, and characters that have a meaning in patterns, templates or JSON.
_ALPHABET = "abzABZ019 %_\\'\",.;-+éÉñłŁøŞЖж日😀\t\n\u0301"


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> str:
    """Draw an expression that nests up to a number of operations."""
    return _expression(draw, draw(st.sampled_from("INFTBDMZC")), depth)


def _expression(draw: st.DrawFn, kind: str, depth: int) -> str:
    if depth == 0 or not draw(st.integers(0, 3)):
        return draw(st.sampled_from(LEAVES[kind]))
    template = draw(st.sampled_from(TEMPLATES[kind]))
    return _MARK.sub(lambda match: _expression(draw, match[1], depth - 1), template)


def for_batchsync(expression: str) -> str:
    """Return a drawn expression as it is written in jobs.yaml."""
    return expression.replace("«", "").replace("»", "")


def for_postgresql(expression: str) -> str:
    """Return a drawn expression for PostgreSQL.

    PostgreSQL computes constant parts before it reads rows, and fails even if no row needs them: its manual says so
    about CASE. Constants are therefore given by a function that is declared as volatile.
    """
    return expression.replace("«", "given(").replace("»", ")")


def _texts(*samples: str) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(samples)


_WHOLE = st.none() | st.integers(-9, 9) | st.sampled_from([2**31, -(2**31) - 1, 2**63 - 1, -(2**63), 10**15])
_DOUBLES = st.none() | st.sampled_from([0.0, 1.0, -2.5, 0.1, 1e20, 1e-7, 123456.789, 1e15, 3.5]) | st.floats(-100, 100)
_TEXT = st.none() | st.text(_ALPHABET, max_size=8)
_MOMENTS = st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2098-12-31"))
_DAYS = st.none() | st.dates(date(1582, 10, 15), date(2098, 12, 31)) | st.dates(date(2023, 12, 1), date(2024, 3, 31))
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("i", "j", "k"), _WHOLE),
    "s": st.none() | st.integers(-3, 12) | st.sampled_from([2**31 - 1, -(2**31)]),
    "d": st.none() | st.integers(-9999, 9999).map(lambda x: Decimal(x).scaleb(-3)) | st.just(Decimal("9999999.999")),
    "e": st.none() | st.integers(-999, 999).map(lambda x: Decimal(x).scaleb(-2)) | st.just(Decimal("-9999999999.99")),
    **dict.fromkeys(("f", "g"), _DOUBLES),
    **dict.fromkeys(("t", "u", "v"), _TEXT),
    "number": _texts(
        "42", " 7 ", "-1", "+3", "2.345", "-0.5", "1e3", "1E-2", "4x", "", ".5", "5.", "00012", "1,5", "- 1"
    )
    | st.integers(-(2**63), 2**63 - 1).map(str)
    | st.decimals(-1000, 1000, places=4).map(str),
    "moment": _texts("2024-01-31", " 2024-02-29 ", "2024-02-30", "2024-01-31 10:20:30", "2024-01-31T10:20:30Z", "", "x")
    | _texts("2024-01-31 10:20:30.123456", "2024-01-31 10:20:30+05", "2024-01-31 10:20+05:30", "10:20", "23:59:59.999"),
    "truth": _texts("true", "FALSE", " yes ", "n", "on", "of", "1", "0", "2", "o", "", "tr"),
    "json": _texts('{"a": "x", "o": {"b": 1, "l": [1, "y"]}}', '{"a": null}', '{"a": 1.5}', "{}", "[1]", "null", '"a"')
    | _texts('{"a": true, "o": {"b": "é", "l": []}}', "", "{", '{"a": "\\u00e9\\n"}'),
    **dict.fromkeys(("b", "c"), st.none() | st.booleans()),
    **dict.fromkeys(("day", "born"), _DAYS),
    "ts": st.none() | _MOMENTS,
    "tz": st.none() | _MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
    "clock": st.none() | st.times() | st.just(time(23, 59, 59, 999_999)),
}


def frames(expression: str) -> st.SearchStrategy[pl.DataFrame]:
    """Return frames of a few rows; columns that an expression does not use are null."""
    words = set(re.findall(r"\w+", expression))
    row = st.fixed_dictionaries({name: _VALUES[name] if name in words else st.none() for name in SCHEMA})
    return st.lists(row, min_size=1, max_size=6).map(lambda rows: pl.DataFrame(rows, schema=SCHEMA))
