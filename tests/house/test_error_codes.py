"""The registry of error codes: complete, unique, never reused, and each code raised somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from batchsync import errors
from batchsync.report.error_codes import AREAS, errors_page
from batchsync.util.error_codes import code_of, error_codes, find_code

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine" / "batchsync"
#: Codes that were ever given, with their names: lines are only added. A code must not get another meaning.
GIVEN = Path(__file__).parent / "error_codes.txt"
CODES = error_codes()
#: Prefix of a name by the function that reports it.
PREFIXES = {"spec": "spec.", "data": "data."}


def literals() -> dict[str, set[str]]:
    """Return the text literals of the engine by the first folder or file below it, docstrings left out."""
    found: dict[str, set[str]] = {}
    for file in ENGINE.rglob("*.py"):
        area = file.relative_to(ENGINE).parts[0]
        tree = ast.parse(file.read_text(encoding="utf-8"))
        texts = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        found.setdefault(area, set()).update(texts)
    return found


LITERALS = literals()


def test_codes_and_names_are_unique_and_complete() -> None:
    names = [entry.name for entry in CODES.values()]
    assert len(set(names)) == len(names)
    for code, entry in CODES.items():
        assert re.fullmatch(rf"BS-[{''.join(AREAS)}][0-9]{{3}}", code)
        assert all((entry.title, entry.meaning, entry.example, entry.action)), code
        assert entry.meaning.endswith(".")
        assert not entry.title.endswith(".")


def test_codes_are_never_reused() -> None:
    given = dict(line.split() for line in GIVEN.read_text(encoding="utf-8").splitlines())
    assert {code: CODES[code].name for code in given if code in CODES} == given, "a code was removed or renamed"
    assert [code for code in CODES if code not in given] == [], f"add new codes to {GIVEN.name}"


@pytest.mark.parametrize("code", [code for code, entry in CODES.items() if not entry.retired])
def test_each_code_is_raised_somewhere(code: str) -> None:
    name = CODES[code].name
    area, _, rest = name.partition(".")
    by_prefix = area in PREFIXES and rest in LITERALS[area]
    assert by_prefix or any(name in texts for texts in LITERALS.values())


def test_retired_codes_are_raised_nowhere() -> None:
    everything = set().union(*LITERALS.values())
    assert [entry.code for entry in CODES.values() if entry.retired and entry.name in everything] == []


def test_each_reported_name_has_a_code() -> None:
    """Names at the calls that report problems, and of errors."""
    unknown = []
    for file in ENGINE.rglob("*.py"):
        area = file.relative_to(ENGINE).parts[0]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            values = {item.arg: item.value for item in node.keywords}
            first = node.args[0] if node.args else None
            reports = function in {"add", "_report", "problem"} and area in PREFIXES and len(node.args) > 2
            name = values.get("name") if function.endswith("Error") else first if reports else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and re.fullmatch(r"[a-z_.]+", name.value):
                full = name.value if function.endswith("Error") else PREFIXES[area] + name.value
                unknown += [] if code_of(full) else [f"{file.name}:{node.lineno} {full}"]
    assert unknown == []


def test_each_refusal_of_an_expression_has_a_code() -> None:
    found = set()
    for file in (ENGINE / "data").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal":
                codes = [item.value for item in node.keywords if item.arg == "code"] or node.args[2:3]
                found.update(item.value for item in codes if isinstance(item, ast.Constant))
    assert len(found) >= 5
    assert sorted(name for name in found if not code_of(f"data.{name}")) == []


def test_each_class_of_errors_has_a_code() -> None:
    classes = [item for item in vars(errors).values() if isinstance(item, type)]
    expected = [item for item in classes if issubclass(item, errors.BatchsyncError)]
    assert [item.__name__ for item in expected if not code_of(item.name)] == []
    assert len(expected) >= 7


@pytest.mark.parametrize("text", ["BS-Y012", "bs-y012", "y012", " Y012 ", "[BS-Y012]", "spec.unknown_key"])
def test_codes_are_found_as_people_write_them(text: str) -> None:
    found = find_code(text)
    assert found is not None
    assert found.code == "BS-Y012"


@pytest.mark.parametrize("text", ["", "12", "BS-Y999", "spec", "BS-"])
def test_other_texts_are_no_codes(text: str) -> None:
    assert (found := find_code(text)) is None or found.code == "BS-X004"


def test_page_documents_each_code() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert errors_page() in page
    by_area = sorted(CODES, key=lambda code: list(AREAS).index(code[3]))
    assert re.findall(r"^### (BS-[A-Z][0-9]{3}): ", page, re.MULTILINE) == by_area
