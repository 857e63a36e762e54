"""JSON Lines with duplicate members in an object are refused with their line, after screening."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from data_kit import refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.data.row import jsonl_reader, partitions, repeated_members, text_reader
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from data_kit import Bench

GOOD = '{"id":"0","name":"a","mail":"b"}\n'
FEW = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def lines(bench: Bench) -> Bench:
    bench.change_source(path="source.jsonl")
    return bench


@pytest.mark.parametrize(
    ("line", "member"),
    [
        ('{"id":"1","name":"old","name":"new"}', '"name"'),
        ('{"id":"1","name":"x","name":null}', '"name"'),
        ('{"id":"1","n\\u0061me":"x","name":"y"}', '"name"'),
        ('{"id":"1","o":{"a":1,"b":2,"a":1}}', '"a"'),
        ('{"id":"1","l":[{"a":1},{"a":1,"c":{},"a":2}]}', '"a"'),
        ('{"id":"1","unused":1,"id2":{"x":[[{"\\u006b":1,"k":2}]]},"name":"q"}', '"k"'),
        ('{"id":"1","":1,"" : 2}', '""'),
        ('{ "id" : "1" ,\t"name"       : 1, "name"\t\r: 2 }', '"name"'),
        (json.dumps({"id": "1", "x" * 300: 1})[:-1] + ',"' + "x" * 300 + '":2}', '"xxx'),
        ('{"id":"1","größe":1,"gr\\u00f6\\u00dfe":1}', '"größe"'),
        ('{"id":"1","a\\"b":1,"a\\u0022b":1}', '"a\\"b"'),
        ('{"id":"1","\\ud83d\\ude00":1,"😀":1}', '"😀"'),
        ('{"id":"1","' + "\\u0078" * 60 + '":1,"' + "x" * 60 + '":2}', '"xxx'),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_duplicate_member_is_refused_with_its_line(lines: Bench, line: str, member: str, *, compressed: bool) -> None:
    name = "source.jsonl.gz" if compressed else "source.jsonl"
    data = (GOOD + "\n" + line + "\n" + GOOD.replace('"0"', '"9"')).encode()
    lines.source(gzip.compress(data) if compressed else data, name)
    lines.change_source(path=name)
    message = refused(lines).message
    assert f"{name}:3: duplicate member {member}" in message


@pytest.mark.parametrize("large", [True, False])
def test_duplicate_member_in_large_file_is_refused(
    lines: Bench, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    if large:
        for module in (partitions, text_reader):
            monkeypatch.setattr(module, "SMALL_FILE_BYTES", 0)
    lines.source(GOOD + '{"id":"1","name":"old","name":"new"}')
    assert "source.jsonl:2: duplicate member" in refused(lines).message


def test_same_member_in_different_objects_is_read(lines: Bench) -> None:
    rows = [
        {"id": "1", "name": "name", "Name": "x", "o": {"name": {"name": "y"}, "id": 1}, "l": [{"id": 1}, {"id": 2}]},
        {"id": "2", "name": '{"name":1,"name":2}', "Name": 'a":"b', "o": {"name": {"name": "\\"}, "id": 1}, "l": []},
    ]
    lines.source("".join(json.dumps(row) + "\n" for row in rows))
    assert [record["value"]["name"] for record in lines.records()] == ["name", '{"name":1,"name":2}']


def test_names_with_common_prefix_are_not_suspicious() -> None:
    row = {f"customer_billing_address_line_{n}": n for n in range(9)} | {"é": 1, "è": 2, "a": 1, "a ": 2}
    for line in (json.dumps(row, ensure_ascii=False), json.dumps(row)):
        assert repeated_members.suspicious_lines((line + "\n" + line).encode()) == []


@pytest.mark.parametrize("depth", [101, 5000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_deeply_nested_member_is_refused(lines: Bench, depth: int, begin: str, end: str) -> None:
    inner = "1" if begin != "[" else ""
    lines.source(GOOD + '{"id":"1","v":' + begin * depth + inner + end * depth + "}\n")
    assert "source.jsonl:2: the line is nested more than 100 levels deep" in refused(lines).message


def test_member_of_100_nested_lists_is_read(lines: Bench) -> None:
    lines.source(GOOD + '{"id":"1","v":' + "[" * 100 + "]" * 100 + "}\n")
    assert lines.compare().plan.counts.source_rows == 2


def test_duplicate_member_in_deeply_nested_line_is_refused(lines: Bench) -> None:
    deep = "[" * 900 + "]" * 900
    lines.source(GOOD + '{"id":"1","v":"text"}\n{"id":"2","v":' + deep + ',"name":1,"name":2}\n')
    assert "source.jsonl:3: the line is nested" in refused(lines).message


def _has_duplicates(line: str) -> bool:
    """Return whether an object of a line has a duplicate member, by Python's parser."""
    found = False

    def check(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in pairs}) < len(pairs)

    json.loads(line, object_pairs_hook=check)
    return found


_NAMES = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"A"', '""', '"\\\\"', '"\\""', '"a:{"', '"é"', '"abcdefghi"'])
_BLANKS = st.sampled_from(["", "", "", " ", "\t", "      "])
_LEAVES = st.sampled_from(["1", "null", '"a"', '"\\\\"', '"{\\"a\\":1,"', '"\\\\\\"}"', "[]", "{}", '"é"'])


def _object(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds(
        lambda name, before, after, value: name + before + ":" + after + value, _NAMES, _BLANKS, _BLANKS, inner
    )
    return st.lists(pair, max_size=4).map(lambda pairs: "{" + ",".join(pairs) + "}")


def _values(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(_object(inner), st.lists(inner, max_size=3).map(lambda items: "[" + " ,".join(items) + "]"))


@given(st.lists(_object(st.recursive(_LEAVES, _values, max_leaves=8)), max_size=4), st.integers(3, 40))
@FEW
def test_only_lines_with_duplicate_members_are_refused(tmp_path: Path, rows: list[str], chunk: int) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text("\n".join(rows), encoding="utf-8")
    expected = next((number for number, line in enumerate(rows, start=1) if _has_duplicates(line)), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_reader, "CHUNK_BYTES", chunk)
        if expected is None:
            jsonl_reader.check_lines(path)
        else:
            with pytest.raises(SourceError, match=rf"s\.jsonl:{expected}: duplicate member"):
                jsonl_reader.check_lines(path)
