"""Patterns of vendor specs mean the same for a literal of jobs.yaml as for the value of a row."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.record_schema import Kind, Rule
from batchsync.data.mapping.formats import violations
from batchsync.spec.check_literal import literal_objection
from batchsync.util.patterns import contains_pattern, pattern_problem

#: Patterns whose meaning differs between regular expression engines, or that backtracking engines match slowly.
PATTERNS = [
    "^a$",
    "a$",
    r"^\d+$",
    r"^\w+$",
    r"\bz\b",
    r"^\s*$",
    "^.$",
    "^.*$",
    "^[a-z][A-Z0-9_a-z]*$",
    r"^[^\x00-\x1f]+$",
    r"^a[^\x00-\x1f]*",
    "^a_ [0-9-]$",
    "^[a-z]+[0-9]*$",
    "(?i)^straße$",
    "^[[:alpha:]]+$",
    r"^\p{Lu}\p{Ll}*$",
    r"^\x41\u0042?$",
    "[a-z&&[^b]]",
    "^(a+)+$",
    "^(a|a)*b$",
    "^(?P<x>a)(?:b|c){1,3}$",
    r"\A\z",
    "^(?m:a$)",
    "",
]
TEXTS = ["", "a", "a\n", "A", "b", "b\nb", "\n", "\r\n", "٣", "3", "é", "e\u0301", "STRASSE", "straße", "AB", "\u2028"]


def is_accepted_as_literal(pattern: str, text: str) -> bool:
    return literal_objection(text, Rule(kind=Kind.STRING, pattern=pattern)) is None


def is_accepted_as_row(pattern: str, text: str) -> bool:
    frame = pl.DataFrame({"x": [text]})
    rule = Rule(kind=Kind.STRING, pattern=pattern)
    tests = violations(rule, pl.String(), pl.col("x"), datetime(2026, 1, 1, tzinfo=UTC))
    return not any(frame.select(item.test).item() for item in tests)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_literal_and_row_agree(pattern: str) -> None:
    accepted = {text: is_accepted_as_literal(pattern, text) for text in TEXTS}
    assert accepted == {text: is_accepted_as_row(pattern, text) for text in TEXTS}


@given(pattern=st.sampled_from(PATTERNS), text=st.text(st.characters(codec="utf-8"), max_size=8))
def test_literal_and_row_agree_for_any_text(pattern: str, text: str) -> None:
    assert is_accepted_as_literal(pattern, text) == is_accepted_as_row(pattern, text)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*b$", "^(a*)*c$", "(x+x+)+y", "^((a|aa)+)+$"])
def test_pattern_that_backtracks_exponentially_ends(pattern: str) -> None:
    assert not is_accepted_as_literal(pattern, "a" * 5000 + "!")


def test_dollar_matches_at_the_end_only() -> None:
    """Python's `$` also matches before a line break at the end, which rows were refused for."""
    assert not is_accepted_as_literal("^[A-Z]+$", "ABC\n")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "backreferences"),
        ("(a", "unclosed group"),
        ("[z-a]", "invalid character class range"),
        ("*", "repetition operator"),
        ("a{1000}{1000}", "too large"),
    ],
)
def test_pattern_that_cannot_be_matched_is_refused(pattern: str, reason: str) -> None:
    assert pattern_problem(pattern)
    with pytest.raises(ValueError, match=reason):
        contains_pattern(pattern, "a")


@given(st.text(st.sampled_from(r"^$[]()*+-_ aZ0\x1f|.{}?:"), max_size=12))
def test_pattern_without_problem_can_be_matched(pattern: str) -> None:
    """Also where the check needs no compilation."""
    try:
        contains_pattern(pattern, "a")
    except ValueError:
        assert pattern_problem(pattern)
    else:
        assert not pattern_problem(pattern)
