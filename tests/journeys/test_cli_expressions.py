"""Expressions cause no network request and no file access, whatever the command."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from batchsync.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from kit.deployment import Deployment

QUERY = "\"=email IN (SELECT x FROM read_csv('URL'))\""
COMMANDS = [["validate"], ["plan"], ["status"], ["schedule"], ["sync"]]


class Listener(ThreadingHTTPServer):
    """HTTP server that records the path of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Recorder)
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Recorder(BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.send_response(404)
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Suppress the access log."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def batchsync(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(deployment.folder)
    environ = deployment.environ() | {"T": "SUPERSECRET"}
    return lambda *arguments: CliRunner().invoke(main, list(arguments), env=environ)


@pytest.mark.parametrize("reader", ["read_csv", "read_parquet", "read_ipc", "read_ndjson"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("=lower(email)", '"=email IN (SELECT x FROM {call})"'),
        ("=lower(email)", '"=email IN (FROM {call})"'),
        ("[{provider: CRM, id: =id}]", '[{{each: {{provider: CRM, id: "=(SELECT x FROM {call})"}}}}]'),
        ("guests.csv, key: id", 'guests.csv, key: "=id || (SELECT x FROM {call})"'),
        ("on_removed: delete", 'on_removed: {{mode: delete, record: {{ref: "=(SELECT x FROM {call})"}}}}'),
    ],
)
def test_query_in_expression_makes_no_request(
    deployment: Deployment, batchsync: Callable[..., Result], listener: Listener, reader: str, old: str, new: str
) -> None:
    deployment.edit(old, new.format(call=f"{reader}('{listener.url}/x')"))
    for command in COMMANDS:
        result = batchsync(*command)
        assert result.exit_code == 2, command
        assert "in an expression" in result.output
    assert listener.requests == []


def test_environment_variable_in_expression_is_neither_sent_nor_printed(
    deployment: Deployment, batchsync: Callable[..., Result], listener: Listener
) -> None:
    deployment.edit("=lower(email)", QUERY.replace("URL", listener.url + "/${T}"))
    for command in COMMANDS:
        result = batchsync(*command)
        assert result.exit_code == 2, command
        assert "jobs.yaml:26:14: ${...} inside an expression" in result.output
        assert "SUPERSECRET" not in result.output
    assert listener.requests == []


def test_local_file_named_in_expression_is_not_printed(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    (deployment.folder / "private.csv").write_text("firstline\n", encoding="utf-8")
    deployment.edit("=lower(email)", "\"=email IN (SELECT x FROM read_csv('private.csv'))\"")
    for command in COMMANDS:
        result = batchsync(*command)
        assert result.exit_code == 2
        assert "firstline" not in result.output


def test_column_named_like_a_query_makes_no_request(
    deployment: Deployment, batchsync: Callable[..., Result], listener: Listener
) -> None:
    source = deployment.folder / "guests.csv"
    head, _, rest = source.read_text(encoding="utf-8").partition("\n")
    query = QUERY.strip('"=').replace("URL", f"{listener.url}/x")
    source.write_text(f'{head},"{query}"\n' + rest.replace("\n", ",a\n"), encoding="utf-8")
    deployment.edit("=initcap(name)", "=initcap(nmae)")
    assert "the source has no column 'nmae'" in batchsync("validate").output
    deployment.edit("=initcap(nmae)", f'"={query}"')
    assert batchsync("validate").exit_code == 2
    deployment.edit(f'"={query}"', f'"{query}"')
    assert "is the name of a column" in batchsync("validate").output
    assert listener.requests == []


def test_column_named_like_sql_keyword_is_read_in_double_quotes(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    source = deployment.folder / "guests.csv"
    source.write_text(source.read_text(encoding="utf-8").replace("email", "select", 1), encoding="utf-8")
    deployment.edit("=lower(email)", '=lower("select")')
    assert batchsync("validate").exit_code == 0


@pytest.mark.parametrize(
    ("expression", "suggestion"),
    [
        ("lowr(name)", "Did you mean lower?"),
        ("CAST(name AS UUID)", "The types are: text"),
        ("name + 1", "CAST(x AS"),
        ("regexp_like(name, '(?=a)')", "look-around"),
    ],
)
def test_unsupported_expression_is_refused_and_sends_nothing(
    deployment: Deployment, batchsync: Callable[..., Result], expression: str, suggestion: str
) -> None:
    deployment.edit("=initcap(name)", f'"={expression}"')
    for command in ("validate", "sync"):
        result = batchsync(command)
        assert result.exit_code == 2
        assert "jobs.yaml:25:18: " in result.output
        assert suggestion in result.output
    assert not deployment.delivered("sitecore-cdp")


def test_missing_equals_sign_is_refused_and_explicit_text_is_valid(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    deployment.edit("=initcap(name)", "name")
    result = batchsync("validate")
    assert result.exit_code == 2
    assert "jobs.yaml:25:18: firstName: 'name' is the name of a column" in result.output
    assert "Write =name for the value of the column, or == name for the string." in result.output
    deployment.edit("firstName: name", "firstName: == name")
    assert batchsync("validate").exit_code == 0
