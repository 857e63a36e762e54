"""Resolution of credential references."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.core.connection import Connection
from batchsync.errors import ExitCode, UnavailableError
from batchsync.spec import resolve_credentials, resolve_proxy, secret_files

if TYPE_CHECKING:
    from batchsync.ports import Proxy


def connection(**credentials: str) -> Connection:
    return Connection(name="crm", vendor="sitecore-cdp", base_url="https://localhost", credentials=credentials)


def read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def test_variables_and_files_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    crm = connection(key="${KEY}", token=f"${{file:{tmp_path / 'token'}}}", extra="${NONE:-}")
    assert resolve_credentials(crm, {"KEY": "k3y"}, read) == {"key": "k3y", "token": "t0ken", "extra": ""}


def test_trailing_newline_of_file_is_not_part_of_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b" t0ken\n\r\n")
    crm = connection(token=f"${{file:{tmp_path / 'token'}}}")
    assert resolve_credentials(crm, {}, lambda path: Path(path).read_bytes().decode()) == {"token": " t0ken\n"}


def test_secret_that_looks_like_reference_is_not_resolved_again() -> None:
    assert resolve_credentials(connection(key="${KEY}"), {"KEY": "${OTHER}"}, read) == {"key": "${OTHER}"}


@pytest.mark.parametrize(
    ("text", "environ", "message"),
    [
        ("${KEY}", {}, 'credential "key" of connection "crm": KEY is not set'),
        ("${KEY}", {"KEY": ""}, 'credential "key" of connection "crm": KEY is empty'),
        ("hunter2", {}, 'credential "key" of connection "crm" is not a reference'),
        (
            "${file:/nowhere/key}",
            {},
            'credential "key" of connection "crm": cannot read /nowhere/key: No such file or directory',
        ),
    ],
)
def test_missing_credential_is_reported_with_its_connection(text: str, environ: dict[str, str], message: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        resolve_credentials(connection(key=text), environ, read)
    assert caught.value.message == message
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_secret_file_without_secret_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(UnavailableError, match="token"):
        resolve_credentials(connection(token=f"${{file:{tmp_path / 'token'}}}"), {}, read)


def test_repr_of_connection_has_no_credentials() -> None:
    assert "KEY" not in repr(connection(key="${KEY}"))


def test_all_missing_credentials_are_reported_at_once() -> None:
    crm = connection(key="${KEY}", user="${USER}", present="${PRESENT}", extra="${file:/nowhere/extra}")

    with pytest.raises(UnavailableError) as caught:
        resolve_credentials(crm, {"PRESENT": "s3cret", "USER": ""}, read)

    assert caught.value.message == (
        'credential "key" of connection "crm": KEY is not set; credential "user" of connection "crm": USER is empty; '
        'credential "extra" of connection "crm": cannot read /nowhere/extra: No such file or directory'
    )
    assert caught.value.hint == "export KEY=...; export USER=...; make /nowhere/extra readable"


def proxied(proxy: str) -> Connection:
    return Connection(name="crm", vendor="sitecore-cdp", base_url="https://localhost", credentials={}, proxy=proxy)


def parts(proxy: Proxy | None) -> tuple[str, str, str] | None:
    return proxy and (proxy.url, proxy.user, proxy.password)


@pytest.mark.parametrize(
    ("written", "environ", "found"),
    [
        ("", {"HTTPS_PROXY": "http://other:1"}, None),
        ("${HTTPS_PROXY:-}", {}, None),
        ("http://proxy.example:3128", {}, ("http://proxy.example:3128", "", "")),
        ("http://[::1]:3128/", {}, ("http://[::1]:3128", "", "")),
        (
            "http://${U}:${P}@proxy:80",
            {"U": "me", "P": "a:b@c/%41 é"},
            ("http://proxy:80", "me", "a:b@c/%41 é"),
        ),
        ("http://${U}:${P:-}@proxy:80", {"U": "me"}, ("http://proxy:80", "me", "")),
        (
            "${HTTPS_PROXY}",
            {"HTTPS_PROXY": "http://me:a%3Ab%40c@proxy:80"},
            ("http://proxy:80", "me", "a:b@c"),
        ),
        ("${HTTPS_PROXY}", {"HTTPS_PROXY": "http://proxy:8080/"}, ("http://proxy:8080", "", "")),
    ],
)
def test_proxy_is_resolved(written: str, environ: dict[str, str], found: tuple[str, str, str] | None) -> None:
    assert parts(resolve_proxy(proxied(written), environ, read)) == found


def test_proxy_with_secret_file_is_resolved_and_watched(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    crm = proxied(f"http://${{U}}:${{file:{tmp_path / 'password'}}}@proxy:80")
    assert parts(resolve_proxy(crm, {"U": "me"}, read)) == ("http://proxy:80", "me", "s3cret")
    assert secret_files([crm]) == (str(tmp_path / "password"),)


@pytest.mark.parametrize(
    "value",
    ["hunter2", "https://proxy:80", "http://proxy", "http://me:hunter2@proxy:0", "http://me:hunter2@x@proxy:80"],
)
def test_value_that_is_no_proxy_is_reported_without_it(value: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        resolve_proxy(proxied("${HTTPS_PROXY}"), {"HTTPS_PROXY": value}, read)
    assert 'proxy of connection "crm": the value of ${HTTPS_PROXY}' in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_unset_variable_of_proxy_is_named() -> None:
    with pytest.raises(UnavailableError, match='credential "proxy password" of connection "crm": P is not set'):
        resolve_proxy(proxied("http://${U}:${P}@proxy:80"), {"U": "me"}, read)
