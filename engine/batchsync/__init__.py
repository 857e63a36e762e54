"""lading syncs declared data to vendors that take it as asynchronous file batches.

The way through the code follows the way of the data: `spec` reads YAML into frozen values, `data` compares, maps
and seals batch files, `reconcile` asks `core.decide` what should happen next and performs it through `vendors`,
`journal` remembers, `sinks` deliver the answers. `core` decides everything and touches nothing; `app` wires it all.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
