"""The text of a file a person wrote: turns an index into a place, and a line number into a line fit to be shown.

It does not know YAML. Lines are counted as editors count them: LF, CRLF and CR end one.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from lading.core.mapping import Place

_LINE_END = re.compile(r"\r\n|\r|\n")
_REFERENCE = re.compile(r"\$\{[A-Za-z0-9_]*(?::-)?\}|\$\{file:[^}\s]*\}")
#: What follows such a name is a secret until it is a reference. For files too broken to know what is what.
_NAME = r"(?i)((?:secret|token|passw|api_?key|client_\w)\w*[\"']?\s*:\s*)"
_IN_BLOCK = re.compile(_NAME + r"(\S.*)")
_IN_BRACES = re.compile(_NAME + r"(\"[^\"]*\"?|'[^']*'?|\$\{[^}]*\}|[^,}]+)")


class LocatedText:
    """A text with its file's name. Spans that hold secrets are never shown."""

    def __init__(self, file: str, text: str) -> None:
        """Keep the text, in which nothing is secret yet."""
        self.file = file
        self.text = text
        #: Set when the structure of the file is not known: then names have to tell what is a secret.
        self.by_name = False
        self._ends = [(match.start(), match.end()) for match in _LINE_END.finditer(text)]
        self._starts = [0, *(end for _, end in self._ends)]
        self._secrets: list[tuple[int, int]] = []
        self._shown: dict[int, str] = {}

    def hide(self, start: int, end: int) -> None:
        """Never show this span from now on. Spans come in the order of the text."""
        self._secrets.append((start, end))

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

    def _masked_line(self, number: int) -> str:
        start = self._starts[number - 1]
        end = self._ends[number - 1][0] if number <= len(self._ends) else len(self.text)
        pieces: list[str] = []
        at = start
        # The span before may reach into this line.
        first = max(0, bisect_left(self._secrets, (start, 0)) - 1)
        for low, high in self._secrets[first : bisect_left(self._secrets, (end, 0))]:
            here, there = max(low, at), min(high, end)
            if here < there:
                pieces += [self.text[at:here], _starred(self.text[here:there])]
                at = there
        shown = "".join([*pieces, self.text[at:end]])
        if self.by_name:
            return (_IN_BRACES if "{" in shown.replace("${", "") else _IN_BLOCK).sub(_masked, shown)
        return shown


def _masked(match: re.Match[str]) -> str:
    return match[1] + _starred(match[2])


def _starred(text: str) -> str:
    """Mask all but spaces, quotes at the ends and references, which tell nothing."""
    shown: list[str] = []
    last = 0
    for match in _REFERENCE.finditer(text):
        shown += [re.sub(r"\S", "*", text[last : match.start()]), match[0]]
        last = match.end()
    stars = "".join([*shown, re.sub(r"\S", "*", text[last:])])
    for quote in "\"'":
        if len(text) > 1 and text[0] == text[-1] == quote:
            return quote + stars[1:-1] + quote
    return stars
