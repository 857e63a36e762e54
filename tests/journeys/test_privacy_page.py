"""The table of docs/privacy.md is what a search of the whole state folder for distinctive personal data finds."""

from __future__ import annotations

import fnmatch
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from batchsync.cli import main
from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP, Deployment
from kit.state_search import contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
KEYS = ("quixote-7781", "dulcinea-4410", "sancho-9931", "rocinante-2207")
VALUES = ("alonso.quijano@mancha.example", "zubizarreta", "not-an-address-at-all", "1HGCM82633A098765", "SHORT77")


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield pattern, form of keys and form of values of each place in the state folder."""
    table = PAGE.partition("| --- | --- | --- | --- | --- |\n")[2].partition("\n\n")[0]
    for line in table.splitlines():
        places, _, keys, values, _ = (cell.strip() for cell in line.strip("|").split(" | "))
        for pattern in re.findall(r"`([^`]+)`", places):
            yield pattern.replace("JOB", "*").replace("BATCH", "*"), keys, values


def form_at(path: str) -> tuple[str, str]:
    """Return the documented forms of keys and values in a file: those of the longest pattern that it matches."""
    found = [(len(pattern), keys, values) for pattern, keys, values in rows() if fnmatch.fnmatch(path, pattern)]
    assert found, f"{path} is not in the table of docs/privacy.md"
    return max(found)[1:]


def search(state: Path) -> dict[str, tuple[bool, bool]]:
    """Return by file of a state folder whether it contains keys, and values."""
    found = {}
    for path in state.rglob("*"):
        if path.is_file():
            content = b"\n".join(contents(path)).lower()
            found[str(path.relative_to(state))] = tuple(
                any(text.lower().encode() in content for text in texts) for texts in (KEYS, VALUES)
            )
    return found


@pytest.fixture
def run(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command line in the folder of a deployment, in this process."""
    monkeypatch.chdir(deployment.folder)
    for name in [item for item in os.environ if item.startswith("BATCHSYNC_MOCKS")]:
        monkeypatch.delenv(name)

    def invoke(*arguments: str, expect: int = 0, **environ: str) -> str:
        done = CliRunner().invoke(main, list(arguments), env={**deployment.environ(), **environ})
        assert done.exit_code == expect, done.output
        return done.output

    return invoke


def write_personal(folder: Path) -> None:
    guests = [
        "id,name,email",
        f"{KEYS[0]},{VALUES[1]} one,{VALUES[0]}",
        f"{KEYS[1]},{VALUES[1]} two,{VALUES[2]}",
        *(f"G{number},guest {number},guest{number}@example.com" for number in range(8)),
    ]
    vehicles = ["id,vin,plate,state", f"{KEYS[2]},{VALUES[3]},,", f"{KEYS[3]},{VALUES[4]},,"]
    (folder / "guests.csv").write_text("\n".join([*guests, ""]), encoding="utf-8")
    (folder / "vehicles.csv").write_text("\n".join([*vehicles, ""]), encoding="utf-8")


def check(state: Path, *, at_rest: bool) -> None:
    """Check what is found against the table; a place that is plain there may have nothing now."""
    found = search(state)
    for path, (has_keys, has_values) in found.items():
        keys, values = form_at(path)
        assert keys == "plain" or not has_keys, path
        assert values == "plain" or not has_values, path
    with_values = {path.partition("/")[0] for path, (_, has_values) in found.items() if has_values}
    assert with_values == ({"results"} if at_rest else {"results", "staging"})
    with_keys = {path.partition("/")[0] for path, (has_keys, _) in found.items() if has_keys}
    assert {"journal.db", "baselines"} <= with_keys


def test_state_at_rest_and_in_flight_is_as_the_table_says(deployment: Deployment, run: Callable[..., str]) -> None:
    write_personal(deployment.folder)
    run("sync")
    state = deployment.folder / ".batchsync" / "mocks"
    check(state, at_rest=True)

    source = deployment.folder / "guests.csv"
    source.write_text(source.read_text("utf-8").replace(f"{VALUES[1]} one", f"{VALUES[1]} uno"), encoding="utf-8")
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="PUT", path=r"^/v2/batches/", status=503, times=0))
    run("sync", "guests", "--no-wait", expect=5)
    check(state, at_rest=False)
    deployment.mocks.disarm()
    run("resume")
    check(state, at_rest=True)

    for key in KEYS:
        run("forget", key, "--reason=request 114")
    found = search(state)
    assert not any(has_keys for has_keys, _ in found.values()), found
    assert not any(has_values for _, has_values in found.values()), found
    sent = (deployment.delivered(CDP), deployment.delivered(BDP))
    run("sync")
    assert (deployment.delivered(CDP), deployment.delivered(BDP)) == sent
    assert search(state) == dict.fromkeys(search(state), (False, False))


EMAIL = "jane.roe.7781@people.example"


@pytest.mark.parametrize(
    ("environ", "options", "personal", "shown"),
    [
        ({}, (), None, True),
        ({}, ("-o", "md"), None, False),
        ({"CI": "true"}, (), None, False),
        ({"CI": "true"}, ("-o", "json"), None, False),
        ({"GITHUB_ACTIONS": "true"}, (), None, False),
        ({"CI": "false"}, (), None, True),
        ({"CI": "true"}, ("--show-personal",), None, True),
        ({"CI": "true"}, (), False, True),
    ],
)
def test_personal_keys_and_values_are_masked_in_markdown_and_ci(
    deployment: Deployment,
    run: Callable[..., str],
    *,
    environ: dict[str, str],
    options: tuple[str, ...],
    personal: bool | None,
    shown: bool,
) -> None:
    with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.write(f"{EMAIL},a,no-at-sign\nA-{EMAIL},a,a@example.com\n")
    if personal is not None:
        set_personal(deployment, personal=personal)
    rejected = run("sync", "guests")
    assert EMAIL not in rejected

    for command in (("plan", "guests"), ("rejects", "guests"), ("why", EMAIL)):
        if command[0] == "plan":
            (deployment.folder / "guests.csv").write_text(
                (deployment.folder / "guests.csv").read_text("utf-8").replace(",a,a@", ",b,a@"), encoding="utf-8"
            )
        text = run(*command, *options, **environ)
        assert (EMAIL in text) == (shown and command[0] != "why"), text
        assert ("n***n" in text) == (shown and personal is None and command[0] != "plan"), text
    unknown = run("why", f"x{EMAIL}", *options, expect=2, **environ)
    # The key is not known to be one of the job whose keys are not personal.
    assert (EMAIL in unknown) == (shown and personal is None)


def test_keys_of_a_job_with_personal_keys_are_masked_and_exports_are_not(
    deployment: Deployment, run: Callable[..., str]
) -> None:
    set_personal(deployment, personal=True)
    run("sync", "guests")
    shown = json.loads(run("rejects", "guests", "-o", "json", CI="1"))["result"]["rejects"]
    assert [(item["key"], item["source_row"]) for item in shown] == [("[personal key]", 30)]
    assert "[personal key]" in run("rejects", "guests", "--export", "-", CI="1")
    assert "G0" in run("rejects", "guests", "--export", "-")
    run("rejects", "guests", "--export", "rejects.csv", CI="1")
    assert "G0" in (deployment.folder / "rejects.csv").read_text("utf-8")


def set_personal(deployment: Deployment, *, personal: bool) -> None:
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text("utf-8").replace(
        "guests.csv, key: id", f"guests.csv, key: id, personal: {str(personal).lower()}"
    )
    jobs.write_text(text, encoding="utf-8")


def test_retention_is_shown_pruned_by_sync_and_by_vacuum(deployment: Deployment, run: Callable[..., str]) -> None:
    assert "retention: rejects 90d (default), runs 400d (default), batch_files 0d (default)" in run("validate")
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text("utf-8")
    jobs.write_text(text + "retention: {rejects: forever, runs: 0d}\n", encoding="utf-8")
    shown = json.loads(run("validate", "-o", "json"))["result"]["retention"]
    assert shown == {"rejects": "forever", "runs": "0d", "batch_files": "0d"}
    for _ in range(3):
        run("sync", "guests")
    history = json.loads(run("history", "guests", "-o", "json"))["result"]["runs"]
    assert [item["run"] for item in history] == ["guests-3"]

    jobs.write_text(text + "retention: {rejects: 0d}\n", encoding="utf-8")
    deleted = json.loads(run("state", "vacuum", "-o", "json"))["result"]

    assert deleted["deleted"] == 1
    assert json.loads(run("rejects", "guests", "-o", "json"))["result"]["total"] == 0
    sent = deployment.delivered(CDP)
    run("sync", "guests")
    assert deployment.delivered(CDP) == sent


@pytest.mark.parametrize("period", ["-1d", "0", "90", "90 days", "1y", "0x", "999999d"])
def test_invalid_period_is_refused_with_what_would_be_right(
    deployment: Deployment, run: Callable[..., str], period: str
) -> None:
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text("utf-8") + f"retention: {{rejects: {period}}}\n", encoding="utf-8")
    shown = run("validate", expect=2)
    assert "retention" in shown
    assert ("forever" in shown) != (period == "999999d")
