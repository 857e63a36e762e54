"""Heuristics for keys and values that may be secrets, so that no message shows them. False positives are accepted.

If a file can be parsed, paths of keys decide; otherwise names of keys and the form of a line do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.spec.credentials import credential_objection
from batchsync.spec.models import DocumentModel
from batchsync.spec.models_connection import ConnectionModel
from batchsync.spec.models_database import DatabaseModel
from batchsync.spec.models_storage import StorageModel
from batchsync.spec.setting_names import bundled_setting_names

if TYPE_CHECKING:
    from collections.abc import Callable

#: Names of keys whose values are secrets, in any block.
SECRET_NAME = re.compile(
    r"secret|token|passw|passphrase|\bpwd\b|credential|api[_ -]?key|(?:access|private|client|account)[_ -]?(?:key|id)"
    r"|bearer|authorization|client_\w",
    re.IGNORECASE,
)
#: Top-level keys below which values are secrets only by their names. Values below unknown keys may be secrets.
_PUBLIC = frozenset(DocumentModel.model_fields) - {"connections"}
#: Keys of a connection whose values are shown, besides references.
_SHOWN = frozenset().union(
    *(frozenset(model.model_fields) for model in (ConnectionModel, DatabaseModel, StorageModel))
) - {"credentials", "url", "password"}
#: Keys of alerts whose values are secrets, besides those that their names tell. Below them are no other keys.
_OF_ALERTS = frozenset({"url", "ping", "user", "apprise"})
_WORD = re.compile(r"[A-Za-z_-]{1,30}")
#: Possibly user info before a host, in a URL or a misspelled URL: a colon and an @ without spaces between.
_USER_AND_PASSWORD = re.compile(r":\S*@")
#: A key and its value in one scalar, because the space after the colon is missing.
_ASSIGNED = re.compile(rf"(?:{SECRET_NAME.pattern})\w*[\"']?\s*[:=]\s*\S", re.IGNORECASE)
#: References contain no secrets.
REFERENCE = re.compile(r"\$\{[A-Za-z0-9_]*(?::-)?\}|\$\{file:[^}\s]*\}")

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SecretPolicy:
    """Which scalars are hidden in a kind of file.

    Attributes:
        value: Return whether a value is hidden, by the path of its keys and its text.
        key: Return whether a key is hidden, by the path of its parents and its text.
    """

    value: Callable[[Path, str], bool]
    key: Callable[[Path, str], bool]


def in_connections(path: Path) -> bool:
    """Return whether a path is below `connections` or below an unknown top-level key."""
    path = _without_environment(path)
    return bool(path) and path[0] not in _PUBLIC


def _without_environment(path: Path) -> Path:
    """Return a path below an override of an environment as the path of what it overrides."""
    return path[2:] if path[:1] == ("environments",) and len(path) > len(("environments", "name")) else path


#: Keys of the limits of a connection.
_LIMITS = frozenset((name,) for name in ("calls_per_minute", "calls_per_day", "rows_per_day", "bytes_per_day"))


def _hides_value(path: Path, text: str) -> bool:
    path = _without_environment(path)
    # The parser reads an unquoted ${...} in braces as $, which is reported as a syntax error.
    if text in {"", "$"} or not credential_objection(text):
        return False
    if _USER_AND_PASSWORD.search(text) or _ASSIGNED.search(text):
        return True
    if in_connections(path):
        shown = len(path) == len(("connections", "name", "key")) and _is_shown(path[-1])
        shown = shown or (path[2:3] == ("limits",) and path[3:] in _LIMITS)
        suspicious = {"base_url": "@?#", "proxy": "@$"}.get(path[-1], "")
        return not shown or bool(set(suspicious) & set(text))
    if path[:1] == ("alerts",) and path[-1] in _OF_ALERTS:
        return True
    # Names of jobs are chosen freely; expressions contain names of columns.
    names = path[2:] if path[:1] == ("jobs",) else path
    return not text.startswith("=") and any(SECRET_NAME.search(name) for name in names)


def _is_shown(key: str) -> bool:
    """Return whether the values of a key of a connection are shown."""
    return key in _SHOWN or key in bundled_setting_names()


def _hides_key(path: Path, key: str) -> bool:
    path = _without_environment(path)
    if _USER_AND_PASSWORD.search(key) or _ASSIGNED.search(key):
        return True
    return len(path) > 1 and in_connections(path) and not _WORD.fullmatch(key)


def may_be_secret_key(path: Path, key: str) -> bool:
    """Return whether a key of a connection without a value may be a secret itself, as in `credentials: {hunter}`."""
    path = _without_environment(path)
    if not in_connections(path):
        return False
    return len(path) > 1 and not _is_shown(key) and key != "credentials" and not SECRET_NAME.search(key)


def _hides_value_of_vendor(path: Path, text: str) -> bool:
    """Return whether a value of a vendor spec is hidden: not if it has a placeholder, JSON pointer or path."""
    if _USER_AND_PASSWORD.search(text):
        return True
    below = {"headers", "form", "json", "params"} & set(path[:-1])
    return bool(below) and bool(SECRET_NAME.search(path[-1])) and not set("{/") & set(text)


def _hides_no_key(_path: Path, _key: str) -> bool:
    return False


JOBS_FILE = SecretPolicy(_hides_value, _hides_key)
VENDOR_FILE = SecretPolicy(_hides_value_of_vendor, _hides_no_key)


_TOP = re.compile(r"[\"']?([A-Za-z_][\w-]*)[\"']?\s*:")
_CONNECTIONS = re.compile(r"\s*[\"']?connections?[\"']?\s*:", re.IGNORECASE)
_TOKEN = re.compile(rf"{REFERENCE.pattern}|[^\s{{}}\[\],:\"']+")
_COLON = re.compile(r"[\"']?\s*:")
_HARMLESS = re.compile(rf"\s*(?:- )?(?:{'|'.join(sorted(_SHOWN))})\s*:\s+[^\s#@?]+\s*")
_NAMED = rf"(?i)((?:{SECRET_NAME.pattern})\w*[\"']?\s*:\s*)"
_IN_BLOCK = re.compile(_NAMED + r"(\S.*)")
_IN_BRACES = re.compile(_NAMED + r"(\"[^\"]*\"?|'[^']*'?|\$\{[^}]*\}|[^,}]+)")


def lines_of_jobs(lines: list[str]) -> list[bool]:
    """Return for each line of an unparseable file whether it appears to be below `jobs:`."""
    found, inside = [], False
    for line in lines:
        top = _TOP.match(line)
        if top or _CONNECTIONS.match(line):
            inside = bool(top) and top[1] == "jobs" if top else False
        found.append(inside)
    return found


def masked_by_name(line: str, *, of_jobs: bool) -> str:
    """Return a line of an unparseable file with possible secrets masked."""
    if of_jobs:
        pattern = _IN_BRACES if "{" in line.replace("${", "") else _IN_BLOCK
        return pattern.sub(lambda match: match[1] + mask(match[2]), line)
    return line if _HARMLESS.fullmatch(line) else _TOKEN.sub(_masked_token, line)


def _masked_token(match: re.Match[str]) -> str:
    token, line = match[0], match.string
    if REFERENCE.fullmatch(token) or not token.strip("-"):
        return token
    if _COLON.match(line, match.end()) and _WORD.fullmatch(token):
        is_first = not line[: match.start()].strip(" \t\"'{-")
        if is_first or SECRET_NAME.search(token) or token in _SHOWN | {"credentials"} or token in _PUBLIC:
            return token
    return "*" * len(token)


def mask(text: str) -> str:
    """Return a text with `*` for every character except spaces, enclosing quotes and references."""
    shown: list[str] = []
    last = 0
    for match in REFERENCE.finditer(text):
        shown += [re.sub(r"\S", "*", text[last : match.start()]), match[0]]
        last = match.end()
    stars = "".join([*shown, re.sub(r"\S", "*", text[last:])])
    for quote in "\"'":
        if len(text) > 1 and text[0] == text[-1] == quote:
            return quote + stars[1:-1] + quote
    return stars
