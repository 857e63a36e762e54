"""Deterministic simulation: deliveries drawn from a seed, with crashes, faults and late requests; checks invariants.

`PYTHONPATH=tests python -m simulation --seed 7` plays one seed; `--seeds 2000 --jobs 4` plays many.
"""
