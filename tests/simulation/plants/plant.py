"""What a planted bug is, and how most are planted: one attribute is another for the length of a `with`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


@dataclass(frozen=True)
class Plant:
    """One planted bug: the law it breaks, what it does, and how."""

    law: int
    does: str
    planted: Callable[[], AbstractContextManager[object]]


def replaced(owner: object, name: str, made: Callable[[Any], Any]) -> Callable[[], AbstractContextManager[object]]:
    """Return a patch that puts `made(original)` in the place of an attribute."""

    def planted() -> AbstractContextManager[object]:
        return mock.patch.object(owner, name, made(getattr(owner, name)))

    return planted
