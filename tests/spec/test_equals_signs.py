"""Meaning of a leading `=` and `==` and of `${NAME}` in a record: literals, expressions and references."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from batchsync.core.mapping import Expression, Literal
from batchsync.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.spec.conftest import Workshop

    from batchsync.core.deployment import Deployment
    from batchsync.core.mapping import Object

    Load = Callable[..., Deployment]


def record_of(deployment: Deployment) -> Object:
    return next(job.record for job in deployment.jobs if job.name == "guests")


def test_two_equals_signs_are_a_literal_equals_sign(load_changed: Load) -> None:
    record = record_of(load_changed(("guestType: customer", 'city: "==a"')))
    assert record.get("city") == Literal("=a")


def test_equals_sign_from_environment_is_never_an_expression(load_changed: Load) -> None:
    change = ("guestType: customer", 'city: "${CITY}"')
    assert record_of(load_changed(change, environ={"CITY": "=id"})).get("city") == Literal("=id")
    assert record_of(load_changed(change, environ={"CITY": "==id"})).get("city") == Literal("==id")


def test_escaped_reference_in_expression_is_literal_text(load_changed: Load) -> None:
    change = ("guestType: customer", "city: \"=replace(city, '$${CITY}', '')\"")
    assert record_of(load_changed(change)).get("city") == Expression("replace(city, '${CITY}', '')")


@pytest.mark.parametrize(
    ("written", "value"),
    [("== email", "email"), ("==  email", " email"), ("== =a", "=a"), ("== ${CITY}", "Rome"), ("==", "=")],
)
def test_text_after_two_equals_signs_and_space_is_an_explicit_literal(
    load_changed: Load, written: str, value: str
) -> None:
    record = record_of(load_changed(("guestType: customer", f'city: "{written}"'), environ={"CITY": "Rome"}))
    literal = record.get("city")
    assert literal == Literal(value)
    assert isinstance(literal, Literal)
    assert literal.explicit


def test_unquoted_text_after_two_equals_signs_is_an_explicit_literal(load_changed: Load) -> None:
    assert record_of(load_changed(("guestType: customer", "city: == First Name"))).get("city") == Literal("First Name")


@pytest.mark.parametrize("environ", [{}, {"CITY": "SECRET"}])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("guestType: customer", "city: \"=coalesce(city, '${CITY}')\""),
        ("guestType: customer", "city: \"=coalesce(city, '${CITY:-Rome}')\""),
        ("guestType: customer", 'city: "=${CITY}"'),
        ("id: =id", 'id: "=id || ${CITY}"'),
        ("[{provider: CRM, id: =id}]", "[{each: {provider: CRM, id: \"=id || '${CITY}'\"}}]"),
        ("key: id}", "key: \"=id || '${CITY}'\"}"),
        ("mode: upsert", "mode: upsert\n    on_removed: {mode: delete, record: {ref: \"=id || '${CITY}'\"}}"),
    ],
)
def test_reference_inside_an_expression_is_refused_with_its_place(
    workshop: Workshop, environ: dict[str, str], old: str, new: str
) -> None:
    problems = workshop.problems(workshop.changed((old, new)), environ)
    found = [problem for problem in problems if "expression" in problem]
    assert len(found) == 1
    assert re.match(r"jobs\.yaml:[0-9]+:[0-9]+: \$\{\.\.\.\} inside an expression\n", found[0])
    assert "member: ${NAME}" in found[0]
    assert "SECRET" not in found[0]


def test_refused_literal_that_is_a_call_shows_the_expression(load_changed: Load) -> None:
    with pytest.raises(SpecError) as refused:
        load_changed(("=lower(email)", "lower(email)"))
    (problem,) = refused.value.problems
    assert problem.suggestion == "for the value of an expression, write =lower(email)"
