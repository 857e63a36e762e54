"""The command that another scheduler runs for a job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What another scheduler runs for a job.

    Attributes:
        program: Path or name of the program.
        options: Options of each command, such as `--file`.
        folder: Absolute working directory.
        environment: Environment variables that hold no secrets, such as that of the state folder.
    """

    program: str
    folder: str
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    def words(self, job: str) -> tuple[str, ...]:
        """Return the words of the command line of a job."""
        return (self.program, "sync", *self.options, job)
