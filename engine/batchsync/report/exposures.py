"""Exposures of dbt: a file by which dbt learns which jobs depend on its models.

Properties: https://docs.getdbt.com/reference/exposure-properties.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from batchsync.core.job import Job
    from batchsync.core.schedule import Schedule

#: A call that YAML reads as text without quotation marks around it.
_PLAIN = re.compile(r"[a-z]+\((?:'[\w.]+'|v=\d+)(?:, (?:'[\w.]+'|v=\d+))*\)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who is responsible for the jobs; dbt needs a name or an e-mail address."""

    name: str = ""
    email: str = ""

    def data(self) -> dict[str, str]:
        """Return what is known of the owner."""
        return {key: text for key, text in (("name", self.name), ("email", self.email)) if text}


def exposures(jobs: Iterable[Job], owner: Owner) -> list[dict[str, object]]:
    """Return an exposure for each job that reads a relation of dbt, as its source or in a join.

    Args:
        jobs: The jobs.
        owner: Owner of all exposures.
    """
    found: list[dict[str, object]] = []
    names: set[str] = set()
    for job in jobs:
        references = list(dict.fromkeys(query.dbt.text for query in job.source.queries if query.dbt is not None))
        if not references:
            continue
        name = _name(job.name, names)
        names.add(name)
        found.append(
            {
                "name": name,
                "label": f"batchsync: {job.name}",
                "type": "application",
                "description": _description(job),
                "depends_on": references,
                "owner": owner.data(),
            }
        )
    return found


def exposures_yaml(found: Sequence[dict[str, object]]) -> Iterator[str]:
    """Yield the lines of the YAML file with exposures."""
    yield "version: 2"
    yield "exposures:"
    for item in found:
        sign = "-"
        for key, value in item.items():
            if isinstance(value, str):
                yield f"  {sign} {key}: {value if key in {'name', 'type'} else _quoted(value)}"
            elif isinstance(value, dict):
                yield f"    {key}:"
                yield from (f"      {name}: {_quoted(str(text))}" for name, text in value.items())
            elif isinstance(value, list):
                yield f"    {key}:"
                yield from (f"      - {text if _PLAIN.fullmatch(text) else _quoted(text)}" for text in value)
            sign = " "


def _name(job: str, taken: set[str]) -> str:
    """Return a name of letters, digits and underscores that no other exposure has."""
    name = re.sub(r"\W", "_", job, flags=re.ASCII)
    if name in taken:
        number = next(number for number in range(2, len(taken) + 3) if f"{name}_{number}" not in taken)
        name = f"{name}_{number}"
    return name


def _description(job: Job) -> str:
    """Return what a job does, in one sentence."""
    target = ", ".join(f"{key} {value}" for key, value in job.target.items())
    where = f"connection {job.connection}" + (f" ({target})" if target else "")
    return f"Rows are sent to the {where} in mode {job.mode}{_when(job.schedule)}, by the batchsync job {job.name}."


def _when(schedule: Schedule | None) -> str:
    if schedule is None:
        return ""
    if schedule.cron is not None:
        return f", on the schedule {schedule.cron} ({schedule.timezone})"
    return f", every {schedule.every}"


def _quoted(text: str) -> str:
    """Return a text in the double quotes of JSON, which YAML reads, too; dbt evaluates nothing in it."""
    return json.dumps(text.replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #"), ensure_ascii=False)
