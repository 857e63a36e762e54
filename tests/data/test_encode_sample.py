"""Size of the first changed records, as it will be in batch files."""

from __future__ import annotations

import pytest
from data_kit import CSV_FILE, HEAD, Bench, csv_rules, record, rules

from batchsync.core.forecast import EncodedSample
from batchsync.core.job import Removal
from batchsync.core.vendor_rules import FileFormat, FileRules, VendorRules
from batchsync.data.batchfile.encode_sample import encode_sample
from batchsync.util.executor import TaskPool

DOCUMENT = FileRules(format=FileFormat.JSON, gzip=False, suffix="json", document={"rows": "{records}"})


def people(first: int, last: int) -> str:
    """Return a source with a number of people."""
    return HEAD + "".join(f"{number},name {number},n{number}@example.com\n" for number in range(first, last + 1))


@pytest.mark.parametrize("vendor", [rules(), csv_rules(), rules(file=DOCUMENT)])
def test_sample_of_all_records_has_the_size_of_their_file(bench: Bench, vendor: VendorRules) -> None:
    bench.rules = vendor
    bench.source(people(1, 200))
    comparison = bench.compare()
    sample = bench.engine.encode_sample(bench.job, bench.rules, comparison)
    [file] = bench.stage(comparison)

    assert (sample.records, sample.removals, sample.removals_size) == (200, 0, 0)
    # The first record of a document has no comma.
    assert sample.size + sample.file_size - file.size == int(vendor.file.document is not None)
    assert vendor.file != CSV_FILE or sample.file_size > 0


def test_sample_is_the_first_records_and_removals(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.source(people(1, 100))
    bench.accept_all()
    bench.source(people(51, 200))
    comparison = bench.compare()
    found = encode_sample(bench.job, bench.rules, comparison, TaskPool(threads=1), rows=20)

    assert (found.records, found.removals) == (20, 20)
    assert 0 < found.removals_size < found.size
    # The comparison itself is as before.
    assert sum(file.rows for file in bench.stage(comparison)) == 150


def test_nothing_to_send_has_no_sample(bench: Bench) -> None:
    bench.source(people(1, 5))
    bench.accept_all()

    assert bench.engine.encode_sample(bench.job, bench.rules, bench.compare()) in (
        EncodedSample(),
        EncodedSample(file_size=20),
    )
