"""Report of `batchsync forget`: what was erased, and what remains elsewhere. Keys are not shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import escape_controls, markdown, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.report.text_format import Style

_ELSEWHERE = (
    "backups and copies of the state folder, and its freed blocks on the disk",
    "saved plans, exports of rejects, logs of CI, and the shell's history, if the key was typed there",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenJob:
    """What was erased of a job; the fields are those of `reconcile.forget.Forgotten`.

    `vendor` and `removal_modes` say where the record may still be, and how it is removed there; `source` is the path of
    the source. `declared`: whether the job is in jobs.yaml.
    """

    job: str
    keys: int
    held: int
    segments: int
    texts: int
    files: int
    answers: int
    vendor: str
    removal_modes: tuple[str, ...]
    source: str
    declared: bool

    def sentence(self) -> str:
        """Return what was erased, in one sentence."""
        erased = [
            f"{pluralize(self.segments, 'segment')} of the baseline rewritten",
            f"{pluralize(self.texts, 'reject or text', 'rejects and texts')} erased",
            f"{pluralize(self.files, 'batch file or row manifest', 'batch files and row manifests')} erased",
            f"{pluralize(self.answers, 'answer')} removed",
        ]
        return f"{self.job}: forgot {pluralize(self.keys, 'key')}: {', '.join(erased)}"

    def remains(self) -> Iterator[str]:
        """Yield what remains elsewhere because of this job, and how it is removed."""
        if self.held:
            vendor = self.vendor or "the vendor"
            yield f"at {vendor}: {pluralize(self.held, 'record')} of job {self.job}; {self._removal()}"
        if not self.declared:
            yield f"results of job {self.job}, if it has any: it is not in the jobs file"
        elif self.source:
            yield f"in the source {self.source}, if the rows are still there; they are not sent"

    def _removal(self) -> str:
        if not self.removal_modes:
            return "the vendor has no mode that removes it: ask the vendor"
        modes = " or ".join(self.removal_modes)
        return f"list the key in the source of a job with mode {modes}, which sends the removal, or ask the vendor"

    def data(self) -> dict[str, object]:
        """Return the job as a JSON-compatible dictionary."""
        return {
            "job": self.job,
            "keys": self.keys,
            "held_by_vendor": self.held,
            "segments": self.segments,
            "texts": self.texts,
            "files": self.files,
            "answers": self.answers,
            "removal_modes": list(self.removal_modes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetReport:
    """What was erased, by job. `unknown` is the number of keys that no job knows."""

    jobs: tuple[ForgottenJob, ...]
    unknown: int = 0

    def text(self, paint: Style) -> str:
        """Return a line per job, then what remains."""
        lines = [escape_controls(job.sentence()) for job in self.jobs]
        lines += self._unknown()
        lines += [f"{paint('remains', 'warn')}: {escape_controls(line)}" for line in self.remains()]
        return "\n".join([*lines, f"{paint('next', 'head')}: {self.next_step()}"])

    def markdown(self) -> str:
        """Return a list of the same."""
        lines = [f"- {markdown(job.sentence())}" for job in self.jobs]
        lines += [f"- {line}" for line in self._unknown()]
        lines += [f"- remains: {markdown(line)}" for line in self.remains()]
        return "\n".join(["### batchsync forget", "", *lines, f"- next: {self.next_step()}"])

    def data(self) -> dict[str, object]:
        """Return the report as a JSON-compatible dictionary."""
        return {
            "jobs": [job.data() for job in self.jobs],
            "unknown": self.unknown,
            "remains": list(self.remains()),
            "next": [self.next_step()],
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per job."""
        for job in self.jobs:
            yield {"event": "forgotten"} | job.data()

    def remains(self) -> Iterator[str]:
        """Yield what remains elsewhere."""
        for job in self.jobs:
            yield from job.remains()
        yield from _ELSEWHERE

    def next_step(self) -> str:
        """Return the next command."""
        return "`batchsync plan`, which counts rows of these keys as suppressed"

    def _unknown(self) -> list[str]:
        if not self.unknown:
            return []
        return [f"{pluralize(self.unknown, 'key')} unknown to every job: --job JOB keeps them from being sent, too"]
