"""Accounts at vendors: what identifies them, and their clients."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from batchsync import __version__
from batchsync.core.connection import Connection
from batchsync.core.policy import with_overrides
from batchsync.errors import UnavailableError
from batchsync.ports import Network, StorageAccess
from batchsync.spec import relations_of, resolve_credentials, resolve_login, resolve_proxy, secret_files
from batchsync.spec.file_fingerprint import FileFingerprint, fingerprint_of
from batchsync.spec.include import included_files
from batchsync.spec.vendor_spec import vendor_entry_point
from batchsync.storage.known_locations import KnownLocations
from batchsync.util.files import read_secret, sha256_of
from batchsync.util.plugins import VENDORS, load_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from batchsync.core.account_limits import AccountLimits, Reservation
    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job
    from batchsync.core.object_storage import Storage
    from batchsync.core.query import Database
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.journal import Journal
    from batchsync.ports import Clock, Connect, Vendor
    from batchsync.settings import Settings
    from batchsync.vendors.bundled_mocks import BundledMocks


@dataclass(frozen=True, slots=True)
class Accounts:
    """Accounts of the connections of a deployment.

    Attributes:
        settings: The settings.
        environ: Environment variables that references name.
        untrusted: Whether jobs.yaml is a stranger's, whose references are not resolved.
        journal: Returns the journal in which calls are counted; None if the command has opened none.
        on_transfer: Called at each read and write of a request to a vendor, from its thread.
    """

    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    untrusted: bool = False
    journal: Callable[[], Journal | None] = lambda: None
    on_transfer: Callable[[], None] = lambda: None

    def names(self, connection: Connection, rules: VendorRules) -> list[str]:
        """Return what identifies the account of a connection: vendor, base URL, name of the account.

        Raises:
            UnavailableError: If a reference has no value.
        """
        if self.settings.mocks or self.untrusted:
            return ["mocks", rules.name]
        references = {name: text for name, text in connection.credentials.items() if name == rules.account_credential}
        known = resolve_credentials(replace(connection, credentials=references), self.environ, read_secret)
        return [rules.name, connection.base_url.rstrip("/"), *known.values()]

    def key(self, connection: Connection, rules: VendorRules) -> str:
        """Return a short id of the account of a connection, whatever the target: its limits hold for all of them.

        At mocks, which tell no accounts apart, each connection stands for one.
        """
        mocked = [connection.name] if self.settings.mocks else []
        return sha256_of(json.dumps([*self.names(connection, rules), *mocked]).encode())[:16]

    def account_id(self, job: Job, connection: Connection, rules: VendorRules) -> str:
        """Return a short id of the account and target that a job sends to.

        Args:
            job: The job.
            connection: Its connection.
            rules: Rules of its vendor.
        """
        identity = [self.names(connection, rules), sorted(rules.identity_fields(job.target).items())]
        return sha256_of(json.dumps(identity).encode())[:16]

    def login(self, database: Database) -> Mapping[str, str]:
        """Return what the references of a database stand for; the port `Logins`.

        Args:
            database: The database.

        Returns:
            Secret values by key: `url`, or `password` if the connection has one.

        Raises:
            UnavailableError: If a reference has no value, or jobs.yaml is a stranger's.
        """
        if self.untrusted:
            raise UnavailableError(
                f'connection "{database.name}": databases are not opened with --untrusted',
                hint="check the file without --untrusted where you trust it",
            )
        return resolve_login(database, self.environ, read_secret)

    def access(self, storage: Storage) -> StorageAccess:
        """Return what the references of a storage stand for; the port `AccessOf`.

        Args:
            storage: The storage.

        Raises:
            UnavailableError: If a reference has no value, or jobs.yaml is a stranger's.
        """
        if self.untrusted:
            raise UnavailableError(
                f'connection "{storage.name}": no storage is opened with --untrusted',
                hint="check the file without --untrusted where you trust it",
            )
        references = as_connection(storage)
        return StorageAccess(
            credentials=resolve_credentials(references, self.environ, read_secret),
            proxy=resolve_proxy(references, self.environ, read_secret),
        )

    def connect(
        self, connection: Connection, rules: VendorRules, clock: Clock, mocks: BundledMocks | None = None
    ) -> Vendor:
        """Return the client of a connection. No request is sent yet.

        Args:
            connection: The connection.
            rules: Rules of its vendor.
            clock: Time source.
            mocks: Running mocks, which stand in for the vendor.

        Raises:
            UsageError: If the connection does not fit the vendor.
            UnavailableError: If a reference has no value.
        """
        if mocks is not None:
            base_url, credentials = mocks.of(rules.name)
        else:
            base_url = connection.base_url
            credentials = resolve_credentials(connection, self.environ, read_secret)
        return self._connect_function(connection, rules)(
            rules,
            base_url=base_url,
            credentials=credentials,
            ca_bundle=connection.ca_bundle,
            clock=clock,
            user_agent=f"batchsync/{__version__}",
        )

    def _connect_function(self, connection: Connection, rules: VendorRules) -> Connect:
        """Return the client factory of a vendor: built-in if its spec has a dialect, else that of its package."""
        if rules.dialect is None and vendor_entry_point(rules.name) is not None:
            connect_function: Connect = load_plugin(VENDORS, rules.name)
            return connect_function
        # Only commands that call vendors pay for the HTTP client.
        from batchsync.vendors.connect import Connector  # noqa: PLC0415 - see above

        return Connector(self._network(connection, rules))

    def _network(self, connection: Connection, rules: VendorRules) -> Network:
        """Return the network settings of a connection; mocks are on this machine and need none."""
        limits = with_overrides(rules.policy, connection).account
        reserve = partial(self._reserve_calls, self.key(connection, rules), limits) if limits.limits_calls else None
        if self.settings.mocks:
            return Network(limits=limits, reserve_calls=reserve, on_transfer=self.on_transfer)
        memory = KnownLocations(self.settings.state_folder, self.names(connection, rules))
        proxy = resolve_proxy(connection, self.environ, read_secret)
        return Network(
            proxy=proxy,
            storage_hosts=connection.storage_hosts,
            storage_memory=memory,
            limits=limits,
            reserve_calls=reserve,
            on_transfer=self.on_transfer,
        )

    def _reserve_calls(self, account: str, limits: AccountLimits, now: datetime) -> Reservation | None:
        """Reserve calls in the journal, if the command has opened it for writing."""
        journal = self.journal()
        return None if journal is None or journal.read_only else journal.reserve_calls(account, limits, now)


def files_fingerprint(settings: Settings, deployment: Deployment | None) -> FileFingerprint:
    """Return the fingerprint of the files of jobs as they are now, and of the files of secrets and queries in use.

    Args:
        settings: Settings that name the jobs file, and a folder of further files.
        deployment: Its contents when it was loaded; None if it was not, so that other files are not known.
    """
    files = included_files(settings.file, settings.jobs)
    place = str(settings.file)
    if deployment is None:
        return fingerprint_of(files, (), place=place)
    storages = [as_connection(item) for item in deployment.storages.values()]
    secrets = secret_files((*deployment.connections.values(), *storages), deployment.databases.values())
    lists = [job.suppress.source for job in deployment.jobs if job.suppress is not None]
    queries = [query for source in (*(job.source for job in deployment.jobs), *lists) for query in source.queries]
    statements = [query.file for query in queries if query.file]
    schemas = [file for connection in deployment.connections.values() for file in connection.setting_files]
    return fingerprint_of(files, (*secrets, *statements, *schemas), relations_of(queries), place=place)


def as_connection(storage: Storage) -> Connection:
    """Return a connection with the name and references of a storage, to resolve them as those of a vendor."""
    return Connection(
        name=storage.name, vendor="", base_url="", credentials=dict(storage.credentials), proxy=storage.proxy
    )
