"""Says in plain words what the YAML parser stumbled over. It does not know what the file is about."""

from __future__ import annotations

from typing import Any

from lading.spec.suggest import quoted

_BRACES = "quote a value that holds { } [ ] or ,"
_QUOTE_IT = "quotes around a value that holds one of these characters"


class SyntaxTrouble(Exception):  # noqa: N818 - it never leaves `spec`
    """The text is no YAML from `index` on."""

    def __init__(self, index: int, message: str, expected: str = "", suggestion: str = "") -> None:
        """Keep where and what."""
        super().__init__(message)
        self.index = index
        self.message = message
        self.expected = expected
        self.suggestion = suggestion


def explained(error: Exception, text: str) -> SyntaxTrouble:
    """Return what the parser's error means to somebody who does not know how parsers work."""
    said = str(getattr(error, "problem", None) or "")
    at = _index(getattr(error, "problem_mark", None), len(text))
    began = _index(getattr(error, "context_mark", None), at)
    context = str(getattr(error, "context", None) or "")
    known = next((ours for piece, where, *ours in _KNOWN if piece in said and where in context), None)
    if known is None:
        return SyntaxTrouble(at, f"this is not YAML: {_plain(said)}" if said else "this is not YAML")
    message, expected, suggestion = known
    if "never closed" in message:
        return SyntaxTrouble(began, message, expected, suggestion)
    if "{" in said and text[at - 1 : at + 1] == "${":
        return SyntaxTrouble(at - 1, "a ${...} reference without quotes between { and }", 'quotes: "${NAME}"')
    return SyntaxTrouble(at, message.replace("{char}", text[at : at + 1]), expected, suggestion)


#: A piece of the parser's words, a piece of its context, and ours: message, expected, suggestion.
_KNOWN = (
    ("'\\t'", "", "a tab", "spaces: YAML indents with spaces only", ""),
    ("mapping values are not allowed here", "", "a colon where no key can be", "key: value on a line of its own",
     'quote a value that holds ": "'),
    ("could not find expected ':'", "", "a line without a colon", "key: value", ""),
    ("unexpected end of stream", "quoted scalar", "this quote is never closed", "a closing quote", ""),
    ("but got '<stream end>'", "flow mapping", "this { is never closed", "a closing }", ""),
    ("but got '<stream end>'", "flow sequence", "this [ is never closed", "a closing ]", ""),
    ("expected ',' or '}'", "", "something else where a comma or } belongs", "a comma or }", _BRACES),
    ("expected ',' or ']'", "", "something else where a comma or ] belongs", "a comma or ]", _BRACES),
    ("that cannot start any token", "", "{char} cannot start a value", _QUOTE_IT, ""),
    ("but found '-'", "block mapping", "a list item among keys", "key: value, or other indentation", ""),
    ("expected <block end>", "", "this does not fit the lines above it", "the indentation of what it belongs to", ""),
    ("unknown escape character", "", "an unknown escape after the backslash", "\\\\ for one, or single quotes", ""),
    ("expected alphabetic or numeric character", "alias", "* cannot start a value", _QUOTE_IT, ""),
    ("expected alphabetic or numeric character", "anchor", "& cannot start a value", _QUOTE_IT, ""),
)  # fmt: skip


def _index(mark: Any, otherwise: int) -> int:
    return int(mark.index) if mark is not None else otherwise


def _plain(said: str) -> str:
    return quoted(said.replace("\x00", "end of file"))[1:-1]
