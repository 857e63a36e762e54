"""`tests:` of a job: what is refused, each with its place."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import Protocol

    from batchsync.core.deployment import Deployment

    class Workshop(Protocol):
        """Fixture that writes and loads a jobs.yaml."""

        valid: str

        def load(self, text: str) -> Deployment:
            """Return the deployment."""
            ...

        def problems(self, text: str) -> list[str]:
            """Return the rendered problems."""
            ...


def with_tests(workshop: Workshop, tests: str) -> str:
    """Return the valid file whose first job has these tests."""
    block = "    tests:\n" + textwrap.indent(textwrap.dedent(tests), "    ")
    return workshop.valid.replace("  checks:\n", block.rstrip() + "\n  checks:\n")


@pytest.mark.parametrize(
    ("test", "message", "expected"),
    [
        ("- {given: {id: 1}, expect: {}}", '"tests" has no "name"', "name: ..."),
        ("- {name: t, expect: {}}", 'the test has neither "given" nor "removed"', "given: {column: value}"),
        ("- {name: t, given: {id: 1}, removed: 1, expect: {}}", '"given" with "removed"', "one of removed and given"),
        ("- {name: t, removed: 1, reason: x}", '"reason" with "removed"', "one of removed and reason"),
        ("- {name: t, given: {id: 1}, left_out: true, expect: {}}", '"expect" with "left_out"', "one of left_out"),
        ("- {name: t, given: {id: 1}, left_out: false}", '"left_out" can only be true', "left_out: true"),
        ("- {name: t, given: text, expect: {}}", '"given" holds what is no row', "a mapping of values by column"),
        ("- {name: t, given: [], expect: {}}", '"given" has no rows', "a mapping of values by column"),
        ("- {name: t, given: {id: 1}, expect: text}", '"expect" is no record', "the record, or a list"),
        ("- {name: t, given: {id: 1}, reason: []}", '"reason" is no text', "the reason"),
        ('- {name: t, given: {id: 1}, reason: ""}', '"reason" is no text', "the reason"),
        ("- {name: t, given: {id: 1}, joined: x, expect: {}}", '"joined" is not a mapping', "rows by the path"),
        ("- {name: t, removed: [1, 2], expect: {}}", '"removed" is no key', "a value for each key column: id"),
        ("- {name: t, removed: {no: 2}, expect: {}}", '"removed" does not name the key columns', "id"),
        ("- {name: t, given: {id: 1}, expects: {}}", 'unknown key "expects"', 'did you mean "expect"?'),
        ("- {name: t, given: {id: 0123}, expect: {}}", "ambiguous unquoted value 0123", "quotes, if it is a string"),
        ("- {name: t, given: {id: null}, expect: {}}", "null value null", "a value"),
        ("- {name: t, given: {id: 1, id: 2}, expect: {}}", 'duplicate key "id"', "unique keys"),
        ("- text", '"tests" is a string', "a mapping"),
    ],
)
def test_mistakes_are_reported_with_their_place(workshop: Workshop, test: str, message: str, expected: str) -> None:
    problems = workshop.problems(with_tests(workshop, test + "\n"))

    line = with_tests(workshop, test + "\n").split("\n").index("    tests:") + 2
    found = [problem for problem in problems if message in problem]
    assert found, problems
    assert found[0].startswith(f"jobs.yaml:{line}:")
    assert expected in found[0]


def test_names_are_unique_in_a_job(workshop: Workshop) -> None:
    problems = workshop.problems(
        with_tests(workshop, "- {name: t, given: {id: 1}, reason: x}\n- {name: t, given: {id: 2}, reason: x}\n")
    )

    assert len(problems) == 1
    assert 'a second test is called "t"' in problems[0]


def test_tests_are_no_part_of_the_job(workshop: Workshop) -> None:
    plain = workshop.load(workshop.valid)
    tested = workshop.load(with_tests(workshop, "- {name: t, given: {id: 1, email: a}, reason: [email]}\n"))

    assert tested.jobs == plain.jobs
    assert [job.spec_hash for job in tested.jobs] == [job.spec_hash for job in plain.jobs]
    (found,) = tested.tests["guests"]
    assert (found.name, found.reasons, found.index) == ("t", ("email",), 0)
    assert [(cell.column, cell.value, cell.text) for cell in found.given[0].cells] == [
        ("id", 1, "1"),
        ("email", "a", "a"),
    ]
