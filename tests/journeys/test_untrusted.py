"""`validate --untrusted` and `plan --untrusted`: files of strangers without network, environment and state."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from batchsync.cli import untrusted
from batchsync.cli.root import main
from batchsync.util import confinement
from kit.deployment import JOBS, write_sources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRETS = {"SITECORE_CLIENT_KEY": "hunter2-key", "SITECORE_API_TOKEN": "hunter2-token", "SECRET": "hunter2-secret"}
#: The process of `--untrusted` without its limits.
UNLIMITED = (
    "import sys; from batchsync.cli.root import main; from batchsync.cli.session import Session; "
    "main(sys.argv[1:], obj=Session(confined=True))"
)
CONFINED = "from batchsync.util.confinement import confine; confine()\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with sources, of which a row is invalid, and with the state of its last delivery."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    write_sources(folder)
    return folder


def run(tree: Path, *arguments: str, expect: int = 0, program: tuple[str, ...] = ("-m", "batchsync")) -> str:
    """Run batchsync and return all of its output, without the lines of its log."""
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=tree,
        env=os.environ | SECRETS,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + "".join(line + "\n" for line in done.stderr.splitlines() if " INFO " not in line)


def edit(tree: Path, old: str, new: str) -> None:
    text = (tree / "jobs.yaml").read_text(encoding="utf-8")
    assert old in text
    (tree / "jobs.yaml").write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("output", ["text", "json", "ndjson", "md"])
def test_plan_shows_counts_and_places_and_nothing_of_a_row(tree: Path, output: str) -> None:
    shown = run(tree, "plan", "--untrusted", "--limit", "50", "-o", output, "guests")
    if output == "json":
        (job,) = json.loads(shown)["result"]["jobs"]
        assert (job["add"], job["invalid"]) == (29, 1)
        assert job["first"] == {"add": [], "change": [], "remove": []}
        (group,) = job["invalid_groups"]
        assert (group["field"], group["code"], group["first"]) == ("email", "format", [{"key": None, "source_row": 30}])
    elif output in {"text", "md"}:
        assert "email (format): 1 record: row 30" in shown
    assert not [value for value in ("G0", "G1", "guest1@", "no-at", "hunter2") if value in shown]


@pytest.mark.parametrize(
    "change",
    [
        ("version: 1", "version: 1\nthreads: '${SECRET}'"),
        ("path: guests.csv", "path: gests.csv"),
        ("path: guests.csv", "path: ../elsewhere.csv"),
        ("=lower(email)", "=lower(emial)"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "validate"])
def test_output_is_the_same_with_and_without_limits(tree: Path, command: str, change: tuple[str, str]) -> None:
    edit(tree, *change)
    outputs = []
    for program, flags in ((("-m", "batchsync"), ["--untrusted"]), (("-P", "-c", UNLIMITED), [])):
        done = subprocess.run(
            [sys.executable, *program, "-f", "jobs.yaml", "-q", command, *flags],
            cwd=tree,
            env=os.environ | {"BATCHSYNC_MEMORY": "small"} | SECRETS,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        outputs.append((done.returncode, done.stdout, done.stderr))
        assert "hunter2" not in done.stdout + done.stderr
    assert outputs[0] == outputs[1]


def test_values_of_the_environment_are_noted_and_not_read(tree: Path) -> None:
    edit(tree, "path: guests.csv", "path: '${DATA:-.}/guests.csv'")
    edit(tree, "path: vehicles.csv", "path: '${SECRET}/vehicles.csv'")
    shown = run(tree, "plan", "--untrusted")
    assert "guests: + 29 adds" in shown
    assert "vehicles: not planned: the path of its source comes from the environment" in shown
    edit(tree, "mode: upsert", "mode: ${SECRET}")
    shown = run(tree, "validate", "--untrusted")
    assert "values come from the environment: line 13, line 22, job guests" in shown


def test_state_of_the_tree_is_neither_read_nor_written(tree: Path) -> None:
    (tree / ".batchsync").mkdir()
    (tree / ".batchsync" / "journal.db").write_bytes(b"no database")
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    assert "guests: + 29 adds" in run(tree, "plan", "--untrusted")
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before


@pytest.mark.parametrize("option", ["--mocks", "--state=x"])
def test_options_that_need_trust_are_refused(tree: Path, option: str) -> None:
    shown = run(tree, option, "plan", "--untrusted", expect=2)
    assert f"{option.partition('=')[0]} with --untrusted" in shown


def test_vendor_folder_of_the_tree_is_not_read(tree: Path) -> None:
    (tree / "acme").mkdir()
    (tree / "acme" / "vendor.yaml").write_text("name: hunter2\n", encoding="utf-8")
    edit(tree, "vendor: sitecore-cdp", "vendor: ./acme")
    shown = run(tree, "validate", "--untrusted", expect=2)
    assert "a vendor folder of the tree is not read" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("how", ["source", "jobs.yaml", "secret", "bundle"])
def test_no_path_leads_out_of_the_folder_of_the_file(tree: Path, how: str) -> None:
    outside = tree.parent / "outside.csv"
    outside.write_text("id,name,email\n1,hunter2,hunter2\n", encoding="utf-8")
    if how == "source":
        (tree / "guests.csv").unlink()
        (tree / "guests.csv").symlink_to(outside)
    elif how == "jobs.yaml":
        (tree / "jobs.yaml").unlink()
        (tree / "jobs.yaml").symlink_to(outside)
    elif how == "secret":
        edit(tree, "${SITECORE_API_TOKEN}", f"${{file:{outside}}}")
    else:
        edit(tree, "vendor: sitecore-cdp", f"vendor: sitecore-cdp\n    ca_bundle: {outside}")
    shown = run(tree, "validate", "--untrusted", expect=2)
    assert "the folders that paths may lead to" in shown
    assert "hunter2" not in shown


def test_roots_of_the_operator_hold_as_well(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHSYNC_ROOTS", str(tree / "data"))
    assert "is outside of the folders" in run(tree, "validate", "--untrusted", expect=2)


def confined(program: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program after its process was limited."""
    return subprocess.run(
        [sys.executable, "-c", CONFINED + program],
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    "call",
    [
        "socket.socket()",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_UNIX)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socketpair()",
        "socket.create_connection(('127.0.0.1', 9))",
        "checked(libc.syscall(425, 1, ctypes.create_string_buffer(200)))",
        "checked(libc.syscall(438, 0, 0, 0))",
        "checked(libc.syscall(0x40000029, 2, 1, 0))",
    ],
)
def test_sockets_are_refused_by_the_kernel(call: str) -> None:
    lines = (
        "import ctypes, os, socket, subprocess, sys, threading\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def checked(result):\n"
        "    if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))\n"
        "def attempt():\n"
        f"    try:\n        {call}\n    except PermissionError:\n        print('refused')\n"
    )
    lines += "thread = threading.Thread(target=attempt); thread.start(); thread.join(); sys.stdout.flush()\n"
    lines += "sys.exit(os.waitpid(pid, 0)[1]) if (pid := os.fork()) else attempt()\n"
    done = confined(lines)
    assert done.stdout == "refused\nrefused\n", done.stderr


def test_socket_that_was_inherited_is_of_no_use() -> None:
    lines = "import os, socket, sys\n"
    lines += "s = socket.socket(fileno=int(os.environ['DESCRIPTOR']))\ns.sendall(b'x')\n"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.set_inheritable(theirs.fileno(), True)  # noqa: FBT003 - the argument has no name
        done = subprocess.run(
            [sys.executable, "-c", CONFINED + lines],
            env=os.environ | {"DESCRIPTOR": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert "PermissionError" in done.stderr


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("while True: pass", "SIGXCPU"),
        ("open('big', 'wb').truncate(confinement.FILE_BYTES + 1)", "File too large"),
        ("bytearray(confinement.MEMORY_BYTES)", "MemoryError"),
        ("import os\nfor _ in range(300): os.open('.', os.O_RDONLY)", "Too many open files"),
    ],
)
def test_process_is_ended_by_its_limits(tmp_path: Path, program: str, ended: str) -> None:
    lines = "from batchsync.util import confinement\nconfinement.PROCESSOR_SECONDS = 1\nconfinement.confine()\n"
    done = subprocess.run(
        [sys.executable, "-c", lines + program], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended in done.stderr or done.returncode == -getattr(signal, ended)


def test_exceeded_limit_is_reported_in_words(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(untrusted, "WHOLE_SECONDS", 0.01)
    monkeypatch.chdir(tree)
    with pytest.raises(SystemExit) as ended:
        main(["validate", "--untrusted"])
    assert ended.value.code == 3
    assert "jobs.yaml or its sources need more than the limits" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["system", "machine"])
def test_machine_that_cannot_limit_a_process_is_named(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    monkeypatch.setattr(*(sys, "platform", "darwin") if missing == "system" else (platform, "machine", lambda: "s390x"))
    monkeypatch.chdir(tree)
    with pytest.raises(SystemExit) as ended:
        main(["validate", "--untrusted"])
    assert ended.value.code == 3
    assert "--untrusted needs Linux on x86-64 or arm64" in capsys.readouterr().err


def test_machines_have_a_number_for_each_refused_call() -> None:
    assert {len(set(calls)) for _, calls in confinement._MACHINES.values()} == {20}
