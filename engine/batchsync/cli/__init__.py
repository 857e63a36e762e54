"""The command line: parses arguments, hands work to the engine and prints the answer. It decides nothing."""

from lading.cli.root import main

__all__ = ["main"]
