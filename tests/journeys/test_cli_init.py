"""`lading init`: a folder that works at once, and no file lost on the way."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lading.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

WRITTEN = {".gitignore", "data/customers.csv", "data/vehicles.csv", "jobs.schema.json", "jobs.yaml"}


@pytest.fixture
def lading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("LADING_", "MOTORWEB_", "SITECORE_")):
            monkeypatch.delenv(name)
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


def tree(folder: Path) -> dict[str, str]:
    """Return every file below a folder, with its text."""
    return {str(one.relative_to(folder)): one.read_text(encoding="utf-8") for one in folder.rglob("*") if one.is_file()}


def test_what_init_writes_is_valid_and_syncs_at_once(tmp_path: Path) -> None:
    environ = {
        name: text for name, text in os.environ.items() if not name.startswith(("LADING", "MOTORWEB", "SITECORE"))
    }

    def run(*arguments: str, at: Path) -> str:
        command = [sys.executable, "-m", "lading", *arguments]
        done = subprocess.run(command, cwd=at, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("init", "first steps", at=tmp_path).splitlines()[-1] == (
        "next: `cd 'first steps'`, then `lading validate`, then `lading sync --mocks`"
    )
    folder = tmp_path / "first steps"
    assert "valid, 2 jobs and 2 connections" in run("validate", at=folder)
    assert run("sync", "--mocks", at=folder).splitlines()[-1] == (
        "total: 2 runs: selected 10 = unchanged 0 + accepted 10 + invalid 0 + rejected 0 + unknown 0 + held 0"
    )


def test_init_says_what_it_wrote_and_what_to_type_next(lading: Callable[..., Result], tmp_path: Path) -> None:
    said = lading("init")

    assert (said.exit_code, said.stderr) == (0, "")
    assert said.stdout.splitlines()[-1] == "next: `lading validate`, then `lading sync --mocks`"
    assert {line.removeprefix("wrote ") for line in said.stdout.splitlines()[:-1]} == WRITTEN
    assert set(tree(tmp_path)) == WRITTEN


def test_the_first_line_of_the_file_leads_an_editor_to_a_schema_that_is_there(
    lading: Callable[..., Result], tmp_path: Path
) -> None:
    lading("init", "deep/er")
    text = (tmp_path / "deep/er/jobs.yaml").read_text(encoding="utf-8")
    named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")

    schema = json.loads((tmp_path / "deep/er" / named).read_text(encoding="utf-8"))
    assert {"connections", "jobs"} <= schema["properties"].keys()


def test_only_the_vendors_that_are_named_are_written(lading: Callable[..., Result], tmp_path: Path) -> None:
    assert lading("init", "--vendor", "sitecore-cdp").exit_code == 0

    assert "motorweb" not in (tmp_path / "jobs.yaml").read_text(encoding="utf-8")
    assert set(tree(tmp_path)) == WRITTEN - {"data/vehicles.csv"}
    assert lading("validate").exit_code == 0


@pytest.mark.parametrize("there", ["jobs.yaml", "data/customers.csv"])
def test_a_file_that_is_there_is_named_and_nothing_is_written(
    there: str, lading: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("mine", encoding="utf-8")

    said = lading("init")

    assert said.exit_code == 2
    assert said.stderr.startswith(f"error: {there} is already there; nothing was written\n")
    assert "`lading init --force`" in said.stderr
    assert tree(tmp_path) == {there: "mine"}


@pytest.mark.parametrize("text", ["", "# to be written\n"])
def test_what_an_empty_file_advises_works_and_touches_nothing(
    text: str, lading: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    mine = {"jobs.yaml": text, "data/customers.csv": "mine"}
    for name, content in mine.items():
        (tmp_path / name).write_text(content, encoding="utf-8")

    advice = re.search(r"`lading (.*?)`", lading("validate").stderr)
    assert advice is not None
    assert lading(*advice[1].split()).exit_code == 0
    assert mine.items() <= tree(tmp_path).items()
    assert lading("validate", "-f", f"{advice[1].split()[-1]}/jobs.yaml").exit_code == 0


def test_a_link_that_leads_nowhere_is_there_too(lading: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").symlink_to(tmp_path / "elsewhere.yaml")

    assert lading("init").exit_code == 2
    assert tree(tmp_path) == {}
    assert lading("init", "--force").exit_code == 0
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_with_force_files_are_replaced_and_a_gitignore_is_kept(lading: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("secret\nout/\n", encoding="utf-8")
    (tmp_path / "jobs.yaml").write_text("mine", encoding="utf-8")

    said = lading("init", "--force")

    assert said.exit_code == 0
    assert "note: .gitignore was left as it is; add .lading/ to it" in said.stdout
    assert (tmp_path / ".gitignore").read_text(encoding="utf-8") == "secret\nout/\n"
    assert (tmp_path / "jobs.yaml").read_text(encoding="utf-8").startswith("# yaml-language-server")
    assert set(tree(tmp_path)) == WRITTEN


@pytest.mark.parametrize("blocked", ["data", "new/data"])
def test_when_one_file_cannot_be_written_none_is_left(
    blocked: str, lading: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("a file where the folder should be", encoding="utf-8")

    said = lading("init", *(["new"] if "/" in blocked else []))

    assert said.exit_code == 3
    assert "cannot be written" in said.stderr
    assert "Traceback" not in said.stderr
    assert set(tree(tmp_path)) == {blocked}


def test_force_replaces_nothing_when_a_folder_stands_where_a_file_belongs(
    lading: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "jobs.yaml").mkdir()
    (tmp_path / "jobs.schema.json").write_text("mine", encoding="utf-8")

    said = lading("init", "--force")

    assert said.exit_code == 3
    assert said.stderr.startswith("error: jobs.yaml cannot be written: a folder stands there")
    assert tree(tmp_path) == {"jobs.schema.json": "mine"}
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vendor", "nobody"], "error: there is no vendor nobody to start with"),
        (["--file", "other.yaml"], "error: init writes jobs.yaml into FOLDER: give the folder instead of --file"),
    ],
)
def test_a_wish_that_cannot_be_met_is_told(
    arguments: list[str], message: str, lading: Callable[..., Result], tmp_path: Path
) -> None:
    said = lading("init", *arguments)

    assert (said.exit_code, said.stderr.splitlines()[0]) == (2, message)
    assert tree(tmp_path) == {}


def test_programs_are_told_what_was_written(lading: Callable[..., Result]) -> None:
    told = json.loads(lading("init", "here", "-o", "json").stdout)

    assert (told["ok"], told["command"], told["result"]["folder"]) == (True, "init", "here")
    assert set(told["result"]["written"]) == {f"here/{name}" for name in WRITTEN}
