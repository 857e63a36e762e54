"""Text of a configuration file: index to line and column, line number to a line with secrets masked.

LF, CRLF and CR end a line, as in editors.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from batchsync.core.mapping import Place
from batchsync.spec.secret_policy import lines_of_jobs, mask, masked_by_name

_LINE_END = re.compile(r"\r\n|\r|\n")


class LocatedText:
    """A text and its file name. Hidden spans, which may contain secrets, are masked in every line that is returned."""

    def __init__(self, file: str, text: str) -> None:
        """Keep the text, without hidden spans."""
        self.file = file
        self.text = text
        #: Set if the structure of the file is unknown; secrets are then recognized by the names of keys.
        self.mask_by_key_names = False
        #: Set for files without connections; secrets are then recognized by names only, not by the place of a line.
        self.has_no_connections = False
        self._ends = [(match.start(), match.end()) for match in _LINE_END.finditer(text)]
        self._starts = [0, *(end for _, end in self._ends)]
        self._hidden: set[tuple[int, int]] = set()
        self._merged: list[tuple[int, int]] | None = None
        self._of_jobs: list[bool] | None = None
        self._shown: dict[int, str] = {}

    def of(self, file: str) -> LocatedText | None:
        """Return the text of a file; None if it is another file."""
        return self if file == self.file else None

    def rank(self, file: str) -> int:
        """Return the position of a file in the order of problems; others are last."""
        return int(file != self.file)

    def hide(self, start: int, end: int) -> None:
        """Mask this span in lines returned from now on."""
        self._hidden.add((start, end))
        self._merged = None
        self._shown.clear()

    def is_hidden(self, index: int) -> bool:
        """Return whether an index is within a hidden span."""
        return any(low <= index < high for low, high in self._within(index, index + 1))

    def hidden_texts(self, number: int) -> list[str]:
        """Return the hidden spans of a line, each in full, even if it extends to other lines."""
        if not 1 <= number <= len(self._starts):
            return []
        start, end = self._span(number)
        return [self.text[low:high] for low, high in self._within(start, end)]

    def place(self, index: int) -> Place:
        """Return the place of an index; an index beyond the text is its end."""
        index = max(0, min(index, len(self.text)))
        line = bisect_right(self._starts, index)
        return Place(self.file, line, index - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """Return a line without its line break, secrets masked by as many stars; empty if there is no such line."""
        if number not in self._shown:
            self._shown[number] = self._masked_line(number) if 1 <= number <= len(self._starts) else ""
        return self._shown[number]

    def _span(self, number: int) -> tuple[int, int]:
        """Return the indices of the start and the end of a line."""
        end = self._ends[number - 1][0] if number <= len(self._ends) else len(self.text)
        return self._starts[number - 1], end

    def _within(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the hidden spans, merged where they overlap, that intersect a range of the text."""
        if self._merged is None:
            self._merged = []
            for low, high in sorted(self._hidden):
                if self._merged and low < self._merged[-1][1]:
                    self._merged[-1] = (self._merged[-1][0], max(high, self._merged[-1][1]))
                else:
                    self._merged.append((low, high))
        first = max(0, bisect_left(self._merged, (start, 0)) - 1)
        found = self._merged[first : bisect_left(self._merged, (end, 0))]
        return [item for item in found if item[1] > start]

    def _masked_line(self, number: int) -> str:
        start, end = self._span(number)
        pieces: list[str] = []
        at = start
        for low, high in self._within(start, end):
            here, there = max(low, at), min(high, end)
            pieces += [self.text[at:here], mask(self.text[here:there])]
            at = there
        shown = "".join([*pieces, self.text[at:end]])
        if not self.mask_by_key_names:
            return shown
        if self._of_jobs is None:
            self._of_jobs = lines_of_jobs(_LINE_END.split(self.text))
        return masked_by_name(shown, of_jobs=self.has_no_connections or self._of_jobs[number - 1])
