"""Numbers of JSON with all their digits, so that what was received can be compared with what was meant.

A number that a float changes is a Decimal; all others are floats, as json reads them.
"""

from __future__ import annotations

import json
import re
import uuid
from decimal import Decimal
from typing import Any

# Numbers of at most this many characters are exact as floats.
_EXACT_LENGTH = 15
# Marks the text of a Decimal until it loses its quotes; no value contains it by accident.
_MARK = f"number-{uuid.uuid4().hex}:"
_MARKED = re.compile(f'"{_MARK}([^"]*)"')


def parse(text: str) -> float | Decimal:
    """Return a number with a fraction or an exponent, as `parse_float` of json."""
    number = float(text)
    if len(text) <= _EXACT_LENGTH and number:
        return number
    try:
        exact = Decimal(text)
        return number if Decimal(repr(number)) == exact else exact
    except ArithmeticError:
        return number


def dumps(content: object, *, ensure_ascii: bool = True) -> str:
    """Return compact JSON of a value that may contain Decimals, with or without escapes for other letters."""
    text = json.dumps(content, ensure_ascii=ensure_ascii, separators=(",", ":"), default=_marked)
    return _MARKED.sub(r"\1", text) if _MARK in text else text


def to_builtin(value: Any) -> Any:
    """Return a value with bytes instead of Decimals, at any depth; JSON has no bytes of its own."""
    if isinstance(value, Decimal):
        return str(value).encode()
    if isinstance(value, dict):
        return {name: to_builtin(inner) for name, inner in value.items()}
    return [to_builtin(inner) for inner in value] if isinstance(value, list) else value


def from_builtin(value: Any) -> Any:
    """Return the value of which `to_builtin` returned the argument."""
    if isinstance(value, bytes):
        return Decimal(value.decode())
    if isinstance(value, dict):
        return {name: from_builtin(inner) for name, inner in value.items()}
    return [from_builtin(inner) for inner in value] if isinstance(value, list) else value


def _marked(value: object) -> str:
    """Return a Decimal as marked text."""
    if isinstance(value, Decimal):
        return f"{_MARK}{value}"
    msg = f"{type(value).__name__} is not JSON"
    raise TypeError(msg)
