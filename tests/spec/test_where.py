"""The condition of a source in jobs.yaml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from batchsync.core.mapping import Expression

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.spec.conftest import Workshop

    from batchsync.core.deployment import Deployment

    Load = Callable[..., Deployment]


def change(condition: str) -> tuple[str, str]:
    return "key: id}", f"key: id, where: {condition}}}"


@pytest.mark.parametrize("written", ["\"city = 'Rome'\"", "\"=city = 'Rome'\"", "city = 'Rome'"])
def test_condition_is_an_expression_with_or_without_equals_sign(load_changed: Load, written: str) -> None:
    job = next(job for job in load_changed(change(written)).jobs if job.name == "guests")
    assert job.source.where == Expression("city = 'Rome'")


def test_edit_of_condition_is_an_edit_of_the_job_and_of_its_removals(load_changed: Load) -> None:
    jobs = [load_changed(*changes).jobs[0] for changes in ([], [change("a = 'x'")], [change("a = 'y'")])]
    assert len({job.spec_hash for job in jobs}) == 3
    assert len({job.removal_hash for job in jobs}) == 3
    assert len({job.mapping_hash for job in jobs}) == 1


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("\"city = '${CITY}'\"", "${...} inside an expression"),
        ('"id IN (SELECT 1)"', '"where": SELECT in an expression'),
        ('"(id"', '"where": unclosed ( in the expression'),
    ],
)
def test_condition_that_is_no_expression_is_refused_with_its_place(
    workshop: Workshop, condition: str, message: str
) -> None:
    problems = workshop.problems(workshop.changed(change(condition)), {"CITY": "SECRET"})
    assert len(problems) == 1
    assert re.match(r"jobs\.yaml:[0-9]+:[0-9]+: ", problems[0])
    assert message in problems[0]
    assert "SECRET" not in problems[0]
