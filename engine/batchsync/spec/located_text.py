"""The text of a file a person wrote: turns an index into a place, and a line number into a line fit to be shown.

It does not know YAML. Lines are counted as editors count them: LF, CRLF and CR end one.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from lading.core.mapping import Place
from lading.spec.secrecy import lines_of_jobs, masked_by_name, starred

_LINE_END = re.compile(r"\r\n|\r|\n")


class LocatedText:
    """A text with its file's name. Spans that hold secrets are never shown."""

    def __init__(self, file: str, text: str) -> None:
        """Keep the text, in which nothing is secret yet."""
        self.file = file
        self.text = text
        #: Set when the structure of the file is not known: then names have to tell what is a secret.
        self.by_name = False
        #: Set for files without accounts: then only names tell what is a secret, not the place of a line.
        self.loose = False
        self._ends = [(match.start(), match.end()) for match in _LINE_END.finditer(text)]
        self._starts = [0, *(end for _, end in self._ends)]
        self._hidden: set[tuple[int, int]] = set()
        self._merged: list[tuple[int, int]] | None = None
        self._of_jobs: list[bool] | None = None
        self._shown: dict[int, str] = {}

    def hide(self, start: int, end: int) -> None:
        """Never show this span from now on."""
        self._hidden.add((start, end))
        self._merged = None
        self._shown.clear()

    def is_hidden(self, index: int) -> bool:
        """Whether a span that is never shown begins at this index or reaches over it."""
        return any(low <= index < high for low, high in self._within(index, index + 1))

    def hidden_texts(self, number: int) -> list[str]:
        """Return what is never shown of a line, each span as a whole, also where it goes on in other lines."""
        if not 1 <= number <= len(self._starts):
            return []
        start, end = self._span(number)
        return [self.text[low:high] for low, high in self._within(start, end)]

    def place(self, index: int) -> Place:
        """Return the place of an index; the end of the text for one beyond it."""
        index = max(0, min(index, len(self.text)))
        line = bisect_right(self._starts, index)
        return Place(self.file, line, index - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """Return a line without its end, secrets masked star by star so that a caret still fits. Empty if absent."""
        if number not in self._shown:
            self._shown[number] = self._masked_line(number) if 1 <= number <= len(self._starts) else ""
        return self._shown[number]

    def _span(self, number: int) -> tuple[int, int]:
        """Return where a line begins and ends."""
        end = self._ends[number - 1][0] if number <= len(self._ends) else len(self.text)
        return self._starts[number - 1], end

    def _within(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the hidden spans, none of which overlap, that reach into a stretch of the text."""
        if self._merged is None:
            self._merged = []
            for low, high in sorted(self._hidden):
                if self._merged and low < self._merged[-1][1]:
                    self._merged[-1] = (self._merged[-1][0], max(high, self._merged[-1][1]))
                else:
                    self._merged.append((low, high))
        first = max(0, bisect_left(self._merged, (start, 0)) - 1)
        found = self._merged[first : bisect_left(self._merged, (end, 0))]
        return [one for one in found if one[1] > start]

    def _masked_line(self, number: int) -> str:
        start, end = self._span(number)
        pieces: list[str] = []
        at = start
        for low, high in self._within(start, end):
            here, there = max(low, at), min(high, end)
            pieces += [self.text[at:here], starred(self.text[here:there])]
            at = there
        shown = "".join([*pieces, self.text[at:end]])
        if not self.by_name:
            return shown
        if self._of_jobs is None:
            self._of_jobs = lines_of_jobs(_LINE_END.split(self.text))
        return masked_by_name(shown, of_jobs=self.loose or self._of_jobs[number - 1])
