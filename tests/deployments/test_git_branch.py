"""A branch is read by git: the newest commit, its files, and nothing that the repository could run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from batchsync.deployments import git_branch
from batchsync.deployments.git_branch import GitBranch
from batchsync.errors import UnavailableError, UsageError
from kit.git_repository import Repository, served


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository.made(tmp_path / "jobs")
    made.commit(jobs_yaml="version: 1\n", sub__deep_csv="a\n1\n")
    return made


def export(branch: GitBranch, folder: Path) -> tuple[str, Path]:
    """Export into a new folder."""
    folder.mkdir()
    return branch.export(folder)


@pytest.mark.parametrize(
    ("text", "protocol", "branch"),
    [
        ("https://git.example.com/team/jobs.git#main", "https", "main"),
        ("https://robot@git.example.com/team/jobs.git#release/1.2", "https", "release/1.2"),
        ("ssh://git@git.example.com:2222/jobs.git#main", "ssh", "main"),
        ("git@git.example.com:team/jobs.git#main", "ssh", "main"),
        ("file:///srv/git/jobs.git#main", "file", "main"),
        ("http://localhost:8080/jobs.git#main", "http", "main"),
        ("/srv/git/jobs.git", "file", ""),
    ],
)
def test_location_is_understood(text: str, protocol: str, branch: str) -> None:
    found = GitBranch.parse(text)
    assert (found.protocol, found.branch, found.title) == (protocol, branch, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#main",
        "-oProxyCommand=touch#main",
        "--upload-pack=touch#main",
        "ext::sh -c touch#main",
        "ext::touch#main",
        "http://git.example.com/jobs.git#main",
        "git://git.example.com/jobs.git#main",
        "ftp://git.example.com/jobs.git#main",
        "https://git.example.com/a b#main",
        "https://[git.example.com/jobs.git#main",
        "https://git.example.com/jobs.git#-main",
        "https://git.example.com/jobs.git#a..b",
        "https://git.example.com/jobs.git#main.lock",
        "https://git.example.com/jobs.git#main:refs/heads/x",
        "https://git.example.com/\njobs.git#main",
    ],
)
def test_other_locations_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        GitBranch.parse(text)


def test_password_in_url_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as refused:
        GitBranch.parse("https://robot:hunter2secret@git.example.com/jobs.git#main")
    assert "hunter2secret" not in refused.value.message + refused.value.hint


def test_files_of_newest_commit_are_written_without_repository(repository: Repository, tmp_path: Path) -> None:
    branch = GitBranch.parse(f"{repository.folder}#main")
    assert branch.newest() == repository.head()
    commit, tree = export(branch, tmp_path / "work")
    assert commit == repository.head()
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*")) == ["jobs.yaml", "sub", "sub/deep.csv"]


def test_branch_is_fetched_over_http_after_force_push(repository: Repository, tmp_path: Path) -> None:
    with served(tmp_path) as url:
        branch = GitBranch.parse(f"{url}/jobs#main")
        first = branch.newest()
        repository.commit(jobs_yaml="version: 2\n")
        repository.run("reset", "--quiet", "--hard", first)
        forced = repository.commit_all("--amend", "--message=Rewritten")
        assert branch.newest() == forced != first
        assert export(branch, tmp_path / "work")[0] == forced


def test_default_branch_is_used_without_name(repository: Repository) -> None:
    assert GitBranch.parse(str(repository.folder)).newest() == repository.head()


def test_missing_branch_and_repository_are_named(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="has no branch absent"):
        GitBranch.parse(f"{repository.folder}#absent").newest()
    with pytest.raises(UnavailableError, match=r"missing.*does not appear to be a git repository"):
        GitBranch.parse(f"{tmp_path / 'missing'}#main").newest()


def test_nothing_of_repository_or_environment_is_run(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {mark}\n", encoding="utf-8")
        (hooks / name).chmod(0o700)
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\n\thooksPath = {hooks}\n\tfsmonitor = touch {mark}\n", encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    (repository.folder / ".gitmodules").write_text(
        '[submodule "evil"]\n\tpath = evil\n\turl = ext::touch\n', encoding="utf-8"
    )
    repository.run("update-index", "--add", "--cacheinfo", f"160000,{repository.head()},evil")
    repository.commit_all()
    commit, tree = export(GitBranch.parse(f"{repository.folder}#main"), tmp_path / "work")

    assert commit == repository.head()
    assert (tree / "jobs.yaml").is_file()
    assert [*(tree / "evil").glob("*")] == []
    assert not mark.exists()


def test_links_are_kept_and_file_modes_as_committed(repository: Repository, tmp_path: Path) -> None:
    (repository.folder / "link.csv").symlink_to("sub/deep.csv")
    (repository.folder / "run.sh").write_text("true\n", encoding="utf-8")
    (repository.folder / "run.sh").chmod(0o755)
    repository.commit_all()
    _, tree = export(GitBranch.parse(f"{repository.folder}#main"), tmp_path / "work")
    assert (tree / "link.csv").readlink() == Path("sub/deep.csv")
    assert os.access(tree / "run.sh", os.X_OK)


def test_too_large_revision_is_refused_before_it_is_written(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_branch, "FILES_MAX", 1)
    with pytest.raises(UnavailableError, match="has 2 files, 0 MiB: at most 1 files"):
        export(GitBranch.parse(f"{repository.folder}#main"), tmp_path / "work")
    assert not (tmp_path / "work" / "tree").exists()


def test_git_that_hangs_is_ended(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(git_branch, "_ASK_SECONDS", 0.05)
    with pytest.raises(UnavailableError, match="git took more than 0 s"):
        GitBranch.parse(f"{repository.folder}#main").newest()


def test_missing_git_is_reported(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="the program git is not installed"):
        GitBranch.parse(f"{repository.folder}#main").newest()
    shutil.rmtree(repository.folder)
