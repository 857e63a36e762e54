"""Members of a JSON document from elsewhere that must have their type."""

from __future__ import annotations


def number(value: object) -> int:
    """Return a value that must be a number of things.

    Raises:
        TypeError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        message = f"{type(value).__name__} instead of a number"
        raise TypeError(message)
    return value


def text(value: object) -> str:
    """Return a value that must be a text.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(value, str):
        message = f"{type(value).__name__} instead of a text"
        raise TypeError(message)
    return value
