"""The command line before it does anything: help, options, errors, endings. Nothing here needs a vendor."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from lading.cli import main
from lading.cli.command import Command
from lading.cli.durations import Duration
from lading.cli.ending import ended
from lading.cli.options import GlobalOptions, peeked
from lading.cli.root import COMMANDS
from lading.cli.session import Session
from lading.core.accounting import UnbalancedError
from lading.errors import ExitCode, LockedError
from lading.interrupts import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

LADING = [sys.executable, "-m", "lading"]
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
def lading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("LADING_"):
            monkeypatch.delenv(name)
    return lambda *arguments, **more: CliRunner().invoke(main, list(arguments), **more)


def commands() -> list[list[str]]:
    """List every command with its words."""
    return [["mocks", "serve"] if name == "mocks" else [name] for name in COMMANDS]


def found(words: list[str]) -> click.Command:
    """Return the command of these words."""
    here: click.Command = main
    for word in words:
        assert isinstance(here, click.Group)
        inner = here.get_command(click.Context(here), word)
        assert inner is not None
        here = inner
    return here


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_says_what_it_does_and_shows_an_example(words: list[str], lading: Callable[..., Result]) -> None:
    command = found(words)
    said = lading(*words, "--help")

    assert said.exit_code == 0
    assert isinstance(command, Command)
    assert all(line.startswith(f"lading {' '.join(words)}") for line in command.example.splitlines())
    assert command.example.splitlines()[0] in said.stdout
    assert (command.help or "").splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_command_says_of_itself(name: str) -> None:
    assert COMMANDS[name][1] == (found([name]).help or "").splitlines()[0]


def test_help_lists_every_exit_code_with_its_meaning(lading: Callable[..., Result]) -> None:
    said = " ".join(lading("--help").stdout.split())

    assert all(f"{int(code)} {code.meaning}" in said for code in ExitCode)


def test_help_waits_for_no_library_that_it_does_not_use() -> None:
    code = (
        "import sys\nfrom lading.cli import main\n"
        f"for words in {[[], *commands()]!r}:\n"
        "    try: main([*words, '--help'])\n    except SystemExit: pass\n"
        "heavy = {'polars', 'requests', 'pydantic', 'sqlite_utils', 'ruamel', 'pyarrow', 'numpy'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"


def test_status_waits_for_no_library_that_it_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(BROKEN.replace("soruce", "source"), encoding="utf-8")
    code = (
        "import sys\nfrom lading.cli import main\n"
        "try: main(['status'])\nexcept SystemExit as end: print(end.code)\n"
        "print(sorted({'polars', 'requests', 'sqlite_utils', 'pyarrow', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["guests: never ran", "0", "[]"]


def test_help_is_there_at_once() -> None:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([*LADING, "--help"], capture_output=True, check=True)
        took.append(time.perf_counter() - began)

    # The budget is 150 ms on an idle machine; the rest is room for one that is busy with other tests.
    assert min(took) < 0.4


def test_the_version_is_that_of_the_package(lading: Callable[..., Result]) -> None:
    assert re.fullmatch(r"lading \d+\.\d+\.\d+\S*\n", lading("--version").stdout)


def test_lading_alone_shows_its_help_on_stderr(lading: Callable[..., Result]) -> None:
    said = lading()

    assert (said.exit_code, said.stdout) == (2, "")
    assert "Usage: lading" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["snyc"], "No such command 'snyc'. Did you mean 'sync'?", "lading --help"),
        (["sync", "--nope"], "No such option '--nope'", "lading sync --help"),
        (["approve"], "Missing argument 'JOB'", "lading approve --help"),
        (["sync", "--timeout", "soon"], "'soon' is no duration; write one as in 45s, 30m or 1h30m", "lading sync"),
        (["rejects", "--kind", "lost"], "'lost' is not one of", "lading rejects --help"),
        (["-o", "yaml", "status"], "'yaml' is not one of", "lading --help"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong_and_where_to_look(
    lading: Callable[..., Result], arguments: list[str], message: str, hint: str
) -> None:
    said = lading(*arguments)

    assert (said.exit_code, said.stdout) == (2, "")
    first, second = said.stderr.splitlines()[:2]
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
        ["-o", "json", "settle", "guests-1"],
        ["-o", "json", "approve", "guests"],
        ["-o", "json", "cancel", "guests"],
        ["-o", "json", "unlock", "guests"],
        ["-o", "json", "doctor"],
        ["-o", "json", "mocks", "serve", "nobody"],
    ],
)
def test_stdout_is_one_json_document_also_when_it_fails(lading: Callable[..., Result], arguments: list[str]) -> None:
    said = lading(*arguments)
    document = json.loads(said.stdout)

    assert set(document) == {"schema_version", "command", "ok", "exit_code", "result", "error"}
    assert document["ok"] is False
    assert document["exit_code"] == said.exit_code > 0
    assert document["command"] == " ".join(word for word in arguments if word in {*COMMANDS, "serve"})


def test_ndjson_ends_with_the_envelope(lading: Callable[..., Result]) -> None:
    said = lading("validate", "-o", "ndjson")
    last = json.loads(said.stdout.splitlines()[-1])

    assert (last["event"], last["ok"], last["command"]) == ("finished", False, "validate")


def test_a_failure_in_markdown_is_markdown(lading: Callable[..., Result]) -> None:
    assert lading("validate", "-o", "md").stdout.startswith("### lading: it did not work\n")


def test_every_problem_of_a_jobs_file_is_shown_with_its_line_and_a_caret(
    lading: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "jobs.yaml").write_text(BROKEN, encoding="utf-8")
    said = lading("validate")

    assert (said.exit_code, said.stdout) == (2, "")
    assert "jobs.yaml:9:5: " in said.stderr
    assert "  9 |     soruce: {path: guests.csv, key: id}\n    |     ^\n" in said.stderr
    assert "source" in said.stderr
    assert said.stderr.splitlines()[-1] == "next: correct it, then run `lading validate`"


def test_every_problem_is_put_beside_its_line_in_a_pull_request(lading: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(BROKEN, encoding="utf-8")
    said = lading("validate", env={"GITHUB_ACTIONS": "true"})

    assert "\n::error file=jobs.yaml,line=9,col=5::" in said.stderr


def test_a_variable_that_makes_no_sense_is_named(
    lading: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LADING_MOCKS", "perhaps")
    said = lading("status")

    assert said.exit_code == 2
    assert said.stderr.startswith("error: LADING_MOCKS: ")
    assert "perhaps" not in said.stderr


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["status", "-o", "json"], "json"), (["-omd"], "md"), (["--output=ndjson"], "ndjson"),
        (["--output"], None), (["status"], None), (["-o", "yaml"], None),
    ],
)  # fmt: skip
def test_the_output_form_is_found_in_a_line_that_cannot_be_parsed(arguments: list[str], output: str | None) -> None:
    assert peeked(arguments)["output"] == output


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800)])
def test_durations_are_written_with_their_letters(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "1m1h", "-5m", "9999999s", "1.5h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def session(tmp_path: Path, **options: Any) -> Session:
    """Return a session with a state folder of its own."""
    return Session(options=GlobalOptions(state=tmp_path / "state", **options), command="sync")


def raising(error: BaseException) -> Callable[[], None]:
    """Return a command that ends so."""

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
        (LockedError("job guests is being run by pid 7"), 7, "job guests is being run by pid 7"),
        (PermissionError(13, "Permission denied", "out.csv"), 3, "out.csv: Permission denied"),
    ],
)
def test_every_ending_has_its_code_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    assert ended(raising(error), session(tmp_path), []) == code

    said = capsys.readouterr()
    assert said.err.startswith(f"error: {message}\n")
    assert "Traceback" not in said.err
    if code >= 130:
        assert "; `lading --state " in said.err


def test_an_unexpected_error_leaves_its_traceback_in_a_file_without_row_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(raising(KeyError("jane@example.com")), session(tmp_path), []) == 1

    (crash,) = (tmp_path / "state").glob("crash-*.txt")
    said, kept = capsys.readouterr(), crash.read_text(encoding="utf-8")
    assert said.err.splitlines()[0] == f"error: unexpected KeyError; state saved, traceback in {crash}"
    assert "in raising" in kept or "in run" in kept
    assert kept.endswith("builtins.KeyError\n")
    assert "jane" not in said.err + kept
    assert crash.stat().st_mode & 0o777 == 0o600


def test_the_words_of_our_own_defects_are_kept(tmp_path: Path) -> None:
    ended(raising(UnbalancedError("selected 7 records but placed 6")), session(tmp_path), [])

    (crash,) = (tmp_path / "state").glob("crash-*.txt")
    assert "selected 7 records but placed 6" in crash.read_text(encoding="utf-8")


def test_a_reader_that_goes_away_is_no_error() -> None:
    line = f"{sys.executable} -m lading --no-color schema | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_a_full_disk_behind_stdout_is_said() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        done = subprocess.run([*LADING, "mocks"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr.count("Usage: lading mocks")) == (2, 1)
        line = [*LADING, "-o", "json", "snyc"]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.endswith("error: stdout could not be written: No space left on device\n")


def test_a_closed_stdout_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m lading -o json snyc >&-"], capture_output=True, text=True, check=False
    )

    said = "error: No such command 'snyc'. Did you mean 'sync'?\nnext: lading --help\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_a_channel_that_knows_no_such_letter_shows_its_number() -> None:
    environ = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([*LADING, "sync-č"], env=environ, capture_output=True, text=True, check=False)

    said = "error: No such command 'sync-\\u010d'. Did you mean 'sync'?"
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, said)


def on_a_terminal(folder: Path, *arguments: str, **environ: str) -> str:
    """Run lading with a terminal as stdout and stderr, and return what it wrote."""
    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    with subprocess.Popen(
        [*LADING, *arguments], cwd=folder, env=plain | {"TERM": "xterm"} | environ, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        written = b""
        while chunk := _read(ours):
            written += chunk
    os.close(ours)
    assert process.returncode == 2
    return written.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        # The other side of a terminal was closed.
        return b""


def test_a_terminal_gets_colour_unless_somebody_said_no(tmp_path: Path) -> None:
    assert "\x1b[" in on_a_terminal(tmp_path, "snyc")
    assert "\x1b[" not in on_a_terminal(tmp_path, "snyc", NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(tmp_path, "snyc", TERM="dumb")
    assert "\x1b[" not in on_a_terminal(tmp_path, "snyc", "--no-color")
    assert "\x1b[" not in on_a_terminal(tmp_path, "--no-color", "snyc")
