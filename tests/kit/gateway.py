"""A gateway in front of a mock that answers chosen requests by quoting them, credentials included, in many encodings.

The client uses credentials of the test, full of characters that encodings change. The gateway checks their exact value
and forwards requests with the credentials of the mock.
"""

from __future__ import annotations

import base64
import html
import http.client
import json
import re
from collections import Counter
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

#: Requests by verb, as method and regular expression of the path.
VERBS: dict[str, dict[str, tuple[str, str]]] = {
    BDP: {
        "token": ("POST", r"/auth/v1/token$"),
        "choice": ("GET", r"/batch-services$"),
        "template": ("GET", r"/template$"),
        "allocate": ("POST", r"/batches$"),
        "upload": ("PUT", r"_storage"),
        "poll": ("GET", r"/reports$"),
        "counts": ("GET", r"/batches/[^/]+$"),
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
    """Return each line truncated, as gateways truncate long values."""
    return "; ".join(line[: line.find(":") + 40] for line in text.splitlines())


#: Encodings in which a gateway may quote a request.
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
    "URL-encoded in lower case": lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="")),
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
    """Return the request as text, headers first, because messages are truncated after 300 characters."""
    headers = sorted(request.headers, key=lambda pair: pair[0] != "Authorization")
    # An HTTP server reads header bytes as latin-1.
    lines = [f"{name}: {value.encode('latin-1').decode('utf-8', 'replace')}" for name, value in headers]
    body = "" if request.headers.get("Content-Encoding") else request.get_data(cache=True)[:2000].decode("latin-1")
    return "\n".join([*lines, f"{request.method} {request.url}", body])


def _members(text: str) -> bytes:
    """Return a JSON response with the text in every member that a vendor spec reads."""
    members: dict[str, object] = dict.fromkeys(
        ("id", "batchId", "batchServiceId", "name", "url", "expiry", "status", "access_token_type", "message"), text
    )
    location = {"href": text, "expiry": text}
    return json.dumps(members | {"location": location, "content": [members], "expires_in": text}).encode()


#: Response bodies that contain the quoted text, with their content types.
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
    """Forwards to a mock, but answers `times` requests of `verb` with `status` and a quotation of the request.

    With `echoes`, it quotes that many requests of each verb before it forwards one, in all encodings and with
    `statuses` in turn.
    """

    vendor: str
    mocks: Running
    server: HTTPServer
    verb: str = ""
    encoding: str = "raw"
    carrier: str = "message"
    status: int = 500
    times: int = 0
    quoted: int = 0
    echoes: int = 0
    statuses: tuple[int, ...] = (500, 403, 401, 503, 400)
    #: Encodings of all quotations so far, and requests quoted since `echo_again`, by verb.
    used: list[str] = field(default_factory=list)
    echoed: Counter[str] = field(default_factory=Counter)
    #: Values that sign URLs of the storage.
    signatures: set[str] = field(default_factory=set)
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.server.url_for("").rstrip("/")

    def quote(self, verb: str, encoding: str, carrier: str, status: int, times: int = 1) -> None:
        """Answer the next requests of a verb with a quotation of themselves."""
        self.verb, self.encoding, self.carrier, self.status, self.times = verb, encoding, carrier, status, times
        self.quoted = 0

    def answer(self, request: Request) -> Response:
        method, path = VERBS[self.vendor].get(self.verb, ("", "$^"))
        if self.times > 0 and request.method == method and re.search(path, request.path):
            self.times -= 1
            self.quoted += 1
            body, kind = CARRIERS[self.carrier](ENCODINGS[self.encoding](quoted(request)))
            return Response(body, status=self.status, content_type=kind)
        verbs = VERBS[self.vendor].items()
        found = next((verb for verb, (how, at) in verbs if how == request.method and re.search(at, request.path)), "")
        if self.echoed[found] < self.echoes:
            self.echoed[found] += 1
            turn, encodings = len(self.used), list(ENCODINGS)
            self.used.append(encodings[turn % len(encodings)])
            body, kind = list(CARRIERS.values())[turn % len(CARRIERS)](ENCODINGS[self.used[-1]](quoted(request)))
            return Response(body, status=self.statuses[turn % len(self.statuses)], content_type=kind)
        return self._forwarded(request)

    def _forwarded(self, request: Request) -> Response:
        mock = urlsplit(self.mocks.urls[self.vendor])
        headers = {name: value for name, value in request.headers if name.lower() not in {"host", "content-length"}}
        body = request.get_data()
        if "Authorization" in headers:
            headers["Authorization"] = self._mock_authorization(headers["Authorization"])
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
            text = content.decode("latin-1").replace("\\/", "/")
            self.signatures |= {unquote(found) for found in re.findall(r"[Ss]ignature=([^&\"<\s]+)", text)}
            if self._is_token(request) and answer.status == http.client.OK:
                document = json.loads(content)
                self._tokens[TOKEN] = document["access_token"]
                content = json.dumps(document | {"access_token": TOKEN}).encode()
            kept = [(name, item) for name, item in answer.getheaders() if name.lower() in {"content-type", "date"}]
            return Response(content, status=answer.status, headers=kept)
        finally:
            connection.close()

    def _mock_authorization(self, header: str) -> str:
        if self.vendor == BDP:
            assert header == f"Bearer {TOKEN}"
            return f"Bearer {self._tokens[TOKEN]}"
        assert header == "Basic " + b64(":".join(CREDENTIALS[CDP].values()))
        return "Basic " + b64(":".join(self.mocks.credentials(CDP).values()))

    def _is_token(self, request: Request) -> bool:
        return self.vendor == BDP and request.path.endswith("/token")


@contextmanager
def gateway(vendor: str, mocks: Running) -> Iterator[Gateway]:
    """Run a gateway in front of the mock of a vendor."""
    server = HTTPServer(host="127.0.0.1", threaded=True)
    proxy = Gateway(vendor, mocks, server)
    server.expect_request(re.compile(".*")).respond_with_handler(proxy.answer)
    server.start()
    try:
        yield proxy
    finally:
        server.stop()


def _decoded(text: str) -> Iterator[str]:
    yield from (html.unescape(text), unquote(text), unquote_plus(text), re.sub(r"\s+", "", text))
    yield (
        re.sub(r"\\u([0-9a-fA-F]{4})", lambda hit: chr(int(hit[1], 16)), text).replace("\\/", "/").replace('\\"', '"')
    )
    for phase in range(4):
        for run in re.findall(r"[A-Za-z0-9+/_-]{12,}", text):
            part = run[phase:].replace("-", "+").replace("_", "/")
            part = part[: len(part) - (len(part) % 4 == 1)]
            yield base64.b64decode(part + "=" * (-len(part) % 4)).decode("utf-8", "replace")
    for run in re.findall(r"(?:[0-9a-fA-F]{2}){6,}", text):
        yield bytes.fromhex(run).decode("utf-8", "replace")


def leaks(text: str, secrets: Mapping[str, str], depth: int = 3) -> set[str]:
    """Return the names of secrets that a text contains, raw or decoded, whole or their first 16 characters."""
    seen, level = {text}, [text]
    for _ in range(depth):
        level = list({view for item in level for view in _decoded(item)} - seen)
        seen |= set(level)
    squeezed = {name: (secret, secret[:16], re.sub(r"\s", "", secret)) for name, secret in secrets.items()}
    return {name for name, forms in squeezed.items() if any(form in view for view in seen for form in forms)}


def secrets_of(vendor: str) -> dict[str, str]:
    """Return all secrets: the credentials, the token, and the content of the Authorization header."""
    credentials = CREDENTIALS[vendor]
    if vendor == BDP:
        return {**credentials, "token": TOKEN}
    return {**credentials, "header": b64(":".join(credentials.values()))}
