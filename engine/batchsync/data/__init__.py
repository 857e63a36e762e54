"""The columnar path: everything that touches rows. It knows no vendor by name and no network."""

from __future__ import annotations

from lading.data.path import Columnar

__all__ = ["Columnar"]
