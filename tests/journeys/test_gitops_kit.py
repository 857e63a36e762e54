"""The repository of examples/gitops with the kit of deploy/: action, GitLab template, hooks, health checks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from kit.deployment import CDP
from kit.git_repository import Repository
from kit.workflow_runner import github_api, run_action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit.deployment import Deployment
    from kit.workflow_runner import Api, Ended

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "gitops"
SHA = "a" * 40


def event(*, merged: bool | None = None, repository: str = "team/jobs", sha: str = SHA) -> dict[str, Any]:
    """Return the event of pull request 7."""
    request = {"number": 7, "merged": merged, "head": {"sha": sha, "repo": {"full_name": repository}}}
    return {"action": "closed" if merged is not None else "opened", "pull_request": request}


@pytest.fixture
def api() -> Iterator[Api]:
    with github_api() as found:
        yield found


class Checkout:
    """The example as a checkout of a runner that delivers, with a state that was begun."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.folder = deployment, deployment.folder / "checkout"
        shutil.copytree(EXAMPLE, self.folder)
        self.plans = deployment.folder / "plans"
        self.environ = deployment.environ() | {"BATCHSYNC_STATE": str(deployment.folder / "state")}
        self.command("state", "init")

    def command(self, *arguments: str, expect: int = 0) -> str:
        """Run batchsync in the checkout."""
        command = [sys.executable, "-m", "batchsync", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environ, check=False, capture_output=True, text=True)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def act(self, api: Api | None = None, *, about: dict[str, Any] | None = None, **inputs: str) -> Ended:
        """Run the action with the example's plans folder."""
        return run_action(self.folder, about or event(), self.environ, api, plans=str(self.plans), **inputs)

    def received(self) -> list[str]:
        """Return the keys that the vendor received, sorted."""
        entries = self.deployment.mocks.ledger(CDP, values=True)
        return sorted(entry["value"]["identifiers"][0]["id"] for entry in entries)


@pytest.fixture
def checkout(deployment: Deployment) -> Checkout:
    return Checkout(deployment)


def test_change_is_checked_without_state_and_secrets(checkout: Checkout) -> None:
    checked = checkout.act(command="check")
    assert checked.code == 0, checked.log
    assert "records would be sent" in checked.summary
    assert 'tests="2"' in (checkout.folder / "batchsync-tests.xml").read_text(encoding="utf-8")


def test_plan_is_commented_and_applied_as_reviewed(checkout: Checkout, api: Api) -> None:
    planned = checkout.act(api, command="plan")
    assert planned.code == 0, planned.log
    assert planned.outputs["changes"] == "true"
    assert [comment["body"].splitlines()[0] for comment in api.comments] == ["<!-- batchsync plan -->"]
    assert planned.outputs["plan-id"] in api.comments[0]["body"]
    assert api.tokens == {"Bearer job-token"}
    assert "M1" not in api.comments[0]["body"]
    assert (checkout.plans / f"{SHA}.plan").stat().st_mode & 0o777 == 0o600
    assert checkout.plans.stat().st_mode & 0o777 == 0o700

    rows = checkout.folder / "data" / "guests.csv"
    rows.write_text(rows.read_text(encoding="utf-8") + "M9,late,late,late@example.com\n", encoding="utf-8")
    applied = checkout.act(command="apply", about=event(merged=True))
    assert applied.code == 0, applied.log
    assert checkout.received() == ["M1", "M2", "M3"]
    assert list(checkout.plans.iterdir()) == []


def test_next_plan_replaces_comment_and_says_that_nothing_changes(checkout: Checkout, api: Api) -> None:
    api.comments.append({"id": 1, "body": "a person's comment"})
    checkout.act(api, command="plan")
    assert checkout.act(command="sync").code == 0
    planned = checkout.act(api, command="plan")
    assert (planned.code, planned.outputs["changes"]) == (0, "false")
    assert checkout.received() == ["M1", "M2", "M3"]
    assert len(api.comments) == 2
    assert "Nothing would be sent" in api.comments[1]["body"]


def test_mistake_is_annotated_and_fails_the_check(checkout: Checkout) -> None:
    file = checkout.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("mode: upsert", "mode: upsrt"), encoding="utf-8")
    checked = checkout.act(command="check")
    assert (checked.code, checked.outputs["exit-code"]) == (2, "2")
    assert "::error file=jobs.yaml,line=" in checked.log


def test_failing_test_fails_the_check_and_stands_in_the_report(checkout: Checkout) -> None:
    file = checkout.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("=initcap(FirstName)", "=FirstName"), encoding="utf-8")
    checked = checkout.act(command="check")
    assert checked.code == 9
    assert 'failures="1"' in (checkout.folder / "batchsync-tests.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "about", "expected"),
    [
        ("plan", event(repository="stranger/jobs"), "own branches only"),
        ("plan", {"action": "published"}, "own branches only"),
        ("plan", event(sha="../../etc/passwd"), "names no commit"),
        ("apply", event(merged=False), "only the plan of a merged pull request"),
        ("apply", event(merged=True, repository="stranger/jobs"), "only the plan of a merged pull request"),
        ("apply", event(merged=True, sha="b" * 40), "there is no plan file"),
        ("deploy; true", event(), "is none of check, plan, apply, sync"),
    ],
)
def test_event_that_does_not_fit_is_refused(
    command: str, about: dict[str, Any], expected: str, checkout: Checkout
) -> None:
    ended = checkout.act(command=command, about=about)
    assert ended.code == 2
    assert expected in ended.log
    assert checkout.deployment.mocks.ledger(CDP) == []


def test_unreachable_api_does_not_lose_the_plan(checkout: Checkout, api: Api) -> None:
    api.status = 403
    planned = checkout.act(api, command="plan")
    assert planned.code == 0
    assert "::warning title=batchsync::the plan could not be written as a comment" in planned.log
    assert (checkout.plans / f"{SHA}.plan").is_file()


def test_workflow_of_example_uses_the_action_with_its_inputs() -> None:
    workflow = YAML(typ="safe").load((EXAMPLE / ".github/workflows/batchsync.yaml").read_text(encoding="utf-8"))
    action = YAML(typ="safe").load((ROOT / "deploy/github-action/action.yml").read_text(encoding="utf-8"))
    used = [step for job in workflow["jobs"].values() for step in job["steps"] if "github-action" in step["uses"]]
    assert [step["with"]["command"] for step in used] == ["check", "plan", "apply", "sync"]
    for step in used:
        assert set(step["with"]) <= set(action["inputs"])
        folder = step["uses"].removeprefix("your/batchsync/").partition("@")[0]
        assert (ROOT / folder / "action.yml").is_file()
    assert "secrets." not in str(workflow["jobs"]["check"]) + str(workflow["jobs"]["plan"])


def test_gitlab_jobs_plan_and_apply_a_merge(checkout: Checkout) -> None:
    template = YAML(typ="safe").load((ROOT / "deploy/gitlab/batchsync.gitlab-ci.yml").read_text(encoding="utf-8"))
    checkout.command("sync")
    shutil.rmtree(checkout.folder / ".github")
    repository = Repository(checkout.folder)
    repository.run("init", "--quiet", "--initial-branch=main")
    repository.commit_all()
    repository.run("switch", "--quiet", "--create", "change")
    rows = checkout.folder / "data" / "guests.csv"
    rows.write_text(rows.read_text(encoding="utf-8") + "M4,dora,lind,dora@example.com\n", encoding="utf-8")
    head = repository.commit_all()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = checkout.environ | {"BATCHSYNC_PLANS": str(checkout.plans), "PATH": path}

    def run(job: str, **variables: str) -> subprocess.CompletedProcess[str]:
        script = "\n".join(template[job]["script"])
        command = ["bash", "-eo", "pipefail", "-c", script]
        return subprocess.run(
            command, cwd=checkout.folder, env=environ | variables, check=False, capture_output=True, text=True
        )

    assert run("batchsync:check").returncode == 0
    planned = run("batchsync:plan", CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=head)
    assert planned.returncode == 0, planned.stderr
    repository.run("switch", "--quiet", "main")
    repository.run("merge", "--quiet", "--no-ff", "--message=Merge", "change")
    applied = run("batchsync:apply")
    assert applied.returncode == 0, applied.stderr
    assert checkout.received() == ["M1", "M2", "M3", "M4"]
    assert run("batchsync:apply").returncode == 7
    assert run("batchsync:deliver").returncode == 0


def test_hooks_accept_the_example_and_refuse_mistakes(checkout: Checkout) -> None:
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    entries = {hook["id"]: hook["entry"].split()[1:] for hook in hooks}
    before = (checkout.folder / "jobs.yaml").read_text(encoding="utf-8")
    checkout.command(*entries["batchsync-fmt"], "jobs.yaml")
    assert (checkout.folder / "jobs.yaml").read_text(encoding="utf-8") == before
    checkout.command(*entries["batchsync-validate"])
    (checkout.folder / "jobs.yaml").write_text(before.replace("mode:", "mood:"), encoding="utf-8")
    checkout.command(*entries["batchsync-validate"], expect=2)


def test_health_check_of_containers_accepts_what_a_restart_does_not_change(checkout: Checkout) -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    check = dockerfile.partition("HEALTHCHECK")[2].partition("CMD ")[2].partition("\n")[0]
    environ = checkout.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def healthy() -> bool:
        return subprocess.run(["sh", "-c", check], cwd=checkout.folder, env=environ, check=False).returncode == 0

    checkout.command("sync")
    assert healthy()
    journal = Path(checkout.environ["BATCHSYNC_STATE"]) / "mocks" / "journal.db"
    journal.write_bytes(b"no database" * 1000)
    assert not healthy()
