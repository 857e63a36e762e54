"""Vendors over HTTP: a client driven by the vendor spec, behind the port `batchsync.ports.Vendor`."""
