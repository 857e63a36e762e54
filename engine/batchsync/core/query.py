"""Queries of databases, as jobs.yaml declares them: the connection, and the statement or table to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from batchsync.core.mapping import Place

_ALL_OF = "SELECT * FROM "
#: Kinds of databases, with their names for messages.
KINDS = {
    "sqlite": "SQLite",
    "postgres": "PostgreSQL",
    "redshift": "Redshift",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "duckdb": "DuckDB",
}
#: Kinds that are files, or no server at all.
FILE_KINDS = frozenset({"sqlite", "duckdb"})
#: Kinds that read only new rows if a job says so.
SINCE_KINDS = frozenset({"postgres", "redshift", "mysql", "mariadb"})
#: How long a statement may take, unless the connection says otherwise.
STATEMENT_TIMEOUT = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the server of a database is, and as whom it is used.

    Attributes:
        url: Reference to a URL with everything, instead of host, port, dbname, user and password; empty without one.
        host: Name or address of the server, or the folder of its socket.
        port: Port; None for the usual one.
        dbname: Name of the database.
        user: Name of the account.
        password: Reference to the password; empty without one.
        sslmode: disable, prefer, require, verify-ca or verify-full; empty for the default of the kind.
        sslrootcert: Absolute path of the PEM file of the certificates to trust; empty for those of the machine.
    """

    url: str = field(default="", repr=False)
    host: str = ""
    port: int | None = None
    dbname: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    sslmode: str = ""
    sslrootcert: str = ""

    @property
    def references(self) -> dict[str, str]:
        """References to resolve before the server is used, by the name of their key: `url` or `password`."""
        return {name: text for name, text in (("url", self.url), ("password", self.password)) if text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database that sources read.

    Attributes:
        name: Name of the connection.
        kind: Kind of the database, one of `KINDS`.
        path: Absolute path of the file of a SQLite or DuckDB database; empty for a server, and for DuckDB in memory.
        roots: Folders that files must be below, without links; empty allows every folder.
        folder: Absolute folder of jobs.yaml, where the names of files in a query of DuckDB start.
        server: The server; None for files.
        statement_timeout: How long a statement may take on a server.
        place: Location in jobs.yaml.
    """

    name: str
    kind: str
    path: str = ""
    roots: tuple[str, ...] = ()
    folder: str = ""
    server: Server | None = None
    statement_timeout: timedelta = STATEMENT_TIMEOUT
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DbtReference:
    """Relation of dbt that a table was found by.

    Attributes:
        manifest: Absolute path of the manifest.
        model: Name of the model as jobs.yaml writes it.
        text: What names it in files of dbt, such as `ref('mart_guests')`.
    """

    manifest: str
    model: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """Reading only new rows of a query, where no run needs the others.

    Attributes:
        column: Column of the query whose values grow.
        lag: How far below the greatest known value reading begins, for rows that became visible late: a time, or a
            number for a column of numbers.
        full_every: After which time a run reads all rows again.
    """

    column: str
    lag: timedelta | int = timedelta(0)
    full_every: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a source reads from a database: the rows of one statement, or of a table.

    Attributes:
        database: The database.
        sql: The statement, in the SQL of the database; empty if a table is read.
        table: Names of the table, such as schema and table; empty if a statement is read.
        file: Absolute path of the file that the statement was read from; empty if it stands in jobs.yaml.
        written: The file as jobs.yaml names it.
        dbt: The relation of dbt that the table is; None if jobs.yaml names the table.
        since: Whether and how only new rows may be read; None always reads all rows.
        after: Lower bound of this run for the column of `since`, as text; empty to read all rows.
    """

    database: Database
    sql: str = ""
    table: tuple[str, ...] = ()
    file: str = ""
    written: str = ""
    dbt: DbtReference | None = None
    since: Since | None = None
    after: str = ""

    @property
    def title(self) -> str:
        """What is read, for messages: the connection, and the table or file."""
        return f"{self.database.name}: {'.'.join(self.table) or self.written or 'query'}"

    def statement(self, quote: str = '"') -> str:
        """Return the statement that selects the rows; names of a table are quoted identifiers.

        Args:
            quote: Quotation mark of identifiers in the SQL of the database.
        """
        if not self.table:
            return self.sql
        return _ALL_OF + ".".join(quote + name.replace(quote, quote * 2) + quote for name in self.table)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryColumn:
    """A column of a query, as its database describes it before any row is read.

    Attributes:
        name: Name of the column.
        declared: Type in the words of the database, such as `numeric(10,2)`.
        read_as: What its values become: integer, float, decimal, boolean, text, date, time or timestamp, with remarks
            in brackets; empty if the column is refused.
        refusal: Why the column cannot be read, in words, with what to write in the query instead; empty if it can.
    """

    name: str
    declared: str
    read_as: str = ""
    refusal: str = ""
