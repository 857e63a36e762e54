"""The shell around the core: prepares runs, performs steps, and asks again until everything is at rest.

It decides nothing about a batch (that is `lading.core`) and knows its world only through `lading.ports`.
"""
