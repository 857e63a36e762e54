"""The two channels to whoever typed the command: a reader that goes away ends no work, and no file takes their place.

It does not know what is written.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from typing import TextIO


def ready() -> None:
    """Make the channels fit to be written to, whatever they are.

    A channel that was closed before we began leads nowhere: the next file that is opened, the journal perhaps, would
    have its number, and take in what a library writes there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The system gives the lowest number that is free, and those below are taken.
            os.open(os.devnull, os.O_RDWR)
    for channel in (sys.stdout, sys.stderr):
        # A channel that cannot show a letter shows its number: never an error, never a lost line.
        if isinstance(channel, io.TextIOWrapper):
            channel.reconfigure(errors="backslashreplace")


def is_terminal(*, err: bool) -> bool:
    """Whether a person watches the channel; nobody does when it was closed."""
    channel = sys.stderr if err else sys.stdout
    return channel is not None and channel.isatty()


def silence(channel: TextIO) -> None:
    """Let everything that is still written to a channel go nowhere: its reader is gone, or its disk is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, channel.fileno())
    os.close(nowhere)


def to_stderr(text: str, *, color: bool | None = None) -> None:
    """Write a line to stderr. What nobody can read is no reason to stop working."""
    try:
        click.echo(text, err=True, color=color)
    except OSError:
        silence(sys.stderr)


class Forgiving:
    """A channel that may go away while a library writes to it."""

    def __init__(self, channel: TextIO) -> None:
        """Keep the channel."""
        self._channel = channel
        self.encoding, self.isatty, self.fileno = channel.encoding, channel.isatty, channel.fileno

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            return self._channel.write(text)
        except OSError:
            silence(self._channel)
            return len(text)

    def flush(self) -> None:
        """Bring out what can be brought out."""
        try:
            self._channel.flush()
        except OSError:
            silence(self._channel)
