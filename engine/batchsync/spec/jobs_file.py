"""Reads jobs.yaml into a Deployment, or says everything that is wrong in it at once.

It does not know rows, secrets or the network: a file without one credential in the environment loads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.job import Connection, Deployment, Resources
from batchsync.errors import Problem, SpecError
from batchsync.spec.check_names import check_names
from batchsync.spec.compile_connection import ConnectionCompiler, Vendors
from batchsync.spec.compile_job import JobCompiler
from batchsync.spec.interpolate import Resolver, TypedMap
from batchsync.spec.job_order import Ordering
from batchsync.spec.located_text import LocatedText
from batchsync.spec.located_yaml import BYTES_MAX, Broken, Map, read_tree
from batchsync.spec.model_validator import ModelValidator
from batchsync.spec.models import DocumentModel
from batchsync.spec.problems import Problems
from batchsync.spec.surrogates import refuse_lone_surrogates
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules

#: What ends a line for YAML alone is no text, either: nobody sees it, and a comment ends there.
_BREAKS = frozenset({0x85, 0x2028, 0x2029})
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def load(
    path: Path,
    *,
    vendors: Mapping[str, VendorRules] | None = None,
    environ: Mapping[str, str],
    first: Callable[[Resources], None] | None = None,
    further: Callable[[Job, VendorRules], Iterable[Problem]] | None = None,
) -> Deployment:
    """Return what a jobs.yaml says, its jobs in an order in which dependencies come first.

    `vendors` are the vendors by name; without them, those in the box and folders named by the file. `environ` fills
    `${NAME}` everywhere but in credentials, which stay references. `first` is told what may be taken of the machine
    before anything is looked at with the columnar library, which reads its own settings once. `further` is asked about
    the jobs of a file that has problems, so that those which it would find later are told at once, too.

    Raises:
        SpecError: with every problem that was found, in the order of the file.
    """
    problems = Problems(LocatedText(str(path), read_text(path)))
    tree = read_tree(problems)
    tree = refuse_lone_surrogates(tree, problems) if tree is not None else None
    if not isinstance(tree, Map | Broken | None):
        problems.add("value", tree.start, "the file is no mapping", "version: 1, connections: ..., jobs: ...")
    around = _Around(path, vendors, environ, first, further)
    deployment = _deployment(around, tree, problems) if isinstance(tree, Map) else None
    if deployment is None or len(problems):
        raise SpecError(problems.sorted())
    return deployment


def read_text(path: Path) -> str:
    """Return the text of a file, a byte order mark taken off.

    Raises:
        SpecError: when it cannot be read, is too large, or is no UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file", "`batchsync init` writes one") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "this is no path"
        raise _unreadable(path, f"the file cannot be read: {reason.lower()}") from None
    if len(content) > BYTES_MAX:
        raise _unreadable(path, f"the file is larger than {BYTES_MAX:,} bytes", "split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError((_wrong_bytes(path, content, error.start),)) from None
    if found := _NOT_TEXT.search(text):
        source = LocatedText(str(path), text)
        source.by_name = True
        problems = Problems(source)
        what = "a control character" if ord(found[0]) not in _BREAKS else "an unseen line end"
        problems.add("control", found.start(), f"{what} (U+{ord(found[0]):04X})", "text")
        raise SpecError(problems.sorted())
    return text


def fill_in_lines(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Return the problems, each with the line of its file where it had none, if the file can be read."""
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
    """Return a file's text with secrets hidden, or None when it cannot be read."""
    try:
        problems = Problems(LocatedText(str(path), read_text(path)))
    except SpecError:
        return None
    read_tree(problems)
    return problems.source


@dataclass(frozen=True, slots=True)
class _Around:
    """What `load` was given."""

    path: Path
    vendors: Mapping[str, VendorRules] | None
    environ: Mapping[str, str]
    first: Callable[[Resources], None] | None
    further: Callable[[Job, VendorRules], Iterable[Problem]] | None


def _deployment(around: _Around, tree: Map, problems: Problems) -> Deployment | None:
    """Return the deployment, as whole as the file is."""
    from batchsync.spec.vendor_spec import available_vendors, load_vendor  # noqa: PLC0415 - not needed when vendors are given

    typed = Resolver(around.environ, problems).resolve_map(tree)
    folder = around.path.absolute().parent
    shaper = ModelValidator(problems)
    resources = _check_top(typed, shaper)
    if around.first is not None:
        around.first(resources)
    connecting = ConnectionCompiler(folder, shaper, Vendors(around.vendors, available_vendors, load_vendor), problems)
    connections: dict[str, Connection] = {}
    rules: dict[str, VendorRules | None] = {}
    for entry in _named("connection", typed, "connections", problems).entries:
        found = connecting.compile(entry)
        rules[entry.key] = found[1] if found else None
        if found:
            connections[entry.key] = found[0]
    compiler = JobCompiler(folder=folder, shaper=shaper, vendors=rules, problems=problems)
    entries = _named("job", typed, "jobs", problems).entries
    jobs: dict[str, Job] = {}
    for entry in entries:
        if job := compiler.compile(entry):
            jobs[entry.key] = job
    ordered = Ordering(entries, jobs, problems).ordered()
    if len(problems):
        _look_further(around, (*jobs.values(), *compiler.halves), rules, problems)
    return Deployment(file=str(around.path), connections=connections, jobs=ordered, resources=resources)


def _look_further(
    around: _Around, jobs: Iterable[Job], rules: Mapping[str, VendorRules | None], problems: Problems
) -> None:
    """Add what would be found once the file is right; nothing about a place that was complained about already."""
    known = {(item.line, item.column) for item in problems.sorted()}
    for job in jobs:
        vendor = rules[job.connection]
        if around.further is not None and vendor is not None and job.source.job is None:
            more = around.further(job, vendor)
            problems.extend(item for item in more if (item.line, item.column) not in known)


def _check_top(typed: TypedMap, shaper: ModelValidator) -> Resources:
    """Check the keys at the top, and return what may be taken of the machine.

    Connections and jobs are checked one by one elsewhere.
    """
    hollow = tuple(
        type(entry)(entry.key, entry.start, TypedMap((), entry.start))
        if entry.key in {"connections", "jobs"} and isinstance(entry.value, TypedMap)
        else entry
        for entry in typed.entries
    )
    shaped = shaper.validate(
        DocumentModel,
        TypedMap(hollow, typed.start),
        "the file",
        typed.start,
        {"version": 1, "connections": {}, "jobs": {}},
    )
    return Resources(threads=shaped.model.threads, memory=shaped.model.memory)


def _named(what: str, typed: TypedMap, key: str, problems: Problems) -> TypedMap:
    """Return the block of jobs or connections, empty if it is not usable."""
    entry = typed.entry(key)
    if entry is None or not isinstance(entry.value, TypedMap):
        return TypedMap((), 0)
    if not entry.value.entries:
        problems.add(
            "value", entry.start, f"{quoted(key)} is empty", f"at least one {what}: its name, a colon, its block"
        )
    check_names(what, entry.value, problems)
    return entry.value


def _wrong_bytes(path: Path, content: bytes, at: int) -> Problem:
    utf16 = content[:2] in {b"\xff\xfe", b"\xfe\xff"}
    before = content[:at].decode("utf-8-sig", errors="replace")
    place = LocatedText(str(path), before).place(len(before))
    return Problem(
        code="spec.encoding",
        message="the file is UTF-16" if utf16 else f"this is no UTF-8 (byte 0x{content[at]:02X})",
        file=str(path),
        line=place.line,
        column=place.column,
        expected="UTF-8",
        suggestion="save the file as UTF-8",
    )


def _unreadable(path: Path, message: str, suggestion: str = "") -> SpecError:
    return SpecError((Problem(code="spec.unreadable", message=message, file=str(path), suggestion=suggestion),))
