"""JUnit XML of test results, in the form that CI servers read: `testsuites`, `testsuite`, `testcase`, `failure`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.report.tests import CaseReport, TestsReport

#: Characters that XML 1.0 cannot contain, not even as references.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: TestsReport) -> str:
    """Return a report as JUnit XML.

    Characters that XML cannot contain are replaced by U+FFFD.

    Args:
        report: The report.
    """
    suites: dict[str, list[CaseReport]] = {}
    for case in report.cases:
        suites.setdefault(case.suite, []).append(case)
    lines = ['<?xml version="1.0" encoding="utf-8"?>', f'<testsuites name="batchsync"{_counts(report.cases)}>']
    for suite, cases in suites.items():
        lines.append(f"  <testsuite name={_attribute(suite)}{_counts(cases)}>")
        lines += [_case(case) for case in cases]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"])


def _counts(cases: Sequence[CaseReport]) -> str:
    """Return the attributes of counts and duration."""
    failures = sum(case.failed for case in cases)
    seconds = sum(case.seconds for case in cases)
    return f' tests="{len(cases)}" failures="{failures}" errors="0" skipped="0" time="{seconds:.4f}"'


def _case(case: CaseReport) -> str:
    """Return a test case, with its differences if it failed."""
    begin = (
        f"    <testcase classname={_attribute(case.suite)} name={_attribute(case.name)} "
        f'file={_attribute(case.place.file)} line="{case.place.line}" time="{case.seconds:.4f}"'
    )
    if not case.failed:
        return f"{begin}/>"
    message = f"{case.place.file}:{case.place.line}: the result differs from what is expected"
    body = escape(_clean("\n".join(case.difference_lines())))
    return f"{begin}>\n      <failure message={_attribute(message)}>{body}</failure>\n    </testcase>"


def _attribute(text: str) -> str:
    """Return a text as a quoted attribute; line breaks and tabs are references, because XML normalizes them."""
    return quoteattr(_clean(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
