"""The example of docs/alerts.md runs as it is printed, and its tables name every transition and channel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.alert_conditions import TRANSITIONS
from batchsync.core.alert_text import Message
from kit.deployment import JOBS
from kit.smtp_server import SmtpServer

if TYPE_CHECKING:
    from pytest_httpserver import HTTPServer

    from kit.deployment import Deployment

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- test: (.*?) -->\n```\w+\n(.*?)```", re.DOTALL)


def test_example_of_the_page_runs_as_printed(deployment: Deployment, httpserver: HTTPServer) -> None:
    blocks = dict(BLOCK.findall(PAGE))
    jobs = JOBS.replace("  guests:\n", "  guests:\n    tags: [nightly]\n")
    (deployment.folder / "jobs.yaml").write_text(jobs + blocks["jobs.yaml"], encoding="utf-8")
    for path in ("/slack", "/check/start", "/check/log", "/check"):
        httpserver.expect_request(path).respond_with_data("ok")
    with SmtpServer().running() as server:
        environ = {
            **deployment.environ(),
            "SLACK_WEBHOOK": httpserver.url_for("/slack"),
            "HEALTHCHECK_URL": httpserver.url_for("/check"),
            "SMTP_PORT": str(server.port),
        }
        environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
        for line in blocks["commands"].splitlines():
            done = subprocess.run(
                ["bash", "-c", line.removeprefix("$ ")],
                cwd=deployment.folder,
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    httpserver.check_assertions()
    assert [request.path for request, _ in httpserver.log] == [
        *("/slack", "/check/log"),
        "/slack",
        *("/check/start", "/check"),
    ]
    assert [mail.recipients for mail in server.mails] == [("data@example.com",)]


def test_tables_name_every_transition_and_member() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert listed == list(TRANSITIONS)
    members = re.findall(r'^  "(\w+)":', PAGE, re.MULTILINE)
    assert members == list(Message.__dataclass_fields__)
