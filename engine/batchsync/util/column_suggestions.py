"""Small sentences that errors of the data path share. They know no file and no column of their own."""

from __future__ import annotations

import difflib

#: As many names as fit a line.
_LINE = 12


def nearest(name: str, known: tuple[str, ...]) -> str:
    """Return the column most like `name`, or nothing when none is."""
    folded = {item.casefold().strip(): item for item in reversed(known)}
    near = difflib.get_close_matches(name.casefold().strip(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else ""


def closest(name: str, known: tuple[str, ...]) -> str:
    """Return a hint that names the column most like `name`, or some that there are."""
    if near := nearest(name, known):
        return f"Did you mean {near!r}?"
    if not known:
        return "The source has no columns."
    listed = ", ".join(known[:_LINE]) + (", ..." if len(known) > _LINE else "")
    return f"The source has: {listed}."
