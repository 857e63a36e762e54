"""Object storage, servers of files, and Delta tables, as jobs.yaml declares them: the connection, and what is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from batchsync.core.mapping import Place

#: Kinds of storage, with their names for messages.
KINDS = {"s3": "S3", "gcs": "Google Cloud Storage", "azure": "Azure Blob Storage", "http": "HTTP"}
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A bucket, or a server of files, that sources read and results are written to.

    Attributes:
        name: Name of the connection.
        kind: One of `KINDS`.
        bucket: Bucket, or container of Azure; empty for HTTP.
        prefix: Folder of the bucket that all paths are below, without slashes at its ends.
        region: Region of the bucket; empty for that of the environment.
        endpoint: URL of the service, if it is not the public one.
        account: Account of Azure.
        url: URL that paths are below, with a slash at its end; only for HTTP.
        anonymous: Whether requests are not signed.
        credentials: References by name; empty for the usual chain of the service.
        proxy: HTTP proxy, with references; empty connects directly.
        ca_bundle: Absolute path of a PEM file of certificates to trust, too; empty for those of the machine.
        place: Location in jobs.yaml.
    """

    name: str
    kind: str
    bucket: str = ""
    prefix: str = ""
    region: str = ""
    endpoint: str = ""
    account: str = ""
    url: str = ""
    anonymous: bool = False
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    proxy: str = field(default="", repr=False)
    ca_bundle: str = ""
    place: Place = field(default=Place(), compare=False)

    @property
    def label(self) -> str:
        """The connection for messages, with its bucket or URL."""
        where = self.url if self.kind == "http" else f"{KINDS[self.kind]}, bucket {self.bucket}"
        return f'connection "{self.name}" ({where})'


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFiles:
    """What a source reads: objects by a path or pattern, or a Delta table.

    Attributes:
        storage: The storage; None for a Delta table in a local folder.
        path: Path or pattern of objects, below the prefix; empty for a Delta table.
        delta: Folder of a Delta table: below the prefix, or absolute if it is local; empty for objects.
        written: The folder of a Delta table as jobs.yaml names it.
        version: Version of the Delta table; None for the newest.
        roots: Folders that the files of a local table must be below, without links; empty allows every folder.
    """

    storage: Storage | None = None
    path: str = ""
    delta: str = ""
    written: str = ""
    version: int | None = None
    roots: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is read, for messages: the connection, and the path or table."""
        name = self.path or self.written
        return f"{self.storage.name}: {name}" if self.storage else name

    @property
    def is_pattern(self) -> bool:
        """Whether the path is a pattern."""
        return has_pattern(self.path)


def has_pattern(path: str) -> bool:
    """Return whether a path is a pattern of several."""
    return _MAGIC.search(path) is not None


def fixed_folder(pattern: str) -> str:
    """Return the folder that all matches of a pattern are below; empty for the whole bucket."""
    parts: list[str] = []
    for part in pattern.split("/")[:-1]:
        if has_pattern(part):
            break
        parts.append(part)
    return "/".join(parts)


def matcher(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern.

    As in patterns of local files, `*` and `?` stand for characters of one name, `[...]` for one of several, and `**`
    as a whole part for any number of folders. Names that begin with a dot match only a pattern that names the dot.

    Args:
        pattern: The pattern; a `[` that is not closed stands for itself.
    """
    parts = pattern.split("/")
    found = ""
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**":
            found += r"(?:(?!\.)[^/]+(?:/(?!\.)[^/]+)*)" if is_last else r"(?:(?!\.)[^/]+/)*"
        else:
            found += ("" if part.startswith(".") else r"(?!\.)") + _part(part) + ("" if is_last else "/")
    return re.compile(found, re.DOTALL)


def _part(part: str) -> str:
    """Return the regular expression of one name."""
    found, at = "", 0
    while at < len(part):
        char = part[at]
        end = part.find("]", at + 2 + (part[at + 1 : at + 2] == "!")) if char == "[" else -1
        if char == "*":
            found += "[^/]*"
        elif char == "?":
            found += "[^/]"
        elif end > 0:
            inner = part[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[").replace("&", "\\&")
            inner = inner.replace("~", "\\~").replace("|", "\\|")
            found += "[" + ("^" + inner[1:] if inner.startswith("!") else inner.replace("^", "\\^")) + "]"
            at = end
        else:
            found += re.escape(char)
        at += 1
    return found
