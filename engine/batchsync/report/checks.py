"""Report of `batchsync doctor` and `batchsync alerts test`: one line for each check, with a fix for each problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import Style, escape_controls, markdown_table, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of one check.

    Attributes:
        name: Name of what was checked.
        ok: Whether the check passed.
        found: What was found, in one sentence.
        fix: How to solve the problem; empty if the check passed.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""

    def data(self) -> dict[str, object]:
        """Return the check as a JSON-compatible dictionary."""
        return {"check": self.name, "ok": self.ok, "found": self.found, "fix": self.fix or None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksReport:
    """All checks of one command, which `command` names."""

    checks: tuple[Check, ...]
    command: str = "doctor"

    @property
    def problems(self) -> int:
        """Number of checks that found a problem."""
        return sum(not check.ok for check in self.checks)

    def text(self, paint: Style) -> str:
        """Return one line per check, each fix below its problem, and a summary line."""
        width = max((len(check.name) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            mark = paint("ok     ", "good") if check.ok else paint("problem", "bad")
            lines.append(f"{mark}  {check.name:<{width}}  {escape_controls(check.found)}")
            if check.fix:
                lines.append(f"{'':<{width + 11}}{paint('fix', 'head')}: {escape_controls(check.fix)}")
        lines.append(pluralize(self.problems, "problem") if self.problems else "no problems found")
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the checks as a Markdown table."""
        rows = [(check.name, "ok" if check.ok else "problem", check.found, check.fix) for check in self.checks]
        table = markdown_table(("check", "state", "found", "fix"), rows, right=frozenset())
        return f"### batchsync {self.command}\n\n{table}"

    def data(self) -> dict[str, object]:
        """Return the checks as a JSON-compatible dictionary."""
        return {"problems": self.problems, "checks": [check.data() for check in self.checks]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per check."""
        for check in self.checks:
            yield {"event": "check"} | check.data()
