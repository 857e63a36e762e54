"""A value that becomes empty stays at a target that keeps what a record leaves out: such records are counted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import Bench, counts, job, resolve_first, rules, segment_paths, verdicts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.data.record import held_members
from batchsync.data.record.held_members import lost_members, token_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAPPING: dict[str, Any] = {
    "id": "=id",
    "kind": "customer",
    "name": "=name",
    "address": {"city": "=city", "zip": "=zip"},
    "phones": ["=phone", "=mobile"],
    "extensions": [{"key": "default", "job": "=job"}],
}
HEAD = "id,name,city,zip,phone,mobile,job\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return keeping(tmp_path, MAPPING)


def keeping(folder: Path, mapping: dict[str, Any], **source: Any) -> Bench:
    return Bench(folder, job(folder, mapping, source=source), replace(rules(), keeps_absent=frozenset({"upsert"})))


def warnings(bench: Bench) -> Mapping[str, int]:
    return bench.compare().plan.warnings


@pytest.mark.parametrize(
    ("row", "lost"),
    [
        ("1,,c,z,p,m,j", ["name"]),
        ("1,n,,z,p,m,j", ["address.city"]),
        ("1,n,,,p,m,j", ["address.city", "address.zip"]),
        ("1,n,c,z,,,j", ["phones"]),
        ("1,n,c,z,p,,j", []),
        ("1,n,c,z,p,m,", ["extensions[0].job"]),
        ("1,x,c,z,p,m,j", []),
        ("1,,,,,,", ["name", "address.city", "address.zip", "phones", "extensions[0].job"]),
    ],
)
def test_members_without_a_value_are_named(bench: Bench, row: str, lost: list[str]) -> None:
    bench.source(HEAD + "1,n,c,z,p,m,j\n2,a,,,,,\n")
    bench.accept_all()
    bench.source(f"{HEAD}{row}\n2,b,,,,,\n3,,,,,,\n")
    listed = ", ".join(f'"{path}"' for path in lost)
    assert warnings(bench) == ({f"lost a value that the target keeps ({listed})": 1} if lost else {})


def test_records_are_counted_and_not_their_members(bench: Bench) -> None:
    bench.source(HEAD + "".join(f"{key},n,c,z,p,m,j\n" for key in range(6)))
    bench.accept_all()
    assert warnings(bench) == {}
    bench.source(HEAD + "0,,c,z,p,m,j\n1,,,,p,m,j\n2,n,c,z,,,j\n3,n,c,z,p,m,j\n")
    [(warning, count)] = warnings(bench).items()
    assert count == 3
    assert warning.startswith('lost a value that the target keeps ("name"')
    assert "id" not in warning.replace("city", "")
    bench.accept_all()
    assert warnings(bench) == {}


def test_target_that_replaces_records_keeps_nothing(bench: Bench) -> None:
    bench.rules = rules()
    bench.source(HEAD + "1,n,c,z,p,m,j\n")
    bench.accept_all()
    bench.source(HEAD + "1,,c,z,p,m,j\n")
    assert warnings(bench) == {}
    bench.rules = replace(rules(), keeps_absent=frozenset({"upsert"}))
    assert warnings(bench) == {}


def test_only_the_accepted_version_counts(bench: Bench) -> None:
    bench.source(HEAD + "1,n,,,,,\n")
    bench.accept_all()
    bench.source(HEAD + "1,n,c,,,,\n")
    verdicts(bench, "rejected")
    bench.source(HEAD + "1,x,,,,,\n")
    assert warnings(bench) == {}
    bench.source(HEAD + "1,,,,,,\n")
    assert list(warnings(bench)) == ['lost a value that the target keeps ("name")']
    verdicts(bench, "unknown")
    resolve_first(bench, delivered=True)
    bench.source(HEAD + "1,y,,,,,\n")
    assert counts(bench) == {"changed": 1}
    assert warnings(bench) == {}


def test_members_removed_from_the_mapping_count(bench: Bench) -> None:
    bench.source(HEAD + "1,n,c,z,p,m,j\n")
    bench.accept_all()
    bench.job = job(bench.folder, {name: value for name, value in MAPPING.items() if name != "name"})
    [warning] = warnings(bench)
    assert warning == "lost a value that the target keeps (members that the job no longer maps)"


def test_members_survive_compaction_and_segments_without_them_are_read(bench: Bench) -> None:
    for number in range(12):
        bench.source(HEAD + f"1,n{number},c,z,p,m,j\n" + "".join(f"x{number}-{row},n,,,,,\n" for row in range(number)))
        bench.accept_all()
    bench.source(HEAD + "1,,c,z,p,m,j\n")
    assert list(warnings(bench)) == ['lost a value that the target keeps ("name")']
    for path in segment_paths(bench.folder, bench.baseline):
        pl.read_parquet(path, glob=False).drop("members").write_parquet(path)
    _unnamed(bench)
    assert warnings(bench) == {}


def _unnamed(bench: Bench) -> None:
    """Rename the segments of the baseline to names without a digest, as if another release had written them."""
    segments = []
    for number, (path, segment) in enumerate(
        zip(segment_paths(bench.folder, bench.baseline), bench.baseline.segments, strict=True)
    ):
        path.rename(path.with_name(f"older-{number}.parquet"))
        segments.append(replace(segment, file=f"older-{number}.parquet"))
    bench.baseline = replace(bench.baseline, segments=tuple(segments))


def test_list_values_and_each_are_one_member(tmp_path: Path) -> None:
    mapping = {"id": "=id", "tags": ["=tags"], "items": [{"each": {"sku": "=sku"}}]}
    bench = keeping(tmp_path, mapping, path="source.jsonl")
    full = {"id": "1", "tags": ["a"], "sku": "s"}
    bench.source(json.dumps(full) + "\n")
    bench.accept_all()
    bench.source(json.dumps(full | {"tags": [], "sku": None}) + "\n")
    assert list(warnings(bench)) == ['lost a value that the target keeps ("tags", "items")']


NAMES = [f"m{number}" for number in range(70)]


@pytest.mark.parametrize("limit", ["bits", "combinations", "none"])
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_tokens_are_those_of_the_members_with_a_value(
    tmp_path_factory: pytest.TempPathFactory, limit: str, data: st.DataObject
) -> None:
    names = NAMES if limit == "bits" else NAMES[:8]
    rows = data.draw(st.lists(st.sets(st.sampled_from(names)), min_size=1, max_size=5))
    bench = keeping(tmp_path_factory.mktemp("held"), {"id": "=id"} | {name: f"={name}" for name in names})
    bench.source(
        ",".join(["id", *names])
        + "\n"
        + "".join(
            ",".join([str(row), *("v" if name in held else "" for name in names)]) + "\n"
            for row, held in enumerate(rows)
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        if limit == "combinations":
            patch.setattr(held_members, "_COMBINATIONS", 0)
        bench.accept_all()
    [path] = segment_paths(bench.folder, bench.baseline)
    found = dict(pl.read_parquet(path, glob=False).select("key", "members").iter_rows())
    for row, held in enumerate(rows):
        text = found[str(row)]
        assert lost_members(text, "") == {token_of(name) for name in ("id", *held)}
        assert len(text) == held_members.TOKEN * (len(held) + 1)
