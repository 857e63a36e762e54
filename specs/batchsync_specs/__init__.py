"""Vendor specs as data: `vendor.yaml`, record schemas and documented exchanges."""
