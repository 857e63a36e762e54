"""Servers for the tests of this folder, each started once per test run by `kit.supervised`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit import azurite as azurite_kit
from kit import gcs_server, moto_server, postgresql
from kit import mariadb as mariadb_kit

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def database() -> Iterator[postgresql.Database]:
    """A connection to a private PostgreSQL cluster."""
    with postgresql.database() as connection:
        yield connection


@pytest.fixture(scope="session")
def mariadb() -> Iterator[mariadb_kit.Server]:
    """A private MariaDB server; tests use tables of their own."""
    with mariadb_kit.running() as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgresql.Cluster]:
    """A private PostgreSQL cluster, whose databases the tests create."""
    with postgresql.cluster() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of moto's server of S3."""
    with moto_server.running() as url:
        yield url


@pytest.fixture(scope="session")
def gcs() -> Iterator[str]:
    """The URL of fake-gcs-server."""
    with gcs_server.running() as url:
        yield url


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The URL of the account of Azurite."""
    with azurite_kit.running() as url:
        yield url


@pytest.fixture(scope="session")
def shop(cluster: postgresql.Cluster) -> postgresql.Cluster:
    """A database with a table of guests, and an account that may read a part of it."""
    cluster.execute("CREATE DATABASE shop; CREATE ROLE reader LOGIN PASSWORD 'reading'")
    cluster.execute(
        """
        CREATE SCHEMA mart;
        CREATE TABLE mart.guests (id int PRIMARY KEY, name text, updated_at timestamptz);
        INSERT INTO mart.guests SELECT g, 'n' || g, '2026-01-01'::timestamptz + g * interval '1 h'
          FROM generate_series(1, 10) AS g;
        CREATE TABLE mart."Odd ""table"" x" (id int, "a b" text);
        CREATE TABLE hidden (id int);
        GRANT USAGE ON SCHEMA mart TO reader;
        CREATE FUNCTION writing() RETURNS int LANGUAGE plpgsql AS
          'BEGIN INSERT INTO hidden VALUES (1); RETURN 1; END';
        CREATE FUNCTION failing() RETURNS int LANGUAGE plpgsql AS
          'BEGIN RAISE EXCEPTION ''Hopper''; END';
        CREATE FUNCTION guessing() RETURNS int LANGUAGE plpgsql AS
          'DECLARE n int; BEGIN EXECUTE ''SELECT x FROM "Hopper"'' INTO n; RETURN n; END';
        """,
        dbname="shop",
    )
    return cluster
