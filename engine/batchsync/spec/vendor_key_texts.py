"""Descriptions of the keys of `vendor.yaml`, for editors and pages; they are data of `batchsync_specs`."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

_FILE = "vendor_keys.toml"
#: Models that have the keys of another one, too.
_BASES = {"BatchCallModel": "CallModel", "ResultsModel": "DownloadModel", "UnprocessedModel": "DownloadModel"}


@cache
def key_texts() -> dict[str, dict[str, str]]:
    """Return what each key means, by the name of the model and the key."""
    found: dict[str, dict[str, str]] = tomllib.loads((files("batchsync_specs") / _FILE).read_text(encoding="utf-8"))
    return found


def key_text(model: str, key: str) -> str:
    """Return what a key of a model means; empty if that is not described.

    Args:
        model: Name of the model.
        key: The key, as it is written in `vendor.yaml`.
    """
    texts = key_texts()
    groups = (model, _BASES.get(model, ""), "Documented" if key == "source" else "")
    return next((texts[group][key] for group in groups if key in texts.get(group, {})), "")


def describe_keys(schema: dict[str, Any]) -> None:
    """Add descriptions to the properties of a JSON Schema of `vendor.yaml`.

    Args:
        schema: The schema of `VendorModel`, with those of the other models in `$defs`; changed in place.
    """
    models = {"VendorModel": schema, **schema.get("$defs", {})}
    for name, model in models.items():
        for key, item in model.get("properties", {}).items():
            if text := key_text(name, key):
                item["description"] = text
