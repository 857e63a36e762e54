"""The port of what can be followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

#: Limits of one revision. Large sources belong elsewhere, and are named by an absolute path or a variable.
FILES_MAX = 20_000
BYTES_MAX = 256 << 20
#: Advice for a revision that is beyond them.
TOO_LARGE = "keep large sources elsewhere, and name them with a variable: path: ${DATA}/customers.csv"


class Origin(Protocol):
    """Where revisions of the files of jobs come from.

    Attributes:
        title: What is followed, for messages; without credentials.
    """

    @property
    def title(self) -> str:
        """What is followed, for messages; without credentials."""
        ...

    def newest(self) -> str:
        """Return the id of the newest revision, hexadecimal.

        Raises:
            UnavailableError: If it cannot be found out now.
        """
        ...

    def export(self, work: Path) -> tuple[str, Path]:
        """Write the files of the newest revision below an empty folder.

        Args:
            work: Existing folder on the disk of the checkouts.

        Returns:
            The id of the revision, and the folder with its files.

        Raises:
            UnavailableError: If it cannot be read now, or is too large.
        """
        ...
