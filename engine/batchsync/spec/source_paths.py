"""Check that the paths of a job's source, joins and results may be used."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.source_path import scheme_of
from batchsync.spec.interpolate import TypedMap, TypedSeq
from batchsync.util.path_fence import fixed_part, kernel_folder

if TYPE_CHECKING:
    from batchsync.core.job import Results
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.models_source import SourceModel
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence


def check_source_paths(model: SourceModel, node: TypedMap, folder: Path, fence: PathFence, problems: Problems) -> None:
    """Report local paths of a source and its joins that may not be read. Files are checked when they are opened.

    Args:
        model: The validated block.
        node: The same block with places.
        folder: Absolute folder of jobs.yaml.
        fence: Where paths may lead.
        problems: Receives the problems.
    """
    joined = node.get("join")
    # Paths of a connection are those of its storage.
    own = model.path if model.connection is None else None
    blocks: list[Typed] = [node, *(joined.items if isinstance(joined, TypedSeq) else ())]
    for path, block in zip((own, *(join.path for join in model.join)), blocks, strict=False):
        if not path or scheme_of(path) or not isinstance(block, TypedMap):
            continue
        try:
            expanded = Path(path).expanduser()
        except RuntimeError:  # an unknown user: reported when the source is opened
            continue
        full = folder / fixed_part(str(expanded))
        # Without roots, only the text of a path counts: where a link leads is a matter of the machine.
        if (fence.roots or kernel_folder(os.path.normpath(full))) and (objection := fence.objection(full)):
            written = block.get("path")
            problems.add("path", written.start if written else block.start, f'"path" {objection}', fence.advice)


def check_results_path(results: Results, fence: PathFence, problems: Problems) -> Results:
    """Report results that may not be written where they should be.

    Args:
        results: The compiled block.
        fence: Where paths may lead.
        problems: Receives the problems.

    Returns:
        The results, with the folders that the path must still be below when they are written.
    """
    if objection := fence.file_objection(results.path):
        problems.add("path", results.place, f'"path" of the results {objection}', fence.advice)
    return replace(results, roots=fence.roots)
