"""Measurements become a table, a JSON file and a plot. It measures nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_WIDTH, _BAR, _LABEL = 860, 26, 260


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One way of doing the work: the median of its runs."""

    name: str
    rows: int
    seconds: float
    rate: float
    peak: int
    anon: int
    runs: int


def line(name: str, runs: Sequence[Mapping[str, Any]]) -> Line:
    """Return the median of some runs."""
    seconds = median(one["seconds"] for one in runs)
    rows = int(runs[0]["rows"])
    peak = max(int(one.get("peak", 0)) for one in runs)
    anon = max(int(one.get("anon", 0)) for one in runs)
    return Line(name=name, rows=rows, seconds=seconds, rate=rows / seconds, peak=peak, anon=anon, runs=len(runs))


def table(lines: Sequence[Line], against: Sequence[str]) -> str:
    """Return the lines as text, with the ratio of each one's rate to those of some others."""
    rates = {one.name: one.rate for one in lines}
    known = [one for one in against if one in rates]
    head = f"{'what':28} {'rows':>10} {'seconds':>9} {'k rows/s':>9} {'peak MiB':>9} {'anon MiB':>9}"
    rows = [head + "".join(f" {'x ' + one:>16}" for one in known)]
    for one in lines:
        text = f"{one.name:28} {one.rows:>10} {one.seconds:>9.2f} {one.rate / 1000:>9.1f}"
        text += f" {one.peak or '':>9} {one.anon or '':>9}"
        rows.append(text + "".join(f" {one.rate / rates[other]:>16.2f}" for other in known))
    return "\n".join(rows)


def as_json(lines: Sequence[Line], about: Mapping[str, Any], path: Path) -> None:
    """Write everything that was measured."""
    whole = {"about": dict(about), "lines": [asdict(one) for one in lines]}
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def plot(lines: Sequence[Line], title: str, path: Path) -> None:
    """Write bars of rows a second as SVG."""
    most = max(one.rate for one in lines)
    height = 50 + _BAR * len(lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="24" font-size="15">{escape(title)}</text>',
    ]
    for number, one in enumerate(lines):
        top = 40 + number * _BAR
        width = max(1, round((_WIDTH - _LABEL - 120) * one.rate / most))
        shade = "#2a6f97" if one.name.startswith("lading") else "#b0b7bd"
        parts.append(
            f'<text x="{_LABEL - 8}" y="{top + 15}" font-size="13" text-anchor="end">{escape(one.name)}</text>'
        )
        parts.append(f'<rect x="{_LABEL}" y="{top}" width="{width}" height="{_BAR - 6}" fill="{shade}"/>')
        said = f"{one.rate / 1000:.1f} k rows/s"
        parts.append(f'<text x="{_LABEL + width + 6}" y="{top + 15}" font-size="12">{said}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")
