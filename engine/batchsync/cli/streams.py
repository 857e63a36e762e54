"""Standard streams: closed pipes do not end a command, and no file takes the descriptor of a closed stream."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from typing import TextIO


def repair_std_streams() -> None:
    """Make the standard streams writable.

    A stream closed by the parent process is redirected to the null device; otherwise the next opened file, such as the
    journal, would get its descriptor and receive what a library writes there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free descriptor is assigned; lower ones are open.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        # Characters that the encoding lacks are escaped instead of raising an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_terminal(*, err: bool) -> bool:
    """Return whether the stream is a terminal."""
    stream = sys.stderr if err else sys.stdout
    return stream is not None and stream.isatty()


def redirect_to_null(stream: TextIO) -> None:
    """Redirect a stream to the null device, after its reader closed it or its disk is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def to_stderr(text: str, *, color: bool | None = None) -> None:
    """Write a line to stderr; an error while writing is ignored."""
    try:
        click.echo(text, err=True, color=color)
    except OSError:
        redirect_to_null(sys.stderr)


class BrokenPipeSafeStream:
    """Stream that ignores errors while a library writes to it."""

    def __init__(self, stream: TextIO) -> None:
        """Wrap a stream."""
        self._stream = stream
        self.encoding, self.isatty, self.fileno = stream.encoding, stream.isatty, stream.fileno

    def write(self, text: str) -> int:
        """Write the text, or discard it if the stream is closed.

        Returns:
            Number of characters written or discarded.
        """
        try:
            return self._stream.write(text)
        except OSError:
            redirect_to_null(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush the stream, or discard its buffer if it is closed."""
        try:
            self._stream.flush()
        except OSError:
            redirect_to_null(self._stream)
