"""Vendors over HTTP: one dialect, driven by data, behind the port `lading.ports.Vendor`. It knows no vendor by name."""
