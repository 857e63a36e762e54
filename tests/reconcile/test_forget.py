"""Keys that are not forgotten yet, secrets that do not fit, and retention of jobs that other processes run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from test_collect_again import without_log
from test_forget_crashes import KEY, add_row, forget_key, run, state_of

from batchsync.core import events
from batchsync.core.retention import Retention
from batchsync.errors import BatchsyncError, ExitCode, StateError
from batchsync.reconcile.erased_keys import forget_erased_keys
from batchsync.reconcile.forget import ForgetRequest, KeyInUseError, forget, known_keys
from batchsync.reconcile.retention import prune_others
from kit.deployment import CDP
from kit.state_search import files_with

if TYPE_CHECKING:
    from harness import Harness


def request(harness: Harness, *keys: str, job: str = "guests") -> ForgetRequest:
    return ForgetRequest(job=job, keys=keys, names=[job], declared=harness.context(job).job)


def test_key_of_unknown_outcome_is_refused_until_it_is_known(rejecting: Harness) -> None:
    batch = without_log(rejecting)
    with pytest.raises(KeyInUseError, match="has not reported the outcome; nothing was forgotten") as refused:
        forget([request(rejecting, "G5")], rejecting.services, by="ops", reason="request")
    assert refused.value.exit_code is ExitCode.NEEDS_ATTENTION
    assert f"batchsync collect {batch.id}" in refused.value.hint
    assert rejecting.app.journal.tombstones({"guests"}) == frozenset()


def test_key_in_a_batch_that_needs_attention_is_refused(harness: Harness) -> None:
    batch = harness.left_in_allocation("guests")
    with harness.services.lease("guests"):
        harness.services.store.record(batch, events.Parked(at=harness.services.clock.now(), reason="a person"))
    with pytest.raises(KeyInUseError) as refused:
        forget([request(harness, "G5")], harness.services, by="ops", reason="request")
    assert refused.value.exit_code is ExitCode.NEEDS_ATTENTION
    assert known_keys(request(harness, "G5", "nowhere"), harness.services) == {"G5"}


def test_all_jobs_are_checked_before_one_is_changed(harness: Harness) -> None:
    run(harness, "guests")
    harness.sync("vehicles")
    requests = [request(harness, "G5"), request(harness, "V5", job="vehicles")]
    with pytest.raises(KeyInUseError):
        forget(requests, harness.services, by="ops", reason="request")
    assert harness.app.journal.tombstones({"guests", "vehicles"}) == frozenset()


def test_forgotten_keys_are_known_by_their_hashes(harness: Harness) -> None:
    add_row(harness, "guests")
    run(harness, "guests")
    forget_key(harness, "guests")
    assert known_keys(request(harness, KEY, "G5", "G0", "nowhere"), harness.services) == {KEY, "G5", "G0"}


@pytest.mark.parametrize("content", ["", "0" * 64, "g" * 64 + "\n"])
def test_damaged_secret_is_refused(harness: Harness, content: str) -> None:
    secret = state_of(harness) / "forget.key"
    secret.write_text(content, encoding="ascii")
    with pytest.raises(StateError, match="is damaged"):
        forget_key(harness, "guests")


def test_results_of_an_undeclared_job_are_left(harness: Harness) -> None:
    add_row(harness, "vehicles")
    run(harness, "vehicles")
    undeclared = replace(request(harness, KEY, job="vehicles"), declared=None)
    (done,) = forget([undeclared], harness.services, by="ops", reason="request")
    assert (done.held, done.answers) == (1, 0)
    assert files_with(state_of(harness), KEY) == ["results/out/vehicles.csv"]


def test_expired_rejects_of_other_jobs_are_pruned_unless_another_process_runs_them(harness: Harness) -> None:
    run(harness, "guests")
    expired = harness.with_services(retention=Retention(rejects=timedelta(0)))
    harness.advance(timedelta(seconds=5))
    assert prune_others(expired.services, {"guests"}) == 0
    with harness.services.lease("guests"):
        assert prune_others(expired.services) == 0
    assert prune_others(expired.services) == 1
    assert harness.app.journal.rejects_count("guests") == 0
    sent = len(harness.deployment.mocks.ledger(CDP))
    run(harness, "guests")
    assert len(harness.deployment.mocks.ledger(CDP)) == sent


def test_missing_and_foreign_secrets_stop_the_job(harness: Harness) -> None:
    run(harness, "guests")
    add_row(harness, "guests")
    forget_key(harness, "guests")
    secret = state_of(harness) / "forget.key"
    content = secret.read_text("ascii")
    sent = len(harness.deployment.mocks.ledger(CDP))
    for damage, message in ((None, "is missing"), (f"{'0' * 64}\n", "is not the file")):
        secret.unlink()
        if damage is not None:
            secret.write_text(damage, encoding="ascii")
        outcome = harness.sync("guests")
        assert outcome.error is not None
        assert message in outcome.error.message
        secret.write_text(content, encoding="ascii")
    assert len(harness.deployment.mocks.ledger(CDP)) == sent


def test_other_keys_of_open_and_unknown_batches_do_not_matter(rejecting: Harness) -> None:
    without_log(rejecting)
    rejecting.sync("vehicles")
    requests = [request(rejecting, KEY), request(rejecting, KEY, job="vehicles")]
    assert len(forget(requests, rejecting.services, by="ops", reason="request")) == 2
    assert known_keys(request(rejecting, KEY, "G5"), rejecting.services) == {KEY, "G5"}


def test_error_while_an_erased_key_is_forgotten_stops_only_its_job(harness: Harness) -> None:
    run(harness, "guests")
    batch = harness.batch("guests")
    harness.services.store.begin_erasure(batch, ["add"])
    failed: dict[str, BatchsyncError] = {}
    contexts = {"guests": harness.context("guests")}
    with harness.services.lease("guests"):
        forget_erased_keys(contexts, failed, harness.services)
    assert isinstance(failed["guests"], StateError), "its row manifest was swept"

    forget_erased_keys(contexts, failed, harness.services)
    assert list(failed) == ["guests"]
    assert [item.id for item, _ in harness.app.journal.pending_erasures("guests")] == [batch.id]
