"""Files of a new deployment for `batchsync init`: jobs.yaml with a connection and a job per vendor, and sample data.

Starters are data of the vendors (`starter/` next to `vendor.yaml`), also of vendors that are only a folder.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.errors import UsageError
from batchsync.spec.json_schema import SCHEMA_FILE, jobs_schema_text
from batchsync.spec.vendor_spec import available_vendors, load_vendor, vendor_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.resources.abc import Traversable

JOBS_FILE = "jobs.yaml"
#: Folder of the sample data in the jobs of the starters.
DATA_FOLDER = "data"
_PARTS = ("connection.yaml", "job.yaml")
#: Part that a starter may have.
_SCENARIO = "scenario.yaml"
_SCENARIOS_HEAD = """
# Runs against the bundled mocks, in a temporary state, which `batchsync test` plays (--no-scenarios leaves them out).
scenarios:
"""
_HEAD = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
# A working deployment. Try it offline, against the bundled mocks of the vendors:
#
#     batchsync validate              check this file
#     batchsync test                  run its tests and scenarios
#     batchsync plan --mocks          show what would be sent
#     batchsync sync --mocks          send it, wait for the vendors, account for every row
#
# Then use your own files, and provide credentials as environment variables or files; `batchsync doctor` checks them.
version: 1

# Without the state folder, every row would be sent again: a missing one is an error, except with --mocks.
# `batchsync state init` begins it, once for each machine that delivers.
state: {{required: true}}

# Vendor accounts. Secrets are referenced, never written here: ${{NAME}} is an environment variable,
# ${{NAME:-text}} a variable with a default, ${{file:/run/secrets/name}} the content of a file.
connections:
"""


def starter_vendors() -> tuple[str, ...]:
    """Return the names of the available vendors that have a starter."""
    return tuple(name for name in available_vendors() if all((_folder(name) / part).is_file() for part in _PARTS))


def has_starter(vendor: str) -> bool:
    """Return whether a vendor has a starter.

    Args:
        vendor: Name of a vendor; a folder if it contains `/` or `.`.
    """
    if _is_folder(vendor):
        return all((Path(vendor) / "starter" / part).is_file() for part in (*_PARTS, "../vendor.yaml"))
    return vendor in starter_vendors()


def starter_files(vendors: Sequence[str] = (), folder: Path | None = None) -> Mapping[str, str]:
    """Return the files of a new deployment.

    Args:
        vendors: Names of the vendors, or folders if they contain `/` or `.`; empty for those that `init` includes.
        folder: Folder of the new files, which paths of vendors are relative to; by default the working directory.

    Returns:
        Text by relative path, `jobs.yaml` last.

    Raises:
        UsageError: If a vendor is unknown or has no starter.
    """
    known = starter_vendors()
    for name in vendors:
        if not has_starter(name):
            raise UsageError(f"no starter for vendor {name}", hint=f"vendors with a starter: {', '.join(known)}")
    chosen = [name for name in known if (name in vendors if vendors else load_vendor(name).in_init)]
    chosen += [name for name in dict.fromkeys(vendors) if _is_folder(name)]
    samples = {
        f"{DATA_FOLDER}/{path.name}": path.read_text(encoding="utf-8")
        for name in chosen
        for path in sorted(_folder(name).iterdir(), key=lambda file: file.name)
        if path.name.endswith(".csv")
    }
    return {**samples, SCHEMA_FILE: jobs_schema_text(), JOBS_FILE: _jobs_text(chosen, folder or Path())}


def _jobs_text(vendors: Sequence[str], folder: Path) -> str:
    connections = [_located(name, _part(name, _PARTS[0]), folder) for name in vendors]
    jobs = [_part(name, _PARTS[1]) for name in vendors]
    played = [_part(name, _SCENARIO) for name in vendors if (_folder(name) / _SCENARIO).is_file()]
    scenarios = [_SCENARIOS_HEAD, *played] if played else []
    return "".join([_HEAD, *connections, "\njobs:\n", "\n".join(jobs), *scenarios])


def file_head() -> str:
    """Return the beginning of a jobs.yaml, up to the line `connections:`."""
    return _HEAD


def connection_block(vendor: str) -> tuple[str, str]:
    """Return the name and the text of the connection of a vendor's starter.

    Raises:
        UsageError: If the vendor is unknown or has no starter.
    """
    if vendor not in starter_vendors():
        raise UsageError(
            f"no starter for vendor {vendor}", hint=f"vendors with a starter: {', '.join(starter_vendors())}"
        )
    block = _part(vendor, _PARTS[0])
    name = next(line for line in block.splitlines() if line.endswith(":") and not line.lstrip().startswith("#"))
    return name.strip().removesuffix(":"), block


def _part(vendor: str, name: str) -> str:
    """Return a part of a starter, indented by one level."""
    lines = (_folder(vendor) / name).read_text(encoding="utf-8").splitlines()
    return "".join(f"  {line}\n" if line else "\n" for line in lines)


def _located(vendor: str, block: str, folder: Path) -> str:
    """Return the block of a connection in which a vendor that is a folder is named by its path.

    Args:
        vendor: Name or folder of the vendor.
        block: The block, which names the vendor by its name.
        folder: Folder of the jobs file, which the path is relative to.
    """
    if not _is_folder(vendor):
        return block
    path = Path(os.path.relpath(vendor, folder)).as_posix()
    shown = path if re.fullmatch(r"[\w./-]+", path) else json.dumps(path, ensure_ascii=False)
    return block.replace(f"vendor: {load_vendor(vendor).name}\n", f"vendor: {shown if '/' in path else './' + path}\n")


def _is_folder(vendor: str) -> bool:
    return "/" in vendor or "." in vendor


def _folder(vendor: str) -> Traversable:
    return vendor_folder(vendor) / "starter"
