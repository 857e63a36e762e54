"""Invalid jobs.yaml files are refused with place, source line, caret and expected value."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.errors import ExitCode, Problem, SpecError
from batchsync.spec import fill_in_lines

if TYPE_CHECKING:
    from tests.spec.conftest import Workshop

Case = tuple[list[tuple[str, str]], str]


def cases() -> dict[str, Case]:
    """Return replacements and expected problems of each case of refused.txt by name."""
    found: dict[str, Case] = {}
    text = (Path(__file__).parent / "refused.txt").read_text(encoding="utf-8")
    for block in text.split("\n=== ")[1:]:
        name, _, rest = block.partition("\n")
        changes, _, answer = rest.partition("\n---\njobs.yaml")
        pairs = re.findall(r"<<<\n(.*?)\n>>>\n(.*?)(?=\n<<<\n|\Z)", changes, flags=re.DOTALL)
        found[name] = (pairs, "jobs.yaml" + answer.rstrip("\n"))
    return found


CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_invalid_file_is_refused_with_exact_problems(workshop: Workshop, name: str) -> None:
    changes, answer = CASES[name]
    assert "\n".join(workshop.problems(workshop.changed(*changes))) == answer


def test_all_problems_are_reported_in_file_order(workshop: Workshop) -> None:
    text = workshop.changed(
        ("vendor: motorweb-bdp", "vendor: motorweb-bpd"),
        ('"${CRM_KEY}"', "hunter2hunter2"),
        ("mode: upsert", "mode: insert"),
        ("guestType: customer", "guestTyp: customer"),
        ("provider: CRM, ", ""),
        ("key: [plate, state]", "key: 007"),
        ("mode: lookup", "mode: lookup\n    depends_on: [gests]"),
        ("out/checks.csv", "${OUT}.csv"),
    ).replace("{path: ${OUT}.csv}", '{path: "${OUT}.csv"}')
    shown = [problem.splitlines()[0] for problem in workshop.problems(text)]
    assert shown == [
        'jobs.yaml:6:31: "client_key": a literal secret',
        'jobs.yaml:8:13: unknown vendor "motorweb-bpd"',
        'jobs.yaml:14:11: sitecore-cdp guest does not support mode "insert"',
        'jobs.yaml:16:7: guest has no member "guestTyp"',
        'jobs.yaml:18:21: "identifiers" has no "provider"',
        "jobs.yaml:20:39: ambiguous unquoted value 007",
        'jobs.yaml:23:18: unknown job "gests"',
        "jobs.yaml:25:22: environment variable OUT is not set",
    ]


def test_problems_of_one_job_do_not_hide_those_of_another(workshop: Workshop) -> None:
    text = workshop.changed(("mode: upsert", "mode: upsrt"), ("mode: lookup", "mode: lokup"))
    assert [problem.splitlines()[0] for problem in workshop.problems(text)] == [
        'jobs.yaml:14:11: sitecore-cdp does not support mode "upsrt"',
        'jobs.yaml:22:11: motorweb-bdp does not support mode "lokup"',
        'jobs.yaml:24:5: "results" in a job of mode "lokup"',
    ]


def test_spec_error_has_exit_code_2_and_its_problems(workshop: Workshop) -> None:
    workshop.path.write_text(workshop.changed(("mode: upsert", "mode: upsrt")))
    with pytest.raises(SpecError) as caught:
        workshop.load(workshop.path.read_bytes())
    (problem,) = caught.value.problems
    assert caught.value.exit_code is ExitCode.INVALID
    assert (problem.code, problem.line, problem.column) == ("spec.mode", 14, 11)
    assert problem.source_line == "    mode: upsrt"


@pytest.mark.parametrize(
    "secret_line",
    [
        'credentials: {client_key: hunter2, api_token: "${T}"}',
        'credentials: {client_key: hunter2, client_key: hunter2, api_token: "${T}"}',
        'credentials: {client_key: !x hunter2, api_token: "${T}"}',
        'credentials: {client_key: &a hunter2, api_token: "${T}"}',
        'credentials: {client_key: [hunter2], api_token: "${T}"}',
        'credentials: {client_key: "${K:-hunter2}", api_tokn: "${T}"}',
        'credentials: {client_key: "hunter2, api_token: "${T}"}',
        "credentials: {client_key: hunter2, api_token: ${T}}",
        "credentials: hunter2",
        "credentials:\n      client_key: hunter2\n      client_key: hunter2\n     api_token: hunter2",
        'credentials: {client_key: |hunter2, api_token: "${T}"}',
    ],
)
def test_problems_do_not_show_secrets_of_file(workshop: Workshop, secret_line: str) -> None:
    text = workshop.changed(
        ('credentials: {client_key: "${CRM_KEY}", api_token: "${file:/run/secrets/crm}"}', secret_line),
        ("vendor: sitecore-cdp", "vendr: sitecore-cdp"),
    )
    shown = "\n".join(workshop.problems(text))
    assert "hunter2" not in shown


def test_source_lines_of_problems_are_filled_in(workshop: Workshop) -> None:
    text = workshop.changed(('"${CRM_KEY}"', "hunter2hunter2"), ("mode: upsert", "mode: upsrt"))
    with pytest.raises(SpecError) as caught:
        workshop.load(text)
    bare = tuple(replace(problem, source_line="") for problem in caught.value.problems)
    assert fill_in_lines(bare) == caught.value.problems


def test_problem_of_missing_file_is_unchanged(tmp_path: Path) -> None:
    problem = Problem(code="data.x", message="no such column", file=str(tmp_path / "gone.yaml"), line=3, column=4)
    assert fill_in_lines((problem,)) == (problem,)
