"""Load jobs.yaml into a `Deployment`, or report every problem in it at once.

Credentials are not resolved: the file loads without any of them in the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.deployment import Deployment, Resources
from batchsync.core.executor_choice import THREADS
from batchsync.core.retention import Retention
from batchsync.errors import Problem, SpecError, UsageError
from batchsync.spec.check_former_names import check_former_names
from batchsync.spec.check_names import check_names
from batchsync.spec.compile_alerts import AlertsCompiler, DeclaredJobs, job_facts
from batchsync.spec.compile_backup import compile_backup
from batchsync.spec.compile_connection import ConnectionCompiler, Vendors
from batchsync.spec.compile_database import DatabaseCompiler, is_database
from batchsync.spec.compile_job import JobCompiler
from batchsync.spec.compile_scenarios import compile_scenarios
from batchsync.spec.compile_storage import compile_storage, is_storage
from batchsync.spec.compile_tests import compile_tests
from batchsync.spec.file_text import read_text
from batchsync.spec.include import read_files
from batchsync.spec.interpolate import Resolver, TypedMap
from batchsync.spec.job_order import Ordering
from batchsync.spec.located_text import LocatedText
from batchsync.spec.located_yaml import Broken, Map, read_tree
from batchsync.spec.merge import environments_of, with_environment
from batchsync.spec.model_validator import ModelValidator
from batchsync.spec.models import DocumentModel
from batchsync.spec.problems import Problems
from batchsync.util.path_fence import PathFence
from batchsync.util.suggestions import names_hint, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from batchsync.core.connection import Connection
    from batchsync.core.job import Job
    from batchsync.core.mapping_test import MappingTest
    from batchsync.core.object_storage import Storage
    from batchsync.core.query import Database
    from batchsync.core.vendor_rules import VendorRules


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line chooses of a jobs file: an environment, and a folder of further files of jobs."""

    environment: str | None = None
    jobs_folder: Path | None = None


def check_environment(tree: Map, chosen: str | None, path: Path) -> None:
    """Check that the chosen environment is declared, and one is chosen if there are any.

    Raises:
        UsageError: If it is not.
    """
    known = environments_of(tree)
    if chosen is None and not known:
        return
    if chosen is None:
        hint = " or ".join(f"--env {name}" for name in known[:4])
        raise UsageError(f"{path} declares environments: name one", hint=f"add {hint}", name="usage.environment")
    if chosen not in known:
        message = f'unknown environment "{chosen}"' if known else f"{path} declares no environments"
        hint = names_hint(chosen, known, "environments") if known else "omit --env, or declare environments:"
        raise UsageError(message, hint=hint, name="usage.environment")


def load(  # noqa: PLR0913 - each is an aspect of one file
    path: Path,
    *,
    vendors: Mapping[str, VendorRules] | None = None,
    environ: Mapping[str, str] | None,
    on_resources: Callable[[Resources], None] | None = None,
    check_source: Callable[[Job, VendorRules], Iterable[Problem]] | None = None,
    fence: PathFence | None = None,
    choice: Choice = Choice(),
) -> Deployment:
    """Load a jobs.yaml.

    Args:
        path: The file.
        vendors: Vendor rules by name; None for all available vendors and for folders named in the file.
        environ: Environment variables, substituted for `${NAME}` everywhere but in credentials. With None none is
            read and no vendor folder is: placeholders stand in, and values that depend on them are not checked.
        on_resources: Called with the resource limits of the file before polars is imported, which reads its settings
            only once.
        check_source: Return the mismatches of a job with its source. Called for the jobs of a file with problems, to
            report these together with those that would otherwise be found only later.
        fence: Where paths of the file may lead; None for every folder on a disk.
        choice: Which environment holds, and a folder of further files.

    Returns:
        The deployment, with jobs in dependency order.

    Raises:
        SpecError: If the file is invalid; contains every problem in the order of the file.
    """
    found = read_files(path, fence=fence, jobs_folder=choice.jobs_folder)
    tree, problems = found.tree, found.problems
    if found.incomplete:
        raise SpecError(problems.sorted())
    if not isinstance(tree, Map | Broken | None):
        problems.add("value", tree.start, "the file is not a mapping", "version: 1, connections: ..., jobs: ...")
    if isinstance(tree, Map):
        check_environment(tree, choice.environment, path)
        tree = with_environment(tree, choice.environment, problems)
    context = _LoadContext(path, vendors, environ, on_resources, check_source, fence or PathFence())
    deployment = _deployment(context, tree, problems) if isinstance(tree, Map) else None
    if deployment is None or len(problems):
        raise SpecError(problems.sorted())
    return deployment


def fill_in_lines(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Return the problems with their missing source lines filled in from readable files."""
    sources: dict[str, LocatedText | None] = {}
    filled = []
    for problem in problems:
        if problem.line and problem.file and not problem.source_line:
            if problem.file not in sources:
                sources[problem.file] = _shown_source(Path(problem.file))
            source = sources[problem.file]
            filled.append(replace(problem, source_line=source.line(problem.line)) if source is not None else problem)
        else:
            filled.append(problem)
    return tuple(filled)


def _shown_source(path: Path) -> LocatedText | None:
    """Return the text of a file with secrets hidden; None if it cannot be read."""
    try:
        problems = Problems(LocatedText(str(path), read_text(path)))
    except SpecError:
        return None
    read_tree(problems)
    return problems.source


@dataclass(frozen=True, slots=True)
class _LoadContext:
    """The arguments of `load`."""

    path: Path
    vendors: Mapping[str, VendorRules] | None
    environ: Mapping[str, str] | None
    on_resources: Callable[[Resources], None] | None
    check_source: Callable[[Job, VendorRules], Iterable[Problem]] | None
    fence: PathFence


def folder_of(path: Path) -> Path:
    """Return the folder at which relative paths start: that of the file, for a pipe the working directory."""
    folder = path.absolute().parent
    is_pipe = folder in {Path("/dev"), Path("/dev/fd")} or folder.is_relative_to("/proc")
    return Path.cwd() if is_pipe else folder


def _deployment(context: _LoadContext, tree: Map, problems: Problems) -> Deployment | None:
    """Return the deployment with everything that is valid in the file."""
    from batchsync.spec.vendor_spec import available_vendors, is_available, load_vendor  # noqa: PLC0415 - not needed when vendors are given

    typed = Resolver(context.environ, problems).resolve_map(tree)
    folder = folder_of(context.path)
    validator = ModelValidator(problems)
    document = _check_top_level(typed, validator)
    resources = _resources(document, typed, problems)
    if context.on_resources is not None:
        context.on_resources(resources)
    has_folders = context.environ is not None
    vendors = Vendors(context.vendors, available_vendors, is_available, load_vendor, has_folders=has_folders)
    connection_compiler = ConnectionCompiler(folder, validator, vendors, problems, context.fence)
    database_compiler = DatabaseCompiler(folder, validator, context.fence, problems)
    connections: dict[str, Connection] = {}
    rules: dict[str, VendorRules | None] = {}
    databases: dict[str, Database | None] = {}
    storages: dict[str, Storage | None] = {}
    for entry in _named_entries("connection", typed, "connections", problems).entries:
        if is_database(entry):
            databases[entry.key] = database_compiler.compile(entry)
            continue
        if is_storage(entry):
            storages[entry.key] = compile_storage(entry, validator, folder, context.fence, problems)
            continue
        found = connection_compiler.compile(entry)
        rules[entry.key] = found[1] if found else None
        if found:
            connections[entry.key] = found[0]
    compiler = JobCompiler(
        folder=folder,
        validator=validator,
        vendors=rules,
        problems=problems,
        fence=context.fence,
        databases=databases,
        storages=storages,
    )
    entries = _named_entries("job", typed, "jobs", problems).entries
    jobs: dict[str, Job] = {}
    tests: dict[str, tuple[MappingTest, ...]] = {}
    for entry in entries:
        ignored = problems.ignored
        job = compiler.compile(entry)
        tests[entry.key] = compile_tests(entry, job, problems)
        # A job with a placeholder where only some values are valid is not known well enough.
        if job is not None and problems.ignored == ignored:
            jobs[entry.key] = job
    scenarios = compile_scenarios(document.scenarios, typed.get("scenarios"), [item.key for item in entries], problems)
    backup = compile_backup(document.state.backup, typed, folder, storages, problems, context.fence)
    ordered = Ordering(entries, jobs, problems).ordered()
    facts = [job_facts(job, vendor.name) for job in ordered if (vendor := rules[job.connection]) is not None]
    alerts_compiler = AlertsCompiler(folder, validator, context.fence, problems)
    alerts = alerts_compiler.compile(typed.entry("alerts"), DeclaredJobs(entries, facts))
    if len(problems):
        _add_source_problems(context, (*jobs.values(), *compiler.partial_jobs), rules, problems)
    return Deployment(
        file=str(context.path),
        connections=connections,
        jobs=ordered,
        resources=resources,
        state_required=document.state.required,
        substituted=problems.values,
        unchecked=_unchecked(problems, [entry.key for entry in entries if entry.key not in jobs]),
        retention=Retention(**document.retention.model_dump()),
        databases={name: item for name, item in databases.items() if item is not None},
        storages={name: item for name, item in storages.items() if item is not None},
        tests={name: found for name, found in tests.items() if found},
        scenarios=scenarios,
        backup=backup,
        alerts=alerts,
    )


def _resources(document: DocumentModel, typed: TypedMap, problems: Problems) -> Resources:
    """Return the resources of preparation."""
    chosen = typed.entry("executor")
    if document.memory == "small" and document.executor.kind != THREADS and chosen is not None:
        message = '"executor" with memory: small, which prepares in a single thread of one process'
        problems.add("value", chosen.start, message, "one of both")
    return Resources(threads=document.threads, memory=document.memory, executor=document.executor)


def _unchecked(problems: Problems, jobs: Iterable[str]) -> tuple[str, ...]:
    """Return what placeholders stand in for: lines, and jobs that cannot be compiled without them."""
    places = sorted({(place.file, place.line) for place in map(problems.source.place, problems.unchecked)})
    main = problems.source.file
    lines = [f"line {line}" if file == main else f"{file}:{line}" for file, line in places]
    return (*lines, *(f"job {job}" for job in jobs))


def _add_source_problems(
    context: _LoadContext, jobs: Iterable[Job], rules: Mapping[str, VendorRules | None], problems: Problems
) -> None:
    """Add mismatches of jobs with their sources, except at places that already have a problem."""
    known = {(item.file, item.line, item.column) for item in problems.sorted()}
    for job in jobs:
        vendor = rules[job.connection]
        if context.check_source is not None and vendor is not None and job.source.job is None and job.source.is_local:
            more = context.check_source(job, vendor)
            problems.extend(item for item in more if (item.file, item.line, item.column) not in known)


def _check_top_level(typed: TypedMap, validator: ModelValidator) -> DocumentModel:
    """Validate the top-level keys and return them.

    Connections, jobs and alerts are emptied here; they are validated elsewhere.
    """
    without_blocks = tuple(
        type(entry)(entry.key, entry.start, TypedMap((), entry.start))
        if entry.key in {"connections", "jobs", "alerts"} and isinstance(entry.value, TypedMap)
        else entry
        for entry in typed.entries
    )
    return validator.validate(
        DocumentModel,
        TypedMap(without_blocks, typed.start),
        "the file",
        typed.start,
        {"version": 1, "connections": {}, "jobs": {}},
    ).model


def _named_entries(kind: str, typed: TypedMap, key: str, problems: Problems) -> TypedMap:
    """Return the block of jobs or connections after validation of its names; empty if it is unusable."""
    entry = typed.entry(key)
    if entry is None or not isinstance(entry.value, TypedMap):
        return TypedMap((), 0)
    if not entry.value.entries:
        problems.add(
            "value", entry.start, f"{quoted(key)} is empty", f"at least one {kind}: its name, a colon, its block"
        )
    check_names(kind, entry.value, problems)
    check_former_names(kind, entry.value, problems)
    return entry.value
