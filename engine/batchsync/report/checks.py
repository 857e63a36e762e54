"""The lines of `doctor`: ok, or a problem with its fix. It examines nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.report.words import Paint, markdown_table, noun, visible

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `said` is what was found; `fix` what to do, when it is a problem."""

    name: str
    ok: bool
    said: str
    fix: str = ""

    def data(self) -> dict[str, object]:
        """Return the check as plain values for JSON."""
        return {"check": self.name, "ok": self.ok, "said": self.said, "fix": self.fix or None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksReport:
    """Everything that was looked at."""

    checks: tuple[Check, ...]

    @property
    def problems(self) -> int:
        """Return how many checks found a problem."""
        return sum(not check.ok for check in self.checks)

    def text(self, paint: Paint) -> str:
        """Return one line for each check, the fix below its problem, and a verdict."""
        width = max((len(check.name) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            mark = paint("ok     ", "good") if check.ok else paint("problem", "bad")
            lines.append(f"{mark}  {check.name:<{width}}  {visible(check.said)}")
            if check.fix:
                lines.append(f"{'':<{width + 11}}{paint('fix', 'head')}: {visible(check.fix)}")
        lines.append(noun(self.problems, "problem") if self.problems else "all is well")
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return a table."""
        rows = [(check.name, "ok" if check.ok else "problem", check.said, check.fix) for check in self.checks]
        return f"### lading doctor\n\n{markdown_table(('check', 'state', 'found', 'fix'), rows, right=frozenset())}"

    def data(self) -> dict[str, object]:
        """Return the checks as plain values for JSON."""
        return {"problems": self.problems, "checks": [check.data() for check in self.checks]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each check."""
        for check in self.checks:
            yield {"event": "check"} | check.data()
