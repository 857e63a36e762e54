"""Batch files before they are sent: verified byte for byte, and brought to the local disk."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core import naming, steps
from batchsync.errors import PermanentError, RetryableError, StateError, UnavailableError
from batchsync.util.files import os_error_reason, sha256_of_file, translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.batch import Batch, BatchFile
    from batchsync.ports import ObjectStore
    from batchsync.reconcile.services import Services

_NOT_SENT_HINT = (
    "nothing was sent; restore the state folder, or cancel the batch with `batchsync cancel` and sync again"
)


def precheck(step: steps.Step, batch: Batch, services: Services) -> None:
    """Check local files before an intent is recorded, so that a defective file leaves no batch in doubt.

    Args:
        step: The decided step; only uploads are checked.
        batch: The batch that it applies to.
        services: Object store, and the data engine that verifies row manifests.

    Raises:
        UnavailableError: If the batch file is missing or has changed since it was finalized. Nothing was sent.
        StateError: If the row manifest is missing or has changed since it was finalized. Nothing was sent.
    """
    if isinstance(step, steps.Upload):
        verify_batch_file(batch, services.objects)
        try:
            services.data.verify_row_manifest(batch)
        except StateError as error:
            raise StateError(error.message, hint=_NOT_SENT_HINT) from None


def verify_batch_file(batch: Batch, objects: ObjectStore) -> None:
    """Check that the batch file in the store is byte for byte the finalized one.

    Args:
        batch: The batch.
        objects: Store of the file.

    Raises:
        UnavailableError: If it cannot be read or has changed.
    """
    location = batch.file.path
    with (
        translate_os_errors(f"batch file {location} cannot be read", hint=_NOT_SENT_HINT),
        objects.get(naming.batch_file_key(batch.job, batch.file)) as path,
    ):
        digest = sha256_of_file(path)
    if digest != batch.file.digest:
        raise UnavailableError(f"batch file {location} has changed since it was finalized", hint=_NOT_SENT_HINT)


@contextmanager
def opened_batch_file(batch: Batch, objects: ObjectStore) -> Iterator[BatchFile]:
    """Yield the batch file with the path of a local file.

    Args:
        batch: The batch.
        objects: Store of the file.

    Yields:
        The batch file.

    Raises:
        RetryableError: If the store cannot be reached. Nothing was sent.
        PermanentError: If the file is missing.
    """
    with ExitStack() as stack:
        try:
            path = stack.enter_context(objects.get(naming.batch_file_key(batch.job, batch.file)))
        except (FileNotFoundError, PermissionError) as error:
            raise PermanentError(f"the batch file cannot be read: {os_error_reason(error)}") from None
        except OSError as error:
            raise RetryableError(f"the batch file cannot be read: {os_error_reason(error)}") from None
        yield replace(batch.file, path=str(path))
