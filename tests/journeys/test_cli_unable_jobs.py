"""A job that cannot run stops only itself and the jobs that depend on it: `sync`, `plan`, `resume`, `serve`."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from batchsync_mocks.faults import Fault
from kit.command_forks import command_forks
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from kit.deployment import Deployment

#: `members` depends on the job that breaks; `visitors` uses the same connection and does not.
MORE = """\
  members:
    source: {path: members.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    depends_on: [guests]
    record: {guestType: customer, email: =email, identifiers: [{provider: members, id: =id}]}
  visitors:
    source: {path: visitors.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, email: =email, identifiers: [{provider: visitors, id: =id}]}
"""
BASELINE = ".batchsync/mocks/baselines/guests"
HEALTHY = {"vehicles": 0, "visitors": 0}


@pytest.fixture
def four_jobs(deployment: Deployment) -> Deployment:
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8") + MORE, encoding="utf-8")
    for name in ("members", "visitors"):
        (deployment.folder / f"{name}.csv").write_text(f"id,email\n{name}1,a@example.com\n", encoding="utf-8")
    return deployment


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def rename_column(folder: Path) -> None:
    edit(folder / "guests.csv", "name", "full_name")


def map_unknown_function(folder: Path) -> None:
    edit(folder / "jobs.yaml", "=lower(email)", "=lowr(email)")


def remove_source(folder: Path) -> None:
    (folder / "guests.csv").unlink()


def replace_source_by_folder(folder: Path) -> None:
    (folder / "guests.csv").unlink()
    (folder / "guests.csv").mkdir()


def damage_quotes(folder: Path) -> None:
    with (folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.write('G99,"open quote,g@example.com\n')


def write_latin_1(folder: Path) -> None:
    with (folder / "guests.csv").open("ab") as file:
        file.write("G99,Zo\xeb,g@example.com\n".encode("latin-1"))


def empty_source(folder: Path) -> None:
    (folder / "guests.csv").write_bytes(b"")


def truncate_gzip(folder: Path) -> None:
    content = gzip.compress((folder / "guests.csv").read_bytes())
    (folder / "guests.csv.gz").write_bytes(content[: len(content) // 2])
    edit(folder / "jobs.yaml", "path: guests.csv", "path: guests.csv.gz")


def point_to_broken_link(folder: Path) -> None:
    (folder / "guests.csv").unlink()
    (folder / "guests.csv").symlink_to(folder / "guests.csv")


#: what breaks the job, and its exit code
BREAKS = [
    (rename_column, 2),
    (map_unknown_function, 2),
    (remove_source, 3),
    (replace_source_by_folder, 3),
    (damage_quotes, 3),
    (write_latin_1, 3),
    (empty_source, 3),
    (truncate_gzip, 3),
    (point_to_broken_link, 3),
]
#: One of each way in which a job is refused: before its source is opened, by its schema, and while rows are read.
FEW_BREAKS = [(remove_source, 3), (rename_column, 2), (damage_quotes, 3)]


def codes(result: dict[str, Any]) -> dict[str, int]:
    """Return the exit code of each job."""
    return {item["job"]: item["exit_code"] for item in result["jobs"]}


def targets_of_providers(deployment: Deployment) -> set[str]:
    """Return the providers of the identifiers that Sitecore received."""
    entries = deployment.mocks.ledger(CDP, values=True)
    return {entry["value"]["identifiers"][0]["provider"] for entry in entries if entry.get("value")}


@pytest.mark.parametrize(("break_job", "code"), BREAKS)
def test_sync_runs_all_other_jobs(break_job: Callable[[Path], None], code: int, four_jobs: Deployment) -> None:
    break_job(four_jobs.folder)
    result = four_jobs.json("sync", expect=code)

    assert codes(result) == HEALTHY | {"guests": code, "members": 5}
    (broken,) = [item for item in result["jobs"] if item["job"] == "guests"]
    assert broken["error"]["message"]
    assert [item["skipped"] for item in result["jobs"] if item["job"] == "members"] == [
        'waiting for "guests", which has not settled'
    ]
    assert targets_of_providers(four_jobs) == {"visitors"}
    assert len(four_jobs.mocks.ledger(BDP)) == 20
    # The others are settled: repeating the command sends nothing.
    four_jobs.json("sync", expect=code)
    assert set(four_jobs.delivered(CDP).values()) == {1}


@pytest.mark.parametrize(("break_job", "code"), FEW_BREAKS)
def test_plan_shows_all_other_jobs(break_job: Callable[[Path], None], code: int, four_jobs: Deployment) -> None:
    break_job(four_jobs.folder)
    result = four_jobs.json("plan", expect=code)
    assert [item["job"] for item in result["unplanned"]] == ["guests"]
    assert [item["job"] for item in result["jobs"]] == ["vehicles", "members", "visitors"]
    assert bool(result["unplanned"][0]["problems"]) == (code == 2)
    four_jobs.json("plan", "vehicles", "visitors", expect=0)


@pytest.mark.parametrize(("break_job", "code"), FEW_BREAKS)
def test_serve_runs_all_other_jobs(break_job: Callable[[Path], None], code: int, four_jobs: Deployment) -> None:
    file = four_jobs.folder / "jobs.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("    mode:", "    schedule: {every: 1h}\n    mode:"), encoding="utf-8"
    )
    assert four_jobs.json("serve", "--once")["jobs"] == []
    four_jobs.mocks.advance(2 * 3600)
    break_job(four_jobs.folder)

    result = four_jobs.json("serve", "--once", expect=code)
    # Batches in flight are left to the next pass.
    assert codes(result) == {"vehicles": 5, "visitors": 5, "guests": code, "members": 5}
    four_jobs.mocks.advance(3 * 86400)
    four_jobs.run("serve", "--once", expect=code)
    assert targets_of_providers(four_jobs) == {"visitors"}


def test_every_problem_is_printed_with_its_place(four_jobs: Deployment) -> None:
    rename_column(four_jobs.folder)
    edit(four_jobs.folder / "jobs.yaml", "=lower(email)", "=lower(mail)")
    result = four_jobs.json("sync", expect=2)
    (problems,) = [item["error"]["problems"] for item in result["jobs"] if item["job"] == "guests"]
    assert [item["line"] for item in problems] == [25, 26]
    printed = (four_jobs.folder / "last.log").read_text(encoding="utf-8")
    for problem in problems:
        assert f"jobs.yaml:{problem['line']}:{problem['column']}: {problem['message']}" in printed


@pytest.mark.parametrize("command", ["resume", "sync"])
def test_batches_in_flight_of_job_with_renamed_column_are_followed(command: str, four_jobs: Deployment) -> None:
    four_jobs.run("sync", "--no-wait", "guests", expect=5)
    rename_column(four_jobs.folder)
    result = four_jobs.json(command, "guests", expect=0 if command == "resume" else 2)
    assert [run["state"] for item in result["jobs"] for run in item["runs"]] == ["settled"]
    assert "guests: no open batches" in four_jobs.run("resume")


def damaged_baseline(deployment: Deployment) -> AbstractContextManager[None]:
    """Flip a bit in each segment of the baseline of guests."""
    segments = [path for path in (deployment.folder / BASELINE).iterdir() if path.is_file()]
    assert segments
    for path in segments:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    return nullcontext()


@contextmanager
def locked_job(deployment: Deployment) -> Iterator[None]:
    """Let another process run the job."""
    deployment.mocks.arm(Fault(kind="delay", vendor=CDP, method="PUT", path=r"^/v2/batches/", seconds=20))
    edit(deployment.folder / "guests.csv", "guest 1,", "guest changed,")
    with subprocess.Popen(
        deployment.command("sync", "guests"),
        cwd=deployment.folder,
        env=deployment.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            while not any(item["hits"] for item in deployment.mocks.faults()):
                assert process.poll() is None
            yield
        finally:
            process.kill()


@pytest.mark.parametrize(("break_job", "code"), [(damaged_baseline, 3), (locked_job, 7)])
def test_state_or_lock_of_one_job_stops_no_other(
    break_job: Callable[[Deployment], AbstractContextManager[None]], code: int, four_jobs: Deployment
) -> None:
    four_jobs.run("sync", "guests", "vehicles", "visitors")
    with break_job(four_jobs):
        (four_jobs.folder / "visitors.csv").write_text("id,email\nvisitors2,b@example.com\n", encoding="utf-8")
        result = four_jobs.json("sync", expect=code)
    assert codes(result) == HEALTHY | {"guests": code, "members": 5}
    assert "b@example.com" in json.dumps(four_jobs.mocks.ledger(CDP, values=True))


@pytest.fixture
def real_connections(four_jobs: Deployment) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Return a function that runs a command without `--mocks`; its connections use the mocks, with credentials."""
    file = four_jobs.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    for host, vendor in (("https://api-engage-eu.sitecorecloud.io", CDP), ("https://api.tst.motorweb.app", BDP)):
        text = text.replace(host, four_jobs.mocks.urls[vendor])
    # guests has a connection of its own
    connection = text[text.index("  sitecore:\n") : text.index("jobs:\n")].replace("sitecore:", "broken:", 1)
    text = text.replace("jobs:\n", f"{connection}jobs:\n")
    before, after = text.split("  guests:\n")
    text = f"{before}  guests:\n{after.replace('connection: sitecore', 'connection: broken', 1)}"
    text = text.replace("credentials: {client_key", "poll_every: 1s\n    credentials: {client_key")
    file.write_text(text, encoding="utf-8")
    broken = text.index("  broken:\n")
    file.write_text(
        text[:broken] + text[broken:].replace("${SITECORE_API_TOKEN}", "${BROKEN_TOKEN}", 1), encoding="utf-8"
    )
    motorweb, sitecore = (four_jobs.mocks.credentials(name) for name in (BDP, CDP))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BATCHSYNC")} | {
        "MOTORWEB_CLIENT_ID": motorweb["client_id"],
        "MOTORWEB_CLIENT_SECRET": motorweb["client_secret"],
        "SITECORE_CLIENT_KEY": sitecore["client_key"],
        "SITECORE_API_TOKEN": sitecore["api_token"],
        "NO_COLOR": "1",
    }

    def run(*arguments: str, **variables: str) -> tuple[int, dict[str, Any], str]:
        command = ["-o", "json", *arguments]
        done = command_forks().run(command, cwd=four_jobs.folder, environ=environ | variables, timeout=60)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)["result"], done.stderr

    return run


def unset_variable(_file: Path) -> dict[str, str]:
    return {}


def wrong_certificates(file: Path) -> dict[str, str]:
    edit(file, "  broken:\n", f"  broken:\n    ca_bundle: {file}\n")
    return {"BROKEN_TOKEN": "x"}


def missing_secret_file(file: Path) -> dict[str, str]:
    edit(file, "${BROKEN_TOKEN}", "${file:/nonexistent/token}")
    return {}


def revoked_credential(_file: Path) -> dict[str, str]:
    return {"BROKEN_TOKEN": "revoked"}


@pytest.mark.parametrize(
    "break_connection", [unset_variable, wrong_certificates, missing_secret_file, revoked_credential]
)
def test_broken_connection_stops_only_its_jobs(
    break_connection: Callable[[Path], dict[str, str]], four_jobs: Deployment, real_connections: Any
) -> None:
    variables = break_connection(four_jobs.folder / "jobs.yaml")
    exit_code, result, _ = real_connections("sync", "--no-wait", **variables)

    assert codes(result) == {"vehicles": 5, "visitors": 5, "guests": 3, "members": 5}
    assert exit_code == 3
    assert [len(four_jobs.mocks.batches(name)) for name in (BDP, CDP)] == [1, 1]
    # Nothing of the broken job is open, so that `resume` has nothing to report about it.
    exit_code, result, _ = real_connections("resume", "--no-wait", **variables)
    assert codes(result)["guests"] == 0


def test_open_batch_of_job_without_credentials_is_named(four_jobs: Deployment, real_connections: Any) -> None:
    token = four_jobs.mocks.credentials(CDP)["api_token"]
    real_connections("sync", "--no-wait", "guests", BROKEN_TOKEN=token)
    for command in ("sync", "resume"):
        exit_code, result, _ = real_connections(command, "--no-wait", "guests")
        (guests,) = result["jobs"]
        assert (exit_code, guests["exit_code"]) == (3, 3)
        assert "BROKEN_TOKEN is not set" in guests["error"]["message"]
        assert [len(run["batches"]) for run in guests["runs"]] == [1]
