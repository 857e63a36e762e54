"""JSON envelope that every command prints, failures included.

Version 1: `schema_version, command, ok, exit_code, result, error`. Members may be added; none changes its meaning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.errors import SpecError
from batchsync.report.text_format import escape_controls, iso, markdown, markdown_with_code
from batchsync.util.error_codes import code_of, with_code

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from batchsync.errors import BatchsyncError, Problem

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Failure of a command, with the next step.

    Attributes:
        code: Stable identifier of the kind of failure, such as `environment`.
        name: Name of the error in the registry of codes; empty: that of the kind.
        message: What went wrong.
        hint: What to do next; may be empty.
        problems: All problems found in the jobs file.
    """

    code: str
    message: str
    hint: str = ""
    problems: tuple[Problem, ...] = ()
    name: str = ""

    @property
    def error_code(self) -> str:
        """Code of the error, such as BS-C006; empty if it has none."""
        return code_of(self.name or self.code)

    @property
    def message_with_code(self) -> str:
        """The message, followed by the code of a named error in brackets. Problems have codes of their own."""
        return self.message if self.problems else with_code(self.message, self.name)

    def data(self) -> dict[str, object]:
        """Return the failure as a JSON-compatible dictionary."""
        problems = [problem_data(problem) for problem in self.problems]
        return {
            "code": self.code,
            "error_code": self.error_code,
            "message": self.message,
            "hint": self.hint,
            "problems": problems,
        }

    def markdown(self) -> str:
        """Return the failure as Markdown."""
        lines = ["### batchsync: failed", "", f"**error:** {markdown_with_code(self.message_with_code)}"]
        if self.problems:
            lines.append("")
        for problem in self.problems:
            message = markdown(with_code(problem.message, problem.code))
            lines.append(f"- `{_as_code(problem.file)}:{problem.line}:{problem.column}` {message}")
        if self.hint:
            lines += ["", f"**next:** {markdown_with_code(self.hint)}"]
        return "\n".join(lines)


def _as_code(text: str) -> str:
    """Return a text that may stand in backquotes."""
    return escape_controls(text).replace("`", "'")


def problem_data(problem: Problem) -> dict[str, object]:
    """Return a problem as a JSON-compatible dictionary."""
    return {
        "code": problem.code,
        "error_code": code_of(problem.code),
        "message": problem.message,
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "expected": problem.expected,
        "suggestion": problem.suggestion,
    }


def error_data(error: BatchsyncError) -> dict[str, object]:
    """Return the error of one job as a JSON-compatible dictionary."""
    problems = error.problems if isinstance(error, SpecError) else ()
    return {
        "error_code": code_of(error.name),
        "message": error.message,
        "hint": error.hint,
        "problems": [problem_data(problem) for problem in problems],
    }


def envelope(
    command: str, exit_code: int, *, result: Mapping[str, object] | None, failure: Failure | None
) -> dict[str, object]:
    """Return the envelope around a result, a failure, or both.

    Args:
        command: Name of the command, such as `sync` or `mocks serve`.
        exit_code: Exit code of the process.
        result: Data of the command's report; None if it failed before it had any.
        failure: Failure, or None; present together with a result if the command completed only part of its work.

    Returns:
        The JSON-compatible document.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "ok": exit_code == 0,
        "exit_code": int(exit_code),
        "result": result,
        "error": failure.data() if failure else None,
    }


def annotation(problem: Problem) -> str:
    """Return the problem as a GitHub Actions workflow command, which annotates the line in a pull request.

    Format and escapes: docs.github.com, "Workflow commands for GitHub Actions", setting an error message.
    """
    location = {"file": problem.file, "line": problem.line, "col": problem.column}
    properties = ",".join(f"{name}={_escaped(str(value), also=',:')}" for name, value in location.items() if value)
    return f"::error {properties}::{_escaped(escape_controls(problem.message))}"


def _escaped(text: str, also: str = "") -> str:
    """Return the text with `%`, line ends and the characters in `also` percent-encoded."""
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + also else char for char in text)


def as_json(document: Mapping[str, object]) -> str:
    """Return the document as indented, ASCII-only JSON."""
    return json.dumps(document, indent=2)


def as_line(document: Mapping[str, object], at: datetime) -> str:
    """Return the document as one line of NDJSON, with its time as `timestamp`."""
    stamped = {"event": document["event"], "timestamp": iso(at)} | dict(document)
    return json.dumps(stamped, separators=(",", ":"))
