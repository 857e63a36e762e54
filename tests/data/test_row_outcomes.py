"""Whatever the vendor's row log looks like, each sent row ends in one state and the books add up."""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import HEAD, REF_LOG, Bench, job, rejects, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.batch import Books, Verdict
from lading.core.vendor_rules import Silence
from lading.data import rowlog
from lading.errors import Permanent, StateError, Unclear

if TYPE_CHECKING:
    from lading.core.batch import BatchFile


def sent(bench: Bench, rows: int = 3) -> tuple[BatchFile, list[str]]:
    bench.source(HEAD + "".join(f"{row},a,m\n" for row in range(rows)))
    [file] = bench.stage(bench.compare())
    return file, pl.read_parquet(file.evidence)["ref"].to_list()


def log(bench: Bench, *lines: Any, packed: bool = True, end: str = "\n") -> Path:
    text = "".join((one if isinstance(one, str) else json.dumps(one)) + end for one in lines).encode()
    path = bench.folder / "log.gz"
    path.write_bytes(gzip.compress(text) if packed else text)
    return path


def error(ref: str, code: str | int = 400, message: str = "Validation error") -> dict[str, object]:
    return {"ref": ref, "code": code, "message": message}


@pytest.mark.parametrize("packed", [True, False])
def test_the_log_rejects_whom_it_names_and_silence_accepts(bench: Bench, *, packed: bool) -> None:
    file, refs = sent(bench)
    verdicts = bench.settle(file, Verdict.MIXED, errors=log(bench, error(refs[1]), packed=packed))
    assert verdicts.books == Books(accepted=2, rejected=1)
    [one] = rejects(verdicts)
    assert (one.kind, one.key, one.code, one.reason, one.line, one.row, one.retry) == (
        "rejected",
        "1",
        "400",
        "Validation error",
        2,
        2,
        False,
    )
    assert pl.read_parquet(verdicts.path)["state"].to_list() == ["accepted", "rejected", "accepted"]


def test_codes_may_be_numbers_or_texts_and_some_may_be_retried(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.settle(file, errors=log(bench, error(refs[0], 400), error(refs[1].upper(), "500")))
    assert [(one.code, one.retry) for one in rejects(verdicts)] == [("400", False), ("500", True)]


def test_good_news_in_the_log_is_no_error(bench: Bench) -> None:
    file, refs = sent(bench)
    lines = [error(refs[0], 200), error(refs[1].upper(), "201"), error(refs[2], 400)]
    assert bench.settle(file, Verdict.MIXED, errors=log(bench, *lines)).books == Books(accepted=2, rejected=1)
    assert bench.settle(file, errors=log(bench, *lines[:2])).books == Books(accepted=3)


def test_good_news_alone_does_not_say_which_rows_of_a_batch_failed(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.settle(file, Verdict.MIXED, errors=log(bench, error(refs[1], 200)))
    assert pl.read_parquet(verdicts.path)["state"].to_list() == ["unknown", "accepted", "unknown"]
    assert {one.reason for one in rejects(verdicts)} == {"the vendor says that rows failed, not which"}


def test_a_row_of_which_the_log_speaks_well_is_accepted_whatever_is_in_doubt(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.settle(file, Verdict.MIXED, errors=log(bench, error(refs[1], 200), error("null", 400)))
    assert (verdicts.books, verdicts.unattributed) == (Books(accepted=1, unknown=2), 1)


def test_doubled_and_contradictory_lines_count_once_as_the_error(bench: Bench) -> None:
    file, refs = sent(bench)
    lines = [error(refs[0], 200), error(refs[0], 400, "first"), error(refs[0], 409, "second"), error(refs[0], 200)]
    verdicts = bench.settle(file, errors=log(bench, *lines))
    assert verdicts.books == Books(accepted=2, rejected=1)
    assert rejects(verdicts)[0].reason == "first"


@pytest.mark.parametrize(
    "line",
    [
        {"ref": "null", "code": "400", "message": "Failed to parse import line"},
        {"ref": None, "code": "400", "message": "x"},
        {"ref": str(uuid.uuid4()), "code": "400", "message": "x"},
        {"code": 400},
        '{"ref": "',
        "No logs available",
        "[1, 2]",
    ],
)
def test_an_error_that_names_no_row_leaves_the_silent_rows_unknown(bench: Bench, line: Any) -> None:
    file, refs = sent(bench)
    verdicts = bench.settle(file, errors=log(bench, error(refs[0]), line))
    assert verdicts.books == Books(rejected=1, unknown=2)
    assert verdicts.unattributed == 1


def test_a_line_that_was_cut_behind_its_ref_still_names_its_row(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.settle(file, errors=log(bench, f'{{"ref":"{refs[2]}","code":"400","mess', packed=False, end=""))
    assert verdicts.books == Books(accepted=2, rejected=1)


def test_blank_lines_windows_line_ends_and_a_missing_last_one_are_fine(bench: Bench) -> None:
    file, refs = sent(bench)
    text = json.dumps(error(refs[0])) + "\r\n\r\n" + json.dumps(error(refs[1]))
    assert bench.settle(file, errors=log(bench, text, end="")).books == Books(accepted=1, rejected=2)


def test_a_damaged_log_is_fetched_again(bench: Bench) -> None:
    file, refs = sent(bench)
    path = log(bench, *(error(one) for one in refs))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-6] ^= 0xFF
    broken = bytearray(whole)
    broken[12] ^= 0xFF
    for data in (whole[:-4], whole[:20], bytes(flipped), bytes(broken)):
        path.write_bytes(data)
        with pytest.raises(Unclear, match="the row log arrived damaged"):
            bench.settle(file, errors=path)


def test_a_log_that_would_fill_the_disk_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowlog, "FLOOR", 1 << 20)
    file, _ = sent(bench)
    path = log(bench, "x" * (30 << 20))
    with pytest.raises(Permanent, match="more than"):
        bench.settle(file, errors=path)


def test_a_line_without_end_is_one_line_that_names_nobody(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.settle(file, errors=log(bench, error(refs[0]), "y" * (20 << 20)))
    assert verdicts.books == Books(rejected=1, unknown=2)


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.CANCELLED, Verdict.EXPIRED])
def test_a_batch_of_which_nothing_was_applied_may_be_sent_again_whole(bench: Bench, verdict: Verdict) -> None:
    file, _ = sent(bench)
    verdicts = bench.settle(file, verdict)
    assert verdicts.books == Books(rejected=3)
    assert all(one.retry and one.reason == "done" for one in rejects(verdicts))


def test_a_batch_that_a_person_had_sent_again_may_be_at_the_target_all_the_same(bench: Bench) -> None:
    file, _ = sent(bench)
    verdicts = bench.settle(file, Verdict.RESENT)
    assert verdicts.books == Books(rejected=3)
    assert {(one.retry, one.code, one.reason) for one in rejects(verdicts)} == {
        (True, "resent", "a person had it sent again")
    }


def test_a_lost_batch_and_a_missing_log_leave_every_row_unknown(bench: Bench) -> None:
    file, _ = sent(bench)
    assert bench.settle(file, Verdict.LOST).books == Books(unknown=3)
    assert bench.settle(file, Verdict.MIXED, errors_missing=True).books == Books(unknown=3)
    assert bench.settle(file, Verdict.MIXED).books == Books(unknown=3)
    assert bench.settle(file, Verdict.MIXED, errors=log(bench)).books == Books(unknown=3)
    assert bench.settle(file, Verdict.PROCESSED).books == Books(accepted=3)


def test_a_vendor_whose_silence_means_nothing_leaves_silent_rows_unknown(bench: Bench) -> None:
    bench.rules = rules(log=replace(REF_LOG, silence=Silence.UNKNOWN))
    file, refs = sent(bench)
    assert bench.settle(file, errors=log(bench, error(refs[0]))).books == Books(rejected=1, unknown=2)


def test_evidence_that_is_gone_or_does_not_fit_is_a_damaged_state(bench: Bench) -> None:
    file, _ = sent(bench)
    with pytest.raises(StateError, match="3 rows and its file 4"):
        bench.settle(replace(file, rows=4))
    Path(file.evidence).write_bytes(b"")
    with pytest.raises(StateError, match="missing or damaged"):
        bench.settle(file)


JUNK = st.one_of(
    st.text(max_size=30),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda one: st.dictionaries(st.sampled_from(["ref", "code", "message"]), one),
    ).map(json.dumps),
    st.tuples(st.integers(0, 3), st.sampled_from(["200", "400", "500", ""]), st.integers(0, 80)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(JUNK, max_size=8), verdict=st.sampled_from(list(Verdict)), missing=st.booleans())
def test_the_books_add_up_whatever_the_log_says(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Any], verdict: Verdict, *, missing: bool
) -> None:
    folder = tmp_path_factory.mktemp("log")
    bench = Bench(folder, job(folder, {"id": "=id"}), rules())
    file, refs = sent(bench, 4)
    texts = [one if isinstance(one, str) else json.dumps(error(refs[one[0]], one[1]))[: 80 + one[2]] for one in lines]
    verdicts = bench.settle(file, verdict, errors=log(bench, *texts), errors_missing=missing)
    assert verdicts.books.total == 4
    assert len(rejects(verdicts)) == verdicts.books.rejected + verdicts.books.unknown


def test_evidence_in_which_one_bit_has_flipped_settles_nothing(bench: Bench) -> None:
    file, _ = sent(bench)
    evidence = Path(file.evidence)
    whole = evidence.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        evidence.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StateError, match="missing or damaged"):
            bench.settle(file)


def test_a_baseline_or_evidence_in_which_one_bit_has_flipped_is_compared_with_nothing(bench: Bench) -> None:
    file, _ = sent(bench)
    bench.accept_all()
    [segment] = bench.baseline.paths
    for state in (segment, Path(file.evidence)):
        whole = state.read_bytes()
        bench.in_flight = [Path(file.evidence)]
        for place in range(8, len(whole) - 8, max(1, len(whole) // 20)):
            state.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(StateError, match="missing or damaged"):
                bench.compare()
        state.write_bytes(whole)
