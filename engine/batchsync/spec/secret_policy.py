"""Says which keys and values of a file may hold a secret, so that no error shows them.

It does not know YAML, nor whether a text is a secret: in doubt it is one. Where the structure of a file is known, paths
of keys tell; where it is not, names and the shape of a line have to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.spec.credentials import objection
from lading.spec.models import DocumentModel
from lading.spec.models_source import ConnectionModel

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a key of a secret is called, anywhere.
SECRET_NAME = re.compile(
    r"secret|token|passw|passphrase|\bpwd\b|credential|api[_ -]?key|(?:access|private|client|account)[_ -]?(?:key|id)"
    r"|bearer|authorization|client_\w",
    re.IGNORECASE,
)
#: Top-level keys below which a value is a secret only if a name says so. Below an unknown one anything may stand.
_OPEN = frozenset(DocumentModel.model_fields) - {"connections"}
#: Keys of a connection whose values are shown.
_SHOWN = frozenset(ConnectionModel.model_fields) - {"credentials"}
_WORD = re.compile(r"[A-Za-z_-]{1,30}")
#: What may be a user and a password before a host: a colon and an @ in one word, in a URL or in what was to be one.
_USER_AND_PASSWORD = re.compile(r":\S*@")
#: A name and its value in one text: the space after the colon is missing.
_ASSIGNED = re.compile(rf"(?:{SECRET_NAME.pattern})\w*[\"']?\s*[:=]\s*\S", re.IGNORECASE)
#: What stands in a reference tells nothing.
REFERENCE = re.compile(r"\$\{[A-Za-z0-9_]*(?::-)?\}|\$\{file:[^}\s]*\}")

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Secrecy:
    """What is hidden in one kind of file: a value with these keys above it, or a key with these keys above it."""

    value: Callable[[Path, str], bool]
    key: Callable[[Path, str], bool]


def in_connections(path: Path) -> bool:
    """Whether a path is where accounts stand, or where nobody knows what stands."""
    return bool(path) and path[0] not in _OPEN


def _hides_value(path: Path, text: str) -> bool:
    # A lone $ is what the parser makes of a ${...} without quotes, which is about to be complained about.
    if text in {"", "$"} or not objection(text):
        return False
    if _USER_AND_PASSWORD.search(text) or _ASSIGNED.search(text):
        return True
    if in_connections(path):
        shown = len(path) == len(("connections", "name", "key")) and path[-1] in _SHOWN
        return not shown or (path[-1] == "base_url" and bool(set("@?#") & set(text)))
    # Jobs have names that a person chose; an expression tells of columns.
    names = path[2:] if path[:1] == ("jobs",) else path
    return not text.startswith("=") and any(SECRET_NAME.search(one) for one in names)


def _hides_key(path: Path, key: str) -> bool:
    if _USER_AND_PASSWORD.search(key) or _ASSIGNED.search(key):
        return True
    return len(path) > 1 and in_connections(path) and not _WORD.fullmatch(key)


def names_nothing(path: Path, key: str) -> bool:
    """Whether a key of a connection that has no value may be a secret itself, as in `credentials: {hunter}`."""
    if not in_connections(path):
        return False
    return len(path) > 1 and key not in _SHOWN and key != "credentials" and not SECRET_NAME.search(key)


def _hides_value_of_vendor(path: Path, text: str) -> bool:
    """Placeholders, pointers and addresses are no secrets; a header that holds none of them may be."""
    if _USER_AND_PASSWORD.search(text):
        return True
    below = {"headers", "form", "json", "params"} & set(path[:-1])
    return bool(below) and bool(SECRET_NAME.search(path[-1])) and not set("{/") & set(text)


def _hides_no_key(_path: Path, _key: str) -> bool:
    return False


JOBS_FILE = Secrecy(_hides_value, _hides_key)
VENDOR_FILE = Secrecy(_hides_value_of_vendor, _hides_no_key)


_TOP = re.compile(r"[\"']?([A-Za-z_][\w-]*)[\"']?\s*:")
_CONNECTIONS = re.compile(r"\s*[\"']?connections?[\"']?\s*:", re.IGNORECASE)
_TOKEN = re.compile(rf"{REFERENCE.pattern}|[^\s{{}}\[\],:\"']+")
_COLON = re.compile(r"[\"']?\s*:")
_HARMLESS = re.compile(rf"\s*(?:- )?(?:{'|'.join(sorted(_SHOWN))})\s*:\s+[^\s#@?]+\s*")
_NAMED = rf"(?i)((?:{SECRET_NAME.pattern})\w*[\"']?\s*:\s*)"
_IN_BLOCK = re.compile(_NAMED + r"(\S.*)")
_IN_BRACES = re.compile(_NAMED + r"(\"[^\"]*\"?|'[^']*'?|\$\{[^}]*\}|[^,}]+)")


def lines_of_jobs(lines: list[str]) -> list[bool]:
    """Return of each line of a file too broken to be read whether it stands below `jobs:`, as far as can be told."""
    found, inside = [], False
    for line in lines:
        top = _TOP.match(line)
        if top or _CONNECTIONS.match(line):
            inside = bool(top) and top[1] == "jobs" if top else False
        found.append(inside)
    return found


def masked_by_name(line: str, *, of_jobs: bool) -> str:
    """Return a line of a file too broken to be read without what may be a secret."""
    if of_jobs:
        pattern = _IN_BRACES if "{" in line.replace("${", "") else _IN_BLOCK
        return pattern.sub(lambda match: match[1] + starred(match[2]), line)
    return line if _HARMLESS.fullmatch(line) else _TOKEN.sub(_masked_token, line)


def _masked_token(match: re.Match[str]) -> str:
    token, line = match[0], match.string
    if REFERENCE.fullmatch(token) or not token.strip("-"):
        return token
    if _COLON.match(line, match.end()) and _WORD.fullmatch(token):
        begins = not line[: match.start()].strip(" \t\"'{-")
        if begins or SECRET_NAME.search(token) or token in ConnectionModel.model_fields or token in _OPEN:
            return token
    return "*" * len(token)


def starred(text: str) -> str:
    """Mask all but spaces, quotes at the ends and references, which tell nothing."""
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
