"""Credentials are references, followed when a vendor is called, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchsync.core.job import Connection
from batchsync.errors import ExitCode, UnavailableError
from batchsync.spec import resolve_credentials


def connection(**credentials: str) -> Connection:
    return Connection(name="crm", vendor="sitecore-cdp", base_url="https://localhost", credentials=credentials)


def read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def test_variables_and_files_are_followed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    given = connection(key="${KEY}", token=f"${{file:{tmp_path / 'token'}}}", extra="${NONE:-}")
    assert resolve_credentials(given, {"KEY": "k3y"}, read) == {"key": "k3y", "token": "t0ken", "extra": ""}


def test_one_newline_at_the_end_of_a_file_is_no_part_of_the_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b" t0ken\n\r\n")
    given = connection(token=f"${{file:{tmp_path / 'token'}}}")
    assert resolve_credentials(given, {}, lambda path: Path(path).read_bytes().decode()) == {"token": " t0ken\n"}


def test_a_secret_may_look_like_a_reference() -> None:
    assert resolve_credentials(connection(key="${KEY}"), {"KEY": "${OTHER}"}, read) == {"key": "${OTHER}"}


@pytest.mark.parametrize(
    ("text", "environ", "message"),
    [
        ("${KEY}", {}, 'credential "key" of connection "crm": KEY is not set'),
        ("${KEY}", {"KEY": ""}, 'credential "key" of connection "crm": KEY is empty'),
        ("hunter2", {}, 'credential "key" of connection "crm" is no reference'),
        (
            "${file:/nowhere/key}",
            {},
            'credential "key" of connection "crm": cannot read /nowhere/key: No such file or directory',
        ),
    ],
)
def test_what_is_missing_is_named_with_its_connection(text: str, environ: dict[str, str], message: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        resolve_credentials(connection(key=text), environ, read)
    assert caught.value.message == message
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_secret_file_that_holds_no_secret_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(UnavailableError, match="token"):
        resolve_credentials(connection(token=f"${{file:{tmp_path / 'token'}}}"), {}, read)


def test_a_connection_does_not_print_its_credentials() -> None:
    assert "KEY" not in repr(connection(key="${KEY}"))


def test_every_credential_that_is_missing_is_named_at_once() -> None:
    given = connection(key="${KEY}", word="${WORD}", there="${THERE}", extra="${file:/nowhere/extra}")

    with pytest.raises(UnavailableError) as caught:
        resolve_credentials(given, {"THERE": "s3cret", "WORD": ""}, read)

    assert caught.value.message == (
        'credential "key" of connection "crm": KEY is not set; credential "word" of connection "crm": WORD is empty; '
        'credential "extra" of connection "crm": cannot read /nowhere/extra: No such file or directory'
    )
    assert caught.value.hint == "export KEY=...; export WORD=...; make /nowhere/extra readable"
