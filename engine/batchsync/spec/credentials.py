"""Validation and resolution of credential references: `${NAME}` and `${file:PATH}`. Messages never contain a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from batchsync.errors import UnavailableError
from batchsync.ports import Proxy
from batchsync.util.files import os_error_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from batchsync.core.connection import Connection
    from batchsync.core.query import Database

#: A credential is exactly one reference. A default other than empty would be a secret in a file under version control.
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-)?\}")
_FILE = re.compile(r"\$\{file:([^}\x00-\x1f]+)\}")
_WITH_DEFAULT = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*:-[^}]+\}")
FORMS = "a reference: ${NAME} or ${file:/run/secrets/name}"
#: Parts of the pattern of a proxy.
_REFERENCE = rf"{_VARIABLE.pattern}|{_FILE.pattern}".replace("(", "(?:")
_HOST_AND_PORT = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]):(?P<port>[0-9]{1,5})/?"
#: A proxy as written: a whole reference, or a URL whose user and password are references.
_PROXY = re.compile(rf"http://(?:(?P<user>{_REFERENCE}):(?P<password>{_REFERENCE})@)?{_HOST_AND_PORT}")
#: A proxy as the value of a reference: user and password are URL-encoded.
_PROXY_VALUE = re.compile(rf"http://(?:(?P<user>[^:@/?#\s]*):(?P<password>[^@/?#\s]*)@)?{_HOST_AND_PORT}")
PROXY_FORMS = "http://host:port, http://${USER}:${PASSWORD}@host:port, or a reference to either"
#: The same as patterns of a JSON Schema, which has no names of groups.
CREDENTIAL_PATTERN = f"^(?:{_REFERENCE})$"
PROXY_PATTERN = f"^(?:{re.sub(r'[(][?]P<[a-z]+>', '(?:', _PROXY.pattern)}|{_REFERENCE})$"
_PORT_MAX = 65_535


def credential_objection(text: str) -> str:
    """Return why a text is not a valid credential reference; empty if it is."""
    if _VARIABLE.fullmatch(text) or _FILE.fullmatch(text):
        return ""
    if _WITH_DEFAULT.fullmatch(text):
        return "the default would store a secret in the file"
    return "a literal secret"


def proxy_objection(text: str) -> str:
    """Return why a text is not a valid proxy; empty if it is. The message contains nothing of the text."""
    found = _PROXY.fullmatch(text)
    if found is not None and 0 < int(found["port"]) <= _PORT_MAX:
        return ""
    if not credential_objection(text):
        return ""
    literal = "@" in text and _PROXY.fullmatch(re.sub(r"^http://[^@]*@", "http://", text)) is not None
    return "its user and password are no references" if literal else "no URL of an HTTP proxy with its port"


def resolve_proxy(connection: Connection, environ: Mapping[str, str], read_file: Callable[[str], str]) -> Proxy | None:
    """Resolve the proxy of a connection, with its user and password.

    Args:
        connection: The connection.
        environ: Environment variables that references name; `HTTPS_PROXY` and the like mean nothing by themselves.
        read_file: Return the text of a file.

    Returns:
        The proxy, or None if the connection has none. `${NAME:-}` without a value means none.

    Raises:
        UnavailableError: If a reference has no value, or its value is not a proxy. The message contains no value.
    """
    written = connection.proxy
    if not written:
        return None
    found = _PROXY.fullmatch(written)
    if found is not None:
        parts = [
            _resolve(connection.name, f"proxy {name}", found[name], environ, read_file) if found[name] else ""
            for name in ("user", "password")
        ]
        return Proxy(host=found["host"], port=int(found["port"]), user=parts[0], password=parts[1])
    value = _resolve(connection.name, "proxy", written, environ, read_file)
    if not value:
        return None
    found = _PROXY_VALUE.fullmatch(value)
    if found is None or not 0 < int(found["port"]) <= _PORT_MAX:
        raise UnavailableError(
            f'proxy of connection "{connection.name}": the value of {written} is no URL of an HTTP proxy with its port',
            hint="set it to http://host:port or http://user:password@host:port (user and password URL-encoded)",
        )
    return Proxy(
        host=found["host"],
        port=int(found["port"]),
        user=unquote(found["user"] or ""),
        password=unquote(found["password"] or ""),
    )


def secret_files(connections: Iterable[Connection], databases: Iterable[Database] = ()) -> tuple[str, ...]:
    """Return the distinct paths of the files that credentials and proxies of connections and databases refer to."""
    texts = [text for item in connections for text in (*item.credentials.values(), item.proxy)]
    texts += [text for item in databases if item.server for text in item.server.references.values()]
    return tuple(dict.fromkeys(secret_paths(texts)))


def secret_paths(texts: Iterable[object]) -> list[str]:
    """Return the paths of the files that credentials and proxies, as written, refer to."""
    return [path for text in texts if isinstance(text, str) for path in _FILE.findall(text)]


def resolve_credentials(
    connection: Connection, environ: Mapping[str, str], read_file: Callable[[str], str]
) -> Mapping[str, str]:
    """Resolve the credentials of a connection.

    Args:
        connection: The connection.
        environ: Environment variables. Only `${NAME:-}` may be unset or empty.
        read_file: Return the text of a file; a single trailing newline is not part of the secret.

    Returns:
        Secret values by credential name.

    Raises:
        UnavailableError: If a variable is not set, a file cannot be read, or a value is empty. The message names every
            such variable and file and the connection, never a value.
    """
    return _resolved(connection.name, connection.credentials, environ, read_file)


def resolve_login(database: Database, environ: Mapping[str, str], read_file: Callable[[str], str]) -> Mapping[str, str]:
    """Resolve the references of a database.

    Args:
        database: The database; one that is a file has none.
        environ: Environment variables. Only `${NAME:-}` may be unset or empty.
        read_file: Return the text of a file; a single trailing newline is not part of the secret.

    Returns:
        Secret values by key: `url`, or `password` if the connection has one.

    Raises:
        UnavailableError: If a variable is not set, a file cannot be read, or a value is empty. The message contains no
            value.
    """
    return _resolved(database.name, database.server.references if database.server else {}, environ, read_file)


def _resolved(
    connection: str, references: Mapping[str, str], environ: Mapping[str, str], read_file: Callable[[str], str]
) -> Mapping[str, str]:
    """Return the values of references by name, or report all that have none."""
    resolved: dict[str, str] = {}
    missing: list[UnavailableError] = []
    for name, text in references.items():
        try:
            resolved[name] = _resolve(connection, name, text, environ, read_file)
        except UnavailableError as error:
            missing.append(error)
    if missing:
        # Report all missing credentials at once, each with its remedy.
        raise UnavailableError(
            "; ".join(item.message for item in missing),
            hint="; ".join(dict.fromkeys(item.hint for item in missing)),
            name="environment.secret",
        )
    return resolved


def _resolve(connection: str, name: str, text: str, environ: Mapping[str, str], read_file: Callable[[str], str]) -> str:
    label = f'credential "{name}" of connection "{connection}"'
    if variable := _VARIABLE.fullmatch(text):
        value = environ.get(variable[1], "")
        if not value and variable[2] is None:
            state = "is empty" if variable[1] in environ else "is not set"
            raise UnavailableError(
                f"{label}: {variable[1]} {state}", hint=f"export {variable[1]}=...", name="environment.secret"
            )
        return value
    if file := _FILE.fullmatch(text):
        return _read(label, file[1], read_file)
    raise UnavailableError(f"{label} is not a reference", hint=f"write {FORMS}")


def _read(label: str, path: str, read_file: Callable[[str], str]) -> str:
    try:
        value = read_file(path)
    except OSError as error:
        reason = os_error_reason(error)
        raise UnavailableError(
            f"{label}: cannot read {path}: {reason}", hint=f"make {path} readable", name="environment.secret"
        ) from None
    except UnicodeError:
        raise UnavailableError(
            f"{label}: {path} is not UTF-8 text", hint=f"write only the secret into {path}"
        ) from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise UnavailableError(
            f"{label}: {path} is empty", hint=f"write only the secret into {path}", name="environment.secret"
        )
    return value
