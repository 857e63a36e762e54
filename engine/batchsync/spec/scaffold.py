"""Files of a new vendor's folder for `batchsync vendors new`: the scaffold of `batchsync_specs`, with a name."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

from batchsync.errors import UsageError
from batchsync.spec.vendor_problems import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

#: Folder of the scaffold in `batchsync_specs`; it is a vendor's folder in its own folder, and so no bundled vendor.
_FOLDER = ("scaffold", "vendor-name")
#: Longest name of a vendor; it is a part of host names.
_NAME_MAX = 60


def scaffold_files(name: str) -> Mapping[str, str]:
    """Return the files of a new vendor's folder.

    Args:
        name: Name of the vendor. It replaces `vendor-name`, `Vendor Name` and `VENDOR_NAME` in paths and texts.

    Returns:
        Text by path relative to the folder, `vendor.yaml` last.

    Raises:
        UsageError: If the name is not one of a vendor.
    """
    if not re.fullmatch(NAME, name) or len(name) > _NAME_MAX:
        raise UsageError(
            f'"{name}" is no name of a vendor',
            hint=f"lower-case letters and digits, with - between words, at most {_NAME_MAX} characters",
        )
    words = {
        "vendor-name": name,
        "Vendor Name": name.replace("-", " ").title(),
        "VENDOR_NAME": name.replace("-", "_").upper(),
    }
    folder: Traversable = files("batchsync_specs").joinpath(*_FOLDER)
    found = {_named(path, words): _named(text, words) for path, text in _texts(folder, "")}
    return dict(sorted(found.items(), key=lambda item: (item[0] == "vendor.yaml", item[0])))


def _texts(folder: Traversable, below: str) -> Iterator[tuple[str, str]]:
    """Yield relative path and text of each file below a folder."""
    for item in folder.iterdir():
        if item.is_dir():
            yield from _texts(item, f"{below}{item.name}/")
        else:
            yield f"{below}{item.name}", item.read_text(encoding="utf-8")


def _named(text: str, words: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)
