"""Token-based check of SQL expressions before they reach a query engine.

Refuses queries, `FROM` clauses and table functions by their keywords. Text that two SQL parsers could tokenize
differently (comments, prefixed and dollar-quoted strings, other quotes, stray characters) is refused as well, so that
the check holds for whichever parser reads the text next.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

#: Maximum length in characters: the parsers that follow are recursive.
LENGTH_MAX = 8000
#: Maximum depth of parentheses, CASE, and signs or NOT before an operand.
DEPTH_MAX = 32
#: Names of the functions that combine the rows of a key.
AGGREGATES = frozenset(
    {"sum", "avg", "mean", "min", "max", "count", "bool_and", "every", "bool_or", "string_agg", "first"}
)
_CLOSING = {")": "(", "]": "["}
_PREFIXES = frozenset({"-", "+", "~", "NOT"})
_SHALLOWER = "split it, or take the values from a joined file (source.join)"
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*")
    |(?P<word>(?:\w|[\#@]|[^\x00-\x7f\s])+)
    |(?P<comment>--|/\*)
    |(?P<sign>::|\^@|[-+*/%=<>!~^|&.,()\[\]])""",
    re.VERBOSE,
)
#: Keywords that begin a query or a part of one; as column names they need double quotes.
_QUERY = frozenset({"SELECT", "VALUES"})
#: Keywords that begin a query only between a parenthesis and a name; elsewhere they may be column names.
_STATEMENT = frozenset({"TABLE", "INSERT", "UPDATE", "DELETE", "MERGE"})
_OPERATOR = frozenset({"IS", "IN", "NOT", "AND", "OR", "XOR", "DIV", "LIKE", "ILIKE", "RLIKE", "REGEXP", "BETWEEN"})
#: Functions whose arguments may be separated by FROM.
_SEPARATED_BY_FROM = frozenset({"EXTRACT", "SUBSTRING", "SUBSTR", "TRIM", "OVERLAY"})
_TABLE_FUNCTION = re.compile(r"(?:READ|SCAN)_\w+")
_ZONES = (["TIME", "ZONE"], ["LOCAL", "TIME"])
#: A string after a word of this length may be of another kind (E'..', X'..', NQ'..') with other escapes.
_PREFIX_MAX = 2
_OWN_COLUMNS = "an expression reads only its own row; add columns of other files with source.join"
_QUOTES = "put column names with spaces or signs in double quotes, strings in single quotes"


@dataclass(frozen=True, slots=True)
class Objection:
    """Reason why an expression is refused, and what to write instead, if known."""

    message: str
    suggestion: str = ""
    is_deep: bool = False


@dataclass(frozen=True, slots=True)
class _Token:
    """A token. `upper` is empty for strings and quoted names. `adjacent`: no space before it."""

    kind: str
    text: str
    upper: str
    adjacent: bool


_NO_TOKEN = _Token("", "", "", adjacent=False)


@lru_cache(maxsize=1024)
def objection_to(sql: str) -> Objection | None:
    """Check an expression independently of the columns of its source.

    Args:
        sql: The expression without its leading `=`.

    Returns:
        The first objection, or None if the expression may be passed to a parser.
    """
    if not sql:
        return Objection("empty expression after the =")
    if len(sql) > LENGTH_MAX:
        return Objection(f"the expression has {len(sql):,} characters, more than {LENGTH_MAX:,}")
    tokens = _tokens(sql)
    if isinstance(tokens, Objection):
        return tokens
    return _nesting(tokens) or _query(tokens)


def _tokens(sql: str) -> list[_Token] | Objection:
    """Split an expression into tokens, without spaces."""
    found: list[_Token] = []
    position, adjacent = 0, False
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        kind = match.lastgroup if match is not None else None
        if match is None or kind is None:
            return _stray(sql[position])
        token = _Token(kind, match[0], match[0].upper() if kind in {"word", "sign"} else "", adjacent)
        objection = _odd_word(token) if kind == "word" else _prefixed(token, found)
        if kind == "comment" or objection:
            return objection or Objection(f"comment ({match[0]}) in an expression", "write a YAML comment (#) instead")
        if kind != "space":
            found.append(token)
        position, adjacent = match.end(), kind != "space"
    return found


def _stray(char: str) -> Objection:
    """Refuse a character outside of quotes that begins no token."""
    if char in {"'", '"'}:
        return Objection(f"unclosed {char} in the expression", _QUOTES)
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return Objection(f"{shown} outside of quotes in an expression", _QUOTES)


def _odd_word(token: _Token) -> Objection | None:
    """Refuse a word with a character that is neither letter, digit nor mark: parsers treat it differently."""
    odd = [c for c in token.text if not (c.isascii() or c.isalnum() or unicodedata.category(c).startswith("M"))]
    return _stray(odd[0]) if odd else None


def _prefixed(token: _Token, before: list[_Token]) -> Objection | None:
    """Refuse a quotation mark directly after a short word, a number or an &, as in E'..', 1X'..' and U&'..'."""
    if token.kind not in {"string", "name"} or not token.adjacent:
        return None
    last = before[-1]
    short = last.kind == "word" and (len(last.text) <= _PREFIX_MAX or not last.text[0].isalpha())
    if not short and last.text != "&":
        return None
    advice = f"write strings without a prefix, and a space between a word and {token.text[0]}"
    return Objection(f"{last.text}{token.text[0]} in an expression", advice)


def _nesting(tokens: list[_Token]) -> Objection | None:
    """Refuse unbalanced parentheses, and what is nested more deeply than the parsers that follow can read."""
    open_: list[str] = []
    prefixes = 0
    for token in tokens:
        # Signs and NOT before an operand are nested like parentheses.
        prefixes = prefixes + 1 if token.upper in _PREFIXES else 0
        if token.text in _CLOSING:
            while open_[-1:] == ["CASE"]:
                open_.pop()
            if open_[-1:] != [_CLOSING[token.text]]:
                return Objection(f"unmatched {token.text} in the expression")
            open_.pop()
        elif token.upper == "END" and open_[-1:] == ["CASE"]:
            open_.pop()
        elif token.text in {"(", "["} or token.upper == "CASE":
            open_.append(token.upper)
        if len(open_) + prefixes > DEPTH_MAX:
            return Objection(f"the expression is nested more than {DEPTH_MAX} deep", _SHALLOWER, is_deep=True)
    brackets = [item for item in open_ if item != "CASE"]
    return Objection(f"unclosed {brackets[-1]} in the expression") if brackets else None


def _query(tokens: list[_Token]) -> Objection | None:
    """Refuse keywords that begin a query, and calls of functions that read a table."""
    # For each open parenthesis, whether a FROM is still allowed directly inside.
    from_allowed: list[bool] = [False]
    for index, token in enumerate(tokens):
        before, after = _at(tokens, index - 1), _at(tokens, index + 1)
        if token.text == "(":
            from_allowed.append(before.upper in _SEPARATED_BY_FROM)
        elif token.text == ")":
            from_allowed.pop()
        elif token.upper == "FROM":
            if before.upper == "DISTINCT" and _at(tokens, index - 2).upper in {"IS", "NOT"}:
                continue
            if not from_allowed[-1] or before.text in {"(", ","}:
                return _no_query(token)
            from_allowed[-1] = False
        elif _begins_query(token, tokens, index):
            return _no_query(token)
        elif _TABLE_FUNCTION.fullmatch(token.upper) and after.text == "(":
            return Objection(f"{token.text}(...) in an expression: it would read a table", _OWN_COLUMNS)
    return None


def _begins_query(token: _Token, tokens: list[_Token], index: int) -> bool:
    after = _at(tokens, index + 1)
    if token.upper == "WITH":
        return [after.upper, _at(tokens, index + 2).upper] not in _ZONES
    if token.upper in _STATEMENT and _at(tokens, index - 1).text == "(":
        return after.kind == "name" or (after.kind == "word" and after.upper not in _OPERATOR)
    return token.upper in _QUERY


def _no_query(token: _Token) -> Objection:
    quoted = f'put a column of this name in double quotes: "{token.text}"'
    return Objection(f"{token.upper} in an expression: queries are not allowed", f"{_OWN_COLUMNS}; {quoted}")


def _at(tokens: list[_Token], index: int) -> _Token:
    return tokens[index] if 0 <= index < len(tokens) else _NO_TOKEN
