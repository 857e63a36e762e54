"""`python -m lading_mocks`: serve mocks until told to stop.

It does not know the vendors; it only reads arguments, writes the ready file and waits.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading_mocks import disk, profiles
from lading_mocks.clock import Clock
from lading_mocks.motorweb.switches import MotorwebSwitches
from lading_mocks.serving import VENDORS, serve
from lading_mocks.sitecore.switches import SitecoreSwitches
from lading_mocks.switches import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading_mocks.running import Running


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT, or with `--exit-with-stdin` the end of standard input; gives the exit code."""
    wish = _parser().parse_args(arguments)
    if wish.list:
        sys.stdout.write(_listed())
        return 0
    stop = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: stop.set())
    try:
        _keep_what_is_there(wish)
        clock = Clock(wish.clock, frozen=wish.frozen, rate=wish.rate, auto=wish.auto)
        running = serve(
            wish.vendors or tuple(VENDORS),
            host=wish.host,
            port=wish.port,
            state_dir=wish.state_dir,
            https=wish.https or wish.https_only,
            clock=clock,
            seed=wish.seed,
            profile=wish.profile,
            switches=_switches(wish.switch),
        )
    except (OSError, ValueError) as error:
        return _not_served(error)
    with running:
        try:
            _announce(running, wish)
        except OSError as error:
            return _not_served(error)
        if wish.exit_with_stdin:
            threading.Thread(target=_outlive_nobody, args=(stop,), daemon=True).start()
        stop.wait()
    return 0


def _not_served(error: OSError | ValueError) -> int:
    """Say why nothing is served; gives 2 for a wish that makes no sense, 3 when the machine does not allow it."""
    sys.stderr.write(f"lading_mocks: {error}\n")
    return 3 if isinstance(error, OSError) else 2


def _announce(running: Running, wish: argparse.Namespace) -> None:
    said = running.ready()
    if wish.ca_out is not None and running.ca is not None:
        shutil.copyfile(running.ca, wish.ca_out)
        said["ca"] = str(wish.ca_out.resolve())
    if wish.ready_file is not None:
        disk.write_json(wish.ready_file, said)
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _keep_what_is_there(wish: argparse.Namespace) -> None:
    """Replace files of an earlier start, and no others.

    Raises:
        ValueError: something else stands where a file is to be written.
    """
    for file, marks in ((wish.ready_file, (b'"vendors"', b'"clock_url"')), (wish.ca_out, (b"-----BEGIN CERTIFICATE",))):
        if file is None or not os.path.lexists(file):
            continue
        content = file.read_bytes() if file.is_file() else None
        if content is None or (content and not all(mark in content for mark in marks)):
            msg = f"{file} is already there and none of ours; nothing was written. Name another file."
            raise ValueError(msg)


def _switches(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in given:
        place, equals, text = one.partition("=")
        vendor, dot, name = place.partition(".")
        if not equals or not dot:
            msg = f"{one[:60]!r} turns no switch; write it like sitecore-cdp.allocate_status=201."
            raise ValueError(msg)
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found.setdefault(vendor, {})[name] = value
    return found


def _listed() -> str:
    lines = ["profiles:"]
    lines += [f"  {name}: {profiles.profile(name).about}" for name in profiles.names()]
    for vendor, kind in (("motorweb-bdp", MotorwebSwitches), ("sitecore-cdp", SitecoreSwitches)):
        lines.append(f"switches of {vendor}:")
        lines += [f"  {name}={default} ({takes}): {says}" for name, default, takes, says in table(kind)]
    return "\n".join(lines) + "\n"


def _outlive_nobody(stop: threading.Event) -> None:
    # The pipe closes when the parent ends, however it ends.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    stop.set()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lading_mocks", description="Serve mocks of file-batch vendors.")
    add = parser.add_argument
    add("vendors", nargs="*", metavar="vendor", help=f"which to serve (default: all): {', '.join(VENDORS)}")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port of the first vendor, the others follow; 0: any (default)")
    add("--state-dir", type=Path, help="folder to go on from and to remember in (default: a temporary one)")
    add("--ready-file", type=Path, help="write addresses and credentials here, as JSON, once all ports are open")
    add("--https", action="store_true", help="serve HTTPS with a certificate authority made for the purpose")
    add("--ca-out", type=Path, help="with --https: copy the authority's certificate here")
    add("--exit-with-stdin", action="store_true", help="stop when standard input ends")
    add("--https-only", action="store_true", help="the same, said in the words of the vendors: plain HTTP is refused")
    add("--seed", type=int, help="the same ids, tokens and faults in every run")
    add("--profile", action="append", default=[], help="a fault profile or a .yaml file of one; may be repeated")
    add("--switch", action="append", default=[], metavar="VENDOR.NAME=VALUE", help="turn a switch; may be repeated")
    add("--list", action="store_true", help="list the profiles and the switches, and serve nothing")
    add("--clock", help="where the clock starts, like 2026-01-31T09:30:00Z (default: real time)")
    add("--frozen", action="store_true", help="let the clock stand still until it is advanced")
    add("--auto", action="store_true", help="let the clock jump to the next change whenever a batch is asked for")
    add("--rate", type=float, default=1.0, help="virtual seconds in one real second (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
