"""Measurements become lines, a table and a JSON file. It measures nothing and draws nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.stages import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.measurements import Measurement

_HEAD = f"{'what':30} {'rows':>10} {'seconds':>9} {'cpu s':>8} {'k rows/s':>9} {'peak MiB':>9} {'anon MiB':>9}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One way of doing the work: the medians of its runs; of memory the most.

    `parts` are seconds by stage, `mocks_cpu` is the processor time of mocks that were served beside it.
    """

    name: str
    group: str
    rows: int
    seconds: float
    cpu: float
    rate: float
    peak: int
    anon: int
    runs: int
    cores: int | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    mocks_cpu: float = 0.0


def lines(measured: Iterable[Measurement], runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Line]:
    """Return a line for each name in the runs; a name may have a part behind that of its measurement."""
    return [
        _line(name, item, found)
        for item in measured
        for name, found in runs.items()
        if name == item.name or name.startswith(f"{item.name}: ")
    ]


def _line(name: str, one: Measurement, runs: Sequence[Mapping[str, Any]]) -> Line:
    seconds = median(run["seconds"] for run in runs)
    rows = int(runs[0]["rows"])
    stages = dict.fromkeys(stage for run in runs for stage in run.get("parts", {}))
    return Line(
        name=name,
        group=one.group,
        rows=rows,
        seconds=seconds,
        cpu=median(run.get("cpu", 0.0) for run in runs),
        rate=rows / seconds,
        peak=max(int(run.get("peak", 0)) for run in runs),
        anon=max(int(run.get("anon", 0)) for run in runs),
        runs=len(runs),
        cores=one.cores,
        mocks_cpu=median(run.get("mocks_cpu", 0.0) for run in runs),
        parts={stage: median(run["parts"][stage] for run in runs) for stage in stages},
    )


def table(found: Sequence[Line], against: Sequence[str]) -> str:
    """Return the lines as text, with the ratio of each one's rate to those of some others, and stages below."""
    rates = {item.name: item.rate for item in found}
    known = [item for item in against if item in rates]
    rows = [_HEAD + "".join(f" {'x ' + item:>16}" for item in known)]
    for item in found:
        text = f"{item.name:30} {item.rows:>10} {item.seconds:>9.2f} {item.cpu:>8.1f} {item.rate / 1000:>9.1f}"
        text += f" {item.peak or '':>9} {item.anon or '':>9}"
        rows.append(text + "".join(f" {item.rate / rates[other]:>16.2f}" for other in known))
        if item.parts:
            beside = f"; the mocks {item.mocks_cpu:.1f} cpu s" if item.mocks_cpu else ""
            rows.append(f"    {told(item.parts)}{beside}")
    return "\n".join(rows)


def as_json(found: Sequence[Line], about: Mapping[str, Any], path: Path) -> None:
    """Write everything that was measured."""
    whole = {"about": dict(about), "lines": [asdict(item) for item in found]}
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
