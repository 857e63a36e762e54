"""Decisions of batchsync as pure functions over frozen values.

Values such as batches, runs and vendor rules enter; steps, new values and settlements leave. The modules must not use
the clock, disk, network or log.
"""
