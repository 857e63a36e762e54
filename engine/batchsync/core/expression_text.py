"""Refuse SQL expressions that must not reach a query engine, judged by their tokens alone.

The tokens are those that every SQL parser sees alike: a text in which two parsers could see different tokens (comments,
prefixed and dollar-quoted texts, other quotes, stray signs) is refused itself. A query begins with a word that is
looked for here, so that no subquery, no `FROM` and no table function gets past, whichever parser reads the text next.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

#: No expression needs more characters, and the parsers behind it work by recursion.
LENGTH_MAX = 8000
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*")
    |(?P<word>(?:\w|[\#@]|[^\x00-\x7f\s])+)
    |(?P<comment>--|/\*)
    |(?P<sign>::|\^@|[-+*/%=<>!~^|&.,()\[\]])""",
    re.VERBOSE,
)
#: Words that begin a query or a part of one, and name no column unless they stand in double quotes.
_QUERY = frozenset({"SELECT", "VALUES"})
#: Words that begin a query only behind a parenthesis and before a name; elsewhere they may name a column.
_STATEMENT = frozenset({"TABLE", "INSERT", "UPDATE", "DELETE", "MERGE"})
_OPERATOR = frozenset({"IS", "IN", "NOT", "AND", "OR", "XOR", "DIV", "LIKE", "ILIKE", "RLIKE", "REGEXP", "BETWEEN"})
#: Functions whose arguments may be divided by FROM.
_DIVIDED_BY_FROM = frozenset({"EXTRACT", "SUBSTRING", "SUBSTR", "TRIM", "OVERLAY"})
_READER = re.compile(r"(?:READ|SCAN)_\w+")
_ZONES = (["TIME", "ZONE"], ["LOCAL", "TIME"])
#: Types that take a length; the last word of those that have two.
_WITH_LENGTH = frozenset(
    {
        "CHAR",
        "CHARACTER",
        "VARYING",
        "VARCHAR",
        "VARCHAR2",
        "NCHAR",
        "NVARCHAR",
        "NVARCHAR2",
        "BPCHAR",
        "TEXT",
        "STRING",
    }
    | {"CLOB", "OBJECT", "BINARY", "VARBINARY", "BLOB", "BYTES", "BYTEA"}
)
#: Types that mean one character where no length is given, unless one of _LONGER follows.
_ONE_CHARACTER = frozenset({"CHAR", "CHARACTER", "NCHAR"})
_LONGER = frozenset({"VARYING", "LARGE"})
_TRUTHS = frozenset({"TRUE", "FALSE", "UNKNOWN"})
#: A text behind so short a word may be of another kind (E'..', X'..', NQ'..'), with another end.
_PREFIX_MAX = 2
_OWN_COLUMNS = "an expression is computed from its own row; bring other files in with source.join"
_QUOTES = "column names with spaces or signs stand in double quotes, texts in single quotes"


@dataclass(frozen=True, slots=True)
class Objection:
    """What is wrong with an expression, and what to write instead where that is known."""

    message: str
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class _Token:
    """One token; `upper` is empty for texts and quoted names. `glued`: no space between it and the one before."""

    kind: str
    text: str
    upper: str
    glued: bool


_NOTHING = _Token("", "", "", glued=False)


def objection_to(sql: str) -> Objection | None:
    """Say why an expression is refused, whatever the columns are.

    Args:
        sql: The expression without its leading `=`.

    Returns:
        The first thing that is wrong, or None when the expression may be given to a parser.
    """
    if not sql:
        return Objection("an expression without anything after the =")
    if len(sql) > LENGTH_MAX:
        return Objection(f"an expression of {len(sql):,} characters, above {LENGTH_MAX:,}")
    tokens = _tokens(sql)
    if isinstance(tokens, Objection):
        return tokens
    return _unbalanced(tokens) or _query(tokens) or _length(tokens) or _truth(tokens)


def _tokens(sql: str) -> list[_Token] | Objection:
    """Split an expression; spaces are left out."""
    found: list[_Token] = []
    at, glued = 0, False
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        kind = match.lastgroup if match is not None else None
        if match is None or kind is None:
            return _stray(sql[at])
        token = _Token(kind, match[0], match[0].upper() if kind in {"word", "sign"} else "", glued)
        wrong = _odd_word(token) if kind == "word" else _prefixed(token, found)
        if kind == "comment" or wrong:
            return wrong or Objection(f"a comment ({match[0]}) inside of an expression", "write it behind a # of YAML")
        if kind != "space":
            found.append(token)
        at, glued = match.end(), kind != "space"
    return found


def _stray(char: str) -> Objection:
    """Refuse a character that stands outside of quotes and begins no token."""
    if char in {"'", '"'}:
        return Objection(f"the expression ends inside of {char}", _QUOTES)
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return Objection(f"{shown} outside of quotes in an expression", _QUOTES)


def _odd_word(token: _Token) -> Objection | None:
    """Refuse a word with a character that is neither letter, digit nor mark: parsers differ about them."""
    odd = [c for c in token.text if not (c.isascii() or c.isalnum() or unicodedata.category(c).startswith("M"))]
    return _stray(odd[0]) if odd else None


def _prefixed(token: _Token, before: list[_Token]) -> Objection | None:
    """Refuse a quotation mark directly behind a short word, a number or an &, as in E'..', 1X'..' and U&'..'."""
    if token.kind not in {"text", "name"} or not token.glued:
        return None
    last = before[-1]
    short = last.kind == "word" and (len(last.text) <= _PREFIX_MAX or not last.text[0].isalpha())
    if not short and last.text != "&":
        return None
    advice = f"write texts without a letter before the quotation mark, and a space between a word and {token.text[0]}"
    return Objection(f"{last.text}{token.text[0]} in an expression", advice)


def _unbalanced(tokens: list[_Token]) -> Objection | None:
    open_now = 0
    for token in tokens:
        open_now += (token.text == "(") - (token.text == ")")
        if open_now < 0:
            return Objection("the expression has a ) without its (")
    return Objection("the expression ends inside of (") if open_now else None


def _query(tokens: list[_Token]) -> Objection | None:
    """Refuse whatever begins a query, and calls that read a table."""
    # For each open parenthesis, whether a FROM may still stand directly inside.
    divided: list[bool] = [False]
    for index, token in enumerate(tokens):
        before, behind = _at(tokens, index - 1), _at(tokens, index + 1)
        if token.text == "(":
            divided.append(before.upper in _DIVIDED_BY_FROM)
        elif token.text == ")":
            divided.pop()
        elif token.upper == "FROM":
            if before.upper == "DISTINCT" and _at(tokens, index - 2).upper in {"IS", "NOT"}:
                continue
            if not divided[-1] or before.text in {"(", ","}:
                return _no_query(token)
            divided[-1] = False
        elif _begins_query(token, tokens, index):
            return _no_query(token)
        elif _READER.fullmatch(token.upper) and behind.text == "(":
            return Objection(f"{token.text}(...) in an expression: it reads a table", _OWN_COLUMNS)
    return None


def _begins_query(token: _Token, tokens: list[_Token], index: int) -> bool:
    behind = _at(tokens, index + 1)
    if token.upper == "WITH":
        return [behind.upper, _at(tokens, index + 2).upper] not in _ZONES
    if token.upper in _STATEMENT and _at(tokens, index - 1).text == "(":
        return behind.kind == "name" or (behind.kind == "word" and behind.upper not in _OPERATOR)
    return token.upper in _QUERY


def _no_query(token: _Token) -> Objection:
    quoted = f'a column of this name stands in double quotes: "{token.text}"'
    return Objection(f"{token.upper} in an expression: queries are not allowed", f"{_OWN_COLUMNS}; {quoted}")


def _length(tokens: list[_Token]) -> Objection | None:
    """Refuse types with a length, which the engine reads but does not apply."""
    for index, token in enumerate(tokens):
        behind = _at(tokens, index + 1)
        if token.upper in _WITH_LENGTH and behind.text == "(":
            size = _at(tokens, index + 2).text
            cut = f"LEFT(CAST(x AS VARCHAR), {size if size.isdecimal() else 'n'})"
            return Objection(f"{token.text}({size}) does not cut a value", f"write {cut}")
        is_type = _at(tokens, index - 1).upper in {"AS", "::", "NATIONAL"}
        if is_type and token.upper in _ONE_CHARACTER and behind.upper not in _LONGER:
            advice = "write VARCHAR, or LEFT(CAST(x AS VARCHAR), 1) for one character"
            return Objection(f"a cast to {token.text}, which means one character, does not cut a value", advice)
    return None


def _truth(tokens: list[_Token]) -> Objection | None:
    """Refuse IS [NOT] TRUE, FALSE and UNKNOWN: the engine gives null for a null, where SQL gives true or false."""
    for index, token in enumerate(tokens):
        negated = _at(tokens, index + 1).upper == "NOT"
        truth = _at(tokens, index + 1 + negated).upper
        if token.upper == "IS" and truth in _TRUTHS:
            test = f"IS {'NOT ' * negated}{truth}"
            if truth == "UNKNOWN":
                advice = f"write (...) IS {'NOT ' * negated}NULL"
            else:
                same = f"(...) IS {'NOT ' * (not negated)}DISTINCT FROM {truth}"
                advice = f"write {same}, or CASE WHEN ... THEN ... ELSE ... END, where a missing value goes to ELSE"
            return Objection(f"{test} is not computed as SQL says where a value is missing", advice)
    return None


def _at(tokens: list[_Token], index: int) -> _Token:
    return tokens[index] if 0 <= index < len(tokens) else _NOTHING
