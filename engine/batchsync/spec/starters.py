"""The first jobs.yaml of a folder: for each vendor a connection, a job that works, and the sample rows that it sends.

It does not know where the files go. What a starter says is data of its vendor (`starter/` beside its `vendor.yaml`).
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from lading.errors import UsageError
from lading.spec.schema_out import SCHEMA_FILE, jobs_schema_text
from lading.spec.vendor_spec import available_vendors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.resources.abc import Traversable

JOBS_FILE = "jobs.yaml"
#: Where the samples go, as the jobs of the starters name them.
DATA_FOLDER = "data"
_PARTS = ("connection.yaml", "job.yaml")
_HEAD = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
# What this folder sends, to whom, and when. It works as it stands, offline, against the vendors in the box:
#
#     lading validate              is this file right?
#     lading plan --mocks          what would be sent?
#     lading sync --mocks          send it, wait for the vendors, account for every row
#
# Then name your own files, and give the credentials as environment variables or files; `lading doctor` checks them.
version: 1

# Who takes the data. Secrets never stand here, only where to find them: ${{NAME}} is an environment variable,
# ${{NAME:-text}} one with a default, ${{file:/run/secrets/name}} the content of a file.
connections:
"""


def starter_vendors() -> tuple[str, ...]:
    """Return the vendors in the box that bring a starter."""
    return tuple(name for name in available_vendors() if all((_folder(name) / part).is_file() for part in _PARTS))


def starter_files(vendors: Sequence[str] = ()) -> Mapping[str, str]:
    """Return the files of a new folder for these vendors, or all in the box: text by path, `jobs.yaml` last.

    Raises:
        UsageError: when a vendor is not in the box, or brings no starter.
    """
    known = starter_vendors()
    for name in vendors:
        if name not in known:
            raise UsageError(f"there is no vendor {name} to start with", hint=f"vendors in the box: {', '.join(known)}")
    chosen = [name for name in known if not vendors or name in vendors]
    samples = {
        f"{DATA_FOLDER}/{one.name}": one.read_text(encoding="utf-8")
        for name in chosen
        for one in sorted(_folder(name).iterdir(), key=lambda one: one.name)
        if one.name.endswith(".csv")
    }
    return {**samples, SCHEMA_FILE: jobs_schema_text(), JOBS_FILE: _jobs_text(chosen)}


def _jobs_text(vendors: Sequence[str]) -> str:
    connections, jobs = ([_part(name, part) for name in vendors] for part in _PARTS)
    return "".join([_HEAD, *connections, "\njobs:\n", "\n".join(jobs)])


def _part(vendor: str, name: str) -> str:
    """Return a part of a starter, one level deeper."""
    lines = (_folder(vendor) / name).read_text(encoding="utf-8").splitlines()
    return "".join(f"  {line}\n" if line else "\n" for line in lines)


def _folder(vendor: str) -> Traversable:
    return files("lading_specs") / vendor / "starter"
