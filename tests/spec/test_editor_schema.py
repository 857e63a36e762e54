"""The JSON Schema of jobs.yaml refuses mistakes where they are made, and no file that batchsync accepts."""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml.error import YAMLError
from tests.spec.broken_files import ENVIRON, MISTAKES, NAMES, TEXT, VALID, Mistake

from batchsync.errors import SpecError
from batchsync.spec import declared_names, jobs_schema, load
from batchsync.util.path_fence import PathFence
from kit.schemas import jobs_validator, read_yaml, schema_errors, text_errors

if TYPE_CHECKING:
    from batchsync.spec.json_schema_vendors import DeclaredNames

ROOT = Path(__file__).parents[2]


def broken(mistake: Mistake) -> str:
    """Return the valid file with a mistake."""
    assert VALID.count(mistake.old) >= 1, mistake.title
    return VALID.replace(mistake.old, mistake.new, 1)


def names_of(text: str, folder: Path) -> DeclaredNames:
    """Return the names that a file declares."""
    path = folder / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    return declared_names(path, environ=ENVIRON, fence=PathFence())


@cache
def validator_of_valid_file(folder: Path) -> Draft202012Validator:
    """Return the validator made for the valid file."""
    return Draft202012Validator(jobs_schema(names_of(VALID, folder)))


def test_schema_is_a_valid_schema_of_bounded_size() -> None:
    Draft202012Validator.check_schema(jobs_schema())
    assert len((files("batchsync_specs") / "jobs.schema.json").read_bytes()) < 200_000


def test_valid_file_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(VALID, encoding="utf-8")
    assert len(load(path, environ=ENVIRON).jobs) == 3
    assert text_errors(VALID) == ()
    assert schema_errors(read_yaml(VALID), validator_of_valid_file(tmp_path)) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda item: item.title)
def test_mistake_is_refused_by_batchsync_and_by_the_schema_unless_it_cannot(mistake: Mistake, tmp_path: Path) -> None:
    text = broken(mistake)
    path = tmp_path / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError):
        load(path, environ=ENVIRON)
    try:
        document = read_yaml(text)
    except YAMLError:
        assert mistake.unseen == TEXT
        return
    assert bool(schema_errors(document)) is not bool(mistake.unseen)
    if mistake.unseen == NAMES:
        assert schema_errors(document, validator_of_valid_file(tmp_path))


def test_at_least_80_mistakes_are_shown() -> None:
    assert len({item.title for item in MISTAKES}) == len(MISTAKES)
    assert sum(not item.unseen for item in MISTAKES) >= 80


@pytest.mark.parametrize(
    "file",
    ["jobs.yaml", "examples/warehouse/jobs.yaml", "examples/sitecore/jobs.yaml", "tests/journeys/real_jobs.yaml"],
    ids=lambda name: name,
)
def test_files_of_the_repository_are_accepted(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert text_errors(text) == ()
    schema = jobs_schema(declared_names(ROOT / file, environ=os.environ, fence=PathFence()))
    assert schema_errors(read_yaml(text), Draft202012Validator(schema)) == []


def test_rules_of_vendors_are_not_applied_where_a_vendor_is_unknown() -> None:
    document = read_yaml(VALID)
    document["connections"]["own"] = {"vendor": "./acme", "credentials": {"key": "${KEY}"}}
    job: dict[str, Any] = {"source": {"path": "a.csv", "key": "id"}, "mode": "merge", "record": {"a": "=a"}}
    document["jobs"]["own"] = {**job, "target": {"connection": "own", "service": "x", "list": "y"}}
    assert schema_errors(document) == []
    document["connections"]["own"]["vendor"] = "${VENDOR}"
    assert schema_errors(document) == []


def test_jobs_of_a_file_with_one_vendor_are_of_that_vendor() -> None:
    document = read_yaml(VALID)
    document["connections"] = {"crm": document["connections"]["crm"]}
    document["jobs"] = {"guests": document["jobs"]["guests"]}
    del document["jobs"]["guests"]["target"]["schema"]
    assert schema_errors(document) == ["jobs/guests/target: 'schema' is a required property"]


def test_names_of_an_unfinished_file_are_read(tmp_path: Path) -> None:
    found = names_of(
        VALID.replace("vendor: motorweb-bdp", "vendor: motorweb").replace("mode: lookup", "mode:"), tmp_path
    )
    assert found.jobs == ("guests", "orders", "checks")
    assert [(name, rules is not None) for name, rules in found.accounts.items()] == [("crm", True), ("cars", False)]
    assert (found.databases, found.storages) == (("shop", "mart"), ("lake",))


def test_names_of_a_file_that_is_no_mapping_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        names_of("- a\n- b\n", tmp_path)
    assert [problem.message for problem in caught.value.problems] == ["the file is not a mapping"]


def test_errors_of_members_name_their_place() -> None:
    text = VALID.replace("gender: female", "gendr: female")
    assert [error.partition(":")[0] for error in text_errors(text)] == ["jobs/guests/record"]
    assert jobs_validator() is jobs_validator()
