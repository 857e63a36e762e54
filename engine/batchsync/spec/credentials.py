"""Follows the references of a connection's credentials, and says which text may stand there at all.

It does not know what a credential is for, and never shows a value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lading.errors import EnvironmentProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lading.core.job import Connection

#: A credential is one reference and nothing around it. Its default can only be empty: any other would be a secret in
#: a file that goes to a repository.
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-)?\}")
_FILE = re.compile(r"\$\{file:([^}\x00-\x1f]+)\}")
_WITH_DEFAULT = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*:-[^}]+\}")
FORMS = "a reference: ${NAME} or ${file:/run/secrets/name}"


def objection(text: str) -> str:
    """Say why a text cannot be a credential in jobs.yaml; empty when it can."""
    if _VARIABLE.fullmatch(text) or _FILE.fullmatch(text):
        return ""
    if _WITH_DEFAULT.fullmatch(text):
        return "the default of a credential is a secret in the file"
    return "a literal secret"


def secret_files(connections: Iterable[Connection]) -> tuple[str, ...]:
    """Return the paths of the files that hold credentials of these connections, each once."""
    texts = [text for connection in connections for text in connection.credentials.values()]
    return tuple(dict.fromkeys(file[1] for text in texts if (file := _FILE.fullmatch(text))))


def resolve_credentials(
    connection: Connection, environ: Mapping[str, str], read_file: Callable[[str], str]
) -> Mapping[str, str]:
    """Return the credentials of a connection by name, their references followed.

    `read_file` takes a path and returns its text; one newline at its end is not part of the secret. `${NAME:-}` may be
    empty, everything else may not.

    Raises:
        EnvironmentProblem: variables are not set, files cannot be read, or one of them is empty. It names each variable
            and file and the connection, never a value.
    """
    found: dict[str, str] = {}
    missing: list[EnvironmentProblem] = []
    for name, text in connection.credentials.items():
        try:
            found[name] = _resolved(connection.name, name, text, environ, read_file)
        except EnvironmentProblem as problem:
            missing.append(problem)
    if missing:
        # One that is missing is told as it is; several are told together, each with its way out.
        raise EnvironmentProblem(
            "; ".join(one.message for one in missing), hint="; ".join(dict.fromkeys(one.hint for one in missing))
        )
    return found


def _resolved(
    connection: str, name: str, text: str, environ: Mapping[str, str], read_file: Callable[[str], str]
) -> str:
    who = f'credential "{name}" of connection "{connection}"'
    if variable := _VARIABLE.fullmatch(text):
        value = environ.get(variable[1], "")
        if not value and variable[2] is None:
            state = "is empty" if variable[1] in environ else "is not set"
            raise EnvironmentProblem(f"{who}: {variable[1]} {state}", hint=f"export {variable[1]}=...")
        return value
    if file := _FILE.fullmatch(text):
        return _read(who, file[1], read_file)
    raise EnvironmentProblem(f"{who} is no reference", hint=f"write {FORMS}")


def _read(who: str, path: str, read_file: Callable[[str], str]) -> str:
    try:
        value = read_file(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EnvironmentProblem(f"{who}: cannot read {path}: {reason}", hint=f"make {path} readable") from None
    except UnicodeError:
        raise EnvironmentProblem(f"{who}: {path} is not UTF-8 text", hint=f"put the bare secret into {path}") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise EnvironmentProblem(f"{who}: {path} is empty", hint=f"put the bare secret into {path}")
    return value
