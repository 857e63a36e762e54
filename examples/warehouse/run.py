"""Run the job of this folder: start a private PostgreSQL server, load warehouse.sql, and sync it to the bundled mocks.

Run it as `python examples/warehouse/run.py`. It needs the programs of PostgreSQL (on Debian: `apt-get install
postgresql`) and `pip install 'batchsync[mocks,postgres]'`. The server listens on a socket in a temporary folder only,
and ends with this script. Arguments are those of batchsync, and run instead of `validate --online` and `sync`:
`python examples/warehouse/run.py plan --limit 3`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parent
COMMANDS = (("validate", "--online"), ("sync",))
#: Exit code of a missing program, as that of batchsync.
ENVIRONMENT = 3


def programs() -> Path | None:
    """Return the folder of the programs of PostgreSQL; None if there are none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Start a server with the data of warehouse.sql; yield the URL of an account that may read it.

    Args:
        folder: Folder of the programs.
    """
    # PostgreSQL refuses to run as root.
    user = _account() if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="batchsync-warehouse-"))
    if user is not None:
        shutil.chown(home, user)

    def run(program: str, *arguments: str | Path) -> None:
        command = [folder / program, *arguments]
        subprocess.run(command, check=True, user=user, cwd=home, stdout=subprocess.DEVNULL)

    data = home / "data"
    options = f"-k '{home}' -c listen_addresses='' -c fsync=off"
    try:
        run("initdb", "--pgdata", data, "--username", "owner", "--auth", "trust", "--encoding", "UTF8", "--no-sync")
        run("pg_ctl", "start", "--wait", "--pgdata", data, "--log", home / "log", "--options", options)
        try:
            place = ("--host", home, "--username", "owner", "--dbname", "postgres")
            text = (FOLDER / "warehouse.sql").read_text(encoding="utf-8")
            psql = [folder / "psql", *place, "-Xq", "-v", "ON_ERROR_STOP=1"]
            subprocess.run(
                psql, input=text, check=True, encoding="utf-8", env=os.environ | {"PGCLIENTENCODING": "UTF8"}
            )
            yield f"postgresql://reader@{quote(str(home), safe='')}/postgres"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode", "fast", "--pgdata", data)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _account() -> int:
    """Return the number of the account of Debian's package, or of one that owns no file."""
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return 65534


def main() -> int:
    """Run the commands; return the exit code of the first that fails."""
    folder = programs()
    if folder is None:
        advice = "install PostgreSQL (on Debian: apt-get install postgresql), or set WAREHOUSE_URL as README.md says"
        sys.stderr.write(f"error: the programs of PostgreSQL are not installed\nnext: {advice}\n")
        return ENVIRONMENT
    commands = (tuple(sys.argv[1:]),) if sys.argv[1:] else COMMANDS
    with server(folder) as url:
        environ = os.environ | {"WAREHOUSE_URL": url, "BATCHSYNC_MOCKS": "1"}
        for arguments in commands:
            sys.stdout.write(f"$ batchsync {' '.join(arguments)}\n")
            sys.stdout.flush()
            command = [sys.executable, "-m", "batchsync", *arguments]
            if code := subprocess.run(command, check=False, cwd=FOLDER, env=environ).returncode:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
