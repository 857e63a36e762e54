"""Collects problems of one file with their places and lines, and lets each thing be complained about once.

It does not know what is checked.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lading.core.mapping import Place
from lading.errors import Problem
from lading.spec.suggest import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lading.spec.located_text import LocatedText

#: Beyond this many problems nobody reads suggestions, and looking for them takes time.
_SUGGESTIONS_MAX = 200
#: Nor any more of the problems themselves.
_PROBLEMS_MAX = 2000
_BREAK = re.compile(r"[ \t]*\r?\n((?:[ \t]*\r?\n)*)[ \t]*")


class Problems:
    """The problems found so far, in any order."""

    def __init__(self, source: LocatedText) -> None:
        """Keep the file that places are in."""
        self.source = source
        self._found: dict[tuple[int, int, str, str], Problem] = {}

    def add(self, code: str, at: int | Place, message: str, expected: str = "", suggestion: str = "") -> None:
        """Note a problem at an index of the text or at a place in it. The same problem twice is one."""
        if self.full:
            return
        place = at if isinstance(at, Place) else self.source.place(at)
        self._found.setdefault(
            (place.line, place.column, code, message),
            Problem(
                code=f"spec.{code}",
                message=message,
                file=place.file,
                line=place.line,
                column=place.column,
                expected=expected,
                suggestion=suggestion,
            ),
        )

    def extend(self, problems: Iterable[Problem]) -> None:
        """Take over problems that were found elsewhere."""
        for one in problems:
            self._found.setdefault((one.line, one.column, one.code, one.file + one.message), one)

    def suggest(self, word: str, candidates: Iterable[str]) -> str:
        """Return a `did you mean`, or nothing once there are too many problems for anybody to read."""
        return did_you_mean(word, candidates) if len(self._found) < _SUGGESTIONS_MAX else ""

    @property
    def full(self) -> bool:
        """Whether there are so many that looking for more is of no use to anybody."""
        return len(self._found) >= _PROBLEMS_MAX

    def __len__(self) -> int:
        """Return how many were found."""
        return len(self._found)

    def sorted(self) -> tuple[Problem, ...]:
        """Return them in the order of the file, each with its line."""
        ordered = sorted(self._found.values(), key=lambda one: (one.file != self.source.file, one.line, one.column))
        shown = tuple(self._with_line(one) for one in ordered)
        if not self.full:
            return shown
        return (*shown, Problem(code="spec.more", message="there may be more problems", file=self.source.file))

    def _with_line(self, problem: Problem) -> Problem:
        if problem.source_line or problem.file != self.source.file:
            return problem
        hidden = self.source.hidden_texts(problem.line)
        return replace(
            problem,
            source_line=self.source.line(problem.line),
            message=_without(problem.message, hidden),
            suggestion=_without(problem.suggestion, hidden),
        )


def _without(said: str, hidden: list[str]) -> str:
    """Return a text in which nothing is quoted that may be a secret."""
    for one in hidden:
        for form in (one, one[1:-1], _folded(one), _folded(one[1:-1])):
            said = said.replace(quoted(form), '"***"') if form else said
    return said


def _folded(text: str) -> str:
    """Return what YAML makes of a text over several lines: a line break is a space, an empty line a line break."""
    return _BREAK.sub(lambda found: "\n" * found[1].count("\n") or " ", text)
