"""Rows on a suppression list: found in every shape of source, counted once each, and looked up again for a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import HEAD, NOW, Bench, batch, counts, job, rules

from batchsync.core.batch import Verdict
from batchsync.core.job import Removal, Source, Suppress
from batchsync.core.suppressed import OnSuppressed
from batchsync.errors import SourceError, SpecError
from batchsync.ports import CompareContext, Comparison

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = {"id": "=id", "mail": "=mail"}
ROWS = HEAD + "".join(f"{number},n{number},m{number}@x.com\n" for number in range(1, 6))


class ListedBench(Bench):
    """A bench whose job has a suppression list."""

    def read_list(self) -> Path:
        """Return the digests of the list."""
        into = self.folder / f"list-{self.runs}"
        into.mkdir(exist_ok=True)
        assert self.job.suppress is not None
        return self.engine.read_list(self.job.suppress, into)

    def compare(self) -> Comparison:
        """Compare with the list."""
        self.runs += 1
        context = CompareContext(
            folder=self.folder / f"work-{self.runs}", now=NOW, in_flight=self.in_flight, listed=self.read_list()
        )
        return self.engine.compare(self.job, self.rules, self.baseline, context)


def suppress(folder: Path, **more: Any) -> Suppress:
    """Return the list `optouts.csv` with the column `mail`."""
    given: dict[str, Any] = {"column": "mail"} | more
    return Suppress(source=Source(path="optouts.csv", folder=str(folder), key=("mail",)), **given)


@pytest.fixture
def bench(tmp_path: Path) -> ListedBench:
    """A job over a small CSV file, with two persons on its list."""
    found = ListedBench(tmp_path, job(tmp_path, FIELDS, suppress=suppress(tmp_path)), rules())
    found.source(ROWS)
    found.source("mail,since\n M2@X.com,2026\nm4@x.com,2026\n", "optouts.csv")
    return found


def test_listed_rows_are_suppressed(bench: ListedBench) -> None:
    assert counts(bench) == {"added": 3, "suppressed": 2}
    assert [record["value"]["id"] for record in bench.records()] == ["1", "3", "5"]


def test_whole_record_is_suppressed_if_one_of_its_rows_is_listed(bench: ListedBench) -> None:
    bench.change(record=job(bench.folder, {"id": "=id", "all": [{"each": {"mail": "=mail"}}]}).record)
    bench.source(HEAD + "1,a,m1@x.com\n1,a,m2@x.com\n2,b,m3@x.com\n3,c,m3@x.com\n1,a,m5@x.com\n")
    assert counts(bench) == {"added": 2, "suppressed": 1}
    assert [record["value"]["id"] for record in bench.records()] == ["2", "3"]


def test_rows_of_a_suppressed_key_are_not_superseded(bench: ListedBench) -> None:
    bench.change_source(duplicates="last")
    bench.source(ROWS + "2,other,m9@x.com\n1,other,m9@x.com\n")
    assert counts(bench) == {"added": 3, "suppressed": 3, "superseded": 1}


def test_many_rows_and_a_long_list(bench: ListedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("data.frame.partitioned_spill.ROWS_IN_MEMORY", "data.compare.classify.PARTITION_ROWS"):
        monkeypatch.setattr(f"batchsync.{module}", 10_000)
    numbers = range(60_000)
    bench.source(HEAD + "".join(f"{number},n,m{number}@x.com\n" for number in numbers))
    bench.source("mail\n" + "".join(f"M{number}@x.com\n" for number in numbers if number % 3 == 0), "optouts.csv")
    assert counts(bench) == {"added": 40_000, "suppressed": 20_000}


def test_listed_keys_are_removed_only_if_the_job_says_so(bench: ListedBench) -> None:
    removal = Removal(mode="delete", record=job(bench.folder, {"id": "=id"}).record)
    bench.change(removal=removal)
    bench.source("mail\n", "optouts.csv")
    bench.accept_all()
    bench.source("mail\nm2@x.com\n", "optouts.csv")
    assert counts(bench) == {"unchanged": 4, "suppressed": 1}
    bench.change(suppress=suppress(bench.folder, then=OnSuppressed.REMOVE))
    assert counts(bench) == {"unchanged": 4, "suppressed": 1, "removed": 1}


def test_removal_that_would_name_a_record_of_the_source_is_not_sent(bench: ListedBench) -> None:
    removal = Removal(mode="delete", record=job(bench.folder, {"name": "=upper(id)"}).record)
    bench.change(removal=removal, suppress=suppress(bench.folder, then=OnSuppressed.REMOVE))
    bench.source("mail\n", "optouts.csv")
    bench.source(HEAD + "a,n,m1@x.com\nA,n,m2@x.com\nb,n,m3@x.com\n")
    bench.accept_all()
    bench.source("mail\nm2@x.com\nm3@x.com\n", "optouts.csv")
    assert counts(bench) == {"unchanged": 1, "suppressed": 2, "removed": 1}


def test_records_of_a_batch_are_looked_up_again(bench: ListedBench) -> None:
    (file,) = bench.stage(bench.compare())
    prepared = batch(file, Verdict.PROCESSED)
    assert bench.job.suppress is not None
    assert bench.engine.listed_rows(prepared, bench.job.suppress, bench.read_list()) == 0
    bench.source("mail\nm1@x.com\n M5@x.COM \nm4@x.com\n", "optouts.csv")
    bench.runs += 1
    assert bench.engine.listed_rows(prepared, bench.job.suppress, bench.read_list()) == 2
    other = suppress(bench.folder, column="id")
    assert bench.engine.listed_rows(prepared, other, bench.read_list()) is None


def test_list_has_digests_only(bench: ListedBench) -> None:
    digests = bench.read_list()
    assert pl.read_parquet(digests).schema == {"listed": pl.Binary}
    assert b"m4@x.com" not in digests.read_bytes()


@pytest.mark.parametrize("text", ["mail\na,b,c\n", ""])
def test_unreadable_list_is_refused(bench: ListedBench, text: str) -> None:
    bench.source(text, "optouts.csv")
    with pytest.raises(SourceError):
        bench.compare()


def test_list_without_its_column_is_a_mistake_of_the_jobs_file(bench: ListedBench) -> None:
    bench.source("other\nx\n", "optouts.csv")
    with pytest.raises(SpecError) as caught:
        bench.compare()
    assert "has no column 'mail'" in caught.value.problems[0].message
