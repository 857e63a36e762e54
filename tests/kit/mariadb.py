"""A private MariaDB server for tests, and connections to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
import trustme

from kit.server_process import ServerMissingError, account_of, wait_until_ready
from kit.supervised import supervised

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Settings of the server. It is thrown away, therefore nothing has to reach the disk.
_SETTINGS = {
    "bind_address": "127.0.0.1",
    "innodb_flush_log_at_trx_commit": "0",
    "innodb_doublewrite": "0",
    "innodb_buffer_pool_size": "32M",
    "innodb_log_file_size": "16M",
    "performance_schema": "OFF",
    "sql_mode": "",  # so that zero dates can be stored
    "character_set_server": "utf8mb4",
    "max_allowed_packet": "64M",
    "lc_messages": "en_US",
    "skip_name_resolve": "ON",
}
#: Account of Debian's package, and the number of an account that owns no file, as in `kit.postgresql`.
_ACCOUNT = "mysql"
#: Script of a shell: creates the data folder with the program that is its name, and becomes the server.
_START = """
"$0" --no-defaults --datadir="$PWD/data" --auth-root-authentication-method=normal --skip-test-db >/dev/null
exec "$@"
"""
_READY = "ready for connections"
DATABASE, USER, PASSWORD = "shop", "reader", "s3cret-of-the-reader"
#: Statements that create the database and accounts: one that may read, one that must use TLS, one without rights.
_SETUP = (
    f"CREATE DATABASE {DATABASE}",
    f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'",
    f"GRANT SELECT, EXECUTE, FILE ON *.* TO {USER}@'%'",
    f"CREATE USER encrypted@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL",
    "GRANT SELECT ON *.* TO encrypted@'%'",
    f"CREATE USER stranger@'%' IDENTIFIED BY '{PASSWORD}'",
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        port: Port on 127.0.0.1.
        home: Folder of the server, with its socket and its log.
        authority: Path of the certificate of the authority that signed the server's, which is for 127.0.0.1.
    """

    port: int
    home: Path
    authority: Path
    _open: list[Any] = field(default_factory=list)

    def admin(self) -> Any:
        """Return a new connection of the administrator, which commits each statement."""
        made = pymysql.connect(
            unix_socket=str(self.home / "socket"), user="root", database=DATABASE, autocommit=True, ssl_disabled=True
        )
        self._open.append(made)
        return made

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Execute statements as the administrator; return the rows of the last one."""
        with closing(self.admin()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        os.kill(int((self.home / "pid").read_text(encoding="ascii")), signal.SIGKILL)

    def statements(self) -> list[str]:
        """Return the statements that the reader is running."""
        shown = "SELECT user, info FROM information_schema.processlist WHERE info IS NOT NULL"
        return [str(info) for user, info in self.execute(shown) if user == USER]


def programs() -> tuple[Path, Path]:
    """Return the programs that create a data folder and that serve it.

    Raises:
        ServerMissingError: If MariaDB is not installed.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    create, serve = (shutil.which(name, path=path) for name in ("mariadb-install-db", "mariadbd"))
    if create is None or serve is None:
        raise ServerMissingError("MariaDB is not installed; run `make test-servers`, which installs it on Debian")
    return Path(create), Path(serve)


@contextmanager
def running() -> Iterator[Server]:
    """Start a server below a temporary folder. It ends with the block or with this process.

    Yields:
        The server.

    Raises:
        ServerMissingError: If MariaDB is not installed, or does not start.
    """
    create, serve = programs()
    user = account_of(_ACCOUNT) if os.geteuid() == 0 else ""
    # A path of pytest is too long for the name of a socket.
    home = Path(tempfile.mkdtemp(prefix="batchsync-mariadb-"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(home / "authority.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(home / "server.pem")
    if user:
        for path in (home, home / "authority.pem", home / "server.pem"):
            shutil.chown(path, user)
    server = Server(port=_free_port(), home=home, authority=home / "authority.pem")
    paths = {"datadir": home / "data", "socket": home / "socket", "pid_file": home / "pid"}
    tls = {"ssl_ca": server.authority, "ssl_cert": home / "server.pem", "ssl_key": home / "server.pem"}
    settings = _SETTINGS | paths | tls | {"port": server.port, "secure_file_priv": "", "tmpdir": home}
    arguments = [f"--{name}={value}" for name, value in settings.items()]
    # The shell creates the data folder under the supervisor, so that it is removed if this process is killed meanwhile.
    command = ["sh", "-ec", _START, create, serve, "--no-defaults", *arguments]
    with supervised(command, home, stop=signal.SIGTERM, user=user) as process:
        wait_until_ready(process, home / "log", _READY, "MariaDB")
        with closing(pymysql.connect(unix_socket=str(home / "socket"), user="root", ssl_disabled=True)) as connection:
            for statement in _SETUP:
                connection.query(statement)
        yield server
        for made in server._open:
            if made.open:
                made.close()


def _free_port() -> int:
    """Return a port below those that the kernel gives to connections, so that it is free until the server starts."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise ServerMissingError("no port is free for MariaDB")
