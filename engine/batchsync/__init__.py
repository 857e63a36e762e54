"""batchsync syncs declared data to vendors that take it as asynchronous file batches.

The packages follow the data: `spec` parses YAML into frozen values, `source` fetches rows, `data` compares, maps and
writes batch files, `reconcile` performs what `core.decide` decides through `vendors`, `journal` stores events, `sinks`
deliver answers. `core` is pure; `app` wires everything.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
