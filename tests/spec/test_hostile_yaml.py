"""Arbitrary bytes in jobs.yaml load or raise SpecError, within a time limit."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.errors import SpecError
from batchsync.spec import load, render_problem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.spec.conftest import Workshop

#: A minimal valid jobs.yaml, and fragments of YAML, references and expressions.
HEAD = (
    'version: 1\nconnections: {a: {vendor: motorweb-bdp, credentials: {client_id: "${A}", client_secret: "${B}"}}}\n'
    "jobs:\n  j:\n    source: {path: a.csv, key: id}\n    target: {connection: a, service: s}\n    mode: lookup\n"
    "    record: {vin: =id}\n    results: {path: o.csv}\n"
)
SIGNS = "\" ' { } [ ] : & * &a *a !!x = =f( ${ ${A} ${A:- $${ # > ? % @ ` \\ ~ null NO 01 1e400 .inf << each: key: -"
BREAKS = [" ", "\n", "\n  ", "\t", ": ", "- ", "|\n", "---\n", "...\n", "jobs: ", "record: ", "source: "]
RARE = ["\ufeff", "\u2028", "\x85", "\x00", "\u00e9", "\U0001f600"]
FRAGMENTS = st.sampled_from([*SIGNS.split(" "), *BREAKS, *RARE])
hostile = settings(
    max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def load_or_refuse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with suppress(SpecError):
        load(path, environ={})
        return
    with pytest.raises(SpecError) as caught:
        load(path, environ={})
    assert caught.value.problems
    for problem in caught.value.problems:
        assert render_problem(problem).startswith(str(path))
        assert problem.code.startswith("spec.")


@hostile
@given(content=st.binary(max_size=400))
def test_arbitrary_bytes_are_loaded_or_refused(workshop: Workshop, content: bytes) -> None:
    load_or_refuse(workshop.path, content)


@hostile
@given(text=st.text(max_size=300))
def test_arbitrary_text_is_loaded_or_refused(workshop: Workshop, text: str) -> None:
    load_or_refuse(workshop.path, text.encode("utf-8", "surrogatepass"))


@hostile
@given(fragments=st.lists(FRAGMENTS, max_size=40), at=st.integers(0, len(HEAD)), removed=st.integers(0, 30))
def test_damaged_valid_file_is_loaded_or_refused(
    workshop: Workshop, fragments: list[str], at: int, removed: int
) -> None:
    load_or_refuse(workshop.path, (HEAD[:at] + "".join(fragments) + HEAD[at + removed :]).encode())


BOMB = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}' if n else '*a'] * 9)}]\n" for n in range(9))


UNREADABLE_FILES = {
    "an empty file": (b"", "jobs.yaml:1:1: the file is empty"),
    "a comment alone": (b"# a comment\n", "jobs.yaml:1:1: the file is empty"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "jobs.yaml:1:1: the file is empty"),
    "a list": (b"- a\n- b\n", "jobs.yaml:1:1: the file is not a mapping"),
    "a text": (b"hello", "jobs.yaml:1:1: the file is not a mapping"),
    "UTF-16": ("version: 1".encode("utf-16"), "jobs.yaml:1:1: the file is UTF-16"),
    "Latin-1": (b"version: 1\nname: caf\xe9\n", "jobs.yaml:2:10: invalid UTF-8 (byte 0xE9)"),
    "a bell": (b"version: 1\nname: \x07\n", "jobs.yaml:2:7: control character (U+0007)"),
    "an invisible line break in a comment": ("# a\u2028b\n".encode(), "jobs.yaml:1:4: invisible line break (U+2028)"),
    "an invisible line break in braces": (
        "a: {b: c, # d\x85 e: f\n}\n".encode(),
        "jobs.yaml:1:14: invisible line break (U+0085)",
    ),
    "an invisible line break in quotes": ('a: "b\u2029c"\n'.encode(), "jobs.yaml:1:6: invisible line break (U+2029)"),
    "an unpaired surrogate": (b'a: "b\\ud800"\n', "jobs.yaml:1:4: unpaired surrogate (U+D800)"),
    "an unpaired surrogate in a list": (b'a: [b, "\\udfff"]\n', "jobs.yaml:1:8: unpaired surrogate (U+DFFF)"),
    "an unpaired surrogate in a key": (b'"\\ud800": a\n', "jobs.yaml:1:1: unpaired surrogate (U+D800)"),
    "an unpaired surrogate alone": (b'"\\ud800"', "jobs.yaml:1:1: unpaired surrogate (U+D800)"),
    "too large": (b"#" * 1_000_001, "jobs.yaml: the file is larger than 1,000,000 bytes"),
    "brackets": (b"[" * 90_000, "jobs.yaml:1:65: nested more than 64 levels deep"),
    "braces": (b"{a: " * 90_000, "jobs.yaml:1:257: nested more than 64 levels deep"),
    "dashes": (b"- " * 90_000, "jobs.yaml:1:129: nested more than 64 levels deep"),
    "too many values": (b"- a\n" * 200_000, "jobs.yaml:40000:3: the file contains more than 40,000 values"),
    "an escape beyond Unicode": (b'a: "\\UFFFFFFFF"', "jobs.yaml:1:16: invalid YAML"),
    "a directive": (b"%YAML 1.1\n---\na: 1", "jobs.yaml:2:1: YAML directives are not supported"),
    "a key that is a list": (b"? [a, b]\n: c\n", "jobs.yaml:1:3: mapping or list as a key"),
    "no key": (b": c\n", "jobs.yaml:1:1: value without a key"),
    "a reference as key": (b"${A}: c\n", "jobs.yaml:1:1: ${...} reference in a key"),
}


@pytest.mark.parametrize("name", UNREADABLE_FILES)
def test_unreadable_file_is_refused_with_its_reason(workshop: Workshop, name: str) -> None:
    content, first = UNREADABLE_FILES[name]
    shown = [problem.splitlines()[0] for problem in workshop.problems(content)]
    assert first in shown


def test_every_alias_of_alias_bomb_is_refused(workshop: Workshop) -> None:
    shown = [problem.splitlines()[0] for problem in workshop.problems(BOMB)]
    assert "jobs.yaml:1:4: YAML anchor is not supported" in shown
    assert "jobs.yaml:10:50: YAML alias is not supported" in shown
    assert sum("YAML alias" in item for item in shown) == 81


def test_file_with_thousands_of_problems_reports_two_thousand(workshop: Workshop) -> None:
    shown = workshop.problems("version: 1\nconnections: {}\njobs: {}\n" + "".join(f"k{n}: v\n" for n in range(9000)))
    assert len(shown) == 2001
    assert shown[-1] == "jobs.yaml: there may be more problems"


def test_missing_file_and_folder_are_reported(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "no.yaml", "file not found"),
        (tmp_path, "the file cannot be read: is a directory"),
    ):
        with pytest.raises(SpecError) as caught:
            load(path, environ={})
        (problem,) = caught.value.problems
        assert (problem.file, problem.message) == (str(path), message)


def test_escape_sequences_of_file_are_not_printed(workshop: Workshop) -> None:
    for problem in workshop.problems('version: "\\e[31m"\n"\\e[31mkey": 1\n\u200f: 2\n'):
        assert "\x1b" not in problem
        assert all(line.isprintable() for line in problem.splitlines())


SURROGATES = {
    "path": "path: guests.csv",
    "nulls": "key: id}",
    "schema": "schema: guest",
    "literal": "guestType: customer",
}


@pytest.mark.parametrize("name", SURROGATES)
def test_unpaired_surrogate_is_refused_at_its_place(workshop: Workshop, name: str) -> None:
    new = {
        "path": 'path: "\\ud800.csv"',
        "nulls": 'key: id, nulls: ["\\ud800"]}',
        "schema": 'schema: "\\ud800"',
        "literal": 'guestType: customer\n      firstName: "\\ud800"',
    }
    shown = workshop.problems(workshop.changed((SURROGATES[name], new[name])))
    assert [item.splitlines()[0].partition(": ")[2] for item in shown] == ["unpaired surrogate (U+D800)"]


def test_variable_that_is_not_utf8_is_refused(workshop: Workshop) -> None:
    text = workshop.changed(("path: guests.csv", 'path: "${PLACE}.csv"'))
    [shown] = workshop.problems(text, {"PLACE": "caf\udce9"})
    assert shown.splitlines()[0] == "jobs.yaml:12:21: environment variable PLACE is not valid UTF-8"
