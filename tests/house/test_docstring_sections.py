"""Docstrings of public functions have the sections that their code requires: Args, Returns, Yields, Raises."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = "D417,DOC201,DOC402,DOC501"
PACKAGES = ("engine/batchsync", "specs/batchsync_specs", "mocks/batchsync_mocks")
FOLDERS = sorted({str(path.parent.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / name).rglob("*.py")})


def incomplete(folder: Path, *options: str) -> list[str]:
    """Return `file:line: message` of each public function whose docstring lacks a section."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--preview", "--select", RULES, *options]
    files = sorted(str(path) for path in folder.glob("*.py"))
    done = subprocess.run(
        [*command, "--output-format=json", *files], capture_output=True, text=True, check=False, cwd=ROOT
    )
    found = json.loads(done.stdout)
    return [
        f"{Path(item['filename']).name}:{item['location']['row']}: {item['code']} {item['message']}"
        for item in found
        if is_public(Path(item["filename"]), item["location"]["row"])
    ]


def is_public(file: Path, line: int) -> bool:
    """Return whether the innermost function at a line, and all that it is defined in, have public names."""
    names = [
        node.name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return all(not name.startswith("_") or name.endswith("__") for name in names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_public_docstrings_have_their_sections(folder: str) -> None:
    assert incomplete(ROOT / folder) == []


def test_missing_section_is_found_in_public_functions_only(tmp_path: Path) -> None:
    code = '''"""M."""


def {name}(number):
    """Check the number."""
    if number < 0:
        raise ValueError
    return number
'''
    (tmp_path / "public.py").write_text(code.format(name="check"), encoding="utf-8")
    (tmp_path / "private.py").write_text(code.format(name="_check"), encoding="utf-8")
    assert [line.split(":")[0] for line in incomplete(tmp_path)] == ["public.py", "public.py"]
