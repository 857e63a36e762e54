"""JSON Lines: characters and digits are preserved, and invalid lines are reported by number."""

from __future__ import annotations

import gzip
import json
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from data_kit import job, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.data.row import jsonl_reader, partitions, text_reader
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from data_kit import Bench

GOOD = '{"id":"0","name":"a","mail":"b"}\n'


@pytest.fixture
def lines(bench: Bench) -> Bench:
    """A job that uses the members n and o of any type, too."""
    used = {name: f"=CASE WHEN {name} IS NOT NULL THEN 1 END" for name in ("n", "o")}
    mapping = {"id": "=id", "name": "=name", "mail": "=mail", **used}
    bench.job = job(bench.folder, mapping, source={"path": "source.jsonl"})
    return bench


@pytest.mark.parametrize(
    "name", [r"x\ud83d", r"\ude00y", r"\ud83dyyyyyyyy", r"\uDEAD", r"\\\ud800", r"\ud83d\ud83d\ude00"]
)
def test_unpaired_surrogate_is_refused_with_its_line(lines: Bench, name: str) -> None:
    lines.source(GOOD + '{"id":"1","name":"\\ud83d\\ude00"}\n' + f'{{"id":"2","name":"{name}"}}\n')
    assert "source.jsonl:3: the line contains an unpaired surrogate" in refused(lines).message


def test_surrogate_pairs_and_escaped_backslashes_are_read(lines: Bench) -> None:
    texts = ["😀", "😀😀", "\\ud83d", "\\\\ud800", "é\u2028", "\ufffd"]
    lines.source("".join(json.dumps({"id": str(n), "name": text, "mail": "m"}) + "\n" for n, text in enumerate(texts)))
    assert [record["value"]["name"] for record in lines.records()] == texts


@given(st.lists(st.sampled_from(["a", "\\\\", r"\ud83d", r"\ude00", r"\n", "é", '\\"']), max_size=8), st.integers(3, 9))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_texts_without_utf8_encoding_are_refused(tmp_path: Path, parts: list[str], chunk: int) -> None:
    path = tmp_path / "s.jsonl"
    line = '{"x":"' + "".join(parts) + '"}'
    path.write_text('{"x":1}\n' + line, encoding="utf-8")
    try:
        json.loads(line)["x"].encode()
        is_refused = False
    except UnicodeEncodeError:
        is_refused = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_reader, "CHUNK_BYTES", chunk)
        with pytest.raises(SourceError, match=r"s\.jsonl:2:") if is_refused else nullcontext():
            jsonl_reader.check_lines(path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id":"2","n":NaN}', "NaN"),
        ('{"id":"2","n":-Infinity}', "-Infinity"),
        ('{"id":"2","n":1e400}', "too large"),
        ('{"id":"2","n":true}', "'n' is true or false here and a number"),
        ('{"id":"2","n":[1]}', "'n' is a list here and a number"),
        ('{"id":"2","n":{"x":1}}', "'n' is an object here and a number"),
        ('{"id":"2","o":{"x":[true]}}', "'o.x[]' is true or false here and a number"),
        ('{"id":"2","n":01}', "not JSON"),
        ("[" * 100_000, "nested more than 100 levels deep"),
    ],
)
def test_invalid_or_conflicting_line_is_refused_with_its_number(lines: Bench, line: str, problem: str) -> None:
    text = GOOD + '{"id":"1","n":1,"o":{"x":[1.5,null]},"t":1}\n' + line + '\n{"id":"3","t":"x"}\n{"id":"4","t":[]}\n'
    for data, name in ((text.encode(), "source.jsonl"), (gzip.compress(text.encode()), "source.jsonl.gz")):
        lines.source(data, name)
        lines.change_source(path=name)
        message = refused(lines).message
        assert f"{name}:3: " in message
        assert problem in message


def test_type_conflict_between_files_is_refused_with_its_line(lines: Bench) -> None:
    lines.change_source(path="*.jsonl")
    lines.source(GOOD + '{"id":"1","n":1}\n', "1.jsonl")
    lines.source(GOOD + '{"id":"2","n":true}\n', "2.jsonl")
    assert "2.jsonl:2: 'n' is true or false here" in refused(lines).message
    lines.source(GOOD + '{"id":"2","n":{"x":1}}\n', "2.jsonl")
    assert "1.jsonl:2: 'n' is a number here and an object" in refused(lines).message


def test_integer_in_column_with_fractions_is_unchanged(lines: Bench) -> None:
    rows = '{"id":5,"name":7,"mail":"m"}\n{"id":6,"name":9007199254740992,"mail":"m"}\n'
    lines.source(rows)
    lines.accept_all()
    lines.source(rows + '{"id":8,"name":1.5,"mail":"m"}\n')
    assert lines.compare().plan.counts.changed == 0
    assert [record["value"]["name"] for record in lines.records()] == [1.5]


@pytest.mark.parametrize("large", [True, False])
def test_integer_that_a_float_cannot_represent_is_refused(
    lines: Bench, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    if large:
        for module in (partitions, text_reader):
            monkeypatch.setattr(module, "SMALL_FILE_BYTES", 0)
    lines.source(GOOD + '{"id":"1","n":9007199254740993}\n{"id":"2","n":1.5}\n')
    assert "source.jsonl:2: 'n' is a whole number" in refused(lines).message
    lines.source(GOOD + '{"id":"1","n":9007199254740993}\n')
    assert lines.compare().plan.counts.source_rows == 2
    lines.source(GOOD + '{"id":"1","n":9007199254740992.5}\n{"id":"2","n":1e300}\n')
    assert "source.jsonl:2: 'n' is a number that would lose digits" in refused(lines).message
    lines.source(GOOD + '{"id":"1","n":9007199254740992}\n{"id":"2","n":1e300}\n{"id":"3","n":0.1}\n')
    assert lines.compare().plan.counts.source_rows == 4


def test_files_of_a_glob_with_different_members_are_merged(lines: Bench) -> None:
    lines.change_source(path="*.jsonl")
    lines.source("\n", "0.jsonl")
    lines.source('{"id":1,"name":null,"mail":2}\n', "1.jsonl")
    lines.source('{"mail":2.5,"name":"Ann","id":2}\n', "2.jsonl")
    lines.source('{"id":3}\n', "3.jsonl")
    assert [record["value"] for record in lines.records()] == [
        {"id": 1, "mail": 2},
        {"id": 2, "name": "Ann", "mail": 2.5},
        {"id": 3},
    ]
