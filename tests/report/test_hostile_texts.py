"""Texts of files and vendors neither control a terminal nor become links, mentions or references in Markdown."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

import pytest

from batchsync.cli import export
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import Problem
from batchsync.ports import Reject
from batchsync.report.envelope import Failure
from batchsync.report.message import Message
from batchsync.report.rejects import RejectLine, RejectsReport
from batchsync.report.text_format import escape_controls, markdown, markdown_with_code, strip_ansi
from batchsync.spec import render_problem

#: Every kind of character that a terminal, an editor or a spreadsheet interprets.
CONTROLS = (
    "\u202e\u202d\u202a\u202b\u202c\u2066\u2067\u2068\u2069\u200e\u200f\u061c\x1b\x07\x08\x00\x7f\x85\u2028\u2029\ufeff"
    "\u200b\u200d\U000e0041\r\n\t"
)
LINKED = (
    "@user", "@org/team", "a@example.com", "#123", "org/repo#1", "GH-5", "!7", "%4", '%"a b"', "~label", "$9", "&3",
    "http://evil.example", "HTTPS://evil.example/x", "www.evil.example", "ftp://evil.example", "mailto:a@b.example",
    "xmpp:a@b.example", "[a](http://b.example)", "<http://evil.example>", "<img src=x>", "![a](b)", "`@user`",
    "&lt;b&gt;",
)  # fmt: skip
#: What GitHub and GitLab link in text that was rendered, with the escapes of Markdown removed.
LINKS = re.compile(
    r"(?<![\w`])@[\w-]|\w@\w|(?:^|[\s(/\w])[#!$~%][\w\"]|&\d|\bGH-\d|\b(?:https?|ftp)://|\bwww\.\w|\b(?:mailto|xmpp):\w",
    re.IGNORECASE,
)


def rendered(text: str) -> list[str]:
    """Return the pieces of text of rendered Markdown, which comments and code part."""
    plain = re.sub(r"`[^`]*`", "<!-- -->", text)
    pieces = re.split(r"<!-- -->", plain)
    return [re.sub(r"\\([\\`*_{}\[\]<>|#~!])", r"\1", piece).replace("&amp;", "&") for piece in pieces]


def is_hidden(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}


@pytest.mark.parametrize("text", LINKED)
def test_nothing_becomes_a_link_or_a_mention(text: str) -> None:
    for written in (text, f"see {text}.", f"({text})", f"{text}{text}"):
        for shown in (markdown(written), markdown_with_code(written)):
            assert not [piece for piece in rendered(shown) if LINKS.search(piece)], shown
            assert not re.search(r"(?<!\\)[\[\]<](?!!-- -->)", re.sub(r"`[^`]*`", "", shown))


@pytest.mark.parametrize("text", ["5%", "1 & 2", "a # b", "jobs.yaml:7:5: unknown key", "100 %", "12:30", "x ! y"])
def test_other_texts_are_not_parted(text: str) -> None:
    assert "<!--" not in markdown(text)


@pytest.mark.parametrize("char", CONTROLS)
def test_hidden_characters_are_escaped_in_every_format(char: str) -> None:
    text = f"a{char}b"
    reject = Reject(kind=RowOutcome.INVALID, key=text, reason=text, code="c", field=text, line=0, row=1, retry=False)
    line = RejectLine(job="guests", run="guests-1", batch="", reject=reject)
    problem = Problem(
        code="c", message=text, file=text, line=1, column=1, source_line=text, expected=text, suggestion=text
    )
    failure = Failure(code="c", message=text, hint=text, problems=(problem,))
    message = Message(sentences=(text,), next_step=text)
    report = RejectsReport(about="guests", rejects=(line,), total=1)
    written = io.StringIO()
    export._write(written, [line])
    outputs = {
        "problem": render_problem(problem),
        "failure": failure.markdown(),
        "message": message.text(strip_ansi),
        "message md": message.markdown(),
        "rejects": report.text(strip_ansi),
        "rejects md": report.markdown(),
        "export": "\n".join(",".join(row) for row in csv.reader(io.StringIO(written.getvalue(), newline=""))),
        "control": escape_controls(text),
    }
    assert {name: found for name, found in outputs.items() if any(map(is_hidden, found.replace("\n", "")))} == {}
    assert outputs["export"].count("\n") == 1
