"""Validation and resolution of credential references: `${NAME}` and `${file:PATH}`. Messages never contain a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchsync.errors import UnavailableError
from batchsync.util.files import os_error_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from batchsync.core.job import Connection

#: A credential is exactly one reference. A default other than empty would be a secret in a file under version control.
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-)?\}")
_FILE = re.compile(r"\$\{file:([^}\x00-\x1f]+)\}")
_WITH_DEFAULT = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*:-[^}]+\}")
FORMS = "a reference: ${NAME} or ${file:/run/secrets/name}"


def credential_objection(text: str) -> str:
    """Return why a text is not a valid credential reference; empty if it is."""
    if _VARIABLE.fullmatch(text) or _FILE.fullmatch(text):
        return ""
    if _WITH_DEFAULT.fullmatch(text):
        return "the default would store a secret in the file"
    return "a literal secret"


def secret_files(connections: Iterable[Connection]) -> tuple[str, ...]:
    """Return the distinct paths of the files that credentials of these connections refer to."""
    texts = [text for connection in connections for text in connection.credentials.values()]
    return tuple(dict.fromkeys(file[1] for text in texts if (file := _FILE.fullmatch(text))))


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
    resolved: dict[str, str] = {}
    missing: list[UnavailableError] = []
    for name, text in connection.credentials.items():
        try:
            resolved[name] = _resolve(connection.name, name, text, environ, read_file)
        except UnavailableError as error:
            missing.append(error)
    if missing:
        # Report all missing credentials at once, each with its remedy.
        raise UnavailableError(
            "; ".join(item.message for item in missing), hint="; ".join(dict.fromkeys(item.hint for item in missing))
        )
    return resolved


def _resolve(connection: str, name: str, text: str, environ: Mapping[str, str], read_file: Callable[[str], str]) -> str:
    label = f'credential "{name}" of connection "{connection}"'
    if variable := _VARIABLE.fullmatch(text):
        value = environ.get(variable[1], "")
        if not value and variable[2] is None:
            state = "is empty" if variable[1] in environ else "is not set"
            raise UnavailableError(f"{label}: {variable[1]} {state}", hint=f"export {variable[1]}=...")
        return value
    if file := _FILE.fullmatch(text):
        return _read(label, file[1], read_file)
    raise UnavailableError(f"{label} is not a reference", hint=f"write {FORMS}")


def _read(label: str, path: str, read_file: Callable[[str], str]) -> str:
    try:
        value = read_file(path)
    except OSError as error:
        reason = os_error_reason(error)
        raise UnavailableError(f"{label}: cannot read {path}: {reason}", hint=f"make {path} readable") from None
    except UnicodeError:
        raise UnavailableError(
            f"{label}: {path} is not UTF-8 text", hint=f"write only the secret into {path}"
        ) from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise UnavailableError(f"{label}: {path} is empty", hint=f"write only the secret into {path}")
    return value
