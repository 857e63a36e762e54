"""Both parsers of ruamel.yaml read a text alike, if libyaml is used for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

import batchsync_specs
from batchsync.spec.yaml_parser import may_be_read_by_libyaml, yaml_parser

ROOT = Path(__file__).parents[2]
SPECS = Path(batchsync_specs.__file__).parent
FILES = [ROOT / "jobs.yaml", *sorted(SPECS.rglob("*.yaml"))]
LINES = [line for file in FILES for line in file.read_text(encoding="utf-8").split("\n")]
FRAGMENTS = [
    *" :-#{}[],'\"a~=?!&*|>%@`\\\n",
    "  ", "\n  ", ": ", "- ", " #", ", ", "''", "? ", "---\n", "...\n", "<<", "null", "\u2028", "\u00e9", "${X:-y}",
    "a: b", "\n- ", "\n\n", "- - ", "-1", "0x1", "1.50", "2024-01-31", "yes", "True", "\t", "\ufeff", "\r\n",
]  # fmt: skip
texts = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join),
    st.lists(st.sampled_from(LINES), min_size=1, max_size=6).map("\n".join),
    st.tuples(st.sampled_from(LINES), st.sampled_from(FRAGMENTS), st.integers(0, 80)).map(
        lambda parts: parts[0].strip()[: parts[2]] + parts[1] + parts[0].strip()[parts[2] :]
    ),
)


def events(text: str, *, libyaml: bool) -> list[tuple[Any, ...]] | None:
    """Return what batchsync uses of the events of a text; None if the parser refuses it."""
    found = []
    try:
        for event in yaml_parser(libyaml=libyaml).parse(text):
            kind, start, end = type(event).__name__, event.start_mark.index, event.end_mark.index
            scalar = (end, event.value, not event.style) if kind == "ScalarEvent" else ()
            if scalar[1:] == ("", True):
                # An absent value: libyaml places it behind the key, the other parser before what follows.
                start, scalar = 0, ()
            anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
            found.append((kind, 0 if kind.endswith("EndEvent") else start, anchor, tag, *scalar))
    except YAMLError:
        return None
    return found


def test_jobs_file_and_specs_of_the_shipped_deployment_are_read_by_libyaml() -> None:
    for file in (ROOT / "jobs.yaml", *SPECS.glob("*/vendor.yaml"), *SPECS.glob("*/records/*.yaml")):
        assert may_be_read_by_libyaml(text := file.read_text(encoding="utf-8"))
        assert events(text, libyaml=True) is not None


def test_libyaml_is_installed() -> None:
    assert "CParser" in repr(YAML(typ="safe").Parser)


@pytest.mark.parametrize("file", FILES, ids=lambda file: "/".join(file.parts[-3:]))
def test_files_of_this_repository_are_read_alike(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    if not may_be_read_by_libyaml(text):
        return
    assert events(text, libyaml=False) is not None
    if (found := events(text, libyaml=True)) is None:
        return
    assert found == events(text, libyaml=False)
    assert repr(yaml_parser(libyaml=True).load(text)) == repr(yaml_parser(libyaml=False).load(text))


@given(texts)
def test_texts_are_read_alike(text: str) -> None:
    if may_be_read_by_libyaml(text) and (found := events(text, libyaml=True)) is not None:
        assert found == events(text, libyaml=False)
