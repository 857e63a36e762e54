"""Planted bugs, and the patch that most of them use: an attribute is replaced for a `with` block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


@dataclass(frozen=True)
class Plant:
    """One planted bug: the invariant that it violates, its description, and the patch that plants it."""

    invariant: int
    description: str
    planted: Callable[[], AbstractContextManager[object]]


def replaced(
    owner: object, name: str, replacement: Callable[[Any], Any]
) -> Callable[[], AbstractContextManager[object]]:
    """Return a patch that replaces an attribute by `replacement(original)`."""

    def planted() -> AbstractContextManager[object]:
        return mock.patch.object(owner, name, replacement(getattr(owner, name)))

    return planted
