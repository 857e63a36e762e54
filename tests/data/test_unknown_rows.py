"""A row of unknown outcome waits until a person says how it ended, and then it counts as that."""

from __future__ import annotations

import pytest
from data_kit import HEAD, Bench, counts, record, said, verdicts

from batchsync.core.batch import Verdict
from batchsync.core.job import Removal, Send


@pytest.fixture
def removing(bench: Bench) -> Bench:
    bench.change(removal=Removal(mode="delete", record=record({"identifiers": [{"provider": "CRM", "id": "=id"}]})))
    return bench


def test_a_row_that_a_person_had_sent_again_is_sent_though_it_went_back_to_what_the_target_once_held(
    bench: Bench,
) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,b,m\n")
    verdicts(bench, "rejected", retry=True, code=str(Verdict.RESENT))
    assert counts(bench) == {"changed": 1}
    bench.source(HEAD + "1,a,m\n")
    assert counts(bench) == {"changed": 1}, "the upload whose outcome nobody knew may have arrived"
    bench.accept_all()
    assert counts(bench) == {"unchanged": 1}


def test_an_unknown_row_is_not_repeated_and_a_newer_version_waits(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    verdicts(bench, "unknown")
    assert counts(bench) == {"still_unknown": 1}
    bench.source(HEAD + "1,b,m\n")
    assert counts(bench) == {"still_unknown": 1}


@pytest.mark.parametrize("delivered", [True, False])
def test_a_row_that_went_back_to_what_the_target_held_waits_while_nobody_knows_of_the_newer_one(
    bench: Bench, *, delivered: bool
) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,b,m\n")
    verdicts(bench, "unknown")
    bench.source(HEAD + "1,a,m\n")
    assert counts(bench) == {"still_unknown": 1}
    said(bench, delivered=delivered)
    assert counts(bench) == {"changed": 1}, "the target holds the newer one, or nobody knows"
    bench.accept_all()
    assert counts(bench) == {"unchanged": 1}


def test_a_row_of_unknown_outcome_is_not_repeated_though_all_are_to_be_sent(bench: Bench) -> None:
    bench.change(send=Send(what="all"))
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    verdicts(bench, "unknown")
    assert counts(bench) == {"still_unknown": 1}
    said(bench, delivered=False)
    assert counts(bench) == {"changed": 1}


@pytest.mark.parametrize(("delivered", "then", "back"), [(True, {}, "added"), (False, {"removed": 1}, "changed")])
def test_a_removal_of_unknown_outcome_ends_as_a_person_says(
    removing: Bench, then: dict[str, int], back: str, *, delivered: bool
) -> None:
    removing.source(HEAD + "1,a,m\n2,b,n\n")
    removing.accept_all()
    removing.source(HEAD + "2,b,n\n")
    verdicts(removing, "unknown")
    assert counts(removing) == {"unchanged": 1, "still_unknown": 1}
    removing.source(HEAD + "1,a,m\n2,b,n\n")
    assert counts(removing) == {"unchanged": 1, "still_unknown": 1}, "nobody knows whether it is still there"

    said(removing, delivered=delivered)

    assert counts(removing) == {"unchanged": 1, back: 1}
    removing.source(HEAD + "2,b,n\n")
    assert counts(removing) == {"unchanged": 1} | then


def test_a_row_that_a_person_had_sent_again_is_removed_when_it_left_the_source_meanwhile(removing: Bench) -> None:
    """It may have arrived, though the target was never known to hold it."""
    removing.source(HEAD + "1,a,m\n")
    verdicts(removing, "unknown")
    removing.source(HEAD)
    said(removing, delivered=False)
    assert counts(removing) == {"removed": 1}
    verdicts(removing, "unknown")
    assert counts(removing) == {"still_unknown": 1}
    said(removing, delivered=True)
    assert counts(removing) == {}
