"""A private PostgreSQL cluster, and the results of expressions over the rows of a frame in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from kit.server_process import ServerMissingError, account_of, wait_until_ready
from kit.supervised import supervised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Settings of the cluster. It is thrown away, therefore nothing has to reach the disk.
_SETTINGS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "16MB",
    "max_connections": "8",
    "statement_timeout": "30s",
}
#: Account of Debian's package, and the number of an account that owns no file. The server runs under one of them if the
#: tests run as root, because PostgreSQL refuses to run as root.
_ACCOUNT = "postgres"
_DATABASE = "postgres"
_ENVIRONMENT = {"PGCLIENTENCODING": "UTF8", "PATH": os.environ.get("PATH", "")}
#: Script of a shell: creates the cluster with the program that is its name, and becomes the server.
_START = """
"$0" --pgdata=data --username=test --auth=trust --no-sync --no-instructions \\
    --encoding=UTF8 --lc-collate=C --lc-ctype=C.UTF-8 --lc-messages=C
exec "$@"
"""
_READY = "ready to accept connections"
#: `given` returns its argument; PostgreSQL does not compute it in advance, because it is declared as volatile.
_SETUP = (
    "CREATE EXTENSION unaccent",
    "CREATE FUNCTION given(value anyelement) RETURNS anyelement LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN value; END'",
)
#: Evaluates each expression over the rows. An expression that fails for some of them is computed row by row.
_FUNCTION = """
CREATE FUNCTION results(columns text, lines json, expressions json) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    expression text;
    query text;
    line json;
    item json;
    answer json;
    found json[];
    answers json[] := '{}';
BEGIN
    FOR expression IN SELECT json_array_elements_text(expressions) LOOP
        query := 'SELECT coalesce(json_agg(json_build_array((' || expression || ')::text, pg_typeof(' || expression
            || ')::text)), ''[]'') FROM json_to_recordset($1) AS source(' || columns || ')';
        BEGIN
            EXECUTE query INTO answer USING lines;
        EXCEPTION WHEN OTHERS THEN
            found := '{}';
            FOR line IN SELECT json_array_elements(lines) LOOP
                BEGIN
                    EXECUTE query INTO item USING json_build_array(line);
                    item := item -> 0;
                EXCEPTION WHEN OTHERS THEN
                    item := json_build_array(NULL, 'error', SQLSTATE, SQLERRM);
                END;
                found := found || item;
            END LOOP;
            answer := array_to_json(found);
        END;
        answers := answers || answer;
    END LOOP;
    RETURN array_to_json(answers);
END $$
"""


@dataclass(frozen=True, slots=True)
class Value:
    """Result of an expression in one row.

    Attributes:
        text: The value as text; None for null and for errors.
        kind: Name of its type in PostgreSQL; `error` if the expression failed.
        state: SQLSTATE of the error; empty without one.
        message: Message of the error; empty without one.
    """

    text: str | None
    kind: str
    state: str = ""
    message: str = ""

    @property
    def failed(self) -> bool:
        """Whether the expression failed."""
        return self.kind == "error"


class Database:
    """A connection, held by one psql process that executes a statement per line."""

    def __init__(self, psql: subprocess.Popen[str]) -> None:
        """Keep the process and create what the expressions need."""
        self._psql = psql
        self._send("; ".join(" ".join(part.split()) for part in (*_SETUP, _FUNCTION, "SELECT 'created'")))

    def results(self, expressions: Sequence[str], frame: pl.DataFrame) -> list[list[Value]]:
        """Return the values of expressions, each with one value per row of a frame."""
        columns = ", ".join(f'"{name}" {sql_type(kind)}' for name, kind in frame.schema.items())
        rows = [{name: _written(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]
        arguments = (columns, json.dumps(rows), json.dumps(list(expressions)))
        quoted = ", ".join("'" + text.replace("'", "''") + "'" for text in arguments)
        found = json.loads(self._send(f"SELECT results({quoted})"))
        return [[Value(*value) for value in values] for values in found]

    def _send(self, statement: str) -> str:
        """Send a statement of one line; return its result, which is one line."""
        pipe, answers = self._psql.stdin, self._psql.stdout
        if pipe is None or answers is None:
            raise ValueError("psql needs pipes")
        pipe.write(f"{statement};\n")
        pipe.flush()
        line = answers.readline()
        if not line:
            raise ServerMissingError(f"psql ended with exit code {self._psql.wait()} at: {statement[:200]}")
        return line


def sql_type(kind: pl.DataType) -> str:
    """Return the type of PostgreSQL for a column of a frame."""
    if isinstance(kind, pl.Decimal):
        return f"numeric({kind.precision},{kind.scale})"
    if isinstance(kind, pl.Datetime):
        return "timestamptz" if kind.time_zone else "timestamp"
    return _TYPES[kind.base_type()]


_TYPES: Mapping[type[pl.DataType], str] = {
    pl.Int32: "integer",
    pl.Int64: "bigint",
    pl.Float64: "double precision",
    pl.String: "text",
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Time: "time",
}


def _written(value: object) -> str | None:
    """Return a value as text that PostgreSQL reads; booleans as true and false."""
    return None if value is None else str(value)


def programs() -> Path:
    """Return the folder of the programs of the newest PostgreSQL server on this machine.

    Raises:
        ServerMissingError: If there is none.
    """
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    for folder in folders:
        if all((folder / name).exists() for name in ("postgres", "initdb", "psql")):
            return folder
    raise ServerMissingError("PostgreSQL is not installed; run `make test-servers`, which installs it on Debian")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster.

    Attributes:
        folder: Folder of its data and its socket.
        port: Port, in the name of its socket, too.
    """

    folder: Path
    port: int

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return int((self.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def psql(self, *arguments: str, user: str = "test", dbname: str = _DATABASE) -> list[str | Path]:
        """Return the command of psql, which prints values alone and ends at the first error."""
        place = ["--host", self.folder, "--port", str(self.port), "--username", user, "--dbname", dbname]
        return [programs() / "psql", *place, "-XqAt", "-v", "ON_ERROR_STOP=1", *arguments]

    def execute(self, sql: str, *, user: str = "test", dbname: str = _DATABASE) -> str:
        """Execute statements, and return what they print: columns with the character 31 between, rows with 30."""
        done = subprocess.run(
            self.psql("-F\x1f", "-R\x1e", user=user, dbname=dbname),
            input=sql.encode(), capture_output=True, check=False, env=_ENVIRONMENT,
        )  # fmt: skip
        if done.returncode:
            raise ValueError(done.stderr.decode())
        return done.stdout.decode().removesuffix("\x1e").removesuffix("\n")


@contextmanager
def cluster(**changed: str) -> Iterator[Cluster]:
    """Start a cluster below a temporary folder. Texts are UTF-8, compared by code point; the time zone is UTC.

    The cluster ends with the block or with this process.

    Args:
        changed: Settings of the server.

    Yields:
        The cluster, with the account `test` that may do everything and needs no password.

    Raises:
        ServerMissingError: If PostgreSQL is not installed, or does not start.
    """
    folder = programs()
    user = account_of(_ACCOUNT) if os.geteuid() == 0 else ""
    # A path of pytest is too long for the name of a socket.
    home = Path(tempfile.mkdtemp(prefix="batchsync-postgresql-"))
    if user:
        shutil.chown(home, user)
    settings = _SETTINGS | {"unix_socket_directories": str(home)} | changed
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    # The shell creates the cluster under the supervisor, so that it is removed if this process is killed meanwhile.
    command = ["sh", "-ec", _START, folder / "initdb", folder / "postgres", "-D", "data", *arguments]
    with supervised(command, home, stop=signal.SIGINT, user=user) as server:
        wait_until_ready(server, home / "log", _READY, "PostgreSQL")
        yield Cluster(home, int(settings.get("port", "5432")))


@contextmanager
def database() -> Iterator[Database]:
    """Start a cluster, and connect to it by its socket.

    Yields:
        The connection.

    Raises:
        ServerMissingError: If PostgreSQL is not installed, or does not start.
    """
    with (
        cluster() as server,
        subprocess.Popen(
            server.psql(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", env=_ENVIRONMENT
        ) as psql,
    ):
        yield Database(psql)
        if psql.stdin:
            psql.stdin.close()
