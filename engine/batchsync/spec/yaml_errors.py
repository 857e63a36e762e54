"""Readable messages for errors of the YAML parser, with the likely cause where it can be found."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from ruamel.yaml import YAML

from batchsync.util.suggestions import quoted

_BRACES = "quote a value that contains { } [ ] or ,"
_LINE_END = re.compile(r"\r\n|\r|\n")
#: A key and its value without the space after the colon.
NO_SPACE = re.compile(r"[ \t]*(?:- +)*(?P<name>[\w-]+|\"[^\"]*\"|'[^']*'):(?=[^\s:/])(?!.*:(?:\s|$))")
_SPACE_MISSING = "missing space after the colon"
#: A key and a block in braces or brackets without the colon between them.
_NO_COLON = re.compile(r"[ \t]*(?:- +)*(?P<name>[\w-]+)[ \t]*[{\[]")
_KEY = re.compile(r"[ \t]*(?:- +)*[^\s:][^:]*")
_QUOTE_IT = "quotes around the value"


class YamlSyntaxError(Exception):
    """The text is not valid YAML at `index`. Private to `spec`."""

    def __init__(self, index: int, message: str, expected: str = "", suggestion: str = "") -> None:
        """Keep the parts of the problem.

        Args:
            index: Index in the text.
            message: What is wrong.
            expected: What would be right.
            suggestion: What to do.
        """
        super().__init__(message)
        self.index = index
        self.message = message
        self.expected = expected
        self.suggestion = suggestion


def explain(error: Exception, text: str) -> YamlSyntaxError:
    """Return an exception of the parser with a message for users who do not know how parsers work."""
    parser_message = str(getattr(error, "problem", None) or "")
    at = _index(getattr(error, "problem_mark", None), len(text))
    start = _index(getattr(error, "context_mark", None), at)
    context = str(getattr(error, "context", None) or "")
    known = next((texts for fragment, scope, *texts in _KNOWN if fragment in parser_message and scope in context), None)
    if known is None:
        return YamlSyntaxError(at, f"invalid YAML: {_printable(parser_message)}" if parser_message else "invalid YAML")
    message, expected, suggestion = known
    if (colon_error := _colon_error(parser_message, text, start, at)) is not None:
        return colon_error
    if "simple key" in context:
        at = start
    if (opened := _opened(parser_message, text, start, at)) and "unclosed" not in message:
        return YamlSyntaxError(at, message, expected, opened)
    if "unclosed" in message:
        return YamlSyntaxError(start, message, expected, suggestion)
    if "{" in parser_message and text[at - 1 : at + 1] == "${":
        return YamlSyntaxError(at - 1, "unquoted ${...} reference between { and }", 'quotes: "${NAME}"')
    return YamlSyntaxError(at, message.replace("{char}", text[at : at + 1]), expected, suggestion)


#: A fragment of the parser's message, a fragment of its context; then message, expected value and suggestion.
_KNOWN = (
    ("'\\t'", "", "tab in the indentation", "spaces", ""),
    ("mapping values are not allowed here", "", "unexpected colon", "key: value on its own line",
     'quote a value that contains ": "'),
    ("could not find expected ':'", "", "missing colon", "key: value", ""),
    ("unexpected end of stream", "quoted scalar", "unclosed quote", "a closing quote", ""),
    ("but got '<stream end>'", "flow mapping", "unclosed {", "a closing }", ""),
    ("but got '<stream end>'", "flow sequence", "unclosed [", "a closing ]", ""),
    ("expected ',' or '}'", "", "missing comma or }", "a comma or }", _BRACES),
    ("expected ',' or ']'", "", "missing comma or ]", "a comma or ]", _BRACES),
    ("that cannot start any token", "", "{char} cannot start a value", _QUOTE_IT, ""),
    ("but found '-'", "block mapping", "list item among keys", "key: value, or different indentation", ""),
    ("expected <block end>", "", "does not fit the block above", "the indentation of its block", ""),
    ("unknown escape character", "", "unknown escape sequence", "\\\\ for a backslash, or single quotes", ""),
    ("expected alphabetic or numeric character", "alias", "* cannot start a value", _QUOTE_IT, ""),
    ("expected alphabetic or numeric character", "anchor", "& cannot start a value", _QUOTE_IT, ""),
)  # fmt: skip


def _colon_error(parser_message: str, text: str, start: int, at: int) -> YamlSyntaxError | None:
    """Return the error of a key whose colon, or the space after it, is missing; None for other errors."""
    if (without_space := _without_space(parser_message, text, start, at)) is not None:
        return YamlSyntaxError(without_space, _SPACE_MISSING, "key: value, with a space")
    bare = _NO_COLON.match(text, _line_start(text, at), at)
    if bare is None or not parser_message.startswith("mapping values are not allowed"):
        return None
    name = bare["name"]
    return YamlSyntaxError(bare.end("name"), f"missing colon after {quoted(name)}", f"{name}: ...")


def _without_space(parser_message: str, text: str, start: int, at: int) -> int | None:
    """Return the index of a key without a space after its colon, if that caused the error.

    The parser reads such a line as a multi-line scalar and fails in the next line.
    """
    if parser_message.startswith("could not find expected ':'"):
        first = start
    elif parser_message.startswith("mapping values are not allowed") and _KEY.fullmatch(
        text, _line_start(text, at), at
    ):
        first = _line_start(text, max(0, _line_start(text, at) - 1))
    else:
        return None
    line = _line_start(text, first)
    found = NO_SPACE.match(text, line, _line_end(text, line))
    return found.start("name") if found else None


def _opened(parser_message: str, text: str, start: int, at: int) -> str:
    """Return a suggestion with the line of a quote or bracket that is probably not closed; empty if it is this line."""
    number = _line_number(text, at)
    quote = _quote_that_ends(text, at)
    if quote is not None and _line_number(text, quote) < number:
        return f"the quote that ends in this line was opened in line {_line_number(text, quote)}"
    sign = text[start : start + 1]
    if parser_message.startswith("expected ','") and sign in {"{", "["} and _line_number(text, start) < number:
        closing = {"{": "}", "[": "]"}[sign]
        return f"the {sign} was opened in line {_line_number(text, start)}: is its {closing} missing?"
    return ""


def _quote_that_ends(text: str, at: int) -> int | None:
    """Return the start of the last quoted scalar that ends in the line of an index and before it."""
    last = None
    # The text is invalid; use the tokens up to the error.
    with suppress(Exception):
        for token in YAML(typ="safe", pure=True).scan(text):
            if token.start_mark.index >= at:
                break
            if getattr(token, "style", None) in {"'", '"'}:
                last = token
    if last is None or _line_number(text, last.end_mark.index) != _line_number(text, at):
        return None
    return int(last.start_mark.index)


def _line_number(text: str, index: int) -> int:
    return len(_LINE_END.findall(text, 0, index)) + 1


def _line_start(text: str, index: int) -> int:
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def _line_end(text: str, index: int) -> int:
    found = _LINE_END.search(text, index)
    return found.start() if found else len(text)


def _index(mark: Any, otherwise: int) -> int:
    return int(mark.index) if mark is not None else otherwise


def _printable(parser_message: str) -> str:
    return quoted(parser_message.replace("\x00", "end of file"))[1:-1]
