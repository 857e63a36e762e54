"""Lines of a report become two plots in SVG: rates as bars, and rates by cores and by rows. It measures nothing."""

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
    """A part of a plot: where it begins, and how large it is."""

    left: int
    top: int
    width: int
    height: int


def bars(lines: Sequence[Line], title: str, path: Path) -> None:
    """Write bars of rows a second; lines of the groups for scaling are in the other plot."""
    shown = [line for line in lines if line.group not in _SCALING]
    if not shown:
        return
    most = max(item.rate for item in shown)
    height = 50 + _BAR * len(shown)
    parts = [_text(10, 24, title, 15)]
    for number, item in enumerate(shown):
        top = 40 + number * _BAR
        width = max(1, round((_WIDTH - _LABEL - 120) * item.rate / most))
        shade = _OURS if item.name.startswith(("batchsync", "sync", "settle")) else _OTHERS
        parts.append(_text(_LABEL - 8, top + 15, item.name, 13, "end"))
        parts.append(f'<rect x="{_LABEL}" y="{top}" width="{width}" height="{_BAR - 6}" fill="{shade}"/>')
        parts.append(_text(_LABEL + width + 6, top + 15, f"{item.rate / 1000:.1f} k rows/s", 12))
    _write(path, _WIDTH, height, parts)


def scaling(lines: Sequence[Line], path: Path) -> None:
    """Write rows a second by cores and by rows, side by side; nothing when neither was measured."""
    by_cores = [(float(line.cores), line.rate) for line in lines if line.group == "cores" and line.cores]
    by_rows = [(line.rows / 1e6, line.rate) for line in lines if line.group == "rows"]
    drawn = [(points, what) for points, what in ((by_cores, "cores"), (by_rows, "million rows")) if points]
    if not drawn:
        return
    width, height = _WIDTH // 2, 320
    parts = []
    for number, (points, what) in enumerate(drawn):
        panel = _Panel(
            left=number * width + _MARGIN, top=50, width=width - _MARGIN - _GAP, height=height - 50 - _MARGIN
        )
        parts += _curve(sorted(points), what, panel)
    _write(path, width * len(drawn), height, parts)


def _curve(points: Sequence[tuple[float, float]], what: str, panel: _Panel) -> list[str]:
    """Return a curve with its axes, which begin at 0, and the rate at each point."""
    far, most = points[-1][0] * 1.1, max(rate for _, rate in points) * 1.15
    bottom, right = panel.top + panel.height, panel.left + panel.width
    places = [
        (round(panel.left + panel.width * at / far), round(bottom - panel.height * rate / most)) for at, rate in points
    ]
    line = " ".join(f"{x},{y}" for x, y in places)
    parts = [
        _text(panel.left, panel.top - 22, f"batchsync, Parquet: k rows/s by {what}", 14),
        f'<path d="M{panel.left},{panel.top} V{bottom} H{right}" stroke="#555" fill="none"/>',
        f'<polyline points="{line}" stroke="{_OURS}" stroke-width="2" fill="none"/>',
        _text(right, bottom + 34, what, 12, "end"),
    ]
    for (x, y), (at, rate) in zip(places, points, strict=True):
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{_OURS}"/>')
        parts.append(_text(x, y - 10, f"{rate / 1000:.0f}", 12, "middle"))
        parts.append(_text(x, bottom + 17, f"{at:g}", 12, "middle"))
    return parts


def _text(x: int, y: int, said: str, size: int, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}">{escape(said)}</text>'


def _write(path: Path, width: int, height: int, parts: Sequence[str]) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
    ground = f'<rect width="{width}" height="{height}" fill="white"/>'
    path.write_text("\n".join([head, ground, *parts, "</svg>"]) + "\n", encoding="utf-8")
