"""Bars of runs and groups, within 80 columns."""

from __future__ import annotations

import pytest

from batchsync.report.plot import WIDTH, bar, plot_runs
from batchsync.report.rejects import Group, GroupsReport
from batchsync.report.text_format import strip_ansi


@pytest.mark.parametrize(
    ("count", "expected"), [(0, ""), (1, "▏"), (50, "█████"), (99, "█████████▉"), (100, "██████████"), (-1, "")]
)
def test_bar_is_proportional_and_never_empty_above_zero(count: int, expected: str) -> None:
    assert bar(count, 100, 10) == expected


def test_bar_of_nothing_is_empty() -> None:
    assert bar(5, 0, 10) == ""


def test_no_runs_have_no_plot() -> None:
    assert plot_runs((), strip_ansi) == "no runs yet"


def test_groups_fit_into_a_terminal() -> None:
    groups = tuple(Group(kind="rejected", code=f"CODE{number}", field="email", count=10**number) for number in range(7))
    lines = GroupsReport(about="guests", groups=groups).text(strip_ansi).splitlines()

    assert max(map(len, lines)) <= WIDTH


def test_long_words_are_not_broken() -> None:
    code = "A_VERY_LONG_CODE_OF_A_VENDOR_" * 3
    text = GroupsReport(about="guests", groups=(Group(kind="rejected", code=code, field="", count=2),)).text(strip_ansi)

    assert code in text.splitlines()[2]
