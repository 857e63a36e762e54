"""The examples of docs/jobs-files.md are one valid deployment, and its selectors are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchsync.core.selection import METHODS, JobFacts, JobState, RunResult, select
from batchsync.spec import Choice, format_text, load

PAGE = (Path(__file__).parents[2] / "docs" / "jobs-files.md").read_text(encoding="utf-8")
SUSPEND, DEFAULTS, INCLUDE, ENVIRONMENTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CONNECTIONS = """connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${KEY}", api_token: "${TOKEN}"}
"""
JOB = """    source: {path: data/guests.csv, key: id}
    target: {schema: guest}
    mode: upsert
    record: {guestType: customer, identifiers: [{provider: CRM, id: =id}]}
"""


@pytest.mark.parametrize(
    ("environment", "path", "limit"), [("test", "data/test.csv", 3), ("prod", "data/guests.csv", None)]
)
def test_examples_are_one_deployment(environment: str, path: str, limit: int | None, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "connections.yaml").write_text(CONNECTIONS, encoding="utf-8")
    (tmp_path / "jobs" / "guests.yaml").write_text(SUSPEND + JOB, encoding="utf-8")
    file = tmp_path / "jobs.yaml"
    file.write_text(INCLUDE + DEFAULTS + ENVIRONMENTS, encoding="utf-8")
    (job,) = load(file, environ={}, choice=Choice(environment)).jobs
    assert (job.source.path, job.connection, job.tags, job.suspend) == (path, "sitecore", ("crm",), True)
    assert (job.guards.max_remove.count if job.guards.max_remove else None) == limit
    assert job.budget.invalid.count == 5


@pytest.mark.parametrize("text", [SUSPEND, DEFAULTS, INCLUDE, ENVIRONMENTS])
def test_examples_are_formatted(text: str) -> None:
    assert format_text("jobs.yaml", text) == text


def test_each_selector_of_the_table_selects_a_job() -> None:
    table = PAGE.partition("| selector | jobs |")[2].partition("\n\n")[0]
    selectors = re.findall(r"`([^`]+)`", "\n".join(row.split("|")[1] for row in table.splitlines()[2:]))
    assert {item.partition(":")[0] for item in selectors if ":" in item} == set(METHODS)
    facts = {"tags": frozenset({"nightly"}), "connection": "sitecore", "vendor": "sitecore-cdp"}
    jobs = [
        JobFacts(name="guests", **facts, state=JobState.NEW, results=frozenset(RunResult)),  # type: ignore[arg-type] # by name
        JobFacts(name="orders", depends_on=("guests",), state=JobState.MODIFIED),
        JobFacts(name="b"),
    ]
    for selector in selectors:
        assert select([selector], jobs).names
