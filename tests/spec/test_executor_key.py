"""The key `executor:` of jobs.yaml: what it chooses, and what is refused with a place and the nearest valid form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.core.executor_choice import ExecutorChoice
from batchsync.errors import Problem, SpecError
from batchsync.spec import Choice, load
from kit.installed import install

if TYPE_CHECKING:
    from pathlib import Path

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${KEY}", api_token: "${TOKEN}"}
jobs:
  guests:
    source: {path: guests.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, identifiers: [{provider: CRM, id: =id}]}
"""
LINE = JOBS.count("\n") + 1


def chosen(folder: Path, text: str, environment: str | None = None) -> ExecutorChoice:
    (folder / "guests.csv").write_text("id\na\n", encoding="utf-8")
    file = folder / "jobs.yaml"
    file.write_text(JOBS + text, encoding="utf-8")
    return load(file, environ={"WORKERS": "3"}, choice=Choice(environment)).resources.executor


def problem(folder: Path, text: str) -> Problem:
    with pytest.raises(SpecError) as raised:
        chosen(folder, text)
    [found] = raised.value.problems
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ExecutorChoice()),
        ("executor: threads", ExecutorChoice()),
        ("executor: {processes: 4}", ExecutorChoice(kind="processes", workers=4)),
        ("executor:\n  processes: ${WORKERS}", ExecutorChoice(kind="processes", workers=3)),
        ("executor: {dask: local}", ExecutorChoice(kind="dask")),
        ("executor: {dask: local, workers: 2}", ExecutorChoice(kind="dask", workers=2)),
        ("executor: {dask: cluster}", ExecutorChoice(kind="dask", cluster=True)),
    ],
)
def test_forms(tmp_path: Path, text: str, expected: ExecutorChoice) -> None:
    assert chosen(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("value", "message", "expected"),
    [
        ("process", "not an executor", "{processes: 4}"),
        ("[threads]", "not an executor", "threads"),
        ("{}", "not an executor", "{dask: local}"),
        ("{processes: 0}", '"processes" is not a number of processes', "from 1 to 256"),
        ("{processes: true}", '"processes" is not a number of processes', "from 1 to 256"),
        ("{processes: 300}", '"processes" is not a number of processes', "from 1 to 256"),
        ("{processes: 2, dask: local}", 'unknown key "dask"', "only processes"),
        ("{dask: locally}", '"dask" is neither local nor a cluster', "local or cluster"),
        ("{dask: local, worker: 2}", 'unknown key "worker"', "only dask or workers"),
        ("{dask: cluster, workers: 2}", 'unknown key "workers"', "only dask"),
        ("{dask: 'tls://scheduler:8786'}", "is a setting of the machine", "BATCHSYNC_DASK_ADDRESS"),
        ("{ray: {}}", 'no installed package has the executor "ray"', "{processes: 4}"),
    ],
)
def test_refusals_name_what_would_be_right(tmp_path: Path, value: str, message: str, expected: str) -> None:
    found = problem(tmp_path, f"executor: {value}\n")
    assert message in found.message
    assert "scheduler:8786" not in found.message
    assert expected in found.expected
    assert found.line == LINE


def test_little_memory_excludes_an_executor(tmp_path: Path) -> None:
    found = problem(tmp_path, "executor: {processes: 2}\nmemory: small\n")
    assert (found.line, found.expected) == (LINE, "one of both")
    assert chosen(tmp_path, "executor: threads\nmemory: small\n") == ExecutorChoice()


def test_environment_replaces_the_executor(tmp_path: Path) -> None:
    text = "executor: {dask: cluster}\nenvironments: {test: {executor: {processes: 2}}, prod: {}}\n"
    assert chosen(tmp_path, text, "test") == ExecutorChoice(kind="processes", workers=2)
    assert chosen(tmp_path, text, "prod") == ExecutorChoice(kind="dask", cluster=True)


def test_executor_of_an_installed_package_gets_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = install(tmp_path, monkeypatch, "", "[batchsync.executors]\nray = acme_batchsync:open_ray\n").parent
    monkeypatch.syspath_prepend(str(site))
    assert chosen(tmp_path, "executor:\n  ray:\n    address: auto\n    cpus: ${WORKERS}") == ExecutorChoice(
        kind="ray", options={"address": "auto", "cpus": 3}
    )
    assert '"ray" is not a mapping' in problem(tmp_path, "executor: {ray: 3}").message
    assert "{ray: {...}}" in problem(tmp_path, "executor: {rai: {}}").expected
