"""Paths of jobs.yaml: files of the kernel are refused, and with roots everything outside of them, links resolved."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from batchsync.cli.root import main
from batchsync.core.job import Results, Source
from batchsync.data.row import file_state, open_source
from batchsync.errors import SourceError, UnavailableError
from batchsync.sinks import Sinks
from batchsync.util.path_fence import PathFence, fixed_part

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = """\
version: 1
connections:
  crm:
    vendor: VENDOR
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${K}", api_token: SECRET}CA
  cars:
    vendor: motorweb-bdp
    credentials: {client_id: "${K}", client_secret: "${T}"}
jobs:
  guests:
    source: {path: SOURCE, format: csv, key: id, join: [{path: JOINED, on: id}]}
    target: {connection: crm, schema: guest}
    mode: upsert
    record: {guestType: customer, email: =email, identifiers: [{provider: CRM, id: =id}]}
  checks:
    source: {path: in/plates.csv, key: id}
    target: {connection: cars, service: Vehicle ID}
    mode: lookup
    record: {plate: =plate, state: =state}
    results: {path: RESULTS}
"""
GOOD = {
    "VENDOR": "sitecore-cdp",
    "SECRET": '"${T}"',
    "CA": "",
    "SOURCE": "in/guests.csv",
    "JOINED": "in/cities.csv",
    "RESULTS": "out/checks.csv",
}
#: Every place of a path, with the text in which PATH is the path.
PLACES = {
    "SOURCE": "PATH",
    "JOINED": "PATH",
    "RESULTS": "PATH, format: csv",
    "CA": "\n    ca_bundle: PATH",
    "SECRET": '"${file:PATH}"',
    "VENDOR": "PATH",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with sources, and beside it a folder with the same files that is no part of it."""
    for folder in (tmp_path / "tree" / "in", tmp_path / "tree" / "out", tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
        (folder / "guests.csv").write_text("id,email\n1,private@example.com\n", encoding="utf-8")
        (folder / "cities.csv").write_text("id,city\n1,Auckland\n", encoding="utf-8")
        (folder / "plates.csv").write_text("id,plate,state\n1,ABC,NSW\n", encoding="utf-8")
        (folder / "vendor.yaml").write_text("name: x\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "tree")
    monkeypatch.setenv("K", "key")
    return tmp_path / "tree"


@pytest.fixture
def run(tree: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Return a function that writes jobs.yaml and runs a command; it returns the exit code and the output."""

    def run_command(command: str, **changes: str) -> tuple[int, str]:
        text = JOBS
        for mark, written in {**GOOD, **changes}.items():
            text = text.replace(mark, written)
        (tree / "jobs.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main([command])
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, captured.out + captured.err

    return run_command


def written(place: str, path: str) -> dict[str, str]:
    return {place: PLACES[place].replace("PATH", path)}


def test_paths_below_the_roots_are_used(
    tree: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHSYNC_ROOTS", f"/nowhere{os.pathsep}{tree}")
    assert run("validate")[0] == 0
    code, shown = run("plan", SOURCE="in/gu*.csv")
    assert (code, "guests: + 1 add" in shown) == (0, True)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("path", ["/proc/self/environ", "/sys/kernel/uevent_seqnum", "/dev/zero", "/dev/./fd/0"])
def test_files_of_the_kernel_are_refused_in_every_place(
    run: Callable[..., tuple[int, str]], place: str, path: str
) -> None:
    code, shown = run("validate", **written(place, path))
    assert code == 2
    assert "jobs.yaml:" in shown
    assert "whose files are not on a disk" in shown


@pytest.mark.parametrize("place", [place for place in PLACES if place not in {"SOURCE", "JOINED"}])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_pipes_and_sockets_are_refused_in_every_place(
    tree: Path, run: Callable[..., tuple[int, str]], place: str, kind: str
) -> None:
    name = "vendor.yaml" if place == "VENDOR" else "special.csv"
    (tree / name).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        os.mkfifo(name) if kind == "pipe" else server.bind(name)
        code, shown = run("validate", **written(place, "./" if place == "VENDOR" else name))
    assert (code, "is no regular file" in shown) == (2, True)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["absolute", "dots", "link", "folder link", "link to a link"])
def test_paths_out_of_the_roots_are_refused_in_every_place(
    tree: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, place: str, how: str
) -> None:
    monkeypatch.setenv("BATCHSYNC_ROOTS", str(tree))
    file = "" if place == "VENDOR" else "guests.csv"
    outside = tree.parent / "elsewhere"
    if how == "absolute":
        path = f"{outside}/{file}"
    elif how == "dots":
        path = f"./in/../../elsewhere/{file}"
    elif how == "link":
        (tree / "linked.csv").symlink_to(outside / file)
        path = "./linked.csv"
    else:
        (tree / "linked").symlink_to(outside)
        (tree / "again").symlink_to("linked")
        path = f"./{'again' if how == 'link to a link' else 'linked'}/{file}"
    code, shown = run("validate", **written(place, path))
    assert code == 2
    assert "the folders that paths may lead to" in shown
    assert "private" not in shown


@pytest.mark.parametrize("exists", [True, False])
def test_refusal_does_not_tell_whether_a_file_exists(
    tree: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, *, exists: bool
) -> None:
    monkeypatch.setenv("BATCHSYNC_ROOTS", str(tree))
    outside = tree.parent / "elsewhere"
    if not exists:
        (outside / "guests.csv").unlink()
    (tree / "linked").symlink_to(outside)
    for path in (f"{outside}/guests.csv", "linked/guests.csv", "linked/*.csv", "./*/gu*.csv", "./**/guests.csv"):
        code, shown = run("plan", SOURCE=path)
        assert code in {2, 3}
        assert "the folders that paths may lead to" in shown, path


@pytest.mark.parametrize("pattern", ["in/*.csv", "i*/gu*.csv", "in/**", "in/*/../../../elsewhere/*.csv"])
def test_link_or_dots_within_the_matches_of_a_glob_are_refused(
    tree: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setenv("BATCHSYNC_ROOTS", str(tree))
    (tree / "in" / "sub").mkdir()
    (tree / "in" / "gust.csv").symlink_to(tree.parent / "elsewhere" / "guests.csv")
    code, shown = run("plan", SOURCE=pattern)
    assert (code, "the folders that paths may lead to" in shown) == (3, True)


def test_hint_names_no_file_outside_of_the_roots(
    tree: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHSYNC_ROOTS", str(tree / "in"))
    assert "guests.csv" in run("plan", SOURCE="in/gests.csv", RESULTS="in/x.csv")[1]
    _, shown = run("plan", SOURCE="in/../../elsewhere/gests.csv", RESULTS="in/x.csv")
    assert "guests.csv" not in shown.replace("gests.csv", "")


@pytest.mark.parametrize("roots", ["relative", "", f"{os.pathsep}/a", f"/a{os.pathsep}"])
def test_roots_that_are_no_absolute_folders_are_refused(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, roots: str
) -> None:
    monkeypatch.setenv("BATCHSYNC_ROOTS", roots)
    code, shown = run("validate")
    assert (code, "BATCHSYNC_ROOTS" in shown) == (2, True)


@pytest.mark.parametrize("name", [".batchsync", ".batchsync/journal.db", ".batchsync/mocks"])
@pytest.mark.parametrize("command", ["plan", "status", "sync"])
def test_state_folder_of_links_is_refused(
    tree: Path, run: Callable[..., tuple[int, str]], name: str, command: str
) -> None:
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).symlink_to(tree.parent / "elsewhere")
    code, shown = run(command)
    assert (code, "is a link; state is neither read nor written through it" in shown) == (2, True)
    assert sorted(item.name for item in (tree.parent / "elsewhere").iterdir()) == [
        "cities.csv",
        "guests.csv",
        "plates.csv",
        "vendor.yaml",
    ]


def test_named_state_folder_may_be_a_link(
    tree: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "state").symlink_to(tree.parent / "elsewhere")
    monkeypatch.setenv("BATCHSYNC_STATE", str(tree / "state"))
    assert run("plan")[0] == 0


@pytest.mark.parametrize("replacement", ["link out", "link within", "pipe", "file", "nothing"])
def test_file_that_is_replaced_between_check_and_open_is_refused(
    tree: Path, monkeypatch: pytest.MonkeyPatch, replacement: str
) -> None:
    path = tree / "in" / "guests.csv"
    check = file_state.state_of

    def check_and_replace(checked: Path, fence: PathFence | None = None) -> file_state.FileState:
        state = check(checked, fence)
        path.rename(path.with_suffix(".old"))
        if replacement == "pipe":
            os.mkfifo(path)
        elif replacement == "file":
            path.write_text("id,email\n2,b\n", encoding="utf-8")
        elif replacement != "nothing":
            target = tree.parent / "elsewhere" if replacement == "link out" else tree / "out"
            path.symlink_to(target / "guests.csv")
        return state

    monkeypatch.setattr(open_source, "state_of", check_and_replace)
    source = Source(path="in/guests.csv", folder=str(tree), key=("id",), roots=(str(tree),))
    with pytest.raises(SourceError, match=r"was replaced while it was opened|does not exist"):
        open_source.open_source(source)


def test_file_that_moves_out_of_the_roots_between_check_and_open_is_refused(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = file_state.state_of

    def check_and_move(checked: Path, fence: PathFence | None = None) -> file_state.FileState:
        state = check(checked, fence)
        (tree / "in").rename(tree.parent / "moved")
        (tree / "in").symlink_to(tree.parent / "moved")
        return state

    monkeypatch.setattr(open_source, "state_of", check_and_move)
    source = Source(path="in/guests.csv", folder=str(tree), key=("id",), roots=(str(tree),))
    with pytest.raises(SourceError, match="was replaced while it was opened"):
        open_source.open_source(source)


@pytest.mark.parametrize("call", ["deliver", "find_absent", "remove", "mark"])
@pytest.mark.parametrize("format_", ["csv", "sqlite"])
def test_results_are_not_written_through_a_link_that_came_later(tree: Path, call: str, format_: str) -> None:
    results = Results(path=str(tree / "out" / "x"), format=format_, table="t", roots=(str(tree),))
    (tree / "out" / "x").symlink_to(tree.parent / "elsewhere" / "guests.csv")
    answers = tree / "a.parquet"

    pl.DataFrame({"id": ["1"]}).write_parquet(answers)
    calls: dict[str, Callable[[], object]] = {
        "deliver": lambda: Sinks().deliver(answers, results, ["id"]),
        "find_absent": lambda: Sinks().find_absent(results, answers, tree / "b.parquet"),
        "remove": lambda: Sinks().remove(results, answers),
        "mark": lambda: Sinks().mark(results, answers, datetime(2026, 1, 1, tzinfo=UTC)),
    }
    with pytest.raises(UnavailableError, match="leads through a link out of"):
        calls[call]()


@pytest.mark.parametrize(
    ("folder", "roots", "expected"),
    [("/a/b", (), ("/a/b",)), ("/a/b", ("/a",), ("/a/b",)), ("/a", ("/a/b", "/c"), ("/a/b",)), ("/a", ("/c",), ("",))],
)
def test_fence_within_a_folder_allows_what_both_allow(
    folder: str, roots: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    fence = PathFence(roots).within(folder)
    assert fence.roots == expected
    assert bool(fence.objection("/a/b/x")) == (expected == ("",))


@pytest.mark.parametrize(
    ("path", "expected"), [("a/b.csv", "a/b.csv"), ("a/*/b", "a"), ("*.csv", "."), ("/a/b[1]/c", "/a"), ("/*", "/")]
)
def test_fixed_part_of_a_path_ends_before_its_first_pattern(path: str, expected: str) -> None:
    assert fixed_part(path) == expected


def test_folder_in_memory_is_no_folder_of_the_kernel() -> None:
    assert not PathFence().objection(Path("/dev", "shm", "x.csv"))
    assert PathFence().objection(Path("/dev", "shmx"))
    assert PathFence().objection("a\0b") == "is no path"
