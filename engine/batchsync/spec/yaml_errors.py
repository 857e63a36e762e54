"""Says in plain words what the YAML parser stumbled over. It does not know what the file is about."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from ruamel.yaml import YAML

from lading.spec.suggest import quoted

_BRACES = "quote a value that holds { } [ ] or ,"
_LINE_END = re.compile(r"\r\n|\r|\n")
#: A line that is a key and its value, but for the space between them.
NO_SPACE = re.compile(r"[ \t]*(?:- +)*(?P<name>[\w-]+|\"[^\"]*\"|'[^']*'):(?=[^\s:/])(?!.*:(?:\s|$))")
_SPACE_MISSING = "no space after the colon"
#: A key and a block in braces or brackets, without the colon between them.
_NO_COLON = re.compile(r"[ \t]*(?:- +)*(?P<name>[\w-]+)[ \t]*[{\[]")
_KEY = re.compile(r"[ \t]*(?:- +)*[^\s:][^:]*")
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
    if (slip := _slip(said, text, began, at)) is not None:
        return slip
    if "simple key" in context:
        at = began
    if (opened := _opened(said, text, began, at)) and "never closed" not in message:
        return SyntaxTrouble(at, message, expected, opened)
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


def _slip(said: str, text: str, began: int, at: int) -> SyntaxTrouble | None:
    """Return that a colon, or the space after it, is missing, when that is what went wrong."""
    if (without_space := _without_space(said, text, began, at)) is not None:
        return SyntaxTrouble(without_space, _SPACE_MISSING, "key: value, with a space")
    bare = _NO_COLON.match(text, _line_start(text, at), at)
    if bare is None or not said.startswith("mapping values are not allowed"):
        return None
    name = bare["name"]
    return SyntaxTrouble(bare.end("name"), f"no colon after {quoted(name)}", f"{name}: and its value")


def _without_space(said: str, text: str, began: int, at: int) -> int | None:
    """Return where a key stands whose colon has no space after it, when that is what went wrong.

    The parser takes such a line for a text that goes on in the next line, and stumbles there.
    """
    if said.startswith("could not find expected ':'"):
        first = began
    elif said.startswith("mapping values are not allowed") and _KEY.fullmatch(text, _line_start(text, at), at):
        first = _line_start(text, max(0, _line_start(text, at) - 1))
    else:
        return None
    line = _line_start(text, first)
    found = NO_SPACE.match(text, line, _line_end(text, line))
    return found.start("name") if found else None


def _opened(said: str, text: str, began: int, at: int) -> str:
    """Return where a quote or a bracket was opened that probably lacks its end, if that is in another line."""
    number = _line_number(text, at)
    quote = _quote_that_ends(text, at)
    if quote is not None and _line_number(text, quote) < number:
        return f"the quote that ends in this line was opened in line {_line_number(text, quote)}"
    sign = text[began : began + 1]
    if said.startswith("expected ','") and sign in {"{", "["} and _line_number(text, began) < number:
        closing = {"{": "}", "[": "]"}[sign]
        return f"the {sign} was opened in line {_line_number(text, began)}: is its {closing} missing?"
    return ""


def _quote_that_ends(text: str, at: int) -> int | None:
    """Return where the last quoted value begins that ends before an index and in its line."""
    last = None
    # The text is broken: what is found until that shows is what there is to know.
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


def _plain(said: str) -> str:
    return quoted(said.replace("\x00", "end of file"))[1:-1]
