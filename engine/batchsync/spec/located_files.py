"""Texts of several files of jobs as one: indices are global, places are those of the files."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from batchsync.spec.located_text import LocatedText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.mapping import Place


class LocatedFiles(LocatedText):
    """Texts of files, each followed by a line break. The first one is the main file, whose indices stay the same."""

    def __init__(self, parts: Sequence[LocatedText]) -> None:
        """Keep the texts, with their hidden spans."""
        super().__init__(parts[0].file, "\n".join(part.text for part in parts))
        self._parts = tuple(parts)
        self._bases = base_indices(parts)

    def of(self, file: str) -> LocatedText | None:
        """Return the text of a file; None if it is another file."""
        return next((part for part in self._parts if part.file == file), None)

    def rank(self, file: str) -> int:
        """Return the position of a file in the order of problems; others are last."""
        return next((number for number, part in enumerate(self._parts) if part.file == file), len(self._parts))

    def hide(self, start: int, end: int) -> None:
        """Mask this span in lines returned from now on."""
        part, base = self._part(start)
        part.hide(start - base, end - base)

    def is_hidden(self, index: int) -> bool:
        """Return whether an index is within a hidden span."""
        part, base = self._part(index)
        return part.is_hidden(index - base)

    def place(self, index: int) -> Place:
        """Return the place of an index in its file."""
        part, base = self._part(index)
        return part.place(index - base)

    def line(self, number: int) -> str:
        """Return a line of the main file, secrets masked."""
        return self._parts[0].line(number)

    def hidden_texts(self, number: int) -> list[str]:
        """Return the hidden spans of a line of the main file."""
        return self._parts[0].hidden_texts(number)

    def _part(self, index: int) -> tuple[LocatedText, int]:
        """Return the text that an index belongs to, and its base."""
        number = max(0, bisect_right(self._bases, index) - 1)
        return self._parts[number], self._bases[number]


def base_indices(parts: Sequence[LocatedText]) -> list[int]:
    """Return the global index at which each text begins."""
    bases = [0]
    for part in parts[:-1]:
        bases.append(bases[-1] + len(part.text) + 1)
    return bases
