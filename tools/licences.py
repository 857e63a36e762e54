"""Write docs/licences.md: the licence of every package of the lock files, as an SPDX expression.

Licences come from the metadata of installed packages. Where the metadata name none, or a wrong one, a person has read
the licence and entered it in `REVIEWED`. With `--check` nothing is written: the page must have a row for each locked
version.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
LOCKS = {
    "requirements.lock": "run",
    "requirements-dev.lock": "develop",
    "requirements-audit.lock": "audit",
    "requirements-delta.lock": "read Delta tables",
    "requirements-moto.lock": "test with servers",
    "requirements-gcs.lock": "test with servers",
    "requirements-docs.lock": "build the documentation site",
}
UNKNOWN = "UNKNOWN"

#: Licences in the words of classifiers and of the field `License`.
SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "PSFL": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
EXPRESSION = re.compile(r"[A-Za-z]+(-[A-Za-z]+)*-?[0-9.]*(-[A-Za-z]+)?( (AND|OR) [A-Za-z0-9.-]+)*")
#: Licences that a person has read, with the text that was read.
REVIEWED = {
    "click-default-group": ("BSD-3-Clause", "`LICENSE` of the distribution; the metadata say public domain"),
    "colorama": ("BSD-3-Clause", "`LICENSE.txt` of the distribution; installed on Windows only"),
    "cronsim": ("BSD-3-Clause", "`LICENSE` of the distribution; the metadata say BSD"),
    "itsdangerous": ("BSD-3-Clause", "`LICENSE.txt` of the distribution"),
    "jinja2": ("BSD-3-Clause", "`LICENSE.txt` of the distribution"),
    "partd": ("BSD-3-Clause", "`LICENSE.txt` of the distribution; the metadata say BSD"),
    "polars-hash": ("MIT", "`LICENSE` of its repository, below; the distribution has none"),
    "zict": ("BSD-3-Clause", "`LICENSE.txt` of the distribution; the metadata say BSD"),
}
HEADER = """\
# Licences

Written by `make licences` from `requirements.lock` (what users install), `requirements-dev.lock` (what the tests and
linters need as well), `requirements-audit.lock` (the tools of `make audit` and `make sbom`), and
`requirements-delta.lock`, `requirements-moto.lock` and `requirements-gcs.lock` (what `make test-servers` needs), and
`requirements-docs.lock` (what builds the documentation site).
batchsync itself is under Apache-2.0; none of these packages is contained in its distribution. `make test-servers` also
installs the npm packages of Azurite, whose licences stand in `tools/azurite/package-lock.json`. One file of others is
contained: `engine/batchsync/web/static/htmx.min.js`, of the npm package htmx.org 2.0.11 (0BSD, `htmx.LICENSE` next to
it).

| package | version | licence | needed to | where it is stated |
| --- | --- | --- | --- | --- |
"""
FOOTER = """
## polars-hash

The distribution of polars-hash contains no licence, and its metadata name none. Its repository,
<https://github.com/ion-elgreco/polars-hash>, has this one in `LICENSE`:

> MIT License
>
> Copyright (c) 2023 Ion Koutsouris
>
> Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
> documentation files (the "Software"), to deal in the Software without restriction, including without
> limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the
> Software, and to permit persons to whom the Software is furnished to do so, subject to the following
> conditions:
>
> The above copyright notice and this permission notice shall be included in all copies or substantial portions
> of the Software.
>
> THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED
> TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL
> THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
> CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER
> DEALINGS IN THE SOFTWARE.
"""


def main(arguments: list[str]) -> int:
    """Write or check the page.

    Args:
        arguments: `--check`, or folders of installed packages besides those of this interpreter.

    Returns:
        Exit code: 1 if a row is missing or obsolete, or a licence is unknown.
    """
    locked = locked_packages()
    if arguments == ["--check"]:
        return _report(_differences(locked))
    metadata = {}
    for item in distributions(path=[*sys.path, *arguments]):
        metadata.setdefault(normalized(item.metadata["Name"]), item.metadata)
    rows = []
    for name in sorted(locked):
        licence, source = REVIEWED.get(name) or licence_of(metadata.get(name))
        versions, uses = ", ".join(sorted(locked[name])), ", ".join(_uses(locked[name]))
        rows.append(f"| `{name}` | {versions} | {licence} | {uses} | {source} |\n")
    PAGE.write_text(HEADER + "".join(rows) + FOOTER, encoding="utf-8")
    return _report(
        [f"{row.split('`')[1]}: read its licence, and enter it in REVIEWED" for row in rows if UNKNOWN in row]
    )


def locked_packages() -> dict[str, dict[str, set[str]]]:
    """Return the lock files of each version of each package."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for lock in LOCKS:
        text = (ROOT / lock).read_text(encoding="utf-8")
        for name, version in re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", text, re.MULTILINE):
            found[name][version].add(lock)
    return found


def normalized(name: str) -> str:
    """Return the name of a distribution as the lock files spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(metadata: PackageMetadata | None) -> tuple[str, str]:
    """Return the licence of a distribution, and the metadata field that states it."""
    if metadata is None:
        return UNKNOWN, "not installed"
    if expression := metadata.get("License-Expression"):
        return expression, "`License-Expression`"
    field = (metadata.get("License") or "").strip()
    if field in SPDX or (field != UNKNOWN and EXPRESSION.fullmatch(field)):
        return SPDX.get(field, field), "`License`"
    classifiers = [item.rpartition(" :: ")[2] for item in metadata.get_all("Classifier") or [] if "License ::" in item]
    known = sorted({SPDX[item] for item in classifiers if item in SPDX})
    return (known[0], "classifier") if len(known) == 1 else (UNKNOWN, "nowhere in the metadata")


def _uses(versions: dict[str, set[str]]) -> list[str]:
    """Return what a package is needed for; what is needed to run is needed to develop, too."""
    locks = {lock for found in versions.values() for lock in found}
    uses = [use for lock, use in LOCKS.items() if lock in locks]
    implied = {"develop", "read Delta tables"} if "run" in uses else set()
    return [use for use in uses if use not in implied]


def _differences(locked: dict[str, dict[str, set[str]]]) -> list[str]:
    """Return how the rows of the page differ from the lock files."""
    text = PAGE.read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([a-z0-9.-]+)` \| ([^|]+) \|", text, re.MULTILINE))
    wanted = {name: ", ".join(sorted(versions)) for name, versions in locked.items()}
    return [
        f"docs/licences.md: {name} {listed.get(name, 'missing')}, locked: {wanted.get(name, 'no')}. Next: make licences"
        for name in sorted(wanted.keys() | listed.keys())
        if wanted.get(name) != listed.get(name)
    ]


def _report(problems: list[str]) -> int:
    """Print problems; return the exit code."""
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
