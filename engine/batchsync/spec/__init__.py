"""jobs.yaml, read: located, typed and frozen, or refused with everything that is wrong in it.

It does not know rows, the network or the clock. The names below are all that other packages need; each is imported
when it is used, so that a command which reads no YAML does not pay for the libraries behind it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lading.spec.credentials import resolve_credentials, secret_files
    from lading.spec.jobs_file import fill_in_lines, load
    from lading.spec.render import render_problem
    from lading.spec.schema_out import SCHEMA_FILE, jobs_schema, jobs_schema_text
    from lading.spec.starters import starter_files

__all__ = [
    "SCHEMA_FILE",
    "fill_in_lines",
    "jobs_schema",
    "jobs_schema_text",
    "load",
    "render_problem",
    "resolve_credentials",
    "secret_files",
    "starter_files",
]

_HOMES = {
    "SCHEMA_FILE": "schema_out",
    "fill_in_lines": "jobs_file",
    "jobs_schema": "schema_out",
    "jobs_schema_text": "schema_out",
    "load": "jobs_file",
    "render_problem": "render",
    "resolve_credentials": "credentials",
    "secret_files": "credentials",
    "starter_files": "starters",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
