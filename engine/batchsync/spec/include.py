"""Read a jobs file with all files that it includes into one tree, or report what cannot be included.

A file is read once, however often it is included. Paths of `include:` start at the including file. Included files
declare connections, jobs, defaults and further includes; everything else belongs into the main file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.errors import SpecError
from batchsync.spec.file_text import read_text
from batchsync.spec.located_files import LocatedFiles, base_indices
from batchsync.spec.located_text import LocatedText
from batchsync.spec.located_yaml import BYTES_MAX, Broken, Entry, Map, Scalar, Seq, read_tree
from batchsync.spec.merge import with_defaults
from batchsync.spec.problems import Problems
from batchsync.spec.surrogates import refuse_lone_surrogates
from batchsync.util.path_fence import PathFence, fixed_part
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchsync.spec.located_yaml import Node

#: Limits of all files together.
FILES_MAX = 500
ALL_BYTES_MAX = 8 * BYTES_MAX
#: Keys of an included file.
_KEYS = ("version", "include", "defaults", "connections", "jobs")
_BLOCKS = ("connections", "jobs")
_SUFFIXES = ("*.yaml", "*.yml")
_FORM = "a file or pattern relative to this file, such as jobs/*.yaml, or a list of them"


@dataclass(slots=True)
class _File:
    """A file that was read: its tree, problems, and the included files by the entries that name them."""

    path: Path
    problems: Problems
    tree: Node | None
    includes: list[tuple[int, _File]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FileTree:
    """The tree of a jobs file without `include:` and `defaults:`, and the files that it came from.

    `tree` is None after a problem of the main file that leaves no tree. `incomplete`: an included file is missing or
    cannot be read, so that names which it declares are unknown.
    """

    tree: Node | None
    problems: Problems
    files: tuple[Path, ...]
    incomplete: bool = False


def read_files(path: Path, *, fence: PathFence | None = None, jobs_folder: Path | None = None) -> FileTree:
    """Read a jobs file and the files that it includes.

    Args:
        path: The jobs file.
        fence: Where included files may be; None for every folder on a disk.
        jobs_folder: A folder whose files `*.yaml` and `*.yml` are included, too.

    Returns:
        The tree, with indices of the texts of all files, and the problems found so far.

    Raises:
        SpecError: If the jobs file cannot be read.
    """
    reader = _Reader(fence or PathFence())
    main = reader.read(path)
    if jobs_folder is not None:
        reader.include_folder(main, jobs_folder)
    return reader.joined(main)


class _Reader:
    """Reads files, each once."""

    def __init__(self, fence: PathFence) -> None:
        self._fence = fence
        self._files: dict[str, _File] = {}
        self._bytes = 0

    def read(self, path: Path, chain: tuple[str, ...] = ()) -> _File:
        """Read a file and what it includes.

        Args:
            path: The file.
            chain: Real paths of the files that include it.

        Raises:
            SpecError: If the file itself cannot be read.
        """
        text = read_text(path)
        problems = Problems(LocatedText(str(path), text))
        tree = read_tree(problems)
        tree = refuse_lone_surrogates(tree, problems) if tree is not None else None
        found = _File(path, problems, tree)
        real = _real(path)
        self._files[real] = found
        self._bytes += len(text)
        entry = _entry(tree, "include")
        if entry is not None:
            for scalar in self._named(entry, problems):
                self._include(found, scalar, (*chain, real))
        return found

    def include_folder(self, main: _File, folder: Path) -> None:
        """Include the files of a folder, as if the main file did so at its beginning."""
        if not folder.is_dir():
            main.problems.add("include", 0, f"{quoted(str(folder))} of --jobs is no folder", "an existing folder")
            return
        if objection := self._fence.objection(folder):
            main.problems.add("include", 0, f"{quoted(str(folder))} of --jobs {objection}", self._fence.advice)
            return
        found = sorted({path for suffix in _SUFFIXES for path in folder.glob(suffix) if path.name[0] != "."})
        if not found:
            main.problems.add("include", 0, f"{quoted(str(folder))} of --jobs has no file *.yaml", "a file of jobs")
        self._add_all(main, found, 0, (_real(main.path),), is_pattern=True)

    def _named(self, entry: Entry, problems: Problems) -> Iterator[Scalar]:
        """Yield the written paths; report other values."""
        items = entry.value.items if isinstance(entry.value, Seq) else (entry.value,)
        for item in items:
            if isinstance(item, Broken):
                continue
            if not isinstance(item, Scalar) or not item.text:
                problems.add("include", item.start if isinstance(item, Scalar) else entry.start, "no path", _FORM)
            elif "${" in item.text:
                problems.add("include", item.start, "${...} in include", "a path; use --env for what differs")
            else:
                yield item

    def _include(self, owner: _File, scalar: Scalar, chain: tuple[str, ...]) -> None:
        """Read what one entry of `include:` names."""
        folder = owner.path.absolute().parent
        is_pattern = fixed_part(scalar.text) != scalar.text
        add = owner.problems.add
        if objection := self._fence.objection(folder / fixed_part(scalar.text)):
            add("include", scalar.start, f"{quoted(scalar.text)} {objection}", self._fence.advice)
            return
        try:
            matching = _matches(folder, scalar.text) if is_pattern else [folder / scalar.text]
        except (OSError, ValueError, NotImplementedError):
            add("include", scalar.start, f"{quoted(scalar.text)} is no pattern of files", _FORM)
            return
        if not matching:
            add("include", scalar.start, f"no file matches {quoted(scalar.text)}", _FORM)
        self._add_all(owner, matching, scalar.start, chain, is_pattern=is_pattern)

    def _add_all(
        self, owner: _File, paths: Iterable[Path], at: int, chain: tuple[str, ...], *, is_pattern: bool
    ) -> None:
        """Read files and add them to the file that includes them; a pattern does not include the file itself."""
        for path in paths:
            real = _real(path)
            if real in chain:
                if not is_pattern:
                    shown = " -> ".join(Path(item).name for item in (*chain[chain.index(real) :], real))
                    owner.problems.add("include", at, f"files include each other: {shown}", "no cycle: remove one")
            elif real in self._files:
                continue
            elif len(self._files) >= FILES_MAX or self._bytes >= ALL_BYTES_MAX:
                limit = f"at most {FILES_MAX} files and {ALL_BYTES_MAX:,} bytes in all"
                owner.problems.add("include", at, "too many included files", limit)
                return
            else:
                self._add(owner, path, at, chain)

    def _add(self, owner: _File, path: Path, at: int, chain: tuple[str, ...]) -> None:
        folder = owner.path.absolute().parent
        shown = quoted(str(path.relative_to(folder) if path.is_relative_to(folder) else path))
        if objection := self._fence.file_objection(path):
            owner.problems.add("include", at, f"{shown} {objection}", self._fence.advice)
            return
        if not path.is_file():
            owner.problems.add("include", at, f"{shown} does not exist", "an existing file")
            return
        try:
            owner.includes.append((at, self.read(Path(_shown(path)), chain)))
        except SpecError as error:
            owner.problems.extend(error.problems)

    def joined(self, main: _File) -> FileTree:
        """Return one tree of all files, and their problems."""
        files = [main, *(item for item in self._files.values() if item is not main)]
        parts = [item.problems.source for item in files]
        bases = dict(zip(map(id, files), base_indices(parts), strict=True))
        problems = main.problems
        for item in files[1:]:
            problems.extend(item.problems.sorted())
        if len(files) > 1:
            problems.source = LocatedFiles(parts)
        paths = tuple(item.path for item in files)
        if not isinstance(main.tree, Map):
            return FileTree(main.tree, problems, paths)
        blocks: dict[str, list[Entry]] = {name: [] for name in _BLOCKS}
        self._collect(main, None, bases, blocks, problems)
        kept = [entry for entry in main.tree.entries if entry.key not in {"include", "defaults", *_BLOCKS}]
        for name in _BLOCKS:
            written = _entry(main.tree, name)
            if written is not None and not isinstance(written.value, Map):
                kept.append(written)
            elif written is not None or blocks[name]:
                start = written.start if written is not None else blocks[name][0].start
                kept.append(Entry(name, start, Map(_unique(name, blocks[name], problems), start)))
        incomplete = problems.has("include") or any(not isinstance(item.tree, Map) for item in files)
        return FileTree(Map(tuple(kept), main.tree.start), problems, paths, incomplete)

    def _collect(
        self, file: _File, outer: Map | None, bases: dict[int, int], blocks: dict[str, list[Entry]], problems: Problems
    ) -> None:
        """Add the connections and jobs of a file and of those that it includes, with the defaults that hold there."""
        base = bases[id(file)]
        tree = shifted(file.tree, base) if file.tree is not None else None
        if not isinstance(tree, Map):
            if tree is not None and not isinstance(tree, Broken):
                problems.add("include", tree.start, "the file is not a mapping", "jobs: ..., connections: ...")
            return
        if base:
            for entry in tree.entries:
                if entry.key not in _KEYS:
                    message = f"{quoted(entry.key)} in an included file"
                    problems.add("include", entry.start, message, f"one of {', '.join(_KEYS)}")
        defaults = with_defaults(tree, outer, problems)
        for name in _BLOCKS:
            block = _entry(tree, name)
            if block is not None and isinstance(block.value, Map):
                entries = block.value.entries
                blocks[name] += [defaults.applied(item) for item in entries] if name == "jobs" else entries
            elif block is not None and base and not isinstance(block.value, Broken):
                problems.add("value", block.start, f"{quoted(name)} is not a mapping", "a name, a colon, a block")
        for _, included in file.includes:
            self._collect(included, defaults.block, bases, blocks, problems)


def included_files(path: Path, jobs_folder: Path | None = None) -> tuple[Path, ...]:
    """Return the jobs file and the files that it includes now, as far as they can be read; for watching."""
    if not path.is_file():
        return (path,)
    try:
        return read_files(path, jobs_folder=jobs_folder).files
    except SpecError:
        return (path,)


def shifted(node: Node, base: int) -> Node:
    """Return a tree with indices that are greater by a base."""
    if base == 0:
        return node
    match node:
        case Map():
            entries = (Entry(item.key, item.start + base, shifted(item.value, base)) for item in node.entries)
            return Map(tuple(entries), node.start + base)
        case Seq():
            return Seq(tuple(shifted(item, base) for item in node.items), node.start + base)
        case Scalar():
            return Scalar(node.text, node.plain, node.start + base, node.end + base)
        case _:
            return Broken(node.start + base)


def _unique(block: str, entries: list[Entry], problems: Problems) -> tuple[Entry, ...]:
    """Return the entries without those whose name is taken; report them with the place of the first."""
    found: dict[str, Entry] = {}
    for entry in entries:
        first = found.setdefault(entry.key, entry)
        if first is not entry:
            place = problems.source.place(first.start)
            kind = block.removesuffix("s")
            problems.add(
                "duplicate_key",
                entry.start,
                f"{kind} {quoted(entry.key)} is declared in another file, too",
                f"unique names; first declared in {place.file}:{place.line}",
            )
    return tuple(found.values())


def _entry(tree: Node | None, key: str) -> Entry | None:
    entries = tree.entries if isinstance(tree, Map) else ()
    return next((entry for entry in entries if entry.key == key), None)


def _matches(folder: Path, pattern: str) -> list[Path]:
    """Return the files that match a pattern, sorted; hidden files and those of hidden folders do not."""
    if Path(pattern).is_absolute():
        start = Path(fixed_part(pattern))
        found = start.glob(str(Path(pattern).relative_to(start)))
    else:
        found = folder.glob(pattern)
    below = Path(fixed_part(str(folder / pattern)))
    return sorted(
        path
        for path in found
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(below).parts)
    )


def _shown(path: Path) -> str:
    """Return a path as a person writes it: relative to the working folder where it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _real(path: Path) -> str:
    return str(path.resolve())
