"""A join that finds nothing for most rows warns with the shares and the kind of key on both sides, without values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from data_kit import Bench, job, rules

from batchsync.core.job import Join
from batchsync.data.row import partitions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def bench_of(folder: Path, ours: Sequence[str], theirs: Sequence[str]) -> Bench:
    join = Join(path="j.csv", on=(("c", "code"),))
    bench = Bench(folder, job(folder, {"id": "=id", "label": "=label"}, source={"joins": (join,)}), rules())
    bench.source("id,c\n" + "".join(f'{row},"{key}"\n' for row, key in enumerate(ours)))
    bench.source("code,label\n" + "".join(f'"{key}",x\n' for key in theirs), "j.csv")
    return bench


def warnings(bench: Bench) -> Mapping[str, int]:
    return bench.compare().plan.warnings


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (
            ["007", "008"],
            ["7", "8"],
            (
                '"c" of the source: digits with leading zeros, 3 characters; "code" of j.csv: digits, 1 character; '
                "ignoring leading zeros, 100 % would match"
            ),
        ),
        (["7", "18"], ["0000007", "0000018"], "digits, 1 to 2 characters"),
        (["7", "8"], ["7.0", "8.0"], "ignoring a fraction of zero, 100 % would match"),
        (["Ann@x.cz", "Bob@x.cz"], ["ann@x.cz", "bob@x.cz"], "ignoring upper and lower case, 100 %"),
        ([" ab", " cd"], ["ab", "cd"], "text with blanks around it, 3 characters"),
        (["AB-12", "CD-34", "EF-56"], ["AB12", "CD34"], "ignoring punctuation, 66 % would match"),
        (["de-007", "de-008"], ["DE7", "DE8"], '"code" of j.csv: upper-case letters and digits, 3 characters'),
        (["a", "b"], ["1", "2"], '"c" of the source: lower-case letters, 1 character; "code" of j.csv: digits'),
        (["a", "b"], [], '"code" of j.csv: no value'),
        (["2026-01-02"], ["2026-01-02T00:00:00"], "dates, 10 characters"),
    ],
)
def test_join_that_finds_nothing_warns(tmp_path: Path, ours: list[str], theirs: list[str], words: str) -> None:
    [(warning, count)] = warnings(bench_of(tmp_path, ours, theirs)).items()
    assert warning.startswith(f"join j.csv: nothing found for {len(ours)} of {len(ours)} rows with a value (100 %)")
    assert words in warning
    assert count == len(ours)
    assert "Ann" not in warning


@pytest.mark.parametrize(
    ("ours", "warned"),
    [
        (["1", "2", "x", "y"], None),
        (["1", "x", "y"], "2 of 3 rows with a value (66 %)"),
        (["1", "", "", ""], None),
        (["1", "", "x", "y"], "2 of 3 rows with a value (66 %)"),
        ([], None),
        (["1"], None),
    ],
)
def test_only_rows_with_a_value_count_and_half_of_them_is_enough(
    tmp_path: Path, ours: list[str], warned: str | None
) -> None:
    found = list(warnings(bench_of(tmp_path, ours, ["1", "2"])))
    assert (warned is None) == (not found)
    assert all(warned is None or warned in warning for warning in found)


def test_column_without_any_value_warns(tmp_path: Path) -> None:
    found = warnings(bench_of(tmp_path, ["", ""], ["1"]))
    assert found == {'join j.csv: nothing found, because no row of the source has a value of "c"': 2}


def test_shares_are_of_the_whole_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "FRAME_ROWS", 3)
    keys = [f"{number:03}" if number % 10 else "5" for number in range(40)]
    [(warning, count)] = warnings(bench_of(tmp_path, keys, [str(number) for number in range(40)])).items()
    assert "36 of 40 rows with a value (90 %)" in warning
    assert count == 36


def test_combination_and_pairs_of_columns_are_distinguished(tmp_path: Path) -> None:
    join = Join(path="j.csv", on=(("a", "a"), ("b", "b")))
    bench = Bench(tmp_path, job(tmp_path, {"id": "=id", "label": "=label"}, source={"joins": (join,)}), rules())
    bench.source("id,a,b\n1,x,1\n2,y,2\n")
    bench.source("a,b,label\nx,2,l\ny,1,m\n", "j.csv")
    [warning] = warnings(bench)
    assert warning.endswith("each key column matches by itself, but not their combination")
    bench.source("a,b,label\nx,01,l\ny,02,m\n", "j.csv")
    [warning] = warnings(bench)
    assert '"a" of' not in warning
    assert '"b" of j.csv: digits with leading zeros' in warning


def test_grouped_rows_are_counted_once(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, [], ["1"])
    mapping = {"id": "=id", "labels": [{"each": "=label"}]}
    bench.job = job(tmp_path, mapping, source={"joins": bench.job.source.joins})
    bench.source("id,c\n1,01\n2,01\n1,01\n")
    assert list(warnings(bench).values()) == [3]
