"""Index of guests by identity: identifiers and e-mail addresses, each of which may belong to several guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Provider and id; the provider of an e-mail address is empty.
Identity = tuple[str, str]


class IdentityIndex:
    """Guest numbers by identity, in order of addition. A single number, the usual case, needs no tuple."""

    def __init__(self) -> None:
        """Create an empty index."""
        self._numbers: dict[Identity, int | tuple[int, ...]] = {}

    def find(self, identities: Iterable[Identity]) -> list[int]:
        """Return the guests of any of the identities, those of the first identity first, without duplicates."""
        numbers: dict[int, None] = {}
        for identity in identities:
            current = self._numbers.get(identity)
            if isinstance(current, int):
                numbers[current] = None
            elif current is not None:
                numbers |= dict.fromkeys(current)
        return list(numbers)

    def add(self, identity: Identity, number: int) -> None:
        """Add a guest to an identity."""
        current = self._numbers.get(identity)
        if current is None:
            self._numbers[identity] = number
        else:
            self._numbers[identity] = (*(current if isinstance(current, tuple) else (current,)), number)

    def remove(self, identity: Identity, number: int) -> None:
        """Remove a guest from an identity."""
        current = self._numbers.pop(identity)
        remaining = tuple(item for item in current if item != number) if isinstance(current, tuple) else ()
        if remaining:
            self._numbers[identity] = remaining if len(remaining) > 1 else remaining[0]
