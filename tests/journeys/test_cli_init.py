"""`batchsync init` writes a folder that works at once, and overwrites no existing file unasked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from batchsync.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

WRITTEN = {".gitignore", "data/customers.csv", "data/vehicles.csv", "jobs.schema.json", "jobs.yaml"}


@pytest.fixture
def batchsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("BATCHSYNC_", "MOTORWEB_", "SITECORE_")):
            monkeypatch.delenv(name)
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


def tree(folder: Path) -> dict[str, str]:
    """Return the text of every file below a folder, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()
    }


def test_init_files_are_valid_and_sync(tmp_path: Path) -> None:
    environ = {
        name: text for name, text in os.environ.items() if not name.startswith(("BATCHSYNC", "MOTORWEB", "SITECORE"))
    }

    def run(*arguments: str, at: Path) -> str:
        command = [sys.executable, "-m", "batchsync", *arguments]
        completed = subprocess.run(
            command, cwd=at, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert completed.returncode == 0, completed.stderr
        return completed.stdout

    assert run("init", "first steps", at=tmp_path).splitlines()[-1] == (
        "next: `cd 'first steps'`, then `batchsync validate`, then `batchsync sync --mocks`"
    )
    folder = tmp_path / "first steps"
    assert "valid, 2 jobs and 2 connections" in run("validate", at=folder)
    assert run("sync", "--mocks", at=folder).splitlines()[-1] == (
        "total: 2 runs: selected 10 = unchanged 0 + accepted 10 + invalid 0 + rejected 0 + unknown 0 + deferred 0"
    )


def test_init_reports_written_files_and_next_command(batchsync: Callable[..., Result], tmp_path: Path) -> None:
    result = batchsync("init")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "next: `batchsync validate`, then `batchsync sync --mocks`"
    assert {line.removeprefix("wrote ") for line in result.stdout.splitlines()[:-1]} == WRITTEN
    assert set(tree(tmp_path)) == WRITTEN


def test_schema_comment_refers_to_existing_schema(batchsync: Callable[..., Result], tmp_path: Path) -> None:
    batchsync("init", "deep/er")
    text = (tmp_path / "deep/er/jobs.yaml").read_text(encoding="utf-8")
    schema_path = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")

    schema = json.loads((tmp_path / "deep/er" / schema_path).read_text(encoding="utf-8"))
    assert {"connections", "jobs"} <= schema["properties"].keys()


def test_init_writes_only_selected_vendors(batchsync: Callable[..., Result], tmp_path: Path) -> None:
    assert batchsync("init", "--vendor", "sitecore-cdp").exit_code == 0

    assert "motorweb" not in (tmp_path / "jobs.yaml").read_text(encoding="utf-8")
    assert set(tree(tmp_path)) == WRITTEN - {"data/vehicles.csv"}
    assert batchsync("validate").exit_code == 0


@pytest.mark.parametrize("existing", ["jobs.yaml", "data/customers.csv"])
def test_init_refuses_existing_files(existing: str, batchsync: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / existing).parent.mkdir(exist_ok=True)
    (tmp_path / existing).write_text("mine", encoding="utf-8")

    result = batchsync("init")

    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {existing} exists already; nothing was written [BS-C012]\n")
    assert "`batchsync init --force`" in result.stderr
    assert tree(tmp_path) == {existing: "mine"}


@pytest.mark.parametrize("text", ["", "# to be written\n"])
def test_hint_for_empty_jobs_file_works(text: str, batchsync: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    existing = {"jobs.yaml": text, "data/customers.csv": "mine"}
    for name, content in existing.items():
        (tmp_path / name).write_text(content, encoding="utf-8")

    suggestion = re.search(r"`batchsync (.*?)`", batchsync("validate").stderr)
    assert suggestion is not None
    assert batchsync(*suggestion[1].split()).exit_code == 0
    assert existing.items() <= tree(tmp_path).items()
    assert batchsync("validate", "-f", f"{suggestion[1].split()[-1]}/jobs.yaml").exit_code == 0


def test_init_refuses_dangling_link(batchsync: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").symlink_to(tmp_path / "elsewhere.yaml")

    assert batchsync("init").exit_code == 2
    assert tree(tmp_path) == {}
    assert batchsync("init", "--force").exit_code == 0
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_force_replaces_files_and_keeps_gitignore(batchsync: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("secret\nout/\n", encoding="utf-8")
    (tmp_path / "jobs.yaml").write_text("mine", encoding="utf-8")

    result = batchsync("init", "--force")

    assert result.exit_code == 0
    assert "note: .gitignore was not changed; add .batchsync/ to it" in result.stdout
    assert (tmp_path / ".gitignore").read_text(encoding="utf-8") == "secret\nout/\n"
    assert (tmp_path / "jobs.yaml").read_text(encoding="utf-8").startswith("# yaml-language-server")
    assert set(tree(tmp_path)) == WRITTEN


@pytest.mark.parametrize("blocked", ["data", "new/data"])
def test_failed_write_leaves_no_files(blocked: str, batchsync: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("a file where the folder should be", encoding="utf-8")

    result = batchsync("init", *(["new"] if "/" in blocked else []))

    assert result.exit_code == 3
    assert "cannot write" in result.stderr
    assert "Traceback" not in result.stderr
    assert set(tree(tmp_path)) == {blocked}


def test_force_with_folder_in_place_of_file_replaces_nothing(batchsync: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").mkdir()
    (tmp_path / "jobs.schema.json").write_text("mine", encoding="utf-8")

    result = batchsync("init", "--force")

    assert result.exit_code == 3
    assert result.stderr.startswith("error: cannot write jobs.yaml: is a folder")
    assert tree(tmp_path) == {"jobs.schema.json": "mine"}
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vendor", "unknown"], "error: no starter for vendor unknown [BS-C001]"),
        (
            ["--file", "other.yaml"],
            "error: init writes jobs.yaml into FOLDER: give the folder instead of --file [BS-C001]",
        ),
    ],
)
def test_invalid_init_arguments_are_reported(
    arguments: list[str], message: str, batchsync: Callable[..., Result], tmp_path: Path
) -> None:
    result = batchsync("init", *arguments)

    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, message)
    assert tree(tmp_path) == {}


def test_init_json_lists_written_files(batchsync: Callable[..., Result]) -> None:
    document = json.loads(batchsync("init", "here", "-o", "json").stdout)

    assert (document["ok"], document["command"], document["result"]["folder"]) == (True, "init", "here")
    assert set(document["result"]["written"]) == {f"here/{name}" for name in WRITTEN}
