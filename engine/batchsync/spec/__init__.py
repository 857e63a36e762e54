"""Load `jobs.yaml` and vendor specs into frozen, typed values, or report every problem with its place.

The public names are imported lazily, so that commands that read no YAML do not pay for pydantic and ruamel.yaml.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchsync.spec.credentials import resolve_credentials, resolve_login, resolve_proxy, secret_files
    from batchsync.spec.dbt_manifest import relations_of
    from batchsync.spec.field_types import NAME_PATTERN
    from batchsync.spec.file_text import read_text
    from batchsync.spec.format_file import format_text
    from batchsync.spec.include import included_files
    from batchsync.spec.jobs_file import Choice, fill_in_lines, load
    from batchsync.spec.jobs_file_names import declared_names
    from batchsync.spec.json_schema import SCHEMA_FILE, jobs_schema, jobs_schema_text
    from batchsync.spec.outline import outline_of
    from batchsync.spec.problem_text import render_problem
    from batchsync.spec.scaffold import scaffold_files
    from batchsync.spec.starters import has_starter, starter_files, starter_vendors
    from batchsync.spec.update_tests import Expectation, with_expectations
    from batchsync.spec.vendor_details import load_vendor_details
    from batchsync.spec.vendor_folder import load_folder
    from batchsync.spec.vendor_mocks import mock_arguments, named_source, vendor_source
    from batchsync.spec.vendor_problems import place_of
    from batchsync.spec.vendor_spec import available_vendors, load_vendor

__all__ = [
    "NAME_PATTERN",
    "SCHEMA_FILE",
    "Choice",
    "Expectation",
    "available_vendors",
    "declared_names",
    "fill_in_lines",
    "format_text",
    "has_starter",
    "included_files",
    "jobs_schema",
    "jobs_schema_text",
    "load",
    "load_folder",
    "load_vendor",
    "load_vendor_details",
    "mock_arguments",
    "named_source",
    "outline_of",
    "place_of",
    "read_text",
    "relations_of",
    "render_problem",
    "resolve_credentials",
    "resolve_login",
    "resolve_proxy",
    "scaffold_files",
    "secret_files",
    "starter_files",
    "starter_vendors",
    "vendor_source",
    "with_expectations",
]

_MODULES = {
    "has_starter": "starters",
    "scaffold_files": "scaffold",
    "vendor_source": "vendor_mocks",
    "place_of": "vendor_problems",
    "load_folder": "vendor_folder",
    "Expectation": "update_tests",
    "with_expectations": "update_tests",
    "load_vendor": "vendor_spec",
    "read_text": "file_text",
    "included_files": "include",
    "format_text": "format_file",
    "NAME_PATTERN": "field_types",
    "SCHEMA_FILE": "json_schema",
    "available_vendors": "vendor_spec",
    "declared_names": "jobs_file_names",
    "Choice": "jobs_file",
    "fill_in_lines": "jobs_file",
    "jobs_schema": "json_schema",
    "jobs_schema_text": "json_schema",
    "load": "jobs_file",
    "load_vendor_details": "vendor_details",
    "mock_arguments": "vendor_mocks",
    "named_source": "vendor_mocks",
    "outline_of": "outline",
    "relations_of": "dbt_manifest",
    "render_problem": "problem_text",
    "resolve_credentials": "credentials",
    "resolve_login": "credentials",
    "resolve_proxy": "credentials",
    "secret_files": "credentials",
    "starter_files": "starters",
    "starter_vendors": "starters",
}


def __getattr__(name: str) -> Any:
    """Return a public name of this package, importing its module on first use.

    Raises:
        AttributeError: If the package has no such name.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
