"""A line with nothing in it is no record; a record with nothing in it is one, and stands in the books."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from data_kit import record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Removal, Source
from batchsync.data.row import files, reader
from batchsync.data.row.reader import frames, open_source

if TYPE_CHECKING:
    from pathlib import Path

    from data_kit import Bench


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("s.csv", "id,name,mail\n\n1,a,b\n,,\n\r\n2,c,d\n\n\n", 3),
        ("s.csv", 'id,name,mail\n"","",""\n\n1,"\n\n",b\n', 2),
        ("s.csv", "id,name,mail\nNULL,NULL,NULL\n1,a,b\n", 2),
        ("s.csv", 'id,name,mail\r\n1,"x"\r\n\r\n,,\r\n'.replace('"x"', '"x",m'), 2),
        ("s.csv", "id,name,mail\n,,", 1),
        ("s.jsonl", '{"id":"1","name":"a","mail":"b"}\n\n{}\n  \n{"id":null}\n\r\n', 3),
    ],
)
def test_a_record_without_a_value_is_counted_and_a_blank_line_is_not(
    bench: Bench, name: str, text: str, rows: int
) -> None:
    bench.change_source(path=name, nulls=("NULL",))
    bench.source(text)
    assert bench.compare().counts.source_rows == rows


@pytest.mark.parametrize(
    ("name", "whole", "less"),
    [
        ("s.csv", "id,name,mail\n1,a,b\n2,c,d\n", "id,name,mail\n1,a,b\n,,\n"),
        (
            "s.jsonl",
            '{"id":"1","name":"a","mail":"b"}\n{"id":"2"}\n',
            '{"id":"1","name":"a","mail":"b"}\n{"id":null}\n',
        ),
    ],
)
def test_nothing_is_removed_while_a_record_has_no_value_at_all(bench: Bench, name: str, whole: str, less: str) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.change_source(path=name)
    bench.source(whole)
    bench.accept_all()
    bench.source(less)
    comparison = bench.compare()
    assert (comparison.counts.removed, comparison.counts.invalid) == (0, 1)
    assert "rows without a key, so nothing is removed" in comparison.warnings


LINE = st.sampled_from(["", "", ",", '"",""', "1,a", '1,"\n\n"', '2,"a\r\n\r\n"'])


@given(st.lists(st.tuples(LINE, st.sampled_from(["\n", "\r\n"])), max_size=12), st.integers(3, 9), st.integers(1, 5))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_exactly_the_blank_lines_are_left_out_wherever_they_stand(
    tmp_path: Path, lines: list[tuple[str, str]], piece: int, rows: int
) -> None:
    for name, begin in (("a.csv", 0), ("b.csv", len(lines) // 2)):
        part = lines[begin:] if begin else lines
        (tmp_path / name).write_bytes(("id,name\n" + "".join(item + end for item, end in part)).encode())
    wanted = [n for n, (item, _) in enumerate([*lines, *lines[len(lines) // 2 :]], start=1) if item]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "PIECE", piece)
        patch.setattr(reader, "FRAME_ROWS", rows)
        given_source = open_source(Source(path="?.csv", folder=str(tmp_path), key=("id",)))
        found = [
            row for frame in frames(given_source, tmp_path, fresh=True) for row in frame["batchsync:row"].to_list()
        ]
    assert found == wanted
