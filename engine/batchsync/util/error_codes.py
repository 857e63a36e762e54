"""Registry of error codes: stable numbers such as BS-Y012, with what they mean and what to do.

The entries are data of `batchsync_specs`. A number is never reused.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

REGISTRY = "errors.toml"
#: Prefix of every code.
PREFIX = "BS-"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode:
    """An entry of the registry.

    Attributes:
        code: The stable number, such as BS-Y012.
        name: Name in the source of batchsync and in JSON, such as `spec.unknown_key`.
        title: A few words.
        meaning: What is wrong.
        example: Something that has this error.
        action: What to do.
        retired: Whether no release raises it any more.
    """

    code: str
    name: str
    title: str
    meaning: str
    example: str
    action: str
    retired: bool = False


@cache
def error_codes() -> dict[str, ErrorCode]:
    """Return all entries by code, in the order of the registry."""
    text = files("batchsync_specs").joinpath(REGISTRY).read_text(encoding="utf-8")
    return {code: ErrorCode(code=code, **entry) for code, entry in tomllib.loads(text).items()}


@cache
def _codes_by_name() -> dict[str, str]:
    return {entry.name: code for code, entry in error_codes().items()}


def code_of(name: str) -> str:
    """Return the code of an error by its name; an empty text if it has none."""
    return _codes_by_name().get(name, "")


def find_code(text: str) -> ErrorCode | None:
    """Return the entry of `BS-Y012`, `bs-y012`, `y012` or `spec.unknown_key`; None if there is none."""
    wanted = text.strip().strip("[]")
    code = PREFIX + wanted.upper().removeprefix(PREFIX)
    return error_codes().get(code) or error_codes().get(code_of(wanted.casefold()))


def with_code(message: str, name: str) -> str:
    """Return a message followed by the code of its error in brackets, if it has one."""
    code = code_of(name)
    return f"{message} [{code}]" if code else message
