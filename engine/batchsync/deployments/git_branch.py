"""A branch of a Git repository, read by the program `git`.

Each revision is fetched with depth 1 into an empty repository, which is deleted after its files were written: nothing
accumulates, a force-push is nothing special, and a process that is killed leaves nothing that the next one relies on.
Credentials come from where git finds them: credential helpers, `~/.netrc`, SSH keys and agents.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchsync.deployments.origin import BYTES_MAX, FILES_MAX, TOO_LARGE
from batchsync.errors import UnavailableError, UsageError
from batchsync.util.programs import run_program

if TYPE_CHECKING:
    from batchsync.util.programs import Completed

#: Options of every call: nothing of the repository is run, nothing is asked, damaged objects are refused.
_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "credential.interactive=false",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "transfer.credentialsInUrl=die",
)
#: Variables that would let git use another repository or configuration than its arguments name.
_OWN_VARIABLES = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE",
    "GIT_CEILING_DIRECTORIES", "GIT_TRACE", "GIT_CURL_VERBOSE",
)  # fmt: skip
_SCHEMES = ("https", "ssh", "file")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_SCP = re.compile(r"(?!-)[\w.@-]+:(?!:)")
#: Parts that git does not allow in the name of a branch, and a leading hyphen, which would be an option.
_BAD_BRANCH = re.compile(r"^[-/.]|\.\.|[\x00-\x20\x7f~^:?*\[\\]|@\{|//|/\.|[/.]$|\.lock(/|$)")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_EXAMPLE = "write --git https://git.example.com/team/jobs.git#main"
#: Together less than the time after which a loop that does nothing counts as hanging (`core/loop_health.py`).
_ASK_SECONDS, _FETCH_SECONDS, _LOCAL_SECONDS = 20.0, 80.0, 20.0
#: Name of the fetched branch in the temporary repository.
_FETCHED = "refs/batchsync/fetched"
_MESSAGE_MAX = 300


@dataclass(frozen=True, slots=True)
class GitBranch:
    """A branch of a repository; the origin of jobs that `serve --git` follows.

    Attributes:
        url: Its URL, or the absolute path of a repository on this machine.
        branch: Name of the branch; empty for that which the repository names as its default.
        protocol: The only protocol that git may use.
    """

    url: str
    branch: str
    protocol: str

    @classmethod
    def parse(cls, text: str) -> GitBranch:
        """Return the branch that `URL#branch` names.

        Args:
            text: An URL (https, ssh, file), `user@host:path`, or the path of a repository; `#` and the branch follow.

        Raises:
            UsageError: If it is none of these, contains a password, or would not be encrypted.
        """
        url, _, branch = text.partition("#")
        if not url or not url.isprintable() or url.startswith("-") or " " in url:
            raise UsageError("--git names no repository", hint=_EXAMPLE)
        if branch and _BAD_BRANCH.search(branch):
            raise UsageError(f'--git: "{branch}" is no name of a branch', hint=_EXAMPLE)
        if (scheme := _URL.match(url)) is not None:
            return cls(url, branch, _checked_scheme(url, scheme[1].lower()))
        if _SCP.match(url) and not Path(url).exists():
            return cls(url, branch, "ssh")
        if "::" in url:
            raise UsageError("--git: remote helpers of git are not used", hint=_EXAMPLE)
        return cls(str(Path(url).absolute()), branch, "file")

    @property
    def title(self) -> str:
        """The branch and its repository."""
        return f"{self.url}#{self.branch}" if self.branch else self.url

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}" if self.branch else "HEAD"

    def newest(self) -> str:
        """Return the commit of the branch.

        Raises:
            UnavailableError: If the repository cannot be asked, or has no such branch.
        """
        out = self._git("ls-remote", "--", self.url, self._ref, seconds=_ASK_SECONDS)
        for line in out.decode(errors="replace").splitlines():
            commit, _, ref = line.partition("\t")
            if ref == self._ref and _COMMIT.fullmatch(commit):
                return commit
        missing = f"has no branch {self.branch}" if self.branch else "has no default branch"
        raise UnavailableError(f"{self.url} {missing}", hint=f"check the name; git ls-remote {self.url} lists branches")

    def export(self, work: Path) -> tuple[str, Path]:
        """Fetch the branch and write its files below a folder; see `Origin.export`.

        Args:
            work: Existing, empty folder.

        Returns:
            The commit, and the folder with its files.

        Raises:
            UnavailableError: If it cannot be fetched, or is too large.
        """
        repository, tree = work / "repository.git", work / "tree"
        self._git("init", "--quiet", "--bare", "--template=", "--", str(repository))
        own = (f"--git-dir={repository}",)
        options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        self._git(*own, "fetch", *options, "--", self.url, f"+{self._ref}:{_FETCHED}", seconds=_FETCH_SECONDS)
        commit = self._git(*own, "rev-parse", "--verify", f"{_FETCHED}^{{commit}}").decode().strip()
        self._check_size(self._git(*own, "ls-tree", "-r", "-l", "-z", "--full-tree", commit))
        tree.mkdir(mode=0o700)
        self._git(*own, "read-tree", commit)
        self._git(*own, "-c", "core.bare=false", f"--work-tree={tree}", "checkout-index", "--all", "--quiet")
        return commit, tree

    def _check_size(self, listing: bytes) -> None:
        """Refuse a revision with too many or too large files, before they are written.

        Raises:
            UnavailableError: If it is too large.
        """
        sizes = [entry.split(b"\t")[0].split()[-1] for entry in listing.split(b"\0") if b"\t" in entry]
        total = sum(int(size) for size in sizes if size.isdigit())
        if len(sizes) > FILES_MAX or total > BYTES_MAX:
            limits = f"at most {FILES_MAX:,} files and {BYTES_MAX >> 20} MiB are followed"
            raise UnavailableError(
                f"{self.title} has {len(sizes):,} files, {total >> 20} MiB: {limits}", hint=TOO_LARGE
            )

    def _git(self, *arguments: str, seconds: float = _LOCAL_SECONDS) -> bytes:
        """Run git and return its output.

        Raises:
            UnavailableError: If git is missing, fails, or takes too long; contains its last message.
        """
        program = shutil.which("git")
        if program is None:
            raise UnavailableError("the program git is not installed", hint="install it: apt-get install git")
        options = [word for option in _OPTIONS for word in ("-c", option)]
        done = run_program(
            [program, *options, *arguments], environ=self._environ(), seconds=seconds, file_bytes=2 * BYTES_MAX
        )
        if done.timed_out:
            raise UnavailableError(f"{self.title}: git took more than {seconds:.0f} s", hint=self._hint())
        if done.code:
            raise UnavailableError(f"{self.title}: {_message(done)}", hint=self._hint())
        return done.out

    def _environ(self) -> dict[str, str]:
        """Return the environment of git: without variables of another repository, and with one protocol."""
        kept = {name: text for name, text in os.environ.items() if name not in _OWN_VARIABLES}
        ssh = {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30"} if "GIT_SSH" not in kept else {}
        own = {
            "GIT_ALLOW_PROTOCOL": self.protocol,
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            "GIT_LFS_SKIP_SMUDGE": "1",
        }
        return ssh | kept | own

    def _hint(self) -> str:
        return f"git must reach it without asking: git ls-remote {self.url}"


def _checked_scheme(url: str, scheme: str) -> str:
    """Return the protocol of an URL.

    Raises:
        UsageError: If it is not allowed, or the URL contains a password.
    """
    try:
        parts = urlsplit(url)
        host, password = parts.hostname, parts.password
    except ValueError:
        raise UsageError("--git: the URL is malformed", hint=_EXAMPLE) from None
    if password is not None:
        raise UsageError(
            "--git: the URL contains a password, which logs and process lists would show",
            hint="let git find it: a credential helper, ~/.netrc, or an SSH key",
        )
    if scheme == "http" and host in _LOOPBACK:
        return scheme
    if scheme not in _SCHEMES:
        raise UsageError(f"--git: {scheme}:// is not used", hint=f"{_EXAMPLE}; https, ssh, file, and a path are used")
    return scheme


def _message(done: Completed) -> str:
    """Return the last message of git itself, without what the server says."""
    lines = done.err.decode(errors="replace").splitlines()
    own = [line for line in lines if line.strip() and not line.startswith("remote:")]
    fatal = [line for line in own if line.startswith(("fatal:", "error:"))] or own
    text = fatal[0] if fatal else f"git ended with {done.code}"
    return "".join(char if char.isprintable() else "?" for char in text)[:_MESSAGE_MAX]
