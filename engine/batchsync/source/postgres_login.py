"""Connection strings of PostgreSQL and Redshift, from the settings of a connection and its resolved references."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from batchsync.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.query import Database, Server

#: Seconds until an attempt to connect ends, and after which a silent connection is tested, per host.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "application_name": "batchsync",
}
_SCHEMES = ("postgresql", "postgres", "redshift")


def connection_string(database: Database, login: Mapping[str, str]) -> str:
    """Return the connection string of libpq, which contains the password.

    Without an `sslmode`, the connection has to be encrypted, except on this machine.

    Args:
        database: The database.
        login: Its secrets by key: `url` or `password`.

    Raises:
        UnavailableError: If the value of the url is no URL of PostgreSQL. The message contains nothing of it.
    """
    server = _server(database)
    if server.url:
        return _of_url(database, login.get("url", ""), server)
    settings = {
        "host": server.host,
        "port": str(server.port or _default_port(database)),
        "dbname": server.dbname,
        "user": server.user,
        "password": login.get("password", ""),
        **_tls(server, server.host, {}),
        **_DEFAULTS,
    }
    return " ".join(f"{name}={_quoted(value)}" for name, value in settings.items() if value)


def address(database: Database, login: Mapping[str, str]) -> str:
    """Return host and port for messages, without user, password and parameters.

    Args:
        database: The database.
        login: Its secrets by key.
    """
    server = _server(database)
    host, port = server.host, server.port
    if server.url:
        try:
            parts = urlsplit(login.get("url", ""))
            host, port = unquote(parts.hostname or ""), parts.port
        except ValueError:
            host, port = "", None
    if not host:
        return "the server"
    port = port or _default_port(database)
    return f"the socket in {host}" if host.startswith("/") else f"{host}, port {port}"


def _server(database: Database) -> Server:
    if database.server is None:
        raise UnavailableError(f'connection "{database.name}" has no server', hint=f"check {database.place}")
    return database.server


def _default_port(database: Database) -> int:
    return 5439 if database.kind == "redshift" else 5432


def _of_url(database: Database, url: str, server: Server) -> str:
    """Return a URL with the settings that it does not have."""
    reason = ""
    try:
        parts = urlsplit(url)
        written = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        host, port = unquote(parts.hostname or written.get("host", "")), parts.port
    except ValueError:
        reason = "is no URL: special characters of user and password are URL-encoded"
    else:
        if parts.scheme not in _SCHEMES:
            reason = "does not begin with postgresql://"
        elif not host:
            reason = "has no host"
        elif parts.fragment or "@" in parts.path + parts.query or parts.netloc.count("@") > 1:
            # A part of a password that ends a part of a URL must not become a host, which messages show.
            reason = "has characters in user or password that are URL-encoded, such as %40 for @"
        elif not any(ord(character) > ord(" ") for character in url) or any(item.isspace() for item in url):
            reason = "contains white space, which is URL-encoded as %20"
    if reason:
        raise UnavailableError(
            f'connection "{database.name}": the value of {server.url} {reason}',
            hint="set it to postgresql://user:password@host:port/database (user and password URL-encoded)",
        )
    more = {name: value for name, value in _DEFAULTS.items() if name not in written}
    if port is None and "port" not in written and database.kind == "redshift":
        more["port"] = str(_default_port(database))
    settings = {**written, **_tls(server, host, written), **more}
    # A user or password may have characters that urlsplit keeps as they are; only scheme and query are rewritten.
    place = url.partition("://")[2].partition("?")[0].partition("#")[0]
    return f"postgresql://{place}?{urlencode(settings, quote_via=quote)}"


def _tls(server: Server, host: str, written: Mapping[str, str]) -> dict[str, str]:
    """Return how the connection is encrypted, where the URL does not say it."""
    default = "prefer" if is_this_machine(host) else "require"
    mode = server.sslmode or written.get("sslmode", default)
    files = {"sslrootcert": server.sslrootcert} if server.sslrootcert else {}
    return {"sslmode": mode, **files}


def is_this_machine(host: str) -> bool:
    """Return whether a host is this machine: a socket, or a loopback address."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _quoted(value: str) -> str:
    """Return a value of a connection string in quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
