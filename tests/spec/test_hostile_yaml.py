"""Whatever bytes a jobs.yaml holds, it loads or is refused by a SpecError, soon."""

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

#: The whole of a jobs.yaml in small, and pieces that YAML, references and expressions are made of.
HEAD = (
    'version: 1\nconnections: {a: {vendor: motorweb-bdp, credentials: {client_id: "${A}", client_secret: "${B}"}}}\n'
    "jobs:\n  j:\n    source: {path: a.csv, key: id}\n    target: {connection: a, service: s}\n    mode: lookup\n"
    "    record: {vin: =id}\n    results: {path: o.csv}\n"
)
SIGNS = "\" ' { } [ ] : & * &a *a !!x = =f( ${ ${A} ${A:- $${ # > ? % @ ` \\ ~ null NO 01 1e400 .inf << each: key: -"
BREAKS = [" ", "\n", "\n  ", "\t", ": ", "- ", "|\n", "---\n", "...\n", "jobs: ", "record: ", "source: "]
RARE = ["\ufeff", "\u2028", "\x85", "\x00", "\u00e9", "\U0001f600"]
PIECES = st.sampled_from([*SIGNS.split(" "), *BREAKS, *RARE])
hostile = settings(
    max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def refused_or_loaded(path: Path, content: bytes) -> None:
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
def test_any_bytes_are_loaded_or_refused(workshop: Workshop, content: bytes) -> None:
    refused_or_loaded(workshop.path, content)


@hostile
@given(text=st.text(max_size=300))
def test_any_text_is_loaded_or_refused(workshop: Workshop, text: str) -> None:
    refused_or_loaded(workshop.path, text.encode("utf-8", "surrogatepass"))


@hostile
@given(pieces=st.lists(PIECES, max_size=40), at=st.integers(0, len(HEAD)), gone=st.integers(0, 30))
def test_any_damage_to_a_good_file_is_loaded_or_refused(
    workshop: Workshop, pieces: list[str], at: int, gone: int
) -> None:
    refused_or_loaded(workshop.path, (HEAD[:at] + "".join(pieces) + HEAD[at + gone :]).encode())


BOMB = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}' if n else '*a'] * 9)}]\n" for n in range(9))


NO_JOBS_FILES = {
    "nothing": (b"", "jobs.yaml:1:1: the file is empty"),
    "a comment alone": (b"# nothing but a comment\n", "jobs.yaml:1:1: the file is empty"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "jobs.yaml:1:1: the file is empty"),
    "a list": (b"- a\n- b\n", "jobs.yaml:1:1: the file is no mapping"),
    "a text": (b"hello", "jobs.yaml:1:1: the file is no mapping"),
    "UTF-16": ("version: 1".encode("utf-16"), "jobs.yaml:1:1: the file is UTF-16"),
    "Latin-1": (b"version: 1\nname: caf\xe9\n", "jobs.yaml:2:10: this is no UTF-8 (byte 0xE9)"),
    "a bell": (b"version: 1\nname: \x07\n", "jobs.yaml:2:7: a control character (U+0007)"),
    "an unseen line end in a comment": ("# a\u2028b\n".encode(), "jobs.yaml:1:4: an unseen line end (U+2028)"),
    "an unseen line end in braces": (
        "a: {b: c, # d\x85 e: f\n}\n".encode(),
        "jobs.yaml:1:14: an unseen line end (U+0085)",
    ),
    "an unseen line end in quotes": ('a: "b\u2029c"\n'.encode(), "jobs.yaml:1:6: an unseen line end (U+2029)"),
    "half a character": (b'a: "b\\ud800"\n', "jobs.yaml:1:4: half a character (U+D800)"),
    "half a character in a list": (b'a: [b, "\\udfff"]\n', "jobs.yaml:1:8: half a character (U+DFFF)"),
    "half a character in a key": (b'"\\ud800": a\n', "jobs.yaml:1:1: half a character (U+D800)"),
    "half a character alone": (b'"\\ud800"', "jobs.yaml:1:1: half a character (U+D800)"),
    "too large": (b"#" * 1_000_001, "jobs.yaml: the file is larger than 1,000,000 bytes"),
    "brackets": (b"[" * 90_000, "jobs.yaml:1:65: more than 64 levels, one inside the other"),
    "braces": (b"{a: " * 90_000, "jobs.yaml:1:257: more than 64 levels, one inside the other"),
    "dashes": (b"- " * 90_000, "jobs.yaml:1:129: more than 64 levels, one inside the other"),
    "too many values": (b"- a\n" * 200_000, "jobs.yaml:40000:3: the file holds more than 40,000 values"),
    "an escape beyond Unicode": (b'a: "\\UFFFFFFFF"', "jobs.yaml:1:16: this is not YAML"),
    "a directive": (b"%YAML 1.1\n---\na: 1", "jobs.yaml:2:1: a YAML directive"),
    "a key that is a list": (b"? [a, b]\n: c\n", "jobs.yaml:1:3: a mapping or a list as a key"),
    "no key": (b": c\n", "jobs.yaml:1:1: a value without a key"),
    "a reference as key": (b"${A}: c\n", "jobs.yaml:1:1: a ${...} reference in a key"),
}


@pytest.mark.parametrize("name", NO_JOBS_FILES)
def test_what_is_no_jobs_file_at_all_is_said_so(workshop: Workshop, name: str) -> None:
    content, first = NO_JOBS_FILES[name]
    shown = [problem.splitlines()[0] for problem in workshop.problems(content)]
    assert first in shown


def test_a_bomb_of_aliases_is_refused_alias_by_alias(workshop: Workshop) -> None:
    shown = [problem.splitlines()[0] for problem in workshop.problems(BOMB)]
    assert "jobs.yaml:1:4: an anchor" in shown
    assert "jobs.yaml:10:50: an alias" in shown
    assert sum("an alias" in item for item in shown) == 81


def test_a_file_with_thousands_of_problems_tells_two_thousand_of_them(workshop: Workshop) -> None:
    shown = workshop.problems("version: 1\nconnections: {}\njobs: {}\n" + "".join(f"k{n}: v\n" for n in range(9000)))
    assert len(shown) == 2001
    assert shown[-1] == "jobs.yaml: there may be more problems"


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path / "no.yaml", "there is no such file"),
        (tmp_path, "the file cannot be read: is a directory"),
    ):
        with pytest.raises(SpecError) as caught:
            load(path, environ={})
        (problem,) = caught.value.problems
        assert (problem.file, problem.message) == (str(path), why)


def test_no_escape_sequence_of_a_file_reaches_the_terminal(workshop: Workshop) -> None:
    for problem in workshop.problems('version: "\\e[31m"\n"\\e[31mkey": 1\n\u200f: 2\n'):
        assert "\x1b" not in problem
        assert all(line.isprintable() for line in problem.splitlines())


HALVES = {"path": "path: guests.csv", "nulls": "key: id}", "schema": "schema: guest", "literal": "guestType: customer"}


@pytest.mark.parametrize("name", HALVES)
def test_half_a_character_is_refused_where_it_stands(workshop: Workshop, name: str) -> None:
    new = {
        "path": 'path: "\\ud800.csv"',
        "nulls": 'key: id, nulls: ["\\ud800"]}',
        "schema": 'schema: "\\ud800"',
        "literal": 'guestType: customer\n      firstName: "\\ud800"',
    }
    shown = workshop.problems(workshop.changed((HALVES[name], new[name])))
    assert [item.splitlines()[0].partition(": ")[2] for item in shown] == ["half a character (U+D800)"]


def test_a_variable_that_is_no_text_is_refused(workshop: Workshop) -> None:
    text = workshop.changed(("path: guests.csv", 'path: "${PLACE}.csv"'))
    [shown] = workshop.problems(text, {"PLACE": "caf\udce9"})
    assert shown.splitlines()[0] == "jobs.yaml:12:21: PLACE in the environment is no UTF-8 text"
