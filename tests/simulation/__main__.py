"""`python -m simulation`: play seeds and say what was violated, what was reached, and how fast it went."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time

# Rows are few here: threads would cost more than they bring. Polars reads this once, when it is imported.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

from simulation.many import Sum, folder, play_with, reports


def say(text: str) -> None:
    """Write a line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Play what the command line asks for."""
    given = _arguments()
    if given.hunt:
        return _hunt(given)
    if given.seeds == 1:
        report = play_with(given.seed, given.plant)
        shutil.rmtree(folder(), ignore_errors=True)
        if given.transcript or report.violations:
            say("\n".join(report.transcript))
        say("\n".join(report.violations) or f"seed {given.seed}: nothing violated; transcript {report.digest[:16]}")
        return bool(report.violations)
    begun, total = time.perf_counter(), Sum()
    for report in reports(range(given.seed, given.seed + given.seeds), given.jobs, given.plant):
        total.add(report)
        if report.violations:
            say(f"seed {report.seed}: {report.violations[0][:300]} ({len(report.violations)})")
        if len(total.violations) >= given.stop:
            break
    _tell(total, time.perf_counter() - begun)
    return bool(total.violations)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--plant", default="", help="play with a planted bug (see plants/)")
    parser.add_argument("--hunt", action="store_true", help="say at which seed each planted bug is found")
    parser.add_argument("--transcript", action="store_true", help="print what happened")
    parser.add_argument("--stop", type=int, default=20, help="stop after so many violated seeds")
    return parser.parse_args()


def _hunt(given: argparse.Namespace) -> int:
    from simulation.plants import PLANTS  # noqa: PLC0415 - only who plants needs it

    survivors = 0
    for name in [given.plant] if given.plant else sorted(PLANTS):
        seeds = range(given.seed, given.seed + given.seeds)
        found = next((report for report in reports(seeds, given.jobs, name) if report.violations), None)
        survivors += found is None
        what = f"seed {found.seed}: {found.violations[0][:120]}" if found else "SURVIVED"
        say(f"law {PLANTS[name].law}: {name} ({PLANTS[name].does}): {what}")
    return bool(survivors)


def _tell(total: Sum, took: float) -> None:
    for name, count in sorted(total.sometimes.items()):
        say(f"{count:7} {name}")
    for name, count in sorted(total.planned.items()):
        say(f"{total.fired[name]:7} of {count} planned: {name}")
    say(
        f"{total.played} seeds, {total.crashes} crashes, {len(total.violations)} violated, "
        f"at rest after {total.passes} passes and {total.hours:.1f} hours at most, "
        f"{took:.1f} s, {total.played / took:.1f} seeds/s"
    )


if __name__ == "__main__":
    sys.exit(main())
