"""Regular expressions of vendor specs, matched by the engine that also checks rows.

That engine takes time linear in the length of the text, whatever the pattern; it has no look-around and no
back-references.
"""

from __future__ import annotations

import re

_CLASS = r"\[\^?(?:a-z|A-Z|0-9|_|\\x00-\\x1f)+-?\]"
#: Patterns that are known to be valid, so that loading a bundled vendor does not import the engine.
_PLAIN = re.compile(rf"\^?(?:[A-Za-z0-9_ -]|{_CLASS}[*+]?)*\$?")
#: Patterns that Python matches alike, in linear time, too: it needs no import, and `status` matches names of members.
_ALIKE = re.compile(rf"(\^(?:[A-Za-z0-9_ -]|{_CLASS})*(?:{_CLASS}[*+])?)(\$?)")


def pattern_problem(pattern: str) -> str:
    """Return why a pattern cannot be used; empty if it can."""
    if _PLAIN.fullmatch(pattern):
        return ""
    try:
        contains_pattern(pattern, "")
    except ValueError as error:
        return str(error)
    return ""


def contains_pattern(pattern: str, text: str) -> bool:
    """Return whether a pattern matches a part of a text, as it would match the value of a row.

    Raises:
        ValueError: If the pattern cannot be used; the message says why.
    """
    if alike := _ALIKE.fullmatch(pattern):
        # `$` also matches before a line break at the end in Python.
        return re.search(alike[1] + (r"\Z" if alike[2] else ""), text) is not None
    import polars as pl  # noqa: PLC0415 - loaded only by commands that match another pattern

    reason = ""
    try:
        return bool(pl.Series([text]).str.contains(pattern).item())
    except pl.exceptions.ComputeError as error:
        found = re.search(r"^error: (.+)$", str(error), re.MULTILINE)
        reason = found[1] if found else "too large"
    raise ValueError(reason)
