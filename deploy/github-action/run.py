"""The steps of the GitHub Action: check, plan with a comment on the pull request, apply the reviewed plan, sync.

Only the standard library is used, because the Python that runs this need not be that of batchsync. Annotations of
problems are written by batchsync itself, which notices GITHUB_ACTIONS.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

#: First line of the comment, by which the next plan of the pull request finds it.
MARK = "<!-- batchsync plan -->"
#: GitHub refuses longer comments.
COMMENT_MAX = 60_000
#: Exit codes of `plan --detailed-exitcode` that are no failure: nothing to send, something to send, awaiting approval.
PLANNED = (0, 10, 6)
#: Exit codes of `sync` after a plan was sent: as it should, or with more bad rows than its budget.
APPLIED = (0, 4)
_SHA = re.compile(r"[0-9a-f]{40,64}")
_SECONDS = 30


def main() -> int:
    """Run the command of the action and return the exit code of the step."""
    command = os.environ.get("INPUT_COMMAND", "")
    steps = {"check": check, "plan": plan, "apply": apply, "sync": sync}
    if command not in steps:
        return refuse(f'command "{command}" is none of {", ".join(steps)}')
    code = steps[command]()
    output("exit-code", str(code))
    return code


def check() -> int:
    """Validate, test and plan without network, secrets and state; return the first exit code that is not 0."""
    codes = [
        run("validate", "--untrusted")[0],
        run("test", "--untrusted", "-o", "junit", to=Path(os.environ.get("INPUT_JUNIT") or os.devnull))[0],
    ]
    summarised = [("test", "--untrusted", "-o", "md"), ("plan", "--untrusted", "-o", "md")]
    for arguments in summarised if codes[0] == 0 else []:
        code, text = run(*arguments)
        summary(text)
        codes.append(code)
    return next((code for code in codes if code), 0)


def plan() -> int:
    """Plan with the state of this machine, keep the plan file, and comment the pull request."""
    request = pull_request()
    if request is None or not is_own(request):
        return refuse("a plan is made for a pull request of this repository's own branches only")
    file = plan_file(request)
    file.unlink(missing_ok=True)
    code, text = run("plan", "--limit", "0", "--detailed-exitcode", "--out", str(file), "-o", "md")
    summary(text)
    found = re.search(r"plan file ([0-9a-f]{12})", text)
    output("plan-id", found[1] if found else "")
    output("changes", "true" if code in PLANNED[1:] else "false")
    if os.environ.get("INPUT_COMMENT") == "true":
        comment(request["number"], text if code in PLANNED else f"{text}\nbatchsync plan ended with {code}.\n")
    return 0 if code in PLANNED else code


def apply() -> int:
    """Send the plan that was made of the merged pull request, and delete its file."""
    request = pull_request()
    if request is None or request.get("merged") is not True or not is_own(request):
        return refuse("only the plan of a merged pull request of this repository is applied")
    file = plan_file(request)
    if not file.is_file():
        return refuse(f"there is no plan file {file.name}: run the job that plans again, or `batchsync sync`")
    code, text = run("sync", "--plan", str(file), "-o", "md")
    summary(text)
    if code in APPLIED:
        file.unlink()
    return code


def sync() -> int:
    """Send what changed."""
    code, text = run("sync", "-o", "md")
    summary(text)
    return code


def run(*arguments: str, to: Path | None = None) -> tuple[int, str]:
    """Run batchsync; return its exit code and what it printed, which is written to a file, too, if `to` is given."""
    print(f"$ batchsync {' '.join(arguments)}", flush=True)
    environ = {name: text for name, text in os.environ.items() if name != "INPUT_TOKEN"}
    done = subprocess.run(["batchsync", *arguments], env=environ, stdout=subprocess.PIPE, text=True, check=False)
    if to is not None:
        to.write_text(done.stdout, encoding="utf-8")
    return done.returncode, done.stdout


def pull_request() -> dict[str, Any] | None:
    """Return the pull request of the event; None if it is of another kind."""
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    found = event.get("pull_request")
    return found if isinstance(found, dict) else None


def is_own(request: dict[str, Any]) -> bool:
    """Return whether a pull request comes from a branch of this repository."""
    head = request["head"].get("repo") or {}
    return bool(head.get("full_name") == os.environ["GITHUB_REPOSITORY"])


def plan_file(request: dict[str, Any]) -> Path:
    """Return the plan file of a pull request, in a private folder."""
    sha = request["head"]["sha"]
    if not _SHA.fullmatch(sha):
        raise SystemExit(refuse("the event names no commit"))
    if not os.environ.get("INPUT_PLANS"):
        raise SystemExit(refuse("plans: name a folder of this machine that keeps plan files"))
    folder = Path(os.environ["INPUT_PLANS"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{sha}.plan"


def comment(number: int, text: str) -> None:
    """Write the plan as a comment on the pull request, or replace that of the plan before."""
    body = f"{MARK}\n{text}"
    if len(body) > COMMENT_MAX:
        body = f"{body[:COMMENT_MAX]}\n\nThe rest is in the summary of the run.\n"
    base = f"/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    try:
        known = ask("GET", f"{base}/{number}/comments?per_page=100")
        former = next((item["id"] for item in known if str(item["body"]).startswith(MARK)), None)
        if former is None:
            ask("POST", f"{base}/{number}/comments", {"body": body})
        else:
            ask("PATCH", f"{base}/comments/{former}", {"body": body})
    except (OSError, URLError, ValueError) as error:
        # The plan file is what counts; its summary is on the page of the run.
        print(f"::warning title=batchsync::the plan could not be written as a comment: {error}", flush=True)


def ask(method: str, path: str, content: object = None) -> Any:
    """Send a request to the API of GitHub and return its answer."""
    url = os.environ.get("GITHUB_API_URL", "https://api.github.com") + path
    fields = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {os.environ.get('INPUT_TOKEN', '')}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    data = None if content is None else json.dumps(content).encode()
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError("the address of the API is not https")
    request = urllib.request.Request(url, data, fields, method=method)
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        return json.load(answer)


def summary(text: str) -> None:
    """Add a text to the summary of the run."""
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def output(name: str, value: str) -> None:
    """Set an output of the step."""
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.write(f"{name}={value}\n")


def refuse(message: str) -> int:
    """Report a mistake of the workflow, and return its exit code."""
    print(f"::error title=batchsync::{message}", flush=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
