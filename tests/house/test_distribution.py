"""The distribution is complete: licence, types and data in the wheel, exact locks, documented commands, sample data."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import subprocess
import sys
import tomllib
import zipfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
APACHE_2_0 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
LOCKS = ("requirements.lock", "requirements-dev.lock")


def build(folder: Path) -> Path:
    """Build the wheel from this tree."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_licence_is_the_standard_text() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


def test_wheel_contains_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        fields = archive.read(metadata).decode()
        licence = archive.read(metadata.replace("METADATA", "licenses/LICENSE"))

    assert "License-Expression: Apache-2.0" in fields
    assert "License-File: LICENSE" in fields
    assert hashlib.sha256(licence).hexdigest() == APACHE_2_0


def test_wheel_contains_exactly_the_three_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "batchsync",
        "batchsync_mocks",
        "batchsync_specs",
    }
    assert {name for name in names if name.endswith("py.typed")} == {
        "batchsync/py.typed",
        "batchsync_mocks/py.typed",
        "batchsync_specs/py.typed",
    }
    assert {"batchsync_specs/sitecore-cdp/vendor.yaml", "batchsync_specs/motorweb-bdp/vendor.yaml"} <= set(names)


def test_wheel_is_reproducible(wheel: Path, tmp_path: Path) -> None:
    assert hashlib.sha256(build(tmp_path).read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def locked(name: str) -> dict[tuple[str, str], str]:
    """Return the locked version of each package and marker."""
    rows = re.findall(r"^([\w.-]+)==(\S+)(?: ; (.+?))? \\$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    return {(package, marker): version for package, version, marker in rows}


@pytest.mark.parametrize("name", [*LOCKS, "requirements-audit.lock"])
def test_lock_has_versions_and_hashes_but_no_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    packages = [line for line in text.splitlines() if not line.startswith((" ", "#"))]

    assert packages
    assert all(re.fullmatch(r"[a-z0-9.-]+==\S+( ; .+)? \\", line) for line in packages)
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(packages)
    assert not re.search(r"://|--index|--find-links|--trusted|\bfile:", text)


def test_locked_versions_are_the_tested_versions() -> None:
    tested = locked("requirements-dev.lock")

    assert {
        package: version for package, version in locked("requirements.lock").items() if tested.get(package) != version
    } == {}


def test_locks_contain_all_declared_dependencies() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["mocks"]
    development = [item for item in project["dependency-groups"]["dev"] if isinstance(item, str)]

    for name, required in (("requirements.lock", declared), ("requirements-dev.lock", declared + development)):
        packages = {package for package, _ in locked(name)}
        names = {re.split(r"[<>=!~\[; ]", item)[0].lower().replace(".", "-").replace("_", "-") for item in required}
        assert names - packages == set()


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group with its command line."""
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{path} lists {name} but has no such command"
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


@pytest.fixture
def command_line() -> dict[str, click.Command]:
    from batchsync.cli import main  # noqa: PLC0415 - the other tests need no command line

    found = dict(commands(main, "batchsync"))
    assert found
    return found


def test_every_command_is_documented(command_line: dict[str, click.Command]) -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    assert [path for path in command_line if f"\n## `{path}`\n" not in page] == []


def test_every_command_and_option_has_a_help_text(command_line: dict[str, click.Command]) -> None:
    undocumented = [path for path, command in command_line.items() if not (command.help or "").strip()]
    undocumented += [
        f"{path} {option.opts[0]}"
        for path, command in command_line.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden and not option.help
    ]

    assert undocumented == []


def test_sample_data_equals_output_of_its_script(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "examples" / "generate.py", tmp_path], check=True)

    generated, committed = _contents(tmp_path), _contents(ROOT / "examples" / "data")
    assert generated == committed
    assert "CREATE TABLE members" in str(committed["shop.db"])


def _contents(folder: Path) -> dict[str, bytes | list[str]]:
    """Return the contents of files; of a database its statements, because versions of SQLite write other bytes."""
    contents: dict[str, bytes | list[str]] = {}
    for file in folder.iterdir():
        if file.suffix == ".db":
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
                contents[file.name] = [*connection.iterdump()]
        else:
            contents[file.name] = file.read_bytes()
    return contents


def test_changelog_has_known_sections() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
