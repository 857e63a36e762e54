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
