"""By which names each guest can be found: identifiers and e-mail addresses, each of which may lead to several guests.

It does not know guests but by number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A provider and an id; of an e-mail address the provider is empty.
Name = tuple[str, str]


class Names:
    """Numbers by name, in the order in which they were added; nearly every name leads to one, which is kept bare."""

    def __init__(self) -> None:
        """Start empty."""
        self._found: dict[Name, int | tuple[int, ...]] = {}

    def find(self, names: Iterable[Name]) -> list[int]:
        """Give the guests that any of the names leads to, those of the first name first, each once."""
        numbers: dict[int, None] = {}
        for name in names:
            held = self._found.get(name)
            if isinstance(held, int):
                numbers[held] = None
            elif held is not None:
                numbers |= dict.fromkeys(held)
        return list(numbers)

    def add(self, name: Name, number: int) -> None:
        """Let a name lead to one more guest."""
        held = self._found.get(name)
        if held is None:
            self._found[name] = number
        else:
            self._found[name] = (*(held if isinstance(held, tuple) else (held,)), number)

    def remove(self, name: Name, number: int) -> None:
        """Let a name lead to this guest no more."""
        held = self._found.pop(name)
        left = tuple(one for one in held if one != number) if isinstance(held, tuple) else ()
        if left:
            self._found[name] = left if len(left) > 1 else left[0]
