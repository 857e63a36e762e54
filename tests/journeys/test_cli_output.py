"""The command line without a vendor: help, options, errors, exit codes and streams."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from batchsync.cli import main
from batchsync.cli.command import Command
from batchsync.cli.durations import Duration
from batchsync.cli.exits import run_command
from batchsync.cli.options import GlobalOptions, sniff_output_format
from batchsync.cli.root import COMMANDS
from batchsync.cli.session import Session
from batchsync.cli.vendors import VendorsGroup
from batchsync.core.accounting import UnbalancedError
from batchsync.errors import ExitCode, LockedError
from batchsync.interrupts import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

BATCHSYNC = [sys.executable, "-m", "batchsync"]
BROKEN = """\
version: 1
connections:
  crm:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${KEY}", api_token: "${TOKEN}"}
jobs:
  guests:
    soruce: {path: guests.csv, key: id}
    target: {connection: crm, schema: guest}
    mode: upsert
    record: {guestType: customer, email: =email, identifiers: [{provider: CRM, id: =id}]}
"""


@pytest.fixture
def batchsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("BATCHSYNC_"):
            monkeypatch.delenv(name)
    return lambda *arguments, **more: CliRunner().invoke(main, list(arguments), **more)


def commands() -> list[list[str]]:
    """Return the path of names of each command."""
    groups = {"alerts": ["test"], "mocks": ["serve"], "state": ["init", "assume-delivered"]}
    paths = [path for name in COMMANDS for path in ([[name, item] for item in groups.get(name, ())] or [[name]])]
    return [*paths, *(["vendors", item] for item in ("services", "template", "verify"))]


def find_command(names: list[str]) -> click.Command:
    """Return the command with this path of names."""
    command: click.Command = main
    for name in names:
        assert isinstance(command, click.Group)
        subcommand = command.get_command(click.Context(command), name)
        assert subcommand is not None
        command = subcommand
    return command.plain if isinstance(command, VendorsGroup) else command


@pytest.mark.parametrize("names", commands(), ids=" ".join)
def test_every_command_has_summary_and_example(names: list[str], batchsync: Callable[..., Result]) -> None:
    command = find_command(names)
    result = batchsync(*names, "--help")

    assert result.exit_code == 0
    assert isinstance(command, Command)
    assert all(line.startswith(f"batchsync {' '.join(names)}") for line in command.example.splitlines())
    assert command.example.splitlines()[0] in result.stdout
    assert (command.help or "").splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_command_list_matches_help_texts(name: str) -> None:
    assert COMMANDS[name][1] == (find_command([name]).help or "").splitlines()[0]


def test_help_lists_every_exit_code_with_its_meaning(batchsync: Callable[..., Result]) -> None:
    help_text = " ".join(batchsync("--help").stdout.split())

    assert all(f"{int(code)} {code.meaning}" in help_text for code in ExitCode)


def test_help_imports_no_unused_library() -> None:
    code = (
        "import sys\nfrom batchsync.cli import main\n"
        f"for names in {[[], *commands()]!r}:\n"
        "    try: main([*names, '--help'])\n    except SystemExit: pass\n"
        "heavy = {'polars', 'requests', 'pydantic', 'sqlite_utils', 'ruamel', 'pyarrow', 'numpy'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert completed.stderr.strip() == "[]"


def test_status_imports_no_unused_library(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(BROKEN.replace("soruce", "source"), encoding="utf-8")
    code = (
        "import sys\nfrom batchsync.cli import main\n"
        "try: main(['status'])\nexcept SystemExit as end: print(end.code)\n"
        "print(sorted({'polars', 'requests', 'sqlite_utils', 'pyarrow', 'numpy'} & sys.modules.keys()))"
    )
    completed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert completed.stdout.splitlines() == ["guests: never ran", "0", "[]"]


def test_help_imports_no_slow_library() -> None:
    slow = ["numpy", "polars", "pyarrow", "pydantic", "requests", "ruamel.yaml", "sqlite_utils"]
    code = (
        "import sys\nfrom batchsync.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: pass\n"
        f"print([name for name in {slow} if name in sys.modules], file=sys.stderr)"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert completed.stderr == "[]\n"


def test_version_matches_package(batchsync: Callable[..., Result]) -> None:
    assert re.fullmatch(r"batchsync \d+\.\d+\.\d+\S*\n", batchsync("--version").stdout)


def test_batchsync_without_command_shows_help_on_stderr(batchsync: Callable[..., Result]) -> None:
    result = batchsync()

    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: batchsync" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["snyc"], "No such command 'snyc'. Did you mean 'sync'? [BS-C002]", "batchsync --help"),
        (["sync", "--nope"], "No such option '--nope'", "batchsync sync --help"),
        (["approve"], "Missing argument 'JOB|PLAN'", "batchsync approve --help"),
        (
            ["sync", "--timeout", "soon"],
            "'soon' is not a duration; write for example 45s, 30m or 1h30m",
            "batchsync sync",
        ),
        (["rejects", "--kind", "lost"], "'lost' is not one of", "batchsync rejects --help"),
        (["-o", "yaml", "status"], "'yaml' is not one of", "batchsync --help"),
    ],
)
def test_usage_error_shows_reason_and_help_command(
    batchsync: Callable[..., Result], arguments: list[str], message: str, hint: str
) -> None:
    result = batchsync(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    first, second = result.stderr.splitlines()[:2]
    assert first.startswith("error: ")
    assert message in first
    assert second.startswith(f"next: {hint}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "json", "sync", "--nope"],
        ["sync", "--nope", "--output=json"],
        ["sync", "--nope", "-ojson"],
        ["-o", "json", "validate"],
        ["validate", "-o", "json"],
        ["-o", "text", "validate", "-o", "json"],
        ["-o", "json", "show", "guests-1"],
        ["-o", "json", "approve", "guests"],
        ["-o", "json", "cancel", "guests"],
        ["-o", "json", "unlock", "guests"],
        ["-o", "json", "doctor"],
        ["-o", "json", "mocks", "serve", "unknown"],
    ],
)
def test_json_output_is_one_document_on_failure(batchsync: Callable[..., Result], arguments: list[str]) -> None:
    result = batchsync(*arguments)
    document = json.loads(result.stdout)

    assert set(document) == {"schema_version", "command", "ok", "exit_code", "result", "error"}
    assert document["ok"] is False
    assert document["exit_code"] == result.exit_code > 0
    assert document["command"] == " ".join(word for word in arguments if word in {*COMMANDS, "serve"})


def test_ndjson_ends_with_the_envelope(batchsync: Callable[..., Result]) -> None:
    result = batchsync("validate", "-o", "ndjson")
    last = json.loads(result.stdout.splitlines()[-1])

    assert (last["event"], last["ok"], last["command"]) == ("finished", False, "validate")


def test_failure_with_md_output_is_markdown(batchsync: Callable[..., Result]) -> None:
    assert batchsync("validate", "-o", "md").stdout.startswith("### batchsync: failed\n")


def test_jobs_file_problems_are_shown_with_line_and_caret(batchsync: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(BROKEN, encoding="utf-8")
    result = batchsync("validate")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "jobs.yaml:9:5: " in result.stderr
    assert "  9 |     soruce: {path: guests.csv, key: id}\n    |     ^\n" in result.stderr
    assert "source" in result.stderr
    assert result.stderr.splitlines()[-1] == "next: correct it, then run `batchsync validate`"


def test_jobs_file_problems_are_github_annotations(batchsync: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(BROKEN, encoding="utf-8")
    result = batchsync("validate", env={"GITHUB_ACTIONS": "true"})

    assert "\n::error file=jobs.yaml,line=9,col=5::" in result.stderr


def test_invalid_environment_variable_is_reported(
    batchsync: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHSYNC_MOCKS", "perhaps")
    result = batchsync("status")

    assert result.exit_code == 2
    assert result.stderr.startswith("error: BATCHSYNC_MOCKS: ")
    assert "perhaps" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["status", "-o", "json"], "json"), (["-omd"], "md"), (["--output=ndjson"], "ndjson"),
        (["--output"], None), (["status"], None), (["-o", "yaml"], None),
    ],
)  # fmt: skip
def test_output_format_is_sniffed_from_invalid_command_line(arguments: list[str], output: str | None) -> None:
    assert sniff_output_format(arguments)["output"] == output


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800)])
def test_durations_are_parsed(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "1m1h", "-5m", "9999999s", "1.5h"])
def test_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def session(tmp_path: Path, **options: Any) -> Session:
    """Return a session with a state folder below `tmp_path`."""
    return Session(options=GlobalOptions(state=tmp_path / "state", **options), command="sync")


def raising(error: BaseException) -> Callable[[], None]:
    """Return a command that raises this error."""

    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted; state saved"),
        (click.Abort(), 130, "interrupted; state saved"),
        (Interrupted(ExitCode.INTERRUPTED), 130, "interrupted; state saved"),
        (Interrupted(ExitCode.TERMINATED), 143, "interrupted; state saved"),
        (LockedError("job guests is being run by pid 7"), 7, "job guests is being run by pid 7 [BS-L001]"),
        (PermissionError(13, "Permission denied", "out.csv"), 3, "out.csv: Permission denied [BS-E001]"),
    ],
)
def test_every_error_has_exit_code_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    assert run_command(raising(error), session(tmp_path), []) == code

    output = capsys.readouterr()
    assert output.err.startswith(f"error: {message}\n")
    assert "Traceback" not in output.err
    if code >= 130:
        assert re.search(r"\nnext: .*`batchsync --state .* resume`", output.err)


def test_unexpected_error_writes_traceback_without_row_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(raising(KeyError("jane@example.com")), session(tmp_path), []) == 1

    (crash,) = (tmp_path / "state").glob("crash-*.txt")
    output, traceback = capsys.readouterr(), crash.read_text(encoding="utf-8")
    assert output.err.splitlines()[0] == f"error: unexpected KeyError; state saved, traceback in {crash} [BS-X001]"
    assert "in raising" in traceback or "in run" in traceback
    assert traceback.endswith("builtins.KeyError\n")
    assert "jane" not in output.err + traceback
    assert crash.stat().st_mode & 0o777 == 0o600


def test_messages_of_own_errors_are_kept_in_traceback(tmp_path: Path) -> None:
    run_command(raising(UnbalancedError("selected 7 records but placed 6")), session(tmp_path), [])

    (crash,) = (tmp_path / "state").glob("crash-*.txt")
    assert "selected 7 records but placed 6" in crash.read_text(encoding="utf-8")


def test_closed_pipe_is_not_an_error() -> None:
    line = f"{sys.executable} -m batchsync --no-color schema | head -1; exit ${{PIPESTATUS[0]}}"
    completed = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)

    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "{\n", "")


def test_full_disk_behind_stdout_is_reported() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        completed = subprocess.run([*BATCHSYNC, "mocks"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (completed.returncode, completed.stderr.count("Usage: batchsync mocks")) == (2, 1)
        line = [*BATCHSYNC, "-o", "json", "snyc"]
        completed = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert completed.returncode == 2
    assert completed.stderr.endswith("error: cannot write to stdout: No space left on device\n")


def test_closed_stdout_is_not_an_error() -> None:
    completed = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m batchsync -o json snyc >&-"], capture_output=True, text=True, check=False
    )

    error = "error: No such command 'snyc'. Did you mean 'sync'? [BS-C002]\nnext: batchsync --help\n"
    assert (completed.returncode, completed.stderr) == (2, error)


def test_unencodable_character_is_escaped() -> None:
    environ = os.environ | {"PYTHONIOENCODING": "latin-1"}
    completed = subprocess.run([*BATCHSYNC, "sync-č"], env=environ, capture_output=True, text=True, check=False)

    error = "error: No such command 'sync-\\u010d'. Did you mean 'sync'? [BS-C002]"
    assert (completed.returncode, completed.stderr.splitlines()[0]) == (2, error)


def run_on_terminal(folder: Path, *arguments: str, **environ: str) -> str:
    """Run batchsync with a terminal as stdout and stderr, and return its output."""
    parent, child = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    with subprocess.Popen(
        [*BATCHSYNC, *arguments], cwd=folder, env=inherited | {"TERM": "xterm"} | environ, stdout=child, stderr=child
    ) as process:
        os.close(child)
        output = b""
        while chunk := _read(parent):
            output += chunk
    os.close(parent)
    assert process.returncode == 2
    return output.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        # The child side of the terminal was closed.
        return b""


def test_terminal_is_coloured_unless_disabled(tmp_path: Path) -> None:
    assert "\x1b[" in run_on_terminal(tmp_path, "snyc")
    assert "\x1b[" not in run_on_terminal(tmp_path, "snyc", NO_COLOR="1")
    assert "\x1b[" not in run_on_terminal(tmp_path, "snyc", TERM="dumb")
    assert "\x1b[" not in run_on_terminal(tmp_path, "snyc", "--no-color")
    assert "\x1b[" not in run_on_terminal(tmp_path, "--no-color", "snyc")
