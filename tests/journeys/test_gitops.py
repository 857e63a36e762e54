"""The pipeline in docs/gitops.md runs, and each edit in its table has the documented effect."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from batchsync.app import App
from batchsync.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit.deployment import Deployment

TEXT = (Path(__file__).parents[2] / "docs" / "gitops.md").read_text(encoding="utf-8")
ROWS = dict(
    re.findall(r"^\| (.+?) \| (.+) \|$", TEXT.partition("| --- | --- |\n")[2].partition("\n\n")[0], re.MULTILINE)
)


def pipeline() -> dict[str, Any]:
    """Return the jobs of the workflow on the page."""
    (shown,) = re.findall(r"```yaml\n(# \.github/workflows/.*?)```", TEXT, re.DOTALL)
    jobs: dict[str, Any] = YAML(typ="safe").load(shown)["jobs"]
    return jobs


def steps(job: str) -> list[str]:
    """Return the commands of batchsync that a job of the workflow runs."""
    return [item["run"] for item in pipeline()[job]["steps"] if "run" in item and item["run"].startswith("batchsync ")]


def bare_environ() -> dict[str, str]:
    """Return an environment without vendor variables, in which `batchsync` belongs to this interpreter."""
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith(("BATCHSYNC", "MOTORWEB", "SITECORE"))
    }
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run_step(command: str, folder: Path, environ: dict[str, str]) -> str:
    """Run a step as a CI runner does, and return the summary that it wrote."""
    summary = folder / "summary.md"
    completed = subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=folder,
        env=environ | {"GITHUB_STEP_SUMMARY": str(summary)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return summary.read_text(encoding="utf-8") if summary.exists() else ""


def test_change_is_checked_without_secrets(deployment: Deployment) -> None:
    assert [step.split()[1] for step in steps("check")] == ["validate", "test", "plan", "sync"]
    summary = ""
    for command in steps("check"):
        summary = run_step(command, deployment.folder, bare_environ())
    assert "records would be sent" in summary
    assert "G1" not in summary


def test_plan_needs_only_account_credential(
    deployment: Deployment,
) -> None:
    plan_file = deployment.folder / "reviewed.plan"
    environ = {"BATCHSYNC_STATE": str(deployment.folder / "state"), "PLAN": str(plan_file), "MOTORWEB_CLIENT_ID": "a"}
    named = [name for name in pipeline()["plan"]["env"] if name not in environ]
    (command,) = steps("plan")
    summary = run_step(command, deployment.folder, bare_environ() | environ | dict.fromkeys(named, "placeholder"))

    assert "records would be sent" in summary
    assert "G1" not in summary
    assert plan_file.exists()


def test_planned_change_is_applied_on_merge_and_later_rows_are_not(deployment: Deployment) -> None:
    environ = deployment.environ() | {"PATH": bare_environ()["PATH"], "PLAN": str(deployment.folder / "reviewed.plan")}
    (planned,), (applied,) = steps("plan"), steps("apply")
    summary = run_step(planned, deployment.folder, environ)
    rows = deployment.folder / "guests.csv"
    rows.write_text(rows.read_text(encoding="utf-8") + "G99,late,late@example.com\n", encoding="utf-8")
    run_step(applied, deployment.folder, environ)

    received = [
        entry["value"]["identifiers"][0]["id"] for entry in deployment.mocks.ledger("sitecore-cdp", values=True)
    ]
    assert sorted(received) == sorted(f"G{number}" for number in range(1, 30))
    (found,) = re.findall(r"plan file ([0-9a-f]{12})", summary)
    assert found in deployment.run("show", "guests")


def test_merged_change_is_delivered_and_reported(deployment: Deployment) -> None:
    (command,) = steps("deploy")
    summary = run_step(command, deployment.folder, deployment.environ() | {"PATH": bare_environ()["PATH"]})
    assert "accepted" in summary


def swap(old: str, new: str) -> Callable[[str], str]:
    """Return an edit of jobs.yaml."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


def plan(deployment: Deployment, edit: Callable[[str], str]) -> str:
    """Return the plan of all jobs after a sync followed by this edit."""
    file = deployment.folder / "jobs.yaml"
    deployment.run("sync", "guests", "--quiet")
    file.write_text(edit(file.read_text(encoding="utf-8")), encoding="utf-8")
    return deployment.run("plan", "--limit", "0")


NOTHING = "guests: (nothing to send)"
#: for each edit that only a plan shows: a function that makes it, and the text expected in the plan
EDITS: dict[str, tuple[Callable[[str], str], str]] = {
    "`budget`, `schedule`, `depends_on`, `compression`, `tests`": (
        swap(
            "    on_removed: delete\n    budget: {invalid: 5, rejected: 5}",
            "    on_removed: delete\n    budget: {rejected: 1%}\n    schedule: {every: 1h}\n"
            "    depends_on: [vehicles]\n    compression: smaller\n"
            "    tests: [{name: bad address, given: {id: 1, email: x}, reason: email}]",
        ),
        NOTHING,
    ),
    "`baseline`": (
        swap("    on_removed: delete\n", "    on_removed: delete\n    baseline: {keep: members}\n"),
        NOTHING,
    ),
    "`record`": (
        swap("=lower(email)", "=upper(email)\n      country: NZ"),
        "guests: + 0 adds, ~ 29 changes, - 0 removes",
    ),
    "`source.key`": (
        swap("guests.csv, key: id", "guests.csv, key: [id, name]"),
        "guests: + 29 adds, ~ 0 changes, - 0 removes",
    ),
    "the name of a job, with `renamed_from: OLD`": (
        swap("  guests:", "  visitors:\n    renamed_from: guests"),
        "visitors: (nothing to send)",
    ),
    "a job is taken out": (lambda text: text[: text.index("  guests:")], "vehicles: + 20 adds"),
}
#: the other edits of the table; each has its own test below
OTHER_EDITS = (
    "the name of a job, without that line",
    "the name of a connection",
    "`guards`",
    "`suppress`",
    "`on_removed`, to a mode that removes",
    "`source`: its `path`, `join`, `format`, `delimiter`, `encoding` or `nulls`",
    "`source`: its `freshness`, `columns` or `on_breach`",
    "the account of a connection, or its `base_url`",
)


def test_every_documented_edit_has_a_test() -> None:
    assert set(ROWS) == {*EDITS, *OTHER_EDITS}


@pytest.mark.parametrize("row", EDITS)
def test_edit_has_documented_effect(row: str, deployment: Deployment) -> None:
    edit, expected = EDITS[row]

    output = plan(deployment, edit)

    assert expected in output
    assert ("guests" in output) == (row not in {"the name of a job, with `renamed_from: OLD`", "a job is taken out"})


def apply_edits(deployment: Deployment, *edits: Callable[[str], str]) -> None:
    file = deployment.folder / "jobs.yaml"
    for edit in edits:
        file.write_text(edit(file.read_text(encoding="utf-8")), encoding="utf-8")


def test_max_change_blocks_changed_record_until_approved(
    deployment: Deployment,
) -> None:
    apply_edits(deployment, swap("on_removed:", "guards: {max_change: 50%}\n    on_removed:"))
    deployment.run("sync", "guests")
    apply_edits(deployment, swap("=lower(email)", "=upper(email)"))
    deployment.run("sync", "guests", expect=6)
    deployment.run("approve", "guests", "--reason", "reviewed")
    assert "29 changed" in deployment.run("sync", "guests")

    apply_edits(deployment, swap("=upper(email)", "=lower(email)"))
    deployment.run("sync", "guests", expect=6)
    apply_edits(deployment, swap("max_change: 50%", "max_change: 100%"))
    assert "29 changed" in deployment.run("sync", "guests")


def test_max_remove_blocks_removal_of_earlier_deleted_keys(
    deployment: Deployment,
) -> None:
    apply_edits(deployment, swap("on_removed: delete", "on_removed: ignore"))
    deployment.run("sync", "guests")
    rows = deployment.folder / "guests.csv"
    rows.write_text(rows.read_text(encoding="utf-8").replace("G1,guest 1,guest1@example.com\n", ""), encoding="utf-8")
    assert "nothing to send" in deployment.run("sync", "guests")

    apply_edits(deployment, swap("on_removed: ignore", "on_removed: delete\n    guards: {max_remove: 0}"))
    deployment.run("sync", "guests", expect=6)
    apply_edits(deployment, swap("max_remove: 0", "max_remove: 1"))
    deployment.run("sync", "guests", expect=6)
    deployment.run("approve", "guests")
    assert "1 removed" in deployment.run("sync", "guests")


def test_new_suppression_list_sends_nothing_and_holds_removals(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    (deployment.folder / "optouts.csv").write_text("email\nguest1@example.com\n", encoding="utf-8")
    apply_edits(
        deployment,
        swap("    on_removed:", "    suppress: {path: optouts.csv, key: email, then: keep}\n    on_removed:"),
    )
    output = deployment.run("sync", "guests")
    assert "suppressed 1" in output
    assert "sent" not in output

    apply_edits(deployment, swap("then: keep", "then: remove"))
    deployment.run("sync", "guests", expect=6)
    deployment.run("approve", "guests", "--reason", "opted out")
    assert "1 removed" in deployment.run("sync", "guests")


def test_edit_of_a_contract_sends_nothing_and_holds_a_source_that_breaks_it(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    apply_edits(deployment, swap("guests.csv, key: id", "guests.csv, key: id, columns: {email: {not_null: true}}"))
    assert "nothing to send" in deployment.run("sync", "guests")

    rows = deployment.folder / "guests.csv"
    rows.write_text(rows.read_text(encoding="utf-8").replace(",guest1@example.com", ","), encoding="utf-8")
    deployment.run("sync", "guests", expect=6)
    apply_edits(deployment, swap("key: id, columns", "key: id, on_breach: fail, columns"))
    deployment.run("sync", "guests", expect=3)
    assert "batchsync approve" not in (deployment.folder / "last.log").read_text(encoding="utf-8")


def test_removals_after_source_edit_are_not_sent_until_approved_or_allowed_by_guard(
    deployment: Deployment,
) -> None:
    deployment.run("sync", "guests")
    rows = (deployment.folder / "guests.csv").read_text(encoding="utf-8")
    for number in (1, 2):
        rows = rows.replace(f"G{number},guest {number},guest{number}@example.com\n", "")
        (deployment.folder / f"other{number}.csv").write_text(rows, encoding="utf-8")

    apply_edits(deployment, swap("path: guests.csv", "path: other1.csv"))
    deployment.run("sync", "guests", expect=6)
    deployment.run("approve", "guests")
    assert "1 removed" in deployment.run("sync", "guests")

    apply_edits(deployment, swap("path: other1.csv", "path: other2.csv"))
    deployment.run("sync", "guests", expect=6)
    apply_edits(deployment, swap("    on_removed:", "    guards: {removals_after_edit: send}\n    on_removed:"))
    assert "1 removed" in deployment.run("sync", "guests")


def test_removed_job_removes_nothing_and_keeps_open_batches(deployment: Deployment) -> None:
    file = deployment.folder / "jobs.yaml"
    original = file.read_text(encoding="utf-8")
    deployment.run("sync", "guests", "--no-wait", expect=5)
    apply_edits(deployment, lambda text: text[: text.index("  guests:")])
    deployment.run("sync", "--quiet")
    assert "guests" in deployment.run("status")
    assert {item["mode"] for item in deployment.mocks.ledger("sitecore-cdp", values=True)} == {"upsert"}
    file.write_text(original, encoding="utf-8")
    assert "accepted 29" in deployment.run("resume")


@pytest.mark.parametrize(("old", "new"), [("${SITECORE_CLIENT_KEY}", "${OTHER_KEY}"), ("engage-eu", "engage-us")])
def test_baselines_of_accounts_are_separate(
    old: str, new: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITECORE_CLIENT_KEY", "first")
    monkeypatch.setenv("OTHER_KEY", "second")
    monkeypatch.chdir(deployment.folder)
    file = deployment.folder / "jobs.yaml"
    before = account_id()
    file.write_text(swap(old, new)(file.read_text(encoding="utf-8")), encoding="utf-8")
    assert account_id() != before


def account_id() -> str:
    """Return the identifier of the account of the job guests, which selects its baseline."""
    with App(Settings()) as app:
        return app.account_id(*app.jobs(["guests"]))
