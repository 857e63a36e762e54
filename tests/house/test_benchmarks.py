"""Benchmarks: stages add up to the duration, measurements are listed by name, and reports contain all lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import call_paths, generate, plots, prompt, report, stages, subject
from benchmarks.measurements import Measurement, Options, all_measurements

ROOT = Path(__file__).parents[2]
OPTIONS = Options(rows=1000, scale=(200, 1000), seed=7, data=Path("data"), peers=None)
PROGRESS = [
    (0.5, "07:00:03 guests: compare 25,000 rows"),
    (2.0, "07:00:04 guests: batch guests-38d2: prepared, 198,398 records, 32.7 MB"),
    (2.1, "07:00:04 guests: batch guests-38d2: allocated"),
    (2.6, "07:00:05 guests: batch guests-38d2: submitted"),
    (2.7, '07:00:05 guests: batch guests-38d2: submitted, vendor status "file_uploaded"'),
    (2.7, "07:00:05 waiting until 07:00:10"),
    (3.7, "07:00:27 guests: batch guests-38d2: finished, verdict processed (success)"),
    (4.0, "07:00:28 guests: batch guests-38d2: collected, accepted 198,398, rejected 0, unknown 0"),
    (4.5, "07:00:28 guests: batch guests-38d2: delivered, accepted 198,398, rejected 0, unknown 0"),
]


def run_benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_stages_of_a_sync_add_up_to_its_duration() -> None:
    spent = stages.split(PROGRESS, 5.0)
    expected = {"prepare": 2.0, "upload": 0.6, "wait": 1.1, "collect and settle": 0.3, "baseline": 0.5, "end": 0.5}
    assert spent == pytest.approx(expected)


def test_run_without_batches_is_preparation_only() -> None:
    assert stages.split(PROGRESS[:1], 3.0)["prepare"] == pytest.approx(3.0)


def test_benchmark_job_prepares_generated_guests(tmp_path: Path) -> None:
    source, _ = generate.generate(tmp_path, 200, 7)
    result, files = subject.prepare(source, tmp_path)
    assert result["rows"] == 200
    assert result["invalid"] < 20
    assert sum(file.rows for file in files) == result["sent"] == 200 - result["invalid"]


def test_measurements_have_unique_names_and_are_listed() -> None:
    names = [measurement.name for measurement in all_measurements(OPTIONS)]
    assert len(set(names)) == len(names)
    listed = run_benchmarks("--rows", "1000", "--list").stdout
    assert [name for name in names if f"  {name}\n" not in listed] == []


def test_unknown_measurement_is_refused_with_a_hint() -> None:
    refused = run_benchmarks("--only", "speed")
    assert refused.returncode != 0
    assert "unknown measurement speed; --list lists" in refused.stderr


def test_call_path_of_a_comparison_goes_from_the_engine_to_files_and_mapping(tmp_path: Path) -> None:
    functions = call_paths.measure("compare", tmp_path)
    names = {file: {name.rpartition(":")[0] for name in found} for file, found in functions.items()}
    assert "PolarsEngine.compare" in names["data/engine.py"]
    assert "apply_verdicts" not in {name for found in names.values() for name in found}  # only the baseline needed it
    assert {file.split("/")[1] for file in names if file.startswith("data/")} >= {"row", "mapping", "record", "compare"}
    count = sum(len(found) for found in functions.values())
    assert f"row to compared {len(functions)} {count}" in " ".join(call_paths.table({"compare": functions}).split())


def test_table_and_plots_show_every_line(tmp_path: Path) -> None:
    measured = [
        Measurement(name="sync", group="sync", command=lambda _: "no"),
        *[Measurement(name=f"{n} cores", group="cores", command=lambda _: "no", cores=n) for n in (1, 2)],
    ]
    runs = {
        "sync: first load": [{"rows": 10, "seconds": 2.0, "parts": {"prepare": 2.0}, "mocks_cpu": 1.5}],
        "1 cores": [{"rows": 10, "seconds": 2.0}, {"rows": 10, "seconds": 4.0}],
        "2 cores": [{"rows": 10, "seconds": 1.0}],
    }
    lines = report.lines(measured, runs)
    assert [(line.name, line.seconds) for line in lines] == [
        ("sync: first load", 2.0),
        ("1 cores", 3.0),
        ("2 cores", 1.0),
    ]
    table = report.table(lines, ("2 cores",))
    assert "prepare 2.0 s; the mocks 1.5 cpu s" in table
    plots.bars(lines, "a & b", tmp_path / "bars.svg")
    plots.scaling(lines, tmp_path / "scaling.svg")
    assert ">sync: first load<" in (tmp_path / "bars.svg").read_text()
    assert "a &amp; b" in (tmp_path / "bars.svg").read_text()
    assert (tmp_path / "scaling.svg").read_text().count("<circle") == 2


def test_prompt_benchmark_measures_every_command_on_small_deployments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [command.name for command in prompt.commands(tmp_path, prompt.Sizes(jobs=2, files=3, rejects=4))]
    assert (tmp_path / "rejects/jobs.yaml").is_file()
    monkeypatch.setattr(
        sys,
        "argv",
        ["prompt", "--jobs", "2", "--files", "3", "--rejects", "4", "--repeat", "1", "--against", str(ROOT)],
    )
    prompt.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line[:32].strip() for line in lines[1:]] == names


def test_prompt_benchmark_exports_all_rejects(tmp_path: Path) -> None:
    commands = prompt.commands(tmp_path, prompt.Sizes(jobs=1, files=1, rejects=4))
    export = next(command for command in commands if command.name == "rejects: export")
    subprocess.run([sys.executable, "-m", "batchsync", *export.arguments], cwd=export.folder, check=True, timeout=60)
    assert len((export.folder / "rejects.csv").read_text(encoding="utf-8").splitlines()) == 1 + 4
