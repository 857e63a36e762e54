"""Blank lines are not records, but records of empty fields are, and are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from data_kit import record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Removal, Source
from batchsync.core.row_outcome import RowOutcome
from batchsync.data.row import partitions, text_reader
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import frames

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
def test_record_without_values_is_counted_and_blank_line_is_not(bench: Bench, name: str, text: str, rows: int) -> None:
    bench.change_source(path=name, nulls=("NULL",))
    bench.source(text)
    assert bench.compare().plan.counts.source_rows == rows


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("s.csv", "id,name,mail\n1,a,b\n2,c,d\n", "id,name,mail\n1,a,b\n,,\n"),
        (
            "s.jsonl",
            '{"id":"1","name":"a","mail":"b"}\n{"id":"2"}\n',
            '{"id":"1","name":"a","mail":"b"}\n{"id":null}\n',
        ),
    ],
)
def test_record_without_values_blocks_removals(bench: Bench, name: str, before: str, after: str) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.change_source(path=name)
    bench.source(before)
    bench.accept_all()
    bench.source(after)
    comparison = bench.compare()
    assert (comparison.plan.counts.removed, comparison.plan.counts.outcomes[RowOutcome.INVALID]) == (0, 1)
    assert "rows without a key, so nothing is removed" in comparison.plan.warnings


LINE = st.sampled_from(["", "", ",", '"",""', "1,a", '1,"\n\n"', '2,"a\r\n\r\n"'])


@given(st.lists(st.tuples(LINE, st.sampled_from(["\n", "\r\n"])), max_size=12), st.integers(3, 9), st.integers(1, 5))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_blank_lines_are_dropped(tmp_path: Path, lines: list[tuple[str, str]], chunk: int, rows: int) -> None:
    for name, begin in (("a.csv", 0), ("b.csv", len(lines) // 2)):
        part = lines[begin:] if begin else lines
        (tmp_path / name).write_bytes(("id,name\n" + "".join(line + end for line, end in part)).encode())
    expected = [n for n, (line, _) in enumerate([*lines, *lines[len(lines) // 2 :]], start=1) if line]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_reader, "CHUNK_BYTES", chunk)
        patch.setattr(partitions, "FRAME_ROWS", rows)
        source = open_source(Source(path="?.csv", folder=str(tmp_path), key=("id",)))
        found = [row for frame in frames(source, tmp_path, fresh=True) for row in frame["batchsync:row"].to_list()]
    assert found == expected
