"""What the product trusts: formats that can run code, dependencies, their licences, and the actions of the workflow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = ("engine", "specs", "mocks", "tests", "tools", "benchmarks", "examples", "docs")
SOURCES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))

#: Modules whose data run code or crash the interpreter when they are loaded.
CODE_FORMATS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
#: Functions of libraries that load such data.
CODE_READERS = {"deserialize", "read_pickle", "unsafe_load", "full_load"}
#: Where such data is loaded, and why its origin is known.
ALLOWED = {
    # A member of a task, which the executor's own pipe carries as a pickle.
    "engine/batchsync/data/record/keyed_rows.py": {"pickle"},
    # An object whose digest is a member of a task (tests/data/test_scattered.py).
    "engine/batchsync/data/record/stored_value.py": {"pickle"},
    # JSON of an expression, written by the line above.
    "engine/batchsync/data/mapping/evaluate.py": {"deserialize"},
    # Blocks in the memory of the mocks.
    "mocks/batchsync_mocks/sitecore/value_store.py": {"marshal"},
    # Tasks, pickled and loaded by the test.
    "tests/data/test_executors.py": {"pickle"},
    "tests/kit/dying_workers.py": {"pickle"},
    # Sizes of tasks and of their results; nothing is loaded.
    "benchmarks/executors.py": {"pickle"},
    # An expression, as it travels in a task.
    "tests/data/test_expression_bounds.py": {"pickle"},
    # Results that workers of a test run leave in its private folder.
    "tests/kit/shared_work.py": {"pickle"},
}


def code_formats(tree: ast.AST) -> set[str]:
    """Return the code formats that a module imports or loads."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").partition(".")[0]}
            found |= {alias.name for alias in node.names} & CODE_READERS
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & CODE_READERS
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.add("pickle")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            first = node.args[0] if node.args else None
            if name in {"import_module", "__import__"} and isinstance(first, ast.Constant):
                found.add(str(first.value))
    return found & (CODE_FORMATS | CODE_READERS)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "def f():\n    import shelve",
        "from cloudpickle.x import y",
        "pl.Expr.deserialize(file)",
        "numpy.load(file, allow_pickle=True)",
        "import_module('marshal')",
        "__import__('dill')",
    ],
)
def test_each_way_to_a_code_format_is_found(source: str) -> None:
    assert code_formats(ast.parse(source))


def test_formats_that_run_code_are_read_only_where_listed() -> None:
    found = {str(file.relative_to(ROOT)): code_formats(ast.parse(file.read_text(encoding="utf-8"))) for file in SOURCES}
    del found[str(Path(__file__).relative_to(ROOT))]

    assert {file: formats for file, formats in found.items() if formats} == ALLOWED


def test_pickled_specification_is_loaded_only_while_a_task_is_unpickled() -> None:
    """`_loaded` is named by `__reduce__` alone, so that no bytes of a file or a socket reach it."""
    text = (ROOT / "engine/batchsync/data/record/keyed_rows.py").read_text(encoding="utf-8")
    others = re.compile(r"keyed_rows import [^\n]*\b_loaded|keyed_rows\._loaded")

    sources = [file for file in SOURCES if file != Path(__file__)]
    assert [file for file in sources if others.search(file.read_text(encoding="utf-8"))] == []
    assert [line.strip() for line in text.splitlines() if re.search(r"(?<!`)\b_loaded\b", line)] == [
        "return _loaded, (self._pickled,)",
        "def _loaded(spec: bytes) -> TaskSpec:",
    ]


#: Distributions whose import name differs from theirs.
IMPORT_NAMES = {
    "pyjwt": "jwt",
    "ruamel-yaml": "ruamel.yaml",
    "pytest-httpserver": "pytest_httpserver",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
}
#: Dependencies that no module imports, and why they are needed.
UNIMPORTED = {
    "ruamel-yaml-clib": "the parser of libyaml, used by ruamel.yaml where it is installed",
    "tzdata": "the time zones of `zoneinfo` where the system has none, as in slim containers",
}


def names(requirements: list[str]) -> set[str]:
    """Return the normalized names of requirements."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[<>=!~\[; ]", item)[0]).lower() for item in requirements}


def imported() -> set[str]:
    """Return the dotted names of all modules that the product imports, and their parents."""
    found: set[str] = set()
    for file in SOURCES:
        if file.relative_to(ROOT).parts[0] not in {"engine", "specs", "mocks"}:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
                modules += [str(item.value) for item in node.args if isinstance(item, ast.Constant)]
            for module in modules:
                parts = module.split(".")
                found |= {".".join(parts[: end + 1]) for end in range(len(parts))}
    return found


#: Requirements of the package and of all extras.
DEPENDENCIES = [
    *PROJECT["project"]["dependencies"],
    *(item for extra in PROJECT["project"]["optional-dependencies"].values() for item in extra),
]


def test_every_dependency_is_used() -> None:
    declared = names(DEPENDENCIES)
    modules = imported()
    unused = {name for name in declared if IMPORT_NAMES.get(name, name.replace("-", "_")) not in modules}

    assert unused == UNIMPORTED.keys()


def test_every_imported_library_is_declared() -> None:
    declared = names(DEPENDENCIES)
    provided = {IMPORT_NAMES.get(name, name.replace("-", "_")).partition(".")[0] for name in declared}
    own = {"batchsync", "batchsync_mocks", "batchsync_specs"}
    # pydantic and pytest-httpserver show those of their own requirements in their interfaces; pytest loads the plugin.
    foreign = {name for name in imported() if name and "." not in name} - set(sys.stdlib_module_names) - own - provided

    assert foreign - {"_typeshed"} == {"pydantic_core", "pytest", "werkzeug"}


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))


def test_actions_are_pinned_by_hash() -> None:
    used = defaultdict(set)
    for workflow in WORKFLOWS:
        for line in workflow.read_text(encoding="utf-8").splitlines():
            if found := re.search(r"\buses:\s*(\S+)(.*)", line):
                used[workflow.name].add(found[1] + found[2])

    assert used
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)+.*")
    assert [action for actions in used.values() for action in actions if not pinned.fullmatch(action)] == []


def test_workflows_have_read_permission_only_and_keep_no_credentials() -> None:
    for workflow in WORKFLOWS:
        text = workflow.read_text(encoding="utf-8")
        assert re.search(r"^permissions:\n  contents: read\n(?! )", text, re.MULTILINE)
        assert "pull_request_target" not in text
        assert not re.search(r"\$\{\{\s*(secrets|github\.event)\.", text.replace("github.event_name", ""))
        assert text.count("actions/checkout@") == text.count("persist-credentials: false")


def locked() -> set[str]:
    """Return the names of all packages of the lock files."""
    locks = sorted(ROOT.glob("requirements*.lock"))
    assert locks
    return {
        name
        for lock in locks
        for name in re.findall(r"^([a-z0-9.-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)
    }


def listed() -> dict[str, tuple[str, str]]:
    """Return version and licence of each package of docs/licences.md."""
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9.-]+)` \| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    assert len(rows) == len({name for name, _, _ in rows})
    return {name: (version.strip(), licence.strip()) for name, version, licence in rows}


def test_licence_of_every_locked_package_is_listed() -> None:
    assert locked() == listed().keys()


def test_every_licence_is_an_spdx_expression_of_known_licences() -> None:
    """A new licence is read by a person, who then adds it here."""
    known = {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Python-2.0",
        "Zlib",
        "bzip2-1.0.6",
    }
    unknown = {
        name: licence
        for name, (_, licence) in listed().items()
        if not (parts := set(re.split(r" (?:AND|OR|WITH) |[()]", licence)) - {""}) or parts - known
    }

    assert unknown == {}


def test_licences_page_is_generated_from_the_locks() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "licences.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_only_their_own_targets_need_the_network_tools() -> None:
    """`audit` and `sbom` ask a package index, which `make test` and `make lint` must not need."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^([a-z-]+):([^#\n]*)## ", text, re.MULTILINE))

    assert {name for name, needed in rules.items() if "AUDIT" in needed} == {"audit", "sbom", "licences"}
    assert {"test", "lint", "sync", "wheel-test"} <= rules.keys()
    assert not re.search(
        r"make (?:audit|sbom|licences)|for target in[^;]*(?:audit|sbom)", (ROOT / ".ci/run").read_text()
    )
