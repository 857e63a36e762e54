"""`python -m simulation`: play seeds and print violations, reached states and speed."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time

# With few rows, threads cost more than they gain. polars reads this once, at import.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

from simulation.data_vendors import BY_VENDOR
from simulation.seeds import Summary, play_with, reports, scratch_folder


def print_line(text: str) -> None:
    """Write a line and flush."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Play the seeds that the command line selects; return the exit code."""
    options = _parse_options()
    if options.hunt:
        return _hunt(options)
    if options.seeds == 1:
        report = play_with(options.seed, options.plant, options.vendor)
        shutil.rmtree(scratch_folder(), ignore_errors=True)
        if options.transcript or report.violations:
            print_line("\n".join(report.transcript))
        print_line(
            "\n".join(report.violations) or f"seed {options.seed}: nothing violated; transcript {report.digest[:16]}"
        )
        return bool(report.violations)
    started, total = time.perf_counter(), Summary()
    seeds = range(options.seed, options.seed + options.seeds)
    for report in reports(seeds, options.jobs, options.plant, vendor=options.vendor):
        total.add(report)
        if report.violations:
            print_line(f"seed {report.seed}: {report.violations[0][:300]} ({len(report.violations)})")
        if len(total.violations) >= options.stop:
            break
    _print_summary(total, time.perf_counter() - started)
    return bool(total.violations)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--plant", default="", help="name of a planted bug to play with (see plants/)")
    parser.add_argument("--vendor", default="", choices=sorted(BY_VENDOR), help="play the job of this vendor")
    parser.add_argument("--hunt", action="store_true", help="print the first seed that finds each planted bug")
    parser.add_argument("--transcript", action="store_true", help="print the transcript of the seed")
    parser.add_argument("--stop", type=int, default=20, help="stop after this number of violated seeds")
    return parser.parse_args()


def _hunt(options: argparse.Namespace) -> int:
    from simulation.plants import PLANTS  # noqa: PLC0415 - needed for planted bugs only

    survivors = 0
    for name in [options.plant] if options.plant else sorted(PLANTS):
        seeds = range(options.seed, options.seed + options.seeds)
        found = next((report for report in reports(seeds, options.jobs, name) if report.violations), None)
        survivors += found is None
        result = f"seed {found.seed}: {found.violations[0][:120]}" if found else "SURVIVED"
        print_line(f"invariant {PLANTS[name].invariant}: {name} ({PLANTS[name].description}): {result}")
    return bool(survivors)


def _print_summary(total: Summary, took: float) -> None:
    for name, count in sorted(total.reached.items()):
        print_line(f"{count:7} {name}")
    for name, count in sorted(total.planned.items()):
        print_line(f"{total.hit[name]:7} of {count} planned: {name}")
    print_line(
        f"{total.played} seeds, {total.crashes} crashes, {len(total.violations)} violated, "
        f"settled after {total.passes} passes and {total.hours:.1f} hours at most, "
        f"{took:.1f} s, {total.played / took:.1f} seeds/s"
    )


if __name__ == "__main__":
    sys.exit(main())
