"""Consent of a person on the terminal, before something that cannot be undone."""

from __future__ import annotations

import sys

import click

from batchsync.errors import UsageError


def confirm(question: str, *, yes: bool, otherwise: str = "nothing was changed") -> None:
    """Ask a person on the terminal.

    Args:
        question: What is going to be done, as a question without its mark.
        yes: Whether the answer was given with the command.
        otherwise: What holds if the answer is no.

    Raises:
        UsageError: If no person can be asked, or the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("it cannot be confirmed: standard input is no terminal", hint="add --yes")
    if not click.confirm(question, err=True):
        raise UsageError(f"not confirmed; {otherwise}", hint="add --yes")
