"""What the mocks invent stays theirs: their answers, their state, and whom a command speaks to while they stand in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import lading_specs
from lading.settings import Settings

if TYPE_CHECKING:
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
    results: {{path: {place}}}
    budget: {{rejected: 1}}
  owners:
    source: {{job: vehicles, key: id}}
    target: {{connection: sitecore, schema: guest}}
    mode: upsert
    record: {{guestType: customer, identifiers: [{{provider: FLEET, id: =id}}]}}
"""


def lading(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run lading in a folder, with nothing set but what is given."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("LADING", "MOTORWEB", "SITECORE"))}
    return subprocess.run(
        [sys.executable, "-m", "lading", *arguments],
        cwd=folder,
        env=plain | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def outcome(said: subprocess.CompletedProcess[str]) -> Any:
    """Return the result part of a JSON envelope."""
    assert said.returncode == 0, said.stdout + said.stderr
    return json.loads(said.stdout)["result"]


@pytest.mark.parametrize("absolute", [False, True])
def test_answers_of_mocks_leave_the_real_results_alone_and_feed_the_jobs_that_follow(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory, *, absolute: bool
) -> None:
    place = tmp_path_factory.mktemp("elsewhere") / "cars.csv" if absolute else Path("out/cars.csv")
    real = deployment.folder / place
    real.parent.mkdir(exist_ok=True)
    real.write_text("id,vin,answer\nV1,1HGCM82633A000001,a real one\n", encoding="utf-8")
    before = real.read_bytes()
    (deployment.folder / "jobs.yaml").write_text(LOOKUP.format(place=place), encoding="utf-8")

    done = outcome(lading(deployment.folder, "-o", "json", "sync", "--mocks"))

    assert real.read_bytes() == before
    vehicles, owners = done["jobs"]
    invented = deployment.folder / vehicles["results"]
    assert invented.is_relative_to(deployment.folder / ".lading" / "mocks")
    assert pl.read_csv(invented)["id"].len() == vehicles["runs"][0]["settlement"]["accepted"] == 19
    assert (owners["results"], owners["runs"][0]["settlement"]["accepted"]) == (None, 19)
    for folder in (one for one in (deployment.folder / ".lading").rglob("results*/**") if one.is_dir()):
        assert folder.stat().st_mode & 0o077 == 0, folder


def test_the_outcome_says_where_answers_came_to_be(deployment: Deployment) -> None:
    said = deployment.run("sync", "vehicles")
    assert said.splitlines()[-1] == "  results: .lading/mocks/results/out/vehicles.csv"
    assert "results:" not in deployment.run("sync", "vehicles"), "nothing was answered"


def test_no_two_places_of_results_become_one_among_the_mocks() -> None:
    meant = ["/srv/app/out/a.csv", "/out/a.csv", "/srv/out/a.csv", "/srv/app/srv/out/a.csv", "/srv/app/journal.db"]
    file = Path("/srv/app/jobs.yaml")
    mocked, real = Settings(file=file, mocks=True), Settings(file=file, mocks=False)

    apart = [mocked.results_at(one) for one in meant]
    assert len(set(apart)) == len(meant)
    assert all(Path(one).parents[0] != mocked.state_folder for one in apart)
    assert all(Path(one).is_relative_to(mocked.state_folder) for one in apart)
    assert [real.results_at(one) for one in meant] == meant
    roundabout = Settings(file=Path("/srv/other/../app/jobs.yaml"), mocks=True, state=file.parent / ".lading")
    assert [roundabout.results_at(one) for one in meant] == apart, "however the file is named"


def test_whoever_says_where_mocks_are_calls_no_vendor(deployment: Deployment) -> None:
    at = deployment.environ()["LADING_MOCKS_AT"]

    assert outcome(lading(deployment.folder, "sync", "-o", "json", LADING_MOCKS_AT=at))["total"]["accepted"] == 48
    assert (deployment.folder / ".lading" / "mocks" / "journal.db").exists()
    assert "SITECORE_CLIENT_KEY" in lading(deployment.folder, "sync", "guests", LADING_MOCKS_AT="").stderr


def test_served_mocks_that_have_ended_are_named_with_the_way_to_start_them(deployment: Deployment) -> None:
    at = deployment.environ()["LADING_MOCKS_AT"]
    deployment.mocks.close()

    said = lading(deployment.folder, "sync", LADING_MOCKS_AT=at)

    assert said.returncode == 3
    assert said.stderr.splitlines() == [
        f"error: the served mocks of {at} do not answer: ConnectionRefusedError",
        f"next: start them again: `lading mocks serve --ready-file {at}`",
    ]


def test_the_state_of_mocks_is_never_that_of_a_vendor(tmp_path: Path) -> None:
    file, state = tmp_path / "jobs.yaml", tmp_path / "state"
    assert Settings(file=file, state=state, mocks=False).state_folder == state
    assert Settings(file=file, state=state, mocks=True).state_folder == state / "mocks"
    assert Settings(file=file, state=state, mocks_at=tmp_path / "ready.json").state_folder == state / "mocks"


@pytest.fixture
def acme(deployment: Deployment) -> Path:
    """The folder of a deployment in which a third job sends to a vendor of one's own, of which there is no mock."""
    acme = deployment.folder / "acme"
    shutil.copytree(Path(lading_specs.__file__).parent / "sitecore-cdp", acme)
    spec = acme / "vendor.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("name: sitecore-cdp", "name: acme", 1), encoding="utf-8")
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text(encoding="utf-8")
    own = '  own:\n    vendor: ./acme\n    credentials: {client_key: "${A}", api_token: "${B}"}\n'
    own += "    base_url: https://api-engage-eu.sitecorecloud.io\njobs:\n"
    more = text[text.index("  guests:") :].replace("  guests:", "  acmes:").replace("sitecore,", "own,")
    jobs.write_text(text.replace("jobs:\n", own) + more, encoding="utf-8")
    return deployment.folder


def test_jobs_for_vendors_in_the_box_run_beside_one_for_a_vendor_of_ones_own(acme: Path) -> None:
    done = lading(acme, "sync", "--mocks", "guests")
    assert done.returncode == 0, done.stderr
    assert "accepted 29" in done.stdout


@pytest.mark.parametrize("at", [False, True])
def test_a_vendor_without_a_mock_is_named(deployment: Deployment, acme: Path, *, at: bool) -> None:
    served = {"LADING_MOCKS_AT": deployment.environ()["LADING_MOCKS_AT"]} if at else {}
    done = lading(acme, "sync", "--mocks", "acmes", **served)

    assert (done.returncode, done.stdout) == (2, "")
    assert "o mock of acme" in done.stderr.splitlines()[0]
    assert "there are motorweb-bdp, sitecore-cdp" in done.stderr.splitlines()[0]
    assert done.stderr.splitlines()[1] == "next: name the jobs whose vendors have one, or leave --mocks out"


def test_a_folder_with_the_spec_of_a_vendor_in_the_box_meets_its_mock(acme: Path) -> None:
    spec = acme / "acme" / "vendor.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("name: acme", "name: sitecore-cdp", 1), encoding="utf-8")

    done = lading(acme, "sync", "--mocks", "acmes")

    assert done.returncode == 0, done.stderr
    assert "accepted 29" in done.stdout


def test_mocks_that_do_not_start_say_why_in_their_own_words(deployment: Deployment) -> None:
    state = deployment.folder / "state"
    (state / "mocks" / "vendors").mkdir(parents=True, mode=0o700)
    (state / "mocks").chmod(0o700)
    (state / "mocks" / "vendors" / "world").write_text("a file where a folder belongs", encoding="utf-8")

    done = lading(deployment.folder, "sync", "--mocks", "--state", str(state))

    assert done.returncode == 3
    assert done.stderr.startswith("error: the bundled mocks did not start: ")
    assert "File exists" in done.stderr.splitlines()[0]
    assert "[mocks]" not in done.stderr
