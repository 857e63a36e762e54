"""Load jobs.yaml into a `Deployment`, or report every problem in it at once.

Credentials are not resolved: the file loads without any of them in the environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.deployment import Deployment, Resources
from batchsync.core.retention import Retention
from batchsync.errors import Problem, SpecError
from batchsync.spec.check_former_names import check_former_names
from batchsync.spec.check_names import check_names
from batchsync.spec.compile_backup import compile_backup
from batchsync.spec.compile_connection import ConnectionCompiler, Vendors
from batchsync.spec.compile_database import DatabaseCompiler, is_database
from batchsync.spec.compile_job import JobCompiler
from batchsync.spec.compile_storage import compile_storage, is_storage
from batchsync.spec.interpolate import Resolver, TypedMap
from batchsync.spec.job_order import Ordering
from batchsync.spec.located_text import LocatedText
from batchsync.spec.located_yaml import BYTES_MAX, Broken, Map, read_tree
from batchsync.spec.model_validator import ModelValidator
from batchsync.spec.models import DocumentModel
from batchsync.spec.problems import Problems
from batchsync.spec.surrogates import refuse_lone_surrogates
from batchsync.util.path_fence import PathFence
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from batchsync.core.job import Connection, Job
    from batchsync.core.object_storage import Storage
    from batchsync.core.query import Database
    from batchsync.core.vendor_rules import VendorRules

#: Line breaks of YAML that editors do not show; they would end a comment invisibly.
_BREAKS = frozenset({0x85, 0x2028, 0x2029})
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def load(
    path: Path,
    *,
    vendors: Mapping[str, VendorRules] | None = None,
    environ: Mapping[str, str] | None,
    on_resources: Callable[[Resources], None] | None = None,
    check_source: Callable[[Job, VendorRules], Iterable[Problem]] | None = None,
    fence: PathFence | None = None,
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

    Returns:
        The deployment, with jobs in dependency order.

    Raises:
        SpecError: If the file is invalid; contains every problem in the order of the file.
    """
    problems = Problems(LocatedText(str(path), read_text(path)))
    tree = read_tree(problems)
    tree = refuse_lone_surrogates(tree, problems) if tree is not None else None
    if not isinstance(tree, Map | Broken | None):
        problems.add("value", tree.start, "the file is not a mapping", "version: 1, connections: ..., jobs: ...")
    context = _LoadContext(path, vendors, environ, on_resources, check_source, fence or PathFence())
    deployment = _deployment(context, tree, problems) if isinstance(tree, Map) else None
    if deployment is None or len(problems):
        raise SpecError(problems.sorted())
    return deployment


def read_text(path: Path) -> str:
    """Return the text of a file without its byte order mark.

    Raises:
        SpecError: If the file cannot be read, is too large, or is not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        raise SpecError(_unreadable(path, "file not found", "create it with `batchsync init`")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "invalid path"
        raise SpecError(_unreadable(path, f"the file cannot be read: {reason.lower()}")) from None
    if len(content) > BYTES_MAX:
        raise SpecError(_unreadable(path, f"the file is larger than {BYTES_MAX:,} bytes", "split it"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError((_wrong_bytes(path, content, error.start),)) from None
    if found := _NOT_TEXT.search(text):
        source = LocatedText(str(path), text)
        source.mask_by_key_names = True
        problems = Problems(source)
        kind = "control character" if ord(found[0]) not in _BREAKS else "invisible line break"
        problems.add("control", found.start(), f"{kind} (U+{ord(found[0]):04X})", "text without it")
        raise SpecError(problems.sorted())
    return text


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
    resources = Resources(threads=document.threads, memory=document.memory)
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
    for entry in entries:
        ignored = problems.ignored
        job = compiler.compile(entry)
        # A job with a placeholder where only some values are valid is not known well enough.
        if job is not None and problems.ignored == ignored:
            jobs[entry.key] = job
    backup = compile_backup(document.state.backup, typed, folder, storages, problems, context.fence)
    ordered = Ordering(entries, jobs, problems).ordered()
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
        backup=backup,
    )


def _unchecked(problems: Problems, jobs: Iterable[str]) -> tuple[str, ...]:
    """Return what placeholders stand in for: lines, and jobs that cannot be compiled without them."""
    lines = sorted({problems.source.place(start).line for start in problems.unchecked})
    return (*(f"line {line}" for line in lines), *(f"job {job}" for job in jobs))


def _add_source_problems(
    context: _LoadContext, jobs: Iterable[Job], rules: Mapping[str, VendorRules | None], problems: Problems
) -> None:
    """Add mismatches of jobs with their sources, except at places that already have a problem."""
    known = {(item.line, item.column) for item in problems.sorted()}
    for job in jobs:
        vendor = rules[job.connection]
        if context.check_source is not None and vendor is not None and job.source.job is None and job.source.is_local:
            more = context.check_source(job, vendor)
            problems.extend(item for item in more if (item.line, item.column) not in known)


def _check_top_level(typed: TypedMap, validator: ModelValidator) -> DocumentModel:
    """Validate the top-level keys and return them.

    Connections and jobs are emptied here; they are validated one by one elsewhere.
    """
    without_blocks = tuple(
        type(entry)(entry.key, entry.start, TypedMap((), entry.start))
        if entry.key in {"connections", "jobs"} and isinstance(entry.value, TypedMap)
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


def _wrong_bytes(path: Path, content: bytes, at: int) -> Problem:
    utf16 = content[:2] in {b"\xff\xfe", b"\xfe\xff"}
    before = content[:at].decode("utf-8-sig", errors="replace")
    place = LocatedText(str(path), before).place(len(before))
    return Problem(
        code="spec.encoding",
        message="the file is UTF-16" if utf16 else f"invalid UTF-8 (byte 0x{content[at]:02X})",
        file=str(path),
        line=place.line,
        column=place.column,
        expected="UTF-8",
        suggestion="save the file as UTF-8",
    )


def _unreadable(path: Path, message: str, suggestion: str = "") -> tuple[Problem, ...]:
    return (Problem(code="spec.unreadable", message=message, file=str(path), suggestion=suggestion),)
