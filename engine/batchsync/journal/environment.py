"""Environment that a state folder belongs to, in a file of the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.errors import StateError
from batchsync.util.files import create_private, make_private

if TYPE_CHECKING:
    from pathlib import Path

#: Name of the file; it holds the name of the environment.
FILE = "environment"
_BYTES_MAX = 256


def check_environment(folder: Path, name: str) -> None:
    """Refuse a state folder that belongs to another environment.

    Args:
        folder: The state folder; it need not exist.
        name: The chosen environment; empty for a jobs file without environments.

    Raises:
        StateError: If it belongs to another one.
    """
    owner = _recorded(folder)
    if owner is None or owner == name:
        return
    chosen = f"environment {name} is chosen" if name else "no environment is chosen"
    hint = f"name the environment with --env {owner}, or another state folder with --state or BATCHSYNC_STATE"
    raise StateError(f"{folder} is the state of environment {owner}, and {chosen}", hint=hint, name="state.environment")


def own_environment(folder: Path, name: str) -> None:
    """Check that a state folder belongs to an environment, and record it if none is recorded yet.

    A state without a record, of a time before the jobs file had environments, is taken over by the first one.

    Args:
        folder: The state folder; made if it does not exist.
        name: The chosen environment; empty for none, which is not recorded.

    Raises:
        StateError: If it belongs to another one.
    """
    check_environment(folder, name)
    if name and _recorded(folder) is None:
        make_private(folder)
        create_private(folder / FILE, f"{name}\n")
        check_environment(folder, name)  # another process may have been first


def _recorded(folder: Path) -> str | None:
    """Return the recorded environment; None if there is no record."""
    try:
        with (folder / FILE).open("rb") as file:
            return file.read(_BYTES_MAX).decode("utf-8", "replace").strip() or None
    except FileNotFoundError:
        return None
    except OSError:
        return "(unreadable)"
