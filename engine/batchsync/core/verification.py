"""Facts of a vendor held against what its account answered: confirmed, refuted, or not seen. Pure.

A pattern is compared with a JSON value: an object with the members that must match, others being ignored; a list with
one pattern for every item of a list that is not empty; `<uuid>` and the like for a form, `<absent>` for a member that
must not be there, `~` and a regular expression for a text; anything else for itself. Differences name members and forms
and no values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Forms of texts, by their name in a pattern.
FORMS = {
    "<uuid>": re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    "<url>": re.compile(r"https?://\S+"),
    "<moment>": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?"),
    "<digits>": re.compile(r"\d+"),
    "<text>": re.compile(r".+", re.DOTALL),
}
ABSENT, NUMBER, NULL = "<absent>", "<number>", "<null>"
#: Names of all forms, for checks of patterns.
FORM_NAMES = frozenset({*FORMS, ABSENT, NUMBER, NULL})


class FactVerdict(StrEnum):
    """What an account showed of a fact."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """An answer of the vendor.

    Attributes:
        call: Place of the call in the vendor spec, such as `errors.downloads.0.call`; of a probe, its URL.
        status: HTTP status.
        document: JSON of the answer, or the list of its JSON lines; None if it is neither.
        is_table: Whether the answer is a table whose columns have names.
    """

    call: str
    status: int
    document: object = None
    is_table: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an answer must be: any of `statuses`, if given; a document that matches `pattern`; a table or none."""

    statuses: tuple[int, ...] = ()
    pattern: object = None
    table: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A request that only reads, made to see a fact; `authenticated`: with the credentials of the account."""

    url: str
    authenticated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FactCheck:
    """How a fact is seen.

    Attributes:
        calls: Calls whose answers are regarded, by their place in the vendor spec; of a probe, its URL.
        when: Which of the answers are regarded.
        expect: What each of them must be.
        probe: Request to make for it; None if the test batch makes the call.
    """

    calls: tuple[str, ...]
    when: Expectation = Expectation()
    expect: Expectation = Expectation()
    probe: Probe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict about a fact, the number of answers that it rests on, and how the first contradicts it."""

    verdict: FactVerdict
    seen: int = 0
    differences: tuple[str, ...] = ()


def judge(check: FactCheck | None, observations: Iterable[Observation]) -> Judgement:
    """Return what the answers say about a fact.

    Args:
        check: How the fact is seen; None if nothing can show it.
        observations: All answers.

    Returns:
        Refuted if an answer contradicts it, confirmed if answers were regarded and none does, else not seen.
    """
    if check is None:
        return Judgement(verdict=FactVerdict.NOT_SEEN)
    regarded = [item for item in observations if item.call in check.calls and not [*_unmet(check.when, item)]]
    found = next((differs for item in regarded if (differs := tuple(_unmet(check.expect, item)))), ())
    verdict = FactVerdict.REFUTED if found else FactVerdict.CONFIRMED
    return Judgement(verdict=verdict if regarded else FactVerdict.NOT_SEEN, seen=len(regarded), differences=found)


def _unmet(expected: Expectation, found: Observation) -> Iterator[str]:
    if expected.statuses and found.status not in expected.statuses:
        yield f"status {found.status} instead of {' or '.join(map(str, expected.statuses))}"
    if expected.table is not None and found.is_table is not expected.table:
        yield "no table with named columns" if expected.table else "a table with named columns"
    if expected.pattern is not None:
        yield from differences(expected.pattern, found.document)


def differences(pattern: object, found: object, at: str = "") -> Iterator[str]:
    """Yield how a JSON value differs from a pattern: member and form, without the value.

    Args:
        pattern: The pattern.
        found: The value.
        at: JSON pointer of the value, for messages.

    Yields:
        Texts such as `/status: a number instead of <text>`.
    """
    if isinstance(pattern, dict):
        yield from _object_differences(pattern, found, at)
    elif isinstance(pattern, list):
        if not isinstance(found, list) or bool(pattern) is not bool(found):
            what = "a list with items" if pattern else "an empty list"
            yield f"{at or '/'}: {_form(found)} instead of {what}"
            return
        for inner in found:
            yield from differences(pattern[0], inner, f"{at}/*")
    elif not _matches(pattern, found):
        yield f"{at or '/'}: {_form(found)} instead of {_expected(pattern)}"


def _object_differences(pattern: Mapping[str, object], found: object, at: str) -> Iterator[str]:
    if not isinstance(found, dict):
        yield f"{at or '/'}: {_form(found)} instead of an object"
        return
    for name, inner in pattern.items():
        if inner == ABSENT:
            if name in found:
                yield f"{at}/{name}: is there"
        elif name not in found:
            yield f"{at}/{name}: is missing"
        else:
            yield from differences(inner, found[name], f"{at}/{name}")


def _matches(pattern: object, found: object) -> bool:
    if pattern == NUMBER:
        return isinstance(found, int | float) and not isinstance(found, bool)
    if pattern == NULL:
        return found is None
    if isinstance(pattern, str) and pattern in FORMS:
        return isinstance(found, str) and FORMS[pattern].fullmatch(found) is not None
    if isinstance(pattern, str) and pattern.startswith("~"):
        return isinstance(found, str) and re.search(pattern[1:], found) is not None
    return type(pattern) is type(found) and pattern == found


def _expected(pattern: object) -> str:
    return f"a text with {pattern[1:]}" if isinstance(pattern, str) and pattern.startswith("~") else str(pattern)


def _form(found: object) -> str:
    """Return the form of a value, without the value."""
    if isinstance(found, bool):
        return "a truth value"
    if isinstance(found, str | list) and not found:
        return "an empty text" if isinstance(found, str) else "an empty list"
    if found is None:
        return "nothing"
    forms = {dict: "an object", list: "a list", str: "another text", int: "a number", float: "a number"}
    return forms.get(type(found), "something else")
