"""Settings of a server of MySQL or MariaDB from its URL, or from the keys of its connection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from batchsync.errors import UnavailableError
from batchsync.source.mysql_connection import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.query import Database

_PORT = 3306
_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
#: How MySQL's own clients call these modes.
_THEIR_MODES = {
    "disabled": "disable",
    "preferred": "prefer",
    "required": "require",
    "verify_ca": "verify-ca",
    "verify_identity": "verify-full",
}
_SCHEMES = ("mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql")
_FORM = "mysql://user:password@host:3306/database?sslmode=require"
_SOCKET = "mysqld.sock"
_THIS_MACHINE = frozenset({"localhost", "::1"})


def settings_of(database: Database, login: Mapping[str, str]) -> ServerSettings:
    """Return how the server of a database is reached.

    Args:
        database: The database.
        login: Its URL or password.

    Raises:
        UnavailableError: If the URL is none; it is not in the message.
    """
    server = database.server
    if server is None:
        raise UnavailableError(f'connection "{database.name}" has no server', hint=f"set url in {database.place}")
    settings = ServerSettings(
        host=server.host,
        port=server.port or _PORT,
        dbname=server.dbname,
        user=server.user,
        password=login.get("password", ""),
        sslmode=server.sslmode,
        sslrootcert=server.sslrootcert,
        timeout=database.statement_timeout.total_seconds(),
    )
    if "url" in login:
        settings = _from_url(settings, login["url"], database)
        # Keys of the connection count more than the parameters of its URL.
        settings = replace(settings, sslmode=server.sslmode or settings.sslmode)
        settings = replace(settings, sslrootcert=server.sslrootcert or settings.sslrootcert)
    if not settings.sslmode:
        is_here = settings.host in _THIS_MACHINE or settings.host.startswith(("127.", "/"))
        settings = replace(settings, sslmode="prefer" if is_here else "require")
    if settings.host.startswith("/") and Path(settings.host).is_dir():
        return replace(settings, host=str(Path(settings.host, _SOCKET)))
    return settings


def _from_url(settings: ServerSettings, url: str, database: Database) -> ServerSettings:
    """Return settings with what a URL says."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORT
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _invalid(database, "its url is no URL") from None
    if parts.scheme.lower() not in _SCHEMES:
        raise _invalid(database, f"its url does not begin with {database.kind}://")
    if not parts.hostname or "/" in parts.path.lstrip("/"):
        raise _invalid(database, "its url has no host, or more than a database after it")
    # A password with characters that end a part of a URL must not become a name, which messages show.
    if "@" in parts.path or parts.fragment:
        raise _invalid(database, "its url has characters in user or password that must be encoded, such as %40 for @")
    settings = replace(
        settings,
        host=unquote(parts.hostname),
        port=port,
        dbname=unquote(parts.path.lstrip("/")),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
    for name, value in parameters.items():
        key = name.lower().replace("_", "").replace("-", "")
        mode = _THEIR_MODES.get(value.lower(), value.lower())
        if key == "sslmode" and mode in _MODES:
            settings = replace(settings, sslmode=mode)
        elif key in {"sslrootcert", "sslca"}:
            settings = replace(settings, sslrootcert=value)
        elif key == "sslmode":
            raise _invalid(database, f"sslmode of its url is none of {', '.join(_MODES)}")
        elif key != "charset":
            raise _invalid(database, "its url has parameters other than sslmode, sslrootcert and charset")
    return settings


def _invalid(database: Database, reason: str) -> UnavailableError:
    return UnavailableError(f'connection "{database.name}": {reason}', hint=f"{_FORM} ({database.place})")
