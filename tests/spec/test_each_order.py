"""`order_by` of an `each:`: a column, an expression or a list of these, in the item or beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.core.mapping import Array, Each, Expression, Literal, Object

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.spec.conftest import Workshop

    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job

    Load = Callable[..., Deployment]

LIST = "[{provider: CRM, id: =id}]"


def guests(load_changed: Load, written: str) -> Job:
    return next(job for job in load_changed((LIST, f"[{written}]")).jobs if job.name == "guests")


@pytest.mark.parametrize(
    ("written", "order"),
    [
        ("{each: {order_by: line, provider: CRM, id: =id}}", ('"line"',)),
        ("{each: {provider: CRM, id: =id, order_by: =lower(line)}}", ("lower(line)",)),
        ("{each: {provider: CRM, id: =id}, order_by: [Line Number, =b]}", ('"Line Number"', "b")),
        ("{order_by: 'a\"b', each: {provider: CRM, id: =id}}", ('"a""b"',)),
    ],
)
def test_order_is_a_column_an_expression_or_a_list(load_changed: Load, written: str, order: tuple[str, ...]) -> None:
    item = Object((("provider", Literal("CRM")), ("id", Expression("id"))))
    found = guests(load_changed, written).record.get("identifiers")
    assert found == Array((Each(item, order=tuple(Expression(sql) for sql in order)),))


def test_order_is_part_of_the_hashes(load_changed: Load) -> None:
    plain, ordered, other = (
        guests(load_changed, written)
        for written in (
            "{each: {provider: CRM, id: =id}}",
            "{each: {provider: CRM, id: =id, order_by: a}}",
            "{each: {provider: CRM, id: =id, order_by: b}}",
        )
    )
    assert len({plain.spec_hash, ordered.spec_hash, other.spec_hash}) == 3
    assert len({plain.mapping_hash, ordered.mapping_hash, other.mapping_hash}) == 3


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{each: {provider: CRM, id: =id, order_by: 5}}", 'invalid "order_by"'),
        ("{each: {provider: CRM, id: =id, order_by: {line: desc}}}", 'invalid "order_by"'),
        ("{each: {provider: CRM, id: =id, order_by: [a, [b]]}}", 'invalid "order_by"'),
        ("{each: {provider: CRM, id: =id, order_by: []}}", '"order_by" is empty'),
        ("{each: {provider: CRM, id: =id, order_by: =lower(}}", "unclosed ("),
        ("{each: {provider: CRM, id: =id, order_by: a}, order_by: b}", 'no member "order_by"'),
        ("{each: {provider: CRM, id: =id}, order_by: a}, {provider: A, id: =b}", '"each" with other items'),
        ("{each: {order_by: line}}", "empty object"),
    ],
)
def test_invalid_order_is_refused(workshop: Workshop, written: str, problem: str) -> None:
    problems = workshop.problems(workshop.changed((LIST, f"[{written}]")))
    assert any(problem in text for text in problems), problems
