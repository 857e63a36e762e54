"""Text of one SQL statement: where it ends, so that it can be wrapped in another one, and names in it."""

from __future__ import annotations

import re

#: Parts of a statement of PostgreSQL in which a semicolon or the begin of a comment means nothing, and comments.
_PARTS = re.compile(
    r"""
    (?P<comment>--[^\n]*)
  | (?P<block>/\*)
  | (?P<quoted>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | (?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag))
  | (?P<word>[\w$]+ | .)
    """,
    re.VERBOSE | re.DOTALL,
)
#: The same of MySQL and MariaDB, where a comment that begins with /*! or /*M! is executed.
_MYSQL_PARTS = re.compile(
    r"""
    (?P<comment>--(?=\s|\Z)[^\n]* | \#[^\n]* | /\*(?!!|M!).*?\*/)
  | '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`]|``)*` | /\*.*?\*/ | [\w$]+ | .
    """,
    re.VERBOSE | re.DOTALL,
)
#: Parts of a statement of SQLite: names in double quotes, and all in which these mean nothing.
_NAMES = re.compile(
    r"""(?P<name>"(?:[^"]|"")*") | '(?:[^']|'')*' | `(?:[^`]|``)*` | \[[^\]]*\] | --[^\n]* | /\*.*?(?:\*/|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_NESTING = re.compile(r"/\*|\*/")


def without_end(sql: str) -> str:
    """Return a statement without the semicolons, comments and white space after it; its other characters stay in place.

    Args:
        sql: The statement, in the SQL of PostgreSQL. A string or comment without end is kept for the server to refuse.
    """
    end = position = 0
    while position < len(sql):
        found = _PARTS.match(sql, position)
        if found is None:
            return sql
        if found["block"]:
            position = _end_of_comment(sql, position)
            if position < 0:
                return sql
            continue
        position = found.end()
        part = found[0]
        if found["comment"] is None and part != ";" and not part.isspace():
            end = position
    return sql[:end]


def without_mysql_end(sql: str) -> str:
    """Return a statement without the semicolons, comments and white space after it; its other characters stay in place.

    Args:
        sql: The statement, in the SQL of MySQL and MariaDB.
    """
    end = 0
    for found in _MYSQL_PARTS.finditer(sql):
        if found["comment"] is None and found[0] != ";" and not found[0].isspace():
            end = found.end()
    return sql[:end]


def with_strict_names(sql: str) -> str:
    """Return a statement of SQLite with backticks around the names that are in double quotes.

    SQLite reads a name in double quotes as a text if there is no such column; one in backticks never.

    Args:
        sql: The statement.
    """

    def written(found: re.Match[str]) -> str:
        if found["name"] is None:
            return found[0]
        return "`" + found[0][1:-1].replace('""', '"').replace("`", "``") + "`"

    return _NAMES.sub(written, sql)


def place_of(sql: str, position: int) -> tuple[int, int]:
    """Return line and column of a character, each counted from 1.

    Args:
        sql: The statement.
        position: Number of the character, counted from 1.
    """
    before = sql[: max(position - 1, 0)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _end_of_comment(sql: str, start: int) -> int:
    """Return where a comment that may contain others ends; -1 if it does not."""
    depth = 0
    for found in _NESTING.finditer(sql, start):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return -1
