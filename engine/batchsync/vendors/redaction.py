"""Redaction of credentials in texts that a vendor, or a gateway in front of it, sends back.

A gateway may quote the request that it refuses, whole and in an encoding of its own. What it quotes would go from the
error message into the terminal and the journal. Every text of an answer therefore passes a `Redactor` that knows the
credentials, the tokens obtained with them, and the header values that carried them.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit

from lading.errors import Unclear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    #: A secret, and whether it is opaque: not a scheme and a value.
    _Secret = tuple[str, bool]

MARK = "<redacted>"
#: Stands for a whole text that holds a credential in an encoding whose place in the text is not known.
WITHHELD = "<redacted: the text repeats a credential>"
#: A shorter secret would blank out ordinary words.
_SECRET_MIN = 4
#: From this length on a secret is also searched for in decoded texts, which are full of chance sequences, and in ids.
_LONG = 8  # bytes
#: Secrets of twice this length and more are found by their first and last characters, as gateways cut long values.
_WINDOW = 16
_WINDOWED = 24
#: Base64 text that a secret determines: fewer characters of it say nothing.
_CORE_MIN = 6
#: How many tokens and header values are remembered: enough for many renewals of a token.
_SENT_MAX = 24
#: Parameters of a signed URL that are worth as much as a credential until it expires.
_SIGNING = re.compile(r"signature|credential|token|^sig$", re.IGNORECASE)
#: How deep encodings are nested at most (base64 of a URL-encoded JSON text: three), and how many texts are decoded.
_DEPTH, _VIEWS_MAX = 3, 300
#: Bytes of a document kept back while it is read, besides the longest secret: room for the base64 around one.
_KEPT_BACK = 8192
_SMALL = 65_536
#: Headers whose value is proof of identity, whatever the vendor spec fills in. An idempotency key is none.
_PROVING = re.compile(
    r"auth|cookie|token|secret|signature|credential|passw|session|(?<!idempotency)(?<!idempotency[-_])key",
    re.IGNORECASE,
)
#: Characters of base64 and tokens, and of the escapes that stand for them in URLs, JSON and HTML.
_RUN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_=%~.\\&#;-\r\n")
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([\"'\\/]))")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){8,}")
_INVISIBLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


class Redactor:
    """The secrets of one connection, and texts without them. Safe to share between threads.

    Redacted are: each credential; each token obtained; what signed a URL; each value of a header that carried one of
    them or whose name says that it proves an identity, whole and without its scheme. Other header values
    (`application/json`, a checksum) are text of the vendor spec, or values that the journal holds anyway: they stay.

    A secret is found as it is, URL-encoded, escaped for JSON or HTML, and in base64 at any position of a longer text.
    Where only a decoded text shows it, the whole text is withheld.
    """

    def __init__(self, credentials: Iterable[str] = (), *, account: str = "") -> None:
        """Start with the credentials of a connection.

        Args:
            credentials: Their values.
            account: The one of them that names the account and proves nothing; vendors may build ids from it.
        """
        self._lock = threading.Lock()
        self._credentials = tuple(one for one in credentials if one)
        self._account = account
        self._sent: dict[str, bool] = {}
        self._signed: dict[str, bool] = {}
        self._spellings: dict[_Secret, _Forms] = {}
        self._build()

    def add(self, *secrets: str) -> None:
        """Add secrets, such as a token."""
        with self._lock:
            self._keep(self._sent, dict.fromkeys(secrets, True))

    def add_url(self, url: str) -> None:
        """Add what signs a URL that is about to be asked."""
        query = parse_qsl(urlsplit(url).query)
        found = {value: True for name, value in query if _SIGNING.search(name) and len(value) >= _WINDOW}
        if any(one not in self._signed for one in found):
            with self._lock:
                self._keep(self._signed, found)

    def add_headers(self, headers: Mapping[str, str], proof: Iterable[str] = ()) -> None:
        """Add the header values of a request that prove an identity.

        Args:
            headers: All headers that are sent, by name.
            proof: Names of headers that prove an identity whatever they are called.
        """
        proving = {name.lower() for name in proof}
        found: dict[str, bool] = {}
        for name, value in headers.items():
            if name.lower() in proving or _PROVING.search(name) or self._spans(value, self._all):
                found[value] = False
                scheme, space, rest = value.partition(" ")
                if space and scheme.replace("-", "").isalnum():
                    found[rest.strip()] = True
        if any(one not in self._sent for one in found):
            with self._lock:
                self._keep(self._sent, found)

    def redact(self, text: str) -> str:
        """Return a text in which each secret is replaced, or a note if one is hidden deeper in it."""
        clean = _replaced(text, self._spans(text, self._all))
        return WITHHELD if self._hidden(clean, self._deep) else clean

    def repeats_proof(self, text: str) -> bool:
        """Whether a text that must be kept as it is, such as an id, holds more than the account's name."""
        return bool(self._spans(text, self._proofs)) or self._hidden(text, self._proofs)

    def redact_stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of a document with what proves an identity replaced, in bounded memory.

        The account's name stays: it may be a value of a row. Encodings within encodings are looked for in documents of
        at most 64 KiB, which is what gateways quote.

        Raises:
            Unclear: If a secret is nested in the document too deep to be taken out of it.
        """
        forms = _Forms(tuple(_as_bytes(form) for form in one) for one in self._proofs)
        keep = 2 * forms.longest + _KEPT_BACK
        kept, small = "", True
        for chunk in chunks:
            kept += chunk.decode("latin-1")
            if len(kept) <= max(2 * keep, _SMALL if small else 0):
                continue
            small = False
            spans = self._spans(kept, forms)
            # A secret that begins before the cut ends before the end of what is here.
            cut = len(kept) - keep
            done = [span for span in spans if span[0] < cut]
            cut = max([cut, *(end for _, end in done)])
            yield _replaced(kept[:cut], done).encode("latin-1")
            kept = kept[cut:]
        rest = _replaced(kept, self._spans(kept, forms))
        if small and self._hidden(rest, forms):
            raise Unclear("the document repeats credentials of this connection")
        if rest:
            yield rest.encode("latin-1")

    def _keep(self, kept: dict[str, bool], secrets: Mapping[str, bool]) -> None:
        """Keep secrets among the latest of their kind; those that are opaque have no scheme in front of the value."""
        for secret, opaque in secrets.items():
            kept.pop(secret, None)
            kept[secret] = opaque
        for oldest in list(kept)[: max(0, len(kept) - _SENT_MAX)]:
            del kept[oldest]
        self._build()

    def _build(self) -> None:
        known = dict.fromkeys(self._credentials, True) | self._sent | self._signed
        self._spellings = {
            secret: self._spellings.get(secret) or _spellings(secret[0], opaque=secret[1]) for secret in known.items()
        }
        long = {secret for secret in known.items() if len(secret[0].encode("utf-8", "ignore")) >= _LONG}
        self._all, self._deep = self._forms(known.items()), self._forms(long)
        self._proofs = self._forms(secret for secret in long if secret[0] != self._account)

    def _forms(self, secrets: Iterable[_Secret]) -> _Forms:
        spellings = [self._spellings[secret] for secret in secrets]
        return _Forms(tuple(sorted({form for forms in spellings for form in forms[part]})) for part in (0, 1))

    def _hidden(self, text: str, forms: _Forms) -> bool:
        return any(forms) and any(self._spans(view, forms) for view in _views(text))

    @staticmethod
    def _spans(text: str, forms: _Forms) -> list[tuple[int, int]]:
        """Return where secrets stand, in order, none overlapping another."""
        whole, parts = forms
        found = [(at, at + len(form)) for form in whole for at in _places(text, form)]
        # Of a secret that is there as a whole, the surroundings stay.
        rest = _replaced(text, _merged(found), lambda length: "\0" * length) if found else text
        return _merged(found + [run for form in parts for run in _runs(rest, form)])


def _merged(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return places in order, those that touch as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


class _Forms(tuple[tuple[str, ...], tuple[str, ...]]):
    """Texts that are replaced as they stand, and texts that are replaced with the base64 or token around them."""

    __slots__ = ()

    @property
    def longest(self) -> int:
        """Return the length of the longest."""
        return max((len(form) for one in self for form in one), default=0)


def _spellings(secret: str, *, opaque: bool) -> _Forms:
    """Return how a secret may be written; one that is not opaque is a scheme and a value."""
    squeezed = _INVISIBLE.sub("", secret)
    if len(squeezed) < _SECRET_MIN:
        return _Forms(((), ()))
    whole = _escaped(secret) | _escaped(squeezed)
    parts: set[str] = set()
    windows = {secret}
    if opaque and len(secret) >= _WINDOWED:
        windows = {secret[:_WINDOW], secret[-_WINDOW:]}
        parts |= windows
    for data in _encoded(windows):
        parts |= _cores(data)
    whole |= {padded for padded in _padded(secret) if len(padded) >= _LONG}
    return _Forms((tuple(whole), tuple(parts)))


def _escaped(secret: str) -> set[str]:
    """Return a secret raw, URL-encoded, and escaped for JSON and HTML."""
    urls = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    urls |= {re.sub(r"%[0-9A-F]{2}", lambda hex_: hex_[0].lower(), one) for one in urls}
    ascii_, utf8 = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    pages = {html.escape(secret), html.escape(secret, quote=False), html.escape(secret).replace("&#x27;", "&#39;")}
    both = {ascii_, utf8, ascii_.replace("/", "\\/"), utf8.replace("/", "\\/")}
    return {secret} | urls | both | pages


def _encoded(texts: Iterable[str]) -> set[bytes]:
    """Return texts as bytes, in both codes that HTTP headers are written in."""
    utf8 = {one.encode("utf-8", "ignore") for one in texts}
    return utf8 | {one.encode("latin-1") for one in texts if max(one) <= "\xff"}


def _padded(secret: str) -> set[str]:
    data = secret.encode("utf-8", "ignore")
    return {base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()}


def _cores(data: bytes) -> set[str]:
    """Return the base64 characters that these bytes determine at each of the three positions in a longer text."""
    found: set[str] = set()
    for before in range(3):
        shifted = bytes(before) + data
        first, last = -(-8 * before // 6), 8 * len(shifted) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            core = encode(shifted).decode()[first:last]
            if len(core) >= _CORE_MIN:
                escaped = quote(core, safe="")
                found |= {core, escaped, escaped.replace("%2F", "%2f").replace("%2B", "%2b"), core.replace("/", "\\/")}
    return found


def _as_bytes(form: str) -> str:
    return form.encode("utf-8", "ignore").decode("latin-1")


def _places(text: str, form: str) -> Iterator[int]:
    at = text.find(form)
    while at >= 0:
        yield at
        at = text.find(form, at + 1)


def _runs(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Yield the base64 texts and tokens that a form is a part of; they may be broken into lines."""
    start = text.find(form)
    while start >= 0:
        end = start + len(form)
        while start > 0 and text[start - 1] in _RUN:
            start -= 1
        while end < len(text) and text[end] in _RUN:
            end += 1
        yield start, end
        start = text.find(form, max(start, end - len(form)) + 1)


def _replaced(text: str, spans: Iterable[tuple[int, int]], mark: Callable[[int], str] = lambda _: MARK) -> str:
    kept, last = [], 0
    for start, end in spans:
        kept += [text[last:start], mark(end - start)]
        last = end
    return "".join([*kept, text[last:]])


def _views(text: str) -> Iterator[str]:
    """Yield what a text says when it is decoded, up to `_DEPTH` times, in every order."""
    seen, level = {text}, [text]
    for _ in range(_DEPTH):
        deeper: list[str] = []
        for one in level:
            for decode in _DECODERS:
                view = decode(one)
                if view and view not in seen and len(seen) < _VIEWS_MAX:
                    seen.add(view)
                    deeper.append(view)
                    yield view
        level = deeper


def _json_unescaped(text: str) -> str:
    return _JSON_ESCAPE.sub(lambda found: found[3] or chr(int(found[1] or found[2], 16)), text)


def _base64_decoded(phase: int) -> Callable[[str], str]:
    """Return a decoder of every base64 text, that many characters after where it seems to begin."""

    def decode(text: str) -> str:
        runs = (run[0][phase:].replace("-", "+").replace("_", "/") for run in _BASE64.finditer(text))
        whole = (run[: len(run) - (len(run) % 4 == 1)] for run in runs)
        return "\n".join(base64.b64decode(run + "=" * (-len(run) % 4)).decode("utf-8", "replace") for run in whole)

    return decode


def _hex_decoded(text: str) -> str:
    return "\n".join(bytes.fromhex(run[0]).decode("utf-8", "replace") for run in _HEX.finditer(text))


_DECODERS: tuple[Callable[[str], str], ...] = (
    html.unescape,
    unquote,
    unquote_plus,
    _json_unescaped,
    lambda text: _INVISIBLE.sub("", text),
    _hex_decoded,
    *(_base64_decoded(phase) for phase in range(4)),
)
