"""Facts held against answers: patterns, verdicts, and the checks of the bundled facts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.verification import (
    FORM_NAMES,
    Expectation,
    FactCheck,
    FactVerdict,
    Observation,
    differences,
    judge,
)
from batchsync.spec import load_vendor_details
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors.observed import _calls

if TYPE_CHECKING:
    from collections.abc import Iterator

UUID = "c87e2a4a-5169-4726-b078-7e9538ae28cd"
VENDORS = ("motorweb-bdp", "sitecore-cdp")


@pytest.mark.parametrize(
    ("pattern", "found", "expected"),
    [
        ({"id": "<uuid>", "at": "<moment>"}, {"id": UUID, "at": "2026-03-01T12:00:00Z", "more": 1}, []),
        ({"id": "<uuid>"}, {"id": 7}, ["/id: a number instead of <uuid>"]),
        ({"id": "<uuid>"}, {"id": "secret"}, ["/id: another text instead of <uuid>"]),
        ({"id": "<absent>"}, {"id": "secret"}, ["/id: is there"]),
        ({"id": "<text>"}, {}, ["/id: is missing"]),
        ({"id": "<text>"}, {"id": ""}, ["/id: an empty text instead of <text>"]),
        ({"a": {"b": "~^x"}}, {"a": {"b": "yx"}}, ["/a/b: another text instead of a text with ^x"]),
        ({}, ["secret"], ["/: a list instead of an object"]),
        ([{"n": "<number>"}], [{"n": 1}, {"n": True}], ["/*/n: a truth value instead of <number>"]),
        ([{}], [], ["/: an empty list instead of a list with items"]),
        ([], [{}], ["/: a list instead of an empty list"]),
        ("<null>", None, []),
        (1, True, ["/: a truth value instead of 1"]),
    ],
)
def test_differences_name_members_and_forms_without_values(pattern: Any, found: Any, expected: list[str]) -> None:
    assert list(differences(pattern, found)) == expected


def test_verdict_rests_on_the_answers_that_are_regarded() -> None:
    answers = [Observation(call="poll", status=200, document={"status": word}) for word in ("NEW", "DONE")]
    check = FactCheck(calls=("poll",), when=Expectation(pattern={"status": "DONE"}))
    assert (judge(check, answers).verdict, judge(check, answers).seen) == (FactVerdict.CONFIRMED, 1)
    assert judge(check, answers[:1]).verdict is FactVerdict.NOT_SEEN
    assert judge(None, answers).verdict is FactVerdict.NOT_SEEN
    created = FactCheck(calls=("poll",), expect=Expectation(statuses=(201,), table=True))
    assert judge(created, answers).differences == ("status 200 instead of 201", "no table with named columns")
    assert judge(created, answers).verdict is FactVerdict.REFUTED


def texts(pattern: object) -> Iterator[str]:
    """Yield the texts of a pattern."""
    if isinstance(pattern, str):
        yield pattern
    for inner in pattern.values() if isinstance(pattern, dict) else pattern if isinstance(pattern, list) else ():
        yield from texts(inner)


@pytest.mark.parametrize("vendor", VENDORS)
def test_checks_of_the_bundled_facts_name_calls_and_forms_that_exist(vendor: str) -> None:
    rules = load_vendor(vendor)
    assert rules.dialect is not None
    known = {name for name, _ in _calls(rules.dialect)}
    checks = [item.check for item in load_vendor_details(vendor).facts if item.check is not None]
    assert checks
    for check in checks:
        assert check.probe is not None or set(check.calls) <= known
        for text in (*texts(check.when.pattern), *texts(check.expect.pattern)):
            assert text in FORM_NAMES or not text.startswith("<")
            re.compile(text.removeprefix("~"))
