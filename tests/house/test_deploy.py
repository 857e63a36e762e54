"""The files of deploy/ and examples/gitops are well-formed, pinned, restricted and without secrets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UNIT = DEPLOY / "systemd" / "batchsync.service"
#: Steps of the Dockerfile, with continued lines joined.
STEPS = [line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
OVERLAYS = ("serve", "sync")


def read(path: Path) -> Any:
    """Return the only document of a YAML file."""
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def test_every_yaml_file_is_well_formed() -> None:
    files = [*DEPLOY.rglob("*.y*ml"), *(ROOT / "examples" / "gitops").rglob("*.y*ml"), ROOT / ".pre-commit-hooks.yaml"]
    assert len(files) >= 10
    for file in files:
        assert list(YAML(typ="safe").load_all(file.read_text(encoding="utf-8"))), file


def test_image_is_pinned_and_runs_without_root() -> None:
    bases = [step.split()[1] for step in STEPS if step.startswith("FROM")]
    assert set(bases) == {"python:${PYTHON}", "runtime"}
    assert re.search(r"^ARG PYTHON=3\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    users = [step.split()[1] for step in STEPS if step.startswith("USER")]
    assert users[-1] == "10001:10001"
    # Each stage that becomes root gives it up again.
    assert users == ["10001:10001", "0:0", "10001:10001"]
    assert sum(step.startswith("HEALTHCHECK") for step in STEPS) == 1
    assert any("--require-hashes" in step and "requirements.lock" in step for step in STEPS)
    assert not re.search(r"^(ENV|ARG)\s.*(TOKEN|SECRET|PASSWORD|KEY)", DOCKERFILE, re.MULTILINE)
    assert not re.search(r"^ADD|curl|wget|sudo|:latest", DOCKERFILE, re.MULTILINE)
    assert 'ENTRYPOINT ["batchsync"]' in DOCKERFILE


def test_what_the_image_copies_builds_the_whole_wheel(tmp_path: Path) -> None:
    copied = [name for step in STEPS if step.startswith("COPY") and "--from" not in step for name in step.split()[1:-1]]
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in copied} == {line for line in allowed if line.startswith("!")}
    context = tmp_path / "context"
    context.mkdir()
    for name in copied:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, context / name)
    built = {folder: wheel_names(folder, tmp_path / str(index)) for index, folder in enumerate((ROOT, context))}
    assert built[context] == built[ROOT]


def test_extras_of_the_image_get_the_tested_versions(tmp_path: Path) -> None:
    (command,) = re.findall(r"(sed -nE .+?) > constraints.txt", DOCKERFILE)
    shutil.copyfile(ROOT / "requirements-dev.lock", tmp_path / "requirements-dev.lock")
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True)
    constraints = done.stdout.splitlines()
    locked = re.findall(
        r"^([a-z0-9._-]+==.+?) \\$", (ROOT / "requirements-dev.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert constraints == locked
    names = [line.partition("==")[0] for line in constraints if ";" not in line]
    assert len(names) == len(set(names)) > 50


def wheel_names(folder: Path, out: Path) -> set[str]:
    """Build the wheel of a source tree as the Dockerfile does, and return the names in it."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_compose_file_runs_without_privileges_and_latest() -> None:
    services = read(DEPLOY / "compose.yaml")["services"]
    assert set(services) == {"batchsync", "mocks", "postgres"}
    for name in ("batchsync", "mocks"):
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
    assert services["batchsync"]["read_only"] is True
    assert re.fullmatch(r"postgres:\d+\.\d+-alpine[\d.]+", services["postgres"]["image"])
    for path, _ in re.findall(r"- (\.\./[\w./]+):(/\S+)", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")):
        assert (DEPLOY / path).exists(), path
    context = DEPLOY / services["batchsync"]["build"]["context"]
    assert (context / services["batchsync"]["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_pods_are_restricted_and_keep_one_state(overlay: str) -> None:
    documents = kustomized(DEPLOY / "kubernetes" / overlay)
    kinds = {item["kind"]: item for item in documents}
    workload = kinds["Deployment" if overlay == "serve" else "CronJob"]
    spec = workload["spec"] if overlay == "serve" else workload["spec"]["jobTemplate"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    claims = {item["metadata"]["name"] for item in documents if item["kind"] == "PersistentVolumeClaim"}
    volumes = {item["name"]: item for item in pod["volumes"]}
    assert {
        item["persistentVolumeClaim"]["claimName"] for item in volumes.values() if "persistentVolumeClaim" in item
    } == claims
    assert {item["name"] for item in container["volumeMounts"]} == set(volumes)
    assert "jobs.yaml" in kinds["ConfigMap"]["data"]
    folders = {item["name"]: item["value"] for item in container["env"]}
    mounts = [item["mountPath"] for item in container["volumeMounts"] if not item.get("readOnly")]
    assert all(any(path.startswith(f"{mount}/") for mount in mounts) for path in folders.values())
    if overlay == "serve":
        assert (workload["spec"]["replicas"], workload["spec"]["strategy"]) == (1, {"type": "Recreate"})
        (port,) = (item["containerPort"] for item in container["ports"])
        assert container["args"][-1] == f"0.0.0.0:{port}"
        assert {
            container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        } == {
            "/healthz",
            "/readyz",
        }
        assert workload["spec"]["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    else:
        assert workload["spec"]["concurrencyPolicy"] == "Forbid"


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """Return the documents of an overlay: those of `kubectl kustomize` where it is, else the files that it names."""
    if (kubectl := shutil.which("kubectl")) is not None:
        done = subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, text=True)
        return list(YAML(typ="safe").load_all(done.stdout))
    found: list[dict[str, Any]] = []
    rules = read(folder / "kustomization.yaml")
    for name in rules["resources"]:
        path = folder / name
        found += kustomized(path) if path.is_dir() else YAML(typ="safe").load_all(path.read_text(encoding="utf-8"))
    for made in rules.get("configMapGenerator", ()):
        data = {name: (folder / name).read_text(encoding="utf-8") for name in made["files"]}
        found.append({"kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": data})
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_jobs_of_kubernetes_are_valid(overlay: str) -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("BATCHSYNC_")}
    file = DEPLOY / "kubernetes" / overlay / "jobs.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "batchsync", "-f", file, "validate"],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_systemd_unit_is_valid_and_confined(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    assert settings["User"] == "batchsync"
    assert settings["ProtectSystem"] == "strict"
    assert settings["NoNewPrivileges"] == "yes"
    assert settings["CapabilityBoundingSet"] == ""
    assert settings["RestartPreventExitStatus"] == "2"
    assert settings["SuccessExitStatus"] == "143"
    assert not re.search(r"TOKEN=|SECRET=|PASSWORD=", text)
    if (analyze := shutil.which("systemd-analyze")) is None:
        return
    unit = tmp_path / "batchsync.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE), encoding="utf-8")
    done = subprocess.run([analyze, "verify", "--man=no", unit], check=False, capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "batchsync.service" in line] == []
    judged = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", unit], check=False, capture_output=True, text=True
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_pre_commit_hooks_name_commands() -> None:
    hooks = {hook["id"]: hook for hook in read(ROOT / ".pre-commit-hooks.yaml")}
    used = [item["id"] for item in read(ROOT / "examples" / "gitops" / ".pre-commit-config.yaml")["repos"][0]["hooks"]]
    assert set(used) == set(hooks)
    for hook in hooks.values():
        assert hook["language"] == "python"
        assert hook["entry"].startswith("batchsync ")
        re.compile(hook["files"])
    assert re.search(hooks["batchsync-fmt"]["files"], "team/jobs.yaml")
    assert not re.search(hooks["batchsync-fmt"]["files"], "my-jobs.yaml")


def test_gitlab_template_has_no_unknown_keys() -> None:
    template = read(DEPLOY / "gitlab" / "batchsync.gitlab-ci.yml")
    known = {"stage", "image", "rules", "before_script", "script", "artifacts", "tags", "resource_group", "variables"}
    jobs = {name: job for name, job in template.items() if name != "variables"}
    assert set(jobs) == {"batchsync:check", "batchsync:plan", "batchsync:apply", "batchsync:deliver"}
    for job in jobs.values():
        assert set(job) <= known
        assert all(isinstance(line, str) for line in job["script"])
    # What has secrets runs on the machine that delivers, and not for forks.
    assert "CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in jobs["batchsync:plan"]["rules"][0]["if"]
    assert all(job.get("tags") == ["batchsync"] for name, job in jobs.items() if name != "batchsync:check")
