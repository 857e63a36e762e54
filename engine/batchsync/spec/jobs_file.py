"""Reads jobs.yaml into a Deployment, or says everything that is wrong in it at once.

It does not know rows, secrets or the network: a file without one credential in the environment loads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lading.core.job import Connection, Deployment, Resources
from lading.errors import Problem, SpecError
from lading.spec.compile_connection import ConnectionCompiler, Vendors
from lading.spec.compile_job import JobCompiler
from lading.spec.halves import without_halves
from lading.spec.interpolate import Resolver, TypedMap
from lading.spec.located_text import LocatedText
from lading.spec.located_yaml import BYTES_MAX, Broken, Map, read_tree
from lading.spec.models import DocumentModel
from lading.spec.names import check_names
from lading.spec.order import Ordering
from lading.spec.problems import Problems
from lading.spec.shape import Shaper
from lading.spec.suggest import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules

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
    tree = without_halves(tree, problems) if tree is not None else None
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
        raise _unreadable(path, "there is no such file", "`lading init` writes one") from None
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
    for one in problems:
        if one.line and one.file and not one.source_line:
            if one.file not in sources:
                sources[one.file] = _shown_source(Path(one.file))
            source = sources[one.file]
            filled.append(replace(one, source_line=source.line(one.line)) if source is not None else one)
        else:
            filled.append(one)
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
    from lading.spec.vendor_spec import available_vendors, load_vendor  # noqa: PLC0415 - not needed when vendors are given

    typed = Resolver(around.environ, problems).resolve_map(tree)
    folder = around.path.absolute().parent
    shaper = Shaper(problems)
    resources = _check_top(typed, shaper)
    if around.first is not None:
        around.first(resources)
    connecting = ConnectionCompiler(folder, shaper, Vendors(around.vendors, available_vendors, load_vendor), problems)
    connections: dict[str, Connection] = {}
    rules: dict[str, VendorRules | None] = {}
    for one in _named("connection", typed, "connections", problems).entries:
        found = connecting.compile(one)
        rules[one.key] = found[1] if found else None
        if found:
            connections[one.key] = found[0]
    compiler = JobCompiler(folder=folder, shaper=shaper, vendors=rules, problems=problems)
    entries = _named("job", typed, "jobs", problems).entries
    jobs: dict[str, Job] = {}
    for one in entries:
        if job := compiler.compile(one):
            jobs[one.key] = job
    ordered = Ordering(entries, jobs, problems).ordered()
    if len(problems):
        _look_further(around, (*jobs.values(), *compiler.halves), rules, problems)
    return Deployment(file=str(around.path), connections=connections, jobs=ordered, resources=resources)


def _look_further(
    around: _Around, jobs: Iterable[Job], rules: Mapping[str, VendorRules | None], problems: Problems
) -> None:
    """Add what would be found once the file is right; nothing about a place that was complained about already."""
    known = {(one.line, one.column) for one in problems.sorted()}
    for job in jobs:
        vendor = rules[job.connection]
        if around.further is not None and vendor is not None and job.source.job is None:
            more = around.further(job, vendor)
            problems.extend(one for one in more if (one.line, one.column) not in known)


def _check_top(typed: TypedMap, shaper: Shaper) -> Resources:
    """Check the keys at the top, and return what may be taken of the machine.

    Connections and jobs are checked one by one elsewhere.
    """
    hollow = tuple(
        type(one)(one.key, one.start, TypedMap((), one.start))
        if one.key in {"connections", "jobs"} and isinstance(one.value, TypedMap)
        else one
        for one in typed.entries
    )
    shaped = shaper.shaped(
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
