"""Formatting of files of jobs: order, indentation, quotes and comments; the meaning stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.errors import SpecError
from batchsync.spec import format_text

ROOT = Path(__file__).parents[2]
ODD = """\
# head

version: 1
jobs:
    # the guests
    guests:    # inline
        mode: 'upsert'
        # where rows come from
        source: {path: 'a.csv',   key: id}


        record:
            email: =lower(email)     # expression
            guestType: "customer"
            note: 'it''s "quoted"'
            identifiers:
            - provider: CRM
              id: =id
        target:
            schema: guest
            connection: crm

connections:
    crm:
        credentials: {client_key: '${K}', api_token: "${T}"}
        vendor: sitecore-cdp
"""
EVEN = """\
# head

version: 1
connections:
  crm:
    vendor: sitecore-cdp
    credentials: {client_key: "${K}", api_token: "${T}"}
jobs:
  # the guests
  guests: # inline
    # where rows come from
    source: {path: "a.csv", key: id}

    target:
      schema: guest
      connection: crm
    mode: "upsert"
    record:
      email: =lower(email) # expression
      guestType: "customer"
      note: 'it''s "quoted"'
      identifiers:
        - provider: CRM
          id: =id
"""


def test_odd_file_becomes_even() -> None:
    assert format_text("jobs.yaml", ODD) == EVEN
    assert format_text("jobs.yaml", EVEN) == EVEN


def test_line_ends_of_windows_become_those_of_unix() -> None:
    assert format_text("jobs.yaml", ODD.replace("\n", "\r\n")) == EVEN


@pytest.mark.parametrize("file", ["jobs.yaml", *(f"examples/{path.parent.name}/jobs.yaml" for path in
                                                sorted((ROOT / "examples").glob("*/jobs.yaml")))])  # fmt: skip
def test_shipped_files_are_formatted(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert format_text(file, text) == text


@pytest.mark.parametrize(
    "text",
    [
        'jobs:\n  a:\n    record: {b: "yes", c: no, d: 0o7, e: 1_0, f: 1.50, g: 2024-01-01, h: TRUE}\n',
        "jobs:\n  a:\n    record:\n      text: |\n        two\n\n\n\n        lines   \n      fold: >-\n        a\n",
        "jobs:\n  a:\n    record:\n      z: 1\n      b: 2\n      a: 3\n",
        "jobs: {a: {mode: upsert, source: {path: x, key: y}}}\n",
        'jobs:\n  "a b": {"c # d": "e # f", g: "h" } # i # j\n',
        "jobs:\n  a:\n    mode: 'a\\b'\n    source: 'say \"x\"'\n",
        "# only\njobs:\n  # a comment\n\n  # another\n  a:\n    mode: x\n  # end\n# last\n",
        "jobs:\n- a\n-   b: c\n",
        "jobs:\n  a:\n    record:\n      long: " + "word " * 100 + "end\n",
        "jobs:\n  ä: {ö: ü, snow: ☃}\n",
    ],
)
def test_meaning_and_comments_are_kept_and_a_second_pass_changes_nothing(text: str) -> None:
    once = format_text("jobs.yaml", text)
    assert format_text("jobs.yaml", once) == once
    assert sorted(once.split()) == sorted(text.replace("'x'", '"x"').split()) or "'" in text or "{" in text
    assert once.count("#") == text.count("#")


def test_members_of_a_record_stay_in_their_order() -> None:
    once = format_text(
        "jobs.yaml", "jobs:\n    a:\n        record:\n            z: 1\n            b: 2\n        mode: x\n"
    )
    assert once == "jobs:\n  a:\n    mode: x\n    record:\n      z: 1\n      b: 2\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("jobs: [", "spec.syntax"),
        ("jobs: &a {b: c}", "spec.anchor"),
        ("jobs: *a", "spec.alias"),
        ("", "spec.empty"),
        ("a: 1\n---\nb: 2\n", "spec.documents"),
        ("a: 1\na: 2\n", "spec.duplicate_key"),
    ],
)
def test_invalid_files_are_refused(text: str, code: str) -> None:
    with pytest.raises(SpecError) as caught:
        format_text("jobs.yaml", text)
    assert caught.value.problems[0].code == code


def test_a_file_whose_comments_would_be_lost_is_left_as_it_is() -> None:
    with pytest.raises(SpecError, match="1 problem") as caught:
        format_text("jobs.yaml", "jobs:\n  a: {mode: upsert,\n      # inside of a block in braces\n      source: x}\n")
    assert caught.value.problems[0].code == "spec.format"


def test_null_values_are_refused_or_kept() -> None:
    try:
        formatted = format_text("jobs.yaml", "jobs:\n    a:\n        mode:\n        source: x\n")
    except SpecError as error:
        assert error.problems[0].code == "spec.format"  # noqa: PT017 - either is right
    else:
        assert "mode:\n" in formatted


WORDS = st.text(st.sampled_from("abc :#'\"-{}[],&*!|>%@`=\\ \t0é"), max_size=8)
KEYS = st.sampled_from(["mode", "source", "target", "record", "guards", "x"])


@given(st.dictionaries(KEYS, st.recursive(WORDS, lambda item: st.lists(item, max_size=3), max_leaves=6), max_size=6))
def test_any_quoted_texts_keep_their_meaning(values: dict[str, object]) -> None:
    import json  # noqa: PLC0415 - only this test writes flow style

    text = "jobs:\n  a:\n" + "".join(f"    {key}: {json.dumps(value)}\n" for key, value in values.items())
    try:
        once = format_text("jobs.yaml", text)
    except SpecError as error:
        assert {item.code for item in error.problems} <= {"spec.format", "spec.syntax"}  # noqa: PT017 - either is right
    else:
        assert format_text("jobs.yaml", once) == once
