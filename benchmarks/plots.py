"""SVG plots of a report: rates as bars, and rates by cores and by rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.report import Line

_WIDTH, _BAR, _LABEL = 860, 26, 260
_OURS, _OTHERS = "#2a6f97", "#b0b7bd"
_SCALING = ("cores", "rows")
_MARGIN, _GAP = 55, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """Position and size of a part of a plot, in pixels."""

    left: int
    top: int
    width: int
    height: int


def bars(lines: Sequence[Line], title: str, path: Path) -> None:
    """Write a bar chart of rows per second, without the groups of the other plot.

    Args:
        lines: Lines of the report.
        title: Title of the plot.
        path: Path of the SVG file; not written if no line is left.
    """
    shown = [line for line in lines if line.group not in _SCALING]
    if not shown:
        return
    fastest = max(line.rate for line in shown)
    height = 50 + _BAR * len(shown)
    parts = [_text(10, 24, title, 15)]
    for number, line in enumerate(shown):
        top = 40 + number * _BAR
        width = max(1, round((_WIDTH - _LABEL - 120) * line.rate / fastest))
        color = _OURS if line.name.startswith(("batchsync", "sync", "settle")) else _OTHERS
        parts.append(_text(_LABEL - 8, top + 15, line.name, 13, "end"))
        parts.append(f'<rect x="{_LABEL}" y="{top}" width="{width}" height="{_BAR - 6}" fill="{color}"/>')
        parts.append(_text(_LABEL + width + 6, top + 15, f"{line.rate / 1000:.1f} k rows/s", 12))
    _write(path, _WIDTH, height, parts)


def scaling(lines: Sequence[Line], path: Path) -> None:
    """Write curves of rows per second by cores and by rows; write nothing if neither was measured."""
    by_cores = [(float(line.cores), line.rate) for line in lines if line.group == "cores" and line.cores]
    by_rows = [(line.rows / 1e6, line.rate) for line in lines if line.group == "rows"]
    curves = [(points, unit) for points, unit in ((by_cores, "cores"), (by_rows, "million rows")) if points]
    if not curves:
        return
    width, height = _WIDTH // 2, 320
    parts = []
    for number, (points, unit) in enumerate(curves):
        panel = _Panel(
            left=number * width + _MARGIN, top=50, width=width - _MARGIN - _GAP, height=height - 50 - _MARGIN
        )
        parts += _curve(sorted(points), unit, panel)
    _write(path, width * len(curves), height, parts)


def _curve(points: Sequence[tuple[float, float]], unit: str, panel: _Panel) -> list[str]:
    """Return a curve with its axes, which begin at 0, and the rate at each point."""
    x_max, y_max = points[-1][0] * 1.1, max(rate for _, rate in points) * 1.15
    bottom, right = panel.top + panel.height, panel.left + panel.width
    pixels = [
        (round(panel.left + panel.width * amount / x_max), round(bottom - panel.height * rate / y_max))
        for amount, rate in points
    ]
    line = " ".join(f"{x},{y}" for x, y in pixels)
    parts = [
        _text(panel.left, panel.top - 22, f"batchsync, Parquet: k rows/s by {unit}", 14),
        f'<path d="M{panel.left},{panel.top} V{bottom} H{right}" stroke="#555" fill="none"/>',
        f'<polyline points="{line}" stroke="{_OURS}" stroke-width="2" fill="none"/>',
        _text(right, bottom + 34, unit, 12, "end"),
    ]
    for (x, y), (amount, rate) in zip(pixels, points, strict=True):
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{_OURS}"/>')
        parts.append(_text(x, y - 10, f"{rate / 1000:.0f}", 12, "middle"))
        parts.append(_text(x, bottom + 17, f"{amount:g}", 12, "middle"))
    return parts


def _text(x: int, y: int, label: str, size: int, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}">{escape(label)}</text>'


def _write(path: Path, width: int, height: int, parts: Sequence[str]) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
    background = f'<rect width="{width}" height="{height}" fill="white"/>'
    path.write_text("\n".join([head, background, *parts, "</svg>"]) + "\n", encoding="utf-8")
