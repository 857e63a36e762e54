"""`lading mocks serve`. The mocks are a program of their own: lading starts them and never imports them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lading.cli.command import SETTINGS, command
from lading.cli.ending import print_answer
from lading.cli.session import Answer, Session
from lading.errors import EnvironmentProblem, ExitCode, UsageError
from lading.report.said import Said
from lading.vendors.bundled import check_installed

if TYPE_CHECKING:
    from collections.abc import Callable


def _path(name: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, type=click.Path(path_type=Path), metavar="PATH", help=text)


@command("serve", example="lading mocks serve\nlading mocks serve sitecore-cdp --port 8080 --profile storm --seed 7")
@click.argument("vendors", nargs=-1, metavar="[VENDOR]...")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", help="Where to listen (default: 127.0.0.1).")
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", default=0, help="Port of the first vendor; 0: any (default)."
)
@_path("--state-dir", "Folder to go on from and to remember in (default: a temporary one).")
@_path("--ready-file", "Write addresses and credentials here, as JSON, once all ports are open.")
@click.option("--https", is_flag=True, help="Serve HTTPS with a certificate authority made for the purpose.")
@_path("--ca-out", "With --https: copy the authority's certificate here.")
@click.option("--seed", type=int, metavar="N", help="The same ids and tokens in every run.")
@click.option("--https-only", is_flag=True, help="The same, in the vendors' words: plain HTTP is refused.")
@click.option("--profile", multiple=True, metavar="NAME", help="A fault profile, or a .yaml file of one; repeatable.")
@click.option(
    "--switch", multiple=True, metavar="VENDOR.NAME=VALUE", help="Read the documents the other way; repeatable."
)
@click.option("--list", is_flag=True, help="List the profiles and the switches, and serve nothing.")
@click.option("--auto", is_flag=True, help="Let their clock jump to the next change whenever a batch is asked for.")
@click.option("--clock", metavar="MOMENT", help="Where their clock starts, as in 2026-01-31T09:30:00Z.")
@click.option("--frozen", is_flag=True, help="Let their clock stand still until it is advanced.")
@click.option("--rate", type=float, metavar="N", help="Virtual seconds in one real second.")
def serve(session: Session, vendors: tuple[str, ...], **wishes: Any) -> int:
    """Serve the vendors in the box until Ctrl-C, for trying things out.

    Prints addresses and credentials once everything listens. `lading sync --mocks` starts mocks of its own and needs
    none of this.
    """
    check_installed()
    command = [sys.executable, "-m", "lading_mocks", *vendors, "--exit-with-stdin", *_arguments(wishes)]
    if wishes["list"]:
        return subprocess.run(command, check=False).returncode  # noqa: S603 - our own interpreter and our own program
    # A shell starts what it runs in the background deaf to Ctrl-C, and so would these mocks outlive everybody.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The mocks end when this process does, however it does: they watch their standard input.
    said = ""
    interrupted = False
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own interpreter and our own program
        try:
            said = process.stdout.readline() if process.stdout else ""
            if said:
                print_answer(Answer(report=_ready(json.loads(said))), session)
                sys.stdout.flush()
            code = process.wait()
        except KeyboardInterrupt:
            interrupted = True
            if process.stdin is not None:
                process.stdin.close()
            code = process.wait()
    if code == ExitCode.INVALID:
        raise UsageError("the mocks refused to start", hint="the line above says why; `lading mocks serve --help`")
    if not said and not interrupted:
        raise EnvironmentProblem("the mocks did not start", hint="the lines above say why; `lading mocks serve --help`")
    return ExitCode.DONE if code == 0 else ExitCode.UNEXPECTED


mocks = click.Group(
    "mocks",
    commands={"serve": serve},
    help="Run the vendors in the box.",
    context_settings=SETTINGS,
    no_args_is_help=True,
)


def _arguments(wishes: dict[str, Any]) -> list[str]:
    """Return the options for the program, spelled as it spells them."""
    spelled: list[str] = []
    for name, value in wishes.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            spelled.append(option)
        elif isinstance(value, tuple):
            spelled += [word for one in value for word in (option, str(one))]
        elif value not in (None, False):
            spelled += [option, str(value)]
    return spelled


def _ready(told: dict[str, Any]) -> Said:
    lines = []
    for name, one in told["vendors"].items():
        credentials = ", ".join(f"{key} {value}" for key, value in one["credentials"].items())
        lines.append(f"{name}: {one['base_url']} ({credentials})")
    return Said(sentences=(*lines, "Ctrl-C ends it"), facts=told)
