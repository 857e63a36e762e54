"""Who does the tasks changes nothing: threads, processes or an executor of one's own give the very same files."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import NOW, Bench, job, rules

from lading.core.job import Join
from lading.core.vendor_rules import FileFormat, FileRules
from lading.data import Columnar, ahead, read, stage
from lading.data.workers import InTurn
from lading.errors import SourceError
from lading.ports import Baseline, CompareContext, Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading.core.batch import BatchFile

ROWS = 2600
SMALL = FileRules(format=FileFormat.JSONL, gzip=True, suffix="json.gz", bytes_max=20_000, envelope=True)


def elsewhere(thing: Any) -> Any:
    """Return a thing as it arrives in another process."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own


class Inline(Executor):
    """Does each task at once, after a trip through bytes, as if it came from elsewhere."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert not kwargs
        future: Future[Any] = Future()
        called, given = elsewhere((fn, args))
        self.tasks += given
        try:
            future.set_result(elsewhere(called(*given)))
        except Exception as error:  # noqa: BLE001 - what an executor does
            future.set_exception(elsewhere(error))
        return future


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@dataclass
class Sent:
    """What came of one way of working."""

    comparison: Comparison
    files: tuple[BatchFile, ...]

    def facts(self) -> list[Any]:
        evidence = [pl.read_parquet(one.evidence).rows() for one in self.files]
        numbers = [(one.digest, one.md5, one.size, one.rows) for one in self.files]
        return [self.comparison.tally, self.comparison.fingerprint, self.comparison.high_water, numbers, evidence]


def sent(bench: Bench, path: Columnar, *, early: bool) -> Sent:
    bench.runs += 1
    context = CompareContext(folder=bench.folder / f"work-{bench.runs}", now=NOW, ahead=early)
    comparison = path.compare(bench.job, bench.rules, bench.baseline, context)
    return Sent(comparison, path.stage(bench.job, bench.rules, comparison, bench.folder / f"files-{bench.runs}"))


def table() -> pl.DataFrame:
    digests = [hashlib.sha256(str(row).encode()).hexdigest() for row in range(ROWS)]
    return pl.DataFrame(
        {"id": [f"k{row:05}" for row in range(ROWS)], "name": digests, "place": ["a", "b"] * (ROWS // 2)}
    )


@pytest.fixture(params=["csv", "parquet", "jsonl"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A source with a join, in frames of a few hundred rows."""
    for module in (read, ahead, stage):
        monkeypatch.setattr(module, "FRAME_ROWS", 300)
    monkeypatch.setattr(stage, "FEW", 150)
    name = f"source.{request.param}"
    mapping = {"id": "=id", "name": "=name", "town": "=town"}
    places = Join(path="places.csv", on=(("place", "code"),))
    made = job(tmp_path, mapping, source={"path": name, "joins": (places,)})
    (tmp_path / "places.csv").write_text("code,town\na,Ålesund\nb,Bergen\n", encoding="utf-8")
    write = {"csv": "write_csv", "parquet": "write_parquet", "jsonl": "write_ndjson"}[request.param]
    getattr(table(), write)(tmp_path / name)
    return Bench(tmp_path, made, rules(file=SMALL))


@pytest.mark.parametrize("early", [True, False])
def test_any_executor_gives_the_same_files(bench: Bench, processes: ProcessPoolExecutor, *, early: bool) -> None:
    inline = Inline()
    ways = [Columnar(threads=count) for count in (1, 2, 4)]
    ways += [Columnar(executor=processes, threads=2), Columnar(executor=inline)]
    first, *others = [sent(bench, way, early=early).facts() for way in ways]
    assert all(one == first for one in others)
    assert len(first[3]) > 5
    assert len(inline.tasks) >= ROWS // 300


def test_any_executor_sends_the_same_few_changes(bench: Bench, processes: ProcessPoolExecutor) -> None:
    first = sent(bench, Columnar(threads=2), early=False)
    for file in first.files[::2]:
        said = bench.settle_all_accepted(file)
        bench.baseline = Columnar().advance(bench.baseline, [said], bench.folder / "baselines")
    ways = [Columnar(threads=1), Columnar(threads=3), Columnar(executor=processes), Columnar(executor=Inline())]
    one, *others = [sent(bench, way, early=False).facts() for way in ways]
    assert all(other == one for other in others)
    assert 0 < sum(count for *_, count in one[3]) < ROWS


def test_a_task_names_the_rows_of_a_parquet_file_instead_of_carrying_them(bench: Bench) -> None:
    inline = Inline()
    sent(bench, Columnar(executor=inline), early=True)
    sizes = [len(pickle.dumps(one)) for one in inline.tasks]
    carried = bench.job.source.path != "source.parquet"
    assert all((size > 20_000) == carried for size in sizes[:-1])


def test_orders_are_the_same_whoever_groups_them(tmp_path: Path, processes: ProcessPoolExecutor) -> None:
    mapping = {"no": "=no", "items": [{"each": {"sku": "=sku"}}]}
    bench = Bench(tmp_path, job(tmp_path, mapping, source={"key": ("no",)}), rules(file=SMALL))
    bench.source("no,sku\n" + "".join(f"{row // 3},s{row}\n" for row in range(3000)))
    ways = [Columnar(threads=1), Columnar(threads=4), Columnar(executor=processes), Columnar(executor=Inline())]
    one, *others = [sent(bench, way, early=False).facts() for way in ways]
    assert all(other == one for other in others)


def test_what_goes_wrong_in_a_process_is_said_as_if_it_went_wrong_here(
    tmp_path: Path, processes: ProcessPoolExecutor
) -> None:
    bench = Bench(tmp_path, job(tmp_path, {"id": "=id"}, source={"path": "source.parquet"}), rules())
    pl.DataFrame({"id": ["a", "b"]}).write_parquet(tmp_path / "source.parquet")
    context = CompareContext(folder=tmp_path / "work", now=NOW)
    comparison = Columnar().compare(bench.job, bench.rules, Baseline(), context)
    pl.DataFrame({"id": ["a", "other"]}).write_parquet(tmp_path / "source.parquet")
    with pytest.raises(SourceError, match="changed between comparing and preparing") as raised:
        Columnar(executor=processes).stage(bench.job, bench.rules, comparison, tmp_path / "files")
    assert raised.value.hint


def test_a_call_aside_that_fails_is_told_and_ends_the_rest() -> None:
    done: list[int] = []

    def fail() -> None:
        raise OSError(28, "No space left on device")

    with InTurn(1) as aside:
        aside.do(done.append, 1)
        failed = aside.do(fail)
        assert isinstance(failed.exception(), OSError)
        with pytest.raises(OSError, match="No space left"):
            aside.do(done.append, 2)
        with pytest.raises(OSError, match="No space left"):
            aside.finish()
    assert done == [1]
