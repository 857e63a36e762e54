"""A gateway in front of a mock that answers chosen requests by quoting them, credentials included, in many encodings.

The client's credentials are the test's own, full of characters that encodings change. The gateway knows them by their
exact value and forwards requests with the mock's.
"""

from __future__ import annotations

import base64
import html
import http.client
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, quote_plus, unquote, unquote_plus, urlencode, urlsplit

from pytest_httpserver import HTTPServer
from werkzeug import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from werkzeug import Request

    from batchsync_mocks.serving import Running

BDP, CDP = "motorweb-bdp", "sitecore-cdp"
CREDENTIALS: dict[str, dict[str, str]] = {
    BDP: {"client_id": "id~Q7+fleet/desk=09", "client_secret": 's3cr3t/T0ken+with="odd"&<chars>~\' 100%'},
    CDP: {"client_key": "pqsxhdpk4XZ7", "api_token": 't0ken+of/CDP==&<é>"q"~%41 end-0123456789'},
}
TOKEN = "eyJhbGciOiJSUzI1NiJ9." + "Tk+/" * 30 + "~_-.sig+natur/e=="

#: Which request is which verb, as method and a part of the path.
VERBS: dict[str, dict[str, tuple[str, str]]] = {
    BDP: {
        "token": ("POST", r"/auth/v1/token$"),
        "choice": ("GET", r"/batch-services$"),
        "template": ("GET", r"/template$"),
        "allocate": ("POST", r"/batches$"),
        "upload": ("PUT", r"_storage"),
        "poll": ("GET", r"/batches/[^/]+$"),
        "locate": ("GET", r"/reports$"),
        "results": ("GET", r"_storage"),
        "errors": ("GET", r"/errors(/download)?$"),
        "cancel": ("DELETE", r"/batches/[^/]+$"),
    },
    CDP: {
        "check": ("GET", r"/v2/batches/inspect$"),
        "allocate": ("PUT", r"/v2/batches/[^/]+$"),
        "find": ("GET", r"/v2/batches/(?!inspect)[^/]+$"),
        "upload": ("PUT", r"_storage"),
        "poll": ("GET", r"/v2/batches/inspect/[^/]+$"),
        "errors": ("GET", r"_storage"),
    },
}


def b64(text: str, encode: Callable[[bytes], bytes] = base64.b64encode) -> str:
    return encode(text.encode()).decode()


def _wrapped(text: str) -> str:
    return "\r\n".join(re.findall(".{1,76}", b64(text)))


def _listed(text: str) -> str:
    """Return headers as a list of objects, in reverse order."""
    pairs = (line.partition(": ") for line in reversed(text.splitlines()))
    return json.dumps([{"name": name, "value": value} for name, _, value in pairs])


def _cut(text: str) -> str:
    """Return each line cut, as gateways cut long values."""
    return "; ".join(line[: line.find(":") + 40] for line in text.splitlines())


#: How a gateway may write what it was sent.
ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "reversed lines": lambda text: "\n".join(reversed(text.splitlines())),
    "list of headers": _listed,
    "cut values": _cut,
    "base64": b64,
    "base64 one byte on": lambda text: b64("x" + text),
    "base64 two bytes on": lambda text: b64("xy" + text),
    "base64 without padding": lambda text: b64(text).rstrip("="),
    "URL-safe base64": lambda text: b64(text, base64.urlsafe_b64encode).rstrip("="),
    "base64 in lines": _wrapped,
    "base64 twice": lambda text: b64(b64(text)),
    "base64 of URL-encoded": lambda text: b64(quote(text, safe="")),
    "URL-encoded": lambda text: quote(text, safe=""),
    "URL-encoded in lower case": lambda text: re.sub("%..", lambda one: one[0].lower(), quote(text, safe="")),
    "URL-encoded with plus": quote_plus,
    "URL-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "every character URL-encoded": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "JSON in JSON": lambda text: json.dumps({"request": text}),
    "JSON with escaped slashes": lambda text: json.dumps(text, ensure_ascii=False).replace("/", "\\/"),
    "JSON of Go": lambda text: json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003E").replace("&", "\\u0026"),
    "HTML-escaped": html.escape,
    "HTML-escaped base64": lambda text: b64(text).translate({43: "&#43;", 47: "&#x2F;", 61: "&#61;"}),
    "HTML entities": lambda text: "".join(f"&#{ord(item)};" for item in text),
    "hex": lambda text: text.encode().hex(),
}


def quoted(request: Request) -> str:
    """Return what was sent, headers first: messages are cut after 300 characters."""
    headers = sorted(request.headers, key=lambda pair: pair[0] != "Authorization")
    # An HTTP server reads header bytes as latin-1.
    lines = [f"{name}: {value.encode('latin-1').decode('utf-8', 'replace')}" for name, value in headers]
    body = "" if request.headers.get("Content-Encoding") else request.get_data(cache=True)[:2000].decode("latin-1")
    return "\n".join([*lines, f"{request.method} {request.url}", body])


def _members(text: str) -> bytes:
    """Return an answer whose members, wherever a vendor spec reads one, hold the text."""
    one: dict[str, object] = dict.fromkeys(
        ("id", "batchId", "batchServiceId", "name", "url", "expiry", "status", "access_token_type", "message"), text
    )
    location = {"href": text, "expiry": text}
    return json.dumps(one | {"location": location, "content": [one], "expires_in": text}).encode()


#: Where in an answer the quoted text stands.
CARRIERS: dict[str, Callable[[str], tuple[bytes, str]]] = {
    "message": lambda text: (json.dumps({"message": text}).encode(), "application/json"),
    "fault": lambda text: (json.dumps({"fault": {"faultstring": f"bad: {text}"}}, ensure_ascii=False).encode(), "x/j"),
    "error": lambda text: (json.dumps({"error": {"message": text}}).encode(), "application/json"),
    "XML": lambda text: (f"<Error><Code>No</Code><Message>{text[:900]}</Message></Error>".encode(), "text/xml"),
    "HTML": lambda text: (f"<html><pre>{text}</pre></html>".encode(), "text/html"),
    "text": lambda text: (text.encode(), "text/plain"),
    "members": lambda text: (_members(text), "application/json"),
}


@dataclass
class Gateway:
    """Forwards to a mock. What matches `verb` is answered with `status` and a quotation, `times` times."""

    vendor: str
    mocks: Running
    server: HTTPServer
    verb: str = ""
    encoding: str = "raw"
    carrier: str = "message"
    status: int = 500
    times: int = 0
    quoted: int = 0
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.server.url_for("").rstrip("/")

    def quote(self, verb: str, encoding: str, carrier: str, status: int, times: int = 1) -> None:
        """Answer the next requests of a verb with what they sent."""
        self.verb, self.encoding, self.carrier, self.status, self.times = verb, encoding, carrier, status, times
        self.quoted = 0

    def answer(self, request: Request) -> Response:
        method, path = VERBS[self.vendor].get(self.verb, ("", "$^"))
        if self.times > 0 and request.method == method and re.search(path, request.path):
            self.times -= 1
            self.quoted += 1
            body, kind = CARRIERS[self.carrier](ENCODINGS[self.encoding](quoted(request)))
            return Response(body, status=self.status, content_type=kind)
        return self._forwarded(request)

    def _forwarded(self, request: Request) -> Response:
        mock = urlsplit(self.mocks.urls[self.vendor])
        headers = {name: value for name, value in request.headers if name.lower() not in {"host", "content-length"}}
        body = request.get_data()
        if "Authorization" in headers:
            headers["Authorization"] = self._own_proof(headers["Authorization"])
        if self._is_token(request):
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            assert {name: form.get(name) for name in CREDENTIALS[BDP]} == CREDENTIALS[BDP]
            body = urlencode(form | self.mocks.credentials(BDP)).encode()
        connection = http.client.HTTPConnection(mock.hostname or "", mock.port, timeout=10)
        try:
            target = request.full_path if request.query_string else quote(request.path)
            raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or target
            connection.request(request.method, raw, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read().replace(f"http://{mock.netloc}".encode(), self.url.encode())
            if self._is_token(request) and answer.status == http.client.OK:
                document = json.loads(content)
                self._tokens[TOKEN] = document["access_token"]
                content = json.dumps(document | {"access_token": TOKEN}).encode()
            kept = [(name, item) for name, item in answer.getheaders() if name.lower() in {"content-type", "date"}]
            return Response(content, status=answer.status, headers=kept)
        finally:
            connection.close()

    def _own_proof(self, proof: str) -> str:
        if self.vendor == BDP:
            assert proof == f"Bearer {TOKEN}"
            return f"Bearer {self._tokens[TOKEN]}"
        assert proof == "Basic " + b64(":".join(CREDENTIALS[CDP].values()))
        return "Basic " + b64(":".join(self.mocks.credentials(CDP).values()))

    def _is_token(self, request: Request) -> bool:
        return self.vendor == BDP and request.path.endswith("/token")


@contextmanager
def gateway(vendor: str, mocks: Running) -> Iterator[Gateway]:
    """Run a gateway in front of the mock of a vendor."""
    server = HTTPServer(host="127.0.0.1", threaded=True)
    one = Gateway(vendor, mocks, server)
    server.expect_request(re.compile(".*")).respond_with_handler(one.answer)
    server.start()
    try:
        yield one
    finally:
        server.stop()


def _decoded(text: str) -> Iterator[str]:
    yield from (html.unescape(text), unquote(text), unquote_plus(text), re.sub(r"\s+", "", text))
    yield re.sub(r"\\u([0-9a-fA-F]{4})", lambda one: chr(int(one[1], 16)), text).replace("\\/", "/").replace('\\"', '"')
    for phase in range(4):
        for run in re.findall(r"[A-Za-z0-9+/_-]{12,}", text):
            part = run[phase:].replace("-", "+").replace("_", "/")
            part = part[: len(part) - (len(part) % 4 == 1)]
            yield base64.b64decode(part + "=" * (-len(part) % 4)).decode("utf-8", "replace")
    for run in re.findall(r"(?:[0-9a-fA-F]{2}){6,}", text):
        yield bytes.fromhex(run).decode("utf-8", "replace")


def leaks(text: str, secrets: Mapping[str, str], depth: int = 3) -> set[str]:
    """Return the names of the secrets that a text shows, as they are or once decoded; and of halves of long ones."""
    seen, level = {text}, [text]
    for _ in range(depth):
        level = list({view for item in level for view in _decoded(item)} - seen)
        seen |= set(level)
    squeezed = {name: (secret, secret[:16], re.sub(r"\s", "", secret)) for name, secret in secrets.items()}
    return {name for name, forms in squeezed.items() if any(form in view for view in seen for form in forms)}


def secrets_of(vendor: str) -> dict[str, str]:
    """Return what must never be shown: the credentials, the token, and what the Authorization header held."""
    mine = CREDENTIALS[vendor]
    if vendor == BDP:
        return {**mine, "token": TOKEN}
    return {**mine, "header": b64(":".join(mine.values()))}
