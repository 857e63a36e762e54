"""Small sentences that errors of the data path share. They know no file and no column of their own."""

from __future__ import annotations

import difflib

#: As many names as fit a line.
_LINE = 12


def closest(name: str, known: tuple[str, ...]) -> str:
    """Return a hint that names the column most like `name`, or some that there are."""
    folded = {one.casefold().strip(): one for one in reversed(known)}
    near = difflib.get_close_matches(name.casefold().strip(), folded, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {folded[near[0]]!r}?"
    if not known:
        return "The source has no columns."
    listed = ", ".join(known[:_LINE]) + (", ..." if len(known) > _LINE else "")
    return f"The source has: {listed}."
