"""The one JSON document that every command prints, also when it fails. It does not know what a result means.

Version 1: `schema_version, command, ok, exit_code, result, error`. Members may be added; none changes its meaning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.report.words import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.errors import Problem

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong and what to do next. `code` is a stable dotted word such as `environment`."""

    code: str
    message: str
    hint: str = ""
    problems: tuple[Problem, ...] = ()

    def data(self) -> dict[str, object]:
        """Return it as plain values for JSON."""
        problems = [
            {
                "code": one.code,
                "message": one.message,
                "file": one.file,
                "line": one.line,
                "column": one.column,
                "expected": one.expected,
                "suggestion": one.suggestion,
            }
            for one in self.problems
        ]
        return {"code": self.code, "message": self.message, "hint": self.hint, "problems": problems}

    def markdown(self) -> str:
        """Return it for a page or a pull request."""
        lines = ["### lading: it did not work", "", f"**error:** {visible(self.message)}"]
        if self.problems:
            lines.append("")
        lines += [f"- `{one.file}:{one.line}:{one.column}` {visible(one.message)}" for one in self.problems]
        if self.hint:
            lines += ["", f"**next:** {visible(self.hint)}"]
        return "\n".join(lines)


def envelope(
    command: str, exit_code: int, *, result: Mapping[str, object] | None, failure: Failure | None
) -> dict[str, object]:
    """Return the document around a result, a failure, or both (a command may have done part of its work)."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "ok": exit_code == 0,
        "exit_code": int(exit_code),
        "result": result,
        "error": failure.data() if failure else None,
    }


def annotation(problem: Problem) -> str:
    """Return the problem as a workflow command of GitHub Actions, which shows it beside the line of a pull request.

    Form and escapes: docs.github.com, "Workflow commands for GitHub Actions", setting an error message.
    """
    place = {"file": problem.file, "line": problem.line, "col": problem.column}
    where = ",".join(f"{name}={_escaped(str(value), also=',:')}" for name, value in place.items() if value)
    return f"::error {where}::{_escaped(visible(problem.message))}"


def _escaped(text: str, also: str = "") -> str:
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + also else char for char in text)


def as_json(document: Mapping[str, object]) -> str:
    """Return the document as indented JSON, in which nothing but ASCII stands."""
    return json.dumps(document, indent=2)


def as_line(document: Mapping[str, object]) -> str:
    """Return the document as one line of NDJSON."""
    return json.dumps(document, separators=(",", ":"))
