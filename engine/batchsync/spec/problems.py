"""Collector of the problems of one file, with places, source lines and without duplicates."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.mapping import Place
from batchsync.errors import Problem, without_values
from batchsync.util.suggestions import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.spec.located_text import LocatedText

#: Number of problems beyond which no suggestions are computed, because they take time.
_SUGGESTIONS_MAX = 200
#: Number of problems beyond which no more are collected.
_PROBLEMS_MAX = 2000
#: Shortest part of a substituted value that a message about it hides.
_PART = re.compile(r"[^\s\"']{4,}")
_BREAK = re.compile(r"[ \t]*\r?\n((?:[ \t]*\r?\n)*)[ \t]*")


class Problems:
    """The problems found so far, in any order."""

    def __init__(self, source: LocatedText) -> None:
        """Keep the text that places refer to."""
        self.source = source
        #: Values of environment variables, with the references to show instead of them.
        self.values: dict[str, str] = {}
        #: Starts of scalars that are unknown, because placeholders stand in for variables. Problems there are ignored.
        self.unchecked: set[int] = set()
        #: Number of problems that were ignored there.
        self.ignored = 0
        self._substituted: dict[tuple[str, int, int], tuple[str, str]] = {}
        self._found: dict[tuple[str, int, int, str, str], Problem] = {}

    def hide(self, start: int, value: str, written: str) -> None:
        """Show what is written instead of a value in which environment variables were substituted.

        Args:
            start: Index of the scalar in the text.
            value: The scalar after substitution.
            written: The scalar as written, with references.
        """
        place = self.source.place(start)
        self._substituted[place.file, place.line, place.column] = value, written
        self.values.setdefault(value, written)

    def add(self, code: str, at: int | Place, message: str, expected: str = "", suggestion: str = "") -> None:
        """Add a problem; a duplicate is ignored.

        Args:
            code: Code without the prefix `spec.`.
            at: Index in the text, or a place.
            message: What is wrong.
            expected: What would be right.
            suggestion: What to do.
        """
        if self.full:
            return
        place = at if isinstance(at, Place) else self.source.place(at)
        if self._is_unchecked(place.file, place.line, place.column):
            self.ignored += 1
            return
        self._found.setdefault(
            (place.file, place.line, place.column, code, message),
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
        """Add problems found elsewhere, including those of other files."""
        for problem in problems:
            if self._is_unchecked(problem.file, problem.line, problem.column):
                continue
            self._found.setdefault((problem.file, problem.line, problem.column, problem.code, problem.message), problem)

    def _is_unchecked(self, file: str, line: int, column: int) -> bool:
        if not self.unchecked:
            return False
        places = map(self.source.place, self.unchecked)
        return any((file, line, column) == (place.file, place.line, place.column) for place in places)

    def suggest(self, word: str, candidates: Iterable[str]) -> str:
        """Return a `did you mean` suggestion; empty without a close match or beyond a number of problems."""
        return did_you_mean(word, candidates) if len(self._found) < _SUGGESTIONS_MAX else ""

    @property
    def full(self) -> bool:
        """Whether the limit of problems is reached, so that no more are collected."""
        return len(self._found) >= _PROBLEMS_MAX

    def has(self, code: str) -> bool:
        """Return whether there is a problem with this code, which is written without the prefix `spec.`."""
        return any(problem.code == f"spec.{code}" for problem in self._found.values())

    def covers(self, others: Problems) -> bool:
        """Return whether there is a problem at the place of each of some others, of which there is at least one."""
        places = {(problem.file, problem.line, problem.column) for problem in self._found.values()}
        return bool(others._found) and all(
            (item.file, item.line, item.column) in places for item in others._found.values()
        )

    def __len__(self) -> int:
        """Return the number of problems."""
        return len(self._found)

    def sorted(self) -> tuple[Problem, ...]:
        """Return the problems in the order of the file, with source lines and without secrets."""
        rank = self.source.rank
        ordered = sorted(self._found.values(), key=lambda item: (rank(item.file), item.line, item.column))
        shown = tuple(self._with_line(item) for item in ordered)
        if not self.full:
            return shown
        return (*shown, Problem(code="spec.more", message="there may be more problems", file=self.source.file))

    def _with_line(self, problem: Problem) -> Problem:
        problem = self._without_values(problem)
        source = self.source.of(problem.file)
        if problem.source_line or source is None:
            return problem
        hidden = source.hidden_texts(problem.line)
        return replace(
            problem,
            source_line=source.line(problem.line),
            message=_mask_hidden(problem.message, hidden),
            suggestion=_mask_hidden(problem.suggestion, hidden),
        )

    def _without_values(self, problem: Problem) -> Problem:
        """Return the problem without values of environment variables."""
        if not self.values:
            return problem
        texts = [problem.message, problem.expected, problem.suggestion]
        for value, written in (*self._substituted.values(), *self.values.items()):
            texts = [text.replace(quoted(value), quoted(written)) for text in texts]
        texts = [without_values(text, self.values) for text in texts]
        if (found := self._substituted.get((problem.file, problem.line, problem.column))) is not None:
            # Messages about a part of a value, such as the host of a URL.
            value, written = found[0].casefold(), found[1]
            texts[0] = _PART.sub(lambda part: written if part[0].casefold() in value else part[0], texts[0])
        return replace(problem, message=texts[0], expected=texts[1], suggestion=texts[2])


def _mask_hidden(message: str, hidden: list[str]) -> str:
    """Return a message with quoted secrets masked."""
    for item in hidden:
        for form in (item, item[1:-1], _fold(item), _fold(item[1:-1])):
            message = message.replace(quoted(form), '"***"') if form else message
    return message


def _fold(text: str) -> str:
    """Return a multi-line scalar as YAML folds it: a line break is a space, an empty line a line break."""
    return _BREAK.sub(lambda found: "\n" * found[1].count("\n") or " ", text)
