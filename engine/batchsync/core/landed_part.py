"""A landed file of a source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedPart:
    """A file that a fetcher wrote into the folder of a run, with its hex SHA-256.

    `path` is absolute. `origin` is the path at its source, whose folders may name columns; empty if they do not.
    """

    path: str
    sha256: str
    origin: str = ""
