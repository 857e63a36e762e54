"""Report of a command with a single result: sentences, facts and the next command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.report.text_format import Style, escape_controls, markdown, markdown_with_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Sentences for a person and the same facts for a program.

    Attributes:
        sentences: Lines of the text output.
        facts: JSON-compatible data.
        next_step: Next command to type; may be empty.
        raw: Whether `sentences` are the lines of a document that is printed unchanged.
    """

    sentences: tuple[str, ...]
    facts: Mapping[str, object] = field(default_factory=dict)
    next_step: str = ""
    raw: bool = False

    def text(self, paint: Style) -> str:
        """Return the sentences and the next command."""
        if self.raw:
            return "\n".join(self.sentences)
        lines = [escape_controls(sentence) for sentence in self.sentences]
        return "\n".join(
            [*lines, f"{paint('next', 'head')}: {escape_controls(self.next_step)}"] if self.next_step else lines
        )

    def markdown(self) -> str:
        """Return the sentences as a list, or the document as a code block."""
        if self.raw:
            return "\n".join(["```", *self.sentences, "```"])
        lines = [f"- {markdown(sentence)}" for sentence in self.sentences]
        return "\n".join([*lines, f"- next: {markdown_with_code(self.next_step)}"] if self.next_step else lines)

    def data(self) -> dict[str, object]:
        """Return the facts."""
        return dict(self.facts)

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield the facts as one NDJSON object."""
        yield {"event": "result"} | dict(self.facts)
