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

from lading_mocks import disk
from lading_mocks.clock import Clock
from lading_mocks.serving import VENDORS, serve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading_mocks.serving import Running


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT, or with `--exit-with-stdin` the end of standard input; gives the exit code."""
    wish = _parser().parse_args(arguments)
    stop = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: stop.set())
    try:
        clock = Clock(wish.clock, frozen=wish.frozen, rate=wish.rate)
        running = serve(
            wish.vendors or tuple(VENDORS),
            host=wish.host,
            port=wish.port,
            state_dir=wish.state_dir,
            https=wish.https,
            clock=clock,
            seed=wish.seed,
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"lading_mocks: {error}\n")
        return 2
    with running:
        try:
            _announce(running, wish)
        except OSError as error:
            sys.stderr.write(f"lading_mocks: {error}\n")
            return 2
        if wish.exit_with_stdin:
            threading.Thread(target=_outlive_nobody, args=(stop,), daemon=True).start()
        stop.wait()
    return 0


def ready(running: Running) -> dict[str, Any]:
    """Say what a client needs to know: the process, each vendor's address and credentials, the clock, the CA."""
    return {
        "pid": os.getpid(),
        "vendors": {
            name: {"base_url": url, "credentials": running.credentials(name)} for name, url in running.urls.items()
        },
        "clock_url": f"{running.url}/_mock/clock",
        "ca": str(running.ca) if running.ca else None,
    }


def _announce(running: Running, wish: argparse.Namespace) -> None:
    said = ready(running)
    if wish.ca_out is not None and running.ca is not None:
        shutil.copyfile(running.ca, wish.ca_out)
        said["ca"] = str(wish.ca_out.resolve())
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    if wish.ready_file is not None:
        disk.write_json(wish.ready_file, said)


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
    add("--seed", type=int, help="the same ids and tokens in every run")
    add("--clock", help="where the clock starts, like 2026-01-31T09:30:00Z (default: real time)")
    add("--frozen", action="store_true", help="let the clock stand still until it is advanced")
    add("--rate", type=float, default=1.0, help="virtual seconds in one real second (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
