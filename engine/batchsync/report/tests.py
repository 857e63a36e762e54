"""Report of `batchsync test`: tests of mappings and scenarios, with the differences of those that failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import Style, escape_controls, markdown, markdown_table, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.mapping import Place
    from batchsync.core.mapping_test import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReport:
    """Result of a test or scenario.

    Attributes:
        suite: Name of the job, or `scenarios`.
        name: Name of the test.
        place: Location in jobs.yaml.
        seconds: Duration.
        differences: How the result differs from what is expected; empty if the test passed.
        updated: Whether the expectation was replaced by the result.
    """

    suite: str
    name: str
    place: Place
    seconds: float
    differences: tuple[Difference, ...] = ()
    updated: bool = False

    @property
    def failed(self) -> bool:
        """Whether the test failed, and was not updated."""
        return bool(self.differences) and not self.updated

    @property
    def outcome(self) -> str:
        """Outcome as one word."""
        return "updated" if self.updated else "failed" if self.differences else "passed"

    def difference_lines(self) -> Iterator[str]:
        """Yield the differences: a line with `-` for what is expected, and one with `+` for what was found."""
        for item in self.differences:
            label = f"{item.path}: " if item.path else ""
            for sign, text in (("-", item.expected), ("+", item.actual)):
                if text is not None:
                    yield escape_controls(f"{sign} {label}{text}")

    def data(self) -> dict[str, object]:
        """Return the result as a JSON-compatible dictionary."""
        return {
            "suite": self.suite,
            "name": self.name,
            "file": self.place.file,
            "line": self.place.line,
            "outcome": self.outcome,
            "seconds": round(self.seconds, 4),
            "differences": [
                {"member": item.path or None, "expected": item.expected, "actual": item.actual}
                for item in self.differences
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TestsReport:
    """Results of all tests and scenarios, and notes on what was not run."""

    __test__ = False  # no class of tests, although its name begins like one

    cases: tuple[CaseReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a test failed."""
        return any(case.failed for case in self.cases)

    def text(self, paint: Style) -> str:
        """Return a line for each suite, the tests that failed with their differences, and the sum."""
        lines = []
        for suite, cases in self._suites().items():
            lines.append(f"{escape_controls(suite)}: {self._sum(cases)}")
            for case in cases:
                if case.outcome == "passed":
                    continue
                role = "warn" if case.updated else "bad"
                place = f"{escape_controls(case.place.file)}:{case.place.line}"
                lines.append(f"  {paint(case.outcome, role)}: {escape_controls(case.name)} ({place})")
                found = case.difference_lines()
                lines += [f"    {paint(line, 'bad' if line.startswith('-') else 'good')}" for line in found]
        lines += [f"note: {escape_controls(note)}" for note in self.notes]
        if not self.cases:
            lines.append("no tests")
        elif len(self._suites()) > 1:
            lines.append(f"total: {self._sum(self.cases)}")
        if any(case.failed for case in self.cases):
            lines.append("-: expected; +: found")
        if any(case.failed and case.suite != SCENARIOS for case in self.cases):
            lines.append(
                f"{paint('next', 'head')}: correct the mapping, or accept the result: `batchsync test --update`"
            )
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the sum, and a table of the tests that did not pass."""
        header = ("suite", "test", "outcome", "place", "differences")
        rows = [
            (
                case.suite,
                case.name,
                case.outcome,
                f"{case.place.file}:{case.place.line}",
                "; ".join(case.difference_lines()),
            )
            for case in self.cases
            if case.outcome != "passed"
        ]
        table = ["", markdown_table(header, rows, right=frozenset())] if rows else []
        notes = [f"- note: {markdown(note)}" for note in self.notes]
        return "\n".join([f"- tests: {self._sum(self.cases)}" if self.cases else "- no tests", *notes, *table])

    def data(self) -> dict[str, object]:
        """Return the results as a JSON-compatible dictionary."""
        return {
            "tests": [case.data() for case in self.cases],
            "counts": dict(self._counts(self.cases)),
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield an NDJSON object for each test."""
        for case in self.cases:
            yield {"event": "test"} | case.data()
        yield {"event": "result", "counts": dict(self._counts(self.cases)), "notes": list(self.notes)}

    def _suites(self) -> dict[str, list[CaseReport]]:
        """Return the tests by suite."""
        found: dict[str, list[CaseReport]] = {}
        for case in self.cases:
            found.setdefault(case.suite, []).append(case)
        return found

    def _counts(self, cases: tuple[CaseReport, ...] | list[CaseReport]) -> dict[str, int]:
        counts = Counter(case.outcome for case in cases)
        return {name: counts[name] for name in ("passed", "failed", "updated")}

    def _sum(self, cases: tuple[CaseReport, ...] | list[CaseReport]) -> str:
        """Return the counts of some tests with their duration."""
        counts = self._counts(cases)
        parts = [f"{number:,} {name}" for name, number in counts.items() if number]
        duration = sum(case.seconds for case in cases)
        took = f"{duration * 1000:.0f} ms" if duration < 1 else f"{duration:.1f} s"
        return f"{pluralize(len(cases), 'test')}, {', '.join(parts)} ({took})"


#: Name of the suite of scenarios; no job can have it, because of its blank.
SCENARIOS = "scenarios against mocks"
