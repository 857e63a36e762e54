"""Redaction of credentials in texts that a vendor, or a gateway in front of it, sends back.

A gateway may quote the request that it refuses, in any encoding. The quotation would get from the error message into
the terminal and the journal. Every text of a response therefore passes a `Redactor` that holds the credentials, the
tokens obtained with them, and the header values that carried them.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit

from batchsync.errors import AmbiguousOutcomeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    #: A secret, and whether it is opaque, that is, not a scheme followed by a value.
    _Secret = tuple[str, bool]

MARK = "<redacted>"
#: Replaces a whole text that contains a credential in an encoding whose position in the text is not known.
WITHHELD = "<redacted: the text repeats a credential>"
#: Minimum length of a secret, in characters: a shorter one would match ordinary words.
_SECRET_MIN = 4
#: Minimum length, in bytes, of secrets searched for in decoded texts and ids: shorter ones match by chance.
_LONG_MIN = 8
#: Secrets from `_WINDOWED` characters on are found by their first and last `_WINDOW`: gateways cut long values.
_WINDOW = 16
_WINDOWED = 24
#: Minimum length of the base64 text that a secret determines: a shorter one matches by chance.
_CORE_MIN = 6
#: Maximum number of tokens and header values kept: enough for many renewals of a token.
_OBSERVED_MAX = 24
#: Maximum number of header values remembered as harmless.
_HARMLESS_MAX = 500
#: Parameters of a signed URL that grant access until it expires.
_SIGNING_PARAMETER = re.compile(r"signature|credential|token|^sig$", re.IGNORECASE)
#: Maximum depth of nested encodings (base64 of a URL-encoded JSON text: three) and number of decoded texts.
_DEPTH, _VIEWS_MAX = 3, 300
#: Bytes of a document held back while it is streamed, besides the longest secret: room for the base64 around it.
_OVERLAP = 8192
_SMALL_DOCUMENT = 65_536
#: Beginnings of gzip and ZIP files.
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04")
#: Names of headers whose value authenticates, whatever the vendor spec fills in. An idempotency key does not.
_AUTH_HEADER = re.compile(
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
    """Redaction of the secrets of a connection. Thread-safe.

    Secrets are: credentials; tokens; signatures of URLs; and the values, with and without their scheme, of headers that
    carried one of them or whose name indicates authentication. Other header values (`application/json`, a checksum)
    are text of the vendor spec, or values that the journal contains anyway: they are not redacted.

    A secret is found verbatim, URL-encoded, escaped for JSON or HTML, and in base64 at any position of a longer text.
    If it is found only after decoding a text, the whole text is withheld.
    """

    def __init__(self, credentials: Iterable[str] = (), *, account: str = "") -> None:
        """Create a redactor with the credentials of a connection.

        Args:
            credentials: Values of the credentials.
            account: The credential that only names the account; vendors may build ids from it.
        """
        self._lock = threading.Lock()
        self._credentials = tuple(credential for credential in credentials if credential)
        self._account = account
        self._observed: dict[str, bool] = {}
        self._signatures: dict[str, bool] = {}
        self._spellings: dict[_Secret, _Forms] = {}
        self._build()

    def add(self, *secrets: str) -> None:
        """Add secrets, such as a token."""
        with self._lock:
            self._add(self._observed, dict.fromkeys(secrets, True))

    def add_url(self, url: str) -> None:
        """Add the signature in the query of a URL that is about to be requested."""
        if "?" not in url:
            return
        query = parse_qsl(urlsplit(url).query)
        found = {value: True for name, value in query if _SIGNING_PARAMETER.search(name) and len(value) >= _WINDOW}
        if any(item not in self._signatures for item in found):
            with self._lock:
                self._add(self._signatures, found)

    def add_headers(self, headers: Mapping[str, str], auth_headers: Iterable[str] = ()) -> None:
        """Add the header values of a request that authenticate it.

        Args:
            headers: Values of all headers that are sent, by name.
            auth_headers: Names of headers that authenticate whatever their names.
        """
        auth_names = {name.lower() for name in auth_headers}
        found: dict[str, bool] = {}
        for name, value in headers.items():
            if name.lower() in auth_names or _AUTH_HEADER.search(name) or self._contains_known(value):
                found[value] = False
                scheme, space, rest = value.partition(" ")
                if space and scheme.replace("-", "").isalnum():
                    found[rest.strip()] = True
        if any(item not in self._observed for item in found):
            with self._lock:
                self._add(self._observed, found)

    def _contains_known(self, value: str) -> bool:
        """Return whether a header value contains a secret. Most values are those of the request before."""
        harmless, forms = self._harmless, self._all_forms
        if value in harmless:
            return False
        if self._spans(value, forms):
            return True
        if len(harmless) < _HARMLESS_MAX:
            harmless.add(value)
        return False

    def redact(self, text: str) -> str:
        """Return a text with secrets replaced by `MARK`, or `WITHHELD` if a secret is nested in an encoding."""
        clean = _replace_spans(text, self._spans(text, self._all_forms))
        return WITHHELD if self._is_encoded_in(clean, self._long_forms) else clean

    def contains_secret(self, text: str) -> bool:
        """Return whether a text, such as an id, contains a secret other than the account's name."""
        return bool(self._spans(text, self._credential_forms)) or self._is_encoded_in(text, self._credential_forms)

    def redact_stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of a document with its secrets replaced, in bounded memory.

        The account's name is not redacted: it may be a value of a row. Nested encodings are decoded in documents of at
        most 64 KiB, which is what gateways quote.

        Raises:
            AmbiguousOutcomeError: If a secret is nested in an encoding and cannot be replaced.
        """
        forms = _Forms(tuple(_as_bytes(form) for form in part) for part in self._credential_forms)
        overlap = 2 * forms.longest + _OVERLAP
        pending, small = "", True
        for chunk in chunks:
            pending += chunk.decode("latin-1")
            if len(pending) <= max(2 * overlap, _SMALL_DOCUMENT if small else 0):
                continue
            small = False
            spans = self._spans(pending, forms)
            # A secret that begins before the cut ends within the pending text.
            cut = len(pending) - overlap
            complete = [span for span in spans if span[0] < cut]
            cut = max([cut, *(end for _, end in complete)])
            yield _replace_spans(pending[:cut], complete).encode("latin-1")
            pending = pending[cut:]
        rest = _replace_spans(pending, self._spans(pending, forms))
        if small and self._is_encoded_in(rest, forms):
            raise AmbiguousOutcomeError("the document contains credentials of this connection in a nested encoding")
        if rest:
            yield rest.encode("latin-1")

    def redact_small(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of a document of the storage, redacted if it has at most 64 KiB and is not compressed.

        The storage receives no credentials but the signature of its URL, which a gateway in front of it may quote.

        Raises:
            AmbiguousOutcomeError: If a secret is nested in an encoding and cannot be replaced.
        """
        pending, size, rest = [], 0, iter(chunks)
        for chunk in rest:
            pending.append(chunk)
            size += len(chunk)
            if size > _SMALL_DOCUMENT or pending[0].startswith(_COMPRESSED):
                yield from pending
                yield from rest
                return
        yield from self.redact_stream(pending)

    def _add(self, recent: dict[str, bool], secrets: Mapping[str, bool]) -> None:
        """Add secrets (and whether they are opaque) to the recent ones of their kind, dropping the oldest."""
        for secret, opaque in secrets.items():
            recent.pop(secret, None)
            recent[secret] = opaque
        for oldest in list(recent)[: max(0, len(recent) - _OBSERVED_MAX)]:
            del recent[oldest]
        self._build()

    def _build(self) -> None:
        """Compute the search forms of all secrets."""
        known = dict.fromkeys(self._credentials, True) | self._observed | self._signatures
        self._spellings = {
            secret: self._spellings.get(secret) or _spellings(secret[0], opaque=secret[1]) for secret in known.items()
        }
        long = {secret for secret in known.items() if len(secret[0].encode("utf-8", "ignore")) >= _LONG_MIN}
        self._all_forms, self._long_forms = self._combined_forms(known.items()), self._combined_forms(long)
        self._credential_forms = self._combined_forms(secret for secret in long if secret[0] != self._account)
        # Last: a thread that reads the new set, then the forms, judges by the new forms.
        self._harmless: set[str] = set()

    def _combined_forms(self, secrets: Iterable[_Secret]) -> _Forms:
        """Return the search forms of several secrets."""
        spellings = [self._spellings[secret] for secret in secrets]
        return _Forms(tuple(sorted({form for forms in spellings for form in forms[part]})) for part in (0, 1))

    def _is_encoded_in(self, text: str, forms: _Forms) -> bool:
        """Return whether a form is found after decoding a text."""
        return any(forms) and any(self._spans(view, forms) for view in _decoded_views(text, forms.shortest))

    @staticmethod
    def _spans(text: str, forms: _Forms) -> list[tuple[int, int]]:
        """Return the positions (start, end) of secrets, in order and without overlaps."""
        whole, parts = forms
        found = [(at, at + len(form)) for form in whole for at in _find_all(text, form)]
        # The text around a whole secret is not redacted.
        rest = _replace_spans(text, _merge_spans(found), lambda length: "\0" * length) if found else text
        return _merge_spans(found + [run for form in parts for run in _enclosing_runs(rest, form)])


def _merge_spans(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, with adjacent and overlapping spans merged."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


class _Forms(tuple[tuple[str, ...], tuple[str, ...]]):
    """Search forms: texts that are replaced alone, and texts that are replaced with the base64 or token around them."""

    __slots__ = ()

    @property
    def longest(self) -> int:
        """Return the length of the longest form, in characters."""
        return max((len(form) for item in self for form in item), default=0)

    @property
    def shortest(self) -> int:
        """Return the length of the shortest form, in characters."""
        return min((len(form) for item in self for form in item), default=0)


def _spellings(secret: str, *, opaque: bool) -> _Forms:
    """Return the forms in which a secret may appear; if it is not opaque, it is a scheme followed by a value."""
    squeezed = _INVISIBLE.sub("", secret)
    if len(squeezed) < _SECRET_MIN:
        return _Forms(((), ()))
    whole = _escaped(secret) | _escaped(squeezed)
    parts: set[str] = set()
    windows = {secret}
    if opaque and len(secret) >= _WINDOWED:
        windows = {secret[:_WINDOW], secret[-_WINDOW:]}
        parts |= windows
    for data in _header_bytes(windows):
        parts |= _base64_cores(data)
    whole |= {padded for padded in _whole_base64(secret) if len(padded) >= _LONG_MIN}
    return _Forms((tuple(whole), tuple(parts)))


def _escaped(secret: str) -> set[str]:
    """Return a secret verbatim, URL-encoded, and escaped for JSON and HTML."""
    urls = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    urls |= {re.sub(r"%[0-9A-F]{2}", lambda hex_: hex_[0].lower(), url) for url in urls}
    ascii_, utf8 = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    pages = {html.escape(secret), html.escape(secret, quote=False), html.escape(secret).replace("&#x27;", "&#39;")}
    both = {ascii_, utf8, ascii_.replace("/", "\\/"), utf8.replace("/", "\\/")}
    return {secret} | urls | both | pages


def _header_bytes(texts: Iterable[str]) -> set[bytes]:
    """Return texts as bytes, in both encodings that HTTP headers use."""
    utf8 = {text.encode("utf-8", "ignore") for text in texts}
    return utf8 | {text.encode("latin-1") for text in texts if max(text) <= "\xff"}


def _whole_base64(secret: str) -> set[str]:
    """Return the base64 of a secret alone, in both alphabets."""
    data = secret.encode("utf-8", "ignore")
    return {base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()}


def _base64_cores(data: bytes) -> set[str]:
    """Return the base64 characters that some bytes determine at each of the three alignments in a longer text."""
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
    """Return the UTF-8 bytes of a form as latin-1 characters."""
    return form.encode("utf-8", "ignore").decode("latin-1")


def _find_all(text: str, form: str) -> Iterator[int]:
    """Yield the start of each occurrence of a form."""
    at = text.find(form)
    while at >= 0:
        yield at
        at = text.find(form, at + 1)


def _enclosing_runs(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of base64 texts and tokens that contain a form; they may be broken into lines."""
    start = text.find(form)
    while start >= 0:
        end = start + len(form)
        while start > 0 and text[start - 1] in _RUN:
            start -= 1
        while end < len(text) and text[end] in _RUN:
            end += 1
        yield start, end
        start = text.find(form, max(start, end - len(form)) + 1)


def _replace_spans(text: str, spans: Iterable[tuple[int, int]], mark: Callable[[int], str] = lambda _: MARK) -> str:
    """Return a text with each span replaced by a mark, which is computed from the length of the span."""
    kept, last = [], 0
    for start, end in spans:
        kept += [text[last:start], mark(end - start)]
        last = end
    return "".join([*kept, text[last:]])


def _decoded_views(text: str, shortest: int) -> Iterator[str]:
    """Yield the decodings of a text, up to `_DEPTH` levels deep, in every order of decoders.

    No decoder makes a text longer, so that parts with fewer than `shortest` characters cannot lead to a form.
    """
    seen, level = {text}, [text]
    for _ in range(_DEPTH):
        deeper: list[str] = []
        for item in level:
            for decode in _DECODERS:
                view = decode(item)
                if decode in _BINARY_DECODERS:
                    view = "\n".join(part for part in view.split("\ufffd") if len(part) >= shortest)
                if len(view) >= shortest and view not in seen and len(seen) < _VIEWS_MAX:
                    seen.add(view)
                    deeper.append(view)
                    yield view
        level = deeper


def _json_unescaped(text: str) -> str:
    """Return a text with its JSON escapes decoded."""
    return _JSON_ESCAPE.sub(lambda found: found[3] or chr(int(found[1] or found[2], 16)), text)


def _base64_decoded(phase: int) -> Callable[[str], str]:
    """Return a decoder of all base64 texts that skips their first `phase` characters."""

    def decode(text: str) -> str:
        runs = (run[0][phase:].replace("-", "+").replace("_", "/") for run in _BASE64.finditer(text))
        whole = (run[: len(run) - (len(run) % 4 == 1)] for run in runs)
        return "\n".join(base64.b64decode(run + "=" * (-len(run) % 4)).decode("utf-8", "replace") for run in whole)

    return decode


def _hex_decoded(text: str) -> str:
    """Return the decoded hex texts of a text, one per line."""
    return "\n".join(bytes.fromhex(run[0]).decode("utf-8", "replace") for run in _HEX.finditer(text))


#: Decoders of what may be no text: most of what they return is none, and split where it is not.
_BINARY_DECODERS = (_hex_decoded, *(_base64_decoded(phase) for phase in range(4)))
_DECODERS: tuple[Callable[[str], str], ...] = (
    html.unescape,
    unquote,
    unquote_plus,
    _json_unescaped,
    lambda text: _INVISIBLE.sub("", text),
    *_BINARY_DECODERS,
)
