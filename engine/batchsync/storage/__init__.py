"""Object stores: implementations of the port `ObjectStore`, which keeps batch files, row manifests and baselines.

Enters: finished files with their keys. Leaves: local files to read while they are open. Must not know what an object
contains or who refers to it. `app` chooses the store.
"""
