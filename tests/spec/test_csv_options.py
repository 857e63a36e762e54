"""Keys of `source:` that describe a CSV file: read, refused where they contradict, and part of the hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.csv_dialect import CsvDialect

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsync.core.deployment import Deployment

    Load = Callable[..., Deployment]

SOURCE = "{path: guests.csv, key: id}"


@pytest.mark.parametrize(
    ("written", "dialect"),
    [
        ("", CsvDialect()),
        ("header: true, skip_rows: 0", CsvDialect()),
        ("header: false, columns: [id, email]", CsvDialect(header=False, columns=("id", "email"))),
        ('skip_rows: 3, comment: "#"', CsvDialect(skip_rows=3, comment="#")),
        ("""quote: "'", escape: "\\\\" """, CsvDialect(quote="'", escape="\\")),
        ('quote: ""', CsvDialect(quote="")),
    ],
)
def test_csv_options_are_read(load_changed: Load, written: str, dialect: CsvDialect) -> None:
    jobs = load_changed((SOURCE, f"{{path: guests.csv, key: id, {written}}}")).jobs
    assert next(job for job in jobs if job.name == "guests").source.dialect == dialect


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("header: false", "a file without header has no column names"),
        ("columns: [id]", '"columns" with a header'),
        ("header: false, columns: []", '"columns": invalid columns'),
        ("header: false, columns: [id, id]", '"columns": duplicate column'),
        ('header: false, columns: ["batchsync:row"]', "column names may not begin with batchsync:"),
        ("skip_rows: -1", '"skip_rows"'),
        ("skip_rows: 1001", '"skip_rows"'),
        ('comment: ""', '"comment": invalid begin of a comment'),
        ('comment: " #"', '"comment": invalid begin of a comment'),
        ('comment: ",x"', '"comment" begins like "delimiter"'),
        ("""comment: '"x'""", '"comment" begins like "quote"'),
        ('quote: ","', '"quote" begins like "delimiter"'),
        ("quote: ab", '"quote": invalid character'),
        ("quote: é", '"quote": invalid character'),
        ("""escape: '"' """, '"escape" begins like "quote"'),
        ("escape: n", '"escape": invalid character'),
        ("format: jsonl, skip_rows: 1", '"skip_rows" with a jsonl file'),
        ('format: parquet, quote: ""', '"quote" with a parquet file'),
    ],
)
def test_contradictory_csv_options_are_refused(workshop: Any, written: str, message: str) -> None:
    text = workshop.changed((SOURCE, f"{{path: guests.csv, key: id, {written}}}"))
    assert any(message in problem for problem in workshop.problems(text))


def test_csv_options_change_the_hash_of_a_job_only_if_written(load_changed: Load) -> None:
    def hashes(written: str) -> tuple[str, str]:
        jobs = load_changed((SOURCE, f"{{path: guests.csv, key: id{written}}}")).jobs
        found = next(job for job in jobs if job.name == "guests")
        return found.spec_hash, found.removal_hash

    plain, default, other = hashes(""), hashes(", header: true"), hashes(', comment: "#"')
    assert plain == default
    assert plain[0] != other[0]
    assert plain[1] != other[1]


def test_key_may_be_a_column_whose_name_has_a_line_break(load_changed: Load) -> None:
    jobs = load_changed((SOURCE, '{path: guests.csv, key: "first\\nname"}')).jobs
    assert next(job for job in jobs if job.name == "guests").source.key == ("first\nname",)
