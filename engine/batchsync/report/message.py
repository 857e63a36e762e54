"""The answer of a command that does one thing: what was done, and what to type next. It does not know which command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.report.words import Paint, markdown, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A few sentences for a person (`raw` when they are a document), and the same facts for a machine."""

    sentences: tuple[str, ...]
    facts: Mapping[str, object] = field(default_factory=dict)
    next_step: str = ""
    raw: bool = False

    def text(self, paint: Paint) -> str:
        """Return the sentences, and what to type next."""
        if self.raw:
            return "\n".join(self.sentences)
        said = [visible(sentence) for sentence in self.sentences]
        return "\n".join([*said, f"{paint('next', 'head')}: {visible(self.next_step)}"] if self.next_step else said)

    def markdown(self) -> str:
        """Return the sentences as a list, or the document as a block of code."""
        if self.raw:
            return "\n".join(["```", *self.sentences, "```"])
        lines = [f"- {markdown(sentence)}" for sentence in self.sentences]
        return "\n".join([*lines, f"- next: {self.next_step}"] if self.next_step else lines)

    def data(self) -> dict[str, object]:
        """Return the facts."""
        return dict(self.facts)

    def lines(self) -> Iterator[dict[str, object]]:
        """Return the facts on one line."""
        yield {"event": "result"} | dict(self.facts)
