"""Report of measurements: medians as lines, a table and a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.stages import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.measurements import Measurement

_HEAD = f"{'measurement':30} {'rows':>10} {'seconds':>9} {'cpu s':>8} {'k rows/s':>9} {'peak MiB':>9} {'anon MiB':>9}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Result of a measurement: medians of its runs, for memory the maximum.

    Attributes:
        name: Name of the measurement, with a suffix if it has several results.
        group: Group of the measurement.
        rows: Number of rows.
        seconds: Duration in seconds.
        cpu: Processor time in seconds.
        rate: Rows per second.
        peak: Peak memory (VmHWM) in MiB.
        anon: Peak anonymous memory in MiB.
        runs: Number of runs.
        cores: Number of cores, if limited.
        parts: Seconds by stage.
        mocks_cpu: Processor time in seconds of the mocks, if they were served.
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
    """Return the lines of a report.

    Args:
        measured: The measurements.
        runs: Results of the runs by name: that of the measurement, or `NAME: SUFFIX`.

    Returns:
        A line for each name, in the order of the measurements.
    """
    return [
        _line(name, measurement, results)
        for measurement in measured
        for name, results in runs.items()
        if name == measurement.name or name.startswith(f"{measurement.name}: ")
    ]


def _line(name: str, measurement: Measurement, runs: Sequence[Mapping[str, Any]]) -> Line:
    seconds = median(run["seconds"] for run in runs)
    rows = int(runs[0]["rows"])
    stages = dict.fromkeys(stage for run in runs for stage in run.get("parts", {}))
    return Line(
        name=name,
        group=measurement.group,
        rows=rows,
        seconds=seconds,
        cpu=median(run.get("cpu", 0.0) for run in runs),
        rate=rows / seconds,
        peak=max(int(run.get("peak", 0)) for run in runs),
        anon=max(int(run.get("anon", 0)) for run in runs),
        runs=len(runs),
        cores=measurement.cores,
        mocks_cpu=median(run.get("mocks_cpu", 0.0) for run in runs),
        parts={stage: median(run["parts"][stage] for run in runs) for stage in stages},
    )


def table(lines: Sequence[Line], baselines: Sequence[str]) -> str:
    """Return the report as a text table, with stages below the lines.

    Args:
        lines: Lines of the report.
        baselines: Names of lines whose rates get a column of ratios, if they were measured.

    Returns:
        The table, without a final line end.
    """
    rates = {line.name: line.rate for line in lines}
    known = [name for name in baselines if name in rates]
    rows = [_HEAD + "".join(f" {'x ' + name:>16}" for name in known)]
    for line in lines:
        text = f"{line.name:30} {line.rows:>10} {line.seconds:>9.2f} {line.cpu:>8.1f} {line.rate / 1000:>9.1f}"
        text += f" {line.peak or '':>9} {line.anon or '':>9}"
        rows.append(text + "".join(f" {line.rate / rates[name]:>16.2f}" for name in known))
        if line.parts:
            mocks = f"; the mocks {line.mocks_cpu:.1f} cpu s" if line.mocks_cpu else ""
            rows.append(f"    {describe(line.parts)}{mocks}")
    return "\n".join(rows)


def write_json(lines: Sequence[Line], about: Mapping[str, Any], path: Path) -> None:
    """Write the report as JSON.

    Args:
        lines: Lines of the report.
        about: Facts about the machine and the options.
        path: Path of the file.
    """
    document = {"about": dict(about), "lines": [asdict(line) for line in lines]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
