"""Selectors of jobs: grammar, union and intersection, dependencies, exclusion, and errors."""

from __future__ import annotations

import pytest

from batchsync.core.selection import (
    JobFacts,
    JobState,
    RunResult,
    Selection,
    SelectorError,
    needs_journal,
    select,
)

JOBS = (
    JobFacts(
        name="checks", tags=frozenset({"nightly", "cars"}), connection="motorweb", vendor="motorweb-bdp",
        state=JobState.UNCHANGED, results=frozenset({RunResult.FAILED, RunResult.ATTENTION}),
    ),
    JobFacts(
        name="guests", former_names=frozenset({"customers"}), tags=frozenset({"nightly", "crm"}),
        connection="sitecore", vendor="sitecore-cdp", depends_on=("checks",), state=JobState.MODIFIED,
        results=frozenset({RunResult.FAILED, RunResult.REJECTED}),
    ),
    JobFacts(
        name="guests-test", connection="sitecore", vendor="sitecore-cdp", state=JobState.NEW, suspended=True,
    ),
    JobFacts(
        name="orders", tags=frozenset({"crm"}), connection="sitecore", vendor="sitecore-cdp", depends_on=("guests",),
        state=JobState.UNCHANGED,
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", "checks guests guests-test orders"),
        ("guests", "guests"),
        ("customers", "guests"),
        ("guests*", "guests guests-test"),
        ("?rders", "orders"),
        ("[cg]*", "checks guests guests-test"),
        ("*", "checks guests guests-test orders"),
        ("tag:nightly", "checks guests"),
        ("tag:night*", "checks guests"),
        ("connection:sitecore", "guests guests-test orders"),
        ("vendor:motorweb-bdp", "checks"),
        ("vendor:*", "checks guests guests-test orders"),
        ("state:new", "guests-test"),
        ("state:modified", "guests"),
        ("state:new state:modified", "guests guests-test"),
        ("result:failed", "checks guests"),
        ("result:rejected", "guests"),
        ("result:attention", "checks"),
        ("orders checks", "checks orders"),
        ("tag:nightly,tag:crm", "guests"),
        ("guests*,connection:sitecore", "guests guests-test"),
        ("tag:nightly,tag:crm orders", "guests orders"),
        ("+orders", "checks guests orders"),
        ("+checks", "checks"),
        ("checks+", "checks guests orders"),
        ("+guests+", "checks guests orders"),
        ("+tag:crm,connection:sitecore", "guests orders"),
        ("result:failed+", "checks guests orders"),
    ],
)
def test_selected_jobs(words: str, names: str) -> None:
    assert select(words.split(), JOBS).names == tuple(names.split())


@pytest.mark.parametrize(
    ("words", "exclude", "names"),
    [
        ("", "guests*", "checks orders"),
        ("tag:nightly", "connection:motorweb", "guests"),
        ("+orders", "guests", "checks orders"),
        ("guests", "orders", "guests"),
        ("", "+guests orders", "guests-test"),
    ],
)
def test_excluded_jobs(words: str, exclude: str, names: str) -> None:
    assert select(words.split(), JOBS, exclude.split()).names == tuple(names.split())


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["guests-test"], {"guests-test"}),
        (["customers"], {"guests"}),
        (["guests*"], set()),
        (["+guests-test"], set()),
        (["guests,tag:crm"], set()),
        (["tag:crm", "orders"], {"orders"}),
    ],
)
def test_only_exact_names_name_a_job(words: list[str], named: set[str]) -> None:
    assert select(words, JOBS).named == named


@pytest.mark.parametrize(
    ("word", "message", "known", "meant"),
    [
        ("guest", 'unknown job "guest"', ("checks", "guests", "guests-test", "orders"), "guest"),
        ("x*", '"x*" matches no job', ("checks", "guests", "guests-test", "orders"), "x"),
        ("tag:nightlyy", '"tag:nightlyy" matches no job', ("cars", "crm", "nightly"), "nightlyy"),
        ("tag:", '"tag:" matches no job', ("cars", "crm", "nightly"), ""),
        ("connection:site", '"connection:site" matches no job', ("motorweb", "sitecore"), "site"),
        ("vendor:cdp", '"vendor:cdp" matches no job', ("motorweb-bdp", "sitecore-cdp"), "cdp"),
        ("state:edited", '"state:edited" matches no job', ("new", "modified"), "edited"),
        ("result:ok", '"result:ok" matches no job', ("failed", "rejected", "attention"), "ok"),
        ("tags:crm", 'unknown selector method "tags" in "tags:crm"',
         ("tag", "connection", "vendor", "state", "result"), "tags"),
        ("", "empty selector: a term is missing", ("checks", "guests", "guests-test", "orders"), ""),
        ("+", 'invalid selector "+": a term is missing', ("checks", "guests", "guests-test", "orders"), ""),
        ("guests,", 'invalid selector "guests,": a term is missing',
         ("checks", "guests", "guests-test", "orders"), ""),
        ("tag:crm,vendor:motorweb-bdp",
         ('no job matches all terms of "tag:crm,vendor:motorweb-bdp" (tag:crm: guests, orders; vendor:motorweb-bdp: '
         "checks); a blank instead of a comma selects each"), ("checks", "guests", "guests-test", "orders"), ""),
    ],
)  # fmt: skip
def test_selector_that_matches_nothing_is_an_error(word: str, message: str, known: tuple[str, ...], meant: str) -> None:
    for words, exclude in (([word], []), ([], [word]), (["guests", word], [])):
        with pytest.raises(SelectorError) as caught:
            select(words, JOBS, exclude)
        assert (caught.value.message, caught.value.known, caught.value.word) == (message, known, meant)


def test_excluding_every_selected_job_is_an_error() -> None:
    with pytest.raises(SelectorError, match="every selected job is excluded") as caught:
        select(["guests", "orders"], JOBS, ["connection:sitecore"])
    assert caught.value.known == ("guests", "orders")


def test_a_state_of_no_job_is_an_error_without_suggestion() -> None:
    unchanged = [JobFacts(name="guests", state=JobState.UNCHANGED)]
    with pytest.raises(SelectorError) as caught:
        select(["state:new"], unchanged)
    assert (caught.value.word, caught.value.kind) == ("", "states")


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["guests", "tag:state"], False),
        (["state:new"], True),
        (["tag:crm,+result:failed"], True),
        ([], False),
        (["state"], False),
    ],
)
def test_journal_is_read_only_for_selectors_of_runs(words: list[str], *, needed: bool) -> None:
    assert needs_journal(words) is needed


def test_circular_dependencies_end() -> None:
    circle = [JobFacts(name="a", depends_on=("b",)), JobFacts(name="b", depends_on=("a",))]
    assert select(["+a"], circle) == Selection(("a", "b"))


def test_long_chains_of_dependencies_are_followed() -> None:
    chain = [JobFacts(name=f"j{n}", depends_on=(f"j{n - 1}",) if n else ()) for n in range(3000)]
    assert len(select(["+j2999"], chain).names) == 3000
    assert len(select(["j0+"], chain).names) == 3000
