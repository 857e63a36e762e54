"""Report of a plan file: who made it and when, whether it can be applied, and its plans."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import Style, escape_controls, iso, markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.plan_file import PlanFile
    from batchsync.report.plan import PlansReport


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFileReport:
    """A plan file with its plans.

    Attributes:
        path: Path of the file.
        content: What the file says.
        plans: Its plans.
        moved: Why it cannot be applied: jobs, each with what moved.
        applied: Runs in which plans of it were applied, by job.
    """

    path: str
    content: PlanFile
    plans: PlansReport
    moved: tuple[tuple[str, str], ...] = ()
    applied: tuple[tuple[str, str], ...] = ()

    def text(self, paint: Style) -> str:
        """Return the facts of the file, and every plan."""
        head = f"{paint(escape_controls(self.path), 'head')}: {escape_controls(self.content.title)}"
        lines = [head, f"  batchsync {escape_controls(self.content.author.version)}, id {self.content.id}"]
        lines += [f"  {escape_controls(line)}" for line in self._sources()]
        lines += [f"  {paint('applied', 'good')}: {escape_controls(job)} in run {run}" for job, run in self.applied]
        lines += [
            f"  {paint('cannot be applied', 'bad')}: {escape_controls(job)}: {escape_controls(reason)}"
            for job, reason in self.moved
        ]
        return "\n".join([*lines, self.plans.text(paint)])

    def markdown(self) -> str:
        """Return the plans as Markdown, followed by the facts of the file."""
        facts = [f"{self.path}: {self.content.title}, id {self.content.id}", *self._sources()]
        facts += [f"applied: {job} in run {run}" for job, run in self.applied]
        facts += [f"cannot be applied: {job}: {reason}" for job, reason in self.moved]
        return "\n".join([self.plans.markdown(), "", *(f"- {markdown(line)}" for line in facts)])

    def data(self) -> dict[str, object]:
        """Return the plans and the facts of the file as a JSON-compatible dictionary."""
        return self.plans.data() | {"plan_file": self._facts()}

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield the facts of the file, then one NDJSON object per plan."""
        yield {"event": "plan_file"} | self._facts()
        yield from self.plans.lines()

    def _facts(self) -> dict[str, object]:
        """Return the facts of the file as a JSON-compatible dictionary."""
        author = self.content.author
        return {
            "path": self.path,
            "id": self.content.id,
            "made_by": author.user,
            "made_on": author.host,
            "made_with": author.version,
            "made_at": iso(author.at),
            "applied": dict(self.applied),
            "moved": [{"job": job, "reason": reason} for job, reason in self.moved],
            "sources": [
                {
                    "job": plan.job,
                    "title": plan.source.title,
                    "version": plan.source.version or None,
                    "files": [asdict(file) for file in plan.source.files],
                }
                for plan in self.content.plans
            ],
        }

    def _sources(self) -> Iterator[str]:
        """Yield the source of each plan, with the beginning of the digest of its file, if it is one."""
        for plan in self.content.plans:
            files = plan.source.files
            listed = f"{len(files):,} files" if len(files) != 1 else f"sha256 {files[0].sha256[:12]}"
            version = f", version {plan.source.version}" if plan.source.version else ""
            yield f"source of {plan.job}: {plan.source.title}{version}, {listed}"
