"""Commands with mocks: results and state are kept apart from those of the vendors, and no vendor is called."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import batchsync_specs
from batchsync.settings import Settings
from kit.command_forks import command_forks

if TYPE_CHECKING:
    import subprocess

    from kit.deployment import Deployment

LOOKUP = """\
version: 1
connections:
  motorweb:
    vendor: motorweb-bdp
    credentials: {{client_id: "${{MOTORWEB_CLIENT_ID}}", client_secret: "${{MOTORWEB_CLIENT_SECRET}}"}}
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {{client_key: "${{SITECORE_CLIENT_KEY}}", api_token: "${{SITECORE_API_TOKEN}}"}}
jobs:
  vehicles:
    source: {{path: vehicles.csv, key: id}}
    target: {{connection: motorweb, service: Vehicle ID WOVR Batch}}
    mode: lookup
    record: {{vin: =vin}}
    results: {{path: {path}}}
    budget: {{rejected: 1}}
  owners:
    source: {{job: vehicles, key: id}}
    target: {{connection: sitecore, schema: guest}}
    mode: upsert
    record: {{guestType: customer, identifiers: [{{provider: FLEET, id: =id}}]}}
"""


def batchsync(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run batchsync in a folder, with only the given settings and credentials in the environment."""
    inherited = {
        name: text for name, text in os.environ.items() if not name.startswith(("BATCHSYNC", "MOTORWEB", "SITECORE"))
    }
    return command_forks().run(arguments, cwd=folder, environ=inherited | environ, timeout=60)


def json_result(completed: subprocess.CompletedProcess[str]) -> Any:
    """Return the result part of a JSON envelope."""
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return json.loads(completed.stdout)["result"]


@pytest.mark.parametrize("absolute", [False, True])
def test_results_of_mocks_are_separate_and_feed_dependent_jobs(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory, *, absolute: bool
) -> None:
    path = tmp_path_factory.mktemp("elsewhere") / "cars.csv" if absolute else Path("out/cars.csv")
    vendor_results = deployment.folder / path
    vendor_results.parent.mkdir(exist_ok=True)
    vendor_results.write_text("id,vin,answer\nV1,1HGCM82633A000001,an answer\n", encoding="utf-8")
    before = vendor_results.read_bytes()
    (deployment.folder / "jobs.yaml").write_text(LOOKUP.format(path=path), encoding="utf-8")

    result = json_result(batchsync(deployment.folder, "-o", "json", "sync", "--mocks"))

    assert vendor_results.read_bytes() == before
    vehicles, owners = result["jobs"]
    mock_results = deployment.folder / vehicles["results"]
    assert mock_results.is_relative_to(deployment.folder / ".batchsync" / "mocks")
    assert pl.read_csv(mock_results)["id"].len() == vehicles["runs"][0]["settlement"]["accepted"] == 19
    assert (owners["results"], owners["runs"][0]["settlement"]["accepted"]) == (None, 19)
    for folder in (item for item in (deployment.folder / ".batchsync").rglob("results*/**") if item.is_dir()):
        assert folder.stat().st_mode & 0o077 == 0, folder


def test_outcome_shows_results_path(deployment: Deployment) -> None:
    output = deployment.run("sync", "vehicles")
    assert output.splitlines()[-1] == "  results: .batchsync/mocks/results/out/vehicles.csv"
    assert "results:" not in deployment.run("sync", "vehicles"), "results are shown though nothing was sent"


def test_results_paths_stay_distinct_with_mocks() -> None:
    paths = ["/srv/app/out/a.csv", "/out/a.csv", "/srv/out/a.csv", "/srv/app/srv/out/a.csv", "/srv/app/journal.db"]
    file = Path("/srv/app/jobs.yaml")
    mocked, real = Settings(file=file, mocks=True), Settings(file=file, mocks=False)

    mocked_paths = [mocked.results_path(item) for item in paths]
    assert len(set(mocked_paths)) == len(paths)
    assert all(Path(item).parents[0] != mocked.state_folder for item in mocked_paths)
    assert all(Path(item).is_relative_to(mocked.state_folder) for item in mocked_paths)
    assert [real.results_path(item) for item in paths] == paths
    other_spelling = Settings(file=Path("/srv/other/../app/jobs.yaml"), mocks=True, state=file.parent / ".batchsync")
    assert [other_spelling.results_path(item) for item in paths] == mocked_paths, (
        "paths depend on the spelling of the jobs file"
    )


def test_configured_mocks_prevent_vendor_calls(deployment: Deployment) -> None:
    ready_file = deployment.environ()["BATCHSYNC_MOCKS_AT"]

    result = json_result(batchsync(deployment.folder, "sync", "-o", "json", BATCHSYNC_MOCKS_AT=ready_file))
    assert result["total"]["accepted"] == 48
    assert (deployment.folder / ".batchsync" / "mocks" / "journal.db").exists()
    assert "SITECORE_CLIENT_KEY" in batchsync(deployment.folder, "sync", "guests", BATCHSYNC_MOCKS_AT="").stderr


def test_stopped_mocks_are_reported_with_start_command(deployment: Deployment) -> None:
    ready_file = deployment.environ()["BATCHSYNC_MOCKS_AT"]
    deployment.mocks.close()

    completed = batchsync(deployment.folder, "sync", BATCHSYNC_MOCKS_AT=ready_file)

    assert completed.returncode == 3
    assert completed.stderr.splitlines() == [
        f"error: the served mocks of {ready_file} do not answer: ConnectionRefusedError [BS-E001]",
        f"next: start them again: `batchsync mocks serve --ready-file {ready_file}`",
    ]


def test_token_of_other_mocks_is_reported_before_anything_is_sent(deployment: Deployment) -> None:
    ready_file = Path(deployment.environ()["BATCHSYNC_MOCKS_AT"])
    ready = json.loads(ready_file.read_text(encoding="utf-8"))
    ready_file.write_text(json.dumps(ready | {"control_token": "the-token-of-an-earlier-start"}), encoding="utf-8")

    completed = batchsync(deployment.folder, "sync", BATCHSYNC_MOCKS_AT=str(ready_file))

    assert completed.returncode == 3
    assert completed.stderr.splitlines() == [
        f"error: the served mocks of {ready_file} do not answer: their clock responds with status 401 [BS-E001]",
        f"next: start them again: `batchsync mocks serve --ready-file {ready_file}`",
    ]
    assert deployment.mocks.requests() == []


def test_state_of_mocks_is_separate_from_vendor_state(tmp_path: Path) -> None:
    file, state = tmp_path / "jobs.yaml", tmp_path / "state"
    assert Settings(file=file, state=state, mocks=False).state_folder == state
    assert Settings(file=file, state=state, mocks=True).state_folder == state / "mocks"
    assert Settings(file=file, state=state, mocks_at=tmp_path / "ready.json").state_folder == state / "mocks"


@pytest.fixture
def acme(deployment: Deployment) -> Path:
    """The folder of a deployment with a third job, which sends to a vendor of a folder."""
    acme = deployment.folder / "acme"
    shutil.copytree(Path(batchsync_specs.__file__).parent / "sitecore-cdp", acme)
    spec = acme / "vendor.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("name: sitecore-cdp", "name: acme", 1), encoding="utf-8")
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text(encoding="utf-8")
    connection = '  own:\n    vendor: ./acme\n    credentials: {client_key: "${A}", api_token: "${B}"}\n'
    connection += "    base_url: https://api-engage-eu.sitecorecloud.io\njobs:\n"
    job = text[text.index("  guests:") :].replace("  guests:", "  acmes:").replace("sitecore,", "own,")
    jobs.write_text(text.replace("jobs:\n", connection) + job, encoding="utf-8")
    return deployment.folder


def test_bundled_and_custom_vendors_run_together(acme: Path) -> None:
    completed = batchsync(acme, "sync", "--mocks", "guests", "acmes")
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.count("accepted 29") == 2


def test_vendor_without_running_mock_is_reported(deployment: Deployment, acme: Path) -> None:
    ready_file = deployment.environ()["BATCHSYNC_MOCKS_AT"]
    completed = batchsync(acme, "sync", "--mocks", "acmes", BATCHSYNC_MOCKS_AT=ready_file)

    output = completed.stdout + completed.stderr
    assert completed.returncode == 2
    assert "unknown vendor acme: it has no running mock" in output
    assert "available: motorweb-bdp, sitecore-cdp" in output
    assert "select jobs whose vendors have a mock, or omit --mocks" in output


def test_spec_folder_of_bundled_vendor_uses_its_mock(acme: Path) -> None:
    spec = acme / "acme" / "vendor.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("name: acme", "name: sitecore-cdp", 1), encoding="utf-8")

    completed = batchsync(acme, "sync", "--mocks", "acmes")

    assert completed.returncode == 0, completed.stderr
    assert "accepted 29" in completed.stdout


def test_mocks_that_fail_to_start_show_their_error(deployment: Deployment) -> None:
    state = deployment.folder / "state"
    (state / "mocks" / "vendors").mkdir(parents=True, mode=0o700)
    (state / "mocks").chmod(0o700)
    (state / "mocks" / "vendors" / "state").write_text("a file where a folder belongs", encoding="utf-8")

    completed = batchsync(deployment.folder, "sync", "--mocks", "--state", str(state))

    assert completed.returncode == 3
    assert completed.stderr.startswith("error: the bundled mocks did not start: ")
    assert "File exists" in completed.stderr.splitlines()[0]
    assert "batchsync[mocks]" not in completed.stderr
