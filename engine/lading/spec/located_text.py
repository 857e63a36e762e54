"""The text of a file a person wrote: turns an index into a place, and a line number into a line fit to be shown.

It does not know YAML. Lines are counted as editors count them: LF, CRLF and CR end one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from lading.core.mapping import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

_LINE_END = re.compile(r"\r\n|\r|\n")
#: What follows such a name is a secret until it is a reference. For files too broken to know what is what.
_SECRET_NAME = re.compile(r"(?i)((?:secret|token|password|passwd|api_?key|client_\w+)[\w-]*[\"']?\s*:\s*)(.+)")
_REFERENCE = re.compile(r"\$\{[A-Za-z0-9_]*(?::-)?\}|\$\{file:[^}\s]*\}")


class LocatedText:
    """A text with its file's name. `secrets` are spans of indices that are never shown."""

    def __init__(self, file: str, text: str, secrets: Iterable[tuple[int, int]] = ()) -> None:
        """Keep the text; `secrets` counts indices from 0, ends excluded."""
        self.file = file
        self.text = text
        self._ends = [(match.start(), match.end()) for match in _LINE_END.finditer(text)]
        self._starts = [0, *(end for _, end in self._ends)]
        self._secrets = tuple(secrets)

    def hide(self, secrets: Iterable[tuple[int, int]]) -> None:
        """Never show these spans from now on."""
        self._secrets = (*self._secrets, *secrets)

    def place(self, index: int) -> Place:
        """Return the place of an index; the end of the text for one beyond it."""
        index = max(0, min(index, len(self.text)))
        line = bisect_right(self._starts, index)
        return Place(self.file, line, index - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """Return a line without its end, secrets masked star by star so that a caret still fits. Empty if absent."""
        if not 1 <= number <= len(self._starts):
            return ""
        start = self._starts[number - 1]
        end = self._ends[number - 1][0] if number <= len(self._ends) else len(self.text)
        shown = self.text[start:end]
        for first, last in self._secrets:
            low, high = max(first, start) - start, min(last, end) - start
            if low < high:
                shown = shown[:low] + _starred(shown[low:high]) + shown[high:]
        return shown

    def line_of_a_broken_file(self, number: int) -> str:
        """Return a line of a file whose structure is not known: what looks like a secret by its name is masked."""
        return _SECRET_NAME.sub(_mask_named, self.line(number))


def _mask_named(match: re.Match[str]) -> str:
    value = match[2]
    return match[1] + (value if _REFERENCE.fullmatch(value.strip(" \"'")) else _starred(value))


def _starred(text: str) -> str:
    """Mask all but spaces and references, which tell nothing."""
    shown: list[str] = []
    last = 0
    for match in _REFERENCE.finditer(text):
        shown += [re.sub(r"\S", "*", text[last : match.start()]), match[0]]
        last = match.end()
    return "".join([*shown, re.sub(r"\S", "*", text[last:])])
