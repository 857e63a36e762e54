"""Runs the steps of a composite GitHub Action, and of a GitLab job, as a runner does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACTION = Path(__file__).parents[2] / "deploy" / "github-action"
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


@dataclass
class Api:
    """The comments of pull requests, as the API of GitHub keeps them."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    status: int = 200


@contextmanager
def github_api() -> Iterator[Api]:
    """Serve the comments of pull request 7."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        """List, add and change comments."""

        def do_GET(self) -> None:
            self._answer(api.comments)

        def do_POST(self) -> None:
            api.comments.append({"id": len(api.comments) + 1, **self._content()})
            self._answer(api.comments[-1])

        def do_PATCH(self) -> None:
            comment = api.comments[int(self.path.rpartition("/")[2]) - 1]
            comment |= self._content()
            self._answer(comment)

        def log_message(self, *_: object) -> None:
            """Write no log."""

        def _content(self) -> dict[str, Any]:
            found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return found

        def _answer(self, content: object) -> None:
            api.tokens.add(self.headers["Authorization"])
            data = json.dumps(content).encode()
            self.send_response(api.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Ended:
    """A step that has ended: exit code, log, outputs and summary."""

    code: int
    log: str
    outputs: Mapping[str, str]
    summary: str


def run_action(
    folder: Path, event: Mapping[str, Any], environ: Mapping[str, str], api: Api | None = None, **inputs: str
) -> Ended:
    """Run the steps of the action in a checkout.

    Args:
        folder: The checkout.
        event: Content of the event file.
        environ: Environment of the runner.
        api: The API; None if it cannot be reached.
        **inputs: Inputs of the action, `_` for `-`.

    Returns:
        What its last step did.
    """
    action = YAML(typ="safe").load((ACTION / "action.yml").read_text(encoding="utf-8"))
    values = {name: str(item.get("default", "")) for name, item in action["inputs"].items()}
    values |= {name.replace("_", "-"): text for name, text in inputs.items()}
    runner = folder / ".runner"
    runner.mkdir(exist_ok=True)
    files = {name: runner / name for name in ("output", "summary")}
    for file in files.values():
        file.write_text("", encoding="utf-8")
    (runner / "event.json").write_text(json.dumps(event), encoding="utf-8")
    fixed = {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTION_PATH": str(ACTION),
        "GITHUB_API_URL": api.url if api is not None else "http://127.0.0.1:9",
        "GITHUB_EVENT_PATH": str(runner / "event.json"),
        "GITHUB_OUTPUT": str(files["output"]),
        "GITHUB_REPOSITORY": "team/jobs",
        "GITHUB_STEP_SUMMARY": str(files["summary"]),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    known = {f"inputs.{name}": text for name, text in values.items()} | {"github.token": "job-token"}

    def filled(text: str) -> str:
        return _EXPRESSION.sub(lambda found: known[found[1]], _EXPRESSION.sub(lambda found: known[found[1]], text))

    log, code = "", 0
    for step in action["runs"]["steps"]:
        if step.get("if") == "inputs.install != ''" and not values["install"]:
            continue
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an expression in a script would be run as a script"
        own = {name: filled(text) for name, text in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=folder / filled(step.get("working-directory", ".")),
            env={**environ, **fixed, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        log, code = log + done.stdout, done.returncode
        if code:
            break
    lines = files["output"].read_text(encoding="utf-8").splitlines()
    outputs = dict(line.split("=", 1) for line in lines)
    return Ended(code, log, outputs, files["summary"].read_text(encoding="utf-8"))
