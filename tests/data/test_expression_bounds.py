"""Expressions of hostile length: refused when compiled, or invalid rows; never much more memory than the rows take."""

from __future__ import annotations

import pickle
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import HEAD, invalid, job, record, refused

from batchsync.core.mapping import Expression
from batchsync.data.mapping.evaluate import failing_rows
from batchsync.data.mapping.expressions import parse
from batchsync.data.sql import bounds
from batchsync.data.sql.catalog import FUNCTIONS, SYNONYMS
from batchsync.data.sql.pattern_bounds import steps_of
from batchsync.errors import Problem

if TYPE_CHECKING:
    from data_kit import Bench

SCHEMA = {"a": pl.String(), "b": pl.String(), "n": pl.Int64(), "l": pl.List(pl.String())}
MANY = "\\&" * 200
#: Expressions whose result for a text of 1000 characters is too long, by what makes it so.
GROWING = {
    "repeat": "repeat(repeat(a, 1000), 1000)",
    "repeat of a part": "repeat(repeat(a, 999), 999)",
    "replace": f"replace(replace(a, 'x', '{'x' * 900}'), 'x', '{'x' * 900}')",
    "replace by a column": "replace(replace(a, 'x', a), 'x', a)",
    "replace of every second": f"replace(replace(a, 'xx', '{'xx' * 500}'), 'xx', '{'xx' * 500}')",
    "||": "||".join(["repeat(a, 1000)"] * 2),
    "concat": f"concat({', '.join(['repeat(a, 900)'] * 2)})",
    "concat_ws": f"concat_ws('{'s' * 1000}', {', '.join(['repeat(a, 300)'] * 4)})",
    "regexp_replace": f"regexp_replace(regexp_replace(a, '.', '{MANY}', 'g'), '.', '{MANY}', 'g')",
    "regexp_replace of the empty match": f"regexp_replace(a, '', '{'y' * 2000}', 'g')",
    "regexp_replace of one match": f"regexp_replace(regexp_replace(a, '.*', '{MANY}'), '.*', '{MANY}')",
    "encode": "encode(" * 14 + "a" + ", 'hex')" * 14,
    "array_to_string": f"array_to_string(string_to_array(a, 'x'), '{'y' * 2000}')",
    "upper": "upper(repeat(a, 1000)) || upper(repeat(a, 1000))",
    "CASE": "CASE WHEN n = 1 THEN repeat(repeat(a, 999), 999) ELSE a END",
    "coalesce": "coalesce(NULL, repeat(repeat(a, 999), 999))",
}


def compiled(sql: str) -> pl.Expr:
    found = parse(Expression(sql), dict(SCHEMA))
    assert not isinstance(found, Problem), found
    return found[0]


def frame(long: str = "x" * 1000) -> pl.DataFrame:
    """Return rows of which the second one has a long text."""
    return pl.DataFrame({"a": ["x", long, None, ""], "b": ["y"] * 4, "n": [1] * 4, "l": [["x"]] * 4}, schema=SCHEMA)


@pytest.mark.parametrize("name", GROWING)
def test_only_the_row_whose_text_is_too_long_fails(name: str) -> None:
    expr = compiled(GROWING[name])
    assert failing_rows(frame(), expr).to_list()[1]
    with pytest.raises(pl.exceptions.PolarsError, match="a text of more than 1048576 bytes"):
        frame().with_columns(expr)
    assert frame("x").with_columns(r=expr)["r"].len() == 4 or name == "encode"


@pytest.mark.parametrize("name", GROWING)
def test_memory_stays_small(name: str) -> None:
    """A process of limited memory computes many rows: it neither aborts nor needs more."""
    program = (
        "import sys, resource\nimport polars as pl\n"
        "from batchsync.core.mapping import Expression\nfrom batchsync.data.mapping.evaluate import failing_rows\n"
        "from batchsync.data.mapping.expressions import parse\n"
        "schema = {'a': pl.String(), 'b': pl.String(), 'n': pl.Int64(), 'l': pl.List(pl.String())}\n"
        "expr = parse(Expression(sys.argv[1]), schema)[0]\n"
        "row = {'a': 'x' * 1000, 'b': 'y', 'n': 1, 'l': ['x']}\n"
        "frame = pl.DataFrame([row] * 64, schema=schema)\n"
        "print(failing_rows(frame, expr).sum())\n"
    )
    limit = 3 << 30
    done = subprocess.run(
        [sys.executable, "-c", program, GROWING[name]],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "64\n"), done.stderr[-2000:]


@pytest.mark.parametrize(
    "sql",
    [
        "repeat(repeat('x', 1000), 1000) || repeat(repeat('x', 1000), 1000)",
        "repeat(repeat(repeat('x', 1000), 1000), 1000)",
        "replace(repeat('x', 1000), 'x', repeat('y', 1000)) || replace(repeat('x', 1000), 'x', repeat('y', 1000))",
        "lpad(a, 2000000000)",
        "lpad('a', 2000000000, 'x')",
        "rpad(a, 1001)",
        "CAST(a AS CHAR(2000000000))",
        "a::bpchar(1001)",
        "a::regclass",
        "lpad(a, n)",
        "repeat(a, 2000000000)",
        "repeat(a, n)",
        "chr(2000000000)",
        "a ~ '((a{1000}){1000}){1000}'",
        "a ~ '(x{0,1000}){0,40}y'",
        "a ~ 'x{1,100000}'",
        "a ~* '(([a-z]{50}){50}){2}'",
        "regexp_replace(a, '(.{1000}){3}', '')",
        "regexp_substr(a, '(?:\\p{L}{100}){100}')",
        "regexp_count(a, 'a{999999999999}')",
        "substring(a FROM '(a{100}){100}')",
        pytest.param("9" * 5000, id="5,000 digits"),
        pytest.param("0." + "9" * 5000, id="5,000 digits after the point"),
        "1e400",
        "1e-400",
        "n * 1e99999999999999999999",
    ],
)
def test_constants_that_are_too_large_are_refused_when_compiled(sql: str) -> None:
    assert isinstance(parse(Expression(sql), dict(SCHEMA)), Problem)


@pytest.mark.parametrize("sql", ["1E", "1e", "1.E", "-1E", "n > 1E", "round(1.5E)", "CASE WHEN n = 1e THEN a END"])
def test_number_without_digits_after_its_e_is_refused(sql: str) -> None:
    found = parse(Expression(sql), dict(SCHEMA))
    assert isinstance(found, Problem)
    assert found.code == "data.expression_syntax"
    assert "is no number" in found.message


@pytest.mark.parametrize(
    ("pattern", "steps"),
    [
        ("abc", 3), ("a{3}", 3), ("a{2,5}", 5), ("a{2,}", 2), ("(ab){3}", 6), ("(a{2}b){3}", 9), ("[a-z{9}]{4}", 4),
        (r"\{9", 2), (r"\p{Lu}{3}", 3), (r"[^\]]{2}", 2), ("(?:a|b){10}c", 51), ("a{0}", 1), ("()", 0), ("a)b", 3),
    ],
)  # fmt: skip
def test_steps_of_a_pattern_are_counted_with_their_repetitions(pattern: str, steps: int) -> None:
    assert steps_of(pattern) == steps


@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "a{100}", "a{1,100}", "a{2}{2}{2}{2}", "a{,100}", "a" * 1001])
@pytest.mark.parametrize("sql", ["b ~ a", "regexp_like(b, a)"])
def test_pattern_of_a_column_that_repeats_much_fails_in_its_row(pattern: str, sql: str) -> None:
    rows = frame(pattern)
    assert failing_rows(rows, compiled(sql)).to_list() == [False, True, False, False]
    with pytest.raises(pl.exceptions.PolarsError, match="a pattern that repeats more than the limit"):
        rows.with_columns(compiled(sql))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("repeat(a, 2) || b", "xxy"),
        ("replace(replace(replace(a, '&', '&amp;'), '<', '&lt;'), 'x', '&gt;')", "&gt;"),
        ("regexp_replace(a, '(x)', '\\1\\1\\1\\1\\1\\1-')", "xxxxxx-"),
        ("encode(encode(a, 'hex'), 'base64')", "Nzg="),
        ("array_to_string(string_to_array(a, ','), 'abcdefgh') || concat(a, n, l[1])", "xx1x"),
        ("concat_ws('-', a, NULL, upper(b))", "x-Y"),
        ("CASE WHEN n = 2 THEN repeat(repeat(repeat(a, 1000), 1000), 1000) ELSE repeat(a, 5) END", "xxxxx"),
        ("coalesce(a, repeat(repeat(repeat(b, 1000), 1000), 1000))", "x"),
        ("b ~ a", "False"),
        ("repeat('ab', 5) || lower('C')", "abababababc"),
    ],
)
def test_results_within_the_bounds_are_as_before(sql: str, expected: str) -> None:
    expr = pickle.loads(pickle.dumps(compiled(sql)))  # noqa: S301 - as tasks of other processes
    rows = frame().head(1)
    assert str(rows.with_columns(r=expr)["r"][0]) == expected
    assert rows.head(0).with_columns(r=expr)["r"].to_list() == []


def test_row_of_a_hostile_text_is_invalid_with_row_column_and_reason(bench: Bench) -> None:
    bench.job = job(bench.folder, {"id": "=id", "name": "=repeat(repeat(name, 1000), 100)"})
    bench.source(HEAD + "1,a,m\n2," + "b" * 11 + ",m\n")
    [found] = invalid(bench.compare())
    assert (found.row, found.field, found.code) == (2, "name", "expression")
    assert "name the expression failed: a text of more than 1048576 bytes" in found.reason


@pytest.mark.parametrize("place", ["record", "key", "where"])
def test_texts_that_are_too_long_together_end_the_job_in_words(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(bounds, "FRAME_BYTES", 10_000)
    grown = "repeat(repeat(id, 10), 100)"
    bench.change(record=record({"id": "=id", "name": f"={grown if place == 'record' else 'name'}"}))
    if place == "key":
        bench.change_source(key=Expression(grown))
    elif place == "where":
        bench.change_source(where=Expression(f"{grown} <> ''"))
    bench.source(HEAD + "".join(f"{number},a,m\n" for number in range(100)))
    error = refused(bench)
    assert "in the rows that are computed together" in error.message
    assert "python" not in error.message
    assert error.hint


def test_every_function_with_hostile_numbers_ends_in_words() -> None:
    """Each function is called with huge and odd numbers in every place of a number; none aborts or takes long."""
    values = ["2000000000", "-2000000000", "9223372036854775807", "1000", "0", "a", "n", "NULL", "'" + "9" * 300 + "'"]
    rows = frame("9" * 300).with_columns(n=pl.lit(2**62))
    called = 0
    for name, function in {**FUNCTIONS, **{other: FUNCTIONS[known] for other, known in SYNONYMS.items()}}.items():
        for count in range(function.arity[0], min(function.arity[1], 4) + 1):
            for value in values:
                for first in ("a", "n", "CAST(n AS NUMERIC)"):
                    sql = f"{name}({', '.join([first, *[value] * (count - 1)][:count])})"
                    found = parse(Expression(sql), dict(SCHEMA))
                    if not isinstance(found, Problem):
                        called += 1
                        assert failing_rows(rows, found[0]).len() == 4
    assert called > 500
