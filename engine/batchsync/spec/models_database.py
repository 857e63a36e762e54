"""Pydantic model of a database in the `connections:` block of jobs.yaml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from batchsync.spec import field_types as types
from batchsync.spec.models_source import Strict


class DatabaseModel(Strict):
    """A database that sources read. Nothing is written to it."""

    model_config = ConfigDict(title="Database")

    database: Literal["sqlite", "postgres", "redshift", "mysql", "mariadb", "duckdb"] = Field(
        title="Database", description="Kind of the database.", examples=["postgres", "sqlite"]
    )
    path: types.Text | None = Field(
        None,
        title="File",
        description="File of a SQLite or DuckDB database, relative to jobs.yaml. DuckDB reads local Parquet files "
        "without one.",
        examples=["shop.db"],
    )
    url: types.Text | None = Field(
        None,
        title="URL",
        description="URL of the server with user, password and database, a reference: ${NAME} or "
        "${file:/run/secrets/name}. Instead of it, the keys host, port, dbname, user and password.",
        examples=["${WAREHOUSE_URL}"],
    )
    host: types.Text | None = Field(
        None,
        title="Host",
        description="Name or address of the server, or the folder or path of its socket.",
        examples=["warehouse.example.com"],
    )
    port: types.Port | None = Field(None, title="Port", description="Port of the server.", examples=[5432])
    dbname: types.Text | None = Field(
        None, title="Database name", description="Name of the database on the server.", examples=["mart"]
    )
    user: types.Text | None = Field(
        None, title="User", description="Account that may read, and should not be able to do more.", examples=["reader"]
    )
    password: types.Text | None = Field(
        None,
        title="Password",
        description="Password, a reference: ${NAME} or ${file:/run/secrets/name}.",
        examples=["${WAREHOUSE_PASSWORD}"],
    )
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] | None = Field(
        None,
        title="TLS",
        description="Encryption of the connection. By default require, and prefer on this machine; verify-full checks "
        "the certificate and the name of the server.",
        examples=["verify-full"],
    )
    sslrootcert: types.Text | None = Field(
        None,
        title="CA certificates",
        description="PEM file of the certificates to trust, relative to jobs.yaml.",
        examples=["certs/warehouse.pem"],
    )
    statement_timeout: types.Duration | None = Field(
        None,
        title="Statement time-out",
        description="How long the server may work on a statement, all rows included; 1h by default.",
        examples=["10m"],
    )


def kind_of_connection(value: Any) -> str:
    """Return the tag of the block of a connection: a database or storage if it says so, else a vendor account."""
    names = value if isinstance(value, dict) else type(value).model_fields
    if "storage" in names:
        return "storage"
    return "database" if "database" in names else "vendor"
