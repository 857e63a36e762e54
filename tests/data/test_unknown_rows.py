"""A row of unknown outcome is not sent again until it is resolved."""

from __future__ import annotations

import pytest
from data_kit import HEAD, Bench, counts, record, resolve_first, verdicts

from batchsync.core.batch import Verdict
from batchsync.core.job import Removal, Send


@pytest.fixture
def removing(bench: Bench) -> Bench:
    bench.change(removal=Removal(mode="delete", record=record({"identifiers": [{"provider": "CRM", "id": "=id"}]})))
    return bench


def test_resent_row_is_sent_even_if_reverted(
    bench: Bench,
) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,b,m\n")
    verdicts(bench, "rejected", retry=True, code=str(Verdict.RESENT))
    assert counts(bench) == {"changed": 1}
    bench.source(HEAD + "1,a,m\n")
    assert counts(bench) == {"changed": 1}, "the upload of unknown outcome may have arrived"
    bench.accept_all()
    assert counts(bench) == {"unchanged": 1}


def test_unknown_row_and_newer_version_are_not_sent(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    verdicts(bench, "unknown")
    assert counts(bench) == {"still_unknown": 1}
    bench.source(HEAD + "1,b,m\n")
    assert counts(bench) == {"still_unknown": 1}


@pytest.mark.parametrize("delivered", [True, False])
def test_reverted_row_waits_while_newer_version_is_unknown(bench: Bench, *, delivered: bool) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,b,m\n")
    verdicts(bench, "unknown")
    bench.source(HEAD + "1,a,m\n")
    assert counts(bench) == {"still_unknown": 1}
    resolve_first(bench, delivered=delivered)
    assert counts(bench) == {"changed": 1}, "the target may hold the newer version"
    bench.accept_all()
    assert counts(bench) == {"unchanged": 1}


def test_unknown_row_is_not_sent_with_send_all(bench: Bench) -> None:
    bench.change(send=Send(rows="all"))
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    verdicts(bench, "unknown")
    assert counts(bench) == {"still_unknown": 1}
    resolve_first(bench, delivered=False)
    assert counts(bench) == {"changed": 1}


@pytest.mark.parametrize(("delivered", "then", "back"), [(True, {}, "added"), (False, {"removed": 1}, "changed")])
def test_unknown_removal_is_resolved_manually(
    removing: Bench, then: dict[str, int], back: str, *, delivered: bool
) -> None:
    removing.source(HEAD + "1,a,m\n2,b,n\n")
    removing.accept_all()
    removing.source(HEAD + "2,b,n\n")
    verdicts(removing, "unknown")
    assert counts(removing) == {"unchanged": 1, "still_unknown": 1}
    removing.source(HEAD + "1,a,m\n2,b,n\n")
    assert counts(removing) == {"unchanged": 1, "still_unknown": 1}, "the target may still hold it"

    resolve_first(removing, delivered=delivered)

    assert counts(removing) == {"unchanged": 1, back: 1}
    removing.source(HEAD + "2,b,n\n")
    assert counts(removing) == {"unchanged": 1} | then


def test_resent_row_is_removed_after_deletion(removing: Bench) -> None:
    """The target may hold the row, although it never accepted it."""
    removing.source(HEAD + "1,a,m\n")
    verdicts(removing, "unknown")
    removing.source(HEAD)
    resolve_first(removing, delivered=False)
    assert counts(removing) == {"removed": 1}
    verdicts(removing, "unknown")
    assert counts(removing) == {"still_unknown": 1}
    resolve_first(removing, delivered=True)
    assert counts(removing) == {}
