"""Command line: click commands that parse arguments, call the engine and print reports."""

from batchsync.cli.root import main

__all__ = ["main"]
