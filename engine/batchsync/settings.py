"""Settings of this process: flags first, then `BATCHSYNC_*` variables, then defaults. Reads no file."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from batchsync.errors import UsageError
from batchsync.util.durations import parse_duration
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from batchsync.core.deployment import Resources

#: Chunk size of text parsers with `memory: small`, in bytes.
_SMALL_CHUNK = str(1 << 20)
#: Settings of the allocator of polars for a number of cores. Freed pages are kept for ten seconds, instead of half a
#: second, in which the next frames take them again without page faults; fewer arenas keep less.
_ALLOCATOR = "narenas:{},dirty_decay_ms:10000,muzzy_decay_ms:10000"


#: Longest time limit of a task.
_TIMEOUT_MAX = timedelta(days=7)


def _duration(text: object) -> timedelta:
    """Return a time limit.

    Raises:
        ValueError: If the text is none.
    """
    if isinstance(text, timedelta):
        return text
    length = parse_duration(str(text))
    if not timedelta(0) < length <= _TIMEOUT_MAX:
        message = "a time from 1s to 7d is needed"
        raise ValueError(message)
    return length


class Settings(BaseSettings):
    """Paths of jobs.yaml and the state folder, resource limits, and whether the bundled mocks replace the vendors."""

    model_config = SettingsConfigDict(
        env_prefix="BATCHSYNC_", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    file: Path = Field(default=Path("jobs.yaml"), description="the jobs file")
    state: Path | None = Field(default=None, description="the state folder; default: .batchsync next to the jobs file")
    mocks: bool = Field(default=False, description="use the bundled mocks instead of the vendors")
    mocks_at: Path | None = Field(
        default=None, description="ready file of running mocks (`batchsync mocks serve`); implies `mocks`"
    )
    threads: int | None = Field(
        default=None, ge=1, le=256, description="number of threads for preparation; overrides jobs.yaml"
    )
    memory: Literal["small", "normal"] | None = Field(
        default=None, description="small: prepare with one thread and little memory; overrides jobs.yaml"
    )
    anchors: Path | None = Field(
        default=None,
        description="folder outside the state folder in which restored and copied states are detected, or `off`; "
        "default: batchsync/anchors below XDG_STATE_HOME or ~/.local/state",
    )
    roots: str | None = Field(
        default=None,
        description="folders, separated as in PATH, that every path of jobs.yaml must be below; default: any on a disk",
    )
    env: str | None = Field(
        default=None, description="the environment of `environments:`; the state folder belongs to one of them"
    )
    jobs: Path | None = Field(default=None, description="a folder whose files *.yaml are added to the jobs file")
    log_format: Literal["text", "json"] = Field(default="text", description="format of log lines on stderr")
    skip_poll_wait: bool | None = Field(
        default=None,
        description="with mocks: advance their clock instead of waiting; default: not in `serve` without --once",
    )

    task_timeout: Annotated[timedelta, BeforeValidator(_duration)] = Field(
        default=timedelta(minutes=10),
        description="with an `executor:` other than threads: time limit of one try of a task, such as 90s, 10m or 1h; "
        "default: 10m",
    )
    task_tries: int = Field(
        default=3,
        ge=1,
        le=10,
        description="with an `executor:` other than threads: number of tries of a task; default: 3",
    )
    dask_address: str | None = Field(
        default=None, description="address of the scheduler of `executor: {dask: cluster}`: tls://HOST:PORT"
    )
    dask_tls_ca: Path | None = Field(
        default=None, description="PEM file of the authority whose certificates the Dask cluster has"
    )
    dask_tls_cert: Path | None = Field(
        default=None, description="PEM file of the certificate with which this process signs in to the Dask cluster"
    )
    dask_tls_key: Path | None = Field(default=None, description="PEM file of the key of that certificate")
    dask_allow_tcp: bool = Field(
        default=False,
        description="allow tcp:// to another machine in BATCHSYNC_DASK_ADDRESS, whose workers run code "
        "of every machine of the network",
    )

    @model_validator(mode="before")
    @classmethod
    def _imply_mocks(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with `mocks` implied by `mocks_at`, so that nothing is sent to a real vendor by mistake."""
        return {"mocks": True} | values if values.get("mocks_at") is not None else values

    @field_validator("roots")
    @classmethod
    def _check_roots(cls, roots: str | None) -> str | None:
        """Return the roots unless one is relative or empty, which would be another folder than was meant.

        Raises:
            ValueError: If there is such a root.
        """
        if roots is not None and not all(map(os.path.isabs, roots.split(os.pathsep))):
            raise ValueError(f"absolute paths are needed, separated by {os.pathsep}")
        return roots

    @property
    def fence(self) -> PathFence:
        """Return where paths of jobs.yaml may lead."""
        if self.roots is None:
            return PathFence()
        own = [self.checkouts_folder] if self.is_in_checkouts(self.file) else []
        return PathFence.below([*self.roots.split(os.pathsep), *own])

    def fence_of_strangers(self) -> PathFence:
        """Return where paths of the jobs.yaml of a stranger may lead: to its folder, as far as the roots allow.

        Raises:
            UsageError: If jobs.yaml itself is a link out of that folder, or no file.
        """
        fence = self.fence.within(self.file.absolute().parent)
        if objection := fence.file_objection(self.file):
            raise UsageError(f"{self.file} {objection}", hint="name a file that is no link")
        return fence

    @cached_property
    def state_folder(self) -> Path:
        """Return the state folder. Runs against mocks have a separate folder: what they deliver reaches no vendor.

        Cached, so that the folder does not change if a link to the jobs file does.
        """
        base = self.state or self.file.resolve().parent / ".batchsync"
        return base / "mocks" if self.mocks else base

    def with_state(self, folder: Path) -> Settings:
        """Return these settings with a state folder, which is not that next to the jobs file."""
        return type(self)(**self.model_dump() | {"state": folder})

    @property
    def checkouts_folder(self) -> Path:
        """Return the folder with the revisions that `serve --git` and `serve --watch` load."""
        return self.state_folder / "checkouts"

    def is_in_checkouts(self, path: str | Path) -> bool:
        """Return whether a path is part of a revision."""
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.checkouts_folder))

    @property
    def is_trial(self) -> bool:
        """Whether the vendors are mocks that end with the command, so that its state is theirs."""
        return self.mocks and self.mocks_at is None

    @property
    def anchors_folder(self) -> Path | None:
        """Return the folder of the anchors of journals; None if they are switched off, or there is no home folder."""
        if self.is_trial or self.anchors == Path("off"):
            return None
        if self.anchors is not None:
            return self.anchors
        home = Path(os.environ.get("XDG_STATE_HOME", ""))
        try:
            # A relative XDG_STATE_HOME is invalid and ignored (XDG Base Directory Specification).
            base = home if home.is_absolute() else Path.home() / ".local" / "state"
        except RuntimeError:
            return None
        return base / "batchsync" / "anchors"

    def results_path(self, path: str) -> str:
        """Return where the results of `results: path:` are written: there, or below the state folder.

        They are below the state folder with mocks, and if the path is part of a revision, which is deleted later.

        Args:
            path: Absolute path, as compiled from jobs.yaml. Different paths have different results.
        """
        if self.is_in_checkouts(path):
            inside = Path(os.path.realpath(path)).relative_to(os.path.realpath(self.checkouts_folder))
            return str(self.state_folder / "results" / Path(*inside.parts[1:]))
        if not self.mocks:
            return path
        folder, results = Path(os.path.normpath(self.file.absolute())).parent, Path(path)
        if results.is_relative_to(folder):
            return str(self.state_folder / "results" / results.relative_to(folder))
        return str(self.state_folder / "results-elsewhere" / results.relative_to(results.anchor))


def library_settings(resources: Resources) -> dict[str, str]:
    """Return the environment variables that limit the threads and memory of polars, Arrow and their allocators."""
    variables = {"OPENBLAS_NUM_THREADS": "1", "_RJEM_MALLOC_CONF": _ALLOCATOR.format(os.cpu_count() or 1)}
    if resources.threads is not None:
        variables["POLARS_MAX_THREADS"] = str(resources.threads)
    if resources.memory == "small":
        variables |= {
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0,narenas:1",
            "POLARS_CSV_CHUNK_SIZE": _SMALL_CHUNK,
            "POLARS_CSV_CHUNK_PREFETCH_LIMIT": "1",
            "POLARS_NDJSON_CHUNK_SIZE": _SMALL_CHUNK,
            "POLARS_NDJSON_CHUNK_PREFETCH_LIMIT": "1",
        }
    return variables
